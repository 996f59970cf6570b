/* What the three benchmarks share: numbers of the command line, a progress line, a table or CSV at the end. */
#include "cli/bench_out.h"
#include <string.h>
#include <unistd.h>

void bench_progress(void *arg, const char *text)
{
    (void)arg;
    if (isatty(2))
        fprintf(stderr, "\r\033[K%s", text);
}

void bench_progress_end(void)
{
    if (isatty(2))
        fprintf(stderr, "\r\033[K");
}

int bench_number(const struct cli *c, const char *flag, uint64_t dflt, uint64_t max, uint64_t *out, struct err *e)
{
    const char *v = args_flag(c, flag);
    *out = dflt;
    return !v || (str_u64(str_of(v), out) && *out > 0 && *out <= max)
               ? 0
               : err_set(e, ERR_USAGE, "--%s %s must be a whole number from 1 to %llu", flag, v, (unsigned long long)max);
}

/* "1,2,4": n numbers. */
int bench_numbers(const struct cli *c, const char *flag, const char *dflt, uint64_t min, uint64_t max, uint64_t *out, size_t *n, struct err *e)
{
    const char *v = args_flag(c, flag);
    struct str rest = str_of(v ? v : dflt);
    for (*n = 0; rest.n;) {
        struct str one = str_split(&rest, ',');
        if (*n == BENCH_CASES_MAX || !str_u64(one, &out[*n]) || out[*n] < min || out[*n] > max)
            return err_set(e, ERR_USAGE, "--%s %s must be up to %d whole numbers from %llu to %llu with commas between them", flag, v ? v : dflt,
                           BENCH_CASES_MAX, (unsigned long long)min, (unsigned long long)max);
        ++*n;
    }
    return 0;
}

static void csv_value(struct buf *out, const struct json *v)
{
    if (json_type(v) == JSON_STR) {
        struct str s = json_str(v);
        bool quote = memchr(s.p, ',', s.n) || memchr(s.p, '"', s.n);
        buf_str(out, quote ? "\"" : "");
        for (size_t i = 0; i < s.n; i++)
            buf_str(out, s.p[i] == '"' ? "\"\"" : (char[2]){s.p[i], 0});
        buf_str(out, quote ? "\"" : "");
    } else if (json_type(v) != JSON_NULL) {
        json_dump(out, v);
    }
}

/* Rows of the same keys in the same order, with a head (RFC 4180). "-": standard output. */
static int csv_save(const char *path, const struct json *rows, struct err *e)
{
    struct buf b;
    struct str key;
    const struct json *v;
    int rc = 0;
    buf_init(&b, 0);
    for (size_t i = 0; i <= json_len(rows); i++) {
        void *it = NULL;
        for (bool first = true; json_each(json_at(rows, i ? i - 1 : 0), &it, &key, &v); first = false) {
            buf_str(&b, first ? "" : ",");
            if (i == 0)
                buf_add(&b, key.p, key.n);
            else
                csv_value(&b, v);
        }
        buf_char(&b, '\n');
    }
    if (strcmp(path, "-") == 0)
        fwrite(b.data, 1, b.len, stdout);
    else
        rc = os_write_file(path, b.data, b.len, 0644, e);
    buf_deinit(&b);
    return rc;
}

int bench_print(const struct cli *c, struct buf *rows, struct err *e)
{
    struct json *j = NULL;
    const char *path = args_flag(c, "csv");
    int rc = json_parse(&j, rows->data ? rows->data : "[]", rows->data ? rows->len : 2, e);
    if (rc >= 0 && path)
        rc = csv_save(path, j, e);
    if (rc >= 0 && !(path && strcmp(path, "-") == 0))
        table_print(c, j);
    json_free(j);
    return rc;
}

void bench_put(struct jw *w, const char *key, double v, int decimals)
{
    char t[48];
    snprintf(t, sizeof t, "%.*f", decimals, v);
    if (strchr(t, '.')) { /* a whole number is one: json_dump would write 20.0 as 2e+01 */
        size_t n = strlen(t);
        while (t[n - 1] == '0')
            n--;
        t[t[n - 1] == '.' ? n - 1 : n] = '\0';
    }
    jw_key(w, key), jw_raw(w, t, strlen(t));
}
