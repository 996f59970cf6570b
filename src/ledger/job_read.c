/* Reads an event of a job: CloudEvents 1.0 as JSON, with our data. It trusts nothing in it. */
#include "ledger/job.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/buf.h"

#include <string.h>

const char *const job_event_names[JOB_TYPES] = {"sluice.hold.open", "sluice.hold.renew", "sluice.hold.capture", "sluice.hold.release",
                                                "sluice.usage"};

/* What people count in, and how many of the meter's units it is. */
static const struct {
    const char *word;
    enum meter meter;
    uint64_t units;
} words[] = {{"training_token", METER_TRAINING, 1},
             {"gpu_second", METER_GPU, 1},
             {"gpu_hour", METER_GPU, 3600},
             {"storage_gb_hour", METER_STORAGE, 1},
             {"storage_gb_month", METER_STORAGE, 730}};
enum { WORDS = sizeof words / sizeof *words };

static int text(char *out, size_t cap, const struct json *j, const char *name, bool needed, struct err *e)
{
    const struct json *v = json_get(j, name);
    struct str s = json_str(v);
    out[0] = 0;
    if (json_type(v) == JSON_NULL)
        return needed ? err_param(e, ERR_BAD_REQUEST, name, "event: %s is missing", name) : 0;
    bool good = json_type(v) == JSON_STR && s.n && s.n < cap && utf8_valid(s.p, s.n);
    for (size_t i = 0; good && i < s.n; i++)
        good = (unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7f;
    if (!good)
        return err_param(e, ERR_BAD_VALUE, name, "event: %s is a text of 1 to %zu bytes without control characters", name, cap - 1);
    memcpy(out, s.p, s.n);
    out[s.n] = 0;
    return 0;
}

static int one_quantity(struct job_event *out, struct quantities *q, const char *field, struct str word, const struct json *v, struct err *e)
{
    int64_t n = json_int(v);
    size_t i = 0;
    while (i < WORDS && !str_eqz(word, words[i].word))
        i++;
    if (i == WORDS)
        return err_param(e, ERR_BAD_VALUE, field,
                         "event: data.%s has '%.*s', which is no meter of a job; they are training_token, gpu_second, gpu_hour, storage_gb_hour and "
                         "storage_gb_month",
                         field, (int)(word.n < 40 ? word.n : 40), word.p);
    enum meter m = words[i].meter;
    if (json_type(v) != JSON_INT || n < 0 || n > JOB_QUANTITY_MAX / (int64_t)words[i].units)
        return err_param(e, ERR_BAD_VALUE, field, "event: data.%s.%s must be a whole number from 0 to %lld; write smaller units for a part", field,
                         words[i].word, (long long)(JOB_QUANTITY_MAX / (int64_t)words[i].units));
    if (out->scope != SCOPE_ANY && out->scope != meters[m].scope)
        return err_param(e, ERR_BAD_VALUE, field, "event: a job is for one thing; training and storage are jobs of their own");
    out->scope = meters[m].scope;
    q->of[m] += (uint64_t)n * words[i].units; /* gpu_second and gpu_hour add up */
    return 0;
}

static int quantities(struct job_event *out, struct quantities *q, const struct json *data, const char *field, struct err *e)
{
    const struct json *obj = json_get(data, field), *v;
    struct str word;
    void *it = NULL;
    int rc = 0;
    if (json_type(obj) == JSON_NULL)
        return 0;
    if (json_type(obj) != JSON_OBJ)
        return err_param(e, ERR_BAD_VALUE, field, "event: data.%s must be an object like {\"gpu_second\": 3600}", field);
    while (rc == 0 && json_each(obj, &it, &word, &v))
        rc = one_quantity(out, q, field, word, v, e);
    return rc;
}

static int lease(struct job_event *out, const struct json *data, struct err *e)
{
    const struct json *v = json_get(data, "lease_seconds");
    int64_t s = json_int(v);
    if (json_type(v) == JSON_NULL)
        return 0;
    if (json_type(v) != JSON_INT || s < JOB_LEASE_MIN_US / 1000000 || s > JOB_LEASE_MAX_US / 1000000)
        return err_param(e, ERR_BAD_VALUE, "lease_seconds", "event: data.lease_seconds must be an integer from %lld to %lld",
                         (long long)(JOB_LEASE_MIN_US / 1000000), (long long)(JOB_LEASE_MAX_US / 1000000));
    out->lease_us = s * 1000000;
    return 0;
}

static bool any(const struct quantities *q)
{
    for (int i = 0; i < METER_COUNT; i++)
        if (q->of[i])
            return true;
    return false;
}

/* What the type needs, and what makes no sense with it. */
static int complete(const struct job_event *o, struct err *e)
{
    bool makes = o->type == JOB_OPEN || o->type == JOB_USAGE;
    if (makes && !o->model[0])
        return err_param(e, ERR_BAD_REQUEST, "model", "event: data.model is missing: the name whose price it is");
    if (!makes && (o->model[0] || o->tier[0]))
        return err_param(e, ERR_BAD_VALUE, "model", "event: the model and tier of a job are said when it is opened");
    if (o->type == JOB_OPEN && !any(&o->most))
        return err_param(e, ERR_BAD_REQUEST, "most", "event: data.most is missing: what the job may use at most, for example {\"gpu_hour\": 8}");
    if (o->type == JOB_USAGE && !any(&o->used))
        return err_param(e, ERR_BAD_REQUEST, "used", "event: data.used is missing: what was used, for example {\"gpu_hour\": 8}");
    if ((o->type == JOB_OPEN && any(&o->used)) || (o->type != JOB_OPEN && o->type != JOB_RENEW && (any(&o->most) || o->lease_us)) ||
        (o->type == JOB_RELEASE && any(&o->used)))
        return err_param(e, ERR_BAD_VALUE, "data", "event: %s takes %s", job_event_names[o->type],
                         o->type == JOB_OPEN      ? "what the job may use at most, not what it has used"
                         : o->type == JOB_RELEASE ? "no quantities: capture a job that has used something"
                                                  : "what was used, without a most and a lease");
    return 0;
}

static int attributes(struct job_event *o, const struct json *j, struct err *e)
{
    char type[64], version[8], time[64];
    int rc;
    if ((rc = text(version, sizeof version, j, "specversion", true, e)) < 0 || (rc = text(type, sizeof type, j, "type", true, e)) < 0 ||
        (rc = text(o->id, sizeof o->id, j, "id", true, e)) < 0 || (rc = text(o->source, sizeof o->source, j, "source", true, e)) < 0 ||
        (rc = text(time, sizeof time, j, "time", false, e)) < 0)
        return rc;
    if (strcmp(version, "1.0") != 0)
        return err_param(e, ERR_BAD_VALUE, "specversion", "event: specversion must be 1.0");
    int t = 0;
    while (t < JOB_TYPES && strcmp(type, job_event_names[t]) != 0)
        t++;
    if (t == JOB_TYPES)
        return err_param(e, ERR_BAD_VALUE, "type",
                         "event: type '%.40s' is unknown; there are sluice.hold.open, .renew, .capture, .release and sluice.usage", type);
    o->type = (enum job_event_type)t;
    char *dot = strchr(time, '.');
    if (dot) /* the fraction of a second does not matter here */
        (void)str_fmt(dot, sizeof time - (size_t)(dot - time), "Z");
    if (time[0] && !clock_parse(time, &o->time_us))
        o->time_us = 0; /* with an offset, say: for the record alone */
    return text(o->subject, sizeof o->subject, j, "subject", o->type != JOB_USAGE, e);
}

int job_event_read(struct job_event *o, const struct json *j, struct err *e)
{
    struct buf dump;
    int rc;
    *o = (struct job_event){.scope = SCOPE_ANY};
    if (json_type(j) != JSON_OBJ)
        return err_set(e, ERR_BAD_REQUEST, "event: an event is an object, not %s", json_type_name(j));
    const struct json *data = json_get(j, "data");
    if ((rc = attributes(o, j, e)) < 0)
        return rc;
    if (json_type(data) != JSON_OBJ && json_type(data) != JSON_NULL)
        return err_param(e, ERR_BAD_VALUE, "data", "event: data must be an object");
    if ((rc = text(o->model, sizeof o->model, data, "model", false, e)) < 0 || (rc = text(o->tier, sizeof o->tier, data, "tier", false, e)) < 0 ||
        (rc = quantities(o, &o->most, data, "most", e)) < 0 || (rc = quantities(o, &o->used, data, "used", e)) < 0 || (rc = lease(o, data, e)) < 0 ||
        (rc = complete(o, e)) < 0)
        return rc;
    buf_init(&dump, 0);
    json_dump(&dump, j);
    if (dump.failed)
        rc = err_set(e, ERR_NO_MEMORY, "event: no memory");
    else
        sha256(&o->digest, dump.data, dump.len);
    buf_deinit(&dump);
    return rc;
}
