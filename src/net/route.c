#include "net/route.h"
#include "base/mem.h"
#include <string.h>

enum kind { REST, PARAM, LITERAL }; /* a higher kind wins over a lower one */

struct segment {
    enum kind  kind;
    struct str text; /* the literal, or the parameter's name */
};

struct row {
    const struct route *route;
    int                 n;
    struct segment      seg[ROUTE_SEGMENTS_MAX];
    uint64_t            rank; /* two bits a segment, the first segment highest */
};

struct route_table {
    size_t     n;
    struct row row[];
};

/* Cuts the next segment from a pattern. */
static struct segment segment_next(struct str *rest)
{
    struct str s = str_split(rest, '/');
    if (s.n > 3 && s.p[0] == '{' && str_ends(s, "*}"))
        return (struct segment){REST, {s.p + 1, s.n - 3}};
    if (s.n > 2 && s.p[0] == '{' && str_ends(s, "}"))
        return (struct segment){PARAM, {s.p + 1, s.n - 2}};
    return (struct segment){LITERAL, s};
}

static int row_compile(struct row *row, const struct route *r, struct err *e)
{
    struct str rest = str_of(r->pattern);
    int        params = 0;
    *row = (struct row){.route = r};
    if (rest.n == 0 || rest.p[0] != '/' || !r->fn)
        return err_set(e, ERR_INTERNAL, "net: route \"%s\" needs a pattern that begins with a slash, and a function", r->pattern);
    rest = (struct str){rest.p + 1, rest.n - 1};
    while (rest.p) {
        struct segment s = segment_next(&rest);
        params += s.kind != LITERAL;
        if (row->n == ROUTE_SEGMENTS_MAX || params > ROUTE_PARAMS_MAX || (s.kind == REST && rest.p))
            return err_set(e, ERR_INTERNAL, "net: route \"%s\" has too many segments or parameters, or {name*} before its end", r->pattern);
        row->rank |= (uint64_t)(s.kind + 1) << (62 - 2 * row->n);
        row->seg[row->n++] = s;
    }
    return 0;
}

int route_table_new(struct route_table **out, const struct route *rows, size_t n, struct err *e)
{
    size_t              bytes;
    struct route_table *t = ck_mul(n, sizeof(struct row), &bytes) && ck_add(bytes, sizeof *t, &bytes) ? mem_new(bytes) : NULL;
    if (!t)
        return err_set(e, ERR_NO_MEMORY, "net: no memory for %zu routes", n);
    for (size_t i = 0; i < n; i++) {
        struct row row;
        int        rc = row_compile(&row, &rows[i], e);
        if (rc) {
            mem_free(t);
            return rc;
        }
        size_t at = t->n++;
        for (; at > 0 && t->row[at - 1].rank < row.rank; at--)
            t->row[at] = t->row[at - 1];
        t->row[at] = row;
    }
    *out = t;
    return 0;
}

void route_table_free(struct route_table *t) { mem_free(t); }

/* Does the row match, and where do its parameters lie? Empty segments match nothing but an empty literal ("/" is one). */
static bool row_match(const struct row *row, const char *path, const struct http1_span *seg, int n, struct http1_span *param)
{
    bool rest = row->seg[row->n - 1].kind == REST;
    if (rest ? n < row->n : n != row->n)
        return false;
    int params = 0;
    for (int i = 0; i < row->n; i++) {
        const struct segment *s = &row->seg[i];
        struct str            have = {path + seg[i].at, seg[i].n};
        if (s->kind == LITERAL ? !str_eq(s->text, have) : have.n == 0)
            return false;
        if (s->kind != LITERAL)
            param[params++] = seg[i];
    }
    if (!rest)
        return true;
    for (int i = row->n; i < n; i++)
        if (seg[i].n == 0)
            return false;
    struct http1_span *last = &param[params - 1];
    last->n = (uint16_t)(seg[n - 1].at + seg[n - 1].n - last->at);
    return true;
}

void route_match(const struct route_table *t, enum http_method m, const char *path, const struct http1_span *seg, int n, struct route_match *out)
{
    const struct row *best = NULL;
    *out = (struct route_match){.route = NULL};
    for (size_t i = 0; i < t->n; i++) {
        const struct row *row = &t->row[i];
        struct http1_span param[ROUTE_PARAMS_MAX] = {{0, 0}};
        if ((best && row->rank < best->rank) || !row_match(row, path, seg, n, param))
            continue;
        enum http_method has = row->route->method;
        out->allow |= 1u << has | (has == HTTP_GET ? 1u << HTTP_HEAD : 0);
        if (has == m || (!best && m == HTTP_HEAD && has == HTTP_GET)) {
            best = row;
            memcpy(out->param, param, sizeof param);
            if (has == m)
                break;
        }
    }
    out->route = best ? best->route : NULL;
}

int route_param(const struct route *r, const char *name)
{
    struct str rest = str_of(r->pattern + 1);
    for (int i = 0; rest.p;) {
        struct segment s = segment_next(&rest);
        if (s.kind == LITERAL)
            continue;
        if (str_eqz(s.text, name))
            return i;
        i++;
    }
    return -1;
}
