/* Tenants share by work: each has a virtual time that grows by work / weight, and the lowest goes first (virtual token counters: Sheng et al.,
 * "Fairness in Serving Large Language Models", OSDI 2024). A tenant that comes back starts at the floor of those that are active, less a
 * bounded burst that it really was behind: idleness is saved up for one prompt and no more, and that prompt goes before the next ones of a tenant who
 * has kept the machine busy. Using an idle machine is not punished: when it falls idle, all are level again. */
#include "engine/engine_int.h"

#define WORK_SCALE UINT64_C(1024)      /* virtual time of a token of a one-million-parameter model at weight 1 */
#define VT_START   (UINT64_C(1) << 40) /* the first floor: there is room for a burst below it */

static struct share *find(struct engine *g, const struct tenant *t)
{
    struct share *oldest = NULL;
    for (uint32_t i = 0; i < g->n_shares; i++) {
        struct share *h = &g->shares[i];
        if (h->id == t->id)
            return h;
        if (h->n_live == 0 && (!oldest || h->vt < oldest->vt))
            oldest = h;
    }
    struct share *h = g->n_shares < g->shares_max ? &g->shares[g->n_shares++] : oldest;
    ASSERT(h); /* there are more shares than living sequences */
    *h = (struct share){.id = t->id};
    return h;
}

static uint64_t work(const struct seq *s, uint64_t rows)
{
    return rows * s->model->cost * WORK_SCALE / s->share->weight;
}

/* What was done before the machine fell idle counts for nobody: all who come now begin level with who had most. */
static void forget_the_past(struct engine *g, uint64_t burst)
{
    uint64_t top = g->vt_floor;
    for (uint32_t i = 0; i < g->n_shares; i++) {
        if (g->shares[i].n_live > 0)
            return;
        top = g->shares[i].vt + burst > top ? g->shares[i].vt + burst : top;
    }
    g->vt_floor = top;
}

void share_join(struct engine *g, struct seq *s)
{
    struct share *h = s->share = find(g, &s->tenant);
    h->weight = s->tenant.weight ? s->tenant.weight : 1;
    if (g->vt_floor < VT_START)
        g->vt_floor = VT_START;
    const uint64_t burst = SHARE_BURST * s->model->cost * WORK_SCALE;
    forget_the_past(g, burst);
    const uint64_t low = g->vt_floor > burst ? g->vt_floor - burst : 0;
    if (h->n_live++ == 0 && h->vt < low)
        h->vt = low;
}

void share_charge(struct seq *s, uint32_t rows)
{
    s->share->vt += work(s, rows);
}

/* Each turn: the floor follows the tenant that has had least, so it also knows the last one that left. */
void share_floor_raise(struct engine *g)
{
    uint64_t low = UINT64_MAX;
    for (uint32_t i = 0; i < g->n_shares; i++)
        if (g->shares[i].n_live > 0 && g->shares[i].vt < low)
            low = g->shares[i].vt;
    if (low != UINT64_MAX && low > g->vt_floor)
        g->vt_floor = low;
}

void share_count(struct engine *g)
{
    for (uint32_t i = 0; i < g->n_shares; i++)
        g->shares[i].kv_bytes = 0;
    for (uint32_t i = 0; i < g->n_run; i++)
        g->run[i]->share->kv_bytes += seq_claim(g->run[i]);
}

uint64_t share_weights(const struct engine *g)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < g->n_shares; i++)
        sum += g->shares[i].n_live > 0 ? g->shares[i].weight : 0;
    return sum;
}

bool share_several(const struct engine *g, const struct engine_model *m)
{
    const uint64_t moment = 4 * SHARE_BURST * m->cost * WORK_SCALE; /* the others' work since one left; who came back last began a burst behind */
    int n = 0;
    for (uint32_t i = 0; i < g->n_shares; i++)
        n += g->shares[i].n_live > 0 || g->shares[i].vt + moment > g->vt_floor;
    return n > 1;
}
