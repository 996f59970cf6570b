/* Rate limits of keys, accounts and models: taken of all or of none, exactly n at once from many threads, given back on every way to an end, kept
 * over restarts; and what people write. The clock is the test's. */
#include "base/json.h"
#include "ledger/ledger_int.h"
#include "lib.h"

static struct ledger *l;
static struct principal who, other; /* of two accounts */

enum { SECOND = 1000000000 };
static atomic_ullong test_ns;
static uint64_t test_clock(void)
{
    return atomic_load(&test_ns);
}
static void later(double s)
{
    atomic_fetch_add(&test_ns, (unsigned long long)(s * SECOND));
}

static bool start(void)
{
    l = open_at(dir_new());
    if (!l || !account_with(l, "acme", USD(1), &who) || !account_with(l, "beta", USD(1), &other) || !price_now(l, "m", 1000000, 2000000) ||
        !price_now(l, "x", 1000000, 2000000))
        return false;
    atomic_store(&test_ns, 77ull * SECOND);
    l->rates.clock = test_clock;
    return true;
}

static void end(void)
{
    CHECK(audit_now(l) == 0);
    ledger_close(l);
    dir_drop();
}

/* Nothing is running any more, in any set of limits. */
static bool idle(void)
{
    size_t it = 0;
    struct str k;
    union map_value v;
    bool ok = true;
    mutex_lock(&l->rates.lock);
    while (map_next(&l->rates.all, &it, &k, &v)) {
        const struct rate *x = v.ptr;
        ok &= !x->running;
        for (int i = 0; i < RATE_LIMITS; i++)
            ok &= !x->bucket[i].first && !x->bucket[i].open;
    }
    mutex_unlock(&l->rates.lock);
    return ok;
}

static int set(struct rate_owner o, struct rate_texts t)
{
    struct err e = {0};
    int rc = ledger_rate_set(l, &o, &t, &e);
    if (rc < 0)
        printf("set: %s\n", e.msg);
    return rc;
}
static struct rate_owner of_key(void)
{
    return (struct rate_owner){.key = who.public_id};
}

static uint64_t requests_left(const char *model)
{
    struct rate_levels x;
    return ledger_rate_levels(l, &who, str_of(model), &x) ? x.requests.left : UINT64_MAX;
}
static uint64_t tokens_left(const char *model)
{
    struct rate_levels x;
    return ledger_rate_levels(l, &who, str_of(model), &x) ? x.tokens.left : UINT64_MAX;
}

static int n_request;
static struct hold_answer ask(const struct principal *p, const char *model, uint32_t in, uint32_t out)
{
    char id[32];
    snprintf(id, sizeof id, "r%d", n_request++);
    return hold_now(l, p, id, model, in, out);
}
static bool done(struct hold_answer a, uint32_t in, uint32_t out)
{
    return a.err.code == ERR_OK && finish_now(l, a.hold, in, out, NULL) == 0;
}

/* ---- what is refused, and how ---- */

TEST(a_refusal_says_which_limit_whose_how_much_and_when)
{
    CHECK(start() &&
          set((struct rate_owner){.key = who.public_id, .model = "m"}, (struct rate_texts){.requests = "2/minute", .tokens = "1000/day"}) == 0);
    CHECK(done(ask(&who, "m", 100, 100), 100, 100));
    later(3);
    CHECK(done(ask(&who, "m", 100, 100), 100, 100));
    struct hold_answer a = ask(&who, "m", 100, 100);
    CHECK(a.err.code == ERR_RATE && a.hold.v == 0 && a.err.retry_ms == 27000);
    CHECK_MSG(strstr(a.err.msg, "rate limit reached: key ") && strstr(a.err.msg, who.public_id) &&
                  strstr(a.err.msg, " on model m may take 2 requests a minute, 2 are used") && strstr(a.err.msg, "try again in 27s") &&
                  strstr(a.err.msg, "--model m --requests N/minute"),
              "%s", a.err.msg);
    CHECK(done(ask(&who, "x", 100, 100), 100, 100)); /* another model */
    later(26.999);
    CHECK(ask(&who, "m", 1, 1).err.retry_ms == 1);
    later(0.001);
    CHECK(done(ask(&who, "m", 100, 100), 100, 100));
    later(60);
    a = ask(&who, "m", 402, 0); /* 600 of 1000 are used of the day, less what 90 s gave back: 1.04 */
    CHECK(a.err.code == ERR_RATE && strstr(a.err.msg, "1000 tokens a day, 599 are used, and this request may take 402"));
    CHECK(done(ask(&who, "m", 401, 0), 401, 0));
    end();
}

