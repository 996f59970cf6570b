/* Inside the ledger. What each thread may touch:
 *
 *   ledger thread   the store's writer, grants, models, the batch, the id counters; it alone changes the maps
 *   lock            guards the maps (keys, orgs, prices, holds), an org's free and held, a hold's counts and finish, and the queue; a reader
 *                   on the ledger thread needs it only for what other threads change
 *   any thread      queues an op, or changes a hold's counts under the lock and appends to the journal after leaving it
 *
 *   rates.lock      guards rate limits: rate_int.h
 *
 * Lock order: journal.sync_lock, journal.lock, lock, rates.lock. A queued op is owned by the ledger thread until its answer is posted.
 *
 * A batch is one transaction of the store: holds and finishes in the order in which they were queued, then the postings. Its money is kept
 * twice: grant rows in the store, and the same numbers here, which only say how a hold is split between grants and which of them pay; whether
 * a hold is granted is decided by the guarded UPDATE alone. */
#pragma once
#include "base/buf.h"
#include "base/cidr.h"
#include "base/map.h"
#include "base/thread.h"
#include "base/vec.h"
#include "db/db.h"
#include "ledger/cube.h"
#include "ledger/journal.h"
#include "ledger/ledger.h"
#include "ledger/price_int.h"
#include "ledger/rate_int.h"
#include "ledger/reservation_int.h"

#include <stdatomic.h>

enum {
    LEDGER_QUEUE_MAX = 65536, /* ops waiting for the ledger thread; more get ERR_BUSY */
    LEDGER_BATCH_MAX = 1024,  /* ops in one commit */
    LEDGER_TICK_MS = 100,     /* the ledger thread looks at expiries at least this often */
    KEY_LIST_MAX = 1600,      /* bytes of a key's list of models or of networks */
    KEY_NETWORKS_MAX = 32,
};
#define LEDGER_HOLD_LIFE_US (24 * 3600 * 1000000ll) /* an open hold older than this is finished with reason crash */

enum funding { FUNDING_PROMOTIONAL, FUNDING_GOODWILL, FUNDING_INVESTMENT, FUNDING_PAID, FUNDING_COUNT }; /* the order of consumption */
enum grant_rule { RULE_MODELS, RULE_SCOPE, RULE_PRIORITY, RULE_EXPIRY, RULE_FUNDING, RULE_ID }; /* the first that tells two grants apart */
/* EXPIRES and IS_VOIDED: it is over for new holds, and ends with the last hold that reserves of it. */
enum grant_state { GRANT_WAITS, GRANT_LIVE, GRANT_EXPIRED, GRANT_EXPIRES, GRANT_VOIDED, GRANT_IS_VOIDED, GRANT_UNAPPROVED, GRANT_STATES };
extern const char *const scope_names[SCOPE_COUNT], *const funding_names[FUNDING_COUNT];
extern const char *const grant_state_names[GRANT_STATES], *const reason_names[FINISH_CRASH + 1];
extern const struct migration ledger_migrations[];
extern const size_t ledger_n_migrations;
enum { LEDGER_POSTGRES_BASE = 4 }; /* no store on PostgreSQL is older */

/* remaining and held are those of the row and what grant_change added, which the next take or flush of the batch writes. */
struct grant {
    int64_t id, parent, account, amount, adjusted, remaining, held, effective_us, expires_us, void_id;
    int64_t d_remaining, d_held; /* not yet in the store */
    bool dirty;
    struct grant *next_dirty;
    struct org *org;
    enum scope scope;
    enum funding funding;
    enum grant_state state;
    int priority;
    int posting;  /* the first of this batch's postings from this grant, or -1 */
    char *models; /* "a,b"; NULL: every model */
};

/* What one hold reserves, in the order of consumption. Ledger thread. */
struct part {
    struct grant *grant;
    int64_t amount;
};
struct parts VEC(struct part);

struct org {
    int64_t id, project;
    char name[LEDGER_NAME_MAX];
    uint8_t kv_salt[16];
    struct VEC(struct grant *) grants; /* of which a hold may reserve or has reserved, in the order of consumption */
    unsigned epoch;                    /* of the ledger, when its grants were read last: share.h */
    bool lingering;                    /* a grant is over and open holds still reserve of it */
    int64_t free, held;                /* what the owner sees; under lock */
};

