/* The scheduler, simulated: no thread, a clock that only steps move, a model that is a few words. Thousands of small worlds, each made from a
 * seed: tenants with weights, priorities, prompts that begin alike, choices, pauses, cancels, two models, memory for a handful of pages. In every
 * third world the first model has a window, and pages behind it are put back.
 *
 * After every turn: pages are conserved, each list has what the states say, no budget is passed, nothing behind a window is held.
 * At the end: every admitted request has ended, no page and no place is lost, a prompt is billed once. And over time: nobody starves, and
 * tenants that always have work get work by their weights. SEED=n runs one world and says what happens. */
#include "engine/engine_int.h"
#include "fake.h"
#include "test.h"

enum { REQUESTS_MAX = 64, STORM = 4000 };
static struct model models[2];
static struct engine_model *served[2];
static struct engine *g;
static uint64_t now_ns, row_cost_ns, step_cost_ns;

static uint64_t virtual_now(void)
{
    return now_ns;
}

static void tick(struct model *m, const struct step *s)
{
    now_ns += step_cost_ns + row_cost_ns * (uint64_t)s->n * (uint64_t)m->layers;
}

struct request {
    uint64_t id, born_ns, first_ns, done_ns;
    uint32_t n_prompt, max_tokens, n_tokens, lead, tenant;
    uint32_t cancel_at, allow_at; /* turns; 0: never */
    bool cancelled, paused;
    uint32_t n_done;
    struct token_counts counts, journaled;
    enum seq_end end;
};
static uint32_t queue_max = REQUESTS_MAX;
static struct request rq[STORM + REQUESTS_MAX];
static uint32_t n_rq;
static uint64_t rolls, seed_now;
static uint64_t work_of[4]; /* rows billed, by tenant */
static uint64_t n_slid;     /* turns times sequences that have put pages back */

static uint32_t roll(uint32_t n)
{
    return (uint32_t)(rng_u64(seed_now, 11, rolls++, 0) % n);
}

static void on_event(void *arg, const struct seq_event *ev)
{
    struct request *r = arg;
    ASSERT(r->n_done == 0 && ev->counts.output <= r->journaled.output && ev->counts.input <= r->journaled.input);
    ASSERT(ev->counts.output >= r->counts.output && ev->counts.input >= r->counts.input);
    r->counts = ev->counts;
    if (ev->kind == SEQ_TEXT && ev->token >= 0) {
        r->first_ns = r->first_ns ? r->first_ns : now_ns;
        r->n_tokens++;
    }
    r->paused = ev->kind == SEQ_PAUSED;
    if (ev->kind == SEQ_DONE) {
        r->n_done++, r->end = ev->end, r->done_ns = now_ns;
    }
}

static void on_journal(void *ctx, const struct usage_delta *d, size_t n)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        struct request *r = &rq[d[i].tag];
        work_of[r->tenant] += d[i].counts.input - r->journaled.input + d[i].counts.output - r->journaled.output;
        r->journaled = d[i].counts;
    }
}

/* Each page has as many users as the runners say, and is in one place. */
static const char *pages_wrong(void)
{
    static uint32_t users[4096];
    uint64_t used = 0;
    for (int k = 0; k < 2; k++) {
        const struct kv_pool *p = served[k]->pool;
        memset(users, 0, p->n_touched * sizeof *users);
        for (uint32_t i = 0; i < g->n_run; i++)
            for (size_t j = g->run[i]->n_gone; g->run[i]->model == served[k] && j < g->run[i]->pages.n; j++)
                users[kv_page_id(p, g->run[i]->pages.p[j])]++;
        uint32_t n_used = 0, n_kept = 0;
        for (uint32_t id = 0; id < p->n_touched; id++) {
            if (users[id] != p->refs[id])
                return "a page has more or fewer users than it counts";
            n_used += users[id] > 0;
            n_kept += users[id] == 0 && p->kept[id].keep;
        }
        if (n_used != p->n_used || n_kept != p->n_kept || n_used + n_kept + p->n_warm + p->n_cold != p->n_touched)
            return "a page is lost";
        used += n_used * p->page_bytes;
    }
    if (used != g->budget.used || g->budget.used > g->budget.backed || g->budget.backed > g->budget.max)
        return "the budget is wrong";
    return NULL;
}

