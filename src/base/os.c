#include "base/os.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int fail(struct err *e, const char *what, const char *path)
{
    int why = errno;
    return err_set(e, why == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s %s: %s", what, path, strerror(why));
}

int os_read_file(struct buf *out, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(e, "open", path);
    int rc = 0;
    char chunk[16384];
    ssize_t n;
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        buf_add(out, chunk, (size_t)n);
    if (n < 0)
        rc = fail(e, "read", path);
    else if (out->failed)
        rc = err_set(e, ERR_TOO_LARGE, "read %s: more than %zu bytes", path, out->max);
    close(fd);
    return rc;
}

static int write_all(int fd, const void *data, size_t n)
{
    const char *p = data;
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -1;
        p += k, n -= (size_t)k;
    }
    return 0;
}

/* Syncs the folder that holds path, so that a rename survives. */
static int sync_folder(const char *path, struct err *e)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof dir)
        return err_set(e, ERR_IO, "path too long: %s", path);
    memcpy(dir, n ? path : ".", n ? n : 1);
    dir[n ? n : 1] = 0;
    int fd = open(slash == path ? "/" : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fail(e, "open folder", dir);
    int rc = fsync(fd) == 0 ? 0 : fail(e, "sync folder", dir);
    close(fd);
    return rc;
}

static int finish_aside(int fd, bool ok, const char *aside, const char *path, struct err *e)
{
    int rc = 0;
    if (!ok || fsync(fd) != 0)
        rc = fail(e, "write", aside);
    close(fd);
    if (rc == 0 && rename(aside, path) != 0)
        rc = fail(e, "rename to", path);
    if (rc != 0)
        unlink(aside);
    return rc ? rc : sync_folder(path, e);
}

static int open_aside(int *fd, char aside[PATH_MAX], const char *path, mode_t mode, struct err *e)
{
    if (snprintf(aside, PATH_MAX, "%s.tmp%d", path, (int)getpid()) >= PATH_MAX)
        return err_set(e, ERR_IO, "path too long: %s", path);
    *fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    return *fd < 0 ? fail(e, "create", aside) : 0;
}

int os_write_file(const char *path, const void *p, size_t n, mode_t mode, struct err *e)
{
    char aside[PATH_MAX];
    int fd, rc = open_aside(&fd, aside, path, mode, e);
    return rc ? rc : finish_aside(fd, write_all(fd, p, n) == 0, aside, path, e);
}

static bool copy_bytes(int from, int to)
{
    if (ioctl(to, FICLONE, from) == 0)
        return true;
    char *chunk = mem_new(1 << 20);
    ssize_t n = -1;
    while (chunk && (n = read(from, chunk, 1 << 20)) > 0)
        if (write_all(to, chunk, (size_t)n) != 0) {
            n = -1;
            break;
        }
    mem_free(chunk);
    return n == 0;
}

int os_copy_file(const char *from, const char *to, mode_t mode, struct err *e)
{
    char aside[PATH_MAX];
    int in = open(from, O_RDONLY | O_CLOEXEC), fd;
    if (in < 0)
        return fail(e, "open", from);
    int rc = open_aside(&fd, aside, to, mode, e);
    if (rc == 0)
        rc = finish_aside(fd, copy_bytes(in, fd), aside, to, e);
    close(in);
    return rc;
}

int os_mkdirs(const char *path, mode_t mode, struct err *e)
{
    char p[PATH_MAX];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof p)
        return err_set(e, ERR_IO, "folder name empty or too long: %s", path);
    memcpy(p, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (p[i] != '/' && p[i] != 0)
            continue;
        char keep = p[i];
        p[i] = 0;
        if (mkdir(p, mode) != 0 && errno != EEXIST)
            return fail(e, "create folder", p);
        p[i] = keep;
    }
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return err_set(e, ERR_IO, "create folder %s: something else has that name", path);
    return 0;
}

static int remove_in(int dir, const char *name, int depth)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : -1;
    if (!S_ISDIR(st.st_mode) || depth == 0)
        return unlinkat(dir, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    for (struct dirent *x; rc == 0 && (x = readdir(d));)
        if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0)
            rc = remove_in(fd, x->d_name, depth - 1);
    closedir(d);
    return rc == 0 ? unlinkat(dir, name, AT_REMOVEDIR) : rc;
}

