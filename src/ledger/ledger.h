/* The ledger: accounts, keys, grants, prices, holds and durable double-entry metering. It does not know HTTP.
 *
 * Threads. One ledger thread owns the only writing connection. Calls marked [any] may come from any thread and return at once; their
 * answers are delivered through opts.post (the api passes server_post). Calls marked [wait] block on the ledger thread and are for the
 * command line, start-up and admin routes; what they change is synced before they return.
 *
 * Life of a request: ledger_hold (rate limits first: rate.h) -> ledger_journal once per engine step -> (ledger_hold_more) -> ledger_finish exactly
 * once. A request that was never finished because the process died is finished at the next ledger_open from its last journaled counts, with reason
 * "crash".
 *
 * Rules of design.md section 4 hold: a hold is one guarded UPDATE; a finished request is one usage row; each group commit posts balanced
 * transactions that name their rows; sum(all entries) == 0 always; a model without a price is refused. */
#pragma once
#include "base/hash.h"
#include "ledger/money.h"

struct ledger;
struct org_id { int64_t v; };
struct project_id { int64_t v; };
struct key_id { int64_t v; };
struct grant_id { int64_t v; };
struct price_id { int64_t v; };
struct hold_id { uint64_t v; }; /* 0: none */

enum { LEDGER_NAME_MAX = 128, LEDGER_KEY_MAX = 128, LEDGER_CURRENCY_MAX = 8, LEDGER_PUBLIC_ID = 10 /* characters of a key's public id */ };
enum { LEDGER_TIER_MAX = 33 /* bytes of a service tier's name with its NUL */ };
#define LEDGER_TIER_STANDARD "standard"

struct ledger_opts {
    const char *dir;      /* the data folder: ledger.db, journal, secret live here */
    const char *store;    /* postgres://... of a store that several nodes share; NULL or "": SQLite in the data folder */
    const char *node;     /* who owns the holds; NULL: the host's name */
    const char *currency; /* NULL: the store's, "USD" for a new one; another than the store's is refused */
    bool        strict;   /* sync the journal every step instead of every 100 ms */
    void (*post)(void *ctx, void (*fn)(void *), void *arg); /* NULL: answers come on the ledger thread */
    void *post_ctx;
};
int  ledger_open(struct ledger **out, const struct ledger_opts *o, struct err *e) MUST_USE; /* migrates, recovers open holds */
void ledger_close(struct ledger *l); /* commits what is queued, syncs */
const char *ledger_currency(const struct ledger *l);

/* What a key may ask for: each word opens some routes, and the api says which. A key has at least one of them. */
enum key_scope {
    KEY_INFERENCE = 1, /* texts are computed */
    KEY_EMBEDDINGS = 2,
    KEY_MODELS = 4, /* the models are listed, texts made tokens: what costs nothing */
    KEY_USAGE = 8,  /* the account's balance and usage are read */
    KEY_EVENTS = 16, /* jobs that run elsewhere spend credit */
    KEY_SCOPES_ALL = 31,
};
enum { KEY_SCOPES_TEXT_MAX = 64 };
/* "inference,usage", in the order of the enum. */
void key_scopes_text(char out[KEY_SCOPES_TEXT_MAX], unsigned scopes);

/* Who calls: found from a key without touching the disk [any]. The same ERR_AUTH text for missing, unknown, wrong, expired and revoked. */
struct principal {
    struct org_id     org;
    struct project_id project;
    struct key_id     key;
    unsigned          scopes;                       /* of enum key_scope */
    bool              all_models;                   /* the key has no list of models: ledger_key_model need not be asked */
    char              public_id[LEDGER_PUBLIC_ID + 1]; /* the key's */
    char              org_name[LEDGER_NAME_MAX];
    uint8_t           kv_salt[16]; /* secret of the tenant, for the prefix cache */
};
int ledger_principal(struct ledger *l, struct str key, struct principal *out, struct err *e) MUST_USE;
/* Whether the key may use the model, and may be used from the address (as text; what is no address is in no list). [any] */
bool ledger_key_model(struct ledger *l, struct key_id key, struct str model);
bool ledger_key_of(struct ledger *l, struct org_id org, const char *public_id); /* whether it is a key of the account [any] */
bool ledger_key_address(struct ledger *l, struct key_id key, struct str address);
/* What is left of the key's budget, of this month or in all; false: it has none. Never negative. [any] */
bool ledger_key_budget(struct ledger *l, struct key_id key, struct money *left);

