/* A receipt as JSON, in the order in which the charge came about. Amounts are decimal strings in the store's currency; nano and exact_nano are
 * nano-units, as strings too, because a JSON number of many readers is a double. */
#include "ledger/receipt_int.h"

#include "base/clock.h"
#include "base/json.h"

#include <string.h>

static void put_text(struct jw *w, const char *key, const char *z)
{
    jw_key(w, key);
    jw_str(w, z);
}

static void put_i64(struct jw *w, const char *key, int64_t v)
{
    jw_key(w, key);
    jw_i64(w, v);
}

static void put_money(struct jw *w, const char *key, int64_t nano)
{
    char text[MONEY_TEXT_MAX];
    money_text(text, (struct money){nano});
    put_text(w, key, text);
}

/* A time, or null for "none". */
static void put_time(struct jw *w, const char *key, int64_t us)
{
    char text[32];
    if (us)
        clock_iso(text, us);
    put_text(w, key, us ? text : NULL);
}

static void put_head(struct jw *w, const struct receipt *r, const char *currency)
{
    put_text(w, "object", "sluice.receipt"), put_text(w, "request", r->request);
    put_text(w, "account", r->account), put_text(w, "project", r->project);
    jw_key(w, "key"), jw_obj(w);
    put_text(w, "id", r->key_id), put_text(w, "name", r->key_name), put_text(w, "last4", r->key_last4);
    jw_obj_end(w);
    jw_key(w, "model"), jw_obj(w);
    put_text(w, "alias", r->alias), put_text(w, "revision", r->revision), put_text(w, "digest", r->digest);
    jw_obj_end(w);
    put_time(w, "start", r->start_us), put_time(w, "first", r->first_us), put_time(w, "end", r->end_us);
    put_text(w, "reason", r->reason >= 0 && r->reason <= FINISH_CRASH ? reason_names[r->reason] : "unknown");
    put_i64(w, "status", r->status);
    jw_key(w, "stream"), jw_bool(w, r->stream);
    put_text(w, "currency", currency);
    jw_key(w, "price"), jw_obj(w);
    put_i64(w, "version", r->version), put_text(w, "tier", r->tier), put_time(w, "effective", r->effective_us);
    jw_key(w, "contract"), jw_bool(w, r->contract);
    put_i64(w, "list_version", r->list_version), put_i64(w, "from_tokens", r->from_tokens);
    jw_obj_end(w);
}

/* Every meter that a request of this scope has, also those that counted nothing. */
static bool told(const struct receipt *r, int i)
{
    return r->meter[i].quantity || strcmp(scope_names[meters[i].scope], r->scope) == 0;
}

static void put_meter(struct jw *w, int i, const struct receipt_meter *m)
{
    char nano[24] = "";
    (void)str_fmt(nano, sizeof nano, "%lld", (long long)m->product.rounded.nano);
    bool tokens = strcmp(meters[i].unit, "token") == 0;
    put_text(w, "meter", meters[i].name);
    jw_key(w, tokens ? "tokens" : "quantity"), jw_u64(w, m->quantity);
    if (!tokens)
        put_text(w, "unit", meters[i].unit);
    put_money(w, "rate", m->rate > 0 ? m->rate : 0);
    put_text(w, "per", meters[i].rate_unit);
    if (m->list_rate != m->rate)
        put_money(w, "list_rate", m->list_rate > 0 ? m->list_rate : 0);
    put_text(w, "exact_nano", m->fits ? m->product.exact : NULL), put_text(w, "rounding", m->fits ? m->product.rounding : NULL);
    put_text(w, "nano", m->fits ? nano : NULL), put_money(w, "amount", m->fits ? m->product.rounded.nano : INT64_MAX);
}

/* The part that costs nothing, because a reservation was bought. */
static void put_reservation(struct jw *w, const struct receipt *r)
{
    char units[32], text[64];
    if (!r->reservation)
        return;
    (void)str_fmt(units, sizeof units, "%lld.%03lld", (long long)(r->cover_units / 1000), (long long)(r->cover_units % 1000));
    (void)str_fmt(text, sizeof text, "covered by reservation %lld", (long long)r->reservation);
    jw_key(w, "reservation"), jw_obj(w);
    put_i64(w, "reservation", r->reservation), put_text(w, "why", text), put_time(w, "hour", r->cover_hour_us), put_text(w, "weighed_tokens", units);
    put_i64(w, "input", r->covered.input), put_i64(w, "cache_read", r->covered.cache_read), put_i64(w, "cache_write", r->covered.cache_write);
    put_i64(w, "output", r->covered.output), put_i64(w, "reasoning", r->covered.reasoning);
    jw_obj_end(w);
}

static void put_meters(struct jw *w, const struct receipt *r)
{
    jw_key(w, "meters"), jw_arr(w);
    for (int i = 0; i < METER_COUNT; i++)
        if (told(r, i)) {
            jw_obj(w);
            put_meter(w, i, &r->meter[i]);
            jw_obj_end(w);
        }
    jw_arr_end(w);
}

