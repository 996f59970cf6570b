/* Opening and closing. The data folder: ledger.db (with -wal, -shm), journal/, secret, lock. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *ledger_currency(const struct ledger *l)
{
    return l->currency;
}

/* After this no hold is granted and nothing is written but the journal, until heal.c has brought the store back. */
void ledger_break(struct ledger *l, const struct err *why)
{
    mutex_lock(&l->lock);
    bool first = !atomic_exchange(&l->broken, true);
    if (first)
        (void)str_fmt(l->why, sizeof l->why, "%.290s", why->msg);
    mutex_unlock(&l->lock);
    if (first)
        log_line(LOG_ERROR, "ledger_broken", "no more billable work is accepted: %s", why->msg);
}

int ledger_broken(struct ledger *l, struct err *e)
{
    if (!atomic_load(&l->broken))
        return 0;
    mutex_lock(&l->lock);
    int rc = err_set(e, ERR_DB, "ledger: no billable work is accepted since a write failed (%s); %s", l->why,
                     atomic_load(&l->no_heal) ? "mend the disk and restart" : "it is tried again until it works");
    mutex_unlock(&l->lock);
    return rc;
}

static int options(struct ledger *l, const struct ledger_opts *o, struct err *e)
{
    if (!str_fmt(l->dir, sizeof l->dir, "%s", o->dir))
        return err_set(e, ERR_IO, "ledger: the path of the data folder is too long");
    if (o->store && *o->store ? !str_fmt(l->store, sizeof l->store, "%s", o->store) : !str_fmt(l->store, sizeof l->store, "%s/ledger.db", o->dir))
        return err_set(e, ERR_IO, "ledger: the path of the data folder, or the URL of the store, is too long");
    if (o->store && *o->store && !db_is_url(o->store))
        return err_set(e, ERR_BAD_VALUE, "ledger: the store is not a URL; postgres://USER@HOST/DATABASE, or nothing for a file in the data folder");
    if (o->currency && (!*o->currency || !str_fmt(l->currency, sizeof l->currency, "%s", o->currency)))
        return err_set(e, ERR_BAD_VALUE, "ledger: a currency has 1 to %d characters, for example USD", LEDGER_CURRENCY_MAX - 1);
    if (o->node && !str_fmt(l->node, sizeof l->node, "%s", o->node))
        return err_set(e, ERR_BAD_VALUE, "ledger: the node's name is too long");
    if (!o->node && (gethostname(l->node, sizeof l->node - 1) < 0 || !*l->node))
        memcpy(l->node, "localhost", sizeof "localhost");
    l->strict = o->strict, l->post = o->post, l->post_ctx = o->post_ctx;
    return 0;
}

void ledger_init(struct ledger *l)
{
    l->lock_fd = l->journal.fd = -1;
    l->queue_end = &l->queue;
    l->hold_life_us = LEDGER_HOLD_LIFE_US;
    atomic_store(&l->segment_bytes, JOURNAL_SEGMENT_BYTES);
    l->next_due_us = INT64_MAX;
    mutex_init(&l->lock), mutex_init(&l->reader_lock);
    cond_init(&l->wake), cond_init(&l->done), cond_init(&l->quit);
    struct map *maps[] = {&l->terms, &l->keys, &l->keys_by_id, &l->orgs_by_id, &l->orgs_by_name, &l->prices, &l->prices_by_id, &l->holds, &l->models,
                          &l->projects, &l->persons, &l->sessions};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        map_init(maps[i]);
    rate_init(&l->rates);
}

static int lock_folder(struct ledger *l, struct err *e)
{
    char path[1000];
    int rc = os_mkdirs(l->dir, 0700, e);
    if (rc == 0 && !str_fmt(path, sizeof path, "%s/lock", l->dir))
        rc = err_set(e, ERR_IO, "ledger: the path of the data folder is too long");
    if (rc == 0)
        rc = os_lock_file(&l->lock_fd, path, e);
    return rc;
}

static int store(struct ledger *l, struct err *e)
{
    int rc = db_open(&l->db, l->store, DB_READ_WRITE, e);
    if (rc == 0)
        rc = db_migrate(l->db, ledger_migrations, ledger_n_migrations, LEDGER_POSTGRES_BASE, e);
    if (rc == 0)
        rc = db_open(&l->reader, l->store, DB_READ_ONLY, e);
    if (rc == 0)
        l->shared = db_kind(l->db) == DB_POSTGRES;
    return rc;
}

void ledger_release(struct ledger *l)
{
    state_free(l);
    rate_deinit(&l->rates);
    if (l->journal.path[0])
        journal_close(&l->journal);
    db_close(l->reader);
    db_close(l->db);
    if (l->lock_fd >= 0)
        close(l->lock_fd);
    cond_deinit(&l->wake), cond_deinit(&l->done), cond_deinit(&l->quit);
    mutex_deinit(&l->lock), mutex_deinit(&l->reader_lock);
    memset(l->secret, 0, sizeof l->secret);
    mem_free(l);
}

/* Opens the data folder (made when absent), recovers what an earlier process left open and starts the ledger's threads. ERR_CONFLICT when
 * another process has the folder. */
int ledger_open(struct ledger **out, const struct ledger_opts *o, struct err *e)
{
    *out = NULL;
    struct ledger *l = mem_new(sizeof *l);
    if (!l)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory");
    ledger_init(l);
    int rc = options(l, o, e);
    if (rc == 0)
        rc = lock_folder(l, e);
    if (rc == 0)
        rc = key_secret(l, e);
    if (rc == 0)
        rc = store(l, e);
    if (rc == 0)
        rc = journal_open(&l->journal, l->dir, e);
    if (rc == 0)
        rc = state_load(l, e);
    if (rc == 0)
        rc = recover_run(l, e);
    if (rc == 0)
        rc = rate_load(l, e);
    if (rc == 0 && (!thread_start(&l->thread, "ledger", queue_main, l) || !thread_start(&l->sync_thread, "journal", queue_sync_main, l)))
        rc = err_set(e, ERR_NO_MEMORY, "ledger: a thread could not be started");
    if (rc == 0)
        *out = l;
    else if (l->thread.started)
        ledger_close(l);
    else
        ledger_release(l);
    return rc;
}

/* Nothing is open and everything is committed: sync the store, then the journal is superfluous. */
static int settle(struct ledger *l, struct err *e)
{
    int rc = ledger_broken(l, e);
    if (rc == 0)
        rc = journal_sync(&l->journal, e);
    if (rc == 0)
        rc = db_begin(l->db, e);
    if (rc == 0)
        rc = db_commit(l->db, DB_SYNC_FULL, e);
    return rc == 0 && l->holds.n == 0 ? journal_remove(l->journal.path, UINT64_MAX, e) : rc;
}

void ledger_close(struct ledger *l)
{
    if (!l)
        return;
    mutex_lock(&l->lock);
    l->stop = true;
    cond_broadcast(&l->wake), cond_broadcast(&l->quit);
    mutex_unlock(&l->lock);
    thread_join(&l->thread);
    if (l->sync_thread.started)
        thread_join(&l->sync_thread);
    struct err e;
    if (settle(l, &e) < 0)
        log_line(LOG_ERROR, "ledger_close", "%s", e.msg);
    ledger_release(l);
}
