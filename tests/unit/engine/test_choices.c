/* Several answers to one prompt, penalties, log probabilities and embeddings, with the fake model whose results depend on every page. */
#include "served.h"
#include <math.h>

static struct seq_opts request(uint32_t tag, uint32_t seed, uint32_t n_prompt)
{
    struct seq_opts o = request_of(tag, seed, n_prompt);
    o.sample.seed = seed;
    return o;
}

/* Choices tag .. tag + n - 1 of one prompt. */
static bool start_choices(uint32_t tag, uint32_t n, struct seq_opts o)
{
    struct seq_opts many[16];
    uint64_t        ids[16];
    struct err      e;
    for (uint32_t k = 0; k < n; k++) {
        many[k] = o;
        many[k].tag = tag + k, many[k].arg = &jobs[tag + k], many[k].sample.choice = k;
    }
    if (engine_start_many(g, many, n, ids, &e) < 0)
        return false;
    for (uint32_t k = 0; k < n; k++)
        jobs[tag + k].seq = ids[k];
    return true;
}

/* Each choice says what it would say alone; the first has the prompt's tokens, the others none. */
static bool as_alone(uint32_t tag, uint32_t n, struct seq_opts o, uint32_t n_ctx)
{
    static struct expect x;
    uint32_t             input = 0;
    for (uint32_t k = 0; k < n; k++) {
        struct job *j = &jobs[tag + k];
        JOB_DONE(j);
        o.sample.choice = k;
        fake_expect(&model, &o, n_ctx, &x);
        input += j->counts.input;
        if (!job_ok(j) || j->end != x.end || j->counts.output != x.n_out || j->text.len != x.n_text ||
            memcmp(j->text.data ? j->text.data : "", x.text, x.n_text) != 0) {
            printf("choice %u of %u: bad %u, end %d (%d), %u tokens (%u)\n", k, tag, j->bad, (int)j->end, (int)x.end, j->counts.output, x.n_out);
            return false;
        }
    }
    if (input != o.n_prompt)
        printf("request %u: %u prompt tokens were billed, not %u\n", tag, input, o.n_prompt);
    return input == o.n_prompt;
}

TEST(choices_compute_the_prompt_once)
{
    static const uint32_t lens[] = {1, 2, 63, 64, 65, 192, 200, 333};
    struct engine_stats   st;
    CHECK(open_engine(700, &(struct engine_opts){.kv_bytes = 1 << 22, .chunk = 100}));
    for (uint32_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        uint32_t rows = model.all_rows, out = 0, tag = i * 8;
        struct seq_opts o = request(tag, i, lens[i]);
        CHECK(start_choices(tag, 5, o) && as_alone(tag, 5, o, 700));
        for (uint32_t k = 0; k < 5; k++)
            out += jobs[tag + k].counts.output;
        CHECK_MSG(model.all_rows - rows == lens[i] + out - 5, "a prompt of %u: %u rows for %u tokens", lens[i], model.all_rows - rows, out);
    }
    STATS_WAIT(g, st, st.pages_used == 0);
    CHECK(st.pages_used == 0 && st.running == 0 && st.waiting == 0);
    engine_free(g);
}

TEST(choices_without_room_are_the_same)
{
    enum { N = 60, CHOICES = 4 };
    struct engine_stats st;
    CHECK(open_engine(700, &(struct engine_opts){.kv_bytes = 12 * 4096, .seqs_max = 12, .chunk = 100}));
    for (uint32_t i = 0; i < N; i++) {
        struct seq_opts o = request(i * CHOICES, i, 1 + i * 37 % 300);
        o.tenant.id = i % 3, o.max_tokens = 1 + i * 53 % 200;
        CHECK(start_choices(i * CHOICES, CHOICES, o));
    }
    for (uint32_t i = 0; i < N; i++) {
        struct seq_opts o = request(i * CHOICES, i, 1 + i * 37 % 300);
        o.max_tokens = 1 + i * 53 % 200;
        CHECK(as_alone(i * CHOICES, CHOICES, o, 700));
    }
    engine_stats(g, &st);
    CHECK_MSG(st.evictions > 10, "only %d evictions: the test proves little", (int)st.evictions);
    STATS_WAIT(g, st, st.pages_used == 0);
    CHECK(st.pages_used == 0);
    engine_free(g);
}

