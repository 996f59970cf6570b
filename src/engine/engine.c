#include "engine/engine.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/os.h"
#include "engine/engine_int.h"
#include <string.h>

/* ---- the step thread ---- */

static void models_link(struct engine *g, struct engine_model *list)
{
    while (list) {
        struct engine_model *m = list;
        list = m->inbox;
        if (m->state == EM_ADDING && !model_reserve(m->model)) {
            m->state = EM_GONE;
        } else if (m->state == EM_ADDING) {
            kv_pool_link(&g->budget, m->pool);
            m->next = g->models;
            g->models = m;
            m->state = EM_LIVE;
        } else {
            struct engine_model **at = &g->models;
            while (*at != m)
                at = &(*at)->next;
            *at = m->next;
            publish_end(m);
            prefix_free(m->prefix);
            kv_pool_free(m->pool);
            m->pool = NULL;
            m->prefix = NULL;
            m->state = EM_GONE;
        }
    }
}

/* Sleeps while there is nothing to do; takes what came in. False: the engine is to end. */
static bool inbox_take(struct engine *g, bool idle, bool *dirty)
{
    mutex_lock(&g->mu);
    while (idle && !g->quit && !g->dirty && !g->in_first && !g->in_models)
        cond_wait(&g->wake, &g->mu);
    struct seq *s = g->in_first;
    g->in_first = NULL;
    g->in_last = &g->in_first;
    if (g->in_models) {
        models_link(g, g->in_models);
        g->in_models = NULL;
        cond_broadcast(&g->changed);
    }
    *dirty = g->dirty;
    g->dirty = false;
    bool quit = g->quit;
    mutex_unlock(&g->mu);
    while (s) {
        struct seq *next = s->next;
        fork_arrive(g, s);
        s = next;
    }
    return !quit;
}

static void stats_publish(struct engine *g)
{
    struct engine_stats st = {.steps = g->steps_run,
                              .evictions = g->evictions,
                              .prefill_tokens = g->prefill_tokens,
                              .decode_tokens = g->decode_tokens,
                              .draft_tokens = g->drafted,
                              .draft_accepted = g->accepted,
                              .cached_tokens = g->cached_tokens,
                              .cache_evictions = g->budget.forgotten,
                              .step_ns = g->step_ns};
    for (uint32_t i = 0; i < g->n_run; i++)
        *(g->run[i]->state == ST_PAUSED ? &st.paused : &st.running) += 1;
    for (const struct kv_pool *p = g->budget.pools; p; p = p->next) {
        st.pages_used += p->n_used;
        st.pages_cached += p->n_kept;
        st.pages_total += p->n_used + (uint32_t)((g->budget.max - g->budget.used) / p->page_bytes);
    }
    st.kv_bytes_used = g->budget.used;
    st.kv_bytes_backed = g->budget.backed;
    for (const struct engine_model *m = g->models; m; m = m->next) {
        st.kv_bytes_backed += prefix_bytes(m->prefix);
        st.pages_public += (uint32_t)m->public_pages.n;
    }
    st.kv_bytes_total = g->budget.max;
    mutex_lock(&g->mu);
    g->stats = st;
    for (struct engine_model *m = g->models; m; m = m->next)
        m->speed = pace_speed(&m->pace);
    mutex_unlock(&g->mu);
}

bool engine_turn(struct engine *g, bool idle, bool *ran)
{
    bool dirty;
    if (!inbox_take(g, idle, &dirty))
        return false;
    if (dirty)
        step_controls(g);
    step_events(g);
    sched_admit(g);
    step_pauses(g);
    step_events(g);
    struct engine_model *m = sched_next(g);
    if (m)
        step_run(g, m);
    *ran = m != NULL;
    stats_publish(g);
    return true;
}

static void end_all(struct engine *g)
{
    while (g->n_wait + g->n_run > 0)
        step_end(g, g->n_wait > 0 ? g->wait[g->n_wait - 1] : g->run[g->n_run - 1], SEQ_END_CANCEL);
    step_events(g);
}

static void run(void *arg)
{
    struct engine *g = arg;
    for (bool ran = false; engine_turn(g, !ran, &ran);) {
    }
    end_all(g);
}

void engine_release(struct engine *g, struct seq *s)
{
    mutex_lock(&g->mu);
    uint32_t slot = (uint32_t)(s->id % g->live_max);
    g->slots[slot] = NULL;
    g->free_slots[g->n_free_slots++] = slot;
    s->model->n_live--;
    cond_broadcast(&g->changed);
    mutex_unlock(&g->mu);
    seq_free(s);
}

/* ---- life ---- */

static uint32_t clamp(uint32_t x, uint32_t dflt, uint32_t max)
{
    return x == 0 ? dflt : x < max ? x : max;
}

