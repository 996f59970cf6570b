#include "hub/store.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/sandbox.h"
#include "base/str.h"
#include "base/vec.h"
#include "format/modelfile.h"
#include "hub/hub_int.h"
#include "hub/partial.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct store {
    char dir[STORE_PATH_MAX - 256]; /* leaves room for what is put behind it */
    store_check_fn check;
    void *check_arg;
};
enum { CHUNK = 1 << 20 };

const char *store_dir(const struct store *s)
{
    return s->dir;
}

static int fail(struct err *e, const char *what, const char *path)
{
    int why = errno;
    return err_set(e, why == ENOENT ? ERR_NOT_FOUND : ERR_IO, "hub: %s %s: %s", what, path, strerror(why));
}

/* Removes what writers that were killed left in tmp/: a living writer holds a lock on its file. */
static void sweep(const char *tmp)
{
    DIR *d = opendir(tmp);
    for (struct dirent *x; d && (x = readdir(d));) {
        if (x->d_name[0] == '.')
            continue;
        int fd = openat(dirfd(d), x->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dirfd(d), x->d_name, 0);
        close(fd);
    }
    if (d)
        closedir(d);
}

int store_open(struct store **out, const char *dir, struct err *e)
{
    static const char *const sub[] = {"blobs/sha256", "refs", "partial", "packed", "tmp"};
    char path[STORE_PATH_MAX];
    int rc = 0;
    *out = NULL;
    struct store *s = mem_new(sizeof *s);
    if (!s)
        return err_set(e, ERR_NO_MEMORY, "hub: no memory to open the store");
    if (!*dir || !str_fmt(s->dir, sizeof s->dir, "%s", dir))
        rc = err_set(e, ERR_IO, "hub: the store's folder name is empty or longer than %zu bytes", sizeof s->dir - 1);
    for (size_t i = 0; i < sizeof sub / sizeof *sub && !rc; i++) {
        (void)str_fmt(path, sizeof path, "%s/%s", s->dir, sub[i]);
        rc = os_mkdirs(path, 0700, e); /* the first command may make the whole data folder */
    }
    if (rc) {
        mem_free(s);
        return rc;
    }
    sweep(path); /* the last one: tmp */
    (void)str_fmt(path, sizeof path, "%s/partial", s->dir);
    partial_sweep(path);
    *out = s;
    return 0;
}

void store_close(struct store *s)
{
    mem_free(s);
}

/* The only place that knows where a blob lies. */
static void blob_path(const struct store *s, const struct sha256 *d, char out[STORE_PATH_MAX])
{
    char hex[65];
    str_to_hex(hex, d->b, sizeof d->b);
    (void)str_fmt(out, STORE_PATH_MAX, "%s/blobs/sha256/%s", s->dir, hex);
}

void store_packed_path(const struct store *s, const struct sha256 *key, char out[STORE_PATH_MAX])
{
    char hex[65];
    str_to_hex(hex, key->b, sizeof key->b);
    (void)str_fmt(out, STORE_PATH_MAX, "%s/packed/%s", s->dir, hex);
}

/* A name of a packed file or of one that is being written: does it begin with one of the keys? */
static bool has_key(const struct sha256 *keys, size_t n, const char *name)
{
    struct sha256 one;
    struct str hex = str_of(name);
    hex.n = hex.n > 64 ? 64 : hex.n;
    for (size_t i = 0; str_hex(hex, one.b, sizeof one.b) && i < n; i++)
        if (memcmp(&one, &keys[i], sizeof one) == 0)
            return true;
    return false;
}

