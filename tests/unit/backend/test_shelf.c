/* Models in and out of memory: who waits, who goes, and that nothing in use is ever taken away. */
#include "backend/backend.h"
#include "backend/postq.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/rng.h"
#include "test.h"
#include <unistd.h>

static struct postq          queue;
static struct backend_local *local;
static struct backend        be;
static const char           *story;
static pthread_t             owner;

struct asker {
    struct backend_wait wait;
    struct err          err;
    uint32_t            told, foreign;
};

static void on_ready(void *arg, const struct err *e)
{
    struct asker *a = arg;
    a->told++;
    a->err = *e;
    a->foreign += !pthread_equal(pthread_self(), owner);
}

/* Opens a backend with n names "m0", "m1" ... of the same file. */
static bool open_shelf(struct backend_local_opts o, int n)
{
    struct err e = {0};
    story = test_data("models/stories260K-f32.gguf");
    if (!story)
        return false;
    owner = pthread_self();
    log_level_set(LOG_ERROR);
    postq_init(&queue);
    o.device.n_threads = 1;
    o.engine.kv_bytes = 8 << 20;
    o.engine.seqs_max = 8;
    o.post = postq_post, o.post_ctx = &queue;
    if (backend_local_new(&local, &o, &e) < 0) {
        printf("%s\n", e.msg);
        exit(1);
    }
    backend_local_iface(local, &be);
    for (int i = 0; i < n; i++) {
        char name[8] = {'m', (char)('0' + i)};
        if (backend_local_offer(local, &(struct backend_source){.alias = name, .source = "a@b:c", .path = story}, &e) < 0) {
            printf("%s\n", e.msg);
            exit(1);
        }
    }
    return true;
}

static void close_shelf(void)
{
    be.free(be.self);
    postq_run(&queue, 0);
    postq_deinit(&queue);
}

static const struct backend_model *model(int i) { return be.model_at(be.self, (size_t)i); }

static int ask(struct asker *a, int i, struct err *e)
{
    *a = (struct asker){.wait = {.ready = on_ready, .arg = a}};
    return be.get(be.self, model(i), &a->wait, e);
}

static void run_until_told(const struct asker *a)
{
    for (uint64_t end = clock_ns() + 300000000000ull; !a->told && clock_ns() < end;)
        postq_run(&queue, 50);
    CHECK_MSG(a->told == 1 && !a->foreign, "told %u times", a->told);
}

/* Pins model i, loading it when it is not there. */
static void pin(int i)
{
    struct err   e = {0};
    struct asker a;
    int          rc = ask(&a, i, &e);
    CHECK_MSG(rc >= 0, "%s", e.msg);
    if (rc == 1) {
        run_until_told(&a);
        CHECK_MSG(a.err.code == ERR_OK, "%s", a.err.msg);
    }
    CHECK(model(i)->vocab && model(i)->tmpl && model(i)->n_ctx == 512);
}

static void unpin(int i) { be.put(be.self, model(i)); }

static const char *state(int i)
{
    struct backend_model_status st;
    be.model_status(be.self, model(i), &st);
    return st.state;
}

static bool becomes(int i, const char *what)
{
    for (uint64_t end = clock_ns() + 300000000000ull; clock_ns() < end; clock_sleep_ms(2))
        if (!strcmp(state(i), what))
            return true;
    return false;
}

/* Whether the model's file comes to be open so many times. */
static bool files_open_become(int n)
{
    for (uint64_t end = clock_ns() + 300000000000ull; clock_ns() < end; clock_sleep_ms(2)) {
        int open_n = 0;
        for (int fd = 0; fd < 256; fd++) {
            char link[32], path[4096];
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            ssize_t len = readlink(link, path, sizeof path - 1);
            path[len > 0 ? len : 0] = '\0';
            open_n += strstr(path, "stories260K-f32.gguf") != NULL;
        }
        if (open_n == n)
            return true;
    }
    return false;
}

static struct backend_shelf_stats numbers(void)
{
    struct backend_shelf_stats n;
    be.shelf_stats(be.self, &n);
    return n;
}

static uint64_t size_of_one(void)
{
    struct backend_model_status st;
    if (!open_shelf((struct backend_local_opts){0}, 1))
        return 0;
    pin(0);
    be.model_status(be.self, model(0), &st);
    unpin(0);
    close_shelf();
    return st.bytes;
}

