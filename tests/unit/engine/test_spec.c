/* Speculation changes no text, no count and no page. The fake model's text repeats itself, but a lost, shared or misplaced token of any page
 * changes it sooner or later. */
#include "served.h"

static uint64_t evictions, found;
static uint32_t slice; /* > 0: what an allowance is raised by at each pause */

static bool open_drafting(const struct engine_opts *o)
{
    slice = 0;
    if (!open_engine(500, o))
        return false;
    model.order = 2, g->draft_always = true;
    return true;
}

static uint64_t seed = 1;
static uint32_t pick_of(uint32_t i, uint32_t what, uint32_t n)
{
    return (uint32_t)(rng_u64(seed, what, i, 5) % n);
}

static uint32_t allowed[JOBS_MAX];
static void on_event(void *arg, const struct seq_event *ev)
{
    struct job *j = arg;
    uint32_t *most = &allowed[j - jobs];
    mutex_lock(&j->mu);
    j->bad += slice > 0 && ev->counts.output > *most;
    mutex_unlock(&j->mu);
    job_event(arg, ev);
    if (ev->kind == SEQ_PAUSED && slice > 0)
        engine_allow(g, ev->seq, *most += slice);
}

static const char *const stops[] = {"ab", "q\xc3\xa9"};
static const size_t stop_lens[] = {2, 3};
static struct logit_bias bias[] = {{7, -2}, {9, 4}};

/* Request `tag`: of everything that a request may have, something. Prompts are of 9 texts, so some are found. */
static struct seq_opts request(uint32_t tag)
{
    const uint32_t n_prompt = 1 + pick_of(tag, 1, 200), text = pick_of(tag, 2, 9);
    for (uint32_t i = 0; i < n_prompt; i++)
        prompt_buf[i] = 1 + (int32_t)(rng_u64(seed + text, 0, i % 37, 3) % (FAKE_VOCAB - 1));
    struct seq_opts o = request_of(tag, 0, 0);
    o.tenant = (struct tenant){.id = tag % 3, .weight = 1, .kv_salt = {(uint8_t)(tag % 3)}};
    o.n_prompt = n_prompt;
    o.max_tokens = 1 + pick_of(tag, 3, 200);
    o.allowance = slice ? slice : UINT32_MAX;
    o.sample.temperature = tag % 3 ? 0.7f : 0;
    o.ignore_eos = tag % 4 > 0;
    o.priority = tag % 13 == 0;
    o.logprobs = tag % 6 == 0, o.top_logprobs = 2;
    o.prompt_logprobs = tag % 12 == 0;
    o.on_event = on_event;
    struct sample_params *p = &o.sample;
    switch (pick_of(tag, 4, 8)) {
    case 0: p->repetition = 1.2f; break;
    case 1: p->repetition = 0.9f, p->repeat_last = 20; break;
    case 2: p->presence = 0.5f; break;
    case 3: p->frequency = 0.2f; break;
    case 4: p->bias = bias, p->n_bias = 2; break;
    case 5: p->top_k = 5, p->min_p = 0.01f; break;
    case 6: p->top_p = 0.9f; break;
    default: break;
    }
    if (tag % 5 == 0)
        o.stops = stops, o.stop_lens = stop_lens, o.n_stops = 2;
    return o;
}

static bool as_expected(uint32_t tag, const struct seq_opts *o)
{
    static struct expect x;
    struct job *j = &jobs[tag];
    JOB_DONE(j);
    fake_expect(&model, o, model.shape.n_ctx, &x);
    bool ok = job_ok(j) && j->end == x.end && j->counts.output == x.n_out && j->text.len == x.n_text &&
              memcmp(j->text.data ? j->text.data : "", x.text, x.n_text) == 0;
    if (!ok)
        printf("seed %llu, job %u: bad %u, end %d (%d), %u tokens (%u), %zu bytes (%zu)\n", (unsigned long long)seed, tag, j->bad, (int)j->end,
               (int)x.end, j->counts.output, x.n_out, j->text.len, x.n_text);
    return ok;
}

static bool at_rest(struct engine_stats *st)
{
    STATS_WAIT(g, *st, st->running + st->waiting + st->paused == 0 && st->pages_used == 0);
    return st->running + st->waiting + st->paused == 0 && st->pages_used == 0 && st->kv_bytes_used == 0;
}

