/* start FILE [PACKED]: how long a model file takes to be ready, and what it takes of memory; each figure of a process of its own. With PACKED
 * (where its packed weights are kept, see device/packed.h) a second line tells of the start that finds them. The file should be in the page
 * cache: the first run reads it. Prints CSV: what, seconds, CPU seconds of all threads, peak RSS, RSS, file size, their ratio. */
#include "base/clock.h"
#include "base/os.h"
#include "device/packed.h"
#include "model/model.h"
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int load(const char *what, const char *path, const char *packed)
{
    struct err e;
    struct device *d;
    struct modelfile *f;
    struct model *m;
    struct rusage u;
    struct packed *kept = NULL;
    uint8_t source[PACKED_SOURCE] = {0};
    if (device_new(&d, &(struct device_opts){0}, &e) < 0)
        return printf("%s\n", e.msg), 1;
    uint64_t t0 = clock_ns(), before = os_rss_bytes(), layout = packed ? packed_layout(d) : 0;
    double cpu0 = cpu();
    if (packed && packed_open(&kept, packed, layout, source, &e) < 0)
        printf("%s\n", e.msg);
    if (modelfile_open(&f, path, &e) < 0 || model_load_with(&m, f, d, &(struct model_load_opts){.kept = kept}, &e) < 0)
        return printf("%s\n", e.msg), 1;
    packed_close(kept);
    cpu0 = cpu() - cpu0;
    double seconds = (double)(clock_ns() - t0) / 1e9, size = mib(model_shape(m)->weight_bytes);
    getrusage(RUSAGE_SELF, &u);
    uint64_t rss = os_rss_bytes() - before;
    printf("%s,%.3f,%.3f,%.0f,%.0f,%.0f,%.3f\n", what, seconds, cpu0, (double)u.ru_maxrss / 1024, mib(rss), size, mib(rss) / size);
    fflush(stdout);
    if (packed && !kept && model_keep(m, packed, layout, source, NULL, NULL, &e) < 0)
        printf("%s\n", e.msg);
    model_free(m);
    modelfile_close(f);
    device_free(d);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return fprintf(stderr, "usage: start FILE [PACKED]\n"), 2;
    printf("what,seconds,cpu_seconds,peak_mib,rss_mib,weights_mib,ratio\n");
    fflush(stdout);
    const char *what[] = {"from the file", "again", "packed"};
    for (int i = 0; i < (argc > 2 ? 3 : 2); i++) {
        int status = 0;
        pid_t pid = fork();
        if (pid == 0)
            _exit(load(what[i], argv[1], i ? argv[2] : NULL) || fflush(stdout));
        if (pid < 0 || waitpid(pid, &status, 0) < 0 || status)
            return 1;
    }
    return 0;
}
