/* sluice restore: a backup becomes a data folder. Every file is checked against the manifest, the ledger is opened (requests that were open at
 * the moment of the backup are billed from its journal, as after a crash) and audited, and only then does the folder appear, by rename. */
#include "base/os.h"
#include "cli/cli_int.h"
#include "cli/manifest.h"
#include "hub/store.h"
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

struct restore {
    char from[PATH_LEN], data[PATH_LEN], part[PATH_LEN];
    char blobs[STORE_PATH_MAX];
    struct manifest files;
    bool has_ledger;
};

static int read_manifest(struct restore *r, struct err *e)
{
    char path[PATH_LEN];
    struct buf b;
    int rc = data_file(path, r->from, MANIFEST_NAME, e);
    if (rc < 0)
        return rc;
    if (!os_exists(path))
        return err_set(e, ERR_NOT_FOUND, "restore: %s has no %s, so it is no finished backup; take another", r->from, MANIFEST_NAME);
    buf_init(&b, MANIFEST_BYTES_MAX);
    if ((rc = os_read_file(&b, path, e)) >= 0)
        rc = manifest_parse(&r->files, (struct str){b.data ? b.data : "", b.len}, e);
    buf_deinit(&b);
    return rc;
}

/* Where a file of a backup goes in a data folder, and its mode. */
static int place(const struct restore *r, const char *name, char to[PATH_LEN], mode_t *mode, struct err *e)
{
    static const struct {
        const char *in, *out;
        mode_t mode;
    } places[] = {{"ledger/", "", 0600}, {"refs/", "hub/refs/", 0644}, {"sluice.conf", "sluice.conf", 0600}};
    if (str_starts(str_of(name), "blobs/")) {
        *mode = 0444;
        if (str_fmt(to, PATH_LEN, "%s/%s", r->blobs, name + 6))
            return 0;
    }
    *mode = 0600;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (str_starts(str_of(name), places[i].in)) {
            *mode = places[i].mode;
            if (str_fmt(to, PATH_LEN, "%s/%s%s", r->part, places[i].out, name + strlen(places[i].in)))
                return 0;
        }
    return err_set(e, ERR_USAGE, "restore: the path of %s would be too long; name a shorter data folder", name);
}

static int put_file(const struct restore *r, const struct manifest_file *f, struct err *e)
{
    char from[PATH_LEN], to[PATH_LEN], folder[PATH_LEN];
    struct sha256 digest;
    mode_t mode;
    int rc;
    if ((rc = data_file(from, r->from, f->path, e)) < 0 || (rc = place(r, f->path, to, &mode, e)) < 0)
        return rc;
    if (!os_exists(from))
        return err_set(e, ERR_FORMAT, "restore: %s is missing from the backup; take another", f->path);
    str_fmt(folder, sizeof folder, "%.*s", (int)(strrchr(to, '/') - to), to);
    if ((rc = os_mkdirs(folder, 0700, e)) < 0 || (rc = os_copy_file(from, to, mode, e)) < 0 || (rc = sha256_file(&digest, to, NULL, NULL, e)) < 0)
        return rc;
    if (memcmp(&digest, &f->digest, sizeof digest) != 0)
        return err_set(e, ERR_FORMAT, "restore: %s has been changed or damaged since the backup was made (its SHA-256 differs); take another",
                       f->path);
    return 0;
}

static void run_now(void *ctx, void (*fn)(void *), void *arg)
{
    (void)ctx;
    fn(arg);
}

static int audit(const struct restore *r, struct err *e)
{
    struct ledger_opts o = {.dir = r->part, .post = run_now};
    struct ledger *l = NULL;
    struct buf report;
    uint64_t n = 0;
    int rc = ledger_open(&l, &o, e);
    if (rc < 0)
        return err_wrap(e, "restore: the ledger of the backup");
    buf_init(&report, 16 << 20);
    rc = ledger_audit(l, &report, &n, e);
    if (rc < 0 && report.len)
        fprintf(stderr, "%.*s", (int)report.len, report.data);
    buf_deinit(&report);
    ledger_close(l);
    return rc < 0 ? err_wrap(e, "restore: the audit of the backup") : 0;
}

/* The folders of a hub are there also when nothing lies in them. */
static int make_hub(struct restore *r, struct err *e)
{
    char hub[PATH_LEN];
    struct store *s = NULL;
    int rc = data_file(hub, r->part, "hub", e);
    if (rc >= 0)
        rc = store_open(&s, hub, e);
    if (rc >= 0)
        store_blobs(s, r->blobs);
    store_close(s);
    return rc;
}

static int fill(struct restore *r, struct err *e)
{
    int rc = make_hub(r, e);
    for (size_t i = 0; i < r->files.n && rc >= 0; i++) {
        rc = put_file(r, &r->files.p[i], e);
        r->has_ledger = r->has_ledger || strcmp(r->files.p[i].path, "ledger/ledger.db") == 0;
    }
    if (rc >= 0 && !r->has_ledger)
        rc = err_set(e, ERR_FORMAT, "restore: the backup has no ledger; take another");
    if (rc < 0 || (rc = audit(r, e)) < 0)
        return rc;
    return os_rename_folder(r->part, r->data, e);
}

/* Only a folder that is not there, or empty, is filled. */
static int check_target(const struct restore *r, struct err *e)
{
    DIR *d = opendir(r->data);
    int n = 0;
    if (!d)
        return errno == ENOENT ? 0 : err_set(e, ERR_IO, "restore: open %s: %s", r->data, strerror(errno));
    for (struct dirent *x; (x = readdir(d));)
        n += strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0;
    closedir(d);
    return n ? err_set(e, ERR_CONFLICT, "restore: %s is not empty; name a new folder with --data, or move that one away first", r->data) : 0;
}

int cmd_restore(const struct cli *c, struct err *e)
{
    struct restore r = {0};
    struct err ignored;
    int rc;
    if ((rc = args_count(c, 1, 1, e)) < 0 || (rc = data_dir(c, r.data, e)) < 0 || (rc = check_target(&r, e)) < 0)
        return rc;
    if (!str_fmt(r.from, sizeof r.from, "%s", c->word[0]) || !str_fmt(r.part, sizeof r.part, "%s.restore-part", r.data))
        return err_set(e, ERR_USAGE, "the path of the backup or of the data folder is too long");
    if (os_exists(r.part)) /* of a restore that was killed */
        rc = os_remove_tree(r.part, e);
    if (rc >= 0 && (rc = read_manifest(&r, e)) >= 0 && (rc = os_mkdirs(r.part, 0700, e)) >= 0 && (rc = fill(&r, e)) < 0)
        (void)!os_remove_tree(r.part, &ignored);
    if (rc >= 0)
        printf("%s: %zu files restored, checksums and audit are right\n", r.data, r.files.n);
    manifest_deinit(&r.files);
    return rc;
}
