/* A server under load, from outside: threads with a connection each, streams of OpenAI's chat completions, times of their pieces. */
#include "bench/load_int.h"
#include "base/clock.h"
#include "base/rng.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In slices: a neighbour that is due in minutes must hear that all is over. */
static void sleep_until(const struct load_run *r, uint64_t ns)
{
    for (uint64_t now = clock_ns(); now + 1000000 < ns && !r->stop; now = clock_ns())
        clock_sleep_ms(ns - now > 100000000 ? 100 : (uint32_t)((ns - now) / 1000000));
}

/* One conversation: turns that each send what was said so far. */
static void converse(struct load_class *k, struct client *c, uint64_t i, uint64_t due)
{
    const struct load_stream *s = k->stream;
    struct buf said;
    buf_init(&said, 64 << 20);
    if (s->prefix)
        load_message(&said, "system", k, s->own_prefix ? i + 1 : 0, s->prefix);
    for (uint64_t turn = 0; turn < s->turns && !k->run->stop; turn++) {
        struct load_call call = {.due_ns = turn ? clock_ns() : due, .turn = (uint32_t)turn};
        load_message(&said, "user", k, (i << 8 | turn) + ((uint64_t)1 << 40), s->prompt);
        load_call(k, c, s->n_keys ? s->key[i % s->n_keys] : NULL, &said, &call);
        mutex_lock(&k->run->lock);
        bool kept = !k->run->stop && vec_push(&k->calls, call);
        k->run->done += k == &k->run->main;
        mutex_unlock(&k->run->lock);
        if (!kept || call.fault[0])
            mem_free(call.gap.p);
        if (!kept || call.fault[0])
            break;
        load_said(&said, "assistant", &call.text);
        buf_deinit(&call.text);
    }
    buf_deinit(&said);
}

/* A user: takes the next conversation, waits until it is due, holds it. */
static void user(void *arg)
{
    struct load_class *k = arg;
    struct client *c = NULL;
    bool ready = client_open(&c, NULL) >= 0;
    while (ready && !k->run->stop) {
        mutex_lock(&k->run->lock);
        uint64_t i = k->next++, due = k->due_ns;
        if (k->stream->rate > 0) /* exponential intervals: -ln(1 - u) / rate */
            k->due_ns += (uint64_t)(-log1p(-rng_f64(k->run->o->seed, k->lane, i, 3)) / k->stream->rate * 1e9);
        mutex_unlock(&k->run->lock);
        if (i >= k->stream->requests)
            break;
        if (k->stream->rate > 0)
            sleep_until(k->run, due);
        if (!k->run->stop)
            converse(k, c, i, k->stream->rate > 0 ? due : clock_ns());
    }
    client_close(c);
    mutex_lock(&k->run->lock);
    k->ended++;
    mutex_unlock(&k->run->lock);
}

