/* Arguments of the operator's acts: an object of strings (and numbers); errors name the field. */
#include "api/admin_args.h"

enum { TEXT_MAX = 1024 }; /* bytes of an argument */

int arg_text(const struct json *args, const char *name, bool needed, const char **out, struct err *e)
{
    const struct json *v = json_get(args, name);
    *out = NULL;
    if (json_type(v) == JSON_NULL)
        return needed ? err_param(e, ERR_BAD_REQUEST, name, "%s is missing", name) : 0;
    if (json_type(v) != JSON_STR)
        return err_param(e, ERR_BAD_REQUEST, name, "%s must be a string, not %s", name, json_type_name(v));
    if (json_str(v).n > TEXT_MAX || (needed && !json_str(v).n))
        return err_param(e, ERR_BAD_VALUE, name, "%s has %zu bytes; it must have %d to %d", name, json_str(v).n, needed, TEXT_MAX);
    *out = json_str(v).p;
    return 0;
}

int arg_money(const struct json *args, const char *name, struct money dflt, bool needed, struct money *out, struct err *e)
{
    const char *z;
    int rc = arg_text(args, name, needed, &z, e);
    *out = dflt;
    if (rc < 0 || !z)
        return rc;
    rc = money_parse(out, str_of(z), e);
    if (rc >= 0 && out->nano < 0)
        return err_param(e, ERR_BAD_VALUE, name, "%s is negative", name);
    return rc;
}

int arg_date(const struct json *args, const char *name, int64_t *out, struct err *e)
{
    const char *z;
    int rc = arg_text(args, name, false, &z, e);
    *out = 0;
    if (rc >= 0 && z && !clock_parse(z, out))
        return err_param(e, ERR_BAD_VALUE, name, "%s is not a date; write 2026-11-23 or 2026-11-23T12:00Z", name);
    return rc;
}

int arg_int(const struct json *args, const char *name, int64_t min, int64_t max, int64_t dflt, int64_t *out, struct err *e)
{
    const struct json *v = json_get(args, name);
    *out = dflt;
    if (json_type(v) == JSON_NULL)
        return 0;
    bool ok = json_type(v) == JSON_INT || (json_type(v) == JSON_STR && str_i64(json_str(v), out));
    if (json_type(v) == JSON_INT)
        *out = json_int(v);
    if (!ok || *out < min || *out > max)
        return err_param(e, ERR_BAD_VALUE, name, "%s must be an integer from %lld to %lld", name, (long long)min, (long long)max);
    return 0;
}

bool arg_given(const struct json *args, const char *name)
{
    return json_type(json_get(args, name)) != JSON_NULL;
}

int arg_account(struct ledger *l, const struct json *args, struct org_id *out, struct err *e)
{
    const char *name;
    int rc = arg_text(args, "account", true, &name, e);
    return rc < 0 ? rc : ledger_account_find(l, name, out, e);
}

int arg_grant(const struct json *args, struct grant_id *out, struct err *e)
{
    int rc = arg_int(args, "grant", 1, INT64_MAX, 0, &out->v, e);
    return rc == 0 && !out->v ? err_param(e, ERR_BAD_REQUEST, "grant", "grant is missing") : rc;
}

int arg_deed(const struct json *args, struct deed *out, struct err *e)
{
    int rc;
    if ((rc = arg_text(args, "actor", false, &out->actor, e)) < 0 || (rc = arg_text(args, "reason", false, &out->reason, e)) < 0 ||
        (rc = arg_text(args, "idempotency_key", false, &out->key, e)) < 0)
        return rc;
    return 0;
}

void reply_field(struct buf *out, const char *key, const char *value)
{
    struct jw w;
    jw_init(&w, out);
    jw_obj(&w);
    jw_key(&w, key), jw_str(&w, value);
    jw_obj_end(&w);
}

void reply_id(struct buf *out, const char *key, int64_t value)
{
    struct jw w;
    jw_init(&w, out);
    jw_obj(&w);
    jw_key(&w, key), jw_i64(&w, value);
    jw_obj_end(&w);
}
