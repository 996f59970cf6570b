/* CSV from anywhere: a fault names a line, and records that were read are the same after they were written with every field in quotes. Any fields
 * that are written so are read as they were. */
#include "base/csv.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void write_field(struct buf *out, struct str f)
{
    buf_char(out, '"');
    for (size_t k = 0; k < f.n; k++) {
        if (f.p[k] == '"')
            buf_char(out, '"');
        buf_char(out, f.p[k] == '\r' ? '_' : f.p[k]); /* before a line end a CR would be a part of it */
    }
    buf_char(out, '"');
}

static void write_record(struct buf *out, const struct csv *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (i)
            buf_char(out, ',');
        write_field(out, c->field[i]);
    }
    buf_char(out, '\n');
}

/* The bytes as fields, cut at each 0xff. */
static void fields(struct str bytes)
{
    struct err e = {0};
    struct csv c;
    struct buf text;
    struct str rest = bytes;
    size_t n = 0;
    buf_init(&text, 0);
    for (; rest.p && n < CSV_FIELDS_MAX; n++) {
        struct str f = str_split(&rest, '\xff');
        if (n)
            buf_char(&text, ',');
        write_field(&text, f);
    }
    csv_init(&c, (struct str){text.data, text.len});
    if (csv_next(&c, &e)) {
        ASSERT(c.n == n);
        rest = bytes;
        for (size_t i = 0; i < n; i++) {
            struct str f = str_split(&rest, '\xff');
            ASSERT(f.n == c.field[i].n);
            for (size_t k = 0; k < f.n; k++)
                ASSERT(c.field[i].p[k] == (f.p[k] == '\r' ? '_' : f.p[k]));
        }
    } else {
        ASSERT(e.code ? bytes.n > CSV_RECORD_MAX / 2 : n <= 1 && !bytes.n);
    }
    csv_deinit(&c);
    buf_deinit(&text);
}

static bool pass(struct str text, struct buf *out, size_t *records)
{
    struct err e = {0};
    struct csv c;
    size_t line = 0;
    csv_init(&c, text);
    *records = 0;
    while (csv_next(&c, &e)) {
        ASSERT(c.n >= 1 && c.n <= CSV_FIELDS_MAX && c.line > line);
        for (size_t i = 0; i < c.n; i++)
            ASSERT(c.field[i].p[c.field[i].n] == 0);
        line = c.line;
        write_record(out, &c);
        ++*records;
    }
    ASSERT(!e.code || (e.code == ERR_BAD_VALUE && strncmp(e.msg, "line ", 5) == 0));
    csv_deinit(&c);
    return !e.code;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct buf once, twice;
    size_t a, b;
    buf_init(&once, 0), buf_init(&twice, 0);
    pass((struct str){(const char *)p, n}, &once, &a);
    ASSERT(!once.failed && pass((struct str){once.data, once.len}, &twice, &b) && a == b);
    ASSERT(once.len == twice.len && (!once.len || !memcmp(once.data, twice.data, once.len)));
    fields((struct str){(const char *)p, n});
    buf_deinit(&once), buf_deinit(&twice);
    return 0;
}