TEST(a_request_that_never_fits_is_not_told_to_wait)
{
    CHECK(start() && set((struct rate_owner){.account = "acme"}, (struct rate_texts){.tokens = "1000/minute", .input = "600/day"}) == 0);
    struct hold_answer a = ask(&who, "m", 500, 501);
    CHECK(a.err.code == ERR_OVER_RATE && a.err.retry_ms == 0 && err_http(a.err.code) == 400 && !err_retry(a.err.code));
    CHECK_MSG(strstr(a.err.msg, "may take 1001 tokens, and account acme never has more than 1000 a minute") &&
                  strstr(a.err.msg, "sluice limit set --account acme --tokens N/minute"),
              "%s", a.err.msg);
    a = ask(&who, "m", 601, 1);
    CHECK(a.err.code == ERR_OVER_RATE && strstr(a.err.msg, "601 input tokens") && strstr(a.err.msg, "600 a day"));
    CHECK(tokens_left("m") == 600 && idle()); /* neither took anything */
    CHECK(done(ask(&who, "m", 500, 500), 500, 500));
    CHECK(ask(&who, "m", 0, 1).err.code == ERR_RATE);
    /* a wait and an impossibility: the impossibility is told, whatever their order */
    CHECK(ask(&who, "m", 601, 1).err.code == ERR_OVER_RATE);
    end();
}

TEST(a_request_takes_of_all_its_limits_or_of_none)
{
    CHECK(start());
    CHECK(set(of_key(), (struct rate_texts){.requests = "10/minute", .parallel = "10"}) == 0);
    CHECK(set((struct rate_owner){.account = "acme"}, (struct rate_texts){.requests = "10/minute", .input = "1000/minute"}) == 0);
    CHECK(set((struct rate_owner){.model = "m"}, (struct rate_texts){.output = "100/minute"}) == 0);
    struct hold_answer first = ask(&other, "m", 0, 95); /* the model's limit is everybody's */
    for (int i = 0; i < 50; i++) {
        struct hold_answer a = ask(&who, "m", 10, 6);
        CHECK(a.err.code == ERR_RATE && strstr(a.err.msg, "model m may take 100 output tokens a minute, 95 are used"));
    }
    CHECK(requests_left("m") == 10);
    CHECK(done(first, 0, 95));
    struct hold_answer a = ask(&who, "m", 10, 5);
    CHECK(a.err.code == ERR_OK && requests_left("m") == 9 && tokens_left("m") == 0);
    CHECK(done(a, 10, 5) && requests_left("m") == 9);
    /* the longest wait is told: 1 request is there in 6 s, a thousand input tokens in a minute */
    for (int i = 0; i < 9; i++)
        CHECK(done(ask(&who, "x", i ? 0 : 990, 0), i ? 0 : 990, 0));
    a = ask(&who, "x", 500, 0);
    CHECK(a.err.code == ERR_RATE && strstr(a.err.msg, "account acme may take 1000 input tokens a minute, 1000 are used") && a.err.retry_ms == 30000);
    a = ask(&who, "x", 1, 0);
    CHECK(strstr(a.err.msg, "requests a minute") && strstr(a.err.msg, "key ") && a.err.retry_ms == 6000); /* of two that wait as long, the first */
    end();
}

/* ---- what is given back ---- */

TEST(the_output_is_reserved_and_trued_up)
{
    CHECK(start() && set(of_key(), (struct rate_texts){.tokens = "1000/minute", .output = "800/minute"}) == 0);
    struct hold_answer a = ask(&who, "m", 100, 600);
    CHECK(a.err.code == ERR_OK && tokens_left("m") == 200); /* of output; 300 of both */
    CHECK(ask(&who, "m", 0, 201).err.code == ERR_RATE);
    CHECK(done(a, 100, 50) && tokens_left("m") == 750);
    a = ask(&who, "m", 100, 700);
    CHECK(a.err.code == ERR_OK && tokens_left("m") == 50);
    CHECK(done(a, 0, 0) && tokens_left("m") == 750); /* it failed, or the client left, before anything was computed */
    CHECK(idle());
    end();
}