struct project {
    int64_t id, archived_us;
    int retention_days; /* under lock, as archived_us is */
    struct org *org;
    char name[LEDGER_NAME_MAX];
};

struct key_lists {
    char models[KEY_LIST_MAX + 1]; /* "a,b"; "": every model */
    size_t n_allow;                /* 0: every address */
    struct cidr allow[KEY_NETWORKS_MAX];
};

struct key {
    int64_t id, project, expires_us, revoked_us;
    unsigned scopes;
    struct key_lists *lists; /* NULL: neither list */
    int64_t budget;          /* -1: none */
    bool monthly;
    int64_t left, renews_us; /* of the budget; when it is whole again, 0: never. What others see of it: the store decides */
    struct org *org;
    char public_id[LEDGER_PUBLIC_ID + 1];
    struct sha256 hmac;
};

struct model {
    int64_t id;
    char alias[LEDGER_MODEL_MAX], revision[LEDGER_REVISION_MAX];
    struct sha256 digest;
};

struct hold {
    uint64_t id;
    int64_t project, key, amount_scope, amount_any, created_us, expires_us;
    struct org *org;
    const struct price *price, *list_price; /* the list price beside a contract's, else the same */
    const struct model *model;
    enum scope scope;
    struct parts parts; /* amount_scope + amount_any of them: of grants for a scope, of grants for any use */
    uint32_t input, output;
    struct usage_counts counts; /* journaled */
    bool finished;
    struct cover cover; /* of a reservation. Changed on the ledger thread, under lock */
    struct job *job; /* of a job that runs elsewhere: job.h; NULL: a request */
    bool queued;            /* its finish is in the queue, or will be in a moment */
    bool refused;           /* its commit or its record in the journal failed: whoever asked was told no */
    bool orphan, foreign;   /* read from the store: nobody here waits for it; it is another node's */
    unsigned seen;          /* heal.c */
    struct rate_take *rate; /* what it has taken of its limits, until it is finished; NULL: nothing. Under lock */
    struct finish_req fin;  /* when finished */
    int64_t list, contracted, charged;
    struct quantities billed; /* what contracted is the price of */
    char request[LEDGER_REQUEST_MAX];
};

enum op_kind { OP_HOLD, OP_MORE, OP_FINISH, OP_CALL };
struct op {
    struct op *next;
    enum op_kind kind;
    struct ledger *l;
    hold_fn fn;
    void *arg;
    struct hold_answer answer;
    struct hold *hold; /* FINISH; and after the batch's work of HOLD and MORE that were granted */
    uint32_t output;   /* MORE */
    /* HOLD */
    bool has_end_user;
    struct sha256 end_user;
    struct rate_take *rate; /* until the answer is ready: then the hold's, when there is one */
    struct cover cover;
    bool replay; /* was granted before and is in the journal: no budget refuses it */
    struct principal who;
    enum scope scope;
    char tier[LEDGER_TIER_MAX];
    uint32_t input;
    struct sha256 digest;
    char request[LEDGER_REQUEST_MAX], model[LEDGER_MODEL_MAX], revision[LEDGER_REVISION_MAX];
    /* CALL */
    int (*call)(struct ledger *l, void *call_arg, struct err *e);
    const char *actor;
    int rc;
    bool done;
    struct err *err;
};

struct posting { /* one balanced transaction of a batch */
    int64_t txn, amount, first, last, n, price;
    int64_t payable, share; /* of amount, what a publisher is owed; 0: none */
    enum scope scope;
    struct grant *grant;
    int next; /* of the same grant, or -1 */
};

struct ledger {
    char dir[900], store[1000] /* a file or a URL */, node[256], currency[LEDGER_CURRENCY_MAX];
    bool strict;
    void (*post)(void *, void (*)(void *), void *);
    void *post_ctx;
    uint8_t secret[32];
    int lock_fd;
    int64_t node_id, revenue[SCOPE_COUNT]; /* accounts, by what was computed; of SCOPE_ANY none */
    int64_t hold_life_us;

