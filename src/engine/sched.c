/* Who runs: admission, the rows of a step, who loses its pages. Tenants share by work (share.c), and the time of a step is bounded (pace.c).
 *
 * Memory: no worst case is reserved. A sequence is admitted when the pages of its known tokens and of all promises made before fit; growing
 * takes pages one by one. When none is left the most junior sequence (lowest priority, latest arrival; of the same tenant if possible) loses
 * its pages, waits first in the queue and is computed again, which is billed to nobody. Only juniors are evicted, so the most senior one
 * always goes on; who finds no junior keeps its pages and waits a step. */
#include "engine/engine_int.h"

void sched_arrive(struct engine *g, struct seq *s)
{
    share_join(g, s);
    if (!pledge_join(g, s))
        s->tenant.rate = 0;
    s->state = s->leader ? ST_FORK : ST_WAIT;
    if (!s->leader)
        g->wait[g->n_wait++] = s;
}

/* ---- queue and runners ---- */

static void take_out(struct seq **list, uint32_t *n, struct seq *s)
{
    uint32_t i = 0;
    while (list[i] != s)
        i++;
    list[i] = list[--*n];
}

void sched_leave(struct engine *g, struct seq *s)
{
    fork_leave(g, s);
    if (s->state == ST_WAIT) {
        take_out(g->wait, &g->n_wait, s);
    } else if (s->state != ST_FORK) {
        take_out(g->run, &g->n_run, s);
        s->share->n_run--;
        seq_drop_pages(s);
    }
    s->share->n_live--;
    pledge_leave(s);
}

void sched_unfork(struct engine *g, struct seq *s)
{
    s->state = ST_WAIT;
    g->wait[g->n_wait++] = s;
}

static void back_to_queue(struct engine *g, struct seq *s)
{
    take_out(g->run, &g->n_run, s);
    s->share->n_run--;
    s->state = ST_WAIT;
    g->wait[g->n_wait++] = s;
}

/* Loses its pages. A paused one stays where it is until it may go on. */
static void evict(struct engine *g, struct seq *s)
{
    seq_drop_pages(s);
    s->evicted = true;
    g->evictions++;
    s->rows = 0;
    if (s->state == ST_RUN)
        back_to_queue(g, s);
}

void sched_resume(struct engine *g, struct seq *s)
{
    s->state = ST_RUN;
    if (s->pages.n == 0 && s->evicted)
        back_to_queue(g, s);
}

static bool is_junior(const struct seq *s, const struct seq *of)
{
    return seq_rank(s) != seq_rank(of) ? seq_rank(s) < seq_rank(of) : s->serial > of->serial;
}

enum victim_rule {
    VICTIM_JUNIOR,       /* has pages, is junior: to let s grow */
    VICTIM_LESSER,       /* has pages, has a lower rank: to let s in */
    VICTIM_LESSER_RUNNER /* runs, has a lower rank: for its place */
};

static bool is_victim(const struct seq *r, const struct seq *s, enum victim_rule rule)
{
    switch (rule) {
    case VICTIM_JUNIOR: return r->pages.n > 0 && is_junior(r, s);
    case VICTIM_LESSER: return r->pages.n > 0 && seq_rank(r) < seq_rank(s);
    case VICTIM_LESSER_RUNNER: return r->state == ST_RUN && seq_rank(r) < seq_rank(s);
    }
    return false;
}

/* The one to make way for s: of the same tenant when there is one; the most junior of these. */
static struct seq *victim_for(struct engine *g, const struct seq *s, enum victim_rule rule)
{
    struct seq *best = NULL;
    for (uint32_t i = 0; i < g->n_run; i++) {
        struct seq *r = g->run[i];
        if (r == s || !is_victim(r, s, rule))
            continue;
        bool same = r->share == s->share, best_same = best && best->share == s->share;
        if (!best || (same != best_same ? same : is_junior(r, best)))
            best = r;
    }
    return best;
}

/* ---- admission ---- */

static bool goes_before(const struct seq *a, const struct seq *b)
{
    if (seq_rank(a) != seq_rank(b))
        return seq_rank(a) > seq_rank(b);
    if (a->share->vt != b->share->vt)
        return a->share->vt < b->share->vt;
    if (a->evicted != b->evicted)
        return a->evicted;
    return a->serial < b->serial;
}

/* Bytes that the runners' known tokens will still take, and a page for each to grow. */
static uint64_t promised(const struct engine *g)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < g->n_run; i++)
        bytes += seq_claim(g->run[i]) - seq_pages(g->run[i]) * g->run[i]->model->pool->page_bytes;
    return bytes;
}

static bool memory_fits(const struct engine *g, const struct seq *s)
{
    const uint32_t all = seq_pages_most(s, (uint32_t)s->tokens.n), has = seq_pages(s);
    uint64_t need = (all > has ? all - has : 0) * s->model->pool->page_bytes, gone = g->budget.used + promised(g);
    return gone <= g->budget.max && need <= g->budget.max - gone;
}

