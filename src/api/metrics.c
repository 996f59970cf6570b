/* GET /health and GET /metrics (Prometheus text, no user text in it). */
#include "api/call.h"
#include "base/os.h"
#include "db/db.h"

static const uint64_t edges_us[LATENCY_BUCKETS] = {1000, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 5000000, 30000000, 120000000};

void histogram_add(struct histogram *h, uint64_t us)
{
    h->n++;
    h->sum_us += us;
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        if (us <= edges_us[i])
            h->bucket[i]++;
}

static void put_histogram(struct buf *b, const char *name, const char *help, const struct histogram *h)
{
    buf_fmt(b, "# HELP %s %s\n# TYPE %s histogram\n", name, help, name);
    for (int i = 0; i < LATENCY_BUCKETS; i++)
        buf_fmt(b, "%s_bucket{le=\"%g\"} %llu\n", name, (double)edges_us[i] / 1e6, (unsigned long long)h->bucket[i]);
    buf_fmt(b, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum %.6f\n%s_count %llu\n", name, (unsigned long long)h->n, name, (double)h->sum_us / 1e6, name,
            (unsigned long long)h->n);
}

static void put_head(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_fmt(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_one(struct buf *b, const char *name, const char *type, const char *help, uint64_t v)
{
    put_head(b, name, type, help);
    buf_fmt(b, "%s %llu\n", name, (unsigned long long)v);
}

static void put_api(struct buf *b, const struct api *a)
{
    static const char *const ends[] = {"stop", "length", "budget", "cancel", "error", "crash"};
    static const char *const classes[] = {"499", "1xx", "2xx", "3xx", "4xx", "5xx"};
    const struct api_counts *n = &a->counts;
    uint64_t live = 0;
    for (const struct call *c = a->calls; c; c = c->next)
        live++;
    put_head(b, "sluice_answers_total", "counter", "Chat requests answered, by class of status; 499: the client left.");
    for (int i = 0; i < 6; i++)
        if (i != 1 && i != 3)
            buf_fmt(b, "sluice_answers_total{status=\"%s\"} %llu\n", classes[i], (unsigned long long)n->answers[i]);
    put_head(b, "sluice_ends_total", "counter", "Chat requests that were billed, by reason of their end.");
    for (int i = 0; i < 5; i++)
        buf_fmt(b, "sluice_ends_total{reason=\"%s\"} %llu\n", ends[i], (unsigned long long)n->ends[i]);
    put_head(b, "sluice_billed_tokens_total", "counter", "Tokens of finished requests.");
    buf_fmt(b,
            "sluice_billed_tokens_total{meter=\"input\"} %llu\nsluice_billed_tokens_total{meter=\"cached_input\"} %llu\n"
            "sluice_billed_tokens_total{meter=\"output\"} %llu\n",
            (unsigned long long)n->billed_in, (unsigned long long)n->billed_cached, (unsigned long long)n->billed_out);
    put_one(b, "sluice_delivered_tokens_total", "counter", "Output tokens that the engine handed to the api.", n->delivered);
    put_one(b, "sluice_refused_quota_total", "counter", "Requests refused for want of credit.", n->refused_quota);
    put_one(b, "sluice_refused_rate_total", "counter", "Requests refused by a rate limit.", n->refused_rate);
    put_one(b, "sluice_chats", "gauge", "Chat requests in work.", live);
    put_histogram(b, "sluice_first_token_seconds", "From the request's first byte to its first token.", &n->first_token);
    put_histogram(b, "sluice_request_seconds", "From the request's first byte to its end.", &n->whole);
}

static void put_engine(struct buf *b, struct api *a)
{
    struct engine_stats s = {0};
    a->backend.stats(a->backend.self, &s);
    put_one(b, "sluice_engine_steps_total", "counter", "Steps of the engine.", s.steps);
    put_one(b, "sluice_engine_prefill_tokens_total", "counter", "Prompt tokens computed.", s.prefill_tokens);
    put_one(b, "sluice_engine_decode_tokens_total", "counter", "Tokens sampled.", s.decode_tokens);
    put_one(b, "sluice_engine_draft_tokens_total", "counter", "Rows computed for guessed tokens.", s.draft_tokens);
    put_one(b, "sluice_engine_draft_accepted_tokens_total", "counter", "Guessed tokens that were right.", s.draft_accepted);
    put_one(b, "sluice_engine_running", "gauge", "Sequences in the batch.", s.running);
    put_one(b, "sluice_engine_waiting", "gauge", "Sequences waiting for a place.", s.waiting);
    put_one(b, "sluice_engine_paused", "gauge", "Sequences waiting for credit.", s.paused);
    put_one(b, "sluice_kv_pages_used", "gauge", "KV pages in use.", s.pages_used);
    put_one(b, "sluice_kv_pages", "gauge", "KV pages in all.", s.pages_total);
    put_one(b, "sluice_kv_pages_cached", "gauge", "KV pages that nobody uses and that a prompt may find again: free memory.", s.pages_cached);
    put_one(b, "sluice_prefix_cache_tokens_total", "counter", "Prompt tokens that were taken from the prefix cache.", s.cached_tokens);
    put_one(b, "sluice_prefix_cache_evictions_total", "counter", "Pages of the prefix cache whose memory was wanted.", s.cache_evictions);
    put_one(b, "sluice_kv_backed_bytes", "gauge", "Memory of KV pages, free ones that are kept and their index included.", s.kv_bytes_backed);
}

static void put_shelf(struct buf *b, struct api *a)
{
    struct backend_shelf_stats s;
    if (!a->backend.shelf_stats)
        return;
    a->backend.shelf_stats(a->backend.self, &s);
    put_one(b, "sluice_models", "gauge", "Names that can be called.", s.known);
    put_one(b, "sluice_models_loaded", "gauge", "Models in memory.", s.loaded);
    put_one(b, "sluice_models_memory_bytes", "gauge", "Memory of loaded models, as reckoned.", s.bytes_used);
    put_one(b, "sluice_models_memory_max_bytes", "gauge", "Memory that models may take.", s.bytes_max);
    put_one(b, "sluice_model_loads_total", "counter", "Models loaded.", s.loads);
    put_one(b, "sluice_model_load_failures_total", "counter", "Models that did not load.", s.load_failures);
    put_one(b, "sluice_model_unloads_total", "counter", "Models unloaded.", s.unloads);
    put_one(b, "sluice_model_waiting", "gauge", "Requests that wait for a model.", s.waiting);
    put_one(b, "sluice_model_waits_total", "counter", "Requests that had to wait for a model.", s.waits);
    put_one(b, "sluice_model_waits_refused_total", "counter", "Requests refused because too many waited for models.", s.waits_refused);
    put_one(b, "sluice_model_waits_expired_total", "counter", "Requests that waited too long for a model.", s.waits_expired);
}

void route_metrics(struct http *r, void *app)
{
    struct api *a = app;
    struct buf *b = &a->scratch;
    struct server_counts n = {0};
    buf_clear(b);
    server_count(a->server, &n);
    put_api(b, a);
    put_engine(b, a);
    put_shelf(b, a);
    put_one(b, "sluice_connections", "gauge", "Open connections.", n.open);
    put_one(b, "sluice_connections_total", "counter", "Connections accepted.", n.accepted);
    put_one(b, "sluice_http_requests_total", "counter", "HTTP requests read.", n.requests);
    put_one(b, "sluice_http_refused_total", "counter", "HTTP requests refused by the reader.", n.refused);
    put_one(b, "sluice_http_gone_total", "counter", "Clients that left before their answer was complete.", n.gone);
    put_one(b, "sluice_memory_bytes", "gauge", "Resident memory.", os_rss_bytes());
    put_one(b, "sluice_heap_bytes", "gauge", "Of it, what malloc has given out.", os_heap_bytes());
    put_one(b, "sluice_store_memory_bytes", "gauge", "Of it, memory of the ledger's store: page caches of a bounded size.", db_memory_bytes());
    put_one(b, "sluice_uptime_seconds", "gauge", "Since the start.", (clock_ns() - a->start_ns) / 1000000000);
    http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", b->data, b->len);
}

void route_health(struct http *r, void *app)
{
    struct api *a = app;
    bool ok = a->started && !a->draining && !atomic_load(&a->journal_failed);
    const char *body = ok ? "{\"status\":\"ok\"}" : "{\"status\":\"unavailable\"}";
    http_reply(r, ok ? 200 : 503, "application/json", body, ok ? 15 : 24);
}