TEST(a_hold_that_is_refused_takes_nothing)
{
    CHECK(start() && set(of_key(), (struct rate_texts){.requests = "5/minute", .tokens = "2000000000/minute", .parallel = "1"}) == 0);
    struct err e;
    CHECK(ask(&who, "m", 0, 600000000).err.code == ERR_QUOTA);
    CHECK(hold_now(l, &who, "", "m", 1, 1).err.code == ERR_BAD_VALUE && ask(&who, "nothing", 1, 1).err.code == ERR_NO_PRICE);
    CHECK(idle() && requests_left("m") == 5 && tokens_left("m") == 2000000000);
    struct hold_answer a = hold_now(l, &who, "once", "m", 1, 1);
    CHECK(done(a, 1, 1) && requests_left("m") == 4);
    CHECK(hold_now(l, &who, "once", "m", 1, 1).err.code == ERR_CONFLICT && idle() && requests_left("m") == 4);
    CHECK(ledger_key_set(l, who.public_id, &(struct key_limits){.budget = "0"}, &e) == 0);
    CHECK(ask(&who, "m", 1, 1).err.code == ERR_QUOTA && idle() && requests_left("m") == 4);
    end();
}

TEST(slices_are_reserved_as_they_come_and_are_never_refused)
{
    CHECK(start() && set(of_key(), (struct rate_texts){.output = "300/minute", .tokens = "1000/day"}) == 0);
    struct hold_answer a = ask(&who, "m", 10, 256);
    CHECK(a.err.code == ERR_OK && tokens_left("m") == 44);
    CHECK(more_now(l, a.hold, 512).err.code == ERR_OK && tokens_left("m") == 0);
    struct hold_answer b = ask(&who, "m", 1, 1);
    CHECK(b.err.code == ERR_RATE && strstr(b.err.msg, "768 are used"));
    CHECK(done(a, 10, 700) && tokens_left("m") == 0 && idle());
    CHECK(ask(&who, "m", 1, 1).err.retry_ms == (700 - 299) * 200); /* it owes: a token is 200 ms */
    later(80.2);
    CHECK(tokens_left("m") == 1);
    end();
}

static struct hold_answer ask_slice(uint32_t in, uint32_t out)
{
    struct waiter w;
    char id[32];
    snprintf(id, sizeof id, "r%d", n_request++);
    waiter_init(&w);
    ledger_hold(l, &(struct hold_req){.who = who, .request = id, .model = "m", .revision = "", .input = in, .output = out, .slice = true}, waiter_fn,
                &w);
    return waiter_wait(&w);
}

TEST(a_first_slice_is_no_larger_than_its_limits)
{
    CHECK(start() && set(of_key(), (struct rate_texts){.output = "100/minute"}) == 0);
    CHECK(set((struct rate_owner){.model = "m"}, (struct rate_texts){.tokens = "500/day"}) == 0);
    struct hold_answer a = ask_slice(10, 256);
    CHECK(a.err.code == ERR_OK && tokens_left("m") == 0 && done(a, 10, 20) && tokens_left("m") == 80);
    later(60);
    a = ask_slice(450, 256); /* 50 would fit beside the prompt, of a day that has 470 */
    CHECK(a.err.code == ERR_RATE && strstr(a.err.msg, "this request may take 500"));
    CHECK(ask_slice(499, 256).err.code == ERR_RATE && ask_slice(500, 256).err.code == ERR_OVER_RATE &&
          ask(&who, "m", 400, 101).err.code == ERR_OVER_RATE);
    CHECK(idle());
    end();
}

/* ---- at once ---- */

enum { THREADS = 64, EACH = 20, N = 7 };
static atomic_int granted, refused, running, most_running;
static bool let_go;

static void racer(void *arg)
{
    for (int i = 0; i < EACH; i++) {
        char request[32];
        snprintf(request, sizeof request, "t%zu-%d", (size_t)arg, i);
        struct hold_answer a = hold_now(l, &who, request, "m", 10, 10);
        if (a.err.code == ERR_RATE)
            atomic_fetch_add(&refused, 1);
        if (a.err.code != ERR_OK)
            continue;
        int now = atomic_fetch_add(&running, 1) + 1, most = atomic_load(&most_running);
        while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now)) {
        }
        atomic_fetch_add(&granted, 1);
        if (!let_go)
            continue;
        atomic_fetch_sub(&running, 1); /* before: the next one may begin at once */
        finish_now(l, a.hold, 10, 3, NULL);
    }
}

