/* `sluice run` with a server: the OpenAI API over DATA/admin.sock, or over a given address. */
#include "base/clock.h"
#include "base/os.h"
#include "cli/cli_int.h"
#include "net/client.h"
#include "net/sse.h"
#include <stdlib.h>

struct remote {
    char sock[PATH_LEN], url[PATH_LEN], key[LEDGER_KEY_MAX];
    char model[256]; /* the server's first or guide, when none is named */
};
struct reading {
    struct ask *ask;
    struct buf raw; /* an error body; streams go through sse */
    struct sse_reader sse;
    struct err err;
    uint64_t first_ns, last_ns;
};

static void note_usage(struct reading *r, const struct json *usage)
{
    const struct json *s = json_get(usage, "sluice");
    int64_t n = json_int(json_get(usage, "completion_tokens"));
    double t = (double)(r->last_ns - r->first_ns) / 1e9;
    if (json_type(usage) == JSON_OBJ)
        str_fmt(r->ask->note, sizeof r->ask->note, "%lld tokens, %.0f tokens/s, cost %s %s, balance %s", (long long)n,
                t > 0 && n > 1 ? (double)(n - 1) / t : 0.0, json_str(json_get(s, "cost")).p, json_str(json_get(s, "currency")).p,
                json_str(json_get(s, "balance")).p);
}

static void on_event(void *arg, const char *data, size_t n)
{
    struct reading *r = arg;
    struct json *j = NULL;
    if (json_parse(&j, data, n, NULL) < 0)
        return; /* [DONE] */
    const struct json *choice = json_at(json_get(j, "choices"), 0), *error = json_get(j, "error");
    struct str text = json_str(json_get(json_get(choice, "delta"), "content"));
    if (text.n) {
        r->last_ns = clock_ns();
        if (!r->first_ns)
            r->first_ns = r->last_ns;
        buf_add(r->ask->answer, text.p, text.n);
        fwrite(text.p, 1, text.n, stdout);
        fflush(stdout);
    }
    if (json_type(error) == JSON_OBJ)
        err_set(&r->err, ERR_UNAVAILABLE, "%s", json_str(json_get(error, "message")).p);
    note_usage(r, json_get(j, "usage"));
    json_free(j);
}

static bool on_data(void *arg, const char *p, size_t n)
{
    struct reading *r = arg;
    if (r->raw.len < 16384)
        buf_add(&r->raw, p, n < 16384 ? n : 16384);
    return sse_reader_feed(&r->sse, p, n);
}

static bool go_on(void *arg)
{
    return !((struct reading *)arg)->ask->stopped();
}

static void write_body(struct buf *b, const struct remote *m, const struct ask *a)
{
    struct jw w;
    jw_init(&w, b);
    jw_obj(&w);
    jw_key(&w, "model"), jw_str(&w, a->model ? a->model : m->model);
    jw_key(&w, "messages");
    struct buf t;
    buf_init(&t, 0);
    json_dump(&t, a->messages);
    jw_raw(&w, t.data, t.len);
    buf_deinit(&t);
    jw_key(&w, "stream"), jw_bool(&w, true);
    jw_key(&w, "stream_options"), jw_raw(&w, "{\"include_usage\":true}", 22);
    jw_key(&w, "temperature"), jw_f64(&w, a->temperature);
    if (a->max_tokens)
        jw_key(&w, "max_tokens"), jw_u64(&w, a->max_tokens);
    if (a->has_seed)
        jw_key(&w, "seed"), jw_i64(&w, a->seed);
    jw_obj_end(&w);
}

static int call(const struct remote *m, struct client_answer *out, const char *method, const char *path, const struct buf *body, struct reading *r,
                struct err *e)
{
    char url[PATH_LEN];
    if (!str_fmt(url, sizeof url, "%s%s", m->url, path))
        return err_set(e, ERR_USAGE, "the url is too long");
    struct client_req q = {.method = method,
                           .url = url,
                           .unix_socket = *m->sock ? m->sock : NULL,
                           .bearer = *m->key ? m->key : NULL,
                           .body = body ? body->data : NULL,
                           .n_body = body ? body->len : 0,
                           .on_data = r ? on_data : NULL,
                           .go_on = r ? go_on : NULL,
                           .arg = r};
    return client_do(out, &q, e);
}

static int ask_remote(void *self, struct ask *a, struct err *e)
{
    struct remote *m = self;
    struct reading r = {.ask = a};
    struct client_answer answer = {0};
    struct buf body;
    buf_init(&r.raw, 64 << 10), buf_init(&body, 0);
    sse_reader_init(&r.sse, on_event, &r);
    write_body(&body, m, a);
    int rc = call(m, &answer, "POST", "/v1/chat/completions", &body, &r, e);
    if (a->stopped()) {
        rc = 0; /* the caller's wish, however the transfer ended */
        str_fmt(a->note, sizeof a->note, "stopped");
    } else if (rc >= 0 && answer.status != 200) {
        rc = error_from_answer(answer.status, &r.raw, e);
    } else if (rc >= 0 && r.err.code != ERR_OK) {
        *e = r.err, rc = -(int)r.err.code;
    }
    client_answer_deinit(&answer);
    sse_reader_deinit(&r.sse);
    buf_deinit(&r.raw), buf_deinit(&body);
    return rc;
}

/* The server's default model: guide, else its first. */
static int find_model(struct remote *m, struct err *e)
{
    struct client_answer a = {0};
    struct json *j = NULL;
    int rc = call(m, &a, "GET", "/v1/models", NULL, NULL, e);
    if (rc >= 0 && a.status != 200)
        rc = error_from_answer(a.status, &a.body, e);
    else if (rc >= 0)
        rc = json_parse(&j, a.body.data ? a.body.data : "", a.body.len, e);
    const struct json *list = json_get(j, "data");
    for (size_t i = 0; rc >= 0 && i < json_len(list); i++) {
        struct str id = json_str(json_get(json_at(list, i), "id"));
        if (i == 0 || str_eqz(id, GUIDE_NAME))
            str_fmt(m->model, sizeof m->model, "%s", id.p);
    }
    json_free(j);
    client_answer_deinit(&a);
    return rc;
}

int run_remote_open(struct asker *out, const char *dir, const char *url, const char *key, struct err *e)
{
    struct remote *m = mem_must(sizeof *m);
    const char *env = getenv("SLUICE_API_KEY");
    int rc = url ? (str_fmt(m->url, sizeof m->url, "%s", url) ? 0 : err_set(e, ERR_USAGE, "the url is too long"))
                 : data_file(m->sock, dir, "admin.sock", e);
    if (rc >= 0 && !url) {
        str_fmt(m->url, sizeof m->url, "http://localhost");
        if (!os_exists(m->sock)) {
            mem_free(m);
            return 1;
        }
    }
    if (rc >= 0 && (key || (env && *env)))
        rc = str_fmt(m->key, sizeof m->key, "%s", key ? key : env) ? 0 : err_set(e, ERR_USAGE, "the key is too long");
    else if (rc >= 0 && demo_key_read(m->key, dir, NULL) < 0)
        m->key[0] = '\0';
    if (rc >= 0)
        rc = find_model(m, e);
    if (rc == -ERR_AUTH && !*m->key)
        rc = err_set(e, ERR_AUTH, "a server is running, but there is no key: give --key, or set SLUICE_API_KEY, or use --local");
    *out = (struct asker){m, ask_remote, mem_free};
    if (rc >= 0)
        return 0;
    mem_free(m);
    return rc == -ERR_UNAVAILABLE && !url ? 1 : rc; /* a socket that a killed server left */
}
