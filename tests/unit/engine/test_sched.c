/* The scheduler's rules, with a fake model whose text depends on every page. */
#include "served.h"
#include <time.h>

/* A request whose prompt is made from its number; callers change fields. */
static struct seq_opts request(uint32_t tag, uint32_t n_prompt)
{
    struct seq_opts o = request_of(tag, tag, n_prompt);
    o.ignore_eos = true;
    return o;
}

static bool says(const struct job *j, const struct expect *x)
{
    return j->text.len == x->n_text && memcmp(j->text.data ? j->text.data : "", x->text, x->n_text) == 0;
}

/* 300 sequences of 9 tenants in memory for about six: batching, chunks, evictions and stop strings change no text and no count. */
TEST(texts_do_not_depend_on_company)
{
    enum { N = 300 };
    static const char *const stops[] = {"abc", "q\xc3\xa9"};
    static const size_t      stop_lens[] = {3, 3};
    struct engine_stats      st;
    CHECK(open_engine(700, &(struct engine_opts){.kv_bytes = 20 * 4096, .seqs_max = 16, .chunk = 100}));
    for (uint32_t i = 0; i < N; i++) {
        struct seq_opts o = request(i, 1 + (uint32_t)(rng_u64(9, 0, i, 0) % 300));
        o.tenant.id = i % 9;
        o.max_tokens = 1 + (uint32_t)(rng_u64(9, 0, i, 1) % 300);
        o.ignore_eos = i % 3 > 0;
        o.priority = i % 17 == 0;
        if (i % 4 == 0)
            o.stops = stops, o.stop_lens = stop_lens, o.n_stops = 2;
        if (i % 5 == 0)
            o.sample.temperature = 0;
        CHECK(start(&o));
    }
    int by_stop = 0;
    for (uint32_t i = 0; i < N; i++) {
        static struct expect x;
        struct job          *j = &jobs[i];
        JOB_DONE(j);
        struct seq_opts o = request(i, 1 + (uint32_t)(rng_u64(9, 0, i, 0) % 300));
        o.max_tokens = 1 + (uint32_t)(rng_u64(9, 0, i, 1) % 300);
        o.ignore_eos = i % 3 > 0;
        if (i % 4 == 0)
            o.stops = stops, o.stop_lens = stop_lens, o.n_stops = 2;
        if (i % 5 == 0)
            o.sample.temperature = 0;
        fake_expect(&model, &o, 700, &x);
        CHECK_MSG(job_ok(j), "job %u: bad %u done %u", i, j->bad, j->n_done);
        CHECK_MSG(says(j, &x) && j->end == x.end && j->counts.output == x.n_out && j->counts.input == o.n_prompt,
                  "job %u: %zu bytes (%zu wanted), %u tokens (%u), end %d (%d)", i, j->text.len, x.n_text, j->counts.output, x.n_out,
                  (int)j->end, (int)x.end);
        by_stop += x.end == SEQ_END_STOP;
    }
    engine_stats(g, &st);
    if (getenv("SLUICE_TEST_VERBOSE")) printf("%d evictions\n", (int)st.evictions);
    CHECK_MSG(st.evictions > 10, "only %d evictions: the test proves little", (int)st.evictions);
    CHECK(by_stop > 20 && by_stop < N - 20);
    STATS_WAIT(g, st, st.pages_used == 0);
    CHECK(st.pages_used == 0 && st.kv_bytes_used == 0 && st.running == 0 && st.waiting == 0 && st.paused == 0);
    engine_free(g);
}

