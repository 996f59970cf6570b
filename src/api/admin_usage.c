/* The usage explorer as a call: an operator's over all accounts, a key's over its own. */
#include "api/reports.h"

#include "api/admin_args.h"
#include "base/csv.h"

#include <string.h>

/* A date is one of the zone's: midnight on its clocks. A time says itself that it is UTC. */
static int zone_date(const struct json *args, const char *name, const struct zone *z, int64_t *out, struct err *e)
{
    const char *text;
    int rc = arg_date(args, name, out, e);
    if (rc < 0 || (rc = arg_text(args, name, false, &text, e)) < 0)
        return rc;
    if (text && !strchr(text, 'T'))
        *out = zone_utc(z, *out / 1000000) * 1000000;
    return 0;
}

static int dates(const struct json *args, struct usage_filter *f, struct err *e)
{
    struct zone z;
    int rc = arg_text(args, "tz", false, &f->tz, e);
    if (rc < 0 || (rc = zone_open(&z, f->tz, e)) < 0)
        return rc;
    rc = zone_date(args, "since", &z, &f->since_us, e);
    if (rc == 0)
        rc = zone_date(args, "until", &z, &f->until_us, e);
    zone_close(&z);
    return rc;
}

static int filter_read(struct usage_filter *f, const struct json *args, struct err *e)
{
    int64_t limit;
    int rc;
    *f = (struct usage_filter){0};
    if ((rc = arg_text(args, "account", false, &f->account, e)) < 0 || (rc = arg_text(args, "model", false, &f->model, e)) < 0 ||
        (rc = arg_text(args, "project", false, &f->project, e)) < 0 || (rc = arg_text(args, "key", false, &f->key, e)) < 0 ||
        (rc = arg_text(args, "scope", false, &f->scope, e)) < 0 || (rc = arg_text(args, "metric", false, &f->metrics, e)) < 0 ||
        (rc = arg_text(args, "after", false, &f->after, e)) < 0 || (rc = arg_text(args, "group", false, &f->group, e)) < 0 ||
        (rc = arg_int(args, "limit", 1, USAGE_ROWS_MAX, 1000, &limit, e)) < 0 || (rc = dates(args, f, e)) < 0)
        return rc;
    f->limit = (uint32_t)limit;
    return 0;
}

/* "total" and where the next page begins, after the rows. */
static void page_put(struct buf *out, const struct usage_page *p, const struct buf *total)
{
    buf_str(out, ",\"total\":"), buf_add(out, total->data ? total->data : "null", total->data ? total->len : 4);
    buf_str(out, p->next[0] ? ",\"has_more\":true,\"next_page\":\"" : ",\"has_more\":false,\"next_page\":null");
    if (p->next[0])
        buf_str(out, p->next), buf_char(out, '"');
    buf_char(out, '}');
}

static int page(struct ledger *l, const struct usage_filter *f, struct buf *out, struct err *e)
{
    struct buf total;
    struct usage_page p = {.total = &total};
    buf_init(&total, 0);
    buf_str(out, "{\"object\":\"list\",\"data\":");
    int rc = ledger_usage_page(l, f, &p, out, e);
    page_put(out, &p, &total);
    buf_deinit(&total);
    return rc;
}

int admin_usage(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct usage_filter f;
    int rc = filter_read(&f, args, e);
    if (rc < 0)
        return rc;
    return arg_given(args, "page") ? page(l, &f, out, e) : ledger_report_usage(l, &f, out, e);
}

int usage_of(struct work *w, struct err *e)
{
    struct usage_filter f;
    struct json *rows = NULL;
    const char *format;
    struct buf text;
    int rc = filter_read(&f, w->args, e);
    if (rc < 0 || (rc = arg_text(w->args, "format", false, &format, e)) < 0)
        return rc;
    f.account = w->who.org_name; /* never another's */
    if (!format || strcmp(format, "json") == 0)
        return page(w->api->ledger, &f, &w->out, e);
    if (strcmp(format, "csv") != 0)
        return err_param(e, ERR_BAD_VALUE, "format", "format '%.16s' is unknown; use json or csv", format);
    w->type = "text/csv; charset=utf-8";
    buf_init(&text, 64 << 20);
    rc = ledger_report_usage(w->api->ledger, &f, &text, e);
    if (rc == 0)
        rc = json_parse(&rows, text.data, text.len, e);
    if (rc == 0)
        csv_rows(&w->out, rows);
    json_free(rows);
    buf_deinit(&text);
    return rc;
}
