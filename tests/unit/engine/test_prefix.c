/* Pages that are found again: by whom, how many, in what order they are forgotten, and that no text and no sum of a bill depends on it. The fake
 * model's text depends on every page. */
#include "served.h"

/* A request of the tenant `salt` whose prompt is the first n tokens of text `text`. */
static struct seq_opts request(uint32_t tag, uint8_t salt, uint64_t text, uint32_t n)
{
    struct seq_opts o = request_of(tag, text, n);
    o.tenant = (struct tenant){.id = salt, .weight = 1, .kv_salt = {[7] = salt}};
    o.max_tokens = 4, o.ignore_eos = true;
    return o;
}

static bool says(const struct job *j, const struct seq_opts *o)
{
    static struct expect x;
    fake_expect(&model, o, model.shape.n_ctx, &x);
    return j->text.len == x.n_text && memcmp(j->text.data ? j->text.data : "", x.text, x.n_text) == 0 && j->counts.output == x.n_out;
}

static bool is_whole(const struct job *j, const struct seq_opts *o)
{
    return job_ok(j) && j->counts.input + j->counts.cache_read == o->n_prompt && j->journaled.cache_read == j->counts.cache_read;
}

/* Runs it alone; how many tokens were found, or UINT32_MAX when the text or the bill is wrong. */
static uint32_t found(const struct seq_opts *o)
{
    struct job *j = &jobs[o->tag];
    if (!start(o))
        return UINT32_MAX;
    JOB_DONE(j);
    return is_whole(j, o) && (o->kind != SEQ_GENERATE || says(j, o)) ? j->counts.cache_read : UINT32_MAX;
}

static uint32_t kept(void)
{
    struct engine_stats st;
    STATS_WAIT(g, st, st.running + st.waiting + st.paused == 0 && st.pages_used == 0);
    return st.pages_used == 0 ? st.pages_cached : UINT32_MAX;
}

TEST(full_pages_are_found)
{
    struct seq_opts o;
    struct engine_stats st;
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 20}));
    uint32_t tag = 0;
#define FOUND(salt, text, n) (o = request(tag++, salt, text, n), found(&o))
    CHECK(FOUND(1, 1, 200) == 0);
    CHECK(kept() == 3); /* 204 tokens, the last one not computed */
    uint32_t rows = model.all_rows;
    uint64_t vt = g->shares[0].vt; /* at rest */
    CHECK(FOUND(1, 1, 200) == 192);
    CHECK_MSG(model.all_rows - rows == 8 + 3, "%u rows", model.all_rows - rows);
    CHECK(kept() == 3 && g->shares[0].vt - vt == 11 * 1024); /* nor is the tenant charged for what was found */
    CHECK(FOUND(1, 1, 193) == 192);
    CHECK(FOUND(1, 1, 192) == 191); /* one token is always computed */
    CHECK(FOUND(1, 1, 65) == 64 && FOUND(1, 1, 64) == 63 && FOUND(1, 1, 1) == 0);
    CHECK(FOUND(1, 1, 400) == 192 && FOUND(1, 1, 400) == 384);
    /* the same page in another place is another page */
    o = request(tag++, 1, 1, 400);
    o.prompt += 64;
    o.n_prompt -= 64;
    CHECK(found(&o) == 0);
    engine_stats(g, &st);
    CHECK(st.cached_tokens > 0 && st.cache_evictions == 0);
    engine_free(g);
}

/* The first n tokens of text `text`, but another one at `at`. */
static struct seq_opts parted(uint32_t tag, uint8_t salt, uint64_t text, uint32_t n, uint32_t at)
{
    struct seq_opts o = request(tag, salt, text, n);
    prompt_buf[at] = prompt_buf[at] % (FAKE_VOCAB - 1) + 1;
    return o;
}

/* Of a page that goes on otherwise what comes before the other token is found, unless that is too little; by the tenant alone. */
TEST(parts_are_found)
{
    struct seq_opts o;
    uint32_t tag = 0;
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 20}));
    for (uint32_t at = 0; at < 200; at++) {
        const uint8_t salt = (uint8_t)(1 + at);
        const uint32_t want = at - (at % KV_PAGE < PART_MIN ? at % KV_PAGE : 0);
        CHECK(FOUND(salt, 1, 300) == 0);
        const uint32_t rows = model.all_rows;
        o = parted(tag++, salt, 1, 230, at);
        const uint32_t n = found(&o);
        CHECK_MSG(n == want && model.all_rows - rows == 230 - n + 3, "%u of %u tokens found, %u rows", n, at, model.all_rows - rows);
        o = parted(tag++, 0, 1, 230, at);
        o.tenant.kv_salt[3] = salt;
        CHECK(found(&o) == 0);
    }
    engine_free(g);
}