static void opts_fill(struct engine_opts *o)
{
    const uint64_t most = 8ull << 30;
    if (o->kv_bytes == 0) {
        uint64_t quarter = os_memory_bytes() / 4;
        o->kv_bytes = quarter < most ? quarter : most;
    }
    o->public_bytes = o->public_bytes < o->kv_bytes / 2 ? o->public_bytes : o->kv_bytes / 2;
    o->seqs_max = clamp(o->seqs_max, ENGINE_SEQS_DEFAULT, ENGINE_SEQS_MAX);
    o->queue_max = clamp(o->queue_max, ENGINE_QUEUE_DEFAULT, ENGINE_QUEUE_MAX);
    o->draft_max = o->draft_max < ENGINE_DRAFT_MAX ? o->draft_max : ENGINE_DRAFT_MAX;
    o->chunk = clamp(o->chunk, ENGINE_CHUNK_DEFAULT, STEP_ROWS_MAX - ENGINE_SEQS_MAX);
}

static bool tables_new(struct engine *g)
{
    g->runners_max = 2 * g->o.seqs_max;
    g->live_max = g->o.seqs_max + g->o.queue_max;
    g->shares_max = 2 * g->live_max + 64;
    g->events_max = ENGINE_EVENTS_PER_SEQ * g->live_max + ENGINE_DRAFT_ROWS;
    g->slots = mem_array(g->live_max, sizeof *g->slots);
    g->free_slots = mem_array(g->live_max, sizeof *g->free_slots);
    g->wait = mem_array(g->live_max, sizeof *g->wait);
    g->run = mem_array(g->runners_max, sizeof *g->run);
    g->batch = mem_array(g->runners_max, sizeof *g->batch);
    g->sorted = mem_array(g->runners_max, sizeof *g->sorted);
    g->kv_seqs = mem_array(g->runners_max, sizeof *g->kv_seqs);
    g->reach = mem_array(g->runners_max, sizeof *g->reach);
    g->deltas = mem_array(g->live_max, sizeof *g->deltas);
    g->shares = mem_array(g->shares_max, sizeof *g->shares);
    g->pledges = mem_array(PLEDGES_MAX, sizeof *g->pledges);
    g->events = mem_array(g->events_max, sizeof *g->events);
    if (!g->slots || !g->free_slots || !g->wait || !g->run || !g->batch || !g->sorted || !g->kv_seqs || !g->reach || !g->deltas || !g->shares ||
        !g->pledges || !g->events || !vec_reserve(&g->forked, g->live_max))
        return false;
    for (uint32_t i = 0; i < g->live_max; i++)
        g->free_slots[g->n_free_slots++] = g->live_max - 1 - i;
    return true;
}

static void tables_free(struct engine *g)
{
    void *all[] = {g->slots, g->free_slots, g->wait, g->run, g->batch, g->sorted, g->kv_seqs, g->reach, g->deltas, g->shares, g->pledges, g->events};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        mem_free(all[i]);
    vec_deinit(&g->forked);
    vec_deinit(&g->logprobs);
    buf_deinit(&g->text);
    buf_deinit(&g->piece);
    cond_deinit(&g->wake);
    cond_deinit(&g->changed);
    mutex_deinit(&g->mu);
    mem_free(g);
}

int engine_open(struct engine **out, const struct engine_opts *o, struct err *e)
{
    *out = NULL;
    struct engine *g = mem_new(sizeof *g);
    if (!g)
        return err_set(e, ERR_NO_MEMORY, "engine: no memory; free some and start again");
    g->o = *o;
    opts_fill(&g->o);
    mutex_init(&g->mu);
    cond_init(&g->wake);
    cond_init(&g->changed);
    buf_init(&g->text, 0);
    buf_init(&g->piece, 0);
    g->in_last = &g->in_first;
    g->next_serial = 1;
    g->budget.max = g->o.kv_bytes;
    g->stats.kv_bytes_total = g->budget.max;
    g->now = clock_ns;
    if (!tables_new(g)) {
        tables_free(g);
        return err_set(e, ERR_NO_MEMORY, "engine: no memory for %u sequences; lower the limits", o->seqs_max + o->queue_max);
    }
    *out = g;
    return 0;
}

int engine_new(struct engine **out, const struct engine_opts *o, struct err *e)
{
    int rc = engine_open(out, o, e);
    if (rc < 0)
        return rc;
    (*out)->has_thread = thread_start(&(*out)->thread, "step", run, *out);
    if ((*out)->has_thread)
        return 0;
    tables_free(*out);
    *out = NULL;
    return err_set(e, ERR_NO_MEMORY, "engine: the step thread could not be started; raise the limit on processes");
}

