/* A screened output matrix changes no token: greedy, by top_k and by min_p, one and two at a time, beside requests that need every logit. */
#include "../model/golden.h"
#include "base/clock.h"
#include "engine/engine_int.h"

enum { N = 12, OUT = 60, N_VOCAB = 4096 };

struct told {
    int32_t token[OUT];
    uint32_t n;
    _Atomic bool done;
};

static struct engine *g;
static uint32_t n_screened; /* tokens whose row of logits was not whole */

static void on_event(void *arg, const struct seq_event *ev)
{
    struct told *t = arg;
    if (ev->kind == SEQ_TEXT && ev->token >= 0) {
        bool out = false;
        for (uint32_t i = 0; i < N_VOCAB; i++) /* still the step's first row */
            out |= g->models->logits[i] == -INFINITY;
        n_screened += out;
        t->token[t->n++] = ev->token;
    }
    if (ev->kind == SEQ_DONE)
        t->done = true;
}

static bool ask(struct engine_model *m, uint32_t i, struct told *t)
{
    static const struct sample_params how[] = {{.top_p = 1},
                                               {.top_p = 0.9f, .temperature = 1, .top_k = 12},
                                               {.top_p = 1, .temperature = 0.7f, .min_p = 0.1f},
                                               {.top_p = 1, .temperature = 0.8f, .top_k = 64, .min_p = 0.02f},
                                               {.top_p = 1, .temperature = 0.5f},
                                               {.top_p = 1, .repetition = 1.3f}};
    int32_t prompt[30];
    uint64_t id;
    struct err e;
    for (uint32_t k = 0; k < 30; k++)
        prompt[k] = (int32_t)(rng_u64(i, 0, k, 0) % N_VOCAB);
    struct seq_opts o = {.model = m,
                         .prompt = prompt,
                         .n_prompt = 30,
                         .max_tokens = OUT,
                         .allowance = UINT32_MAX,
                         .sample = how[i % 6],
                         .ignore_eos = true,
                         .on_event = on_event,
                         .arg = t};
    o.sample.seed = i;
    memset(t, 0, sizeof *t);
    return engine_start(g, &o, &id, &e) == 0;
}

static void told_wait(struct told *t)
{
    for (int k = 0; k < 60000 && !t->done; k++)
        clock_sleep_ms(1);
}

static void check(struct run *r)
{
    static struct told whole[N], t[N];
    for (int screened = 0; screened < 2; screened++) {
        struct engine_model *m;
        struct err e;
        CHECK(!engine_new(&g, &(struct engine_opts){.device = r->dev, .kv_bytes = 16 << 20, .seqs_max = 2, .no_screen = !screened}, &e) &&
              !engine_model_add(g, r->model, NULL, &m, &e));
        n_screened = 0;
        for (uint32_t i = 0; i < N; i++) { /* in pairs */
            CHECK(ask(m, i, screened ? &t[i] : &whole[i]));
            if (i % 2 == 0 && i % 4)
                told_wait(screened ? &t[i] : &whole[i]);
        }
        for (uint32_t i = 0; i < N; i++) {
            told_wait(screened ? &t[i] : &whole[i]);
            CHECK_MSG(!screened || (t[i].n == OUT && memcmp(t[i].token, whole[i].token, sizeof t[i].token) == 0), "text %u is another one", i);
        }
        engine_free(g);
        if (getenv("SLUICE_TEST_VERBOSE"))
            printf("%u tokens screened\n", n_screened);
        CHECK_MSG(screened ? n_screened > 10 : n_screened == 0, "%u tokens screened", n_screened);
    }
}

TEST(tokens_are_the_same)
{
    struct tiny o = tiny_default("llama");
    struct gguf_writer *w;
    struct modelfile *f;
    struct run r;
    struct err e = {0};
    struct buf b;
    o.n_vocab = N_VOCAB, o.type = o.embd_type = QUANT_Q8_0, o.tied = true;
    buf_init(&b, 0);
    CHECK(!gguf_writer_new(&w, &e) && tiny_put(w, &o) && !gguf_writer_bytes(w, &b, &e) && !gguf_parse(&f, b.data, b.len, &e));
    CHECK_MSG(run_open(&r, f, KV_F16, NULL, &e), "%s", e.msg);
    check(&r);
    run_close(&r);
    gguf_writer_free(w);
    buf_deinit(&b);
}

TEST_MAIN()