TEST(allowance_pauses_and_goes_on)
{
    static struct expect x;
    struct engine_stats  st;
    CHECK(open_engine(500, &(struct engine_opts){.kv_bytes = 1 << 20}));
    struct seq_opts o = request(0, 70);
    o.max_tokens = 30;
    o.allowance = 0;
    fake_expect(&model, &o, 500, &x);
    struct job *j = &jobs[0];
    CHECK(start(&o));
    JOB_WAIT(j, j->n_paused == 1);
    CHECK(j->n_tokens == 0 && j->counts.input == 69 && j->n_done == 0); /* all but the row that would be sampled */
    engine_allow(g, j->seq, 7);
    JOB_WAIT(j, j->n_paused == 2);
    CHECK(j->n_tokens == 7 && j->counts.input == 70);
    engine_allow(g, j->seq, 7); /* nothing new */
    engine_allow(g, j->seq, 3);
    clock_sleep_ms(50);
    CHECK(j->n_tokens == 7 && j->n_paused == 2);
    STATS_WAIT(g, st, st.paused == 1);
    CHECK(st.paused == 1 && st.running == 0 && st.pages_used == 2);
    engine_allow(g, j->seq, 29);
    JOB_WAIT(j, j->n_paused == 3);
    engine_allow(g, j->seq, 1000);
    JOB_DONE(j);
    CHECK(job_ok(j) && j->end == SEQ_END_LENGTH && j->n_tokens == 30 && says(j, &x) && j->n_paused == 3);
    /* max_tokens is reached with the allowance: an end, no pause */
    o = request(1, 5);
    o.allowance = o.max_tokens = 4;
    CHECK(start(&o));
    JOB_DONE(&jobs[1]);
    CHECK(job_ok(&jobs[1]) && jobs[1].n_paused == 0 && jobs[1].end == SEQ_END_LENGTH);
    /* one token of prompt, nothing allowed: pauses before anything ran, costs nothing */
    o = request(2, 1);
    o.allowance = 0;
    CHECK(start(&o));
    JOB_WAIT(&jobs[2], jobs[2].n_paused == 1);
    engine_stop(g, jobs[2].seq, SEQ_END_BUDGET);
    JOB_DONE(&jobs[2]);
    CHECK(jobs[2].end == SEQ_END_BUDGET && jobs[2].counts.input == 0 && jobs[2].counts.output == 0 && jobs[2].bad == 0);
    engine_free(g);
}

/* Text that a stop string holds back was paid for: it goes out at the budget's end; a cancelled one goes nowhere. */
TEST(budget_flushes_held_text)
{
    CHECK(open_engine(500, &(struct engine_opts){.kv_bytes = 1 << 20}));
    static struct expect x;
    for (uint32_t i = 0; i < 2; i++) {
        struct seq_opts o = request(7, 10);
        o.tag = i;
        o.arg = &jobs[i];
        o.max_tokens = 9;
        fake_expect(&model, &o, 500, &x);
        char   stop[64];
        size_t from = x.n_text - 3; /* a stop string that begins with the last characters */
        memcpy(stop, x.text + from, 3);
        memcpy(stop + 3, "!!", 2);
        CHECK((unsigned char)stop[0] < 128);
        o.max_tokens = 0;
        o.allowance = 9;
        o.stops = (const char *[]){stop};
        o.stop_lens = (size_t[]){5};
        o.n_stops = 1;
        CHECK(start(&o));
        JOB_WAIT(&jobs[i], jobs[i].n_paused == 1);
        CHECK(jobs[i].n_tokens == 9 && jobs[i].text.len < x.n_text);
        engine_stop(g, jobs[i].seq, i == 0 ? SEQ_END_BUDGET : SEQ_END_CANCEL);
        JOB_DONE(&jobs[i]);
        CHECK(job_ok(&jobs[i]));
    }
    CHECK(jobs[0].end == SEQ_END_BUDGET && says(&jobs[0], &x));
    CHECK(jobs[1].end == SEQ_END_CANCEL && jobs[1].text.len < x.n_text);
    engine_free(g);
}

