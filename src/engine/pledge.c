/* Rates that are guaranteed. A tenant with one is owed rate * time for as long as it has work to do, less what it gets: what it is owed rises with
 * the clock and falls with its tokens. While it is owed anything its rows come first, and rows of others are added only as long as the step
 * takes no longer than its own rows in it are worth at its rate, less what it is behind: an integral controller, so what pace.c reckons
 * wrongly in one step is made up for in the next. When it has had its rate it shares as everybody does, and an idle machine is its to use like
 * anyone's; nobody is owed anything for time in which he asked for nothing.
 *
 * Memory and places: in each turn some sequences of who is owed come under the guarantee (`senior`), one of those that run and one that waits,
 * more the further it is behind; they go before all others of their priority, for places and for pages, until they end. So as many do as are needed
 * for the rate, and no more: beyond it a tenant keeps nobody out. A mark is never taken back, so nothing goes back and forth.
 *
 * Who asks for too little to reach his rate (one stream, say, of a rate that needs ten) does not stop the others: his steps then take at most
 * twice as long as without them. */
#include "engine/engine_int.h"

#define TOKEN    (1000 * INT64_C(1000000000)) /* what an output token is worth */
#define BEHIND_S 4                            /* so many seconds of a rate are owed at most ... */
#define AHEAD_MS 100                          /* ... and so much of it may be had in advance */
#define MARK_MS  25                           /* behind: another sequence of it comes under the guarantee in a turn */

static struct pledge *find(struct engine *g, const struct seq *s)
{
    struct pledge *unused = NULL;
    for (uint32_t i = 0; i < g->n_pledges; i++) {
        struct pledge *p = &g->pledges[i];
        if (p->tenant == s->tenant.id && p->model == s->model)
            return p;
        if (p->n_live == 0)
            unused = p;
    }
    struct pledge *p = unused;
    if (g->n_pledges == 0)
        g->pledges_ns = g->now();
    if (!p && g->n_pledges < PLEDGES_MAX)
        p = &g->pledges[g->n_pledges++];
    if (p)
        *p = (struct pledge){.tenant = s->tenant.id, .model = s->model};
    return p;
}

bool pledge_join(struct engine *g, struct seq *s)
{
    if (s->tenant.rate == 0)
        return true;
    struct pledge *p = s->pledge = find(g, s);
    if (!p)
        return false;
    p->rate = s->tenant.rate < ENGINE_RATE_MAX ? s->tenant.rate : ENGINE_RATE_MAX;
    p->input_weight = s->tenant.input_weight;
    p->n_live++;
    return true;
}

void pledge_leave(struct seq *s)
{
    if (s->pledge)
        s->pledge->n_live--;
}

bool pledge_owes(const struct seq *s)
{
    return s->pledge && s->pledge->owed >= 0;
}

void pledge_count(struct seq *s)
{
    if (!s->pledge)
        return;
    uint64_t now =
        (uint64_t)(s->counts.input + s->counts.cache_write) * s->pledge->input_weight + (uint64_t)(s->counts.output + s->counts.reasoning) * 1000;
    s->pledge->got += (int64_t)(now - s->pledged) * (TOKEN / 1000);
    s->pledged = now;
}

static void bring_up(struct pledge *p, uint64_t ns)
{
    const int64_t most = (int64_t)p->rate * BEHIND_S * 1000000000, least = -(int64_t)p->rate * AHEAD_MS * 1000000;
    int64_t due = ns < BEHIND_S * UINT64_C(1000000000) ? (int64_t)(p->rate * ns) : most;
    if (p->slow && due > p->got)
        due = p->got; /* it is behind by its own doing */
    p->owed += (p->wants ? due : 0) - p->got;
    p->got = 0;
    if (!p->wants && p->owed > 0)
        p->owed = 0;
    p->owed = p->owed > most ? most : p->owed < least ? least : p->owed;
}

static bool has_work(const struct seq *s)
{
    return s->state == ST_WAIT || s->state == ST_FORK || (s->state == ST_RUN && seq_rows_ready(s) > 0);
}

static bool is_senior_to(const struct seq *a, const struct seq *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->serial < b->serial;
}

/* n more sequences of the list come under the guarantee of p. */
static void mark(const struct pledge *p, struct seq **list, uint32_t n_list, int64_t n)
{
    for (; n > 0; n--) {
        struct seq *best = NULL;
        for (uint32_t i = 0; i < n_list; i++)
            if (list[i]->pledge == p && !list[i]->senior && (!best || is_senior_to(list[i], best)))
                best = list[i];
        if (!best)
            return;
        best->senior = true;
    }
}