/* Disjoint counters of one request: what a usage row keeps. */
struct usage_counts {
    uint32_t input;       /* uncached prompt tokens whose prefill ran */
    uint32_t cache_read;  /* prompt tokens taken from the prefix cache */
    uint32_t cache_write;
    uint32_t output;      /* sampled and accepted, without reasoning */
    uint32_t reasoning;
    uint32_t accepted_draft; /* a part of output, for information; priced 0 */
};

struct hold_req {
    struct principal who;
    const char      *request;  /* unique id, also the idempotency key of the charge */
    const char      *model;    /* alias: the price belongs to it */
    const char      *revision; /* "repository@revision:file" or "" */
    struct sha256    digest;   /* of the blob */
    uint32_t         input, output; /* the most that may be computed before ledger_hold_more or ledger_finish */
    const char      *scope;    /* what is computed: "inference" (NULL), "embeddings" */
    bool             slice;         /* output is a first slice: nobody said how long the answer may be */
    const char      *tier;     /* service tier; NULL: the standard one; ERR_BAD_VALUE for one without a price */
    struct str       end_user;      /* whom the customer names; a hash is kept (end_user.h); empty: nobody */
};
struct hold_answer {
    struct err     err; /* ERR_OK, ERR_QUOTA (balance and estimate in the text), ERR_NO_PRICE, ERR_CONFLICT (request id used), ERR_DB,
                              ERR_RATE and ERR_OVER_RATE (rate.h) */
    struct hold_id hold;
    struct money   held;    /* of this hold, in all */
    struct money   balance; /* free to spend after it */
    struct price_id price;  /* the version pinned for the whole request */
    uint32_t rate, input_weight; /* thousandths: what a reservation that covers it guarantees in a second; 0: none does */
    bool of_key;            /* ERR_QUOTA: the key's budget is too short, not the account's credit */
};
typedef void (*hold_fn)(void *arg, const struct hold_answer *a);
void ledger_hold(struct ledger *l, const struct hold_req *q, hold_fn fn, void *arg);                     /* [any] */
void ledger_hold_more(struct ledger *l, struct hold_id h, uint32_t output, hold_fn fn, void *arg);       /* [any] output: tokens more */

/* Called on the engine's step thread, once per step, before the step's tokens are published: one write(2). Cumulative counts. [any] */
struct journal_step { struct hold_id hold; struct usage_counts counts; };
int ledger_journal(struct ledger *l, const struct journal_step *s, size_t n, struct err *e) MUST_USE;

/* Ends a request: captures what was computed, releases the rest. The bill is computed at once; the row follows with the next group commit. [any] */
enum finish_reason { FINISH_STOP, FINISH_LENGTH, FINISH_BUDGET, FINISH_CANCEL, FINISH_ERROR, FINISH_CRASH };
struct bill { struct money cost; struct money balance; };
struct finish_req {
    struct hold_id      hold;
    struct usage_counts counts; /* must not be less than what was journaled */
    enum finish_reason  reason;
    int                 status; /* HTTP status of the answer */
    bool                stream;
    int64_t             start_us, first_us, end_us; /* wall clock; first: first token, 0 when none */
};
int ledger_finish(struct ledger *l, const struct finish_req *q, struct bill *out, struct err *e) MUST_USE;

/* Administration [wait]. Names are unique among the living. */
int ledger_account_create(struct ledger *l, const char *name, struct org_id *out, struct err *e) MUST_USE;
int ledger_account_find(struct ledger *l, const char *name, struct org_id *out, struct err *e) MUST_USE;
/* The limits of a key as people write them. NULL: as it was; of a new key: none. What a list shows can be set. */
struct key_limits {
    const char *scopes; /* "inference,usage", or "all" */
    const char *models; /* aliases that have a price: "guide,stories"; or "all" */
    const char *allow;  /* networks and addresses: "10.0.0.0/8,2001:db8::1"; or "all" */
    const char *budget; /* "5.00" in all, "5.00/month" (a calendar month, UTC, in which a request begins); or "none" */
    const char *project; /* of a new key: the project of its account that it belongs to; NULL: "default". A key stays where it is */
};
/* limits may be NULL. ERR_BAD_VALUE names the word that is wrong. */
int ledger_key_create(struct ledger *l, struct org_id org, const char *name, int64_t expires_us /* 0: never */, const struct key_limits *limits,
                      char key[LEDGER_KEY_MAX], struct err *e) MUST_USE;