static bool race(bool release)
{
    static struct thread t[THREADS];
    let_go = release;
    atomic_store(&granted, 0), atomic_store(&refused, 0), atomic_store(&running, 0), atomic_store(&most_running, 0);
    for (size_t i = 0; i < THREADS; i++)
        if (!thread_start(&t[i], "racer", racer, (void *)i))
            return false;
    for (size_t i = 0; i < THREADS; i++)
        thread_join(&t[i]);
    return true;
}

static void many(struct rate_texts t)
{
    CHECK(start() && set(of_key(), t) == 0 && set((struct rate_owner){.account = "acme"}, (struct rate_texts){.requests = "100000/day"}) == 0);
    CHECK(race(false));
    CHECK_MSG(atomic_load(&granted) == N && atomic_load(&refused) == THREADS * EACH - N, "%d granted, %d refused", granted, refused);
    CHECK(rate_find(l, &(struct rate_id){.whose = RATE_OF_ACCOUNT, .owner = who.org.v})->running == N);
    end();
}

TEST(exactly_n_of_many_threads_run_at_once)
{
    many((struct rate_texts){.parallel = "7"});
}
TEST(exactly_n_requests_of_many_threads_are_admitted)
{
    many((struct rate_texts){.requests = "7/minute"});
}
TEST(exactly_the_tokens_of_n_requests_of_many_threads_are_admitted)
{
    many((struct rate_texts){.tokens = "159/minute"}); /* 20 each */
}

TEST(parallel_requests_come_and_go_and_none_is_left)
{
    CHECK(start() && set(of_key(), (struct rate_texts){.parallel = "7"}) == 0 && race(true));
    CHECK_MSG(atomic_load(&most_running) <= N && atomic_load(&granted) >= N && atomic_load(&granted) + atomic_load(&refused) == THREADS * EACH,
              "%d at once", most_running);
    CHECK(idle());
    struct hold_answer a[N];
    for (int i = 0; i < N; i++)
        CHECK((a[i] = ask(&who, "m", 1, 1)).err.code == ERR_OK);
    struct hold_answer no = ask(&who, "m", 1, 1);
    CHECK(no.err.code == ERR_RATE && no.err.retry_ms == 1000 && strstr(no.err.msg, "may have 7 requests at once, and 7 run") &&
          strstr(no.err.msg, "--parallel N"));
    CHECK(done(a[3], 1, 1) && (a[3] = ask(&who, "m", 1, 1)).err.code == ERR_OK && ask(&who, "m", 1, 1).err.code == ERR_RATE);
    for (int i = 0; i < N; i++)
        CHECK(done(a[i], 1, 1));
    end();
}

/* ---- setting ---- */

TEST(a_change_is_at_once_and_keeps_what_was_taken)
{
    CHECK(start() && requests_left("m") == UINT64_MAX &&
          set(of_key(), (struct rate_texts){.requests = "10/minute", .tokens = "100/minute,1000/day"}) == 0);
    struct hold_answer a = ask(&who, "m", 10, 40);
    CHECK(a.err.code == ERR_OK && requests_left("m") == 9 && tokens_left("m") == 50);
    CHECK(set(of_key(), (struct rate_texts){.tokens = "200/minute", .requests = "5/minute"}) == 0); /* the day is not named: it goes */
    CHECK(requests_left("m") == 4 && tokens_left("m") == 150);
    CHECK(set(of_key(), (struct rate_texts){.tokens = "none"}) == 0 && tokens_left("m") == 0 && requests_left("m") == 4);
    CHECK(done(a, 10, 40));                                                                            /* its share of a limit that is gone */
    CHECK(set(of_key(), (struct rate_texts){.tokens = "200/minute"}) == 0 && tokens_left("m") == 150); /* from its row */
    struct err e;
    CHECK(ledger_rate_rm(l, &(struct rate_owner){.key = who.public_id}, &e) == 0 && requests_left("m") == UINT64_MAX);
    CHECK(ledger_rate_rm(l, &(struct rate_owner){.key = who.public_id}, &e) == -ERR_NOT_FOUND);
    CHECK(ledger_rate_rm(l, &(struct rate_owner){.key = who.public_id, .model = "m"}, &e) == -ERR_NOT_FOUND && idle());
    end();
}