/* Of many texts that part in one page the newest are looked at. */
TEST(parts_of_many)
{
    struct seq_opts o;
    uint32_t tag = 0;
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 20}));
    for (uint32_t i = 0; i < PART_TRIED; i++) { /* their own from token 64 + 2 i + 1 on */
        o = parted(tag++, 1, 1, 140, 64 + 2 * i + 1);
        CHECK(found(&o) != UINT32_MAX);
    }
    CHECK(FOUND(1, 1, 100) == 64 + 2 * PART_TRIED - 1); /* it does not fill its page, so nothing is kept of it */
    for (uint32_t i = 0; i < PART_TRIED; i++) {
        o = parted(tag++, 1, 1, 140, 64 + 2 * i);
        CHECK(found(&o) != UINT32_MAX);
    }
    CHECK(FOUND(1, 1, 100) == 64 + 2 * PART_TRIED - 2);
    engine_free(g);
}

/* Two that run at a time: what the first has of a page that is not full is copied, and its own go on undisturbed. */
TEST(parts_of_runners)
{
    struct seq_opts a, b;
    static int32_t first[300];
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 20}));
    a = request(0, 1, 1, 50);
    memcpy(first, prompt_buf, sizeof first);
    a.prompt = first, a.max_tokens = 600, a.allowance = 3;
    CHECK(start(&a));
    JOB_WAIT(&jobs[0], jobs[0].n_paused == 1); /* 52 positions */
    b = parted(1, 1, 1, 90, 40);
    CHECK(found(&b) == 40);
    b = parted(2, 2, 1, 90, 40);
    CHECK(found(&b) == 0);
    engine_allow(g, jobs[0].seq, UINT32_MAX);
    JOB_DONE(&jobs[0]);
    CHECK(is_whole(&jobs[0], &a) && says(&jobs[0], &a));
    engine_free(g);
}

/* A part is no reason to take memory from somebody: with none free it is computed. */
TEST(parts_take_free_memory)
{
    struct seq_opts o;
    struct engine_stats st;
    uint32_t tag = 0;
    CHECK(open_engine(640, &(struct engine_opts){.kv_bytes = 4 * 4096, .seqs_max = 4}));
    CHECK(FOUND(1, 1, 150) == 0 && kept() == 2);
    o = parted(tag++, 1, 1, 250, 100); /* 4 pages: the first is found, the second is the source, two are free */
    CHECK(found(&o) == 100);
    engine_stats(g, &st);
    CHECK(st.evictions == 0);
    engine_free(g);
}

/* What was sampled is found as well: a conversation goes on behind its last full page. */
TEST(ten_turns)
{
    static int32_t said[4096];
    uint32_t n = 0;
    CHECK(open_engine(4096, &(struct engine_opts){.kv_bytes = 2 << 20, .chunk = 100}));
    for (uint32_t turn = 0; turn < 10; turn++) {
        const uint32_t before = n, rows = model.all_rows;
        for (uint32_t i = 0; i < 90; i++)
            said[n++] = token_of(50 + turn, i);
        struct seq_opts o = request(turn, 3, 1, 0);
        o.prompt = said, o.n_prompt = n, o.max_tokens = 70;
        uint32_t hit = found(&o);
        CHECK_MSG(hit != UINT32_MAX && hit + KV_PAGE >= before && hit <= before && hit % KV_PAGE == 0, "turn %u: %u of %u found", turn, hit, before);
        CHECK(model.all_rows - rows == n - hit + 69);
        struct sampler *s;
        struct err e;
        float logits[FAKE_VOCAB];
        uint64_t h = 1;
        CHECK(sampler_new(&s, FAKE_VOCAB, &e) == 0); /* what it said, as tokens */
        for (uint32_t p = 0; p + 1 < n; p++)
            h = fake_hash(h, said[p], p);
        for (uint32_t i = 0; i < 70; i++) {
            h = fake_hash(h, said[n - 1], n - 1);
            fake_logits(&model, h, logits);
            said[n] = sampler_pick(s, &o.sample, n, logits);
            n++;
        }
        sampler_free(s);
    }
    engine_free(g);
}

