/* Parts of pages. Where texts part in the middle of a page (a system prompt's last tokens, before each user's own), the page of one is of no use
 * as it is to another, but its first positions are what the other would compute: they depend on the tokens up to them alone. They are copied
 * into a page of its own, and it goes on behind them.
 *
 * The source is a page of the index that comes after the same page, the tenant's own or a published one, or a page that a runner of the same
 * tenant has not filled yet. Salt, class, page before and tokens are compared as in prefix.c, so what is copied is certain to be the same. Of
 * many pages after the same one the newest few are looked at: what many have in common the newest have too. */
#include "base/hash.h"
#include "engine/engine_int.h"
#include <string.h>

struct part { /* n positions that can be copied from `page` */
    void    *page;
    uint32_t n;
};

static uint32_t *followers_of(const struct prefix *x, const struct prefix_page *p)
{
    struct {
        uint32_t reach, before;
        uint64_t before_life;
    } key = {p->reach, p->before, p->before_life};
    return &x->followers[siphash(p->salt, &key, sizeof key) & x->mask];
}

void part_add(struct prefix *x, uint32_t id)
{
    uint32_t *newest = followers_of(x, &x->pages[id]);
    x->pages[id].older = *newest;
    x->pages[id].newer = 0;
    if (*newest)
        x->pages[*newest - 1].newer = id + 1;
    *newest = id + 1;
}

void part_remove(struct prefix *x, uint32_t id)
{
    const struct prefix_page *p = &x->pages[id];
    if (p->older)
        x->pages[p->older - 1].newer = p->newer;
    if (p->newer)
        x->pages[p->newer - 1].older = p->older;
    else
        *followers_of(x, p) = p->older;
}

static uint32_t common(const int32_t *a, const int32_t *b, uint32_t most)
{
    uint32_t n = 0;
    while (n < most && a[n] == b[n])
        n++;
    return n;
}

/* s is at the first position of a page that it does not hold. */
static bool begins_page(const struct seq *s)
{
    return s->model->prefix && s->n_kv % KV_PAGE == 0 && s->pages.n == s->n_kv / KV_PAGE;
}

/* Positions of the page that s begins which it may leave out. */
static uint32_t wanted(const struct seq *s)
{
    const uint32_t end = prefix_may_skip(s), n = end > s->n_kv ? end - s->n_kv : 0;
    return n < KV_PAGE ? n : KV_PAGE;
}

/* The page that s goes on behind, as pages of the index name it, with the salt of the pages looked for. */
static struct prefix_page after_what(const struct seq *s, const uint8_t salt[16])
{
    const struct prefix *x = s->model->prefix;
    struct prefix_page p = {.reach = s->reach};
    if (s->n_kv > 0) {
        p.before = kv_page_id(x->pool, s->pages.p[s->n_kv / KV_PAGE - 1]) + 1;
        p.before_life = x->pages[p.before - 1].life;
    }
    memcpy(p.salt, salt, sizeof p.salt);
    return p;
}

static void try_index(const struct seq *s, const uint8_t salt[16], struct part *best)
{
    const struct prefix *x = s->model->prefix;
    const struct prefix_page like = after_what(s, salt);
    uint32_t id = *followers_of(x, &like);
    for (int i = 0; id && i < PART_TRIED; i++, id = x->pages[id - 1].older) {
        const struct prefix_page *p = &x->pages[id - 1];
        if (p->before != like.before || p->before_life != like.before_life || p->reach != like.reach || memcmp(p->salt, salt, sizeof p->salt) != 0)
            continue;
        uint32_t n = common(p->tokens, s->tokens.p + s->n_kv, wanted(s));
        if (n > best->n)
            *best = (struct part){kv_page_at(x->pool, id - 1), n};
    }
}

/* r's texts and its keys are as s's up to the page that s begins; may be asked of any two sequences. */
static bool is_beside(const struct seq *r, const struct seq *s)
{
    const uint32_t i = s->n_kv / KV_PAGE;
    return r != s && r->model == s->model && r->reach == s->reach && r->tokens.n > s->n_kv && r->pages.n >= i &&
           memcmp(r->tenant.kv_salt, s->tenant.kv_salt, sizeof r->tenant.kv_salt) == 0 &&
           (i == 0 || (r->pages.p[i - 1] && r->pages.p[i - 1] == s->pages.p[i - 1]));
}

static void try_runner(const struct seq *r, const struct seq *s, struct part *best)
{
    const uint32_t i = s->n_kv / KV_PAGE;
    if (!is_beside(r, s) || r->n_kv <= s->n_kv || r->pages.n <= i || !r->pages.p[i])
        return;
    const uint32_t has = r->n_kv - s->n_kv, want = wanted(s), n = common(r->tokens.p + s->n_kv, s->tokens.p + s->n_kv, has < want ? has : want);
    if (n > best->n)
        *best = (struct part){r->pages.p[i], n};
}

/* Whether published pages may come next: they come after such only. */
static bool behind_public(const struct seq *s)
{
    const struct prefix *x = s->model->prefix;
    return s->n_kv == 0 || memcmp(x->pages[kv_page_id(x->pool, s->pages.p[s->n_kv / KV_PAGE - 1])].salt, x->public_salt, sizeof x->public_salt) == 0;
}

/* The longest part of the page that s begins. */
static struct part find_part(const struct engine *g, const struct seq *s)
{
    struct part best = {0};
    if (behind_public(s))
        try_index(s, s->model->prefix->public_salt, &best);
    try_index(s, s->tenant.kv_salt, &best);
    for (uint32_t i = 0; i < g->n_run; i++)
        try_runner(g->run[i], s, &best);
    return best;
}

void part_take(struct engine *g, struct seq *s)
{
    if (!begins_page(s) || wanted(s) < PART_MIN)
        return;
    struct kv_pool *pool = s->model->pool;
    const struct part part = find_part(g, s);
    if (part.n < PART_MIN || !vec_reserve(&s->pages, s->pages.n + 1))
        return;
    kv_page_ref(pool, part.page); /* so that it is not the one which is forgotten for the copy */
    void *own = kv_page_get(pool);
    if (own) {
        memcpy(own, part.page, pool->page_bytes);
        s->pages.p[s->pages.n++] = own;
        s->n_kv += part.n;
        prefix_found(s, s->n_kv - part.n);
    }
    kv_page_put(pool, part.page);
}

uint32_t part_length(const struct engine *g, const struct seq *s)
{
    return begins_page(s) && wanted(s) >= PART_MIN ? find_part(g, s).n : 0;
}

bool part_shadows(const struct seq *r, const struct seq *s, uint32_t length)
{
    if (!begins_page(s) || wanted(s) < length + PART_WAIT || !is_beside(r, s) || r->state != ST_RUN || r->starved || r->priority < s->priority ||
        r->n_kv / KV_PAGE != s->n_kv / KV_PAGE || r->n_kv + r->rows <= s->n_kv)
        return false;
    const uint32_t will = r->n_kv + seq_rows_ready(r) - s->n_kv, want = wanted(s);
    return common(r->tokens.p + s->n_kv, s->tokens.p + s->n_kv, will < want ? will : want) >= length + PART_WAIT;
}
