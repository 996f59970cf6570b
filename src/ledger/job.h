/* Jobs that run elsewhere (a Slurm or Kubernetes job, a reservation of GPUs) and spend credit here, by CloudEvents 1.0.
 *
 *   open      reserves what the job may use at most, of grants that pay its meters; the job is its `source` and `subject`, used once
 *   renew     says that it lives and what it has used so far (cumulative); may raise the most, and then reserves more
 *   capture   ends it: what it used is billed;  release ends one that has used nothing
 *   usage     is all of it at once: what was used is billed, if credit covers it
 *
 * A job that is not renewed within its lease is captured for what it reported. An event is durable before it is answered, is taken once by
 * (account, source, id), and is refused when its price is unknown, so that nothing is counted that is not billed. */
#pragma once
#include "ledger/price_int.h"

struct json;
struct ledger;
struct hold;

enum { JOB_TEXT_MAX = 256, JOB_EVENTS_MAX = 100 /* in one call */ };
#define JOB_LEASE_MIN_US (60ll * 1000000)
#define JOB_LEASE_MAX_US (31ll * 86400 * 1000000)
#define JOB_LEASE_US     (3600ll * 1000000) /* unless it says otherwise */
#define JOB_QUANTITY_MAX (1ll << 53)

enum job_event_type { JOB_OPEN, JOB_RENEW, JOB_CAPTURE, JOB_RELEASE, JOB_USAGE, JOB_TYPES };
extern const char *const job_event_names[JOB_TYPES];

struct job_event {
    enum job_event_type type;
    char id[JOB_TEXT_MAX], source[JOB_TEXT_MAX], subject[JOB_TEXT_MAX], model[PRICE_MODEL_MAX], tier[LEDGER_TIER_MAX];
    int64_t time_us, lease_us; /* 0: not said */
    struct quantities most, used;
    enum scope scope; /* of all its meters; SCOPE_ANY: it names none */
    struct sha256 digest;
};
/* An event as JSON: what is wrong is told with the name of the attribute. */
int job_event_read(struct job_event *out, const struct json *j, struct err *e) MUST_USE;

/* What a hold of a job has beside a request's. Ledger thread. */
struct job {
    int64_t lease_us;
    struct quantities most, used;
};
/* The rows of a job's usage. */
int job_usage_add(struct ledger *l, const struct job *job, int64_t usage, struct err *e) MUST_USE;
int quantities_read(struct quantities *q, struct db *d, int64_t usage, struct err *e) MUST_USE; /* adds those of a usage row */