static void put_charge(struct jw *w, const struct receipt *r)
{
    put_money(w, "list", r->list), put_money(w, "discount", r->discount), put_money(w, "contracted", r->contracted);
    jw_key(w, "hold"), jw_obj(w);
    put_time(w, "placed", r->placed_us), put_i64(w, "input", r->input), put_i64(w, "output", r->output);
    put_text(w, "scope", r->scope), put_money(w, "of_scope", r->amount_scope), put_money(w, "of_any", r->amount_any);
    put_money(w, "amount", r->held);
    jw_obj_end(w);
    put_money(w, "charged", r->charged), put_money(w, "waived", r->waived), put_money(w, "released", r->released);
    put_money(w, "refunded", r->refunded);
}

/* Why this grant paid at this place, by the rule that tells it from the one before. */
static void why(char *out, size_t cap, const struct grant *before, const struct grant *g)
{
    enum grant_rule rule;
    if (!before) {
        (void)str_fmt(out, cap, "first in order");
        return;
    }
    (void)grant_compare(before, g, &rule);
    long long b = before->id;
    switch (rule) {
    case RULE_MODELS: (void)str_fmt(out, cap, "models: every one after named ones (grant %lld)", b); break;
    case RULE_SCOPE: (void)str_fmt(out, cap, "scope: %s after %s (grant %lld)", scope_names[g->scope], scope_names[before->scope], b); break;
    case RULE_PRIORITY: (void)str_fmt(out, cap, "priority: %d after %d (grant %lld, used up)", g->priority, before->priority, b); break;
    case RULE_EXPIRY: (void)str_fmt(out, cap, "expiry: later than grant %lld (used up)", b); break;
    case RULE_FUNDING:
        (void)str_fmt(out, cap, "funding: %s after %s (grant %lld, used up)", funding_names[g->funding], funding_names[before->funding], b);
        break;
    case RULE_ID: (void)str_fmt(out, cap, "id: after grant %lld (used up), else alike", b); break;
    }
}

static void put_grants(struct jw *w, const struct receipt *r)
{
    jw_key(w, "grants"), jw_arr(w);
    for (size_t i = 0; i < r->grants.n; i++) {
        const struct receipt_grant *p = &r->grants.p[i];
        char text[128];
        why(text, sizeof text, i ? &p[-1].g : NULL, &p->g);
        jw_obj(w);
        put_i64(w, "order", (int64_t)i + 1), put_i64(w, "grant", p->g.id), put_money(w, "paid", p->amount);
        put_money(w, "refunded", p->refunded);
        put_text(w, "scope", p->known ? scope_names[p->g.scope] : ""), put_text(w, "models", p->g.models ? p->g.models : "all");
        put_i64(w, "priority", p->g.priority), put_time(w, "expires", p->g.expires_us);
        put_text(w, "funding", p->known ? funding_names[p->g.funding] : ""), put_i64(w, "transaction", p->txn);
        put_text(w, "why", text);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

static void put_books(struct jw *w, const struct receipt *r)
{
    jw_key(w, "transactions"), jw_arr(w);
    for (size_t i = 0; i < r->grants.n; i++) {
        const struct receipt_grant *p = &r->grants.p[i];
        jw_obj(w);
        put_i64(w, "transaction", p->txn), put_time(w, "posted", p->posted_us), put_i64(w, "grant", p->g.id);
        put_i64(w, "requests", p->n_usage), put_money(w, "amount", p->txn_amount), put_money(w, "of_this", p->amount);
        put_money(w, "entries_sum", p->txn_sum);
        jw_obj_end(w);
    }
    jw_arr_end(w);
    jw_key(w, "entries"), jw_arr(w);
    for (size_t i = 0; i < r->entries.n; i++) {
        const struct receipt_entry *n = &r->entries.p[i];
        jw_obj(w);
        put_i64(w, "transaction", n->txn), put_i64(w, "line", n->line), put_text(w, "account", n->account), put_money(w, "amount", n->amount);
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

void receipt_write(const struct receipt *r, const char *currency, struct buf *out)
{
    struct jw w;
    jw_init(&w, out);
    jw_obj(&w);
    put_head(&w, r, currency);
    put_meters(&w, r);
    put_i64(&w, "accepted_draft", r->accepted_draft);
    put_reservation(&w, r);
    put_charge(&w, r);
    put_grants(&w, r);
    put_books(&w, r);
    jw_key(&w, "agrees"), jw_bool(&w, r->n_differences == 0);
    jw_key(&w, "differences"), jw_arr(&w);
    for (size_t i = 0; i < r->n_differences; i++)
        jw_str(&w, r->difference[i]);
    jw_arr_end(&w);
    jw_obj_end(&w);
}