struct told {
    struct buf text;
    bool       done;
};

static void on_event(void *arg, const struct backend_event *ev)
{
    struct told *t = arg;
    buf_add(&t->text, ev->text, ev->n_text);
    t->done |= ev->kind == SEQ_DONE;
}

/* An answer of model i, which is pinned, up to `allowance` tokens of `max`: there it rests, and has not ended. */
static void speak_within(struct told *t, int i, uint32_t max, uint32_t allowance)
{
    struct err          e = {0};
    struct vec_i32      p = {0};
    struct backend_job *job = NULL;
    *t = (struct told){0};
    CHECK(vocab_encode(model(i)->vocab, "Once upon a time", 16, NULL, 0, &(struct encode_opts){.add_bos = true}, &p, &e) >= 0);
    struct backend_req q = {.model = model(i), .tenant = {.weight = 1}, .prompt = p.p, .n_prompt = (uint32_t)p.n, .max_tokens = max,
                            .allowance = allowance, .sample = {.top_p = 1}, .on_event = on_event, .arg = t};
    CHECK_MSG(be.start(be.self, &q, 1, &job, &e) == 0, "%s", e.msg);
    vec_deinit(&p);
}

static void speak(struct told *t, int i, uint32_t max)
{
    speak_within(t, i, max, max);
}

static void listen_to(struct told *t)
{
    while (!t->done)
        CHECK(postq_run(&queue, 300000));
}

TEST(a_model_is_loaded_when_it_is_first_asked_for)
{
    if (!open_shelf((struct backend_local_opts){0}, 2))
        SKIP("no stories260K-f32.gguf");
    struct err   e = {0};
    struct asker a, b;
    struct told  one, two;
    CHECK(be.n_models(be.self) == 2 && !strcmp(state(0), "unloaded"));
    CHECK(ask(&a, 0, &e) == 1 && a.told == 0);
    CHECK(ask(&b, 0, &e) == 1);
    CHECK(a.told + b.told == 0); /* never from inside get */
    run_until_told(&a);
    run_until_told(&b);
    CHECK(a.err.code == ERR_OK && b.err.code == ERR_OK && numbers().loads == 1 && numbers().waits == 2);
    speak(&one, 0, 40);
    unpin(0);
    unpin(0); /* the job keeps it */
    listen_to(&one);
    CHECK(!strcmp(state(0), "loaded") && !strcmp(state(1), "unloaded"));
    pin(0); /* at once */
    speak(&two, 0, 40);
    listen_to(&two);
    CHECK(one.text.len > 50 && one.text.len == two.text.len && !memcmp(one.text.data, two.text.data, one.text.len));
    unpin(0);
    CHECK(backend_local_offer(local, &(struct backend_source){.alias = "m1", .path = story}, &e) == -ERR_CONFLICT);
    buf_deinit(&one.text);
    buf_deinit(&two.text);
    close_shelf();
}

TEST(the_least_recently_used_goes_and_nothing_in_use)
{
    uint64_t one = size_of_one();
    if (!one)
        SKIP("no stories260K-f32.gguf");
    CHECK(open_shelf((struct backend_local_opts){.memory = 2 * one + one / 2}, 4));
    pin(0), unpin(0);
    pin(1), unpin(1);
    pin(0), unpin(0); /* now m1 is the older */
    pin(2), unpin(2);
    CHECK(!strcmp(state(0), "loaded") && !strcmp(state(1), "unloaded") && !strcmp(state(2), "loaded"));
    pin(0); /* stays pinned: m2 has to go, though it was used later than the last use of m0 */
    pin(3);
    CHECK(!strcmp(state(0), "loaded") && !strcmp(state(2), "unloaded"));
    struct err   e;
    struct asker a;
    CHECK(ask(&a, 1, &e) == 1); /* no room while both are in use */
    postq_run(&queue, 300);
    CHECK(a.told == 0 && !strcmp(state(1), "waiting") && numbers().bytes_used == 2 * one);
    struct told t;
    speak(&t, 3, 300);
    unpin(3); /* the job still has it */
    postq_run(&queue, 0);
    if (!t.done)
        CHECK(a.told == 0);
    listen_to(&t);
    run_until_told(&a);
    CHECK(a.err.code == ERR_OK && !strcmp(state(3), "unloaded") && !strcmp(state(0), "loaded"));
    unpin(1), unpin(0);
    struct backend_shelf_stats n = numbers();
    CHECK_MSG(n.loads == 5 && n.unloads == 3 && n.loaded == 2 && n.bytes_used == 2 * one, "%d loads, %d unloads", (int)n.loads, (int)n.unloads);
    buf_deinit(&t.text);
    close_shelf();
}

