/* A backup: the store as of now, then the journal (a redo log, so it may be newer than the store), then the secret. */
#include "ledger/ledger_int.h"

#include "base/mem.h"
#include "base/os.h"

#include <dirent.h>
#include <string.h>

static int copy_journal(struct ledger *l, const char *dir, struct err *e)
{
    char from[1300], to[1300];
    int rc = str_fmt(to, sizeof to, "%s/journal", dir) ? os_mkdirs(to, 0700, e) : err_set(e, ERR_IO, "ledger: the path %s is too long", dir);
    DIR *d = rc == 0 ? opendir(l->journal.path) : NULL;
    if (rc == 0 && !d)
        return err_set(e, ERR_IO, "ledger: cannot read %s: %m; check its permissions", l->journal.path);
    for (struct dirent *f; rc == 0 && (f = readdir(d));) {
        if (f->d_name[0] == '.')
            continue;
        if (!str_fmt(from, sizeof from, "%s/%s", l->journal.path, f->d_name) || !str_fmt(to, sizeof to, "%s/journal/%s", dir, f->d_name))
            rc = err_set(e, ERR_IO, "ledger: the path %s is too long", dir);
        else
            rc = os_copy_file(from, to, 0600, e);
    }
    if (d)
        closedir(d);
    return rc;
}

static int copy_all(struct ledger *l, const char *dir, struct err *e)
{
    char from[1300], to[1300];
    if (!str_fmt(to, sizeof to, "%s/ledger.db", dir) || !str_fmt(from, sizeof from, "%s/secret", l->dir))
        return err_set(e, ERR_IO, "ledger: the path %s is too long", dir);
    mutex_lock(&l->reader_lock);
    int rc = db_copy(l->reader, to, e);
    mutex_unlock(&l->reader_lock);
    if (rc == 0)
        rc = copy_journal(l, dir, e);
    if (rc == 0 && !str_fmt(to, sizeof to, "%s/secret", dir))
        rc = err_set(e, ERR_IO, "ledger: the path %s is too long", dir);
    return rc == 0 ? os_copy_file(from, to, 0600, e) : rc;
}

int ledger_backup(struct ledger *l, const char *dir, struct err *e)
{
    if (l->shared)
        return db_copy(l->reader, dir, e); /* says what to do instead */
    if (os_exists(dir))
        return err_set(e, ERR_CONFLICT, "ledger: %s exists; name a new folder for the backup", dir);
    int rc = os_mkdirs(dir, 0700, e);
    /* No segment may go away between the store's copy and the journal's; a rotation that runs now ends before the flush is answered. */
    atomic_store(&l->no_rotate, true);
    if (rc == 0)
        rc = queue_flush(l, e);
    if (rc == 0)
        rc = copy_all(l, dir, e);
    atomic_store(&l->no_rotate, false);
    return rc;
}

int ledger_stage(struct ledger *l, struct err *e)
{
    char path[1000];
    if (!str_fmt(path, sizeof path, "%s/" LEDGER_STAGE, l->dir))
        return err_set(e, ERR_IO, "ledger: the path of the data folder is too long");
    int rc = os_remove_tree(path, e);
    return rc < 0 ? rc : ledger_backup(l, path, e);
}