/* In each state a stop takes effect within one step, and what ran before is billed. */
TEST(cancel_in_each_state)
{
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 20, .seqs_max = 1, .chunk = 64}));
    model.closed = true;
    struct seq_opts o = request(0, 1000);
    CHECK(start(&o));
    gate_wait(0);
    /* queued: ends while the step of another is still inside the model (as soon as that step ends) */
    o = request(1, 10);
    CHECK(start(&o));
    engine_stop(g, jobs[1].seq, SEQ_END_CANCEL);
    gate_step(1);
    JOB_DONE(&jobs[1]);
    CHECK(jobs[1].n_done == 1 && jobs[1].end == SEQ_END_CANCEL && jobs[1].counts.input == 0 && job_ok(&jobs[1]));
    /* prefill: two chunks ran when the stop came inside the third step */
    CHECK(model.inside == 2);
    gate_step(1);
    engine_stop(g, jobs[0].seq, SEQ_END_CANCEL);
    model.closed = false;
    JOB_DONE(&jobs[0]);
    CHECK(model.inside == 3 && job_ok(&jobs[0]) && jobs[0].counts.input == model.all_rows && jobs[0].counts.output == 0 &&
            jobs[0].counts.input < 1000);
    /* decode: the token of the step that is running is not sampled */
    o = request(2, 10);
    o.max_tokens = 0;
    o.allowance = 5;
    CHECK(start(&o));
    JOB_WAIT(&jobs[2], jobs[2].n_paused == 1);
    model.closed = true;
    int before = model.inside, stops = model.stops;
    engine_allow(g, jobs[2].seq, 100);
    gate_wait(stops);
    engine_stop(g, jobs[2].seq, SEQ_END_CANCEL);
    engine_stop(g, jobs[2].seq, SEQ_END_BUDGET); /* the first reason stays */
    model.closed = false;
    JOB_DONE(&jobs[2]);
    CHECK(job_ok(&jobs[2]) && jobs[2].counts.output == 5 && jobs[2].counts.input == 10 && jobs[2].end == SEQ_END_CANCEL);
    CHECK(model.inside == before + 1);
    /* paused: no step at all */
    o = request(3, 10);
    o.allowance = 2;
    CHECK(start(&o));
    JOB_WAIT(&jobs[3], jobs[3].n_paused == 1);
    before = model.inside;
    engine_stop(g, jobs[3].seq, SEQ_END_BUDGET);
    JOB_DONE(&jobs[3]);
    CHECK(job_ok(&jobs[3]) && jobs[3].counts.output == 2 && jobs[3].end == SEQ_END_BUDGET && model.inside == before);
    /* ended: harmless */
    engine_stop(g, jobs[3].seq, SEQ_END_CANCEL);
    engine_allow(g, jobs[3].seq, 9);
    engine_stop(g, 12345678, SEQ_END_CANCEL);
    engine_free(g);
    CHECK(jobs[3].n_done == 1);
}

TEST(queue_is_bounded)
{
    struct err e;
    uint64_t   id;
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 20, .seqs_max = 2, .queue_max = 3}));
    model.closed = true;
    for (uint32_t i = 0; i < 5; i++) {
        struct seq_opts o = request(i, 10);
        CHECK(start(&o));
    }
    struct seq_opts o = request(5, 10);
    CHECK(engine_start(g, &o, &id, &e) == -ERR_BUSY && e.code == ERR_BUSY);
    struct engine_stats st;
    engine_stats(g, &st);
    CHECK(st.running + st.waiting == 5);
    model.closed = false;
    JOB_DONE(&jobs[4]);
    JOB_DONE(&jobs[0]);
    while (engine_start(g, &o, &jobs[5].seq, &e) < 0) /* DONE is told just before the place is free */
        CHECK(e.code == ERR_BUSY);
    JOB_DONE(&jobs[5]);
    CHECK(job_ok(&jobs[5]));
    engine_free(g);
}

