/* The engine in this process. Events leave the step thread through a mailbox: each job holds what is pending for it (its texts merge into
 * one), jobs with something pending form a list, and one post is outstanding while the list is not empty. So a slow owner costs memory only
 * for text that was generated, and a burst of steps costs one wake-up. */
#include "backend/local_int.h"
#include "base/buf.h"
#include "base/mem.h"
#include <string.h>

/* What may be told of a job: texts and log probabilities gather until they are delivered. */
struct pending {
    struct buf          text;
    struct vec_logprobs logprobs, prompt;
};

struct backend_job { /* mu guards what the step thread and the owner both touch */
    struct backend_local *b;
    struct title         *title; /* pinned */
    uint64_t              seq;
    void (*on_event)(void *arg, const struct backend_event *ev);
    void                *arg;
    bool                 listed, paused, done; /* mu: pending */
    bool                 short_of_memory;      /* mu: something was lost */
    struct pending       pending;              /* mu */
    float               *vector;               /* mu: (n_vector) */
    size_t               n_vector;
    uint32_t             n_tokens;             /* mu: covered by pending.text */
    struct token_counts  counts;               /* mu */
    enum seq_end         end;                  /* mu */
    struct err           err;                  /* mu */
    struct backend_job  *next;                 /* mu: of the list */
    struct pending       out;                  /* owner: what is being delivered */
};

struct backend_local {
    struct device  *device;
    struct engine  *engine;
    struct mailbox *box;
    struct shelf    shelf;
};

/* ---- events ---- */

static void mailbox_free(struct mailbox *x)
{
    mutex_deinit(&x->mu);
    mem_free(x);
}

static void pending_clear(struct pending *p)
{
    buf_clear(&p->text);
    p->logprobs.n = p->prompt.n = 0;
}

static void pending_deinit(struct pending *p)
{
    buf_deinit(&p->text);
    vec_deinit(&p->logprobs);
    vec_deinit(&p->prompt);
}

/* Hands out what one job has pending. True: the job has ended. */
static bool deliver(struct mailbox *x, struct backend_job *j)
{
    mutex_lock(&x->mu);
    struct pending empty = j->out;
    j->out = j->pending;
    j->pending = empty;
    pending_clear(&j->pending);
    const struct pending *p = &j->out;
    struct backend_event ev = {.counts = j->counts, .text = "", .end = j->end, .err = j->err};
    uint32_t n_tokens = j->n_tokens;
    float *vector = j->vector;
    bool paused = j->paused, done = j->done;
    j->vector = NULL;
    j->n_tokens = 0;
    j->paused = j->listed = false;
    mutex_unlock(&x->mu);
    if (p->prompt.n > 0) {
        struct backend_event prompt = ev;
        prompt.kind = SEQ_PROMPT, prompt.logprobs = p->prompt.p, prompt.n_logprobs = p->prompt.n;
        j->on_event(j->arg, &prompt);
    }
    if (n_tokens > 0 || p->text.len > 0) {
        struct backend_event text = ev;
        text.kind = SEQ_TEXT, text.text = p->text.data ? p->text.data : "", text.n_text = p->text.len, text.n_tokens = n_tokens;
        text.logprobs = p->logprobs.p, text.n_logprobs = p->logprobs.n;
        j->on_event(j->arg, &text);
    }
    if (vector) {
        struct backend_event found = ev;
        found.kind = SEQ_VECTOR, found.vector = vector, found.n_vector = j->n_vector;
        j->on_event(j->arg, &found);
        mem_free(vector);
    }
    if (paused && !done) {
        ev.kind = SEQ_PAUSED;
        j->on_event(j->arg, &ev);
    }
    if (done) {
        ev.kind = SEQ_DONE;
        j->on_event(j->arg, &ev);
    }
    return done;
}

static void job_free(struct backend_job *j)
{
    if (j->title)
        shelf_put(&j->b->shelf, j->title);
    pending_deinit(&j->pending);
    pending_deinit(&j->out);
    mem_free(j->vector);
    mem_free(j);
}

