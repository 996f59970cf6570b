/* The engine in this process. Events leave the step thread through a mailbox: each job holds what is pending for it (its texts merge into
 * one), jobs with something pending form a list, and one post is outstanding while the list is not empty. So a slow owner costs memory only
 * for text that was generated, and a burst of steps costs one wake-up. */
#include "backend/backend.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/vec.h"
#include <string.h>

struct backend_job { /* mu guards what the step thread and the owner both touch */
    struct backend_local *b;
    uint64_t              seq;
    void (*on_event)(void *arg, const struct backend_event *ev);
    void                *arg;
    bool                 listed, paused, done; /* mu: pending */
    struct buf           text;                 /* mu: pending */
    uint32_t             n_tokens;             /* mu: covered by text */
    struct token_counts  counts;               /* mu */
    enum seq_end         end;                  /* mu */
    struct err           err;                  /* mu */
    struct backend_job  *next;                 /* mu: of the list */
    struct buf           out;                  /* owner: the text that is being delivered */
};

struct entry { /* one model */
    struct backend_model  pub;
    struct modelfile     *file;
    struct vocab         *vocab;
    struct chat_template *tmpl;
    struct model         *model;
    struct engine_model  *served;
};

/* Outlives the backend while a post is outstanding. */
struct mailbox {
    struct mutex         mu;
    struct backend_job  *first, **last;
    bool                 posted, closed;
    void (*post)(void *ctx, void (*fn)(void *), void *arg);
    void *post_ctx;
};

struct backend_local {
    struct device  *device;
    struct engine  *engine;
    struct vec_ptr  entries; /* struct entry * */
    struct mailbox *box;
};

/* ---- events ---- */

static void mailbox_free(struct mailbox *x)
{
    mutex_deinit(&x->mu);
    mem_free(x);
}

/* Hands out what one job has pending. True: the job has ended. */
static bool deliver(struct mailbox *x, struct backend_job *j)
{
    mutex_lock(&x->mu);
    struct buf empty = j->out;
    j->out = j->text;
    j->text = empty;
    buf_clear(&j->text);
    struct backend_event ev = {
        .text = j->out.data ? j->out.data : "", .n_text = j->out.len, .counts = j->counts, .n_tokens = j->n_tokens, .end = j->end, .err = j->err};
    bool paused = j->paused, done = j->done;
    j->n_tokens = 0;
    j->paused = j->listed = false;
    mutex_unlock(&x->mu);
    if (ev.n_tokens > 0 || ev.n_text > 0) {
        ev.kind = SEQ_TEXT;
        j->on_event(j->arg, &ev);
    }
    ev.text = "";
    ev.n_text = ev.n_tokens = 0;
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
    buf_deinit(&j->text);
    buf_deinit(&j->out);
    mem_free(j);
}

/* Owner's thread: everything that is pending now. */
static void drain(struct mailbox *x)
{
    mutex_lock(&x->mu);
    struct backend_job *j = x->first, *next;
    x->first = NULL;
    x->last = &x->first;
    x->posted = false;
    mutex_unlock(&x->mu);
    for (; j; j = next) {
        next = j->next; /* before deliver: then it may be listed again */
        if (deliver(x, j))
            job_free(j);
    }
}

static void on_post(void *arg)
{
    struct mailbox *x = arg;
    if (x->closed) /* set on this same thread */
        mailbox_free(x);
    else
        drain(x);
}