/* The paired assertion: the same tenant hits, another one does not, by a bit of the salt; neither do its pages serve as a measure of time. */
TEST(tenants_never_share)
{
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 8 << 20}));
    struct seq_opts o = request(0, 1, 1, 300);
    CHECK(found(&o) == 0);
    for (uint32_t bit = 0; bit < 128; bit++) {
        o = request(1 + bit, 1, 1, 300);
        o.tenant.kv_salt[bit / 8] ^= (uint8_t)(1 << bit % 8);
        uint32_t rows = model.all_rows;
        CHECK_MSG(found(&o) == 0 && model.all_rows - rows == 300 + 3, "salts that differ in bit %u share", bit);
    }
    o = request(200, 1, 1, 300);
    o.tenant.id = 99; /* the salt alone decides */
    CHECK(found(&o) == 256);
    engine_free(g);
    /* at the same time, too */
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 20}));
    model.closed = true;
    for (uint32_t i = 0; i < 8; i++) {
        o = request(i, (uint8_t)(1 + i), 1, 300);
        CHECK(start(&o));
    }
    model.closed = false;
    for (uint32_t i = 0; i < 8; i++) {
        JOB_DONE(&jobs[i]);
        CHECK(is_whole(&jobs[i], &o) && jobs[i].counts.cache_read == 0);
    }
    CHECK(kept() == 8 * 4);
    engine_free(g);
}

/* Nobody's text is lost among candidates of one bucket: with few buckets all is found by comparison. */
TEST(colliding_hashes_mix_nothing)
{
    struct seq_opts o;
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 20, .chunk = 64}));
    served->prefix->mask = 0; /* nothing runs yet */
    for (uint32_t i = 0; i < 20; i++) {
        o = request(i, (uint8_t)(i % 4), i / 4, 200);
        CHECK(found(&o) == 0);
    }
    for (uint32_t i = 0; i < 20; i++) {
        o = request(20 + i, (uint8_t)(i % 4), i / 4, 200);
        CHECK(found(&o) == 192);
    }
    o = request(40, 0, 0, 200); /* another first page, then the same */
    prompt_buf[0] = prompt_buf[0] % (FAKE_VOCAB - 1) + 1;
    CHECK(found(&o) == 0);
    served->prefix->mask = 255;
    engine_free(g);
}

TEST(forgotten_in_order_of_use)
{
    struct seq_opts o;
    struct engine_stats st;
    uint32_t tag = 0;
    CHECK(open_engine(700, &(struct engine_opts){.kv_bytes = 12 * 4096}));
    for (uint64_t text = 0; text < 3; text++) /* three pages each, and one for the rest while they run */
        CHECK(FOUND(1, text, 200) == 0);
    CHECK(kept() == 9);
    CHECK(FOUND(1, 0, 200) == 192); /* now text 1 is the oldest */
    CHECK(FOUND(1, 3, 260) == 0);   /* wants 5 pages, 3 are free: two of text 1 go, its last ones first */
    STATS_WAIT(g, st, st.pages_used == 0);
    CHECK_MSG(st.cache_evictions == 2 && st.pages_cached == 11, "%llu forgotten, %u kept", (unsigned long long)st.cache_evictions, st.pages_cached);
    CHECK(FOUND(1, 2, 200) == 192 && FOUND(1, 0, 200) == 192 && FOUND(1, 3, 260) == 256 && FOUND(1, 1, 200) == 64);
    CHECK(st.evictions == 0);
    engine_free(g);
}

/* Kept pages are free memory: for admission, for another model, and for one who grows; no runner loses its pages for them. */
TEST(kept_pages_are_free_memory)
{
    static struct model large;
    struct engine_model *other;
    struct engine_stats st;
    struct err e;
    struct seq_opts o;
    uint32_t tag = 0;
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 24 * 4096, .seqs_max = 4}));
    fake_model(&large, 2000);
    large.layers = 3;
    CHECK(engine_model_add(g, &large, &fake_vocab, &other, &e) == 0);
    for (uint64_t text = 0; text < 10; text++)
        CHECK(FOUND(1, text, 500) == 0);
    CHECK(kept() >= 22);
    for (uint32_t i = 0; i < 3; i++) { /* 8 pages of three times the size: all of it */
        o = request(tag, 1, 0, 480);
        o.model = other;
        tag++;
        CHECK(found(&o) == (i ? 448 : 0));
    }
    CHECK(kept() == 7);
    CHECK(FOUND(1, 9, 500) == 0); /* its pages had to go */
    o = request(tag, 1, 30, 130); /* of all models' pages the oldest go: its own, not those of the text that was just used */
    o.model = other;
    tag++;
    CHECK(found(&o) == 0 && FOUND(1, 9, 500) == 448);
    o = request(tag++, 1, 20, 10);
    o.max_tokens = 1400; /* grows over all pages */
    CHECK(found(&o) == 0);
    engine_stats(g, &st);
    CHECK(st.evictions == 0 && st.cache_evictions > 20);
    engine_model_remove(g, other);
    CHECK(kept() >= 22 && kept() <= 24);
    CHECK(g->budget.used == 0 && g->budget.backed <= g->budget.max);
    engine_free(g);
}