static void model_release(struct engine_model *m)
{
    if (m->pool)
        publish_end(m);
    prefix_free(m->prefix);
    kv_pool_free(m->pool);
    mem_pages_free(m->logits, m->logits_bytes);
    mem_pages_free(m->hidden, m->hidden_bytes);
    pick_free(m);
    mem_free(m);
}

void engine_free(struct engine *g)
{
    if (!g)
        return;
    mutex_lock(&g->mu);
    g->quit = true;
    cond_signal(&g->wake);
    mutex_unlock(&g->mu);
    if (g->has_thread)
        thread_join(&g->thread);
    else
        end_all(g);
    while (g->models) {
        struct engine_model *m = g->models;
        g->models = m->next;
        model_release(m);
    }
    tables_free(g);
}

/* ---- models ---- */

/* Hands m to the step thread and waits until its state is another. The lock is held. */
static void model_hand(struct engine *g, struct engine_model *m, enum model_state now)
{
    m->state = now;
    m->inbox = g->in_models;
    g->in_models = m;
    cond_signal(&g->wake);
    if (!g->has_thread) {
        models_link(g, g->in_models);
        g->in_models = NULL;
    }
    while (m->state == now)
        cond_wait(&g->changed, &g->mu);
}

static size_t logits_bytes(const struct engine *g, const struct model_shape *s)
{
    return (size_t)(g->runners_max + ENGINE_SCORE_ROWS + ENGINE_DRAFT_ROWS) * s->n_vocab * sizeof(float);
}

static size_t hidden_bytes(const struct model_shape *s)
{
    return (size_t)STEP_ROWS_MAX * s->n_embd * sizeof(float);
}

uint64_t engine_model_bytes(const struct engine *g, const struct model_shape *s)
{
    return logits_bytes(g, s) + hidden_bytes(s); /* far below 64 bits: model_int.h */
}

int engine_model_add(struct engine *g, struct model *model, const struct vocab *v, struct engine_model **out, struct err *e)
{
    const struct model_shape *sh = model_shape(model);
    struct engine_model *m = mem_new(sizeof *m);
    *out = NULL;
    if (!m)
        return err_set(e, ERR_NO_MEMORY, "engine: no memory for a model's state");
    m->model = model;
    m->vocab = v;
    m->n_embd = sh->n_embd;
    m->n_vocab = m->n_sample = sh->n_vocab;
    if (v && (uint32_t)vocab_size(v) < m->n_vocab)
        m->n_sample = (uint32_t)vocab_size(v);
    m->cost = sh->n_params >> 20 ? (uint32_t)(sh->n_params >> 20) : 1;
    model_kv_shape(model, g->o.kv_type, &m->kv_shape);
    int rc = kv_pool_new(&m->pool, g->budget.max, &m->kv_shape, e);
    if (sh->window > 0 && sh->n_windowed == sh->n_layers) {
        m->window = sh->window;
        m->span = kv_pages_for(m->window + KV_GROUP * KV_PAGE + g->o.chunk + ENGINE_DRAFT_MAX) + 1;
    }
    if (rc == 0 && !g->o.no_prefix_cache)
        rc = prefix_new(&m->prefix, m->pool, m->window > 0, e);
    if (rc == 0)
        rc = pick_new(m, g, e);
    if (rc == 0) {
        m->logits_bytes = logits_bytes(g, sh);
        m->hidden_bytes = hidden_bytes(sh);
        m->logits = mem_pages(m->logits_bytes);
        m->hidden = mem_pages(m->hidden_bytes);
        if (!m->logits || !m->hidden)
            rc = err_set(e, ERR_NO_MEMORY, "engine: no memory for the logits of %u sequences; lower the number of sequences", g->runners_max);
    }
    if (rc < 0) {
        model_release(m);
        return rc;
    }
    uint64_t room = (g->budget.max - g->o.public_bytes) / m->pool->page_bytes * KV_PAGE, most = (uint64_t)m->pool->n_pages * KV_PAGE;
    room = room < most ? room : most;
    if (m->span > 0 && m->span * (uint64_t)KV_PAGE <= room)
        room = UINT32_MAX; /* the pages behind its window are put back while a sequence goes on */
    m->n_ctx = sh->n_ctx < room ? sh->n_ctx : (uint32_t)room;
    mutex_lock(&g->mu);
    model_hand(g, m, EM_ADDING);
    bool added = m->state == EM_LIVE;
    mutex_unlock(&g->mu);
    if (!added) {
        model_release(m);
        return err_set(e, ERR_NO_MEMORY, "engine: no memory for the work of a step of this model; unload another one");
    }
    *out = m;
    return 0;
}

