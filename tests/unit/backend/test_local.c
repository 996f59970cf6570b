/* The engine behind the backend's interface, with a real small model: everything happens on the owner's thread, in order, and adds up. */
#include "backend/backend.h"
#include "backend/postq.h"
#include "base/clock.h"
#include "base/os.h"
#include "base/rng.h"
#include "test.h"

static struct postq          queue;
static struct backend_local *local;
static struct backend        be;
static pthread_t             owner;

struct told {
    struct buf           text;
    uint32_t             n_text, n_tokens, n_paused, n_done, bad;
    struct token_counts  counts;
    enum seq_end         end;
    struct backend_job  *job;
    uint32_t             stop_at; /* stops itself from inside an event */
    uint32_t             leave_at; /* its owner stops it between two */
    uint32_t             slice;   /* raises its allowance at each pause */
};

static void on_event(void *arg, const struct backend_event *ev)
{
    struct told *t = arg;
    t->bad += !pthread_equal(pthread_self(), owner) || t->n_done > 0;
    t->counts = ev->counts;
    t->n_tokens += ev->n_tokens;
    if (ev->kind == SEQ_TEXT) {
        t->n_text++;
        buf_add(&t->text, ev->text, ev->n_text);
        if (t->stop_at && t->n_tokens >= t->stop_at)
            be.stop(be.self, t->job, SEQ_END_CANCEL);
    } else if (ev->kind == SEQ_PAUSED) {
        t->n_paused++;
        t->bad += ev->n_tokens || ev->n_text;
        if (t->slice)
            be.allow(be.self, t->job, t->counts.output + t->slice);
    } else {
        t->n_done++;
        t->end = ev->end;
        t->bad += t->n_tokens != ev->counts.output;
    }
}

static bool open_local(void)
{
    struct err  e = {0};
    const char *path = test_data("models/stories260K-f32.gguf");
    if (!path)
        return false;
    owner = pthread_self();
    postq_init(&queue);
    struct backend_local_opts o = {.device = {.n_threads = 1}, .engine = {.kv_bytes = 8 << 20, .seqs_max = 8}, .post = postq_post,
                                   .post_ctx = &queue};
    if (backend_local_new(&local, &o, &e) < 0 ||
        backend_local_add(local, &(struct backend_source){.alias = "tiny/stories", .source = "a@b:c", .path = path}, &e) < 0) {
        printf("%s\n", e.msg);
        exit(1);
    }
    backend_local_iface(local, &be);
    return true;
}

static void close_local(void)
{
    be.free(be.self);
    postq_run(&queue, 0); /* what was posted before the end does no harm */
    postq_deinit(&queue);
}

static struct vec_i32 prompt_of(const struct backend_model *m, const char *text)
{
    struct vec_i32 v = {0};
    struct err     e;
    if (vocab_encode(m->vocab, text, strlen(text), NULL, 0, &(struct encode_opts){.add_bos = true}, &v, &e) < 0)
        printf("%s\n", e.msg);
    return v;
}

static bool start(struct told *t, const struct backend_model *m, uint32_t max, uint32_t allowance)
{
    struct err         e;
    struct vec_i32     p = prompt_of(m, "Once upon a time");
    struct backend_req q = {.model = m, .tenant = {.weight = 1}, .prompt = p.p, .n_prompt = (uint32_t)p.n, .max_tokens = max,
                            .allowance = allowance, .sample = {.top_p = 1}, .on_event = on_event, .arg = t};
    bool               ok = be.start(be.self, &q, 1, &t->job, &e) == 0;
    vec_deinit(&p);
    return ok;
}

static void run_until(const uint32_t *what, uint32_t at_least)
{
    for (uint64_t end = clock_ns() + 300000000000ull; *what < at_least && clock_ns() < end;)
        postq_run(&queue, 100);
}