TEST(limits_go_and_come_back_under_running_requests)
{
    CHECK(start() && set(of_key(), (struct rate_texts){.parallel = "2", .tokens = "1000/minute"}) == 0);
    struct err e;
    struct hold_answer a = ask(&who, "m", 10, 10), b = ask(&who, "m", 20, 20);
    CHECK(b.err.code == ERR_OK && ledger_rate_rm(l, &(struct rate_owner){.key = who.public_id}, &e) == 0);
    struct hold_answer c = ask(&who, "m", 1, 1);
    CHECK(c.err.code == ERR_OK && set(of_key(), (struct rate_texts){.parallel = "3", .tokens = "1000/minute"}) == 0);
    CHECK(ask(&who, "m", 1, 1).err.code == ERR_RATE &&
          tokens_left("m") == 1000); /* the three run, and their tokens count in none of the new limits */
    CHECK(done(b, 20, 20) && tokens_left("m") == 1000 && (b = ask(&who, "m", 50, 50)).err.code == ERR_OK && tokens_left("m") == 900);
    CHECK(more_now(l, a.hold, 100).err.code == ERR_OK && tokens_left("m") == 900);
    CHECK(done(a, 10, 10) && done(b, 50, 50) && done(c, 1, 1) && tokens_left("m") == 900 && idle());
    end();
}

TEST(limits_of_others_are_not_touched)
{
    CHECK(start() && set(of_key(), (struct rate_texts){.requests = "1/day"}) == 0);
    CHECK(set((struct rate_owner){.account = "acme", .model = "x"}, (struct rate_texts){.requests = "1/day"}) == 0);
    CHECK(done(ask(&who, "m", 1, 1), 1, 1) && ask(&who, "m", 1, 1).err.code == ERR_RATE);
    for (int i = 0; i < 20; i++)
        CHECK(done(ask(&other, i % 2 ? "m" : "x", 1, 1), 1, 1));
    struct rate_levels x;
    CHECK(!ledger_rate_levels(l, &other, STR("m"), &x) && !x.requests.most && !x.tokens.most);
    end();
}

/* ---- restarts ---- */

static uint64_t used(const struct rate_id *id, const char *meter)
{
    struct rate_state x;
    return rate_look(l, id, str_of(meter), 86400, &x) ? x.used : UINT64_MAX;
}

static int tamper(struct ledger *led, void *arg, struct err *e)
{
    return db_exec(led->db, *(struct sql *)arg, e);
}

TEST(a_restart_keeps_limits_and_what_is_used_of_them)
{
    CHECK(start());
    l->rates.clock = clock_ns; /* the rows are of real time */
    CHECK(set(of_key(), (struct rate_texts){.requests = "100000/day", .tokens = "1000/day,900000000/minute", .parallel = "2"}) == 0);
    CHECK(set((struct rate_owner){.model = "m"}, (struct rate_texts){.output = "900/day"}) == 0);
    struct err e;
    for (int i = 0; i < 5; i++) {
        struct hold_answer a = ask(&who, "m", 40, 60);
        struct finish_req q = {.hold = a.hold, .counts = {.input = 10, .cache_read = 30, .output = 60}, .end_us = clock_now_us() - 1800000000};
        CHECK(a.err.code == ERR_OK && ledger_finish(l, &q, NULL, &e) == 0);
    }
    struct sql hour = SQL("UPDATE hold SET created_us = created_us - 3600000000"); /* they began an hour ago */
    CHECK(queue_call(l, tamper, &hour, &e) == 0);
    struct hold_answer open = ask(&who, "m", 100, 100);
    CHECK(ledger_journal(l, &(struct journal_step){open.hold, {.input = 100, .output = 7}}, 1, &e) == 0);
    CHECK(tokens_left("m") == 300); /* 500 used now, as far as the limits know, and 200 reserved */
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && idle());
    /* an hour gave back the 24th part of a day's limit: of the five's 500 tokens 41.67, of their 300 output tokens 37.5, and all five requests;
     * the one that was open took 107 and 7. A token is there again each 86 s: however slow this machine is, not five. */
    const struct rate_id key = {.whose = RATE_OF_KEY, .owner = who.key.v}, model = {.whose = RATE_OF_ALL, .model = "m"};
    uint64_t tokens = used(&key, "tokens"), output = used(&model, "output");
    CHECK_MSG(tokens <= 566 && tokens > 561 && output <= 270 && output > 265, "%llu, %llu", (unsigned long long)tokens, (unsigned long long)output);
    CHECK(used(&key, "requests") <= 1);
    CHECK(ask(&who, "m", 500, 0).err.code == ERR_RATE && audit_now(l) == 0);
    end();
}