/* What a sequence has put back is what its window has left behind: not a page more, and at most a page less, which tells what the next one comes
 * after. */
static const char *windows_wrong(void)
{
    for (uint32_t i = 0; i < g->n_run; i++) {
        const struct seq *s = g->run[i];
        const struct engine_model *m = s->model;
        const uint32_t first = m->window && s->n_kv >= m->window ? (s->n_kv - m->window + 1) / KV_PAGE : 0;
        for (uint32_t j = 0; j < s->pages.n; j++)
            if ((s->pages.p[j] == NULL) != (j < s->n_gone))
                return "a page is there that was put back, or is missing";
        if (s->n_gone > first || (s->n_gone < first && s->n_gone + 1 < s->n_kv / KV_PAGE))
            return "a page was put back too early or too late";
        if (m->span && (seq_pages(s) > m->span || seq_claim(s) > m->span * m->pool->page_bytes))
            return "a sequence holds or claims more than its window spans";
        n_slid += s->n_gone > 0;
    }
    return NULL;
}

static const char *lists_wrong(void)
{
    uint32_t live = 0, n_run = 0;
    for (uint32_t i = 0; i < g->n_wait; i++) {
        if (g->wait[i]->state != ST_WAIT || g->wait[i]->pages.n)
            return "who waits holds pages or does not wait";
        live++;
        for (const struct seq *f = g->wait[i]->fork; f; f = f->fork)
            live++;
    }
    for (uint32_t i = 0; i < g->n_run; i++) {
        const struct seq *s = g->run[i];
        if (s->state != ST_RUN && s->state != ST_PAUSED)
            return "who runs neither runs nor pauses";
        if (s->n_kv > s->tokens.n || s->pages.n < kv_pages_for(s->n_kv))
            return "a sequence has fewer pages than positions";
        live++;
        for (const struct seq *f = s->fork; f; f = f->fork)
            live++;
    }
    if (g->n_run > g->runners_max)
        return "more than may run";
    for (uint32_t i = 0; i < g->n_shares; i++)
        n_run += g->shares[i].n_run;
    if (n_run != g->n_run || live != g->live_max - g->n_free_slots)
        return "the sums of the lists are wrong";
    return NULL;
}

static uint32_t window; /* of the first model; 0: none */
static bool open_world(uint64_t seed, uint64_t kv_bytes, uint32_t seqs, uint32_t chunk)
{
    struct err e;
    const size_t n_was = n_rq;
    seed_now = seed, rolls = 0, n_rq = 0;
    memset(rq, 0, (n_was + 1) * sizeof *rq);
    memset(work_of, 0, sizeof work_of);
    now_ns = 1, step_cost_ns = 4000000, row_cost_ns = 1000000;
    struct engine_opts o = {.kv_bytes = kv_bytes, .seqs_max = seqs, .queue_max = queue_max, .chunk = chunk, .journal = on_journal};
    if (engine_open(&g, &o, &e) < 0)
        return false;
    g->now = virtual_now;
    for (int k = 0; k < 2; k++) {
        fake_model(&models[k], 640);
        models[k].layers = 1 + k;
        models[k].tick = tick;
        models[k].no_eog = true;
        fake_window(&models[k], k == 0 ? window : 0);
        if (engine_model_add(g, &models[k], &fake_vocab, &served[k], &e) < 0)
            return false;
    }
    return true;
}

static struct seq_opts opts_of(uint32_t i, int32_t *prompt, uint32_t text, uint32_t common)
{
    struct request *r = &rq[i];
    for (uint32_t k = 0; k < r->n_prompt; k++)
        prompt[k] = 1 + (int32_t)(rng_u64(k < common ? text : 1000 + i, 0, k, 3) % (FAKE_VOCAB - 1));
    return (struct seq_opts){
        .model = served[0],
        .tenant = {.id = r->tenant, .weight = 1 + r->tenant % 2, .kv_salt = {[3] = (uint8_t)r->tenant}},
        .prompt = prompt,
        .n_prompt = r->n_prompt,
        .max_tokens = r->max_tokens,
        .allowance = UINT32_MAX,
        .sample = {.temperature = 0.8f, .top_p = 1, .seed = i},
        .ignore_eos = true,
        .tag = i,
        .on_event = on_event,
        .arg = r,
    };
}