static struct backend_wait *wait_pop(struct mailbox *x)
{
    mutex_lock(&x->mu);
    struct backend_wait *w = x->waits;
    if (w && !(x->waits = w->next))
        x->waits_last = &x->waits;
    mutex_unlock(&x->mu);
    return w;
}

/* Owner's thread: everything that is pending now. */
static void drain(struct mailbox *x)
{
    struct backend_wait *w;
    mutex_lock(&x->mu);
    struct backend_job *j = x->first, *next;
    x->first = NULL;
    x->last = &x->first;
    mutex_unlock(&x->mu);
    for (; j; j = next) {
        next = j->next; /* before deliver: then it may be listed again */
        if (deliver(x, j))
            job_free(j);
    }
    while ((w = wait_pop(x))) /* one at a time: ready may leave others */
        w->ready(w->arg, &w->err);
}

static void on_post(void *arg)
{
    struct mailbox *x = arg;
    if (x->orphan) { /* set on this same thread */
        mailbox_free(x);
        return;
    }
    mutex_lock(&x->mu);
    x->posted = false;
    mutex_unlock(&x->mu);
    drain(x);
}

void mailbox_wait(struct mailbox *x, struct backend_wait *w)
{
    mutex_lock(&x->mu);
    w->told = true;
    w->next = NULL;
    *x->waits_last = w;
    x->waits_last = &w->next;
    bool post = !x->posted && !x->closed;
    x->posted |= post;
    mutex_unlock(&x->mu);
    if (post)
        x->post(x->post_ctx, on_post, x);
}

bool mailbox_leave(struct mailbox *x, struct backend_wait *w)
{
    bool found = false;
    mutex_lock(&x->mu);
    for (struct backend_wait **at = &x->waits; *at; at = &(*at)->next)
        if (*at == w) {
            if (!(*at = w->next))
                x->waits_last = at;
            found = true;
            break;
        }
    mutex_unlock(&x->mu);
    return found;
}

static bool add_logprobs(struct vec_logprobs *v, const struct seq_event *ev)
{
    if (!ev->n_logprobs)
        return true;
    if (!vec_reserve(v, v->n + ev->n_logprobs))
        return false;
    memcpy(v->p + v->n, ev->logprobs, ev->n_logprobs * sizeof *v->p);
    v->n += ev->n_logprobs;
    return true;
}

/* mu is held. False: no memory. */
static bool add_event(struct backend_job *j, const struct seq_event *ev)
{
    switch (ev->kind) {
    case SEQ_TEXT:
        buf_add(&j->pending.text, ev->text, ev->n_text);
        j->n_tokens += ev->token != TOKEN_NONE;
        j->paused = false; /* a pause that is over before it was told */
        return !j->pending.text.failed && add_logprobs(&j->pending.logprobs, ev);
    case SEQ_PROMPT: return add_logprobs(&j->pending.prompt, ev);
    case SEQ_VECTOR:
        j->vector = mem_array(ev->n_vector, sizeof *j->vector);
        j->n_vector = ev->n_vector;
        if (j->vector)
            memcpy(j->vector, ev->vector, ev->n_vector * sizeof *j->vector);
        return j->vector != NULL;
    case SEQ_PAUSED: j->paused = true; return true;
    case SEQ_DONE:
        j->done = true;
        j->end = ev->end;
        j->err = ev->err;
        return true;
    }
    return true;
}

/* Step thread. */
static void on_seq(void *arg, const struct seq_event *ev)
{
    struct backend_job *j = arg;
    struct mailbox     *x = j->b->box;
    mutex_lock(&x->mu);
    j->counts = ev->counts;
    j->short_of_memory |= !add_event(j, ev);
    if (j->done && j->short_of_memory) {
        j->end = SEQ_END_ERROR;
        err_set(&j->err, ERR_NO_MEMORY, "backend: no memory for an answer; try again later");
    }
    if (!j->listed) {
        j->listed = true;
        j->next = NULL;
        *x->last = j;
        x->last = &j->next;
    }
    bool post = !x->posted && !x->closed;
    x->posted |= post;
    mutex_unlock(&x->mu);
    if (post)
        x->post(x->post_ctx, on_post, x);
}