/* 32 at a time with one prompt: it is computed once, whatever the chunk, and each pays its tail. */
TEST(one_prompt_is_computed_once)
{
    static const uint32_t chunks[] = {32, 48, 100, 256, 384};
    struct seq_opts o;
    for (size_t k = 0; k < sizeof chunks / sizeof *chunks; k++) {
        CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 8 << 20, .chunk = chunks[k]}));
        model.closed = true;
        for (uint32_t i = 0; i < 32; i++) {
            o = request(i, 1, 1, 1000);
            CHECK(start(&o));
        }
        model.closed = false;
        uint32_t input = 0;
        for (uint32_t i = 0; i < 32; i++) {
            JOB_DONE(&jobs[i]);
            o = request(i, 1, 1, 1000);
            CHECK(is_whole(&jobs[i], &o) && says(&jobs[i], &o));
            input += jobs[i].counts.input;
        }
        const uint32_t least = 1000 + 31;
        CHECK_MSG(input >= least && input <= least + 64, "chunk %u: %u tokens computed, %u wanted", chunks[k], input, least);
        CHECK(model.all_rows == input + 32 * 3 && kept() >= 15);
        engine_free(g);
    }
}

/* 32 at a time behind one system prompt that ends within a page, each with a text of its own behind it. */
TEST(one_beginning_is_computed_once)
{
    static int32_t prompts[32][1100];
    struct seq_opts o[32];
    for (uint32_t warm = 0; warm < 2; warm++) {
        CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 8 << 20, .chunk = 256}));
        if (warm) {
            o[0] = request(100, 1, 1, 1024);
            CHECK(found(&o[0]) == 0);
        }
        const uint32_t rows = model.all_rows;
        model.closed = true;
        for (uint32_t i = 0; i < 32; i++) {
            o[i] = request(i, 1, 1, 1040);
            for (uint32_t k = 1000; k < 1040; k++)
                prompt_buf[k] = token_of(10 + i, k);
            prompt_buf[1000] = 1 + (token_of(1, 1000) + (int32_t)i) % (FAKE_VOCAB - 1); /* no two alike */
            o[i].prompt = memcpy(prompts[i], prompt_buf, sizeof prompts[i]);
            CHECK(start(&o[i]));
        }
        model.closed = false;
        uint32_t input = 0;
        for (uint32_t i = 0; i < 32; i++) {
            JOB_DONE(&jobs[i]);
            CHECK(is_whole(&jobs[i], &o[i]) && says(&jobs[i], &o[i]));
            input += jobs[i].counts.input;
        }
        const uint32_t least = (warm ? 0 : 1000) + 32 * 40, more = warm ? 0 : 48; /* they may have begun before all had come */
        CHECK_MSG(input >= least && input <= least + more, "%u tokens computed, %u wanted", input, least);
        CHECK(model.all_rows - rows == input + 32 * 3);
        engine_free(g);
    }
}

/* Whom one waits for: a runner that is ahead in the same page of the same text, that has had memory, and that will fill the page. */
TEST(who_waits_for_whom)
{
    int32_t other[200];
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 20}));
    (void)request(0, 1, 1, 200);
    memcpy(other, prompt_buf, sizeof other);
    other[63]++;
    struct seq s = {.model = served, .state = ST_RUN, .tokens = {.p = prompt_buf, .n = 200}, .n_prompt = 200, .allowance = 9}, r = s;
    r.n_kv = 10;
    CHECK(prefix_shadows(&r, &s) && !prefix_shadows(&s, &r));
    r.n_kv = 0;
    CHECK(!prefix_shadows(&r, &s)); /* neither is ahead */
    r.rows = 1;
    CHECK(prefix_shadows(&r, &s));