/* A request, or a few choices, at random. */
static bool arrive(uint32_t turn)
{
    static int32_t prompt[640];
    struct seq_opts o[4];
    uint64_t id[4];
    struct err e;
    uint32_t many = roll(8) == 0 ? 2 + roll(3) : 1, first = n_rq;
    if (n_rq + many > REQUESTS_MAX)
        return true;
    uint32_t n = 1 + roll(roll(3) ? 100 : 500), common = roll(n + 1), text = roll(4), tenant = roll(4), model = roll(4) == 0;
    int priority = roll(12) == 0;
    for (uint32_t c = 0; c < many; c++) {
        uint32_t i = n_rq++;
        rq[i] = (struct request){.n_prompt = n, .max_tokens = 1 + roll(120), .lead = first, .tenant = tenant, .born_ns = now_ns};
        o[c] = opts_of(i, prompt, text, common);
        o[c].model = served[model];
        o[c].priority = priority;
        if (roll(6) == 0)
            o[c].allowance = roll(30), rq[i].allow_at = turn + 1 + roll(60);
        if (roll(7) == 0)
            rq[i].cancel_at = turn + 1 + roll(80);
    }
    if (engine_start_many(g, o, many, id, &e) < 0)
        return false;
    for (uint32_t c = 0; c < many; c++)
        rq[first + c].id = id[c];
    return true;
}

static const char *run_world(uint64_t seed)
{
    const char *wrong = NULL;
    bool ran = true;
    uint32_t wanted = 4 + (uint32_t)(seed % 40), turn = 0;
    if (!open_world(seed, (22 + roll(30)) * 4096ull, 2 + roll(8), 16 + roll(120)))
        return "the engine does not open";
    wanted = wanted < REQUESTS_MAX - 4 ? wanted : REQUESTS_MAX - 4;
    for (uint32_t idle = 0; !wrong && idle < 200 && turn < 20000; turn++) {
        if (n_rq < wanted && roll(3) == 0 && !arrive(turn))
            wrong = "a request was refused";
        for (uint32_t i = 0; i < n_rq; i++) {
            if (rq[i].cancel_at == turn && turn && !rq[i].n_done)
                engine_stop(g, rq[i].id, SEQ_END_CANCEL), rq[i].cancelled = true;
            if (rq[i].allow_at && rq[i].allow_at <= turn && !rq[i].n_done)
                engine_allow(g, rq[i].id, UINT32_MAX), rq[i].allow_at = 0;
        }
        if (!engine_turn(g, false, &ran))
            wrong = "the engine ended";
        now_ns += ran ? 0 : 1000000;
        idle = ran || n_rq < wanted ? 0 : idle + 1;
        if (!wrong && !(wrong = pages_wrong()) && !(wrong = windows_wrong()))
            wrong = lists_wrong();
    }
    for (uint32_t i = 0; !wrong && i < n_rq; i++) {
        const struct request *r = &rq[i];
        uint32_t billed = 0, whole = 0;
        if (r->n_done != 1)
            wrong = "a request has not ended";
        else if (!r->cancelled && (r->end != SEQ_END_LENGTH || r->n_tokens != r->max_tokens || r->counts.output != r->max_tokens))
            wrong = "a request has not got its tokens";
        for (uint32_t k = r->lead; k < n_rq && rq[k].lead == r->lead; k++)
            billed += rq[k].counts.input + rq[k].counts.cache_read, whole += !rq[k].cancelled;
        if (!wrong && (whole ? billed != r->n_prompt : billed > r->n_prompt))
            wrong = "a prompt is billed more or less than once";
    }
    if (!wrong && (g->n_run || g->n_wait || g->budget.used))
        wrong = "something is left";
    if (wrong)
        printf("SEED=%llu turn %u: %s\n", (unsigned long long)seed, turn, wrong);
    return wrong;
}

