/* Rates that are guaranteed, simulated: no thread, a clock that only steps move, a model that is a few words. In each world one tenant has a rate
 * and three others flood the machine, for a virtual minute or two. Worlds differ by seed in what a row costs, the rate, the lengths of prompts and
 * answers, the memory, and storms of cancels. */
#include "engine/engine_int.h"
#include "fake.h"
#include "test.h"

enum { LIVE_MAX = 128, TENANTS = 4, CTX = 640 };
static struct model model, other;
static struct engine_model *served, *served_other;
static struct engine *g;
static uint64_t now_ns, row_ns, step_ns, rolls, seed_now;

struct request {
    uint64_t id;
    uint32_t tenant;
    bool live;
    struct token_counts counts;
};
static struct request rq[LIVE_MAX * TENANTS];
static uint64_t units_of[TENANTS]; /* thousandths of tokens */
static uint32_t weight;            /* of a prompt's token */

static uint64_t virtual_now(void)
{
    return now_ns;
}

static uint32_t roll(uint32_t n)
{
    return (uint32_t)(rng_u64(seed_now, 11, rolls++, 0) % n);
}

static void tick(struct model *m, const struct step *s)
{
    (void)m;
    now_ns += step_ns + row_ns * (uint64_t)s->n;
}

static uint64_t units(const struct token_counts *c)
{
    return (uint64_t)c->input * weight + (uint64_t)c->output * 1000;
}

static void on_event(void *arg, const struct seq_event *ev)
{
    struct request *r = arg;
    if (ev->kind == SEQ_DONE)
        r->live = false;
}

/* What is billed, so prompts that are not whole yet too. */
static void on_journal(void *ctx, const struct usage_delta *d, size_t n)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        struct request *r = &rq[d[i].tag];
        units_of[r->tenant] += units(&d[i].counts) - units(&r->counts);
        r->counts = d[i].counts;
    }
}

struct world {
    uint32_t seqs, pages, chunk, rate;       /* rate: thousandths of a token in a second of tenant 0; 0: none */
    uint32_t streams, flood, prompt, answer; /* requests that tenant 0, and each other, has at any time; most tokens */
    bool storms, two_models;
    uint32_t seconds;
};

static bool open_world(uint64_t seed, const struct world *w)
{
    struct err e;
    seed_now = seed, rolls = 0, now_ns = 1;
    memset(rq, 0, sizeof rq);
    memset(units_of, 0, sizeof units_of);
    if (engine_open(
            &g,
            &(struct engine_opts){.kv_bytes = w->pages * 4096ull, .seqs_max = w->seqs, .queue_max = 1024, .chunk = w->chunk, .journal = on_journal},
            &e) < 0)
        return false;
    g->now = virtual_now;
    fake_model(&model, CTX), fake_model(&other, CTX);
    model.no_eog = other.no_eog = true;
    model.tick = other.tick = tick;
    return engine_model_add(g, &model, &fake_vocab, &served, &e) == 0 && engine_model_add(g, &other, &fake_vocab, &served_other, &e) == 0;
}

static bool ask(struct request *r, uint32_t tenant, const struct world *w, struct engine_model *m)
{
    static int32_t prompt[CTX];
    struct err e;
    const uint32_t n = 1 + roll(w->prompt);
    for (uint32_t i = 0; i < n; i++)
        prompt[i] = 1 + (int32_t)roll(FAKE_VOCAB - 1);
    *r = (struct request){.tenant = tenant, .live = true};
    struct seq_opts o = {.model = m,
                         .tenant = {.id = tenant, .weight = 1, .kv_salt = {[3] = (uint8_t)tenant}, .input_weight = weight},
                         .prompt = prompt,
                         .n_prompt = n,
                         .max_tokens = 1 + roll(w->answer),
                         .allowance = UINT32_MAX,
                         .ignore_eos = true,
                         .tag = (uint64_t)(r - rq),
                         .on_event = on_event,
                         .arg = r};
    o.tenant.rate = tenant == 0 ? w->rate : 0;
    return engine_start(g, &o, &r->id, &e) == 0;
}

/* Runs it; *share: of tenant 0's rate that it got after a second of warming up; *whole: what all got in a second. */
static bool run_world(uint64_t seed, const struct world *w, double *share, double *whole)
{
    const uint64_t second = 1000000000, end = w->seconds * second;
    uint64_t from = 0, had = 0, all = 0;
    bool ran;
    if (!open_world(seed, w))
        return false;
    while (now_ns < end) {
        for (uint32_t t = 0; t < TENANTS; t++)
            for (uint32_t i = 0; i < (t ? w->flood : w->streams); i++) {
                struct request *r = &rq[t * LIVE_MAX + i];
                if (!r->live && !ask(r, t, w, w->two_models && t > 1 ? served_other : served))
                    return false;
                else if (w->storms && roll(t ? 40 : 400) == 0)
                    engine_stop(g, r->id, SEQ_END_CANCEL);
            }
        if (!engine_turn(g, false, &ran))
            return false;
        if (!ran)
            now_ns += 1000000;
        if (!from && now_ns > second) {
            from = now_ns, had = units_of[0], all = 0;
            for (uint32_t t = 0; t < TENANTS; t++)
                all += units_of[t];
        }
    }
    double time = (double)(now_ns - from) / 1e9, sum = 0;
    for (uint32_t t = 0; t < TENANTS; t++)
        sum += (double)units_of[t];
    *share = w->rate ? (double)(units_of[0] - had) / time / w->rate : 0;
    *whole = (sum - (double)all) / time;
    engine_free(g);
    return true;
}