TEST(context_and_bad_requests)
{
    struct err e;
    uint64_t   id;
    CHECK(open_engine(100, &(struct engine_opts){.kv_bytes = 1 << 20}));
    CHECK(engine_model_ctx(served) == 100);
    struct seq_opts o = request(0, 100);
    CHECK(engine_start(g, &o, &id, &e) == -ERR_CONTEXT && strstr(e.msg, "100 tokens"));
    o = request(0, 0);
    CHECK(engine_start(g, &o, &id, &e) == -ERR_BAD_VALUE);
    o = request(0, 3);
    o.prompt = (int32_t[]){1, FAKE_VOCAB, 2};
    CHECK(engine_start(g, &o, &id, &e) == -ERR_BAD_VALUE);
    o.prompt = (int32_t[]){1, -1, 2};
    CHECK(engine_start(g, &o, &id, &e) == -ERR_BAD_VALUE);
    o = request(0, 3);
    o.stops = (const char *[]){""};
    o.stop_lens = (size_t[]){0};
    o.n_stops = 1;
    CHECK(engine_start(g, &o, &id, &e) == -ERR_BAD_VALUE);
    o = request(0, 99);
    o.max_tokens = 50;
    CHECK(start(&o));
    o = request(1, 10);
    o.max_tokens = 0;
    CHECK(start(&o));
    JOB_DONE(&jobs[0]);
    JOB_DONE(&jobs[1]);
    CHECK(job_ok(&jobs[0]) && jobs[0].end == SEQ_END_LENGTH && jobs[0].counts.output == 1);
    CHECK(job_ok(&jobs[1]) && jobs[1].end == SEQ_END_LENGTH && jobs[1].counts.output == 90);
    model.nan = true;
    o = request(2, 10);
    CHECK(start(&o));
    JOB_DONE(&jobs[2]);
    CHECK(job_ok(&jobs[2]) && jobs[2].end == SEQ_END_ERROR && jobs[2].err.code == ERR_INTERNAL && jobs[2].counts.output == 0);
    engine_free(g);
    /* memory for less than one context: the context is what fits */
    CHECK(open_engine(100000, &(struct engine_opts){.kv_bytes = 3 * 4096}));
    CHECK(engine_model_ctx(served) == 3 * KV_PAGE);
    o = request(0, 10);
    o.max_tokens = 0;
    CHECK(start(&o));
    JOB_DONE(&jobs[0]);
    CHECK(job_ok(&jobs[0]) && jobs[0].counts.output == 3 * KV_PAGE - 10);
    engine_free(g);
    struct engine_model *none;
    fake_model(&model, 100);
    CHECK(engine_new(&g, &(struct engine_opts){.kv_bytes = 1000}, &e) == 0);
    CHECK(engine_model_add(g, &model, &fake_vocab, &none, &e) == -ERR_NO_MEMORY && strstr(e.msg, "kv-memory"));
    engine_free(g);
}

static uint32_t tokens_of(uint32_t from, uint32_t to)
{
    uint32_t n = 0;
    for (uint32_t i = from; i < to; i++) {
        mutex_lock(&jobs[i].mu);
        n += jobs[i].n_tokens;
        mutex_unlock(&jobs[i].mu);
    }
    return n;
}

/* Tenant 1 came first with forty long answers; tenant 2 with one is not shut out, and weights count. */
TEST(tenants_share_by_work)
{
    CHECK(open_engine(100000, &(struct engine_opts){.kv_bytes = 4 << 20, .seqs_max = 8}));
    gate_close_at(0, 20);
    for (uint32_t i = 0; i < 40; i++) {
        struct seq_opts o = request(i, 20);
        o.max_tokens = 400;
        CHECK(start(&o));
    }
    gate_wait(0);
    struct seq_opts o = request(40, 20);
    o.tenant.id = 2;
    o.max_tokens = 100;
    CHECK(start(&o));
    uint64_t before = total_tokens;
    model.closed = false;
    JOB_DONE(&jobs[40]);
    uint32_t hog = (uint32_t)(jobs[40].total_done - before) - 100;
    CHECK_MSG(job_ok(&jobs[40]) && hog < 8 * 110, "the other tenant had %u tokens meanwhile", hog);
    engine_free(g);
    /* 16 answers each, weights 3 and 1, places for 8: 3 to 1 */
    CHECK(open_engine(100000, &(struct engine_opts){.kv_bytes = 4 << 20, .seqs_max = 8}));
    model.closed = true;
    for (uint32_t i = 0; i < 32; i++) {
        o = request(i, 20);
        o.tenant = i < 16 ? (struct tenant){.id = 1, .weight = 3} : (struct tenant){.id = 2, .weight = 1};
        o.max_tokens = 3000;
        CHECK(start(&o));
    }
    gate_wait(0);
    gate_run_until(0, 800);
    double heavy = tokens_of(0, 16), light = tokens_of(16, 32), ratio = heavy / light;
    model.closed = false;
    CHECK_MSG(ratio > 2.5 && ratio < 3.6, "%g to %g tokens: %g", heavy, light, ratio);
    engine_free(g);
}