/* Thousands of worlds. */
TEST(worlds)
{
    const char *only = getenv("SEED"), *wrong = NULL;
    uint64_t from = only ? strtoull(only, NULL, 10) : 0, n = only ? 1 : 1500, evicted = 0, found = 0, cut = 0;
    for (uint64_t seed = from; seed < from + n && !wrong; seed++) {
        window = seed % 3 == 1 ? 1 + (uint32_t)(seed * 37 % 300) : 0;
        wrong = run_world(seed);
        evicted += g->evictions, found += g->cached_tokens;
        for (uint32_t i = 0; i < n_rq; i++)
            cut += rq[i].cancelled;
        engine_free(g);
    }
    window = 0;
    CHECK(!wrong);
    if (getenv("SLUICE_TEST_VERBOSE"))
        printf("%llu evictions, %llu tokens found, %llu cancelled, %llu slid\n", (unsigned long long)evicted, (unsigned long long)found,
               (unsigned long long)cut, (unsigned long long)n_slid);
    CHECK(only || (evicted > 2000 && found > 20000 && cut > 2000 && n_slid > 20000));
}

/* Starts a request of its own text; a full queue is refused. */
static bool ask(uint32_t tenant, uint32_t n_prompt, uint32_t max_tokens)
{
    static int32_t prompt[640];
    struct err e;
    if (n_rq == STORM + REQUESTS_MAX)
        return false;
    uint32_t i = n_rq++;
    rq[i] = (struct request){.n_prompt = n_prompt, .max_tokens = max_tokens, .lead = i, .tenant = tenant, .born_ns = now_ns};
    struct seq_opts o = opts_of(i, prompt, 0, 0);
    return engine_start(g, &o, &rq[i].id, &e) == 0;
}

static uint64_t run_until_done(uint32_t i)
{
    bool ran;
    for (uint32_t turn = 0; turn < 5000 && !rq[i].n_done; turn++)
        if (!engine_turn(g, false, &ran))
            break;
    return rq[i].n_done ? rq[i].first_ns - rq[i].born_ns : UINT64_MAX;
}

/* One tenant keeps 40 long prompts waiting, whether memory is wide or holds four of them; another's prompt, done in one step and alone, has its first
 * token little later than on an idle machine. Beside 40 readers with short prompts each of its steps is longer by their rows. */
TEST(a_noisy_neighbour)
{
    static const struct {
        uint32_t pages, prompt, noise, more_ms;
    } cases[] = {{1000, 500, 600, 35}, {1000, 100, 600, 35}, {44, 300, 600, 35}, {44, 60, 630, 35}, {1000, 500, 30, 400}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            CHECK(open_world(seed, cases[c].pages * 4096ull, 64, 256));
            CHECK(ask(1, 64, 8) && run_until_done(0) != UINT64_MAX); /* the pace is known */
            CHECK(ask(1, cases[c].prompt, 1));
            uint64_t alone = run_until_done(1);
            engine_free(g);
            CHECK(open_world(seed, cases[c].pages * 4096ull, 64, 256));
            bool ran;
            for (uint32_t i = 0; i < 40; i++)
                CHECK(ask(2, cases[c].noise, 1 + roll(640 - cases[c].noise)));
            for (uint32_t i = 0, n = 1 + roll(60); i < n; i++)
                CHECK(engine_turn(g, false, &ran));
            uint32_t mine = n_rq;
            CHECK(ask(1, cases[c].prompt, 1));
            uint64_t noisy = run_until_done(mine);
            CHECK_MSG(noisy < alone + cases[c].more_ms * 1000000ull, "case %zu seed %d: %g ms beside a noisy one, %g alone", c, (int)seed,
                      (double)noisy / 1e6, (double)alone / 1e6);
            while (n_rq < REQUESTS_MAX && rq[0].n_done == 0)
                CHECK(engine_turn(g, false, &ran));
            engine_free(g);
        }
    }
}