/* A place among the runners: up to seqs_max for all; beyond it for a tenant that has less than its share of them, so that one who
 * filled all places first does not shut out the others (then they take turns by virtual time). */
static bool place_fits(const struct engine *g, const struct seq *s)
{
    if (g->n_run < g->o.seqs_max)
        return true;
    if (g->n_run >= g->runners_max)
        return false;
    return s->senior || s->share->n_run * share_weights(g) < (uint64_t)g->o.seqs_max * s->share->weight;
}

bool sched_join(struct engine *g, struct seq *s)
{
    if (!place_fits(g, s)) {
        sched_unfork(g, s);
        return false;
    }
    s->state = ST_RUN;
    s->share->n_run++;
    g->run[g->n_run++] = s;
    return true;
}

/* s's tenant has less than its share of the memory, even with s: the most junior sequence of one who has more than its own, even without it.
 * So nobody who filled the memory first keeps the others out, nothing goes back and forth, and the most senior sequence is never taken. */
static struct seq *victim_of_rich(struct engine *g, const struct seq *s)
{
    struct seq *best = NULL;
    share_count(g);
    const uint64_t weights = share_weights(g), need = seq_pages_most(s, (uint32_t)s->tokens.n) * s->model->pool->page_bytes;
    const double each = (double)g->budget.max / (double)weights;
    if ((double)(s->share->kv_bytes + need) > each * s->share->weight)
        return NULL;
    for (uint32_t i = 0; i < g->n_run; i++) {
        struct seq *r = g->run[i];
        const uint64_t claim = seq_claim(r);
        if (r->share != s->share && seq_rank(r) <= seq_rank(s) && claim > 0 && (double)(r->share->kv_bytes - claim) >= each * r->share->weight &&
            (!best || is_junior(r, best)))
            best = r;
    }
    return best;
}

/* What is known of s stands in its pages already, so it needs room for the rest alone. False: it does not fit yet. */
static bool make_way(struct engine *g, struct seq *s)
{
    prefix_take(s);
    for (;;) {
        bool place = place_fits(g, s);
        if (place && memory_fits(g, s))
            return true;
        struct seq *v = victim_for(g, s, place ? VICTIM_LESSER : VICTIM_LESSER_RUNNER);
        if (!v && place)
            v = victim_of_rich(g, s);
        if (!v) {
            seq_drop_pages(s); /* what waits holds no memory; its pages become the last to be forgotten */
            return false;
        }
        evict(g, v);
    }
}

void sched_admit(struct engine *g)
{
    share_floor_raise(g);
    pledge_turn(g);
    while (g->n_wait > 0) {
        struct seq *s = g->wait[0];
        for (uint32_t i = 1; i < g->n_wait; i++)
            if (goes_before(g->wait[i], s))
                s = g->wait[i];
        if (!make_way(g, s))
            return;
        take_out(g->wait, &g->n_wait, s);
        s->state = ST_RUN;
        s->share->n_run++;
        g->run[g->n_run++] = s;
    }
}

/* ---- the batch ---- */

/* Order inside a step: priority, who is owed a rate, the tenant that has had least, who has waited longest, seniority. */
static bool runs_before(const struct seq *a, const struct seq *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    if (pledge_owes(a) != pledge_owes(b))
        return pledge_owes(a);
    if (a->share->vt != b->share->vt)
        return a->share->vt < b->share->vt;
    if (a->last_step != b->last_step)
        return a->last_step < b->last_step;
    return a->serial < b->serial;
}

static bool is_decode(const struct seq *s)
{
    return s->tokens.n - s->n_kv == 1;
}

/* Its next rows are of a prompt whose log probabilities are wanted. */
static bool is_scored(const struct seq *s)
{
    return s->prompt_logprobs && s->n_kv < s->n_prompt;
}

/* Takes the next of the kind that has no rows yet; NULL: none left. owed: of those alone whose tenant is owed a rate. */
static struct seq *next_of(struct engine *g, const struct engine_model *m, bool decode, bool owed)
{
    struct seq *best = NULL;
    for (uint32_t i = 0; i < g->n_run; i++) {
        struct seq *s = g->run[i];
        if (s->model == m && s->state == ST_RUN && s->rows == 0 && !s->shadowed && is_decode(s) == decode && seq_rows_ready(s) > 0 &&
            (g->score_left > 0 || !is_scored(s)) && (!owed || pledge_owes(s)) && (!best || runs_before(s, best)))
            best = s;
    }
    return best;
}

/* Somebody reads: a next token is awaited, of whatever model. */
static bool has_readers(const struct engine *g)
{
    for (uint32_t i = 0; i < g->n_run; i++)
        if (g->run[i]->state == ST_RUN && g->run[i]->n_out > 0)
            return true;
    return false;
}

