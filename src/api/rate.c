/* What is left of the caller's rate limits, in the head of every answer to it. */
#include "api/api_int.h"

static void put(struct http *r, const char *what, const struct rate_level *x)
{
    char name[48], text[32];
    if (!x->most)
        return;
    (void)str_fmt(name, sizeof name, "x-ratelimit-limit-%s", what), (void)str_fmt(text, sizeof text, "%llu", (unsigned long long)x->most);
    http_header_add(r, name, text);
    (void)str_fmt(name, sizeof name, "x-ratelimit-remaining-%s", what), (void)str_fmt(text, sizeof text, "%llu", (unsigned long long)x->left);
    http_header_add(r, name, text);
    (void)str_fmt(name, sizeof name, "x-ratelimit-reset-%s", what), clock_duration(text, x->full_ms);
    http_header_add(r, name, text);
}

void rate_headers(struct http *r, void *app)
{
    const struct api *a = app;
    const struct caller *c = http_user(r);
    struct rate_levels x;
    if (!c || !a->ledger || !ledger_rate_levels(a->ledger, &c->who, c->model, &x))
        return;
    put(r, "requests", &x.requests);
    put(r, "tokens", &x.tokens);
}