int os_remove_tree(const char *path, struct err *e)
{
    return remove_in(AT_FDCWD, path, 16) == 0 ? 0 : fail(e, "remove", path);
}

int os_rename_folder(const char *from, const char *to, struct err *e)
{
    if (rename(from, to) != 0)
        return fail(e, "rename to", to);
    return sync_folder(to, e);
}

bool os_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

int os_lock_file(int *fd, const char *path, struct err *e)
{
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return fail(e, "open", path);
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    int rc = errno == EWOULDBLOCK ? err_set(e, ERR_CONFLICT, "%s is held by another sluice; stop that one, or use another --data folder", path)
                                  : fail(e, "lock", path);
    close(*fd);
    *fd = -1;
    return rc;
}

uint64_t os_heap_bytes(void)
{
    struct mallinfo2 m = mallinfo2();
    return (uint64_t)m.uordblks + (uint64_t)m.hblkhd;
}

uint64_t os_disk_room(const char *path)
{
    struct statvfs v;
    char           dir[4096];
    const char    *slash = strrchr(path, '/');
    uint64_t       room;
    if (!str_fmt(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".") || statvfs(dir, &v) != 0)
        return 0;
    return ck_mul((uint64_t)v.f_bavail, (uint64_t)v.f_frsize, &room) ? room : UINT64_MAX;
}

uint64_t os_rss_bytes(void)
{
    struct buf b;
    buf_init(&b, 4096);
    uint64_t pages = 0;
    if (os_read_file(&b, "/proc/self/statm", NULL) == 0) {
        struct str rest = {b.data, b.len};
        (void)str_split(&rest, ' ');
        if (!str_u64(str_split(&rest, ' '), &pages))
            pages = 0;
    }
    buf_deinit(&b);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t cgroup_limit(const char *path)
{
    struct buf b;
    buf_init(&b, 128);
    uint64_t v = UINT64_MAX;
    if (os_read_file(&b, path, NULL) == 0 && !str_u64(str_trim((struct str){b.data, b.len}), &v))
        v = UINT64_MAX; /* "max" */
    buf_deinit(&b);
    return v;
}

/* The least limit on the way from dir up to its first n bytes (where the file system of cgroups is mounted). */
static uint64_t cgroup_least(char *dir, size_t top, const char *file)
{
    uint64_t least = UINT64_MAX;
    for (size_t n = strlen(dir); n >= top; n = (size_t)(strrchr(dir, '/') - dir)) {
        char path[PATH_MAX];
        dir[n] = 0;
        if (str_fmt(path, sizeof path, "%s/%s", dir, file)) {
            uint64_t v = cgroup_limit(path);
            least = v < least ? v : least;
        }
        if (n == top)
            break;
    }
    return least;
}

/* /proc/self/cgroup has "0::/path" (version 2), or "7:memory:/path" (version 1). */
uint64_t os_cgroup_memory(const char *root)
{
    char path[PATH_MAX];
    struct buf b;
    uint64_t least = UINT64_MAX;
    buf_init(&b, 1 << 16);
    if (str_fmt(path, sizeof path, "%s/proc/self/cgroup", root) && os_read_file(&b, path, NULL) == 0)
        for (struct str rest = {b.data, b.len}; rest.n;) {
            struct str line = str_split(&rest, '\n'), id = str_split(&line, ':'), kind = str_split(&line, ':');
            bool v1 = str_eqz(kind, "memory");
            if (!v1 && !(str_eqz(id, "0") && kind.n == 0))
                continue;
            const char *mount = v1 ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
            size_t top = strlen(root) + strlen(mount);
            while (line.n && line.p[line.n - 1] == '/')
                line.n--;
            if (!str_fmt(path, sizeof path, "%s%s%.*s", root, mount, (int)line.n, line.n ? line.p : ""))
                continue;
            uint64_t v = cgroup_least(path, top, v1 ? "memory.limit_in_bytes" : "memory.max");
            least = v < least ? v : least;
        }
    buf_deinit(&b);
    return least;
}

uint64_t os_memory_bytes(void)
{
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE), limit = os_cgroup_memory("");
    return limit < all ? limit : all;
}
