/* Private to api/. */
#pragma once
#include "api/api.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/thread.h"
#include "ledger/rate.h"
#include <stdatomic.h>

enum access {
    ACCESS_DENY,
    ACCESS_PUBLIC,
    ACCESS_PAGE,
    ACCESS_LOCAL,
    ACCESS_ADMIN,
    ACCESS_INFERENCE, /* from here on: a key with the scope of this name */
    ACCESS_EMBEDDINGS,
    ACCESS_MODELS,
    ACCESS_USAGE,
    ACCESS_EVENTS,
    ACCESS_SIGNED_IN, /* from here on: a session, and a role of this name */
    ACCESS_VIEWER,
    ACCESS_DEVELOPER,
    ACCESS_MANAGER, /* the role admin: ADMIN is the operator */
    ACCESS_OWNER,
};

enum { LATENCY_BUCKETS = 12 };
struct histogram { uint64_t n, sum_us, bucket[LATENCY_BUCKETS]; };

struct api_counts { /* loop thread only */
    uint64_t            answers[6];  /* by hundreds of the status; 0: the client left (499) */
    uint64_t            ends[6];     /* by enum finish_reason */
    uint64_t            delivered;   /* tokens that the engine handed over */
    uint64_t            billed_in, billed_cached, billed_out; /* tokens of finished requests */
    uint64_t            refused_quota, refused_rate;
    struct histogram    first_token, whole;
};

struct call;
struct worker;
struct gate;
struct api {
    struct api_opts   opts;
    struct server    *server;
    struct ledger    *ledger;
    struct backend    backend;
    bool              started, draining;
    atomic_bool       journal_failed;
    struct call      *calls; /* live ones */
    struct gate      *gates; /* requests that wait for their model */
    const struct backend_model *granted; /* pinned for the call that is being read (gate.c) */
    struct timer     *drain_timer;
    struct worker    *worker;
    struct worker    *texts; /* for what may take long and waits for nobody */
    struct worker    *sign_ins; /* waits for the identity provider; NULL: there is none */
    struct oidc      *oidc;     /* on that worker alone */
    uint32_t          signing_in;
    struct api_counts counts;
    struct buf        scratch; /* one answer or event at a time */
    uint64_t          start_ns;
};

/* Who calls: what http_user points to. */
struct caller {
    struct principal who;   /* first: most of the api asks for nothing else */
    struct str       model; /* that it asks for, once that is known: in the request's arena */
};

#define ROUTE(method, pattern, access, fn) void fn(struct http *r, void *app);
#include "api/routes.def"
#undef ROUTE
void route_admin(struct http *r, void *app);

/* models.c: the model of this name that the caller may use; NULL: ERR_NO_MODEL, in the same words for one that there is and one that is not. */
const struct backend_model *model_for(struct api *a, const struct principal *who, struct str name, struct err *e);
bool model_allowed(struct api *a, const struct principal *who, const struct backend_model *m); /* the key's list has it, or there is none */

/* errors.c */
void errors_body(struct buf *out, const struct err *e, const char *request_id);
/* http_reply_err with x-should-retry. */
void errors_reply(struct http *r, const struct err *e);
/* One log line per request that api answered; errors are logged by errors_body. */
void log_answer(const struct http *r, const char *route, int status);

/* answer.c: the name that the ledger has of a request (as http_id), from what its client saw: x-request-id, or the id of an answer. ERR_BAD_VALUE,
 * with the parameter that it is, for anything else. */
enum { REQUEST_NAME_MAX = sizeof "req_" + 24 };
int request_name(char out[REQUEST_NAME_MAX], struct str id, const char *param, struct err *e) MUST_USE;

/* rate.c: how much is left of the caller's rate limits, as OpenAI says it: x-ratelimit-... */
void rate_headers(struct http *r, void *app);

/* gate.c: who waits for a model is told that the server ends. */
void gate_drain(struct api *a);

/* worker.c: fn runs on the worker thread, then the answer (JSON in out, or the error) goes out on the loop thread. */
struct work {
    struct http   *r; /* NULL once the client has left */
    struct api    *api;
    const char    *route;
    int (*fn)(struct work *w, struct err *e);
    struct json   *args;
    struct principal who;
    enum http_method method;
    char           path[64];
    char           request[REQUEST_NAME_MAX]; /* whose receipt is asked for */
    struct buf     out;
    const char    *type; /* of the answer; NULL: application/json */
    struct err     err;
    void          *ctx; /* fn's; freed on the loop thread with the work */
    void         (*ctx_free)(void *ctx);
    void         (*then)(struct work *w); /* instead of an answer: what the loop thread does next; it answers r, unless that is NULL */
    struct work   *next;
};
int  worker_new(struct worker **out, struct err *e) MUST_USE;
void worker_free(struct worker *w); /* finishes what is queued */
/* Takes r; w is on the heap and owned afterwards. */
void worker_run(struct worker *q, struct work *w);
void work_free(struct work *w); /* only before worker_run; w may be NULL */
struct work *work_new(struct api *a, struct http *r, const char *route, int (*fn)(struct work *, struct err *));

/* admin.c */
struct json *query_args(struct http *r); /* the query as an object of strings; NULL: none */

/* metrics.c */
void histogram_add(struct histogram *h, uint64_t us);
