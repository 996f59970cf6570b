/* What is left of the caller's rate limits, in the head of every answer to it. */
#include "api/api_int.h"

struct names {
    const char *limit, *remaining, *reset;
};

static void put(struct http *r, const struct names *of, const struct rate_level *x)
{
    char text[32];
    if (!x->most)
        return;
    str_from_u64(text, x->most);
    http_header_add(r, of->limit, text);
    str_from_u64(text, x->left);
    http_header_add(r, of->remaining, text);
    clock_duration(text, x->full_ms);
    http_header_add(r, of->reset, text);
}

void rate_headers(struct http *r, void *app)
{
    const struct api *a = app;
    const struct caller *c = http_user(r);
    static const struct names requests = {"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"};
    static const struct names tokens = {"x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"};
    struct rate_levels x;
    if (!c || !a->ledger || !ledger_rate_levels(a->ledger, &c->who, c->model, &x))
        return;
    put(r, &requests, &x.requests);
    put(r, &tokens, &x.tokens);
}