/* Changes limits, at once for every later request; a rotation keeps them. A budget counts all that the key ever spent (in this month): setting
 * a key's first one reads all its rows. */
int ledger_key_set(struct ledger *l, const char *public_id, const struct key_limits *limits, struct err *e) MUST_USE;
int ledger_key_rotate(struct ledger *l, const char *public_id, char key[LEDGER_KEY_MAX], struct err *e) MUST_USE;
int ledger_key_revoke(struct ledger *l, const char *public_id, struct err *e) MUST_USE;
/* Who does something to credit, and why. */
enum { LEDGER_REASON_MAX = 500 };
struct deed {
    const char *key;    /* idempotency: a second deed with this key is the first one, with its answer; NULL: none */
    const char *actor;  /* NULL: "admin" */
    const char *reason; /* needed, but for a new grant and an approval */
};
struct grant_new {
    struct org_id org;
    struct money  amount;
    const char   *scope;    /* "any", "inference", "embeddings", "training", "storage" */
    const char   *funding;  /* "paid", "promotional", "investment", "goodwill" */
    int           priority; /* 0 first, default 50 */
    int64_t       effective_us, expires_us; /* 0: now; 0: never */
    const char   *reference; /* idempotency: the same reference twice is one grant; NULL: none */
    const char   *models;    /* aliases that have a price, "guide,stories": for these alone; NULL or "all": every model */
    const struct money *cash_received; /* NULL: of paid credit its amount, else 0 */
    const struct money *list_value;    /* at list prices; NULL: its amount */
    const char   *counterparty, *instrument; /* who gave something for it, and by which document; NULL: none */
    struct deed   by;
    struct buf   *answer;    /* gets {"grant": id, "approval": "needed"}, the latter when it is; NULL: not wanted */
};
int ledger_grant_create(struct ledger *l, const struct grant_new *g, struct grant_id *out, struct err *e) MUST_USE;
/* What may be done to grants and charges; each writes a JSON object about it to out (NULL: not wanted), with "operation", its id.
 * ERR_NOT_FOUND: no such grant or request; ERR_CONFLICT: there is not as much, it is over, or the key was used for something else; then nothing
 * is changed. ERR_FORBIDDEN: a second person is needed. */
int ledger_grant_approve(struct ledger *l, struct grant_id grant, const struct deed *by, struct buf *out, struct err *e) MUST_USE;
/* Its unused rest is gone; what open holds reserve of it goes as they end. One that waits for approval is refused so. */
int ledger_grant_void(struct ledger *l, struct grant_id grant, const struct deed *by, struct buf *out, struct err *e) MUST_USE;
int ledger_grant_adjust(struct ledger *l, struct grant_id grant, struct money amount /* or less than 0 */, const struct deed *by, struct buf *out,
                        struct err *e) MUST_USE;
/* A part of a grant to another account, as a new grant that is otherwise the same. */
int ledger_grant_transfer(struct ledger *l, struct grant_id grant, struct org_id to, struct money amount, const struct deed *by, struct buf *out,
                          struct err *e) MUST_USE;
