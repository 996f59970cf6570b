#include "base/csv.h"

#include <string.h>

/* ---- writing ---- */

static void field(struct buf *out, struct str v, bool guard)
{
    double x;
    bool formula = guard && v.n && strchr("=+-@\t\r", v.p[0]) && !str_f64(v, &x), quote = formula;
    for (size_t i = 0; i < v.n && !quote; i++)
        quote = v.p[i] == ',' || v.p[i] == '"' || v.p[i] == '\n' || v.p[i] == '\r';
    if (quote)
        buf_char(out, '"');
    if (formula)
        buf_char(out, '\'');
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] == '"')
            buf_char(out, '"');
        buf_char(out, v.p[i]);
    }
    if (quote)
        buf_char(out, '"');
}

static void value(struct buf *out, const struct json *v)
{
    struct buf text;
    if (json_type(v) == JSON_STR) {
        field(out, json_str(v), true);
    } else if (json_type(v) != JSON_NULL) {
        buf_init(&text, 0);
        json_dump(&text, v);
        field(out, (struct str){text.data ? text.data : "", text.len}, false);
        buf_deinit(&text);
    }
}

void csv_rows(struct buf *out, const struct json *rows)
{
    struct str name;
    const struct json *v;
    bool first = true;
    for (void *it = NULL; json_each(json_at(rows, 0), &it, &name, &v); first = false) {
        if (!first)
            buf_char(out, ',');
        field(out, name, true);
    }
    if (!first)
        buf_char(out, '\n');
    for (size_t i = 0; i < json_len(rows); i++) {
        first = true;
        for (void *it = NULL; json_each(json_at(rows, 0), &it, &name, &v); first = false) {
            if (!first)
                buf_char(out, ',');
            value(out, json_get(json_at(rows, i), name.p));
        }
        buf_char(out, '\n');
    }
}

/* ---- reading ---- */

void csv_init(struct csv *c, struct str text)
{
    *c = (struct csv){.rest = text, .next_line = 1};
    if (str_starts(text, "\xef\xbb\xbf"))
        c->rest.p += 3, c->rest.n -= 3;
    buf_init(&c->text, CSV_RECORD_MAX);
}

void csv_deinit(struct csv *c)
{
    buf_deinit(&c->text);
}

static bool fail(const struct csv *c, struct err *e, const char *what)
{
    err_set(e, ERR_BAD_VALUE, "line %zu: %s", c->line, what);
    return false;
}

/* One byte of the text; the end of it is a line end. */
static int take(struct csv *c)
{
    if (!c->rest.n)
        return '\n';
    int b = (unsigned char)*c->rest.p++;
    c->rest.n--;
    if (b == '\r' && c->rest.n && *c->rest.p == '\n')
        c->rest.p++, c->rest.n--, b = '\n';
    c->next_line += b == '\n';
    return b;
}

/* What is within quotes; the byte after the closing one. */
static int quoted(struct csv *c)
{
    while (c->rest.n) {
        int b = take(c);
        if (b != '"')
            buf_char(&c->text, (char)b);
        else if (c->rest.n && *c->rest.p == '"')
            buf_char(&c->text, (char)take(c));
        else
            return take(c);
    }
    return -1;
}

static bool record(struct csv *c, struct err *e)
{
    size_t at[CSV_FIELDS_MAX + 1];
    c->n = 0;
    buf_clear(&c->text);
    for (int b = 0; b != '\n';) {
        if (c->n == CSV_FIELDS_MAX)
            return fail(c, e, "it has more than 64 fields");
        at[c->n++] = c->text.len;
        b = take(c);
        if (b == '"') {
            b = quoted(c);
            if (b != ',' && b != '\n')
                return fail(c, e, b < 0 ? "a quote is not closed" : "something stands after a closing quote");
        }
        for (; b != ',' && b != '\n'; b = take(c)) {
            if (b == '"' || b == 0)
                return fail(c, e, "a quote or a NUL stands within a field that is not quoted");
            buf_char(&c->text, (char)b);
        }
        buf_char(&c->text, 0);
    }
    if (c->text.failed)
        return fail(c, e, "it is longer than 64 KiB");
    at[c->n] = c->text.len;
    for (size_t i = 0; i < c->n; i++)
        c->field[i] = (struct str){c->text.data + at[i], at[i + 1] - at[i] - 1};
    return true;
}

bool csv_next(struct csv *c, struct err *e)
{
    do {
        if (!c->rest.n)
            return false;
        c->line = c->next_line;
        if (!record(c, e))
            return false;
    } while (c->n == 1 && !c->field[0].n);
    return true;
}
