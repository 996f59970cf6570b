/* sluice backup: the store, its journal and secret, the names of models and the settings, into a new folder. A running server makes the copy of
 * its own ledger inside the data folder (the stage), consistent at one moment while it serves; this process takes it from there.
 *
 * Everything goes to DIR.part first and DIR appears by rename, when its last byte is on disk. */
#include "base/os.h"
#include "cli/cli_int.h"
#include "cli/manifest.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct backup {
    char data[PATH_LEN], to[PATH_LEN], part[PATH_LEN];
    struct manifest files;
    uint64_t bytes;
};

static int join(char out[PATH_LEN], const char *dir, const char *name, struct err *e)
{
    return data_file(out, dir, name, e);
}

/* Copies one file, and reads the copy back for its digest: what was written is what is vouched for. */
static int take_file(struct backup *b, const char *from, const char *name, struct err *e)
{
    char to[PATH_LEN], folder[PATH_LEN];
    struct sha256 digest;
    struct stat st;
    int rc = join(to, b->part, name, e);
    if (rc < 0)
        return rc;
    str_fmt(folder, sizeof folder, "%.*s", (int)(strrchr(to, '/') - to), to);
    if ((rc = os_mkdirs(folder, 0700, e)) < 0 || (rc = os_copy_file(from, to, 0600, e)) < 0 || (rc = sha256_file(&digest, to, NULL, NULL, e)) < 0)
        return rc;
    b->bytes += stat(to, &st) == 0 ? (uint64_t)st.st_size : 0;
    return manifest_add(&b->files, name, &digest, e);
}

/* The files of a folder (no folders in it, no unfinished ones). Absent: nothing. */
static int take_folder(struct backup *b, const char *from, const char *name, struct err *e)
{
    DIR *d = opendir(from);
    int rc = 0;
    if (!d)
        return errno == ENOENT ? 0 : err_set(e, ERR_IO, "backup: open %s: %s", from, strerror(errno));
    for (struct dirent *x; rc >= 0 && (x = readdir(d));) {
        char path[PATH_LEN], as[PATH_LEN];
        struct stat st;
        if (x->d_name[0] == '.' || strstr(x->d_name, ".tmp"))
            continue;
        if ((rc = join(path, from, x->d_name, e)) < 0 || (rc = join(as, name, x->d_name, e)) < 0)
            break;
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) /* gone meanwhile: a name that was removed */
            rc = take_file(b, path, as, e);
    }
    closedir(d);
    return rc;
}

static int take_ledger(struct backup *b, const struct cli *c, struct err *e)
{
    char stage[PATH_LEN], journal[PATH_LEN];
    struct json *j = NULL;
    int rc;
    if ((rc = join(stage, b->data, LEDGER_STAGE, e)) < 0 || (rc = join(journal, stage, "journal", e)) < 0 ||
        (rc = admin_do(c, HTTP_POST, "/admin/backup", NULL, &j, e)) < 0)
        return rc;
    json_free(j);
    if ((rc = take_folder(b, stage, "ledger", e)) >= 0)
        rc = take_folder(b, journal, "ledger/journal", e);
    struct err ignored;
    return os_remove_tree(stage, rc < 0 ? &ignored : e) < 0 && rc >= 0 ? -(int)ERR_IO : rc;
}

static int take_blobs(struct backup *b, struct err *e)
{
    char hub[PATH_LEN], blobs[STORE_PATH_MAX];
    struct store *s = NULL;
    int rc;
    if ((rc = join(hub, b->data, "hub", e)) < 0 || (rc = store_open(&s, hub, e)) < 0)
        return rc;
    store_blobs(s, blobs);
    rc = take_folder(b, blobs, "blobs", e);
    store_close(s);
    return rc;
}