/* m0 is never idle: each request begins before the one before it ends. */
TEST(a_busy_model_cannot_keep_another_out)
{
    uint64_t one = size_of_one();
    if (!one)
        SKIP("no stories260K-f32.gguf");
    CHECK(open_shelf((struct backend_local_opts){.memory = one + one / 2, .patience_ms = 100}, 2));
    struct err   e;
    struct asker a, later;
    pin(0);
    CHECK(ask(&a, 1, &e) == 1);
    bool fenced = false;
    for (int i = 0; i < 5000 && !fenced; i++) {
        int rc = ask(&later, 0, &e);
        fenced = rc == 1;
        if (rc == 0)
            unpin(0);
        clock_sleep_ms(2);
    }
    CHECK_MSG(fenced, "m0 takes new requests for ever");
    CHECK(a.told == 0 && later.told == 0 && !strcmp(state(0), "loaded")); /* in use, so it is there */
    unpin(0);
    run_until_told(&a);
    CHECK(a.err.code == ERR_OK && !strcmp(state(0), "waiting"));
    unpin(1);
    run_until_told(&later); /* and then it is its turn again */
    CHECK(later.err.code == ERR_OK);
    /* The fence goes when the one for whom it was put up has left. */
    CHECK(ask(&a, 1, &e) == 1);
    struct asker more = {0};
    for (int i = 0; i < 5000; i++) {
        if (ask(&more, 0, &e) == 1)
            break;
        unpin(0);
        clock_sleep_ms(2);
    }
    be.leave(be.self, &a.wait);
    run_until_told(&more);
    CHECK(more.err.code == ERR_OK && a.told == 0);
    unpin(0), unpin(0);
    close_shelf();
}

TEST(waiting_is_bounded_in_time)
{
    uint64_t one = size_of_one();
    if (!one)
        SKIP("no stories260K-f32.gguf");
    CHECK(open_shelf((struct backend_local_opts){.memory = one + one / 2, .wait_ms = 200}, 2));
    struct err   e = {0};
    struct asker a[2];
    pin(0);
    CHECK(ask(&a[0], 1, &e) == 1 && ask(&a[1], 1, &e) == 1);
    run_until_told(&a[0]);
    run_until_told(&a[1]);
    CHECK(a[0].err.code == ERR_UNAVAILABLE && strstr(a[0].err.msg, "could not be loaded"));
    CHECK(numbers().waits_expired == 2 && numbers().waiting == 0);
    unpin(0);
    close_shelf();
}

TEST(waiting_is_bounded_in_number_and_who_leaves_is_forgotten)
{
    uint64_t one = size_of_one();
    if (!one)
        SKIP("no stories260K-f32.gguf");
    CHECK(open_shelf((struct backend_local_opts){.memory = one + one / 2, .waits_max = 2}, 2));
    struct err   e = {0};
    struct asker a[3];
    pin(0);
    CHECK(ask(&a[0], 1, &e) == 1 && ask(&a[1], 1, &e) == 1);
    CHECK(ask(&a[2], 1, &e) == -ERR_UNAVAILABLE && strstr(e.msg, "2 requests wait") && err_retry(e.code));
    CHECK(numbers().waits_refused == 1 && numbers().waiting == 2);
    be.leave(be.self, &a[0].wait);
    be.leave(be.self, &a[1].wait);
    CHECK(numbers().waiting == 0);
    CHECK(ask(&a[0], 1, &e) == 1); /* leaves while it waits */
    be.leave(be.self, &a[0].wait);
    CHECK(becomes(1, "unloaded") && numbers().waiting == 0);
    CHECK(files_open_become(1)); /* its file too is closed: `sluice rm` would leave what is open */
    CHECK(ask(&a[0], 1, &e) == 1); /* leaves when the answer is on its way: the pin comes back */
    unpin(0);
    CHECK(becomes(1, "loaded"));
    struct backend_model_status st;
    be.model_status(be.self, model(1), &st);
    CHECK(st.in_use == 1);
    be.leave(be.self, &a[0].wait);
    be.model_status(be.self, model(1), &st);
    CHECK(st.in_use == 0);
    postq_run(&queue, 10);
    CHECK(a[0].told == 0);
    close_shelf();
}

