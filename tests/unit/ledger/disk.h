/* A disk that forgets. What a test program writes below one folder is recorded, by functions that stand before libc's and so below SQLite's VFS
 * and the journal alike; then the folder is made as it may be found after the power has gone behind any of those writes:
 *
 *   a file's bytes are certain up to its last sync; of what was written later each write may be there or not, in any order, and of a write any
 *   of its sectors;
 *   that a file is there, has its name or is gone is certain after its folder was synced; later changes of names are there up to some one.
 *
 * What a test's hero was told is noted between the writes (disk_told), so that for each moment it is known what must be there. */
#pragma once
#include "base/rng.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SECTOR = 512, FILES_MAX = 512, NAME_BYTES = 64 };
enum disk_kind { DISK_WRITE, DISK_CUT, DISK_SYNC, DISK_FOLDER, DISK_BORN, DISK_GONE, DISK_NAMED, DISK_TOLD };
enum disk_mood { DISK_LOSES, DISK_KEEPS, DISK_DROPS, DISK_TEARS, DISK_TEARS_LAST, DISK_MOODS }; /* what becomes of what was not synced */

struct disk_op {
    enum disk_kind kind;
    int file;
    size_t at, n;
    unsigned char *bytes;                  /* WRITE; TOLD: the note */
    char name[NAME_BYTES], to[NAME_BYTES]; /* BORN, GONE, NAMED; FOLDER: its name */
};
static struct {
    pthread_mutex_t lock;
    char root[128]; /* "": nothing is recorded */
    struct disk_op *op;
    size_t n, cap;
    struct {
        ino_t ino;
        bool gone;
    } file[FILES_MAX];
    int n_files;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- recording ---- */

/* Under lock. */
static struct disk_op *disk_add(enum disk_kind kind, int file)
{
    if (disk.n == disk.cap) {
        disk.cap = disk.cap ? 2 * disk.cap : 4096;
        disk.op = realloc(disk.op, disk.cap * sizeof *disk.op);
        if (!disk.op)
            abort();
    }
    disk.op[disk.n] = (struct disk_op){.kind = kind, .file = file};
    return &disk.op[disk.n++];
}

static void disk_bytes(struct disk_op *o, const void *p, size_t n)
{
    o->bytes = malloc(n ? n : 1);
    if (!o->bytes)
        abort();
    memcpy(o->bytes, p, n);
    o->n = n;
}

static bool disk_below(const char *path, char name[NAME_BYTES])
{
    size_t n = strlen(disk.root);
    if (!n || strncmp(path, disk.root, n) != 0 || (path[n] && path[n] != '/'))
        return false;
    return snprintf(name, NAME_BYTES, "%s", path[n] ? path + n + 1 : "") < NAME_BYTES;
}

static int disk_known(ino_t ino)
{
    for (int i = 0; i < disk.n_files; i++)
        if (disk.file[i].ino == ino && !disk.file[i].gone)
            return i;
    return -1;
}

static int disk_file_new(ino_t ino)
{
    if (disk.n_files == FILES_MAX)
        abort();
    disk.file[disk.n_files].ino = ino;
    return disk.n_files++;
}

/* The file of a descriptor, which is born when it is new; -1: it is not on this disk; folders have a name and no file. */
static int disk_of(int fd, char name[NAME_BYTES], struct stat *st)
{
    char link[64], path[512];
    ssize_t n;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (!disk.root[0] || (n = readlink(link, path, sizeof path - 1)) < 0 || fstat(fd, st) < 0)
        return -1;
    path[n] = 0;
    if (!disk_below(path, name))
        return -1;
    if (S_ISDIR(st->st_mode))
        return FILES_MAX;
    if (!S_ISREG(st->st_mode) || strstr(name, "-shm"))
        return -1;
    int file = disk_known(st->st_ino);
    if (file < 0) {
        file = disk_file_new(st->st_ino);
        memcpy(disk_add(DISK_BORN, file)->name, name, NAME_BYTES);
    }
    return file;
}

static ssize_t disk_written(int fd, const void *p, size_t n, off_t at, bool positioned)
{
    struct stat st;
    char name[NAME_BYTES];
    pthread_mutex_lock(&disk.lock);
    int file = fd > 2 ? disk_of(fd, name, &st) : -1;
    if (file >= 0 && !positioned)
        at = fcntl(fd, F_GETFL) & O_APPEND ? st.st_size : lseek(fd, 0, SEEK_CUR);
    ssize_t w = positioned ? syscall(SYS_pwrite64, fd, p, n, at) : syscall(SYS_write, fd, p, n);
    if (file >= 0 && w > 0) {
        struct disk_op *o = disk_add(DISK_WRITE, file);
        o->at = (size_t)at;
        disk_bytes(o, p, (size_t)w);
    }
    pthread_mutex_unlock(&disk.lock);
    return w;
}

ssize_t write(int fd, const void *p, size_t n)
{
    return disk_written(fd, p, n, 0, false);
}
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    return disk_written(fd, p, n, at, true);
}

