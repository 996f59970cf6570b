/* The machine: processor, memory, large pages, open files, the service manager. */
#include "base/os.h"
#include "cli/doctor.h"
#include "device/device.h"
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

void doctor_cpu(struct doctor *d)
{
    const char *mask = d->settings ? settings_get(d->settings, "cpu") : "", *best = "scalar", *name;
    char cpu[49];
    bool has;
    for (int i = 0; (name = device_cpu(i, &has)); i++)
        if (has)
            best = name;
    device_cpu_name(cpu);
    if (!*mask)
        mask = getenv("SLUICE_CPU") ? getenv("SLUICE_CPU") : "";
    if (strcmp(best, "scalar") == 0)
        doctor_say(d, DOCTOR_WARN, "use a machine with AVX2 (or a virtual machine that passes it on): answers are many times slower without",
                   "%s has neither AVX2 nor AVX-512", cpu);
    else if (*mask && strcmp(mask, best) != 0)
        doctor_say(d, DOCTOR_WARN, "take the setting cpu, or SLUICE_CPU, away", "%s has %s, and is held to %s", cpu, best, mask);
    else
        doctor_say(d, DOCTOR_OK, "", "%s, %s", cpu, best);
}

void doctor_memory(struct doctor *d)
{
    char hub[PATH_LEN];
    struct models_budget m;
    struct store *s = NULL;
    struct ref *refs = NULL;
    struct err e = {0};
    size_t n = 0;
    uint64_t sum = 0;
    if (!d->settings || models_budget(d->settings, &m, &e) < 0) {
        doctor_say(d, DOCTOR_SKIP, "", "the settings cannot be read");
        return;
    }
    if (m.kv + m.models > os_memory_bytes())
        doctor_say(d, DOCTOR_FAIL, "lower memory or kv-memory, or the kernel will end the server",
                   "models may take %llu MiB and KV %llu, the machine has %llu", (unsigned long long)m.models >> 20, (unsigned long long)m.kv >> 20,
                   (unsigned long long)os_memory_bytes() >> 20);
    if (doctor_path(d, hub, "hub") && store_open(&s, hub, &e) >= 0 && ref_list(s, &refs, &n, &e) < 0)
        n = 0; /* doctor_models says it */
    for (size_t i = 0; i < n; i++) {
        sum += refs[i].size;
        if (refs[i].size > m.models)
            doctor_say(d, DOCTOR_FAIL, "raise memory, take a smaller quantisation, or remove the name",
                       "%s has %llu MiB, more than the %llu MiB for models: it can never be loaded", refs[i].name,
                       (unsigned long long)refs[i].size >> 20, (unsigned long long)m.models >> 20);
    }
    doctor_say(d, DOCTOR_OK, "", "%llu MiB for models (all have %llu%s), %llu for KV, %llu in the machine", (unsigned long long)m.models >> 20,
               (unsigned long long)sum >> 20, sum > m.models ? ": they take turns" : "", (unsigned long long)m.kv >> 20,
               (unsigned long long)os_memory_bytes() >> 20);
    mem_free(refs);
    store_close(s);
}

/* A small file of the kernel or of the system, "" when it is not there. */
static void read_small(const struct doctor *d, const char *name, struct buf *out)
{
    char path[PATH_LEN];
    buf_clear(out);
    if (!str_fmt(path, sizeof path, "%s%s", d->root, name) || os_read_file(out, path, NULL) < 0)
        buf_clear(out);
    buf_add(out, "", 0);
}

void doctor_pages(struct doctor *d)
{
    struct buf b;
    buf_init(&b, 4096);
    read_small(d, "/sys/kernel/mm/transparent_hugepage/enabled", &b);
    if (!b.len)
        doctor_say(d, DOCTOR_SKIP, "", "this kernel does not tell");
    else if (strstr(b.data, "[never]"))
        doctor_say(d, DOCTOR_WARN, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled: reading weights is some per cent faster",
                   "large pages are turned off");
    else
        doctor_say(d, DOCTOR_OK, "", "large pages are given to who asks");
    buf_deinit(&b);
}

void doctor_files(struct doctor *d)
{
    enum { WANTED = 4096 + 256 }; /* server_limits.connections_max, and what else is open */
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) != 0)
        doctor_say(d, DOCTOR_SKIP, "", "the limit is not told");
    else if (l.rlim_max != RLIM_INFINITY && l.rlim_max < WANTED)
        doctor_say(d, DOCTOR_WARN, "LimitNOFILE=65536 in the unit, or ulimit -Hn 65536",
                   "at most %llu files may be open: fewer than connections may come", (unsigned long long)l.rlim_max);
    else
        doctor_say(d, DOCTOR_OK, "", "up to %llu", (unsigned long long)(l.rlim_max == RLIM_INFINITY ? UINT64_MAX : l.rlim_max));
}

void doctor_service(struct doctor *d)
{
    static const char *const places[] = {"/etc/systemd/system/sluice.service", "/usr/local/lib/systemd/system/sluice.service",
                                         "/usr/lib/systemd/system/sluice.service", "/lib/systemd/system/sluice.service"};
    char path[PATH_LEN];
    str_fmt(path, sizeof path, "%s/run/systemd/system", d->root);
    if (!os_exists(path)) {
        doctor_say(d, DOCTOR_SKIP, "", "systemd does not run here");
        return;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        str_fmt(path, sizeof path, "%s%s", d->root, places[i]);
        if (os_exists(path)) {
            doctor_say(d, DOCTOR_OK, "", "%s", places[i]);
            return;
        }
    }
    doctor_say(d, DOCTOR_WARN, "make install puts it in place; then: systemctl enable --now sluice",
               "no unit sluice.service is installed: nothing starts the "
               "server after a reboot");
}