    struct db *db, *reader;
    struct mutex reader_lock;
    struct journal journal;

    struct mutex lock;
    struct cond wake, done, quit;
    struct op *queue, **queue_end;
    size_t n_queue;
    bool stop;
    atomic_bool broken;
    char why[300]; /* why it is broken; under lock */
    struct thread thread, sync_thread;

    /* What memory has of the store, from keys to state_end: read by state_read, exchanged as a whole by state_reload. */
    struct map keys, keys_by_id, orgs_by_id, orgs_by_name, prices /* book -> newest version */, prices_by_id, models;
    struct map projects, persons /* by id */, sessions /* by the token's HMAC */;
    struct map terms; /* model -> newest: publisher.h */
    struct VEC(struct grant *) grants;

    int64_t next_hold, next_usage, next_txn, next_event, next_operation;
    int64_t approval_limit; /* a grant above it needs a second person; -1: none does */
    struct sha256 chain;    /* of the last event */
    struct reserved reserved;
    char state_end;

    struct map holds;
    struct grant *dirty;
    int64_t next_due_us; /* the next grant to begin or to expire */
    int64_t next_sweep_us;
    atomic_size_t segment_bytes; /* of the journal: rotate past it */
    atomic_bool no_rotate;       /* a backup copies the journal */

    bool shared; /* several nodes: share.h */
    int64_t generation, cold;
    unsigned epoch, all_epoch; /* one more whenever another node has written since; the grants of all were read at */
    int64_t next_poll_us;
    atomic_bool no_heal; /* broken for good */
    int64_t next_heal_us, heal_wait_ms;
    const char *actor; /* who asked for the call that runs; NULL: admin */

    struct rates rates;

    struct VEC(struct posting) postings;
    struct cubes cubes; /* of this batch */
    struct VEC(struct hold *) ended; /* finished in this batch: freed after the commit */
    int64_t now_us;                  /* of this batch */
    bool deed;                       /* it is what somebody did: other nodes read everything anew */
    bool moved;                      /* this batch has changed grants in memory: it must be committed */
};

/* A 64-bit id as a map key. */
#define ID_KEY(v) ((struct str){(const char *)&(v), sizeof(v)})

/* ledger.c */
void ledger_init(struct ledger *l);
void ledger_release(struct ledger *l); /* everything that it has, in whatever state */
void ledger_break(struct ledger *l, const struct err *why); /* no more billable work; remembers and logs the first reason */
int ledger_broken(struct ledger *l, struct err *e);         /* ERR_DB when broken, else 0 */

/* queue.c */
void queue_push(struct ledger *l, struct op *op);
bool queue_full(struct ledger *l);
/* Runs fn on the ledger thread in a transaction of its own, synced before it returns. */
int queue_call(struct ledger *l, int (*fn)(struct ledger *, void *, struct err *), void *arg, struct err *e) MUST_USE;
int queue_flush(struct ledger *l, struct err *e) MUST_USE; /* waits until everything queued before is committed */
void queue_main(void *l);
void queue_sync_main(void *l);
/* Posts an answer, or gives it on the spot when nobody posts. Frees op. */
void queue_answer(struct op *op);

/* batch.c: one transaction of the store */
struct due { int64_t payable, share; }; /* an account, and what of an amount goes there */
int batch_begin(struct ledger *l, struct err *e) MUST_USE;
int batch_end(struct ledger *l, enum db_sync sync, struct err *e) MUST_USE; /* postings, grants, commit */
/* Adds amount, taken from the grant for the usage row, to this batch's posting of (grant, price, scope); *txn names it. */
int batch_post(struct ledger *l, struct grant *g, const struct hold *h, int64_t usage, int64_t amount, struct due due, int64_t *txn,
               struct err *e) MUST_USE;
/* A transaction that moves amount of a grant: debit one account, credit the other. operation: who did it; 0: nobody. */
struct movement {
    const char *kind;
    const struct grant *grant;
    int64_t debit, credit, amount, operation;
};
int batch_txn(struct ledger *l, const struct movement *m, int64_t *txn, struct err *e) MUST_USE; /* txn may be NULL */
/* The same, where a part of the amount is debited elsewhere. */
int batch_txn_due(struct ledger *l, const struct movement *m, struct due due, int64_t *txn, struct err *e) MUST_USE;

