#include "ledger/report_int.h"

#include "base/clock.h"

#include <string.h>

int report_begin(struct ledger *l, struct err *e)
{
    int rc = queue_flush(l, e);
    if (rc < 0)
        return rc;
    mutex_lock(&l->reader_lock);
    if ((rc = db_begin(l->reader, e)) < 0)
        mutex_unlock(&l->reader_lock);
    return rc;
}

void report_end(struct ledger *l)
{
    db_rollback(l->reader);
    mutex_unlock(&l->reader_lock);
}

static int each(struct stmt *s, report_fn *fn, void *arg, struct err *e)
{
    bool row = true;
    int rc = 0;
    while (rc == 0 && row) {
        rc = stmt_step(s, &row, e);
        if (rc == 0 && row)
            rc = fn(arg, s, e);
    }
    stmt_put(s);
    return rc;
}

int report_each(struct ledger *l, struct sql sql, const int64_t bind[4], report_fn *fn, void *arg, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->reader, sql, e);
    if (rc < 0)
        return rc;
    for (int i = 0; bind && i < 4 && strchr(sql.text, '?'); i++) {
        char mark[4] = {'?', (char)('1' + i), 0, 0};
        if (strstr(sql.text, mark))
            stmt_i64(s, i + 1, bind[i]);
    }
    return each(s, fn, arg, e);
}

static int one(void *arg, struct stmt *s, struct err *e)
{
    (void)e;
    *(int64_t *)arg = stmt_col_i64(s, 0);
    return 0;
}

int report_one(struct ledger *l, struct sql sql, const char *text, const int64_t bind[2], int64_t *out, struct err *e)
{
    struct stmt *s;
    *out = 0;
    int rc = stmt_get(&s, l->reader, sql, e);
    if (rc < 0)
        return rc;
    if (text)
        stmt_text(s, 1, text);
    for (int i = 0; bind && i < 2; i++) {
        char mark[4] = {'?', (char)('1' + i + (text != NULL)), 0, 0};
        if (strstr(sql.text, mark))
            stmt_i64(s, i + 1 + (text != NULL), bind[i]);
    }
    return each(s, one, out, e);
}

/* ---- columns ---- */

void report_money(struct jw *w, const char *key, int64_t nano)
{
    char text[MONEY_TEXT_MAX];
    money_text(text, (struct money){nano});
    jw_key(w, key);
    jw_str(w, text);
}

void report_text(struct jw *w, const char *key, struct str v)
{
    jw_key(w, key);
    jw_strn(w, v.p ? v.p : "", v.n);
}

void report_i64(struct jw *w, const char *key, int64_t v)
{
    jw_key(w, key);
    jw_i64(w, v);
}

void report_time(struct jw *w, const char *key, int64_t us)
{
    char text[32];
    jw_key(w, key);
    if (us) {
        clock_iso(text, us);
        jw_str(w, text);
    } else {
        jw_null(w);
    }
}

/* ---- names ---- */

void names_init(struct names *n)
{
    map_init(&n->map);
}

void names_deinit(struct names *n)
{
    size_t it = 0;
    struct str k;
    union map_value v;
    while (map_next(&n->map, &it, &k, &v))
        mem_free(v.ptr);
    map_deinit(&n->map);
}

static int names_add(void *arg, struct stmt *s, struct err *e)
{
    struct names *n = arg;
    int64_t id = stmt_col_i64(s, 0);
    struct str text = stmt_col_str(s, 1);
    union map_value old, v = {.ptr = mem_str(text.p ? text.p : "", text.n)};
    if (map_get(&n->map, ID_KEY(id), &old)) {
        mem_free(v.ptr);
        return 0;
    }
    if (v.ptr && map_set(&n->map, ID_KEY(id), v))
        return 0;
    mem_free(v.ptr);
    return err_set(e, ERR_NO_MEMORY, "ledger: no memory for the names of a report");
}

int names_read(struct names *n, struct ledger *l, struct sql sql, struct err *e)
{
    return report_each(l, sql, NULL, names_add, n, e);
}

const char *names_get(const struct names *n, int64_t id)
{
    union map_value v;
    return map_get(&n->map, ID_KEY(id), &v) ? v.ptr : "";
}