#define NOT(change, undo)                                                                                                                            \
    change;                                                                                                                                          \
    CHECK_MSG(!prefix_shadows(&r, &s), "%s", #change);                                                                                               \
    undo;                                                                                                                                            \
    CHECK(prefix_shadows(&r, &s))
    NOT(r.starved = true, r.starved = false);
    NOT(r.state = ST_PAUSED, r.state = ST_RUN);
    NOT(s.priority = 1, s.priority = 0);
    NOT(r.reach = 1, r.reach = 0);
    NOT(r.tenant.kv_salt[15] = 1, r.tenant.kv_salt[15] = 0);
    NOT(r.tokens.p = other, r.tokens.p = prompt_buf);
    NOT(s.prompt_logprobs = true, s.prompt_logprobs = false); /* it wants those rows */
    NOT(s.tokens.n = 64, s.tokens.n = 200);                   /* one of them */
    NOT(r.tokens.n = 63, r.tokens.n = 200);                   /* it will not fill it */
    /* of a page that it goes on with otherwise: for sixteen tokens more than can be copied, when s is at the page's first */
    r.tokens.p = other;
    CHECK(part_shadows(&r, &s, 0) && part_shadows(&r, &s, 63 - PART_WAIT) && !part_shadows(&r, &s, 64 - PART_WAIT));
#define NOT_PART(change, undo)                                                                                                                       \
    change;                                                                                                                                          \
    CHECK_MSG(!part_shadows(&r, &s, 0), "%s", #change);                                                                                              \
    undo;                                                                                                                                            \
    CHECK(part_shadows(&r, &s, 0))
    NOT_PART(r.starved = true, r.starved = false);
    NOT_PART(r.state = ST_PAUSED, r.state = ST_RUN);
    NOT_PART(s.priority = 1, s.priority = 0);
    NOT_PART(r.reach = 1, r.reach = 0);
    NOT_PART(r.tenant.kv_salt[0] = 1, r.tenant.kv_salt[0] = 0);
    NOT_PART(r.rows = 0, r.rows = 1);
    NOT_PART(s.n_kv = 1, s.n_kv = 0);
    NOT_PART(s.tokens.n = PART_WAIT, s.tokens.n = 200);
    NOT_PART(r.tokens.n = PART_WAIT - 1, r.tokens.n = 200);
    engine_free(g);
}

/* Who wants a result of every row computes every row; who wants the last one's need not. */
TEST(wanted_rows_are_computed)
{
    struct seq_opts o;
    static struct token_logprobs was[300];
    float mean[FAKE_WIDTH], last[FAKE_WIDTH];
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 20}));
    for (uint32_t round = 0; round < 2; round++) { /* cold, then warm */
        uint32_t tag = 20 * round;
        for (uint32_t kind = 0; kind < 2; kind++, tag++) { /* with the answer behind it, and without */
            o = request(tag, 1, 1, 300);
            o.prompt_logprobs = true, o.top_logprobs = 2;
            o.kind = kind ? SEQ_SCORE : SEQ_GENERATE;
            CHECK(found(&o) == 0);
            CHECK(jobs[tag].prompt_told.n == 300);
            for (uint32_t i = 0; i < 300; i++) {
                const struct token_logprobs *t = &jobs[tag].prompt_told.p[i];
                if (tag == 0)
                    was[i] = *t;
                CHECK(t->token == was[i].token && (i == 0 || t->value == was[i].value) && t->top[1].value == was[i].top[1].value);
            }
        }
        for (enum pooling pool = POOL_MEAN; pool <= POOL_FIRST; pool++, tag++) {
            o = request(tag, 1, 1, 300);
            o.kind = SEQ_EMBED, o.pooling = pool;
            CHECK(found(&o) == (pool == POOL_LAST ? 256u : 0u) && jobs[tag].n_vector == 1);
            if (round == 0 && pool != POOL_FIRST)
                memcpy(pool == POOL_MEAN ? mean : last, jobs[tag].vector, sizeof mean);
            else if (pool != POOL_FIRST)
                CHECK(memcmp(pool == POOL_MEAN ? mean : last, jobs[tag].vector, sizeof mean) == 0);
        }
        o = request(tag++, 1, 1, 300);
        o.kind = SEQ_SCORE; /* nothing is wanted of it */
        CHECK(found(&o) == 256);
    }
    engine_free(g);
}

/* Where keys are rotated by a sequence's reach, pages serve those of the same reach alone. */
TEST(reach_parts_pages)
{
    struct seq_opts o;
    uint32_t tag = 0;
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 20}));
    model.own_reach = true;
    CHECK(FOUND(1, 1, 300) == 0 && FOUND(1, 1, 300) == 256);
    o = request(tag++, 1, 1, 300);
    o.max_tokens = 5;
    CHECK(found(&o) == 0);
    CHECK(FOUND(1, 1, 301) == 256); /* one more of the prompt, one less of ... */
    engine_free(g);
}

TEST(may_be_switched_off)
{
    struct seq_opts o;
    uint32_t tag = 0;
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 20, .no_prefix_cache = true}));
    CHECK(FOUND(1, 1, 300) == 0 && FOUND(1, 1, 300) == 0 && kept() == 0);
    engine_free(g);
}

