#include "hub/fetch_int.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum {
    HASH_BYTES = 4 << 20,
    HASH_ALIGN = 64 << 10, /* of a mapping: any page size divides it */
};

struct hashes {
    struct sha256_ctx *sha256;
    struct sha1_ctx *sha1; /* NULL: not wanted */
};

static void hashes_add(struct hashes *h, const void *p, size_t n)
{
    sha256_add(h->sha256, p, n);
    if (h->sha1)
        sha1_add(h->sha1, p, n);
}

/* Hashes [at, at + n) of the partial file where it lies in the page cache, which saves a tenth of the time that a copy takes. The pages are
 * brought in first: a disk that cannot read them is an error, and no signal. */
static int hash_window(struct hashes *h, const struct partial *p, uint64_t at, size_t n, struct err *e)
{
    uint64_t from = at & ~(uint64_t)(HASH_ALIGN - 1);
    size_t skip = (size_t)(at - from);
    char *map = mmap(NULL, skip + n, PROT_READ, MAP_SHARED, partial_fd(p), (off_t)from);
    if (map == MAP_FAILED || (madvise(map, skip + n, MADV_POPULATE_READ) != 0 && errno != EINVAL)) {
        int rc = err_set(e, ERR_IO, "hub: read %s: %s", partial_path(p), strerror(errno));
        if (map != MAP_FAILED)
            munmap(map, skip + n);
        return rc;
    }
    hashes_add(h, map + skip, n);
    munmap(map, skip + n);
    return 0;
}

/* Waits until bytes after `at` are in the file; returns the end of them, `at` when no more come. */
static uint64_t wait_for(struct run *r, uint64_t at)
{
    uint64_t end = at;
    mutex_lock(&r->lock);
    while (!r->stop && at < r->end && (end = ranges_run(&r->have, at)) == at)
        cond_wait(&r->changed, &r->lock);
    end = r->stop ? at : end;
    mutex_unlock(&r->lock);
    return end;
}

void hash_work(void *arg)
{
    struct run *r = arg;
    struct hashes h = {sha256_new(), r->f->file->has_sha256 ? NULL : sha1_new()};
    char head[64];
    struct err e;
    uint64_t at = 0;
    int rc = 0;
    if (h.sha1 && str_fmt(head, sizeof head, "blob %llu", (unsigned long long)r->f->file->size))
        sha1_add(h.sha1, head, strlen(head) + 1); /* git hashes this header, its NUL included, before the bytes */
    for (uint64_t end; !rc && (end = wait_for(r, at)) > at;)
        while (!rc && at < end) {
            size_t n = end - at < HASH_BYTES ? (size_t)(end - at) : HASH_BYTES;
            rc = hash_window(&h, r->f->partial, at, n, &e);
            at += n;
        }
    sha256_free(h.sha256, &r->digest);
    if (h.sha1)
        sha1_free(h.sha1, &r->blob);
    if (rc)
        run_fail(r, rc, &e);
}

int hash_verify(const struct run *r, bool *useless, struct err *e)
{
    const struct remote_file *f = r->f->file;
    char want[65], got[65];
    if (f->has_sha256) {
        if (!memcmp(&f->sha256, &r->digest, sizeof r->digest))
            return 0;
        str_to_hex(want, f->sha256.b, 32), str_to_hex(got, r->digest.b, 32);
    } else {
        if (f->has_blob && !memcmp(&f->blob, &r->blob, sizeof r->blob))
            return 0;
        str_to_hex(want, f->blob.b, 20), str_to_hex(got, r->blob.b, 20);
    }
    *useless = true;
    return err_set(e, ERR_REMOTE, "hub: %s is other content than the hub names: %.16s... was to come, %.16s... came; nothing is kept, pull again",
                   f->path, want, got);
}