TEST(what_cannot_be_loaded_is_an_error_to_who_asked)
{
    uint64_t one = size_of_one();
    if (!one)
        SKIP("no stories260K-f32.gguf");
    CHECK(open_shelf((struct backend_local_opts){.memory = one - 1}, 1));
    struct err   e = {0};
    struct asker a, b;
    CHECK(backend_local_offer(local, &(struct backend_source){.alias = "absent", .path = "/nowhere/x.gguf"}, &e) == 0);
    CHECK(backend_local_offer(local, &(struct backend_source){.alias = "text", .bytes = "no model at all", .n_bytes = 15}, &e) == 0);
    CHECK(ask(&a, 0, &e) == 1);
    run_until_told(&a);
    CHECK(a.err.code == ERR_NO_ROOM && strstr(a.err.msg, "--memory") && !err_retry(a.err.code));
    CHECK(ask(&a, 1, &e) == 1);
    int second = ask(&b, 1, &e); /* waits with the first, or comes when that has failed already */
    CHECK(second == 1 || second == -ERR_NOT_FOUND);
    run_until_told(&a);
    CHECK(a.err.code == ERR_NOT_FOUND && strstr(a.err.msg, "/nowhere/x.gguf"));
    if (second == 1) {
        run_until_told(&b);
        CHECK(b.err.code == ERR_NOT_FOUND);
    }
    CHECK(ask(&a, 1, &e) == -ERR_NOT_FOUND); /* not tried again at once */
    CHECK(ask(&a, 2, &e) == 1);
    run_until_told(&a);
    CHECK(a.err.code == ERR_FORMAT);
    CHECK(numbers().load_failures == 3 && numbers().loads == 0 && numbers().bytes_used == 0);
    close_shelf();
}

TEST(names_come_and_go)
{
    if (!open_shelf((struct backend_local_opts){0}, 2))
        SKIP("no stories260K-f32.gguf");
    struct err   e = {0};
    struct asker a;
    struct told  t;
    pin(0);
    speak(&t, 0, 400);
    unpin(0);
    backend_local_withdraw(local, STR("m0"));
    CHECK(!be.model_find(be.self, STR("m0")) && be.n_models(be.self) == 1 && !strcmp(model(0)->alias, "m1"));
    CHECK(backend_local_offer(local, &(struct backend_source){.alias = "m0", .source = "new", .path = story}, &e) == 0);
    postq_run(&queue, 50);
    listen_to(&t); /* the old one speaks to its end */
    CHECK(t.text.len > 200);
    for (uint64_t end = clock_ns() + 300000000000ull; numbers().known > 2 && clock_ns() < end;)
        clock_sleep_ms(2);
    CHECK(numbers().known == 2 && numbers().unloads == 1 && !strcmp(be.model_find(be.self, STR("m0"))->source, "new"));
    backend_local_preload(local, STR("m1"));
    CHECK(becomes(strcmp(model(0)->alias, "m1") ? 1 : 0, "loaded"));
    for (int i = 0; i < 2; i++)
        if (!strcmp(model(i)->alias, "m0"))
            CHECK(ask(&a, i, &e) == 1);
    backend_local_withdraw(local, STR("m0"));
    run_until_told(&a);
    if (a.err.code == ERR_OK) /* it was loaded before it was withdrawn */
        be.put(be.self, (const struct backend_model *)(const void *)a.wait.title);
    else
        CHECK(a.err.code == ERR_NO_MODEL);
    backend_local_withdraw(local, STR("never was"));
    buf_deinit(&t.text);
    close_shelf();
}