/* What was found costs nothing before something ran: a stop before the first step leaves no bill. */
TEST(nothing_ran_nothing_billed)
{
    struct seq_opts o;
    uint32_t tag = 0;
    CHECK(open_engine(2000, &(struct engine_opts){.kv_bytes = 1 << 20}));
    CHECK(FOUND(1, 1, 193) == 0);
    o = request(tag, 1, 1, 193); /* all but its last token is found, and that may not be computed */
    o.allowance = 0;
    CHECK(start(&o));
    JOB_WAIT(&jobs[tag], jobs[tag].n_paused == 1);
    engine_stop(g, jobs[tag].seq, SEQ_END_CANCEL);
    JOB_DONE(&jobs[tag]);
    CHECK(job_ok(&jobs[tag]) && jobs[tag].counts.input == 0 && jobs[tag].counts.cache_read == 0);
    o = request(++tag, 1, 1, 193);
    o.allowance = 0;
    CHECK(start(&o));
    JOB_WAIT(&jobs[tag], jobs[tag].n_paused == 1);
    engine_allow(g, jobs[tag].seq, 10);
    JOB_DONE(&jobs[tag]);
    CHECK(is_whole(&jobs[tag], &o) && jobs[tag].counts.cache_read == 192 && jobs[tag].counts.input == 1);
    engine_free(g);
}

/* The index and the pages of an engine that has come to rest. */
static bool at_rest(const struct engine *e)
{
    uint64_t bytes = 0;
    for (const struct engine_model *m = e->models; m; m = m->next) {
        const struct kv_pool *p = m->pool;
        uint32_t n_known = 0, n_chain = 0, n_list = 0, n_order = 0, after = 0, n_before = 0;
        uint64_t when = 0;
        for (uint32_t id = 0; id < p->n_touched; id++) {
            const struct prefix_page *k = &m->prefix->pages[id];
            n_known += k->known;
            if (!k->known)
                continue;
            const struct prefix_page *b = k->before ? &m->prefix->pages[k->before - 1] : NULL;
            const bool gone = b && (!b->known || b->life != k->before_life); /* it was forgotten first: nobody finds k any more */
            after += k->after;
            n_before += b && !gone;
            if (gone ? !m->window : b && p->kept[k->before - 1].when < p->kept[id].when)
                return printf("page %u is kept longer than what comes before it\n", id), false;
        }
        for (uint32_t b = 0; b <= m->prefix->mask; b++) {
            for (uint32_t id = m->prefix->heads[b]; id; id = m->prefix->pages[id - 1].chain)
                n_chain += m->prefix->pages[id - 1].known;
            for (uint32_t id = m->prefix->followers[b], newer = 0; id; newer = id, id = m->prefix->pages[id - 1].older)
                n_list += m->prefix->pages[id - 1].known && m->prefix->pages[id - 1].newer == newer;
        }
        for (uint32_t o = 0, id; o < KV_OWNERS; o++, when = 0)
            for (id = p->order[o].oldest; id; id = p->kept[id - 1].newer, n_order++) {
                if (p->kept[id - 1].owner != o || p->kept[id - 1].when <= when || p->refs[id - 1] != 0 || !m->prefix->pages[id - 1].known)
                    return printf("page %u is out of order\n", id - 1), false;
                when = p->kept[id - 1].when;
            }
        if (p->n_used != 0 || n_known != p->n_kept || n_chain != p->n_kept || n_list != p->n_kept || n_order != p->n_kept || after != n_before ||
            p->n_warm + p->n_cold + p->n_kept != p->n_touched)
            return printf("%u used, %u known, %u in chains, %u in lists, %u in order, %u kept, %u after, %u before\n", p->n_used, n_known, n_chain,
                          n_list, n_order, p->n_kept, after, n_before),
                   false;
        bytes += (uint64_t)(p->n_warm + p->n_kept) * p->page_bytes;
    }
    return e->budget.used == 0 && e->budget.backed == bytes && bytes <= e->budget.max;
}

/* Seeded: arrivals in bursts, tenants, common prompts, choices, cancels, pauses, two models, memory for a few. All end, each with the text that
 * it has alone, no page is lost, nothing is shared across salts, and the sums hold. */
