/* A file of packed weights from an enemy: opened with whatever layout and source its head names, with its sums put right or left as they are;
 * a matrix is looked for. The first byte says which; the file follows. */
#include "base/hash.h"
#include "device/packed.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct device *dev;
static uint8_t rows[16 * 18]; /* Q4_0, one block a row */

/* The head's sum, so that the fuzzer gets behind it (packed.c says how it is made). */
static void mend(uint8_t *f, size_t n)
{
    uint8_t key[16] = {0};
    uint64_t count, sum;
    if (n < 64)
        return;
    memcpy(&count, f + 48, sizeof count);
    if (count > (n - 64) / 48)
        return;
    sum = siphash(key, f, 56);
    memcpy(key, &sum, sizeof sum);
    sum = siphash(key, f + 64, count * 48);
    memcpy(f + 56, &sum, sizeof sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct err e;
    struct packed *x;
    uint64_t layout = 0;
    uint8_t source[PACKED_SOURCE] = {0};
    char path[64];
    if (!dev && device_new(&dev, &(struct device_opts){.n_threads = 1}, &e) < 0)
        abort();
    if (n < 1)
        return 0;
    bool mended = *p & 1;
    p++, n--;
    uint8_t *f = malloc(n + 1);
    memcpy(f, p, n);
    if (mended)
        mend(f, n);
    if (n >= 48)
        memcpy(&layout, f + 8, sizeof layout), memcpy(source, f + 16, sizeof source);
    int fd = memfd_create("packed", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (fd < 0 || write(fd, f, n) != (ssize_t)n)
        abort();
    if (packed_open(&x, path, layout, source, &e) == 0) {
        for (uint64_t id = 0; id < 4; id++) {
            struct weight *w;
            int32_t token[] = {0, 15};
            float y[2 * 32];
            if (packed_weight(&w, dev, x, id, QUANT_Q4_0, 16, 32, rows, &e) < 0)
                abort();
            dev_embed(dev, y, w, token, 2);
            weight_free(w);
        }
        packed_close(x);
    }
    close(fd);
    free(f);
    return 0;
}