void engine_model_remove(struct engine *g, struct engine_model *m)
{
    mutex_lock(&g->mu);
    m->state = EM_REMOVING;
    for (uint32_t i = 0; i < g->live_max; i++)
        if (g->slots[i] && g->slots[i]->model == m && g->slots[i]->publishes) {
            atomic_store_explicit(&g->slots[i]->stop, 1 + (int)SEQ_END_CANCEL, memory_order_relaxed);
            g->dirty = true;
            cond_signal(&g->wake);
        }
    g->published -= m->published;
    while (m->n_live > 0)
        cond_wait(&g->changed, &g->mu);
    model_hand(g, m, EM_REMOVING);
    mutex_unlock(&g->mu);
    model_release(m);
}

uint32_t engine_model_ctx(const struct engine_model *m)
{
    return m->n_ctx;
}
struct engine_speed engine_model_speed(struct engine *g, const struct engine_model *m)
{
    mutex_lock(&g->mu);
    struct engine_speed v = m->speed;
    mutex_unlock(&g->mu);
    return v;
}

uint32_t engine_model_width(const struct engine_model *m)
{
    return m->n_embd;
}

/* ---- sequences ---- */

static void free_all(struct seq *s)
{
    for (struct seq *next; s; s = next) {
        next = s->fork;
        seq_free(s);
    }
}

/* The lock is held. */
static void admit(struct engine *g, struct seq *s, uint64_t *id)
{
    uint32_t slot = g->free_slots[--g->n_free_slots];
    s->serial = g->next_serial++;
    *id = s->id = s->serial * g->live_max + slot;
    g->slots[slot] = s;
    s->model->n_live++;
}

int engine_enter(struct engine *g, struct seq *first, size_t n, uint64_t *id, struct err *e)
{
    if (g->quit || first->model->state != EM_LIVE)
        return err_set(e, ERR_UNAVAILABLE, "engine: the model is being taken away; try again later");
    if (g->n_free_slots < n)
        return err_set(e, ERR_BUSY, "engine: %u requests run and %u wait, which is the limit; try again later", g->o.seqs_max, g->o.queue_max);
    for (struct seq *s = first; s; s = s->fork)
        admit(g, s, id++);
    *g->in_last = first;
    g->in_last = &first->next;
    cond_signal(&g->wake);
    return 0;
}

int engine_start_many(struct engine *g, const struct seq_opts *o, size_t n, uint64_t *id, struct err *e)
{
    struct seq *first = NULL, **last = &first;
    int rc = 0;
    ASSERT(n > 0 && n <= ENGINE_CHOICES_MAX);
    for (size_t i = 0; i < n && rc == 0; i++, last = *last ? &(*last)->fork : last)
        rc = seq_new(last, &o[i], e);
    if (rc < 0) {
        free_all(first);
        return rc;
    }
    mutex_lock(&g->mu);
    rc = engine_enter(g, first, n, id, e);
    mutex_unlock(&g->mu);
    if (rc < 0)
        free_all(first);
    return rc;
}

int engine_start(struct engine *g, const struct seq_opts *o, uint64_t *id, struct err *e)
{
    return engine_start_many(g, o, 1, id, e);
}

/* The lock is held. NULL: it has ended. */
static struct seq *find(struct engine *g, uint64_t id)
{
    struct seq *s = g->slots[id % g->live_max];
    return s && s->id == id ? s : NULL;
}

void engine_allow(struct engine *g, uint64_t id, uint32_t allowance)
{
    mutex_lock(&g->mu);
    struct seq *s = find(g, id);
    if (s && allowance > atomic_load_explicit(&s->allowance, memory_order_relaxed)) {
        atomic_store_explicit(&s->allowance, allowance, memory_order_relaxed);
        g->dirty = true;
        cond_signal(&g->wake);
    }
    mutex_unlock(&g->mu);
}

void engine_stop(struct engine *g, uint64_t id, enum seq_end why)
{
    ASSERT(why == SEQ_END_CANCEL || why == SEQ_END_BUDGET);
    mutex_lock(&g->mu);
    struct seq *s = find(g, id);
    if (s) {
        int none = 0;
        atomic_compare_exchange_strong(&s->stop, &none, 1 + (int)why); /* the first reason stays */
        g->dirty = true;
        cond_signal(&g->wake);
    }
    mutex_unlock(&g->mu);
}

void engine_stats(struct engine *g, struct engine_stats *out)
{
    mutex_lock(&g->mu);
    *out = g->stats;
    uint32_t live = g->live_max - g->n_free_slots, seen = out->running + out->paused;
    out->waiting = live > seen ? live - seen : 0;
    mutex_unlock(&g->mu);
}