TEST(a_choice_that_ends_early_leaves_the_others)
{
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 22, .chunk = 64}));
    model.closed = true;
    struct seq_opts o = request(0, 7, 500);
    CHECK(start_choices(0, 4, o));
    gate_wait(0);
    engine_stop(g, jobs[2].seq, SEQ_END_CANCEL); /* one that waits */
    gate_step(1);
    engine_stop(g, jobs[0].seq, SEQ_END_CANCEL); /* the one that leads, in its prefill */
    model.closed = false;
    for (int i = 0; i < 4; i++)
        JOB_DONE(&jobs[i]);
    CHECK(jobs[0].end == SEQ_END_CANCEL && jobs[2].end == SEQ_END_CANCEL && jobs[2].counts.input == 0 && jobs[2].counts.output == 0);
    CHECK(jobs[0].counts.input > 0 && jobs[0].counts.input < 500 && jobs[0].counts.input + jobs[1].counts.input == 500 && jobs[3].counts.input == 0);
    for (uint32_t k = 1; k < 4; k += 2) {
        static struct expect x;
        o.sample.choice = k;
        fake_expect(&model, &o, 2000, &x);
        CHECK(job_ok(&jobs[k]) && jobs[k].text.len == x.n_text && memcmp(jobs[k].text.data, x.text, x.n_text) == 0);
    }
    model.closed = true; /* an engine that ends, with choices that wait for their prompt */
    o = request(10, 8, 1500);
    int stops = model.stops; /* before the start: the step may begin at once */
    CHECK(start_choices(10, 6, o));
    gate_wait(stops);
    model.closed = false;
    engine_free(g);
    for (int i = 10; i < 16; i++)
        CHECK(jobs[i].n_done == 1 && jobs[i].bad == 0);
}

TEST(penalties_and_bias_see_the_right_tokens)
{
    static const struct logit_bias bias[] = {{3, 4.5f}, {9, -100}, {17, 2}, {40, 0.25f}};
    CHECK(open_engine(700, &(struct engine_opts){.kv_bytes = 1 << 22}));
    for (uint32_t i = 0; i < 64; i++) {
        struct seq_opts o = request(i * 2, i, 1 + i * 5), plain = o;
        o.max_tokens = plain.max_tokens = 60;
        if (i & 1)
            o.sample.repetition = 1.1f + 0.1f * (float)(i % 7);
        if (i & 2)
            o.sample.presence = (float)(i % 9) / 2 - 2;
        if (i & 4)
            o.sample.frequency = (float)(i % 5) / 2 - 1;
        if (i & 8)
            o.sample.bias = bias, o.sample.n_bias = 4;
        if (i & 16)
            o.sample.repeat_last = 10;
        if (i & 32)
            o.sample.temperature = 0;
        CHECK(start_choices(i * 2, 2, o) && as_alone(i * 2, 2, o, 700));
    }
    engine_free(g);
}

/* ---- log probabilities ---- */

static bool close_to(float a, double b) { return fabs((double)a - b) < 1e-5; }

/* The log softmax of the fake's logits after `n` tokens, in double. */
static void naive(const int32_t *tokens, uint32_t n, double *out)
{
    float    logits[FAKE_VOCAB];
    uint64_t h = 1;
    double   sum = 0;
    for (uint32_t p = 0; p < n; p++)
        h = fake_hash(h, tokens[p], p);
    fake_logits(&model, h, logits);
    for (int i = 0; i < FAKE_VOCAB; i++)
        sum += exp((double)logits[i]);
    for (int i = 0; i < FAKE_VOCAB; i++)
        out[i] = (double)logits[i] - log(sum);
}

static bool right(const struct token_logprobs *t, int32_t token, const double *lp, uint32_t n_top)
{
    if (t->token != token || t->n_top != n_top || !close_to(t->value, lp[token]))
        return false;
    for (uint32_t i = 0; i < n_top; i++) {
        uint32_t better = 0;
        for (int k = 0; k < FAKE_VOCAB; k++)
            better += lp[k] > lp[t->top[i].token] || (lp[k] == lp[t->top[i].token] && k < t->top[i].token);
        if (better != i || !close_to(t->top[i].value, lp[t->top[i].token]))
            return false;
    }
    return true;
}

static bool scores_right(const struct job *j, const struct seq_opts *o)
{
    static int32_t tokens[4096];
    double         lp[FAKE_VOCAB];
    uint32_t       n = o->n_prompt, at = 0;
    memcpy(tokens, o->prompt, n * sizeof *tokens);
    if (o->prompt_logprobs && (j->prompt_told.n != n || !isnan(j->prompt_told.p[0].value) || j->prompt_told.p[0].token != tokens[0]))
        return false;
    for (uint32_t i = 1; o->prompt_logprobs && i < n; i++) {
        naive(tokens, i, lp);
        if (!right(&j->prompt_told.p[i], tokens[i], lp, o->top_logprobs))
            return false;
    }
    if (o->logprobs && j->told.n != j->counts.output - (j->end == SEQ_END_STOP))
        return false;
    for (size_t i = 0; i < j->told.n; i++) {
        const struct token_logprobs *t = &j->told.p[i];
        naive(tokens, n, lp);
        at += t->token == FAKE_EOG ? 0 : t->token % 27 == 26 ? 2 : 1; /* the fake's text of a token */
        if (!right(t, t->token, lp, o->top_logprobs) || t->end != at)
            return false;
        tokens[n++] = t->token;
    }
    return true;
}