TEST(idle_models_go_after_a_time)
{
    if (!open_shelf((struct backend_local_opts){.keep_s = 1}, 2))
        SKIP("no stories260K-f32.gguf");
    pin(0), pin(1);
    unpin(0);
    CHECK(becomes(0, "unloaded") && !strcmp(state(1), "loaded"));
    pin(0); /* and comes again */
    unpin(0), unpin(1);
    close_shelf();
}

/* The backend ends while models load, requests wait and answers run: everybody is told once. */
TEST(the_end_tells_who_waits)
{
    uint64_t one = size_of_one();
    if (!one)
        SKIP("no stories260K-f32.gguf");
    CHECK(open_shelf((struct backend_local_opts){.memory = one + one / 2}, 3));
    struct err   e = {0};
    struct asker a[4];
    struct told  t, rests; /* whose model nobody gets, though t may have ended */
    pin(0);
    speak(&t, 0, 400);
    speak_within(&rests, 0, 400, 3);
    unpin(0);
    for (int i = 0; i < 4; i++)
        CHECK(ask(&a[i], 1 + i % 2, &e) == 1);
    be.free(be.self);
    CHECK(t.done && rests.done);
    for (int i = 0; i < 4; i++)
        CHECK_MSG(a[i].told == 1 && a[i].err.code == ERR_UNAVAILABLE, "%d told %u times", i, a[i].told);
    postq_run(&queue, 0);
    postq_deinit(&queue);
    buf_deinit(&t.text);
    buf_deinit(&rests.text);
}

/* Many askers, few places: within the budget at every moment, every wait ends once, every answer is whole. */
TEST(random_askers)
{
    uint64_t one = size_of_one();
    if (!one)
        SKIP("no stories260K-f32.gguf");
    enum { NAMES = 5, ASKERS = 24, ROUNDS = 400 };
    CHECK(open_shelf((struct backend_local_opts){.memory = 2 * one + one / 2, .patience_ms = 20}, NAMES));
    static struct asker a[ASKERS];
    static struct told  t[ASKERS];
    int                 at[ASKERS], what[ASKERS] = {0}, answers = 0, left = 0; /* 1 waits, 2 speaks */
    uint64_t            r = 0;
    struct err          e;
    for (int round = 0, live = 0; round < ROUNDS || live;) {
        for (int i = 0; i < ASKERS; i++) {
            uint64_t dice = rng_u64(7, 0, r++, 0);
            if (what[i] == 0 && round < ROUNDS) {
                round++, live++;
                at[i] = (int)(dice % NAMES);
                int rc = ask(&a[i], at[i], &e);
                CHECK_MSG(rc >= 0, "%s", e.msg);
                what[i] = 1;
                if (rc == 0) {
                    a[i].told = 1, a[i].err.code = ERR_OK;
                } else if ((dice >> 32 & 15) == 0) { /* leaves at once; others do while the model is loaded, or when the answer is on its way */
                    be.leave(be.self, &a[i].wait);
                    what[i] = 0, live--, left++;
                }
            } else if (what[i] == 1 && a[i].told) {
                CHECK_MSG(a[i].err.code == ERR_OK && a[i].told == 1, "%s", a[i].err.msg);
                speak(&t[i], at[i], 1 + (uint32_t)(dice % 30));
                unpin(at[i]);
                what[i] = 2;
            } else if (what[i] == 1 && dice % 1024 == 0) {
                be.leave(be.self, &a[i].wait);
                what[i] = 0, live--, left++;
            } else if (what[i] == 2 && t[i].done) {
                CHECK(t[i].text.len > 0);
                buf_deinit(&t[i].text);
                what[i] = 0, live--, answers++;
            }
        }
        struct backend_shelf_stats n = numbers();
        CHECK(n.bytes_used <= n.bytes_max && n.loaded <= 2);
        postq_run(&queue, 1);
    }
    struct backend_shelf_stats n = numbers();
    CHECK_MSG(answers + left == ROUNDS && n.unloads > 20 && left > 2 && n.waiting == 0, "%d answers, %d left, %d unloads", answers, left,
              (int)n.unloads);
    for (int i = 0; i < NAMES; i++) {
        struct backend_model_status st;
        be.model_status(be.self, model(i), &st);
        CHECK(st.in_use == 0 && st.waiting == 0);
    }
    close_shelf();
}

TEST_MAIN()