/* reserve.c: what open holds reserve of grants */
int grant_flush(struct ledger *l, struct err *e) MUST_USE; /* writes what grant_change left */
void grant_change(struct ledger *l, struct grant *g, int64_t d_remaining, int64_t d_held);
int reserve_place(struct ledger *l, const struct hold *h, int64_t amount, struct parts *out, bool *ok, struct err *e) MUST_USE;
void reserve_undo(struct ledger *l, struct parts *parts); /* gives back and empties */
void reserve_join(struct parts *to, const struct parts *more); /* adds a slice; the caller has made room */
void reserve_sums(const struct parts *parts, int64_t *scope, int64_t *any);
int64_t reserve_of(const struct parts *parts, const struct grant *g);
void reserve_text(struct buf *out, const struct parts *parts);
int reserve_read(struct ledger *l, struct parts *out, struct str text, struct err *e) MUST_USE; /* what reserve_text wrote */
int64_t reserve_free(const struct hold *h); /* what its scope and model may still reserve */
void org_view(struct ledger *l, struct org *o, int64_t d_free, int64_t d_held);

/* hold.c, meter.c */
int hold_place(struct ledger *l, struct op *op, struct err *e) MUST_USE; /* an error is a broken store; a refusal is in op->answer */
int hold_replay(struct ledger *l, struct op *op, uint64_t id, const struct price *p, const struct price *list, int64_t created_us, int64_t want,
                struct err *e) MUST_USE;
/* It covers so much then, or op says why not. */
int hold_raise(struct ledger *l, struct op *op, struct hold *h, int64_t most, struct err *e) MUST_USE;
int hold_grow(struct ledger *l, struct op *op, struct err *e) MUST_USE;
struct hold *hold_find(struct ledger *l, uint64_t id); /* under lock */
void hold_drop(struct ledger *l, struct hold *h);
int hold_again(struct ledger *l, struct hold *h, struct err *e) MUST_USE; /* one in memory that the store has lost */
void hold_free(struct hold *h); /* one that is in no map */
void hold_put(struct buf *b, const struct hold *h, enum journal_type t);
void hold_sweep(struct ledger *l);
int model_find(struct ledger *l, const char *alias, const char *revision, const struct sha256 *digest, const struct model **out,
               struct err *e) MUST_USE;
int meter_finish(struct ledger *l, struct hold *h, struct err *e) MUST_USE; /* in a batch */
void meter_close(struct hold *h, const struct finish_req *q);               /* under lock: marks finished, computes the charge */
void meter_snapshot(void *l, struct buf *b);

/* price_set.c */
int price_make(struct price *out, const struct price_new *in, struct err *e) MUST_USE; /* checks and fills; no id, version or time yet */

/* grant.c */
int account_get(struct ledger *l, const char *code, const char *class, int64_t org, int64_t *id, struct err *e) MUST_USE;
int grant_charge(struct ledger *l, const struct hold *h, int64_t usage, struct err *e) MUST_USE;
int grant_due(struct ledger *l, struct err *e) MUST_USE; /* begins and expires what is due */
int grant_state_set(struct ledger *l, struct grant *g, enum grant_state state, struct err *e) MUST_USE;
bool grant_is_over(const struct grant *g); /* expired or voided, if only for new holds */
void grant_show(struct ledger *l, const struct grant *g, int64_t more); /* its owner sees so much more of it */
void grant_add(struct ledger *l, struct grant *g); /* a new one; the caller has made room in both lists */
/* Takes amount, which is in no grant's remaining, where the rest of g went when it was over. */
int grant_gone(struct ledger *l, const struct grant *g, int64_t amount, int64_t operation, struct err *e) MUST_USE;
int grant_end(struct ledger *l, struct grant *g, bool expiry, struct err *e) MUST_USE; /* expiry; else it is voided, by g->void_id */
int grant_settle(struct ledger *l, struct org *o, struct err *e) MUST_USE;
int grant_compare(const struct grant *x, const struct grant *y, enum grant_rule *rule);
bool grant_suits(const struct grant *g, enum scope scope, const char *model);
bool grant_fits(struct ledger *l, int64_t more); /* whether all credit ever given, and more, is still an amount */
void grant_sort(struct org *o);
void grant_view(const struct grant *g);
void grant_free(struct grant *g);