/* ---- the interface ---- */

static struct shelf *shelf_of(void *self) { return &((struct backend_local *)self)->shelf; }
/* A title begins with its public part; the owner got it from here. */
static struct title *title_of(const struct backend_model *m) { return (struct title *)(uintptr_t)m; }
static const struct backend_model *pub_of(const struct title *t) { return t ? &t->pub : NULL; }

static size_t n_models(void *self) { return shelf_count(shelf_of(self)); }
static const struct backend_model *model_at(void *self, size_t i) { return pub_of(shelf_at(shelf_of(self), i)); }
static const struct backend_model *model_find(void *self, struct str alias) { return pub_of(shelf_find(shelf_of(self), alias)); }

static int get(void *self, const struct backend_model *m, struct backend_wait *w, struct err *e)
{
    return shelf_get(shelf_of(self), title_of(m), w, e);
}

static void put(void *self, const struct backend_model *m) { shelf_put(shelf_of(self), title_of(m)); }
static void leave(void *self, struct backend_wait *w) { shelf_leave(shelf_of(self), w); }
static void shelf_numbers(void *self, struct backend_shelf_stats *out) { shelf_stats(shelf_of(self), out); }

static void model_status(void *self, const struct backend_model *m, struct backend_model_status *out)
{
    shelf_status(shelf_of(self), title_of(m), out);
}

/* A job with a pin on its model. */
static int job_new(struct backend_job **out, struct backend_local *b, const struct backend_req *q, struct err *e)
{
    struct backend_job *j = *out = mem_new(sizeof *j);
    if (!j)
        return err_set(e, ERR_NO_MEMORY, "backend: no memory for a request; try again later");
    j->b = b;
    j->on_event = q->on_event;
    j->arg = q->arg;
    buf_init(&j->pending.text, 0);
    buf_init(&j->out.text, 0);
    if (!shelf_pin(&b->shelf, title_of(q->model))) {
        job_free(j);
        *out = NULL;
        return err_set(e, ERR_UNAVAILABLE, "backend: the model %s is not in memory; try again later", q->model->alias);
    }
    j->title = title_of(q->model);
    return 0;
}

static struct seq_opts seq_of(const struct backend_req *q, struct backend_job *j)
{
    return (struct seq_opts){
        .model = j->title->served,
        .kind = q->kind,
        .pooling = q->model->pooling,
        .tenant = q->tenant,
        .prompt = q->prompt,
        .n_prompt = q->n_prompt,
        .max_tokens = q->max_tokens,
        .allowance = q->allowance,
        .sample = q->sample,
        .logprobs = q->logprobs,
        .prompt_logprobs = q->prompt_logprobs,
        .top_logprobs = q->top_logprobs,
        .stops = q->stops,
        .stop_lens = q->stop_lens,
        .n_stops = q->n_stops,
        .tag = q->tag,
        .on_event = on_seq,
        .arg = j,
    };
}

static int start(void *self, const struct backend_req *q, size_t n, struct backend_job **out, struct err *e)
{
    struct backend_local *b = self;
    uint64_t              ids[ENGINE_CHOICES_MAX];
    ASSERT(n > 0 && n <= ENGINE_CHOICES_MAX);
    struct seq_opts *o = mem_array(n, sizeof *o);
    size_t           made = 0;
    int              rc = 0;
    if (!b->engine || !o)
        rc = err_set(e, o ? ERR_UNAVAILABLE : ERR_NO_MEMORY, "backend: %s", o ? "the server is ending" : "no memory for a request; try again later");
    for (; rc == 0 && made < n; made += rc == 0) {
        rc = job_new(&out[made], b, &q[made], e);
        if (rc == 0)
            o[made] = seq_of(&q[made], out[made]);
    }
    if (rc == 0)
        rc = engine_start_many(b->engine, o, n, ids, e);
    for (size_t i = 0; i < made; i++) {
        if (rc == 0) {
            out[i]->seq = ids[i]; /* read on this thread alone */
        } else {
            job_free(out[i]);
            out[i] = NULL;
        }
    }
    mem_free(o);
    return rc;
}