/* Memory for one and a half: the senior is never made to wait for juniors, so the first ends first, and all end. */
TEST(seniors_go_on)
{
    struct engine_stats st;
    CHECK(open_engine(700, &(struct engine_opts){.kv_bytes = 16 * 4096, .seqs_max = 8}));
    model.closed = true;
    for (uint32_t i = 0; i < 6; i++) {
        struct seq_opts o = request(i, 60);
        o.tenant.id = i % 3;
        o.max_tokens = 600;
        CHECK(start(&o));
    }
    model.closed = false;
    for (uint32_t i = 0; i < 6; i++) {
        JOB_DONE(&jobs[i]);
        CHECK_MSG(job_ok(&jobs[i]) && (i == 0 || jobs[i].done_ns > jobs[0].done_ns), "job %u", i);
    }
    STATS_WAIT(g, st, st.running == 0);
    CHECK_MSG(st.evictions > 3 && st.evictions < 40, "%d evictions", (int)st.evictions);
    engine_free(g);
}

/* How many tokens more the 16 jobs of tenant 2 have than those of tenant 1, when the first of tenant 1's that are counted has 150. Job 0 is
 * tenant 1's too and has had 3,000 before; busy: it goes on all the while. */
static double newcomer_ahead(bool busy)
{
    struct seq_opts o = request(0, 20);
    o.max_tokens = busy ? 40000 : 3000;
    if (busy)
        gate_close_at(0, 3000);
    if (!start(&o))
        return -1;
    if (busy)
        gate_wait(0);
    else
        JOB_DONE(&jobs[0]);
    model.closed = true;
    int stops = model.stops;
    for (uint32_t i = 1; i < 33; i++) {
        o = request(i, 20);
        o.tenant.id = i < 17 ? 2 : 1;
        o.max_tokens = 3000;
        if (!start(&o))
            return -1;
    }
    if (!busy)
        gate_wait(stops);
    gate_run_until(17, 150);
    double ahead = (double)tokens_of(1, 17) - tokens_of(17, 33);
    model.closed = false;
    return ahead;
}

/* Tenant 1 used an idle machine for long. When it falls idle that is forgotten; while it goes on, a newcomer is let before it for one burst and no
 * more. */
TEST(idleness_is_not_saved_up)
{
    for (int busy = 0; busy < 2; busy++) {
        CHECK(open_engine(100000, &(struct engine_opts){.kv_bytes = 4 << 20, .seqs_max = 8}));
        double ahead = newcomer_ahead(busy), burst = busy ? SHARE_BURST : 0;
        engine_free(g);
        CHECK_MSG(ahead > burst * 0.9 - 200 && ahead < burst * 1.1 + 200, "%s: %g tokens ahead", busy ? "busy" : "idle", ahead);
    }
}

TEST(priority_goes_first)
{
    CHECK(open_engine(1000, &(struct engine_opts){.kv_bytes = 1 << 20, .seqs_max = 1}));
    model.closed = true;
    for (uint32_t i = 0; i < 10; i++) {
        struct seq_opts o = request(i, 20);
        o.max_tokens = 50;
        o.priority = i == 9 ? 5 : 0;
        CHECK(start(&o));
    }
    model.closed = false;
    static struct expect x;
    uint32_t             others = 0;
    JOB_DONE(&jobs[9]);
    for (uint32_t i = 0; i < 9; i++) {
        JOB_DONE(&jobs[i]);
        others += jobs[i].done_ns < jobs[9].done_ns;
        struct seq_opts o = request(i, 20);
        o.max_tokens = 50;
        fake_expect(&model, &o, 1000, &x);
        CHECK(job_ok(&jobs[i]) && says(&jobs[i], &x));
    }
    CHECK_MSG(job_ok(&jobs[9]) && others == 0, "%u of lower priority ended first", others);
    engine_free(g);
}