static uint32_t chunk_most(const struct engine *g, uint32_t n_decode)
{
    return g->o.chunk < STEP_ROWS_MAX - n_decode ? g->o.chunk : STEP_ROWS_MAX - n_decode;
}

/* Rows of prompts in a step. */
static uint32_t chunk_for(const struct engine *g, const struct engine_model *m, uint32_t n_decode)
{
    const uint32_t ms = share_several(g, m) ? PACE_SHARED_MS : has_readers(g) ? PACE_READ_MS : PACE_ALONE_MS;
    return pace_rows(&m->pace, n_decode, ms, chunk_most(g, n_decode));
}

/* The tenant of s has had least, and none of those who read in this step are its own. */
static bool is_owed(const struct engine *g, const struct seq *s)
{
    for (uint32_t i = 0; i < g->n_run; i++)
        if (g->run[i]->decodes && (g->run[i]->share == s->share || g->run[i]->share->vt < s->share->vt))
            return false;
    return true;
}

/* Whether s, the first prompt of a step with room for `left` rows, is to be done in this step, alone: one that others have kept waiting is neither
 * cut to let them read without a pause, where one step of bearable length can do it, nor made to wait for rows of theirs. */
static bool is_rushed(const struct engine *g, const struct seq *s, uint32_t n_decode, uint32_t left)
{
    const uint32_t ready = seq_rows_ready(s);
    return is_owed(g, s) && (ready <= left || ready <= pace_rows_whole(&s->model->pace, n_decode, chunk_most(g, n_decode)));
}

/* Pages for the rows of s, taken from juniors if need be. False: s keeps what it has and computes nothing in this step. */
static bool pages_secure(struct engine *g, struct seq *s)
{
    const uint32_t need = kv_pages_for(s->n_kv + s->rows);
    while (s->pages.n < need) {
        void *page = vec_reserve(&s->pages, need) ? kv_page_get(s->model->pool) : NULL;
        if (page) {
            s->pages.p[s->pages.n++] = page;
            continue;
        }
        struct seq *v = victim_for(g, s, VICTIM_JUNIOR);
        if ((s->starved = !v))
            return false;
        evict(g, v);
    }
    s->starved = false;
    return true;
}

/* Another runner is about to compute the page that s needs next, or much of it: s waits for it rather than compute the same. */
static bool is_shadowed(const struct engine *g, const struct seq *s)
{
    const uint32_t length = part_length(g, s);
    for (uint32_t i = 0; i < g->n_run; i++)
        if (g->run[i] != s && (prefix_shadows(g->run[i], s) || part_shadows(g->run[i], s, length)))
            return true;
    return false;
}

/* Rows of a prompt end at the end of a page, if that costs little: what is full can be shared. */
static uint32_t rows_even(const struct seq *s, uint32_t rows)
{
    uint32_t end = (s->n_kv + rows) / KV_PAGE * KV_PAGE;
    return end > s->n_kv && 4 * (end - s->n_kv) >= 3 * rows ? end - s->n_kv : rows;
}

/* A step of so many rows is no longer than those who are owed a rate allow. */
static bool is_bearable(const struct engine *g, const struct engine_model *m, uint32_t n_decode, uint32_t n_prompt)
{
    return g->step_most == UINT64_MAX || pace_decode_ns(&m->pace, n_decode) + n_prompt * m->pace.row_ns <= g->step_most;
}

static uint32_t decodes_assign(struct engine *g, const struct engine_model *m, uint32_t n_decode, uint32_t n_prompt, bool owed)
{
    struct seq *s;
    for (; n_decode < g->o.seqs_max && is_bearable(g, m, n_decode + 1, n_prompt) && (s = next_of(g, m, true, owed)); n_decode++)
        s->rows = 1, s->decodes = true;
    return n_decode;
}

/* Rows of prompts that may come beside n_prompt that others have in the step. */
static uint32_t prompt_room(const struct engine *g, const struct engine_model *m, uint32_t n_decode, uint32_t n_prompt)
{
    uint32_t most = chunk_for(g, m, n_decode);
    most = most > n_prompt ? most - n_prompt : 0;
    if (g->step_most == UINT64_MAX || m->pace.row_ns == 0)
        return most;
    const uint64_t base = pace_decode_ns(&m->pace, n_decode) + n_prompt * m->pace.row_ns;
    const uint64_t rows = g->step_most > base ? (g->step_most - base) / m->pace.row_ns : 0;
    return rows < PACE_ROWS_MIN ? 0 : rows < most ? (uint32_t)rows : most;
}