/* Seeded: tenants, priorities, chunks, evictions, credit in slices, found pages, several answers, every way to sample. */
static void round_of(uint64_t number, bool tight)
{
    enum { N = 60 };
    static struct engine_stats st;
    uint32_t input = 0, n_prompt = 0, drafted = 0;
    seed = number;
    CHECK(open_drafting(&(struct engine_opts){.kv_bytes = tight ? 9 * 4096 : 1 << 20,
                                              .seqs_max = 1 + pick_of(0, 10, 16) + 4 * tight,
                                              .chunk = 32 + pick_of(0, 11, 100),
                                              .draft_max = 1 + pick_of(0, 12, ENGINE_DRAFT_MAX),
                                              .no_prefix_cache = number % 3 == 0}));
    slice = number % 2 ? 3 + pick_of(0, 13, 40) : 0;
    for (uint32_t i = 0; i < N; i++) {
        struct seq_opts o = request(i);
        allowed[i] = o.allowance;
        CHECK(start(&o));
        n_prompt += o.n_prompt;
    }
    for (uint32_t i = 0; i < N; i++) {
        struct seq_opts o = request(i);
        CHECK(as_expected(i, &o));
        input += jobs[i].counts.input + jobs[i].counts.cache_read;
        drafted += jobs[i].counts.accepted_draft;
        CHECK(jobs[i].counts.accepted_draft < jobs[i].counts.output);
        CHECK(o.logprobs ? jobs[i].told.n + (jobs[i].end == SEQ_END_STOP) >= jobs[i].counts.output : jobs[i].told.n == 0);
    }
    CHECK(at_rest(&st) && input == n_prompt);
    CHECK_MSG(st.draft_accepted == drafted && drafted > N && st.draft_tokens > drafted, "seed %u: %u of %u", (unsigned)number, drafted,
              (unsigned)st.draft_tokens);
    evictions += st.evictions;
    found += st.cached_tokens;
    engine_free(g);
}

TEST(texts_are_the_same)
{
    const char *only = getenv("SEED");
    uint64_t from = 1, to = 24;
    if (only && str_u64(str_of(only), &from))
        to = from;
    for (uint64_t i = from; i <= to && !test_failed; i++)
        round_of(i, i % 4 < 2);
    CHECK_MSG(only || (evictions > 30 && found > 1000), "%u evictions, %u tokens found", (unsigned)evictions, (unsigned)found);
}

/* ---- without a thread, by a clock that steps alone move ---- */

static uint64_t now_ns, cold, jitter, read_ns, row_ns, lone_ns;
static uint64_t virtual_now(void)
{
    return now_ns;
}

/* Rows are free while reading the weights takes longer. jitter: per cent of noise, and now and then a step takes three times as long. cold: as many
 * times as long do the first ones. lone_ns: what a step of one row takes instead. */
static void tick(struct model *m, const struct step *s)
{
    uint64_t ns = row_ns * (uint64_t)s->n > read_ns ? row_ns * (uint64_t)s->n : read_ns, roll = rng_u64(77, 0, (uint64_t)m->inside, 0);
    ns = s->n == 1 && lone_ns ? lone_ns : ns;
    ns *= m->inside < 8 ? cold : 1;
    now_ns += ns + (jitter ? ns * (roll % jitter) / 100 + (roll >> 32) % 50 / 49 * 2 * ns : 0);
}

static bool open_turns(const struct engine_opts *opts, uint32_t order)
{
    struct err e;
    struct engine_opts o = *opts;
    fake_model(&model, 2000);
    model.order = order, model.tick = tick, model.no_eog = true;
    slice = 0, now_ns = 1, cold = 1, jitter = 0, read_ns = 10000000, row_ns = 1000000, lone_ns = 0;
    jobs_reset();
    o.journal = job_journal;
    if (engine_open(&g, &o, &e) < 0)
        return false;
    g->now = virtual_now;
    return engine_model_add(g, &model, &fake_vocab, &served, &e) == 0;
}

/* No row of a guess that was wrong is left in a page, and no page for it. */
TEST(what_was_wrong_is_gone)
{
    uint32_t turns = 0;
    CHECK(open_turns(&(struct engine_opts){.kv_bytes = 1 << 20, .draft_max = 31, .seqs_max = 6}, 2));
    g->draft_always = true;
    for (uint32_t i = 0; i < 6; i++) {
        struct seq_opts o = request(i);
        o.max_tokens = 300;
        CHECK(start(&o));
    }
    for (bool ran = true; ran; turns++) {
        CHECK(engine_turn(g, false, &ran));
        for (uint32_t i = 0; i < g->n_run; i++) {
            const struct seq *s = g->run[i];
            CHECK(s->n_out == 0 || s->tokens.n == s->n_kv + 1u);
            CHECK(s->pages.n == kv_pages_for(s->n_kv) && s->n_paid == s->n_kv);
            CHECK(s->counts.output == s->n_out && s->tokens.n == s->n_prompt + s->n_out);
        }
    }
    CHECK_MSG(turns < 600 && g->drafted > g->accepted && g->accepted > 60, "%u turns, %u of %u", turns, (unsigned)g->accepted, (unsigned)g->drafted);
    for (uint32_t i = 0; i < 6; i++) {
        struct seq_opts o = request(i);
        o.max_tokens = 300;
        CHECK(as_expected(i, &o));
    }
    engine_free(g);
}