TEST(models_are_found_by_name)
{
    if (!open_local())
        SKIP("no stories260K-f32.gguf");
    struct err  e;
    struct buf  bytes;
    const char *path = test_data("models/stories260K-f32.gguf");
    CHECK(be.n_models(be.self) == 1 && be.model_at(be.self, 1) == NULL);
    const struct backend_model *m = be.model_find(be.self, STR("tiny/stories"));
    CHECK(m && m == be.model_at(be.self, 0) && m->n_ctx == 512 && m->vocab && m->tmpl && !strcmp(m->source, "a@b:c"));
    CHECK(!be.model_find(be.self, STR("tiny/storie")) && !be.model_find(be.self, STR("")));
    CHECK(backend_local_add(local, &(struct backend_source){.alias = "tiny/stories", .path = path}, &e) == -ERR_CONFLICT);
    struct backend_source none = {.alias = "none", .path = "/nowhere/none.gguf"}, junk = {.alias = "junk", .bytes = "GGUFjunk", .n_bytes = 8};
    CHECK(backend_local_add(local, &none, &e) < 0 && strstr(e.msg, "none"));
    CHECK(backend_local_add(local, &junk, &e) < 0 && strstr(e.msg, "junk"));
    CHECK(be.n_models(be.self) == 1);
    buf_init(&bytes, 0);
    CHECK(os_read_file(&bytes, test_data("models/stories260K-f32.gguf"), &e) == 0);
    CHECK(backend_local_add(local, &(struct backend_source){.alias = "embedded", .bytes = bytes.data, .n_bytes = bytes.len}, &e) == 0);
    static struct told a, b;
    memset(&a, 0, sizeof a), memset(&b, 0, sizeof b);
    CHECK(start(&a, m, 50, 50) && start(&b, be.model_find(be.self, STR("embedded")), 50, 50));
    run_until(&a.n_done, 1);
    run_until(&b.n_done, 1);
    CHECK(a.bad + b.bad == 0 && a.text.len > 50 && a.text.len == b.text.len && !memcmp(a.text.data, b.text.data, a.text.len));
    buf_deinit(&a.text);
    buf_deinit(&b.text);
    close_local();
    buf_deinit(&bytes);
}

/* An owner that looks away gets the same text in fewer events; pauses that are over are not told. */
TEST(events_merge)
{
    if (!open_local())
        SKIP("no stories260K-f32.gguf");
    const struct backend_model *m = be.model_at(be.self, 0);
    static struct told          busy, away, paused;
    memset(&busy, 0, sizeof busy), memset(&away, 0, sizeof away), memset(&paused, 0, sizeof paused);
    CHECK(start(&busy, m, 200, 200));
    run_until(&busy.n_done, 1);
    CHECK(busy.bad == 0 && busy.end == SEQ_END_LENGTH && busy.n_tokens == 200);
    CHECK(start(&away, m, 200, 200));
    struct engine_stats st;
    do {
        clock_sleep_ms(5);
        be.stats(be.self, &st);
    } while (st.running + st.waiting > 0);
    CHECK(away.n_text == 0); /* nothing happens behind the owner's back */
    run_until(&away.n_done, 1);
    CHECK_MSG(away.bad == 0 && away.n_text == 1 && away.n_tokens == 200, "%u texts", away.n_text);
    CHECK(away.text.len == busy.text.len && !memcmp(away.text.data, busy.text.data, busy.text.len));
    CHECK(start(&paused, m, 20, 5));
    do {
        clock_sleep_ms(5);
        be.stats(be.self, &st);
    } while (st.paused == 0);
    be.allow(be.self, paused.job, 20);
    do {
        clock_sleep_ms(5);
        be.stats(be.self, &st);
    } while (st.running + st.paused > 0);
    run_until(&paused.n_done, 1);
    CHECK(paused.bad == 0 && paused.n_paused == 0 && paused.n_tokens == 20 && !memcmp(paused.text.data, busy.text.data, paused.text.len));
    buf_deinit(&busy.text);
    buf_deinit(&away.text);
    buf_deinit(&paused.text);
    close_local();
}