/* approve.c */
bool approval_needed(const struct ledger *l, int64_t amount);

/* grant_new.c */
int grant_book(struct ledger *l, struct grant *g, int64_t cash, int64_t operation, struct err *e) MUST_USE;

/* key.c */
bool key_shape(struct str key, struct str *bare, struct str *id); /* length, characters and CRC; bare: without hf_ */
int key_secret(struct ledger *l, struct err *e) MUST_USE;         /* reads or makes DATA/secret */
void key_salt(const struct ledger *l, int64_t org, uint8_t out[16]);

/* key_limits.c: what people write, what is kept. budget.c: a key's budget, held and spent */
bool key_all_models(const struct key *k); /* it has no list of models. Lock held */
struct limits {
    unsigned scopes;
    int64_t budget;
    bool monthly;
    struct key_lists lists;
};
void limits_of(struct limits *out, const struct key *k);
bool list_has(const char *list, struct str word); /* "a,b" */
/* A list of models as people write it; of one without a price the error says what follows from that: else_what. */
int list_models(struct ledger *l, char out[KEY_LIST_MAX + 1], struct str text, const char *else_what, struct err *e) MUST_USE;
/* Changes what `in` names. Ledger thread: it asks for prices. */
int limits_change(struct ledger *l, struct limits *to, const struct key_limits *in, struct err *e) MUST_USE;
void limits_texts(const struct limits *x, char text[2][KEY_LIST_MAX + 1]); /* scopes; networks, "" when all */
/* Binds scopes, models, allow, budget and budget_monthly from the parameter `from` on; the texts are kept in `text` (2 of them). */
void limits_bind(struct stmt *s, int from, const struct limits *x, char text[2][KEY_LIST_MAX + 1]);
int limits_load(struct key *k, struct stmt *s, int col, struct err *e) MUST_USE; /* what limits_bind wrote, as columns from col on */
bool limits_same(const struct key *a, const struct key *b);
bool limits_give(struct ledger *l, struct key *k, const struct limits *x);       /* to the key in memory; false: no memory, nothing is changed */
struct key *key_by_id(const struct ledger *l, int64_t id); /* under lock, or on the ledger thread; NULL: none */

#define MONTH_OF(us) "CAST(strftime('%Y%m', " us " / 1000000, 'unixepoch') AS INTEGER)" /* SQL: 202611, UTC */
int budget_begin(struct ledger *l, int64_t key, bool has, struct err *e) MUST_USE; /* a budget came or went: its rows, from holds and usage */
int budget_view(struct ledger *l, struct key *k, struct err *e) MUST_USE;  /* what others see of it */
/* Reserves n more for a hold that began at created_us: the check and the charge are one statement. force: without the check. */
int budget_take(struct ledger *l, int64_t key, int64_t created_us, int64_t n, bool force, bool *ok, struct err *e) MUST_USE;
/* Gives back what a hold reserved, and counts what it cost. */
int budget_settle(struct ledger *l, int64_t key, int64_t created_us, int64_t held, int64_t charged, struct err *e) MUST_USE;
void budget_refuse(struct ledger *l, struct op *op, int64_t key, int64_t want);

/* SQL: what came back to grant g: refunds, and adjustments that added. */
#define CAME_BACK(g)                                                                                                                                 \
    "SELECT coalesce((SELECT sum(r.amount) FROM refund_line r WHERE r.grant_id = " g ".id), 0) + coalesce((SELECT -sum(e.amount) FROM txn x "        \
    "JOIN entry e ON e.txn_id = x.id AND e.account_id = " g ".account_id AND e.amount < 0 WHERE x.kind <> 'usage' AND x.kind = 'adjust' AND "        \
    "x.grant_id = " g ".id), 0)" /* <> 'usage': as the index has it */
