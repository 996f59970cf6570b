/* One request of a load: its text, and the times of what comes back. */
#include "bench/load_int.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/rng.h"
#include "net/sse.h"
#include <stdio.h>
#include <string.h>

/* Common words: most vocabularies have each as one token. */
static const char *const words[] = {"the",  "of",   "and",   "to",    "in",   "is",   "that",  "for",   "it",    "was",  "on",   "are",   "with",
                                    "as",   "at",   "be",    "this",  "have", "from", "or",    "one",   "had",   "by",   "word", "but",   "not",
                                    "what", "all",  "were",  "we",    "when", "your", "can",   "said",  "there", "use",  "each", "which", "she",
                                    "do",   "how",  "their", "if",    "will", "up",   "other", "about", "out",   "many", "then", "them",  "these",
                                    "so",   "some", "her",   "would", "make", "like", "him",   "into",  "time",  "has",  "look", "two"};
enum { WORDS = sizeof words / sizeof *words };

void load_said(struct buf *said, const char *role, const struct buf *text)
{
    struct jw w;
    if (said->len)
        buf_char(said, ',');
    jw_init(&w, said);
    jw_obj(&w);
    jw_key(&w, "role"), jw_str(&w, role);
    jw_key(&w, "content"), jw_strn(&w, text->data ? text->data : "", text->len);
    jw_obj_end(&w);
}

void load_message(struct buf *said, const char *role, const struct load_class *k, uint64_t which, uint64_t tokens)
{
    struct buf text;
    double wanted = ((double)tokens - (said->len ? 0 : k->run->overhead)) / k->run->tokens_per_word;
    uint64_t n = wanted < 1 ? 1 : (uint64_t)(wanted + 0.5);
    buf_init(&text, 0);
    for (uint64_t i = 0; i < n; i++)
        buf_str(&text, i ? " " : ""), buf_str(&text, words[rng_u64(k->run->o->seed + which, k->lane, i, 0) % WORDS]);
    load_said(said, role, &text);
    buf_deinit(&text);
}

struct reading {
    const struct load_run *run;
    struct load_call *call;
    struct sse_reader sse;
    struct buf raw; /* the body of an error */
    uint64_t last_ns;
    bool whole; /* [DONE] came */
};

static double ms_since(const struct reading *r, uint64_t ns)
{
    return (double)(ns - r->call->due_ns) * 1e-6;
}

static void on_text(struct reading *r, struct str text)
{
    uint64_t now = clock_ns();
    if (!r->last_ns)
        r->call->ttft_ms = ms_since(r, now);
    else if (!vec_push(&r->call->gap, (uint32_t)((now - r->last_ns) / 1000)))
        snprintf(r->call->fault, sizeof r->call->fault, "no memory");
    r->last_ns = now;
    buf_add(&r->call->text, text.p, text.n);
}

static void on_event(void *arg, const char *data, size_t n)
{
    struct reading *r = arg;
    struct json *j = NULL;
    if (n == 6 && memcmp(data, "[DONE]", 6) == 0)
        r->whole = true;
    if (json_parse(&j, data, n, NULL) < 0)
        return;
    const struct json *delta = json_get(json_at(json_get(j, "choices"), 0), "delta"), *usage = json_get(j, "usage"), *error = json_get(j, "error");
    struct str text = json_str(json_get(delta, "content"));
    if (!text.n)
        text = json_str(json_get(delta, "reasoning_content"));
    if (text.n)
        on_text(r, text);
    if (json_type(usage) == JSON_OBJ) {
        r->call->prompt = (uint64_t)json_int(json_get(usage, "prompt_tokens"));
        r->call->output = (uint64_t)json_int(json_get(usage, "completion_tokens"));
        r->call->cached = (uint64_t)json_int(json_get(json_get(usage, "prompt_tokens_details"), "cached_tokens"));
    }
    if (json_type(error) == JSON_OBJ)
        snprintf(r->call->fault, sizeof r->call->fault, "%.180s", json_str(json_get(error, "message")).p);
    json_free(j);
}

static bool on_data(void *arg, const char *p, size_t n)
{
    struct reading *r = arg;
    if (r->raw.len < 4096)
        buf_add(&r->raw, p, n < 4096 ? n : 4096);
    return sse_reader_feed(&r->sse, p, n);
}

static bool go_on(void *arg)
{
    return !((struct reading *)arg)->run->stop;
}

static void write_body(struct buf *b, const struct load_class *k, const struct buf *said)
{
    struct jw w;
    jw_init(&w, b);
    jw_obj(&w);
    if (k->run->o->model)
        jw_key(&w, "model"), jw_str(&w, k->run->o->model);
    jw_key(&w, "messages"), jw_arr(&w), jw_raw(&w, said->data, said->len), jw_arr_end(&w); /* objects with commas between them */
    jw_key(&w, "max_tokens"), jw_u64(&w, k->stream->output);
    jw_key(&w, "temperature"), jw_f64(&w, k->run->o->temperature);
    jw_key(&w, "seed"), jw_u64(&w, k->run->o->seed & INT32_MAX);
    jw_key(&w, "stream"), jw_bool(&w, true);
    jw_key(&w, "stream_options"), jw_raw(&w, "{\"include_usage\":true}", 22);
    jw_obj_end(&w);
}

void load_call(const struct load_class *k, struct client *c, const char *key, const struct buf *said, struct load_call *out)
{
    struct reading r = {.run = k->run, .call = out};
    struct client_answer a = {0};
    struct buf body;
    struct err e = {0};
    char url[1024];
    out->due_ns = out->due_ns ? out->due_ns : clock_ns();
    buf_init(&body, 64 << 20), buf_init(&r.raw, 0), buf_init(&out->text, 1 << 20);
    sse_reader_init(&r.sse, on_event, &r);
    write_body(&body, k, said);
    snprintf(url, sizeof url, "%s/v1/chat/completions", k->run->o->url);
    struct client_req q = {.method = "POST",
                           .url = url,
                           .bearer = key,
                           .body = body.data,
                           .n_body = body.len,
                           .total_ms = k->run->o->timeout_ms,
                           .client = c,
                           .on_data = on_data,
                           .go_on = go_on,
                           .arg = &r};
    int rc = client_do(&a, &q, &e);
    out->whole_ms = ms_since(&r, clock_ns());
    out->last_ms = r.last_ns ? ms_since(&r, r.last_ns) : out->whole_ms;
    if (!r.last_ns)
        out->ttft_ms = out->whole_ms; /* an answer without text */
    if (rc < 0)
        snprintf(out->fault, sizeof out->fault, "%.180s", e.msg);
    else if (a.status != 200)
        snprintf(out->fault, sizeof out->fault, "status %d: %.160s", a.status, r.raw.data ? r.raw.data : "");
    else if (!r.whole && !out->fault[0])
        snprintf(out->fault, sizeof out->fault, "the stream ended without its end");
    client_answer_deinit(&a);
    sse_reader_deinit(&r.sse);
    buf_deinit(&body), buf_deinit(&r.raw);
}