TEST(the_first_limit_counts_what_was_used_before)
{
    struct sql days = SQL("UPDATE hold SET created_us = created_us - 2 * 86400000000");
    struct err e;
    CHECK(start() && done(ask(&who, "m", 500, 500), 500, 500) && queue_call(l, tamper, &days, &e) == 0); /* it ended today and began before */
    CHECK(done(ask(&who, "m", 30, 20), 30, 20) && done(ask(&other, "m", 5, 5), 5, 5) && done(ask(&who, "x", 1, 1), 1, 1));
    CHECK(set(of_key(), (struct rate_texts){.tokens = "1000/day"}) == 0 && tokens_left("m") == 948);
    CHECK(set((struct rate_owner){.account = "acme", .model = "m"}, (struct rate_texts){.input = "100/day"}) == 0 && tokens_left("m") == 70);
    CHECK(set((struct rate_owner){.model = "m"}, (struct rate_texts){.output = "60/day"}) == 0 && tokens_left("m") == 35 && tokens_left("x") == 948);
    end();
}

/* ---- what people write ---- */

TEST(what_is_no_limit_is_refused)
{
    CHECK(start());
    static const char *const bad[] = {"",
                                      "60",
                                      "/minute",
                                      "60/",
                                      "60/hour",
                                      "0/minute",
                                      "-1/minute",
                                      "+1/minute",
                                      "1e3/day",
                                      "01/day",
                                      "60/minute,",
                                      ",60/minute",
                                      "60/minute,5/minute",
                                      "60 /minute",
                                      "none,1/day",
                                      "1/day/day",
                                      "0x1/day",
                                      "1000000000001/day",
                                      "18446744073709551617/day",
                                      "60/Minute",
                                      "1.5/day"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        CHECK_MSG(ledger_rate_set(l, &(struct rate_owner){.model = "m"}, &(struct rate_texts){.tokens = bad[i]}, &e) == -ERR_BAD_VALUE &&
                      !strcmp(e.param, "tokens") && strstr(e.msg, "60/minute"),
                  "'%s': %s", bad[i], e.msg);
    }
    static const char *const bad_parallel[] = {"", "0", "-1", "1/minute", "1000001", "x", "1.5", " 1"};
    struct err e = {0};
    for (size_t i = 0; i < sizeof bad_parallel / sizeof *bad_parallel; i++)
        CHECK(ledger_rate_set(l, &(struct rate_owner){.model = "m"}, &(struct rate_texts){.parallel = bad_parallel[i]}, &e) == -ERR_BAD_VALUE &&
              !strcmp(e.param, "parallel"));
    const struct rate_texts ok = {.tokens = "1000000000000/day, 5/minute"};
    CHECK(ledger_rate_set(l, &(struct rate_owner){.model = "m"}, &(struct rate_texts){0}, &e) == -ERR_BAD_VALUE);
    CHECK(ledger_rate_set(l, &(struct rate_owner){0}, &ok, &e) == -ERR_BAD_VALUE && strstr(e.msg, "whose limit"));
    CHECK(ledger_rate_set(l, &(struct rate_owner){.key = who.public_id, .account = "acme"}, &ok, &e) == -ERR_BAD_VALUE);
    CHECK(ledger_rate_set(l, &(struct rate_owner){.key = "nobody"}, &ok, &e) == -ERR_NOT_FOUND && strstr(e.msg, "key list"));
    CHECK(ledger_rate_set(l, &(struct rate_owner){.account = "nobody"}, &ok, &e) == -ERR_NOT_FOUND);
    CHECK(ledger_rate_set(l, &(struct rate_owner){.account = "acme", .model = "gide"}, &ok, &e) == -ERR_BAD_VALUE && strstr(e.msg, "gide"));
    CHECK(requests_left("m") == UINT64_MAX);
    CHECK(ledger_rate_set(l, &(struct rate_owner){.model = "m"}, &ok, &e) == 0 && tokens_left("m") == 5);
    end();
}