/* The folder of a test is in memory: a sync has nothing to do but to be noted. */
static int disk_synced(int fd, long number)
{
    struct stat st;
    char name[NAME_BYTES];
    pthread_mutex_lock(&disk.lock);
    int file = disk_of(fd, name, &st);
    if (file == FILES_MAX)
        memcpy(disk_add(DISK_FOLDER, -1)->name, name, NAME_BYTES);
    else if (file >= 0)
        memcpy(disk_add(DISK_SYNC, file)->name, name, NAME_BYTES);
    pthread_mutex_unlock(&disk.lock);
    return file >= 0 ? 0 : (int)syscall(number, fd);
}
int fdatasync(int fd)
{
    return disk_synced(fd, SYS_fdatasync);
}
int fsync(int fd)
{
    return disk_synced(fd, SYS_fsync);
}

int ftruncate64(int fd, off64_t n)
{
    struct stat st;
    char name[NAME_BYTES];
    pthread_mutex_lock(&disk.lock);
    int file = disk_of(fd, name, &st), rc = (int)syscall(SYS_ftruncate, fd, n);
    if (file >= 0 && file < FILES_MAX && rc == 0)
        disk_add(DISK_CUT, file)->n = (size_t)n;
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

int unlink(const char *path)
{
    struct stat st;
    char name[NAME_BYTES];
    pthread_mutex_lock(&disk.lock);
    int file = disk.root[0] && disk_below(path, name) && stat(path, &st) == 0 ? disk_known(st.st_ino) : -1;
    int rc = (int)syscall(SYS_unlink, path);
    if (file >= 0 && rc == 0) {
        disk.file[file].gone = true;
        memcpy(disk_add(DISK_GONE, file)->name, name, NAME_BYTES);
    }
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

int rename(const char *from, const char *to)
{
    struct stat st;
    char name[NAME_BYTES], other[NAME_BYTES];
    pthread_mutex_lock(&disk.lock);
    int file = disk.root[0] && disk_below(from, name) && disk_below(to, other) && stat(from, &st) == 0 ? disk_known(st.st_ino) : -1;
    int rc = (int)syscall(SYS_rename, from, to);
    if (file >= 0 && rc == 0) {
        struct disk_op *o = disk_add(DISK_NAMED, file);
        memcpy(o->name, name, NAME_BYTES), memcpy(o->to, other, NAME_BYTES);
    }
    pthread_mutex_unlock(&disk.lock);
    return rc;
}

static void disk_told(const void *note, size_t n)
{
    pthread_mutex_lock(&disk.lock);
    disk_bytes(disk_add(DISK_TOLD, -1), note, n);
    pthread_mutex_unlock(&disk.lock);
}

/* ---- what is there afterwards ---- */

struct disk_content {
    unsigned char *p;
    size_t n;
};
static struct {
    struct disk_content certain[FILES_MAX]; /* as of the last sync */
    struct {
        size_t *op;
        size_t n;
    } later[FILES_MAX]; /* what was done to it since */
    struct {
        char name[NAME_BYTES];
        int file;
    } names[FILES_MAX]; /* certain */
    int n_names;
    size_t *renames, n_renames; /* changes of names that are not */
} after;

static void disk_put(struct disk_content *c, size_t at, const unsigned char *p, size_t n)
{
    if (at + n > c->n) {
        c->p = realloc(c->p, at + n);
        if (!c->p)
            abort();
        memset(c->p + c->n, 0, at + n - c->n);
        c->n = at + n;
    }
    memcpy(c->p + at, p, n);
}

static void disk_do(struct disk_content *c, const struct disk_op *o)
{
    if (o->kind == DISK_WRITE)
        disk_put(c, o->at, o->bytes, o->n);
    else if (o->n < c->n)
        c->n = o->n;
    else {
        unsigned char nothing = 0;
        if (o->n > c->n)
            disk_put(c, o->n - 1, &nothing, 1);
    }
}

static void disk_push(size_t **list, size_t *n, size_t op)
{
    *list = realloc(*list, (*n + 1) * sizeof **list);
    if (!*list)
        abort();
    (*list)[(*n)++] = op;
}

static int disk_name(const char *name)
{
    for (int i = 0; i < after.n_names; i++)
        if (strcmp(after.names[i].name, name) == 0)
            return i;
    return -1;
}

static void disk_rename(const struct disk_op *o)
{
    int i = disk_name(o->name);
    if (i >= 0)
        after.names[i] = after.names[--after.n_names];
    if (o->kind == DISK_GONE)
        return;
    const char *name = o->kind == DISK_NAMED ? o->to : o->name;
    if ((i = disk_name(name)) < 0)
        i = after.n_names++;
    if (i >= FILES_MAX)
        abort();
    snprintf(after.names[i].name, NAME_BYTES, "%s", name);
    after.names[i].file = o->file;
}

static bool disk_in_folder(const char *name, const char *folder)
{
    const char *slash = strrchr(name, '/');
    size_t n = slash ? (size_t)(slash - name) : 0;
    return strlen(folder) == n && strncmp(name, folder, n) == 0;
}

/* Operation number i has happened. */
static void disk_advance(size_t i)
{
    const struct disk_op *o = &disk.op[i];
    size_t kept = 0;
    switch (o->kind) {
    case DISK_WRITE:
    case DISK_CUT: disk_push(&after.later[o->file].op, &after.later[o->file].n, i); break;
    case DISK_SYNC:
        for (size_t k = 0; k < after.later[o->file].n; k++)
            disk_do(&after.certain[o->file], &disk.op[after.later[o->file].op[k]]);
        after.later[o->file].n = 0;
        break;
    case DISK_FOLDER:
        for (size_t k = 0; k < after.n_renames; k++)
            if (disk_in_folder(disk.op[after.renames[k]].name, o->name))
                disk_rename(&disk.op[after.renames[k]]);
            else
                after.renames[kept++] = after.renames[k];
        after.n_renames = kept;
        break;
    case DISK_BORN:
    case DISK_GONE:
    case DISK_NAMED: disk_push(&after.renames, &after.n_renames, i); break;
    case DISK_TOLD: break;
    }
}

static void disk_tear(struct disk_content *c, const struct disk_op *o, uint64_t seed, uint64_t at)
{
    if (o->kind != DISK_WRITE) {
        disk_do(c, o);
        return;
    }
    for (size_t from = 0, n; from < o->n; from += n) {
        n = SECTOR - (o->at + from) % SECTOR;
        n = n < o->n - from ? n : o->n - from;
        if (rng_u64(seed, 3, at, (uint32_t)(from / SECTOR)) & 1)
            disk_put(c, o->at + from, o->bytes + from, n);
    }
}

/* Applies what the mood keeps of a file's later operations. last: the newest operation of all. */
static void disk_keep(struct disk_content *c, int file, enum disk_mood mood, uint64_t seed, size_t last)
{
    size_t n = after.later[file].n, order[4096];
    n = n < 4096 ? n : 4096;
    if (n)
        memcpy(order, after.later[file].op, n * sizeof *order);
    if (mood == DISK_DROPS || mood == DISK_TEARS)
        for (size_t i = n; i > 1; i--) {
            size_t k = rng_u64(seed, 1, (uint64_t)file, (uint32_t)i) % i, x = order[i - 1];
            order[i - 1] = order[k], order[k] = x;
        }
    for (size_t i = 0; i < n; i++) {
        const struct disk_op *o = &disk.op[order[i]];
        if (mood == DISK_TEARS)
            disk_tear(c, o, seed, order[i]);
        else if (mood == DISK_TEARS_LAST && order[i] == last && o->kind == DISK_WRITE)
            disk_put(c, o->at, o->bytes, rng_u64(seed, 4, order[i], 0) % (o->n + 1));
        else if (mood == DISK_KEEPS || mood == DISK_TEARS_LAST || (mood == DISK_DROPS && (rng_u64(seed, 2, order[i], 0) & 1)))
            disk_do(c, o);
    }
}

static bool disk_file_write(const char *folder, const char *name, const struct disk_content *c)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && (!c->n || syscall(SYS_write, fd, c->p, c->n) == (long)c->n);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Makes `folder`, which is there and empty, as it is found when the power goes behind operation number last. */
static bool disk_found(const char *folder, size_t last, enum disk_mood mood, uint64_t seed)
{
    size_t n = mood == DISK_LOSES                              ? 0
               : mood == DISK_KEEPS || mood == DISK_TEARS_LAST ? after.n_renames
                                                               : rng_u64(seed, 0, last, 0) % (after.n_renames + 1);
    int n_names = after.n_names;
    static char names[sizeof after.names];
    bool ok = true;
    memcpy(names, after.names, sizeof names);
    for (size_t k = 0; k < n; k++)
        disk_rename(&disk.op[after.renames[k]]);
    for (int i = 0; i < after.n_names && ok; i++) {
        int f = after.names[i].file;
        struct disk_content c = {malloc(after.certain[f].n + 1), after.certain[f].n};
        memcpy(c.p, after.certain[f].p ? after.certain[f].p : (unsigned char *)"", c.n);
        disk_keep(&c, f, mood, seed, last);
        ok = disk_file_write(folder, after.names[i].name, &c);
        free(c.p);
    }
    after.n_names = n_names;
    memcpy(after.names, names, sizeof names);
    return ok;
}

static void disk_load(const char *root, const char *below)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, below);
    DIR *d = opendir(path);
    for (struct dirent *f; d && (f = readdir(d));) {
        char name[NAME_BYTES], whole[400];
        struct stat st;
        snprintf(name, sizeof name, "%.20s%s%.40s", below, *below ? "/" : "", f->d_name);
        snprintf(whole, sizeof whole, "%s/%s", root, name);
        if (f->d_name[0] == '.' || stat(whole, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            disk_load(root, name);
            continue;
        }
        int file = disk_file_new(st.st_ino), fd = open(whole, O_RDONLY | O_CLOEXEC);
        struct disk_content *c = &after.certain[file];
        c->p = malloc((size_t)st.st_size + 1), c->n = (size_t)st.st_size;
        if (fd < 0 || !c->p || read(fd, c->p, c->n) != (ssize_t)c->n)
            abort();
        close(fd);
        memcpy(after.names[after.n_names].name, name, NAME_BYTES);
        after.names[after.n_names++].file = file;
    }
    if (d)
        closedir(d);
}

/* From here on the folder, all of which is on the disk now, is recorded. */
static void disk_record(const char *root)
{
    for (size_t i = 0; i < disk.n; i++)
        free(disk.op[i].bytes);
    for (int i = 0; i < FILES_MAX; i++)
        free(after.certain[i].p), free(after.later[i].op);
    free(after.renames);
    memset(&after, 0, sizeof after);
    memset(disk.file, 0, sizeof disk.file);
    disk.n = 0, disk.n_files = 0;
    disk_load(root, "");
    pthread_mutex_lock(&disk.lock);
    snprintf(disk.root, sizeof disk.root, "%s", root);
    pthread_mutex_unlock(&disk.lock);
}

static void disk_stop(void)
{
    pthread_mutex_lock(&disk.lock);
    disk.root[0] = 0;
    pthread_mutex_unlock(&disk.lock);
}

/* How many syncs there were of files whose names begin so. */
static size_t disk_syncs(const char *begin)
{
    size_t n = 0;
    pthread_mutex_lock(&disk.lock);
    for (size_t i = 0; i < disk.n; i++)
        n += disk.op[i].kind == DISK_SYNC && strncmp(disk.op[i].name, begin, strlen(begin)) == 0;
    pthread_mutex_unlock(&disk.lock);
    return n;
}
