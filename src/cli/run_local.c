/* `sluice run` without a server: the engine in this process, nothing metered. */
#include "backend/postq.h"
#include "base/clock.h"
#include "cli/cli_int.h"

struct local {
    struct postq queue; /* what the engine's thread hands over */
    struct backend backend;
    const struct backend_model *model;
};
struct running { /* one answer */
    struct ask *ask;
    bool done;
    enum seq_end end;
    struct err err;
    struct token_counts counts;
    uint64_t first_ns, last_ns;
};

static void on_event(void *arg, const struct backend_event *ev)
{
    struct running *r = arg;
    r->counts = ev->counts;
    if (ev->kind == SEQ_TEXT) {
        r->last_ns = clock_ns();
        if (!r->first_ns)
            r->first_ns = r->last_ns;
        buf_add(r->ask->answer, ev->text, ev->n_text);
        fwrite(ev->text, 1, ev->n_text, stdout);
        fflush(stdout);
    } else if (ev->kind == SEQ_DONE) {
        r->done = true, r->end = ev->end, r->err = ev->err;
    }
}

static int ask_local(void *self, struct ask *a, struct err *e)
{
    struct local *l = self;
    struct vec_i32 prompt = {0};
    struct running r = {.ask = a};
    struct backend_job *job = NULL;
    int rc = prompt_build(&prompt, l->model, &(struct prompt_in){.messages = a->messages}, e);
    uint32_t limit = rc < 0 ? 0 : l->model->n_ctx - (uint32_t)prompt.n;
    if (a->max_tokens && a->max_tokens < limit)
        limit = a->max_tokens;
    struct backend_req q = {.model = l->model,
                            .tenant = {.weight = 1},
                            .prompt = prompt.p,
                            .n_prompt = (uint32_t)prompt.n,
                            .max_tokens = limit,
                            .allowance = limit,
                            .on_event = on_event,
                            .arg = &r,
                            .sample = {.temperature = (float)a->temperature, .top_p = 1, .seed = (uint64_t)a->seed}};
    if (!a->has_seed)
        random_bytes(&q.sample.seed, sizeof q.sample.seed);
    if (rc >= 0)
        rc = l->backend.start(l->backend.self, &q, 1, &job, e);
    vec_deinit(&prompt);
    for (bool stopped = false; rc >= 0 && !r.done;) {
        postq_run(&l->queue, 50);
        if (!stopped && !r.done && a->stopped())
            stopped = true, l->backend.stop(l->backend.self, job, SEQ_END_CANCEL);
    }
    if (rc >= 0 && r.end == SEQ_END_ERROR)
        return *e = r.err, -(int)r.err.code;
    double s = (double)(r.last_ns - r.first_ns) / 1e9;
    str_fmt(a->note, sizeof a->note, "%u tokens, %.0f tokens/s, unmetered", r.counts.output,
            s > 0 && r.counts.output > 1 ? (r.counts.output - 1) / s : 0.0);
    return rc;
}

static void free_local(void *self)
{
    struct local *l = self;
    l->backend.free(l->backend.self);
    postq_deinit(&l->queue);
    mem_free(l);
}

int run_local_open(struct asker *out, const char *dir, const char *model, struct err *e)
{
    struct local *l = mem_must(sizeof *l);
    postq_init(&l->queue);
    struct backend_local *b = NULL;
    struct models_opts o = {.dir = dir,
                            .one = true,
                            .only = model ? model : GUIDE_NAME,
                            .local = {.engine = {.draft_max = ENGINE_DRAFT_MAX}, .post = postq_post, .post_ctx = &l->queue}};
    const void *p;
    size_t n;
    if (!model && !guide_bytes(&p, &n))
        o.only = NULL;
    int rc = models_open(&b, &o, e);
    if (rc < 0) {
        postq_deinit(&l->queue);
        mem_free(l);
        return rc;
    }
    backend_local_iface(b, &l->backend);
    l->model = model ? l->backend.model_find(l->backend.self, str_of(model)) : models_default(&l->backend);
    *out = (struct asker){l, ask_local, free_local};
    if (l->model)
        return 0;
    free_local(l);
    return model ? err_set(e, ERR_NO_MODEL, "there is no model %s; sluice list shows those that there are", model)
                 : err_set(e, ERR_NO_MODEL, "there is no model; sluice add FILE --name NAME");
}
