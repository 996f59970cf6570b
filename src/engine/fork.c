/* Several answers to one prompt. The first sequence leads: it computes the prompt, the others wait beside it, in no list of the scheduler.
 * When the prompt is computed they share its full pages, copy the last, partial one, and each samples its first token from the same row of
 * logits. One that finds no place or no page then goes on as if it had been evicted: its prompt is computed again, which is billed to nobody. */
#include "engine/engine_int.h"
#include <string.h>

void fork_arrive(struct engine *g, struct seq *s)
{
    sched_arrive(g, s);
    for (struct seq *f = s->fork; f; f = f->fork) {
        f->leader = s;
        sched_arrive(g, f);
    }
}

/* False: no page for the copy; what was taken is put back. */
static bool share_pages(struct seq *f, const struct seq *leader)
{
    struct kv_pool *pool = leader->model->pool;
    const uint32_t full = leader->n_kv / KV_PAGE, all = kv_pages_for(leader->n_kv);
    if (!vec_reserve(&f->pages, all))
        return false;
    for (f->n_gone = 0; f->pages.n < leader->n_gone; f->n_gone++)
        f->pages.p[f->pages.n++] = NULL;
    for (uint32_t i = leader->n_gone; i < full; i++) {
        kv_page_ref(pool, leader->pages.p[i]);
        f->pages.p[f->pages.n++] = leader->pages.p[i];
    }
    if (all > full) {
        void *page = kv_page_get(pool);
        if (!page) {
            seq_drop_pages(f);
            return false;
        }
        memcpy(page, leader->pages.p[full], pool->page_bytes);
        f->pages.p[f->pages.n++] = page;
    }
    f->n_kv = leader->n_kv;
    return true;
}

void fork_share(struct engine *g, struct seq *leader)
{
    struct seq *f = leader->fork, *next;
    leader->fork = NULL;
    for (; f; f = next) {
        next = f->fork;
        f->fork = f->leader = NULL;
        f->n_paid = f->n_free = f->n_prompt;
        f->last_step = leader->last_step;
        if (!sched_join(g, f))
            f->evicted = true; /* waits */
        else if (!share_pages(f, leader))
            f->evicted = true, sched_resume(g, f);
        g->forked.p[g->forked.n++] = f; /* there is room for every living one */
    }
}

void fork_leave(struct engine *g, struct seq *s)
{
    if (s->leader) { /* out of the list */
        struct seq *at = s->leader;
        while (at->fork != s)
            at = at->fork;
        at->fork = s->fork;
        s->fork = s->leader = NULL;
        return;
    }
    struct seq *heir = s->fork;
    s->fork = NULL;
    if (!heir)
        return;
    heir->leader = NULL;
    heir->n_paid = heir->n_free = s->n_paid < s->n_prompt ? s->n_paid : s->n_prompt;
    for (struct seq *f = heir->fork; f; f = f->fork)
        f->leader = heir;
    sched_unfork(g, heir);
}