static int take_all(struct backup *b, const struct cli *c, struct err *e)
{
    char path[PATH_LEN];
    int rc;
    if ((rc = take_ledger(b, c, e)) < 0 || (rc = join(path, b->data, "hub/refs", e)) < 0 || (rc = take_folder(b, path, "refs", e)) < 0 ||
        (rc = join(path, b->data, "sluice.conf", e)) < 0 || (os_exists(path) && (rc = take_file(b, path, "sluice.conf", e)) < 0))
        return rc;
    if (!args_flag(c, "models"))
        return 0;
    return take_blobs(b, e);
}

static int finish(struct backup *b, struct err *e)
{
    char path[PATH_LEN];
    struct buf text;
    int rc = join(path, b->part, MANIFEST_NAME, e);
    buf_init(&text, MANIFEST_BYTES_MAX);
    manifest_write(&b->files, &text);
    if (rc >= 0)
        rc = text.failed ? err_set(e, ERR_NO_MEMORY, "backup: no memory for the manifest") : os_write_file(path, text.data, text.len, 0600, e);
    buf_deinit(&text);
    return rc < 0 ? rc : os_rename_folder(b->part, b->to, e);
}

/* One backup of a data folder at a time: the lock also says whether what lies in the way is of a living one. */
static int lock(const struct backup *b, int *fd, struct err *e)
{
    char path[PATH_LEN];
    int rc = join(path, b->data, "backup.lock", e);
    if (rc < 0 || (rc = os_lock_file(fd, path, e)) >= 0)
        return rc;
    return rc == -ERR_CONFLICT ? err_set(e, ERR_CONFLICT, "backup: another backup of %s is being made; wait for it", b->data) : rc;
}

static int run(struct backup *b, const struct cli *c, struct err *e)
{
    int fd = -1, rc = lock(b, &fd, e);
    struct err ignored;
    if (rc < 0)
        return rc;
    if (os_exists(b->part)) /* of one that was killed: we have the lock */
        rc = os_remove_tree(b->part, e);
    if (rc >= 0 && (rc = os_mkdirs(b->part, 0700, e)) >= 0 && ((rc = take_all(b, c, e)) < 0 || (rc = finish(b, e)) < 0))
        (void)!os_remove_tree(b->part, &ignored);
    close(fd);
    return rc;
}

static void report(const struct backup *b, const struct cli *c)
{
    if (args_flag(c, "json"))
        printf("{\"backup\":\"%s\",\"files\":%zu,\"bytes\":%llu}\n", b->to, b->files.n, (unsigned long long)b->bytes);
    else
        printf("%s: %zu files, %llu bytes%s\n  It holds the secret that keys are kept under: guard it as you guard the server.\n  Try it: sluice "
               "restore %s "
               "--data NEW-FOLDER\n",
               b->to, b->files.n, (unsigned long long)b->bytes, args_flag(c, "models") ? "" : ", without model files (--models takes them)", b->to);
}

int cmd_backup(const struct cli *c, struct err *e)
{
    struct backup b = {0};
    int rc;
    if ((rc = args_count(c, 1, 1, e)) < 0 || (rc = data_dir(c, b.data, e)) < 0)
        return rc;
    size_t n = strlen(c->word[0]);
    while (n > 1 && c->word[0][n - 1] == '/')
        n--;
    if (!str_fmt(b.to, sizeof b.to, "%.*s", (int)n, c->word[0]) || !str_fmt(b.part, sizeof b.part, "%s.part", b.to))
        return err_set(e, ERR_USAGE, "the path of the backup is too long");
    if (os_exists(b.to))
        return err_set(e, ERR_CONFLICT, "backup: %s exists; name a new folder, for example %s-2", b.to, b.to);
    if (!os_exists(b.data))
        return err_set(e, ERR_NOT_FOUND, "backup: there is no data folder %s; say --data DIR", b.data);
    rc = run(&b, c, e);
    if (rc >= 0)
        report(&b, c);
    manifest_deinit(&b.files);
    return rc;
}