/* Costs by seed, and what a prompt's token is worth beside one of so many decode rows. */
static void machine(uint64_t seed, uint32_t seqs)
{
    seed_now = seed, rolls = 0;
    step_ns = 2000000 + roll(30) * 1000000ull, row_ns = 200000 + roll(20) * 100000ull;
    const uint64_t step = step_ns + seqs * row_ns;
    weight = (uint32_t)(1000 * row_ns * seqs / step);
}

/* A rate from a tenth to four fifths of the machine, under a flood: at least 98% of it, in every world. */
TEST(a_rate_under_a_flood)
{
    const char *only = getenv("SEED");
    double worst = 9;
    for (uint64_t seed = only ? strtoull(only, NULL, 10) : 0, n = only ? seed + 1 : 60; seed < n; seed++) {
        const uint32_t seqs = 8 + (uint32_t)(seed * 7 % 40);
        machine(seed, seqs);
        struct world w = {.seqs = seqs, .pages = 6000, .chunk = 64 + roll(300), .prompt = 1 + roll(400), .answer = 1 + roll(200), .seconds = 10};
        w.streams = seqs + roll(8); /* enough to ask for all of the machine */
        const uint32_t flood = 10 + roll(50), part = 10 + roll(70);
        double share, whole;
        CHECK(run_world(seed, &w, &share, &whole)); /* what it gets alone */
        w.flood = flood, w.rate = (uint32_t)(whole * part / 100), w.seconds = 60;
        w.storms = seed % 3 == 1, w.two_models = seed % 5 == 2;
        const double alone = whole;
        CHECK(run_world(seed, &w, &share, &whole));
        worst = share < worst ? share : worst;
        CHECK_MSG(share >= 0.98, "SEED=%d: %g of its rate, which is %g of the machine's", (int)seed, share, (double)w.rate / alone);
    }
    if (getenv("SLUICE_TEST_VERBOSE"))
        printf("the worst share of its rate: %g\n", worst);
}

/* Memory for a few sequences, which the others fill first: their pages make way. */
TEST(a_rate_in_little_memory)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        machine(seed, 8);
        struct world w = {.seqs = 32, .pages = 44 + roll(40), .chunk = 128, .prompt = 200, .answer = 150, .streams = 6, .seconds = 20};
        double share, whole;
        CHECK(run_world(seed, &w, &share, &whole));
        w.flood = 12, w.rate = (uint32_t)(whole * (20 + roll(50)) / 100), w.seconds = 60, w.storms = seed % 2;
        CHECK(run_world(seed, &w, &share, &whole));
        CHECK_MSG(share >= 0.98, "SEED=%d: %g of its rate", (int)seed, share);
    }
}

/* What is guaranteed and not asked for is used by the others, and one stream whose rate is beyond it leaves them half of
 * the time. */
TEST(nothing_lies_idle)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        double share, bare, idle, lone;
        machine(seed, 24);
        struct world w = {.seqs = 24, .pages = 6000, .chunk = 256, .prompt = 1 + roll(300), .answer = 150, .flood = 20, .seconds = 40};
        CHECK(run_world(seed, &w, &share, &bare));
        w.rate = (uint32_t)(bare * 0.8);
        CHECK(run_world(seed, &w, &share, &idle)); /* nobody of that tenant is there */
        w.streams = 1;
        CHECK(run_world(seed, &w, &share, &lone));
        CHECK_MSG(idle > 0.98 * bare && lone > 0.05 * bare, "SEED=%d: %g with a guarantee that nobody uses, %g with one stream, %g without",
                  (int)seed, idle, lone, bare);
    }
}

/* Who has had its rate is like any other: with a tenth guaranteed and four tenants that always ask, its work is about a quarter. */
TEST(above_its_rate_it_shares)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        double share, whole;
        machine(seed, 24);
        struct world w = {.seqs = 24, .pages = 6000, .chunk = 256, .prompt = 100, .answer = 100, .streams = 20, .flood = 20, .seconds = 60};
        CHECK(run_world(seed, &w, &share, &whole));
        w.rate = (uint32_t)(whole / 10);
        CHECK(run_world(seed, &w, &share, &whole));
        CHECK_MSG(share > 2 && share < 3.2, "SEED=%d: %g times its rate", (int)seed, share);
    }
}

TEST_MAIN()