struct sums {
    uint64_t hits, lost, evicted, cancelled;
};
static void simulate(struct sums *sums)
{
    enum { ROUNDS = 6, N = 150 };
    static struct model large;
    static struct seq_opts opts[N];
    static int32_t prompts[N][600];
    static uint32_t leads[N], billed[N]; /* the first of its request; prompt tokens of the request */
    static bool ended[N];
    struct engine_model *other;
    struct engine_stats st;
    struct err e;
    *sums = (struct sums){0};
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        uint64_t r = 0, read = 0;
        memset(billed, 0, sizeof billed);
        memset(ended, 0, sizeof ended);
#define ROLL(n) ((uint32_t)(rng_u64(100 + seed, 0, r++, 0) % (n)))
        CHECK(open_engine(600, &(struct engine_opts){.kv_bytes = (30 + 10 * seed) * 4096, .seqs_max = 12, .chunk = 40 + 50 * (uint32_t)seed}));
        fake_model(&large, 600);
        large.layers = 2;
        fake_window(&large, window);
        CHECK(engine_model_add(g, &large, &fake_vocab, &other, &e) == 0);
        for (uint32_t i = 0; i < N;) {
            const uint32_t text = ROLL(6), n = 1 + ROLL(400), common = ROLL(n + 1), many = i + 4 <= N && ROLL(8) == 0 ? 1 + ROLL(4) : 1;
            for (uint32_t k = 0; k < n; k++)
                prompts[i][k] = token_of(k < common ? text : 1000 + i, k);
            const uint8_t salt = (uint8_t)ROLL(3);
            for (uint32_t c = 0; c < many; c++) {
                opts[i + c] = request(i + c, salt, 0, 0);
                leads[i + c] = i;
                opts[i + c].prompt = prompts[i], opts[i + c].n_prompt = n;
                opts[i + c].model = text % 2 ? other : served;
                opts[i + c].max_tokens = 1 + ROLL(150);
                opts[i + c].priority = ROLL(10) == 0;
                opts[i + c].allowance = ROLL(6) == 0 ? ROLL(20) : UINT32_MAX;
            }
            uint64_t id[4];
            CHECK(engine_start_many(g, &opts[i], many, id, &e) == 0);
            for (uint32_t c = 0; c < many; c++)
                jobs[i + c].seq = id[c];
            if (ROLL(9) == 0) {
                uint32_t k = ROLL(i + 1);
                opts[k].tag = UINT32_MAX; /* it may end before, or not */
                engine_stop(g, jobs[k].seq, SEQ_END_CANCEL);
                sums->cancelled++;
            }
            i += many;
            if (ROLL(12) == 0)
                clock_sleep_ms(1 + ROLL(3));
        }
        for (uint32_t i = 0; i < N; i++)
            engine_allow(g, jobs[i].seq, UINT32_MAX);
        for (uint32_t i = 0; i < N; i++) {
            struct job *j = &jobs[i];
            JOB_DONE(j);
            CHECK_MSG(job_ok(j) && j->journaled.cache_read == j->counts.cache_read, "seed %u job %u: bad %u, done %u", (uint32_t)seed, i, j->bad,
                      j->n_done);
            CHECK(j->counts.cache_read % KV_PAGE == 0 || j->counts.input > 0);
            read += j->counts.cache_read;
            billed[leads[i]] += j->counts.input + j->counts.cache_read;
            ended[leads[i]] |= opts[i].tag != UINT32_MAX;
            if (opts[i].tag == UINT32_MAX)
                continue;
            CHECK_MSG(says(j, &opts[i]) && j->end == SEQ_END_LENGTH, "seed %u job %u: %u tokens", (uint32_t)seed, i, j->counts.output);
        }
        for (uint32_t i = 0; i < N; i++) /* a prompt is billed once, whoever of its request computed it or was cancelled */
            CHECK_MSG(leads[i] != i || (ended[i] ? billed[i] == opts[i].n_prompt : billed[i] <= opts[i].n_prompt), "job %u: %u of %u", i, billed[i],
                      opts[i].n_prompt);
        STATS_WAIT(g, st, st.running + st.waiting + st.paused + st.pages_used == 0);
        CHECK(st.running + st.waiting + st.paused + st.pages_used == 0);
        CHECK(at_rest(g) && st.cached_tokens == read);
        sums->hits += st.cached_tokens, sums->lost += st.cache_evictions, sums->evicted += st.evictions;
        engine_free(g);
    }
    if (getenv("SLUICE_TEST_VERBOSE"))
        printf("%u tokens found, %u pages forgotten, %u sequences evicted, %u cancelled\n", (uint32_t)sums->hits, (uint32_t)sums->lost,
               (uint32_t)sums->evicted, (uint32_t)sums->cancelled);
}

TEST(simulation)
{
    struct sums s;
    simulate(&s);
    CHECK(s.hits > 5000 && s.lost > 100 && s.evicted > 20 && s.cancelled > 20);
}