static void allow(void *self, struct backend_job *j, uint32_t allowance)
{
    struct backend_local *b = self;
    if (b->engine) /* else the last events are being delivered */
        engine_allow(b->engine, j->seq, allowance);
}

static void stop(void *self, struct backend_job *j, enum seq_end why)
{
    struct backend_local *b = self;
    if (b->engine)
        engine_stop(b->engine, j->seq, why);
}

static void stats(void *self, struct engine_stats *out) { engine_stats(((struct backend_local *)self)->engine, out); }

/* ---- life ---- */

static void local_end(void *self)
{
    struct backend_local *b = self;
    if (b->box) {
        mutex_lock(&b->box->mu);
        b->box->closed = true; /* no more posts: the last events are delivered here */
        mutex_unlock(&b->box->mu);
    }
    shelf_stop(&b->shelf);
    engine_free(b->engine);
    b->engine = NULL;
    if (b->box)
        drain(b->box);
}

static void local_free(void *self)
{
    struct backend_local *b = self;
    if (!b)
        return;
    local_end(b);
    shelf_deinit(&b->shelf);
    if (b->box && b->box->posted)
        b->box->orphan = true; /* on_post frees it */
    else if (b->box)
        mailbox_free(b->box);
    device_free(b->device);
    mem_free(b);
}

int backend_local_new(struct backend_local **out, const struct backend_local_opts *o, struct err *e)
{
    *out = NULL;
    struct backend_local *b = mem_new(sizeof *b);
    if (!b || !(b->box = mem_new(sizeof *b->box))) {
        mem_free(b);
        return err_set(e, ERR_NO_MEMORY, "backend: no memory; free some and start again");
    }
    mutex_init(&b->box->mu);
    b->box->last = &b->box->first;
    b->box->waits_last = &b->box->waits;
    b->box->post = o->post;
    b->box->post_ctx = o->post_ctx;
    struct engine_opts eo = o->engine;
    int                rc = device_new(&b->device, &o->device, e);
    if (rc == 0) {
        eo.device = b->device;
        rc = engine_new(&b->engine, &eo, e);
    }
    if (rc == 0)
        rc = shelf_init(&b->shelf, o, b->device, b->engine, b->box, e);
    if (rc < 0) {
        local_free(b);
        return rc;
    }
    *out = b;
    return 0;
}

int backend_local_offer(struct backend_local *b, const struct backend_source *s, struct err *e) { return shelf_offer(&b->shelf, s, NULL, e); }
void backend_local_preload(struct backend_local *b, struct str alias) { shelf_preload(&b->shelf, alias); }
void backend_local_withdraw(struct backend_local *b, struct str alias) { shelf_withdraw(&b->shelf, alias); }

int backend_local_add(struct backend_local *b, const struct backend_source *s, struct err *e)
{
    struct title *t;
    int           rc = shelf_offer(&b->shelf, s, &t, e);
    return rc < 0 ? rc : shelf_load_now(&b->shelf, t, e);
}

void backend_local_iface(struct backend_local *b, struct backend *out)
{
    *out = (struct backend){
        .self = b,
        .n_models = n_models,
        .model_at = model_at,
        .model_find = model_find,
        .start = start,
        .allow = allow,
        .stop = stop,
        .stats = stats,
        .free = local_free,
        .end = local_end,
        .get = get,
        .put = put,
        .leave = leave,
        .model_status = model_status,
        .shelf_stats = shelf_numbers,
    };
}