/* Back to the grants that paid a request; amount NULL: all that was not refunded yet. A key's budget does not get it back. */
int ledger_refund(struct ledger *l, const char *request, const struct money *amount, const struct deed *by, struct buf *out, struct err *e) MUST_USE;
/* Grants above the limit need a second person's approval; NULL: none does. */
int ledger_grant_limit(struct ledger *l, const struct money *limit, const struct deed *by, struct buf *out, struct err *e) MUST_USE;
int ledger_report_limit(struct ledger *l, struct buf *out, struct err *e) MUST_USE;
struct price_rate { const char *meter; uint32_t from_tokens; struct money rate; }; /* meter.def; from so many input tokens on */
struct price_new {
    const char  *model;
    struct money input, cache_read, cache_write, output, reasoning; /* per million tokens; embeddings as input */
    const char  *tier; /* service tier; NULL: "standard" */
    const struct price_rate *rates; /* instead of the five; what is left out costs as price_set.c says, or is not sold */
    size_t       n_rates;
    struct org_id org;            /* whose contract; 0: the list price */
    int64_t      from_us, until_us; /* 0: now; 0: until a later version begins */
    const char  *actor;           /* NULL: "admin" */
};
/* A new version; requests that are held keep theirs. ERR_CONFLICT: it overlaps another; ERR_BAD_VALUE: it begins in the past, a rate is wrong. */
int ledger_price_set(struct ledger *l, const struct price_new *p, struct price_id *out, struct err *e) MUST_USE;
struct json;
/* Events of jobs that run elsewhere (job.h): an object, or an array of them, each answered in its place. Durable when it returns. [wait] */
int ledger_events(struct ledger *l, const struct principal *who, const struct json *body, struct buf *out, struct err *e) MUST_USE;
struct price_end { const char *model, *tier; struct org_id org; int version; int64_t at_us; /* 0: now */ const char *actor; };
int ledger_price_end(struct ledger *l, const struct price_end *p, struct err *e) MUST_USE; /* one that has not begun is taken back */
/* What it would have made of the last 30 days, as a JSON object: before, after, by account, and a sentence. Nothing is changed. */
int ledger_price_preview(struct ledger *l, const struct price_new *p, struct buf *out, struct err *e) MUST_USE;
bool ledger_price_known(struct ledger *l, const char *model); /* [any] */
int ledger_balance(struct ledger *l, struct org_id org, struct money *free_out, struct money *held, struct err *e) MUST_USE; /* [any] */

/* Reports: each writes one JSON array of flat objects, money as decimal strings with a currency column; the api and the command line both
 * show these. [wait] on a read-only connection. Usage: usage.h. */
struct buf;
int ledger_report_accounts(struct ledger *l, struct buf *out, struct err *e) MUST_USE;
int ledger_report_keys(struct ledger *l, const char *account, struct buf *out, struct err *e) MUST_USE;
int ledger_report_grants(struct ledger *l, const char *account, struct buf *out, struct err *e) MUST_USE;
/* One grant as an object: all that is known of it, and "history": what was done to it beside use, oldest first. */
int ledger_report_grant(struct ledger *l, struct grant_id id, struct buf *out, struct err *e) MUST_USE;
int ledger_report_prices(struct ledger *l, const char *account, bool all, struct buf *out, struct err *e) MUST_USE; /* all: those that are over too */

/* How the charge of a finished request came about, from its rows, as one JSON object: counters, rates and their products, the hold, the grants
 * that paid in their order, the transactions with their entries. Each figure is computed anew and compared with the stored one; what does not
 * agree is told in "differences", and "agrees" is false then. who: whose key asks (project 0: any of the account), NULL: the operator.
 * ERR_NOT_FOUND, with the same text, when there is none and when it is another project's. [wait] on a read-only connection. */
int ledger_receipt(struct ledger *l, const char *request, const struct principal *who, struct buf *out, struct err *e) MUST_USE;

/* The store of a data folder, looked at from outside, beside a running server or without one. [wait] */
struct ledger_health {
    bool    there;      /* false: no store yet, and the rest is 0 */
    char    fault[256]; /* of SQLite's integrity check; "" sound */
    int64_t version, known_version;
    int64_t newest_us;  /* end of the last request that was billed; 0: none */
};
int ledger_health(struct ledger_health *out, const char *dir, const char *store /* as in ledger_opts */, struct err *e) MUST_USE;

/* Recomputes every balance, hold, posting and charge from the rows; *n_diff differences are described in out, one line each.
 * ERR_AUDIT when there is any. [wait] */
int ledger_audit(struct ledger *l, struct buf *out, uint64_t *n_diff, struct err *e) MUST_USE;
/* A consistent copy of the store, journal and secret into a new folder. [wait] */
int ledger_backup(struct ledger *l, const char *dir, struct err *e) MUST_USE;
/* The same into LEDGER_STAGE of the data folder, which an earlier, killed backup may have left: whoever asked takes it from there. [wait] */
#define LEDGER_STAGE "backup.stage"
int ledger_stage(struct ledger *l, struct err *e) MUST_USE;