/* The same where windows slide: pages are put back, and forgotten, before what comes after them. */
TEST(simulation_of_windows)
{
    struct sums s;
    window = 90;
    simulate(&s);
    window = 0;
    CHECK(s.hits > 3000 && s.lost > 100 && s.evicted > 20 && s.cancelled > 20);
}

/* One account fills the memory ten times over; another, who kept a little, finds it again. Had it kept as much, the older would have gone. */
TEST(who_keeps_much_loses_it)
{
    struct seq_opts o;
    struct engine_stats st;
    uint32_t tag = 0;
    CHECK(open_engine(640, &(struct engine_opts){.kv_bytes = 60 * 4096, .seqs_max = 4}));
    CHECK(FOUND(1, 50, 300) == 0);
    for (uint32_t i = 0; i < 60; i++) {
        CHECK(FOUND(2, 100 + i, 600) == 0);
        if (i % 10 == 9) /* longer ago than all memory would hold, each time */
            CHECK_MSG(FOUND(1, 50, 300) == 256, "after %u texts", i + 1);
    }
    engine_stats(g, &st);
    CHECK(st.cache_evictions > 400);
    for (uint32_t i = 0; i < 300; i++) /* but not for ever */
        CHECK(FOUND(2, 200 + i, 600) == 0);
    CHECK(FOUND(1, 50, 300) == 0);
    engine_free(g);
}

/* What the operator publishes is found by every tenant, and by nobody is it paid for; what a tenant computes behind it stays its own. */
TEST(published_for_all)
{
    struct seq_opts o;
    struct engine_stats st;
    struct err e;
    uint32_t tag = 0;
    CHECK(open_engine(640, &(struct engine_opts){.kv_bytes = 30 * 4096, .public_bytes = 7 * 4096, .seqs_max = 4}));
    CHECK(FOUND(1, 50, 300) == 0); /* computed before it is published: its own */
    const uint32_t rows = model.all_rows;
    o = request(0, 0, 50, 250);
    CHECK(engine_publish(g, served, prompt_buf, 250, &e) == 0); /* 192 tokens of it */
    STATS_WAIT(g, st, st.pages_public == 3);
    CHECK(st.pages_public == 3 && st.pages_used == 3 && model.all_rows - rows == 192 && st.cached_tokens == 0);
    for (uint8_t salt = 2; salt < 5; salt++)
        CHECK(FOUND(salt, 50, 300) == 192); /* and not the page behind it, which another tenant has */
    CHECK(FOUND(2, 50, 300) == 256);
    CHECK(FOUND(1, 50, 300) == 192 && FOUND(1, 50, 300) == 256); /* its own text now goes on behind the published one */
    CHECK(FOUND(6, 51, 300) == 0 && FOUND(7, 51, 300) == 0);     /* what is not published is never shared */
    for (uint32_t i = 0; i < 12; i++)                            /* memory is wanted for much else */
        CHECK(FOUND(8, 60 + i, 500) == 0);
    engine_stats(g, &st);
    CHECK(st.cache_evictions > 20 && FOUND(9, 50, 250) == 192);
    CHECK(engine_publish(g, served, prompt_buf, 63, &e) == -(int)ERR_BAD_VALUE);
    CHECK(engine_publish(g, served, prompt_buf, 640, &e) == -(int)ERR_CONTEXT);
    o = request(0, 0, 55, 330);
    CHECK(engine_publish(g, served, prompt_buf, 330, &e) == -(int)ERR_NO_ROOM);
    CHECK(engine_publish(g, served, prompt_buf, 200, &e) == 0);
    STATS_WAIT(g, st, st.pages_public == 6);
    CHECK(st.pages_public == 6 && FOUND(10, 55, 330) == 192);
    engine_model_remove(g, served);
    STATS_WAIT(g, st, st.pages_used == 0);
    CHECK(st.kv_bytes_used == 0 && g->published == 0);
    engine_free(g);
}

/* With keys that depend on a sequence's reach, those whose reach is a whole context find what is published. */
TEST(published_by_reach)
{
    struct seq_opts o;
    struct engine_stats st;
    struct err e;
    uint32_t tag = 0;
    CHECK(open_engine(640, &(struct engine_opts){.kv_bytes = 60 * 4096, .public_bytes = 20 * 4096}));
    model.own_reach = true;
    o = request(0, 0, 50, 192);
    CHECK(engine_publish(g, served, prompt_buf, 192, &e) == 0);
    STATS_WAIT(g, st, st.pages_public == 6);
    o = request(tag++, 3, 50, 300);
    o.max_tokens = 0; /* up to the context */
    CHECK(found(&o) == 192);
    CHECK(FOUND(3, 50, 300) == 0);
    engine_free(g);
}

TEST_MAIN()