/* Gives prompts up to `left` rows beside n_decode others. False: some were left out because others compute what they need. */
static bool prompts_assign(struct engine *g, const struct engine_model *m, uint32_t n_decode, uint32_t left, bool owed, bool shadows)
{
    bool all = true;
    const struct share *rushed = NULL;
    struct seq *s;
    for (bool first = true; left > 0 && (s = next_of(g, m, false, owed)) && (!rushed || rushed == s->share); left -= s->rows, first = false) {
        if (shadows && is_shadowed(g, s)) {
            s->shadowed = true;
            all = false;
            continue;
        }
        part_take(g, s);
        uint32_t ready = seq_rows_ready(s);
        if (first && g->step_most == UINT64_MAX && is_rushed(g, s, n_decode, left)) {
            rushed = s->share;
            left = ready > left ? ready : left;
        }
        s->rows = ready <= left ? ready : rows_even(s, left);
        if (is_scored(s)) {
            s->rows = s->rows < g->score_left ? s->rows : g->score_left;
            g->score_left -= s->rows;
        }
    }
    return all;
}

static uint32_t prompt_rows(const struct engine *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n_run; i++)
        n += g->run[i]->decodes ? 0 : g->run[i]->rows;
    return n;
}

/* Those who are owed a rate first; then the others, as far as the first bear it. True: all members of the step have rows; false: some were left out
 * because others compute what they need. */
static bool rows_assign(struct engine *g, const struct engine_model *m, bool shadows, bool bound)
{
    bool all = true;
    uint32_t n_decode = 0, n_prompt = 0;
    for (uint32_t i = 0; i < g->n_run; i++) {
        g->run[i]->rows = 0;
        g->run[i]->shadowed = g->run[i]->decodes = false;
        if (g->run[i]->model == m && g->run[i]->state == ST_RUN)
            prefix_take(g->run[i]);
    }
    g->score_left = ENGINE_SCORE_ROWS;
    g->step_most = UINT64_MAX;
    if (bound && g->n_pledges > 0) {
        n_decode = decodes_assign(g, m, 0, 0, true);
        all = prompts_assign(g, m, n_decode, chunk_for(g, m, n_decode), true, shadows);
        n_prompt = prompt_rows(g);
        g->step_most = pledge_step_most(g, m, n_prompt);
    }
    n_decode = decodes_assign(g, m, n_decode, n_prompt, false);
    return prompts_assign(g, m, n_decode, prompt_room(g, m, n_decode, n_prompt), false, shadows) && all;
}

/* The most senior member of the step whose pages are not yet secured. */
static struct seq *next_to_secure(struct engine *g)
{
    struct seq *best = NULL;
    for (uint32_t i = 0; i < g->n_run; i++) {
        struct seq *s = g->run[i];
        if (s->rows > 0 && s->last_step != g->n_steps && (!best || is_junior(best, s)))
            best = s;
    }
    return best;
}

/* Embeddings go last, so that rows whose logits are wanted come before those whose hidden state is. */
static void embeds_last(struct engine *g)
{
    uint32_t n = 0;
    for (int embed = 0; embed < 2; embed++)
        for (uint32_t i = 0; i < g->n_batch; i++)
            if ((g->batch[i]->kind == SEQ_EMBED) == (embed == 1))
                g->sorted[n++] = g->batch[i];
    struct seq **was = g->batch;
    g->batch = g->sorted;
    g->sorted = was;
}

static bool plan(struct engine *g, struct engine_model *m)
{
    struct seq *s;
    bool all = false;
    g->n_batch = 0;
    for (int attempt = 0; attempt < 3 && g->n_batch == 0 && !all; attempt++) { /* as it should be; nobody waits for a page; nobody makes way */
        all = rows_assign(g, m, attempt == 0, attempt < 2);
        all = all && g->step_most == UINT64_MAX;
        while ((s = next_to_secure(g))) {
            if (!pages_secure(g, s)) {
                s->rows = 0;
                continue;
            }
            s->last_step = g->n_steps;
            g->batch[g->n_batch++] = s;
        }
    }
    spec_plan(g, m);
    embeds_last(g);
    return g->n_batch > 0;
}

struct engine_model *sched_next(struct engine *g)
{
    g->n_steps++;
    for (struct engine_model *m = g->models; m; m = m->next)
        m->tried = false;
    for (;;) {
        struct engine_model *best = NULL, *owed = pledge_model(g);
        for (uint32_t i = 0; i < g->n_run; i++) {
            struct engine_model *m = g->run[i]->model;
            if (g->run[i]->state == ST_RUN && seq_rows_ready(g->run[i]) > 0 && !m->tried && (!best || m->work_ns < best->work_ns))
                best = m;
        }
        if (owed)
            best = owed;
        if (!best)
            return NULL;
        best->tried = true;
        if (best->work_ns < g->work_floor)
            best->work_ns = g->work_floor;
        if (plan(g, best)) {
            g->work_floor = best->work_ns;
            return best;
        }
    }
}
