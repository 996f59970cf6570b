/* Files that are mapped, and what happens when one shrinks under its readers: the kernel answers a read past its end, or a read that the disk
 * refuses, with SIGBUS, which says nothing by itself. */
#include "base/mem.h"
#include "base/os.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAPS_MAX = 256, PATH_SHOWN = 512 }; /* more maps than that are as good as others, but their faults are not named */

/* Read by a signal's handler: an entry counts while `from` is set, which is the last thing to be set and the first to be cleared. */
static struct {
    atomic_bool taken;
    _Atomic uintptr_t from;
    size_t n;
    char path[PATH_SHOWN];
} maps[MAPS_MAX];

static void note(struct os_map m, const char *path)
{
    for (int i = 0; i < MAPS_MAX; i++) {
        if (atomic_exchange(&maps[i].taken, true))
            continue;
        maps[i].n = m.n;
        if (!str_fmt(maps[i].path, sizeof maps[i].path, "%s", path))
            memcpy(maps[i].path + sizeof maps[i].path - 4, "...", 4);
        maps[i].from = (uintptr_t)m.p;
        return;
    }
}

static void forget(struct os_map m)
{
    for (int i = 0; i < MAPS_MAX; i++)
        if (maps[i].taken && maps[i].from == (uintptr_t)m.p) {
            maps[i].from = 0;
            maps[i].taken = false;
            return;
        }
}

static int fail(struct err *e, const char *what, const char *path)
{
    int why = errno;
    return err_set(e, why == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s %s: %s", what, path, strerror(why));
}

/* n bytes of fd at a multiple of 2 MiB: more is reserved, and what lies beside it given back. */
static void *map_large(int fd, size_t n)
{
    const size_t large = 2 << 20;
    size_t all;
    uint8_t *p = ck_add(n, large, &all) ? mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
    if (p == MAP_FAILED)
        return p;
    size_t before = (large - (uintptr_t)p % large) % large;
    uint8_t *at = mmap(p + before, n, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0), *end = p + before + (n + 4095) / 4096 * 4096;
    if (at == MAP_FAILED) {
        munmap(p, all);
        return at;
    }
    if (before)
        munmap(p, before);
    if (end < p + all)
        munmap(end, (size_t)(p + all - end));
    (void)madvise(at, n, MADV_HUGEPAGE); /* advice: no loss when the kernel declines */
    return at;
}

static int map_file(struct os_map *out, const char *path, bool large, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(e, "open", path);
    int rc = 0;
    *out = (struct os_map){0};
    if (fstat(fd, &st) != 0)
        rc = fail(e, "stat", path);
    else if (!S_ISREG(st.st_mode))
        rc = err_set(e, ERR_IO, "open %s: not a regular file", path);
    else if (st.st_size > 0) {
        void *p = large ? map_large(fd, (size_t)st.st_size) : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            rc = fail(e, "map", path);
        else
            note((*out = (struct os_map){p, (size_t)st.st_size}), path);
    }
    close(fd);
    return rc;
}

int os_map_open(struct os_map *out, const char *path, struct err *e)
{
    return map_file(out, path, false, e);
}

int os_map_large(struct os_map *out, const char *path, struct err *e)
{
    return map_file(out, path, true, e);
}

void os_map_drop(const void *p, size_t n)
{
    const uintptr_t page = 4096, from = ((uintptr_t)p + page - 1) / page * page, end = ((uintptr_t)p + n) / page * page;
    if (end > from)
        (void)madvise((void *)from, end - from, MADV_DONTNEED); /* a file's pages: nothing is lost */
}

void os_map_close(struct os_map *m)
{
    if (m->p) {
        forget(*m);
        munmap((void *)(uintptr_t)m->p, m->n);
    }
    *m = (struct os_map){0};
}

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return;
}

static void on_bus(int sig, siginfo_t *info, void *context)
{
    (void)context;
    uintptr_t at = (uintptr_t)info->si_addr;
    for (int i = 0; i < MAPS_MAX; i++) {
        uintptr_t from = maps[i].from;
        if (!from || at < from || at - from >= maps[i].n)
            continue;
        say("sluice: ");
        say(maps[i].path);
        say(" became shorter, or its disk cannot read it, while it was in use, so the program ends; what was delivered is counted. Check the disk, "
            "add or pull the model again, and start again\n");
        _exit(err_exit(ERR_IO));
    }
    signal(sig, SIG_DFL); /* none of ours: it comes again, and ends the program as it would have */
}

void os_map_guard(void)
{
    struct sigaction a = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    sigemptyset(&a.sa_mask);
    sigaction(SIGBUS, &a, NULL);
}