static size_t start_users(struct load_class *k, struct thread *t)
{
    uint64_t n = k->stream->users ? k->stream->users : LOAD_THREADS_MAX, started = 0;
    n = n < k->stream->requests ? n : k->stream->requests;
    n = n < LOAD_THREADS_MAX ? n : LOAD_THREADS_MAX;
    k->due_ns = clock_ns();
    while (started < n && thread_start(&t[started], "load", user, k))
        started++;
    return started;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The nearest-rank percentile of n sorted values. */
static double percentile(const double *v, size_t n, double p)
{
    size_t i = n ? (size_t)ceil(p / 100 * (double)n) : 0;
    return n ? v[i ? i - 1 : 0] : 0;
}

static void times(const struct load_class *k, int turn, double *v, struct load_row *r)
{
    size_t n = 0;
    for (int what = 0; what < 4; what++, n = 0) {
        for (size_t i = 0; i < k->calls.n; i++) {
            const struct load_call *c = &k->calls.p[i];
            if (c->fault[0] || (turn >= 0 && c->turn != (uint32_t)turn))
                continue;
            if (what == 0)
                v[n++] = c->ttft_ms;
            else if (what == 1 && c->output > 1)
                v[n++] = (c->last_ms - c->ttft_ms) / (double)(c->output - 1);
            else if (what == 2)
                v[n++] = c->whole_ms;
            for (size_t g = 0; what == 3 && g < c->gap.n; g++)
                v[n++] = c->gap.p[g] / 1e3;
        }
        qsort(v, n, sizeof *v, by_value);
        double *p50 = what == 0 ? &r->ttft_p50 : what == 1 ? &r->tpot_p50 : what == 2 ? &r->whole_p50 : &r->gap_p50;
        double *p99 = what == 0 ? &r->ttft_p99 : what == 1 ? &r->tpot_p99 : what == 2 ? &r->whole_p99 : &r->gap_p99;
        *p50 = percentile(v, n, 50), *p99 = percentile(v, n, 99);
        r->gap_max = what == 3 && n ? v[n - 1] : 0;
    }
}

/* A row of the calls of one turn, or of all (-1). */
static bool sum_up(const struct load_class *k, const char *what, int turn, double seconds, struct load_row *r)
{
    size_t n = 1;
    double good = 0;
    *r = (struct load_row){0};
    snprintf(r->what, sizeof r->what, "%s", what);
    for (size_t i = 0; i < k->calls.n; i++) {
        const struct load_call *c = &k->calls.p[i];
        if (turn >= 0 && c->turn != (uint32_t)turn)
            continue;
        n += c->gap.n + 1;
        r->requests++;
        if (c->fault[0]) {
            if (!r->failed++)
                snprintf(r->fault, sizeof r->fault, "%s", c->fault);
            continue;
        }
        good++, r->prompt += (double)c->prompt, r->cached += (double)c->cached, r->output += (double)c->output;
    }
    r->output_rate = seconds > 0 ? r->output / seconds : 0;
    r->total_rate = seconds > 0 ? (r->output + r->prompt) / seconds : 0;
    r->prompt /= good > 0 ? good : 1, r->cached /= good > 0 ? good : 1, r->output /= good > 0 ? good : 1;
    double *v = mem_array(n, sizeof *v);
    if (v)
        times(k, turn, v, r);
    mem_free(v);
    return v != NULL;
}

static void forget(struct load_class *k)
{
    for (size_t i = 0; i < k->calls.n; i++)
        vec_deinit(&k->calls.p[i].gap);
    vec_deinit(&k->calls);
}

/* Waits for main's users, telling how far they are; then stops the neighbour's. */
static double wait_all(struct load_run *r, struct thread *t, size_t n_main, size_t n, uint64_t t0, bench_progress_fn *progress, void *arg)
{
    uint64_t all = r->main.stream->requests * r->main.stream->turns;
    for (bool over = false; !over; clock_sleep_ms(50)) {
        char text[96];
        mutex_lock(&r->lock);
        snprintf(text, sizeof text, "%llu of %llu requests, %.0f s", (unsigned long long)r->done, (unsigned long long)all,
                 (double)(clock_ns() - t0) * 1e-9);
        over = r->done >= all || r->main.ended == n_main;
        mutex_unlock(&r->lock);
        if (progress)
            progress(arg, text);
    }
    double seconds = 0;
    for (size_t i = 0; i < n_main; i++)
        thread_join(&t[i]);
    seconds = (double)(clock_ns() - t0) * 1e-9;
    r->stop = true;
    for (size_t i = n_main; i < n; i++)
        thread_join(&t[i]);
    return seconds;
}

/* How many tokens a word is, and what the template adds: two prompts that differ in their length. */
static int learn(struct load_run *r, struct err *e)
{
    struct load_call call[2] = {0};
    struct load_stream one = *r->main.stream;
    struct load_class k = {.run = r, .stream = &one, .lane = 9};
    one.output = 1;
    for (int i = 0; i < 2; i++) {
        struct buf said;
        buf_init(&said, 0);
        r->tokens_per_word = 1, r->overhead = 0;
        load_message(&said, "user", &k, (uint64_t)i + 1, i ? 400 : 100);
        load_call(&k, NULL, one.n_keys ? one.key[0] : NULL, &said, &call[i]);
        buf_deinit(&said), buf_deinit(&call[i].text), vec_deinit(&call[i].gap);
        if (call[i].fault[0])
            return err_set(e, ERR_UNAVAILABLE, "bench: the server does not answer a first request: %s", call[i].fault);
    }
    if (call[1].prompt <= call[0].prompt)
        return err_set(e, ERR_UNAVAILABLE, "bench: the server does not count prompt tokens (usage.prompt_tokens of a stream with include_usage)");
    r->tokens_per_word = (double)(call[1].prompt - call[0].prompt) / 300;
    r->overhead = (double)call[0].prompt - 100 * r->tokens_per_word;
    return 0;
}

static void tell(struct load_run *r, double seconds, load_fn *fn, void *arg)
{
    struct load_row row;
    char what[32];
    if (sum_up(&r->main, r->main.stream->turns > 1 ? "all turns" : "requests", -1, seconds, &row))
        fn(arg, &row);
    for (uint64_t t = 0; t < r->main.stream->turns && r->main.stream->turns > 1; t++) {
        snprintf(what, sizeof what, "turn %u", (unsigned)t + 1);
        if (sum_up(&r->main, what, (int)t, seconds, &row))
            fn(arg, &row);
    }
    if (r->neighbour.stream->requests && sum_up(&r->neighbour, "neighbour", -1, seconds, &row))
        fn(arg, &row);
}

int load_run(const struct load_opts *o, load_fn *fn, bench_progress_fn *progress, void *arg, struct err *e)
{
    struct load_run r = {.o = o};
    r.main = (struct load_class){.run = &r, .stream = &o->main}, r.neighbour = (struct load_class){.run = &r, .stream = &o->neighbour, .lane = 1};
    struct thread *t = mem_array(2 * LOAD_THREADS_MAX, sizeof *t);
    if (!t)
        return err_set(e, ERR_NO_MEMORY, "bench: no memory for threads");
    mutex_init(&r.lock);
    int rc = learn(&r, e);
    if (rc >= 0) {
        struct thread *other = t + LOAD_THREADS_MAX;
        size_t n_other = o->neighbour.requests ? start_users(&r.neighbour, other) : 0;
        if (n_other)
            clock_sleep_ms(1000); /* it is there first, and the server full of it */
        uint64_t t0 = clock_ns();
        size_t n = start_users(&r.main, t);
        memmove(t + n, other, n_other * sizeof *t);
        tell(&r, wait_all(&r, t, n, n + n_other, t0, progress, arg), fn, arg);
        if (!n)
            rc = err_set(e, ERR_NO_MEMORY, "bench: no thread could be started");
    }
    forget(&r.main), forget(&r.neighbour);
    mutex_deinit(&r.lock);
    mem_free(t);
    return rc;
}
