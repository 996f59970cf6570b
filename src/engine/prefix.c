/* Pages that are found again. A full page is never written any more; it goes into the index of its model's pool by what its content depends
 * on: the tenant's salt (of what is published one that no tenant has), the RoPE
 * class of the sequence (model_reach_class), its own 64 tokens and the page before it, so by all tokens before
 * too. A sequence that needs such a page shares it, whether its other users live or have ended; kv.c keeps those without a user until their
 * memory is wanted.
 *
 * A hit is certain, not likely. The hash (keyed by the salt, so that nobody can aim at a bucket) only finds candidates; salt, class, tokens and
 * page before are then compared. The page before is compared by its place and by how often that place was in the index (its life), so that what
 * came after a page that was forgotten is never found behind another one. That happens only where windows slide (seq_slide): else who holds a page
 * holds all before it, and of pages that nobody holds the later ones in a text are forgotten first (seq_drop_pages). */
#include "base/hash.h"
#include "base/mem.h"
#include "engine/engine_int.h"
#include <string.h>

static uint32_t *bucket(const struct prefix *x, const struct prefix_page *p)
{
    struct {
        int32_t tokens[KV_PAGE];
        uint32_t reach, before;
        uint64_t before_life;
    } key = {.reach = p->reach, .before = p->before, .before_life = p->before_life};
    memcpy(key.tokens, p->tokens, sizeof key.tokens);
    return &x->heads[siphash(p->salt, &key, sizeof key) & x->mask];
}

static bool same(const struct prefix_page *a, const struct prefix_page *b)
{
    return a->before == b->before && a->before_life == b->before_life && a->reach == b->reach &&
           memcmp(a->tokens, b->tokens, sizeof a->tokens) == 0 && memcmp(a->salt, b->salt, sizeof a->salt) == 0;
}

/* The page before p; NULL: there is none, or it was forgotten. */
static struct prefix_page *page_before(struct prefix *x, const struct prefix_page *p)
{
    struct prefix_page *b = p->before ? &x->pages[p->before - 1] : NULL;
    return b && b->known && b->life == p->before_life ? b : NULL;
}

static void forget(void *arg, uint32_t id)
{
    struct prefix *x = arg;
    struct prefix_page *p = &x->pages[id], *b = page_before(x, p);
    ASSERT(p->known && (p->after == 0 || x->slides));
    uint32_t *at = bucket(x, p);
    while (*at != id + 1)
        at = &x->pages[*at - 1].chain;
    *at = p->chain;
    part_remove(x, id);
    if (b)
        b->after--;
    p->known = false;
}

int prefix_new(struct prefix **out, struct kv_pool *pool, bool slides, struct err *e)
{
    struct prefix *x = *out = mem_new(sizeof *x);
    uint32_t n = 1;
    while (n < pool->n_pages)
        n *= 2;
    if (x) { /* zeros, which cost memory when pages do */
        x->pool = pool;
        x->slides = slides;
        random_bytes(x->public_salt, sizeof x->public_salt);
        x->mask = n - 1;
        x->pages = mem_pages(pool->n_pages * sizeof *x->pages);
        x->heads = mem_pages(n * sizeof *x->heads);
        x->followers = mem_pages(n * sizeof *x->followers);
    }
    if (!x || !x->pages || !x->heads || !x->followers) {
        prefix_free(x);
        *out = NULL;
        return err_set(e, ERR_NO_MEMORY, "engine: no memory for the index of %u KV pages; lower kv-memory", pool->n_pages);
    }
    pool->forget = forget;
    pool->forget_arg = x;
    return 0;
}

void prefix_free(struct prefix *x)
{
    if (!x)
        return;
    mem_pages_free(x->pages, x->pool->n_pages * sizeof *x->pages);
    mem_pages_free(x->heads, ((size_t)x->mask + 1) * sizeof *x->heads);
    mem_pages_free(x->followers, ((size_t)x->mask + 1) * sizeof *x->followers);
    mem_free(x);
}

uint64_t prefix_bytes(const struct prefix *x)
{
    return x ? x->pool->n_touched * (sizeof *x->pages + sizeof *x->heads + sizeof *x->followers) : 0;
}

/* What page i of s holds or will hold. */
static struct prefix_page page_of(const struct prefix *x, const struct seq *s, uint32_t i)
{
    struct prefix_page p = {.reach = s->reach, .before = i > 0 ? kv_page_id(x->pool, s->pages.p[i - 1]) + 1 : 0};
    ASSERT(i == 0 || x->pages[p.before - 1].known);
    p.before_life = i > 0 ? x->pages[p.before - 1].life : 0;
    memcpy(p.tokens, s->tokens.p + (size_t)i * KV_PAGE, sizeof p.tokens);
    memcpy(p.salt, s->tenant.kv_salt, sizeof p.salt);
    return p;
}

