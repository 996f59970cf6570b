/* A screened output matrix changes no token: greedy, by top_k and by min_p, one and two at a time, beside requests that need every logit. */
#include "told.h"

enum { N = 12, OUT = 60, N_VOCAB = 4096 };

static struct engine *g;
static uint32_t n_screened; /* tokens whose row of logits was not whole */

static void on_event(void *arg, const struct seq_event *ev)
{
    if (ev->kind == SEQ_TEXT && ev->token >= 0) {
        bool out = false;
        for (uint32_t i = 0; i < N_VOCAB; i++) /* still the step's first row */
            out |= g->models->logits[i] == -INFINITY;
        n_screened += out;
    }
    told_event(arg, ev);
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
    for (uint32_t k = 0; k < 30; k++)
        prompt[k] = (int32_t)(rng_u64(i, 0, k, 0) % N_VOCAB);
    struct seq_opts o = told_request(t, m, prompt, 30, OUT);
    o.sample = how[i % 6], o.sample.seed = i;
    o.on_event = on_event;
    return told_start(g, &o);
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
            const char *differ = screened ? told_differ(&t[i], &whole[i]) : NULL;
            CHECK_MSG(!differ && whole[i].n == OUT, "text %u: %s", i, differ ? differ : "it is too short");
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
    struct run r;
    struct err e = {0};
    o.n_vocab = N_VOCAB, o.type = o.embd_type = QUANT_Q8_0, o.tied = true;
    CHECK_MSG(run_tiny(&r, &o, KV_F16, &e), "%s", e.msg);
    check(&r);
    run_close(&r);
}

TEST_MAIN()