TEST(allow_and_stop)
{
    if (!open_local())
        SKIP("no stories260K-f32.gguf");
    const struct backend_model *m = be.model_at(be.self, 0);
    static struct told          t[4];
    memset(t, 0, sizeof t);
    t[0].slice = 7;
    CHECK(start(&t[0], m, 50, 7));
    run_until(&t[0].n_done, 1);
    CHECK(t[0].bad == 0 && t[0].n_tokens == 50 && t[0].n_paused == 7 && t[0].end == SEQ_END_LENGTH);
    CHECK(start(&t[1], m, 0, 9));
    run_until(&t[1].n_paused, 1);
    CHECK(t[1].n_tokens == 9 && t[1].n_done == 0);
    be.stop(be.self, t[1].job, SEQ_END_BUDGET);
    run_until(&t[1].n_done, 1);
    CHECK(t[1].bad == 0 && t[1].end == SEQ_END_BUDGET && t[1].counts.output == 9);
    t[2].stop_at = 3;
    CHECK(start(&t[2], m, 400, 20)); /* goes no further alone, however late this thread looks */
    run_until(&t[2].n_done, 1);
    CHECK(t[2].bad == 0 && t[2].end == SEQ_END_CANCEL && t[2].n_tokens >= 3 && t[2].n_tokens <= 20);
    CHECK(start(&t[3], m, 400, 20));
    be.stop(be.self, t[3].job, SEQ_END_CANCEL);
    run_until(&t[3].n_done, 1);
    CHECK(t[3].bad == 0 && t[3].end == SEQ_END_CANCEL);
    for (int i = 0; i < 4; i++)
        buf_deinit(&t[i].text);
    close_local();
}

/* The end of the backend is told to every job that still runs, before free returns. */
TEST(free_tells_the_last_events)
{
    if (!open_local())
        SKIP("no stories260K-f32.gguf");
    static struct told t[20];
    memset(t, 0, sizeof t);
    for (int i = 0; i < 20; i++)
        CHECK(start(&t[i], be.model_at(be.self, 0), 0, i % 2 ? 400 : 3));
    clock_sleep_ms(5); /* posts are outstanding */
    close_local();
    for (int i = 0; i < 20; i++) {
        CHECK_MSG(t[i].bad == 0 && t[i].n_done == 1, "job %d", i);
        buf_deinit(&t[i].text);
    }
}

/* Sixty at a time, left at random: what was delivered is what is billed. */
TEST(random_owners)
{
    if (!open_local())
        SKIP("no stories260K-f32.gguf");
    enum { N = 300, AT_ONCE = 60 };
    static struct told t[N];
    memset(t, 0, sizeof t);
    uint32_t started = 0, done = 0, cancelled = 0, sure = 0; /* sure: who asks for slices is never further than one ahead of its owner */
    uint64_t r = 0;
    while (done < N) {
        while (started < N && started - done < AT_ONCE) {
            struct told *x = &t[started++];
            uint64_t     dice = rng_u64(3, 0, r++, 0) % 4;
            uint32_t     max = 1 + (uint32_t)(rng_u64(3, 0, r++, 0) % 60);
            x->slice = dice == 0 ? 0 : 1 + (uint32_t)dice * 5;
            x->stop_at = dice == 1 ? 1 + (uint32_t)(rng_u64(3, 0, r++, 0) % 40) : 0;
            x->leave_at = rng_u64(3, 0, r++, 0) % 4 ? 0 : 1 + (uint32_t)(rng_u64(3, 0, r++, 0) % 40);
            sure += x->stop_at && x->stop_at + x->slice < max;
            CHECK(start(x, be.model_at(be.self, 0), max, dice == 0 ? 200 : 4));
        }
        CHECK(postq_run(&queue, 300000));
        for (uint32_t i = 0; i < started; i++)
            if (t[i].leave_at && t[i].n_tokens >= t[i].leave_at && !t[i].n_done)
                be.stop(be.self, t[i].job, SEQ_END_CANCEL);
        done = cancelled = 0;
        for (uint32_t i = 0; i < started; i++)
            done += t[i].n_done, cancelled += t[i].n_done && t[i].end == SEQ_END_CANCEL;
    }
    for (int i = 0; i < N; i++) {
        CHECK_MSG(t[i].bad == 0 && t[i].n_done == 1 && t[i].n_tokens == t[i].counts.output,
                  "job %d: bad %u, done %u", i, t[i].bad, t[i].n_done);
        buf_deinit(&t[i].text);
    }
    CHECK_MSG(sure > 20 && cancelled >= sure && cancelled < N - 50, "%u cancelled, %u at least", cancelled, sure);
    close_local();
}

TEST_MAIN()