static bool is_public(const struct prefix *x, const struct prefix_page *p)
{
    return memcmp(p->salt, x->public_salt, sizeof p->salt) == 0;
}

/* Its address in the pool; NULL: nobody has computed it, or it was forgotten. */
static void *find(const struct prefix *x, const struct prefix_page *p)
{
    uint32_t id = *bucket(x, p);
    while (id && !same(&x->pages[id - 1], p))
        id = x->pages[id - 1].chain;
    return id ? kv_page_at(x->pool, id - 1) : NULL;
}

/* A page that may stand for p: published, when all before it is, or the tenant's own. */
static void *find_any(const struct prefix *x, const struct prefix_page *p)
{
    struct prefix_page public = *p;
    void *page = NULL;
    memcpy(public.salt, x->public_salt, sizeof public.salt);
    if (p->before == 0 || is_public(x, &x->pages[p->before - 1]))
        page = find(x, &public);
    return page ? page : find(x, p);
}

uint32_t prefix_may_skip(const struct seq *s)
{
    uint32_t n = (uint32_t)s->tokens.n - 1;
    if (s->prompt_logprobs && s->n_scored < s->n_prompt)
        n = s->n_scored > 0 ? s->n_scored - 1 : 0;
    if (s->kind == SEQ_EMBED && s->pooling != POOL_LAST && (s->pooling == POOL_MEAN || s->n_pooled == 0))
        n = s->n_pooled < n ? s->n_pooled : n;
    return n;
}

/* Puts a page that was found in the place of the own one, if there is one, and holds it. */
static void put_in(struct kv_pool *pool, struct seq *s, uint32_t i, void *page)
{
    kv_page_ref(pool, page);
    if (i < s->pages.n)
        kv_page_put(pool, s->pages.p[i]);
    else
        s->pages.n = i + 1;
    s->pages.p[i] = page;
}

void prefix_found(struct seq *s, uint32_t was)
{
    seq_slide(s);
    uint32_t from = was > s->n_paid ? was : s->n_paid;
    s->n_found += s->n_kv > from ? s->n_kv - from : 0;
}

void prefix_take(struct seq *s)
{
    const struct prefix *x = s->model->prefix;
    const uint32_t was = s->n_kv, end = prefix_may_skip(s) / KV_PAGE;
    uint32_t i = was / KV_PAGE;
    if (!x || i >= end || !vec_reserve(&s->pages, end))
        return;
    for (; i < end; i++) {
        struct prefix_page want = page_of(x, s, i);
        void *page = find_any(x, &want);
        if (!page)
            break;
        put_in(x->pool, s, i, page);
        s->n_kv = (i + 1) * KV_PAGE;
    }
    prefix_found(s, was);
}

void prefix_give(struct seq *s, uint32_t before)
{
    struct prefix *x = s->model->prefix;
    for (uint32_t i = before / KV_PAGE; x && i < s->n_kv / KV_PAGE; i++) {
        struct prefix_page p = page_of(x, s, i);
        void *other = find_any(x, &p);
        if (other) { /* it was computed twice at a time: the same bits */
            put_in(x->pool, s, i, other);
            continue;
        }
        uint32_t id = kv_page_id(x->pool, s->pages.p[i]), *head = bucket(x, &p);
        p.known = true;
        p.life = x->pages[id].life + 1;
        p.chain = *head;
        x->pages[id] = p;
        *head = id + 1;
        part_add(x, id);
        if (p.before)
            x->pages[p.before - 1].after++;
        kv_page_keep(x->pool, s->pages.p[i], (uint8_t)(siphash(x->public_salt, p.salt, sizeof p.salt) % KV_OWNERS));
    }
}

void prefix_touch_before(struct prefix *x, uint32_t id)
{
    for (const struct prefix_page *p = &x->pages[id]; (p = page_before(x, p));)
        kv_page_touch(x->pool, (uint32_t)(p - x->pages));
}

bool prefix_shadows(const struct seq *r, const struct seq *s)
{
    const uint32_t i = s->n_kv / KV_PAGE, at = i * KV_PAGE, end = at + KV_PAGE;
    if (!s->model->prefix || r->model != s->model || r->state != ST_RUN || r->starved || r->priority < s->priority || r->reach != s->reach ||
        r->n_kv / KV_PAGE != i || r->n_kv + r->rows <= s->n_kv || prefix_may_skip(s) < end || r->n_kv + seq_rows_ready(r) < end)
        return false;
    return memcmp(r->tenant.kv_salt, s->tenant.kv_salt, sizeof r->tenant.kv_salt) == 0 && (i == 0 || r->pages.p[i - 1] == s->pages.p[i - 1]) &&
           memcmp(r->tokens.p + at, s->tokens.p + at, KV_PAGE * sizeof *r->tokens.p) == 0;
}
