/* Rows for people: aligned columns; numbers to the right. */
#include "base/csv.h"
#include "cli/cli_int.h"
#include <string.h>

enum { COLUMNS_MAX = 24 };
struct column {
    struct str name;
    size_t width;
    bool number;
};

static void value_text(struct buf *out, const struct json *v)
{
    buf_clear(out);
    if (json_type(v) == JSON_STR)
        buf_add(out, json_str(v).p, json_str(v).n);
    else if (json_type(v) != JSON_NULL)
        json_dump(out, v);
    for (size_t i = 0; i < out->len; i++)
        if ((unsigned char)out->data[i] < 32 || out->data[i] == 127)
            out->data[i] = '?'; /* names come from people: no control codes on a terminal */
}

static size_t columns_of(const char *p, size_t n)
{
    size_t w = 0;
    for (size_t i = 0; i < n; i++)
        w += ((unsigned char)p[i] & 0xc0) != 0x80;
    return w;
}

static bool numeric(const struct buf *b)
{
    double x;
    return !b->len || str_f64((struct str){b->data, b->len}, &x);
}

static void put(const char *p, size_t n, size_t width, bool right, bool last)
{
    size_t pad = width > columns_of(p, n) ? width - columns_of(p, n) : 0;
    printf("%*s%.*s%*s%s", right ? (int)pad : 0, "", (int)n, p, right || last ? 0 : (int)pad, "", last ? "\n" : "  ");
}

static size_t measure(const struct json *rows, struct column *col, struct buf *text)
{
    void *it = NULL;
    struct str name;
    const struct json *v;
    size_t n = 0;
    while (n < COLUMNS_MAX && json_each(json_at(rows, 0), &it, &name, &v))
        col[n++] = (struct column){name, columns_of(name.p, name.n), true};
    for (size_t i = 0; i < json_len(rows); i++)
        for (size_t k = 0; k < n; k++) {
            value_text(text, json_get(json_at(rows, i), col[k].name.p));
            size_t w = columns_of(text->data, text->len);
            col[k].width = w > col[k].width ? w : col[k].width;
            col[k].number = col[k].number && numeric(text);
        }
    return n;
}

void json_print(const struct json *j)
{
    struct buf b;
    buf_init(&b, 0);
    json_dump(&b, j);
    printf("%.*s\n", (int)b.len, b.data ? b.data : "");
    buf_deinit(&b);
}

/* An array of flat objects as a table; of anything else, a line for each. */
static void rows_print(const struct json *rows)
{
    struct column col[COLUMNS_MAX];
    struct buf text;
    if (!json_len(rows)) {
        printf("none\n");
        return;
    }
    buf_init(&text, 0);
    size_t n = measure(rows, col, &text);
    for (size_t k = 0; k < n; k++)
        put(col[k].name.p, col[k].name.n, col[k].width, col[k].number, k + 1 == n);
    for (size_t i = 0; i < json_len(rows); i++) {
        for (size_t k = 0; k < n; k++) {
            value_text(&text, json_get(json_at(rows, i), col[k].name.p));
            put(text.data ? text.data : "", text.len, col[k].width, col[k].number, k + 1 == n);
        }
        if (!n) {
            value_text(&text, json_at(rows, i));
            printf("%.*s\n", (int)text.len, text.data ? text.data : "");
        }
    }
    buf_deinit(&text);
}

void table_print(const struct cli *c, const struct json *rows)
{
    struct buf text;
    if (args_flag(c, "csv")) {
        buf_init(&text, 0);
        csv_rows(&text, rows);
        fwrite(text.data ? text.data : "", 1, text.len, stdout);
        buf_deinit(&text);
    } else if (args_flag(c, "json"))
        json_print(rows);
    else
        rows_print(rows);
}

static void line_print(struct str outer, struct str name, const struct json *v, struct buf *text)
{
    char head[128];
    (void)str_fmt(head, sizeof head, "%.*s%s%.*s", (int)outer.n, outer.p, outer.n ? "." : "", (int)name.n, name.p);
    value_text(text, v);
    printf("%-15s %.*s\n", head, (int)text->len, text->data ? text->data : "");
}

void object_print(const struct cli *c, const struct json *obj)
{
    void *it = NULL;
    struct str name, inner;
    const struct json *v, *x;
    struct buf text;
    if (args_flag(c, "json")) {
        json_print(obj);
        return;
    }
    bool table = false; /* the last member was one: a blank line on both sides */
    buf_init(&text, 0);
    while (json_each(obj, &it, &name, &v)) {
        if (table || json_type(v) == JSON_ARR)
            printf("\n");
        table = json_type(v) == JSON_ARR;
        if (table) {
            printf("%.*s\n", (int)name.n, name.p);
            rows_print(v);
        } else if (json_type(v) != JSON_OBJ) {
            line_print(STR(""), name, v, &text);
        } else {
            for (void *at = NULL; json_each(v, &at, &inner, &x);)
                line_print(name, inner, x, &text);
        }
    }
    buf_deinit(&text);
}