TEST(the_report_has_a_row_for_each_limit)
{
    CHECK(start() && set(of_key(), (struct rate_texts){.requests = "10/minute,1000/day", .parallel = "2"}) == 0);
    CHECK(set((struct rate_owner){.model = "m"}, (struct rate_texts){.tokens = "500/minute"}) == 0);
    CHECK(set((struct rate_owner){.account = "beta", .model = "x"}, (struct rate_texts){.output = "5/day"}) == 0);
    struct hold_answer a = ask(&who, "m", 10, 20);
    CHECK(a.err.code == ERR_OK);
    struct buf out;
    struct json *j = NULL;
    struct err e;
    static const char want[] =
        "[{\"account\":null,\"project\":null,"
        "\"key\":null,\"model\":\"m\",\"limit\":\"tokens\",\"per\":\"minute\",\"most\":500,\"used\":30,\"left\":470,\"full_in\":"
        "\"3.6s\"},"
        "{\"account\":\"acme\",\"project\":null,"
        "\"key\":\"KEY\",\"model\":null,\"limit\":\"requests\",\"per\":\"minute\",\"most\":10,\"used\":1,\"left\":9,\"full_"
        "in\":\"6s\"},"
        "{\"account\":\"acme\",\"project\":null,"
        "\"key\":\"KEY\",\"model\":null,\"limit\":\"requests\",\"per\":\"day\",\"most\":1000,\"used\":1,\"left\":999,\"full_"
        "in\":\"1m26.4s\"},"
        "{\"account\":\"acme\",\"project\":null,"
        "\"key\":\"KEY\",\"model\":null,\"limit\":\"parallel\",\"per\":null,\"most\":2,\"used\":1,\"left\":1,\"full_in\":null},"
        "{\"account\":\"beta\",\"project\":null,"
        "\"key\":null,\"model\":\"x\",\"limit\":\"output\",\"per\":\"day\",\"most\":5,\"used\":0,\"left\":5,\"full_in\":\"0s\"}"
        "]";
    char text[2048];
    size_t n = 0;
    for (const char *p = want; *p; p++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%.*s", strncmp(p, "KEY", 3) ? 1 : LEDGER_PUBLIC_ID,
                              strncmp(p, "KEY", 3) ? p : who.public_id),
            p += strncmp(p, "KEY", 3) ? 0 : 2;
    buf_init(&out, 0);
    CHECK(ledger_report_rates(l, NULL, &out, &e) == 0);
    CHECK_MSG(out.len == n && memcmp(out.data, text, n) == 0, "%.*s\nshould be\n%s", (int)out.len, out.data, text);
    buf_clear(&out);
    CHECK(ledger_report_rates(l, "beta", &out, &e) == 0 && json_parse(&j, out.data, out.len, &e) == 0 && json_len(j) == 1);
    CHECK(ledger_report_rates(l, "nobody", &out, &e) == -ERR_NOT_FOUND);
    json_free(j);
    buf_deinit(&out);
    CHECK(done(a, 10, 20));
    end();
}

/* ---- tampering ---- */

TEST(the_audit_compares_what_is_obeyed_with_the_store)
{
    static const struct sql wrong[] = {SQL("UPDATE rate_limit SET most = most + 1 WHERE meter = 'tokens'"),
                                       SQL("UPDATE rate_limit SET most = most + 1 WHERE meter = 'parallel'"),
                                       SQL("DELETE FROM rate_limit WHERE meter = 'tokens'"),
                                       SQL("UPDATE rate_limit SET owner_id = owner_id + 99 WHERE meter = 'tokens'"),
                                       SQL("INSERT INTO rate_limit VALUES ('all', 0, 'x', 'output', 60, 5)"),
                                       SQL("UPDATE rate_limit SET window_s = 60 WHERE meter = 'tokens'")};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct err e;
        struct sql sql = wrong[i];
        CHECK(start() && set(of_key(), (struct rate_texts){.tokens = "10/day", .parallel = "2"}) == 0 && audit_now(l) == 0);
        CHECK(queue_call(l, tamper, &sql, &e) == 0);
        struct buf out;
        uint64_t n = 0;
        buf_init(&out, 0);
        CHECK_MSG(ledger_audit(l, &out, &n, &e) == -ERR_AUDIT && n >= 1 && strstr(out.data, "rate limit"), "%zu", i);
        buf_deinit(&out);
        ledger_close(l);
        dir_drop();
    }
}

TEST_MAIN()