TEST(log_probabilities_are_of_the_bare_logits)
{
    static const struct logit_bias bias[] = {{5, 3}};
    struct engine_stats            st;
    CHECK(open_engine(700, &(struct engine_opts){.kv_bytes = 12 * 4096, .seqs_max = 12, .chunk = 100}));
    for (int round = 0; round < 2; round++) /* starts all, then looks at all */
        for (uint32_t i = 0; i < 60; i++) {
            struct seq_opts o = request(i, i, 1 + i * 29 % 260);
            o.max_tokens = 250, o.ignore_eos = i % 4 > 0, o.logprobs = i % 2, o.top_logprobs = i % 21, o.prompt_logprobs = i % 3 == 0;
            o.sample.presence = 1, o.sample.bias = bias, o.sample.n_bias = 1;
            if (i % 6 == 3)
                o.kind = SEQ_SCORE, o.logprobs = false;
            if (round == 0) {
                CHECK(start_choices(i, 1, o));
                continue;
            }
            JOB_DONE(&jobs[i]);
            CHECK(job_ok(&jobs[i]) && jobs[i].counts.input == o.n_prompt);
            CHECK_MSG(scores_right(&jobs[i], &o), "sequence %u: %zu and %zu entries", i, jobs[i].prompt_told.n, jobs[i].told.n);
            CHECK(o.kind != SEQ_SCORE || (jobs[i].end == SEQ_END_LENGTH && jobs[i].counts.output == 0));
        }
    engine_stats(g, &st);
    CHECK_MSG(st.evictions > 5, "only %d evictions: the test proves little", (int)st.evictions);
    engine_free(g);
}

/* ---- embeddings ---- */

static void naive_vector(const struct seq_opts *o, float *out)
{
    double   sum[FAKE_WIDTH] = {0}, length = 0;
    uint64_t h = 1;
    for (uint32_t p = 0; p < o->n_prompt; p++) {
        float hidden[FAKE_WIDTH];
        h = fake_hash(h, o->prompt[p], p);
        fake_hidden(h, hidden);
        for (int i = 0; i < FAKE_WIDTH; i++)
            if (o->pooling == POOL_MEAN || (o->pooling == POOL_LAST ? p == o->n_prompt - 1 : p == 0))
                sum[i] += (double)hidden[i] / (o->pooling == POOL_MEAN ? o->n_prompt : 1);
    }
    for (int i = 0; i < FAKE_WIDTH; i++)
        length += sum[i] * sum[i];
    for (int i = 0; i < FAKE_WIDTH; i++)
        out[i] = (float)(sum[i] / sqrt(length));
}

TEST(embeddings_beside_answers)
{
    struct engine_stats st;
    CHECK(open_engine(700, &(struct engine_opts){.kv_bytes = 12 * 4096, .seqs_max = 12, .chunk = 100}));
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 90; i++) {
            struct seq_opts o = request(i, i, i == 8 ? 700 : 1 + i * 29 % 300); /* 700: the whole context */
            o.max_tokens = 300, o.ignore_eos = true;
            if (i % 3)
                o.kind = SEQ_EMBED, o.pooling = (enum pooling)(i % 9 / 3), o.allowance = 0;
            if (round == 0) {
                CHECK(start_choices(i, 1, o));
                continue;
            }
            struct job *j = &jobs[i];
            JOB_DONE(j);
            if (i % 3 == 0) {
                CHECK(as_alone(i, 1, o, 700));
                continue;
            }
            float x[FAKE_WIDTH];
            naive_vector(&o, x);
            CHECK(job_ok(j) && j->end == SEQ_END_STOP && j->n_vector == 1 && j->counts.input == o.n_prompt && j->counts.output == 0);
            for (int k = 0; k < FAKE_WIDTH; k++)
                CHECK_MSG(close_to(j->vector[k], (double)x[k]), "embedding %u: %g, not %g", i, (double)j->vector[k], (double)x[k]);
        }
    engine_stats(g, &st);
    CHECK_MSG(st.evictions > 5, "only %d evictions: the test proves little", (int)st.evictions);
    STATS_WAIT(g, st, st.pages_used == 0);
    engine_free(g);
}

/* Six answers grow over a second page while an embedding is in the middle of its text: it is the junior and loses its pages. */
TEST(an_embedding_that_loses_its_pages_is_the_same)
{
    struct engine_stats st;
    float               want[FAKE_WIDTH];
    CHECK(open_engine(700, &(struct engine_opts){.kv_bytes = 23 * 4096, .seqs_max = 12, .chunk = 8}));
    for (uint32_t i = 0; i < 6; i++) {
        struct seq_opts o = request(i, i, 60);
        o.max_tokens = 200, o.ignore_eos = true;
        CHECK(start_choices(i, 1, o));
    }
    struct seq_opts o = request(6, 6, 700);
    o.kind = SEQ_EMBED, o.pooling = POOL_MEAN;
    CHECK(start_choices(6, 1, o));
    for (int i = 0; i < 7; i++)
        JOB_DONE(&jobs[i]);
    engine_stats(g, &st);
    CHECK_MSG(st.evictions > 0, "nothing was evicted: the test proves nothing");
    naive_vector(&o, want);
    CHECK(job_ok(&jobs[6]) && jobs[6].n_vector == 1 && jobs[6].counts.input == 700);
    for (int k = 0; k < FAKE_WIDTH; k++)
        CHECK_MSG(close_to(jobs[6].vector[k], (double)want[k]), "%g, not %g", (double)jobs[6].vector[k], (double)want[k]);
    engine_free(g);
}

TEST_MAIN()