/* Step thread. */
static void on_seq(void *arg, const struct seq_event *ev)
{
    struct backend_job *j = arg;
    struct mailbox     *x = j->b->box;
    mutex_lock(&x->mu);
    j->counts = ev->counts;
    if (ev->kind == SEQ_TEXT) {
        buf_add(&j->text, ev->text, ev->n_text);
        j->n_tokens += ev->token != TOKEN_NONE;
        j->paused = false; /* a pause that is over before it was told */
    } else if (ev->kind == SEQ_PAUSED) {
        j->paused = true;
    } else {
        j->done = true;
        j->end = ev->end;
        j->err = ev->err;
        if (j->text.failed) {
            j->end = SEQ_END_ERROR;
            err_set(&j->err, ERR_NO_MEMORY, "backend: no memory for the text of an answer; try again later");
        }
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

static size_t n_models(void *self) { return ((struct backend_local *)self)->entries.n; }

static const struct backend_model *model_at(void *self, size_t i)
{
    struct backend_local *b = self;
    return i < b->entries.n ? &((struct entry *)b->entries.p[i])->pub : NULL;
}

static const struct backend_model *model_find(void *self, struct str alias)
{
    struct backend_local *b = self;
    for (size_t i = 0; i < b->entries.n; i++)
        if (str_eqz(alias, ((struct entry *)b->entries.p[i])->pub.alias))
            return model_at(b, i);
    return NULL;
}

static int start(void *self, const struct backend_req *q, struct backend_job **out, struct err *e)
{
    struct backend_local *b = self;
    struct backend_job   *j = mem_new(sizeof *j);
    *out = NULL;
    if (!j || !b->engine) {
        mem_free(j);
        return err_set(e, j ? ERR_UNAVAILABLE : ERR_NO_MEMORY, "backend: %s",
                       j ? "the server is ending" : "no memory for a request; try again later");
    }
    j->b = b;
    j->on_event = q->on_event;
    j->arg = q->arg;
    buf_init(&j->text, 0);
    buf_init(&j->out, 0);
    struct seq_opts o = {
        .model = ((const struct entry *)q->model)->served, /* pub is its first member */
        .tenant = q->tenant,
        .prompt = q->prompt,
        .n_prompt = q->n_prompt,
        .max_tokens = q->max_tokens,
        .allowance = q->allowance,
        .sample = q->sample,
        .stops = q->stops,
        .stop_lens = q->stop_lens,
        .n_stops = q->n_stops,
        .tag = q->tag,
        .on_event = on_seq,
        .arg = j,
    };
    int rc = engine_start(b->engine, &o, &j->seq, e);
    if (rc < 0) {
        job_free(j);
        return rc;
    }
    *out = j;
    return 0;
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

static void entry_free(struct entry *t)
{
    model_free(t->model);
    template_free(t->tmpl);
    vocab_free(t->vocab);
    modelfile_close(t->file);
    mem_free(t);
}

static void local_free(void *self)
{
    struct backend_local *b = self;
    if (!b)
        return;
    if (b->box) {
        mutex_lock(&b->box->mu);
        b->box->closed = true; /* no more posts: the last events are delivered here */
        mutex_unlock(&b->box->mu);
    }
    engine_free(b->engine);
    b->engine = NULL;
    if (b->box) {
        bool outstanding = b->box->posted;
        drain(b->box);
        if (!outstanding)
            mailbox_free(b->box); /* else on_post does it */
    }
    for (size_t i = 0; i < b->entries.n; i++)
        entry_free(b->entries.p[i]);
    vec_deinit(&b->entries);
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
    b->box->post = o->post;
    b->box->post_ctx = o->post_ctx;
    struct engine_opts eo = o->engine;
    int                rc = device_new(&b->device, &o->device, e);
    if (rc == 0) {
        eo.device = b->device;
        rc = engine_new(&b->engine, &eo, e);
    }
    if (rc < 0) {
        local_free(b);
        return rc;
    }
    *out = b;
    return 0;
}

static int load(struct backend_local *b, struct entry *t, const struct backend_source *s, struct err *e)
{
    int rc = s->path ? gguf_open(&t->file, s->path, e) : gguf_parse(&t->file, s->bytes, s->n_bytes, e);
    if (rc == 0)
        rc = vocab_load(&t->vocab, t->file, e);
    if (rc == 0)
        rc = template_load(&t->tmpl, t->file, t->vocab, t->pub.warning, e);
    if (rc == 0)
        rc = model_load(&t->model, t->file, b->device, NULL, NULL, e);
    if (rc == 0)
        rc = engine_model_add(b->engine, t->model, t->vocab, &t->served, e);
    return rc;
}

int backend_local_add(struct backend_local *b, const struct backend_source *s, struct err *e)
{
    if (model_find(b, str_of(s->alias)))
        return err_set(e, ERR_CONFLICT, "backend: the name %s is taken by another model; give this one another name", s->alias);
    struct entry *t = mem_new(sizeof *t);
    if (!t || !vec_reserve(&b->entries, b->entries.n + 1)) {
        mem_free(t);
        return err_set(e, ERR_NO_MEMORY, "backend: no memory for a model; free some and start again");
    }
    if (!str_fmt(t->pub.alias, sizeof t->pub.alias, "%s", s->alias) ||
        !str_fmt(t->pub.source, sizeof t->pub.source, "%s", s->source ? s->source : "")) {
        mem_free(t);
        return err_set(e, ERR_BAD_VALUE, "backend: the name or the source of a model is too long (at most %zu and %zu bytes)",
                       sizeof t->pub.alias - 1, sizeof t->pub.source - 1);
    }
    if (load(b, t, s, e) < 0) {
        entry_free(t);
        return err_wrap(e, "model %s", s->alias);
    }
    t->pub.digest = s->digest;
    t->pub.created_us = s->created_us ? s->created_us : clock_now_us();
    t->pub.vocab = t->vocab;
    t->pub.tmpl = t->tmpl;
    t->pub.n_ctx = engine_model_ctx(t->served);
    b->entries.p[b->entries.n++] = t;
    return 0;
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
    };
}
