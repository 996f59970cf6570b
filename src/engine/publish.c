/* Prefixes that the operator publishes: computed once for a model, by a sequence that nobody is billed for, and found by every tenant. Their pages
 * are never forgotten, so whether one is found tells nothing of who else has used it; what is not published stays within its tenant. */
#include "base/mem.h"
#include "engine/engine_int.h"
#include <string.h>

static int too_much(const struct engine *g, uint64_t bytes, struct err *e)
{
    return err_set(e, ERR_NO_ROOM,
                   "engine: a published prefix needs %llu KiB of KV memory, and of %llu KiB for such %llu are left; raise kv-memory or shorten it",
                   (unsigned long long)(bytes >> 10), (unsigned long long)(g->o.public_bytes >> 10),
                   (unsigned long long)((g->o.public_bytes - g->published) >> 10));
}

/* One of the model's RoPE classes, that of sequences which reach so far. */
static int start(struct engine *g, struct engine_model *m, const int32_t *tokens, uint32_t n, uint32_t reach, struct err *e)
{
    struct seq_opts o = {.model = m, .kind = SEQ_SCORE, .tenant = {.id = UINT64_MAX, .weight = 1}, .prompt = tokens, .n_prompt = n};
    const uint64_t bytes = (uint64_t)kv_pages_for(n) * m->pool->page_bytes;
    struct seq *s;
    uint64_t id;
    memcpy(o.tenant.kv_salt, m->prefix->public_salt, sizeof o.tenant.kv_salt);
    int rc = seq_new(&s, &o, e);
    if (rc < 0)
        return rc;
    s->publishes = true;
    s->n_paid = s->n_free = n; /* nobody is billed */
    s->out_max = reach - n;
    s->reach = model_reach_class(m->model, reach);
    mutex_lock(&g->mu);
    if (bytes > g->o.public_bytes - g->published)
        rc = too_much(g, bytes, e);
    else
        rc = engine_enter(g, s, 1, &id, e);
    if (rc == 0)
        g->published += bytes, m->published += bytes;
    mutex_unlock(&g->mu);
    if (rc < 0)
        seq_free(s);
    return rc;
}

int engine_publish(struct engine *g, struct engine_model *m, const int32_t *tokens, uint32_t n, struct err *e)
{
    n = n / KV_PAGE * KV_PAGE;
    if (!m->prefix)
        return err_set(e, ERR_BAD_VALUE, "engine: prefixes are not reused (prefix-cache = no), so none can be published");
    if (n == 0)
        return err_set(e, ERR_BAD_VALUE, "engine: a published prefix has fewer than %d tokens, which is the least that is shared; make it longer",
                       KV_PAGE);
    if (n >= m->n_ctx)
        return err_set(e, ERR_CONTEXT, "engine: a published prefix of %u tokens leaves nothing of the context of %u; shorten it", n, m->n_ctx);
    const uint32_t short_class = model_reach_class(m->model, n), long_class = model_reach_class(m->model, m->n_ctx);
    int rc = start(g, m, tokens, n, m->n_ctx, e);
    if (rc == 0 && short_class != long_class)
        rc = start(g, m, tokens, n, n, e);
    return rc;
}

void publish_pin(struct seq *s)
{
    struct engine_model *m = s->model;
    const size_t n = s->n_kv / KV_PAGE;
    if (!vec_reserve(&m->public_pages, m->public_pages.n + n))
        return; /* they are found as long as nobody wants their memory */
    for (size_t i = 0; i < n; i++) {
        kv_page_ref(m->pool, s->pages.p[i]);
        m->public_pages.p[m->public_pages.n++] = s->pages.p[i];
    }
}

void publish_end(struct engine_model *m)
{
    while (m->public_pages.n > 0) /* the last first, see seq_drop_pages */
        kv_page_put(m->pool, m->public_pages.p[--m->public_pages.n]);
    vec_deinit(&m->public_pages);
}