/* A long prompt does not keep a decoding sequence from its next token, and takes the tokens it was given in chunks. */
TEST(prefill_mixes_with_decode)
{
    CHECK(open_engine(20000, &(struct engine_opts){.kv_bytes = 8 << 20, .chunk = 64}));
    model.closed = true;
    struct seq_opts o = request(0, 5);
    o.max_tokens = 400;
    CHECK(start(&o));
    o = request(1, 6400);
    o.tenant.id = 2;
    CHECK(start(&o));
    gate_wait(0);
    gate_step(3);
    int together = 0;
    for (int i = 0; i < 50; i++) {
        gate_step(1);
        together += model.seqs == 2 && model.rows > PACE_ROWS_MIN && model.rows <= 65;
    }
    model.closed = false;
    CHECK_MSG(together == 50, "%d of 50 steps had both", together);
    JOB_DONE(&jobs[0]);
    JOB_DONE(&jobs[1]);
    CHECK(job_ok(&jobs[0]) && job_ok(&jobs[1]) && jobs[1].counts.input == 6400);
    engine_free(g);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Nothing to do, one paused that holds the memory, one that waits for it: the step thread sleeps. Of some short times the cheapest counts: in the
 * others it came to rest, or a sanitizer's own thread had work. */
TEST(idle_uses_no_cpu)
{
    CHECK(open_engine(128, &(struct engine_opts){.kv_bytes = 2 * 4096}));
    struct seq_opts o = request(0, 100);
    o.allowance = 1;
    CHECK(start(&o));
    JOB_WAIT(&jobs[0], jobs[0].n_paused == 1);
    o = request(1, 100);
    CHECK(start(&o));
    double least = 1;
    for (int i = 0; i < 20 && least >= 0.01; i++) {
        double t0 = cpu_seconds(), t;
        clock_sleep_ms(400);
        t = cpu_seconds() - t0;
        least = t < least ? t : least;
    }
    CHECK_MSG(least < 0.01, "%g s of 0.4", least);
    CHECK(jobs[1].n_tokens == 0);
    engine_stop(g, jobs[0].seq, SEQ_END_CANCEL);
    JOB_DONE(&jobs[1]);
    CHECK(job_ok(&jobs[1]) && jobs[1].counts.output == 20);
    engine_free(g);
}

static void engine_free_it(void *arg)
{
    engine_free(arg);
}

TEST(engine_free_ends_everything)
{
    struct thread t;
    CHECK(open_engine(1000, &(struct engine_opts){.kv_bytes = 1 << 20, .seqs_max = 4}));
    gate_close_at(0, 4);
    for (uint32_t i = 0; i < 40; i++) {
        struct seq_opts o = request(i, 20);
        o.max_tokens = 0;
        o.allowance = i % 2 ? 3 : 100000;
        CHECK(start(&o));
    }
    gate_wait(0);
    CHECK(thread_start(&t, "free", engine_free_it, g));
    for (bool quit = false; !quit; fake_nap()) { /* in the middle of a step */
        mutex_lock(&g->mu);
        quit = g->quit;
        mutex_unlock(&g->mu);
    }
    model.closed = false;
    thread_join(&t);
    for (uint32_t i = 0; i < 40; i++)
        CHECK(job_ok(&jobs[i]) && jobs[i].end == SEQ_END_CANCEL);
}

/* Two models with pages of different size share one budget and the step thread. */
TEST(two_models)
{
    enum { N = 60 };
    static struct model  second;
    struct engine_model *other;
    struct err           e;
    struct engine_stats  st;
    static struct expect x;
    CHECK(open_engine(700, &(struct engine_opts){.kv_bytes = 48 * 4096, .seqs_max = 16}));
    fake_model(&second, 700);
    second.layers = 3;
    CHECK(engine_model_add(g, &second, &fake_vocab, &other, &e) == 0);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < N; i++) {
            struct seq_opts o = request(i, 1 + i * 4);
            o.model = i % 2 ? other : served;
            o.max_tokens = 150;
            o.tenant.id = i % 3;
            CHECK(start(&o));
        }
        for (uint32_t i = 0; i < N; i++) {
            JOB_DONE(&jobs[i]);
            struct seq_opts o = request(i, 1 + i * 4);
            o.max_tokens = 150;
            fake_expect(&model, &o, 700, &x);
            CHECK_MSG(job_ok(&jobs[i]) && says(&jobs[i], &x), "job %u: %u of %u tokens", i, jobs[i].counts.output, x.n_out);
        }
        jobs_reset();
    }
    engine_stats(g, &st);
    CHECK(st.evictions > 0 && second.inside > 0 && model.inside > 0);
    struct seq_opts o = request(0, 10);
    o.model = other;
    CHECK(start(&o));
    engine_model_remove(g, other); /* waits for it */
    CHECK(job_ok(&jobs[0]));
    o = request(1, 10);
    CHECK(start(&o));
    JOB_DONE(&jobs[1]);
    CHECK(job_ok(&jobs[1]));
    engine_free(g);
}

TEST_MAIN()