/* Request i for n tokens, with nothing that ends it sooner or has a price. */
static struct seq_opts plain(uint32_t i, uint32_t n, float temperature)
{
    struct seq_opts o = request(i);
    o.n_prompt = 40, o.max_tokens = n, o.allowance = UINT32_MAX, o.n_stops = 0, o.ignore_eos = true;
    o.sample = (struct sample_params){.top_p = 1, .temperature = temperature, .seed = i};
    o.logprobs = o.prompt_logprobs = false;
    return o;
}

/* Virtual nanoseconds of `streams` answers. */
static uint64_t time_of(uint32_t streams, uint32_t order, uint64_t row, uint64_t noise, uint32_t draft_max)
{
    bool ran = true, ok = true;
    if (!open_turns(&(struct engine_opts){.kv_bytes = 8 << 20, .draft_max = draft_max, .seqs_max = 32}, order))
        return 0;
    row_ns = row, jitter = noise, cold = noise ? 10 : 1;
    for (uint32_t i = 0; i < streams; i++) {
        struct seq_opts o = plain(i, 400, i % 2 ? 0.5f : 0);
        ok = ok && start(&o);
    }
    while (ok && ran)
        ok = engine_turn(g, false, &ran);
    for (uint32_t i = 0; i < streams; i++)
        ok = ok && job_ok(&jobs[i]) && jobs[i].counts.output == 400;
    engine_free(g);
    return ok ? now_ns : 0;
}

/* The times are those of a machine that is reckoned, so this counts work: large gains where text repeats, and never more than 2% lost. */
TEST(pays_or_is_left)
{
    static const uint32_t streams[] = {1, 2, 16}, orders[] = {0, 1, 2};
    static const uint64_t rows[] = {300000, 1250000, 5000000};
    for (size_t i = 0; i < sizeof streams / sizeof *streams; i++)
        for (size_t k = 0; k < sizeof orders / sizeof *orders; k++)
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
                for (uint64_t noise = 0; noise < 40; noise += 20) {
                    seed = 5;
                    uint64_t off = time_of(streams[i], orders[k], rows[r], noise, 0), on = time_of(streams[i], orders[k], rows[r], noise, 31);
                    double ratio = (double)off / (double)on;
                    if (getenv("SLUICE_TEST_VERBOSE"))
                        printf("%2u streams, order %u, %.2f ms a row, noise %2u%%: %.3f\n", streams[i], orders[k], (double)rows[r] / 1e6,
                               (unsigned)noise, ratio);
                    CHECK(off > 0 && on > 0);
                    const double least = streams[i] > 1 || orders[k] != 1 ? 0.98 : noise ? 1.2 : rows[r] < 1000000 ? 3.6 : 1.4;
                    CHECK_MSG(ratio > least, "%u streams, order %u: %g", streams[i], orders[k], ratio);
                }
}

/* Virtual nanoseconds of the last 1,400 tokens of an answer that is one token over and over: a step of one row then takes a tenth of what it did. */
static uint64_t time_after_change(uint32_t draft_max)
{
    uint64_t from = 0;
    seed = 5;
    if (!open_turns(&(struct engine_opts){.kv_bytes = 8 << 20, .draft_max = draft_max}, 1))
        return 0;
    row_ns = 5000000; /* the second row is free, the third is not: drafts gain twice the speed */
    static const struct logit_bias one = {7, 100};
    struct seq_opts o = plain(0, 1800, 0);
    o.sample.bias = &one, o.sample.n_bias = 1;
    bool ran = true, ok = start(&o);
    while (ok && ran) {
        ok = engine_turn(g, false, &ran);
        if (!from && jobs[0].n_tokens >= 400) {
            from = now_ns, lone_ns = read_ns / 10;
            ok = ok && (draft_max == 0 || g->accepted > 100);
        }
    }
    ok = ok && job_ok(&jobs[0]) && jobs[0].counts.output == 1800;
    engine_free(g);
    return ok ? now_ns - from : 0;
}

/* Where every step has a draft, what one without takes is known only from steps that leave it out to see. */
TEST(what_a_step_takes_without_is_measured_again)
{
    uint64_t off = time_after_change(0), on = time_after_change(31);
    double ratio = (double)off / (double)on;
    if (getenv("SLUICE_TEST_VERBOSE"))
        printf("after the change: %.3f\n", ratio);
    CHECK(off > 0 && on > 0);
    CHECK_MSG(ratio > 0.5, "drafts that no longer pay go on: %g of the speed without", ratio);
}

TEST_MAIN()