/* Those of p that wait; how many of them are under its guarantee. */
static uint32_t waiting(const struct engine *g, const struct pledge *p, uint32_t *seniors)
{
    uint32_t n = 0;
    *seniors = 0;
    for (uint32_t i = 0; i < g->n_wait; i++)
        if (g->wait[i]->pledge == p)
            n++, *seniors += g->wait[i]->senior;
    return n;
}

void pledge_turn(struct engine *g)
{
    if (g->n_pledges == 0)
        return;
    const uint64_t now = g->now(), ns = now - g->pledges_ns;
    g->pledges_ns = now;
    for (uint32_t i = 0; i < g->n_pledges; i++) {
        bring_up(&g->pledges[i], ns); /* `wants` is what was so until now */
        g->pledges[i].wants = false;
    }
    for (uint32_t i = 0; i < g->n_run + g->n_wait; i++) {
        struct seq *s = i < g->n_run ? g->run[i] : g->wait[i - g->n_run];
        if (s->pledge && has_work(s))
            s->pledge->wants = true;
    }
    for (uint32_t i = 0; i < g->n_pledges; i++) {
        struct pledge *p = &g->pledges[i];
        p->waits = false;
        if (!p->wants || p->owed < 0)
            continue;
        uint32_t seniors;
        p->waits = waiting(g, p, &seniors) > 0;
        const int64_t more = 1 + p->owed / ((int64_t)p->rate * MARK_MS * 1000000);
        mark(p, g->run, g->n_run, more);
        mark(p, g->wait, g->n_wait, more - seniors);
    }
}

/* What its rows in the step are worth: those that it has, or, while it is not owed anything, those that it could have. */
static void reckon(struct engine *g, const struct engine_model *m)
{
    for (uint32_t i = 0; i < g->n_pledges; i++)
        g->pledges[i].in_step = 0, g->pledges[i].rows = 0;
    for (uint32_t i = 0; i < g->n_run; i++) {
        const struct seq *s = g->run[i];
        struct pledge *p = s->pledge;
        if (!p || s->model != m || s->state != ST_RUN || seq_rows_ready(s) == 0 || (p->owed >= 0 && s->rows == 0))
            continue;
        const bool next = s->tokens.n - s->n_kv == 1;
        const uint32_t fresh = s->n_kv + s->rows > s->n_paid ? s->n_kv + s->rows - s->n_paid : 0;
        const bool samples = next || (s->rows > 0 && s->n_kv + s->rows == s->tokens.n);
        p->in_step += (samples ? TOKEN : 0) + (s->n_out == 0 && fresh > 0 ? (int64_t)fresh * p->input_weight * (TOKEN / 1000) : 0);
        p->rows += next;
    }
}

uint64_t pledge_step_most(struct engine *g, const struct engine_model *m, uint32_t n_prompt)
{
    uint64_t most = UINT64_MAX;
    if (g->n_pledges == 0)
        return most;
    reckon(g, m);
    for (uint32_t i = 0; i < g->n_pledges; i++) {
        struct pledge *p = &g->pledges[i];
        if (p->model != m || p->in_step == 0)
            continue;
        const uint64_t alone = pace_decode_ns(&m->pace, p->rows) + (p->owed >= 0 ? n_prompt * m->pace.row_ns : 0);
        int64_t left = p->in_step - p->owed;
        uint64_t may = left > 0 ? (uint64_t)left / p->rate : 0;
        p->slow = p->owed >= 0 && !p->waits && alone > 0 && (uint64_t)p->in_step / p->rate < alone;
        if (p->slow && may < 2 * alone)
            may = 2 * alone;
        most = may < most ? may : most;
    }
    return most;
}

struct engine_model *pledge_model(struct engine *g)
{
    struct engine_model *best = NULL;
    int64_t behind = -1;
    for (uint32_t i = 0; i < g->n_run && g->n_pledges > 0; i++) {
        const struct seq *s = g->run[i];
        if (!pledge_owes(s) || s->state != ST_RUN || s->model->tried || seq_rows_ready(s) == 0)
            continue;
        const int64_t ns = s->pledge->owed / s->pledge->rate;
        if (ns > behind)
            behind = ns, best = s->model;
    }
    return best;
}