uint64_t store_packed_bytes(const struct store *s, const struct sha256 *key)
{
    char dir[STORE_PATH_MAX];
    uint64_t sum = 0;
    (void)str_fmt(dir, sizeof dir, "%s/packed", s->dir);
    DIR *d = opendir(dir);
    for (const struct dirent *x; d && (x = readdir(d));) {
        struct stat st;
        const struct str name = str_of(x->d_name);
        if (has_key(key, 1, x->d_name) && !memchr(name.p, '.', name.n) && fstatat(dirfd(d), x->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            sum += (uint64_t)st.st_size;
    }
    if (d)
        closedir(d);
    return sum;
}

int store_packed_sweep(struct store *s, const struct sha256 *keys, size_t n, uint64_t *freed, struct err *e)
{
    char dir[STORE_PATH_MAX];
    int rc = 0;
    (void)str_fmt(dir, sizeof dir, "%s/packed", s->dir);
    DIR *d = opendir(dir);
    if (!d)
        return fail(e, "open", dir);
    for (struct dirent *x; !rc && (x = readdir(d));) {
        struct stat st;
        if (x->d_name[0] == '.' || has_key(keys, n, x->d_name) || fstatat(dirfd(d), x->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (unlinkat(dirfd(d), x->d_name, 0) != 0)
            rc = fail(e, "remove packed weights in", dir);
        else
            *freed += (uint64_t)st.st_size;
    }
    closedir(d);
    return rc;
}

int store_path(const struct store *s, const struct sha256 *digest, char out[STORE_PATH_MAX], struct err *e)
{
    blob_path(s, digest, out);
    if (os_exists(out))
        return 0;
    return err_set(e, ERR_NOT_FOUND, "hub: blob %.12s... is not in the store; add the model's file again", strrchr(out, '/') + 1);
}

/* Makes an empty, locked file in tmp/. A sweeper may unlink it between its making and its lock: then once more. */
static int open_tmp(const struct store *s, int *fd, char path[STORE_PATH_MAX], struct err *e)
{
    for (int tries = 0; tries < 100; tries++) {
        uint8_t id[8];
        char hex[17];
        struct stat st;
        random_bytes(id, sizeof id);
        str_to_hex(hex, id, sizeof id);
        (void)str_fmt(path, STORE_PATH_MAX, "%s/tmp/%s", s->dir, hex);
        if ((*fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) < 0) {
            if (errno == EEXIST)
                continue;
            return fail(e, "create", path);
        }
        if (flock(*fd, LOCK_EX) == 0 && fstat(*fd, &st) == 0 && st.st_nlink == 1)
            return 0;
        close(*fd);
    }
    return err_set(e, ERR_IO, "hub: no file can be kept in %s/tmp", s->dir);
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        p += k, n -= (size_t)k;
    }
    return true;
}

/* Copies and hashes in one pass, so that the digest is of the bytes that were written. */
static int copy_hashed(int in, int to, uint64_t total, void (*progress)(void *, uint64_t, uint64_t), void *arg, struct sha256 *digest, uint64_t *size,
                       const char *path, struct err *e)
{
    char *chunk = mem_new(CHUNK);
    if (!chunk)
        return err_set(e, ERR_NO_MEMORY, "hub: no memory to copy %s", path);
    struct sha256_ctx *c = sha256_new();
    ssize_t n;
    int rc = 0;
    *size = 0;
    while (!rc && (n = read(in, chunk, CHUNK)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = fail(e, "read", path);
        else if (!write_all(to, chunk, (size_t)n))
            rc = fail(e, "copy into the store", path);
        else {
            sha256_add(c, chunk, (size_t)n);
            *size += (uint64_t)n;
            if (progress)
                progress(arg, *size, total > *size ? total : *size);
        }
    }
    if (!rc && fsync(to) != 0)
        rc = fail(e, "sync the copy of", path);
    sha256_free(c, digest);
    mem_free(chunk);
    return rc;
}

void store_blobs(const struct store *s, char out[STORE_PATH_MAX])
{
    (void)str_fmt(out, STORE_PATH_MAX, "%s/blobs/sha256", s->dir);
}

bool store_has(const struct store *s, const struct sha256 *digest, uint64_t size)
{
    char path[STORE_PATH_MAX];
    struct stat st;
    blob_path(s, digest, path);
    return stat(path, &st) == 0 && (uint64_t)st.st_size == size;
}

int store_publish(const struct store *s, int fd, const char *tmp, const struct sha256 *digest, uint64_t size, struct err *e)
{
    char to[STORE_PATH_MAX], dir[STORE_PATH_MAX];
    blob_path(s, digest, to);
    if (store_has(s, digest, size))
        return unlink(tmp) == 0 ? 0 : fail(e, "remove", tmp);
    if (fchmod(fd, 0444) != 0 || fsync(fd) != 0 || rename(tmp, to) != 0)
        return fail(e, "put in place", to);
    store_blobs(s, dir);
    int dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = dfd >= 0 && fsync(dfd) == 0 ? 0 : fail(e, "sync", dir);
    if (dfd >= 0)
        close(dfd);
    return rc;
}

void store_check_set(struct store *s, store_check_fn check, void *arg)
{
    s->check = check, s->check_arg = arg;
}

int store_check(const struct store *s, int fd, const char *path, struct err *e)
{
    struct modelfile *f;
    if (s->check)
        return s->check(s->check_arg, &fd, 1, e);
    int rc = gguf_open(&f, path, e);
    if (!rc)
        modelfile_close(f);
    return rc;
}

int store_check_parts(const struct store *s, const struct sha256 *digest, size_t n, struct err *e)
{
    int fd[SANDBOX_FILES_MAX], rc = 0;
    size_t open_n = 0;
    if (n < 2 || !s->check)
        return 0;
    if (n > SANDBOX_FILES_MAX)
        return err_set(e, ERR_TOO_LARGE, "hub: a model in %zu files, where 1 to %d are read", n, SANDBOX_FILES_MAX);
    for (; open_n < n && !rc; open_n++) {
        char path[STORE_PATH_MAX];
        if ((rc = store_path(s, &digest[open_n], path, e)))
            break;
        if ((fd[open_n] = open(path, O_RDONLY | O_CLOEXEC)) < 0) {
            rc = fail(e, "open", path);
            break;
        }
    }
    if (!rc)
        rc = s->check(s->check_arg, fd, n, e);
    for (size_t i = 0; i < open_n; i++)
        close(fd[i]);
    return rc;
}

static int add_open(struct store *s, int in, const char *path, void (*progress)(void *, uint64_t, uint64_t), void *arg, struct sha256 *digest,
                    uint64_t *size, struct err *e)
{
    char tmp[STORE_PATH_MAX];
    struct stat st;
    int fd;
    if (fstat(in, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(e, ERR_IO, "hub: %s is not a regular file", path);
    int rc = open_tmp(s, &fd, tmp, e);
    if (rc)
        return rc;
    /* The copy is what is checked: the source may change under our hands. */
    if (!(rc = copy_hashed(in, fd, (uint64_t)st.st_size, progress, arg, digest, size, path, e)) && !(rc = store_check(s, fd, tmp, e)))
        rc = store_publish(s, fd, tmp, digest, *size, e);
    if (rc)
        unlink(tmp);
    close(fd);
    return rc;
}

/* Cheap refusal of what is no GGUF file, before gigabytes are copied. */
static int check_magic(int in, const char *path, struct err *e)
{
    struct modelfile *f = NULL;
    uint8_t head[64];
    ssize_t n = pread(in, head, sizeof head, 0);
    if (n < 0)
        return fail(e, "read", path);
    if (n >= 4 && !memcmp(head, "GGUF", 4))
        return 0;
    int rc = gguf_parse(&f, head, (size_t)n, e); /* it says what the file is instead */
    modelfile_close(f);
    return rc;
}

int store_add(struct store *s, const char *path, void (*progress)(void *, uint64_t done, uint64_t total), void *arg, struct sha256 *digest,
              uint64_t *size, struct err *e)
{
    int in = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* not held up by a pipe */
    if (in < 0)
        return fail(e, "open", path);
    int rc = check_magic(in, path, e);
    if (!rc)
        rc = add_open(s, in, path, progress, arg, digest, size, e);
    close(in);
    return rc;
}

int store_lock(const struct store *s, bool exclusive, int *fd, struct err *e)
{
    char path[STORE_PATH_MAX];
    (void)str_fmt(path, sizeof path, "%s/lock", s->dir);
    if ((*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        return fail(e, "open", path);
    while (flock(*fd, exclusive ? LOCK_EX : LOCK_SH) != 0)
        if (errno != EINTR) {
            int rc = fail(e, "lock", path);
            close(*fd);
            return rc;
        }
    return 0;
}

void store_unlock(int fd)
{
    close(fd);
}

int store_idle(const struct store *s, const struct sha256 *digest, struct err *e)
{
    char path[STORE_PATH_MAX];
    blob_path(s, digest, path);
    int rc = 0, fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0)
        rc = err_set(e, ERR_CONFLICT,
                     "hub: the model is being served: a server has it loaded; stop that server, or wait until it unloads the model, or use --force");
    if (fd >= 0)
        close(fd);
    return rc;
}

int store_delete(struct store *s, const struct sha256 *digest, struct err *e)
{
    char path[STORE_PATH_MAX];
    int rc = store_path(s, digest, path, e);
    if (!rc && unlink(path) != 0)
        rc = fail(e, "remove", path);
    return rc;
}

int store_old_blobs(const struct store *s, uint32_t days, struct ref_part **out, size_t *n, struct err *e)
{
    struct VEC(struct ref_part) v = {0};
    char dir[STORE_PATH_MAX];
    time_t now = time(NULL);
    int rc = 0;
    *out = NULL, *n = 0;
    (void)str_fmt(dir, sizeof dir, "%s/blobs/sha256", s->dir);
    DIR *d = opendir(dir);
    if (!d)
        return fail(e, "open", dir);
    for (struct dirent *x; !rc && (x = readdir(d));) {
        struct ref_part one;
        struct stat st;
        if (!str_hex(str_of(x->d_name), one.digest.b, sizeof one.digest.b) || fstatat(dirfd(d), x->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            now - st.st_mtime <= (time_t)days * 86400)
            continue;
        one.size = (uint64_t)st.st_size;
        if (!vec_push(&v, one))
            rc = err_set(e, ERR_NO_MEMORY, "hub: no memory to list the blobs");
    }
    closedir(d);
    *out = v.p, *n = v.n;
    return rc;
}