/* Two tenants of weights 1 and 2 that never run out of work: their shares of it follow, within a burst and a chunk. */
TEST(work_follows_weights)
{
    for (uint64_t seed = 0; seed < 30; seed++) {
        bool ran;
        CHECK(open_world(seed, 2000 * 4096ull, 8, 128));
        for (uint32_t i = 0; i < 60; i++)
            CHECK(ask(2 + i % 2, 50 + roll(400), 30 + roll(100)));
        uint64_t light = 0, heavy = 0;
        for (bool both = true; both;) {
            CHECK(engine_turn(g, false, &ran) && ran);
            uint32_t left[2] = {0, 0};
            for (uint32_t i = 0; i < 60; i++)
                left[i % 2] += !rq[i].n_done;
            both = left[0] > 9 && left[1] > 9;
            light = work_of[2], heavy = work_of[3];
        }
        double ahead = (double)heavy / 2 - (double)light;
        CHECK_MSG(ahead > -1500 && ahead < 1500, "seed %d: %d and %d rows", (int)seed, (int)light, (int)heavy);
        engine_free(g);
    }
}

/* While prompts of 600 tokens keep coming, 16 that read wait at most three times as long for a token as they do without. */
TEST(who_reads_is_not_held_up)
{
    bool ran;
    CHECK(open_world(1, 2000 * 4096ull, 64, 256));
    row_cost_ns = 700000, step_cost_ns = 20000000; /* reading weights; a row's arithmetic */
    for (uint32_t i = 0; i < 16; i++)
        CHECK(ask(i % 4, 20, 500));
    for (uint32_t i = 0; i < 40; i++)
        CHECK(engine_turn(g, false, &ran));
    uint64_t t0 = now_ns;
    CHECK(engine_turn(g, false, &ran));
    uint64_t bare = now_ns - t0, worst = 0, n = 0;
    for (uint32_t i = 0; i < 40; i++) {
        CHECK(ask(i % 4, 600, 2));
        for (uint32_t k = 0; k < 4; k++) {
            t0 = now_ns;
            uint32_t had = rq[0].n_tokens;
            CHECK(engine_turn(g, false, &ran) && rq[0].n_tokens == had + 1);
            worst = now_ns - t0 > worst ? now_ns - t0 : worst;
            n++;
        }
    }
    CHECK_MSG(worst < 3 * bare, "%g ms at worst, %g without", (double)worst / 1e6, (double)bare / 1e6);
    engine_free(g);
}

/* Thousands wait, all leave at once, again and again: each ends once and is billed for no more than was computed, nothing is left, and who stays has
 * its answer. */
TEST(a_storm_of_cancels)
{
    bool ran = true;
    queue_max = STORM;
    CHECK(open_world(3, 40 * 4096ull, 8, 128));
    queue_max = REQUESTS_MAX;
    CHECK(ask(1, 200, 60));
    for (uint32_t round = 0; round < 4; round++) {
        uint32_t from = n_rq;
        while (n_rq < (round + 1) * (STORM / 4))
            CHECK(ask(2 + n_rq % 2, 1 + roll(500), 1 + roll(100)));
        for (uint32_t i = 0, n = 1 + roll(20); i < n; i++)
            CHECK(engine_turn(g, false, &ran));
        for (uint32_t i = from ? from : 1; i < n_rq; i++)
            engine_stop(g, rq[i].id, SEQ_END_CANCEL);
        CHECK(engine_turn(g, false, &ran) && !pages_wrong() && !lists_wrong());
        for (uint32_t i = from ? from : 1; i < n_rq; i++)
            CHECK(rq[i].n_done == 1 && rq[i].counts.input <= rq[i].n_prompt && rq[i].counts.output == rq[i].n_tokens);
        CHECK(g->n_wait + g->n_run == (rq[0].n_done ? 0 : 1));
    }
    CHECK(run_until_done(0) != UINT64_MAX && rq[0].n_tokens == 60);
    CHECK(engine_turn(g, false, &ran) && !ran && g->budget.used == 0);
    engine_free(g);
}

TEST_MAIN()