/* SQL: whether another hold of its account was open when usage row u was posted by transaction t, and might have reserved what u left: one that still
 * is, or one whose usage row comes after u, and the next of those are looked at first. Numbers say it of a hold that is older than u's; of a younger
 * one times do, as far as the clock did not go back between the two. */
#define OPEN_BEFORE(u)                                                                                                                               \
    "o.org_id = " u ".org_id AND o.id <> " u ".hold_id AND (o.id < " u ".hold_id OR o.created_us <= w.until_us OR o.created_us > (SELECT "           \
    "p.created_us FROM hold p WHERE p.id > o.id ORDER BY p.id LIMIT 1))"
#define POSTED_BY(t) "(SELECT max(x.created_us) AS until_us FROM txn x WHERE x.id BETWEEN " t ".id - 1000 AND " t ".id) w"
#define OPEN_BESIDE(u, t)                                                                                                                            \
    "SELECT 1 FROM " POSTED_BY(t) " CROSS JOIN hold o WHERE o.state = 0 AND " OPEN_BEFORE(u) " UNION ALL SELECT 1 FROM " POSTED_BY(                  \
        t) " CROSS JOIN usage y JOIN hold o ON o.id = y.hold_id WHERE y.id > " u ".id AND " OPEN_BEFORE(u)

/* event.c */
struct event {
    int64_t org, at_us; /* org 0: no account's */
    struct str actor, action, object, detail;
};
/* By whom the call is that runs (ledger_act_as); of the account org, or of none. No secrets in detail. */
int event_of(struct ledger *l, int64_t org, const char *action, const char *object, const char *detail, struct err *e) MUST_USE;
int event_note(struct ledger *l, const char *action, const char *object, const char *detail, struct err *e) MUST_USE; /* of none */
int event_by(struct ledger *l, const char *actor, const char *action, const char *object, const char *detail, struct err *e) MUST_USE; /* of none */
int event_record(struct ledger *l, int64_t org, const char *actor, const char *action, const char *object, const char *detail,
                 struct err *e) MUST_USE;
void event_hash(struct sha256 *out, const struct sha256 *before, const struct event *v);

/* project.c: under lock, or on the ledger thread; NULL: none */
struct project *project_find(const struct ledger *l, int64_t id);
struct project *project_named(const struct ledger *l, int64_t org, struct str name);
struct project *project_path(const struct ledger *l, const char *path, struct err *e); /* "ACCOUNT/PROJECT" */
struct project *project_live(const struct ledger *l, const struct org *o, const char *name, struct err *e);
int project_add(struct ledger *l, struct org *o, const struct project *from, struct err *e) MUST_USE; /* a copy, into the map */

/* account.c, on the ledger thread */
int account_make(struct ledger *l, const char *name, struct org **out, struct err *e) MUST_USE; /* and its first project; the name is free, good */
bool account_name_good(const char *name);

/* end_user.c */
void end_user_digest(struct ledger *l, int64_t org, struct str name, struct sha256 *out);
int end_user_note(struct ledger *l, const struct hold *h, const struct sha256 *digest, struct err *e) MUST_USE;

/* session.c */
int sessions_load(struct ledger *l, struct err *e) MUST_USE;
void sessions_free(struct ledger *l);

/* state.c, recover.c */
int state_load(struct ledger *l, struct err *e) MUST_USE;
int state_read(struct ledger *l, struct err *e) MUST_USE;     /* all but the holds, in the open transaction */
int state_counters(struct ledger *l, struct err *e) MUST_USE; /* of ids, and the chain of events */
/* Open holds into memory: this node's that are not there yet (late_us -1), or those of others that ended before late_us by their time. */
int state_holds(struct ledger *l, int64_t late_us, struct err *e) MUST_USE;
void state_free(struct ledger *l);
int state_org_add(struct ledger *l, struct org *o, struct err *e) MUST_USE; /* into the maps, which then own it */
bool state_key_add(struct ledger *l, struct key *k);                        /* the same; under lock; false: no memory */
struct org *org_find(const struct ledger *l, int64_t id);
struct org *org_named(const struct ledger *l, const char *name);
int recover_run(struct ledger *l, struct err *e) MUST_USE;
