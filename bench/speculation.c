/* Speculation on and off, turn about, on text that repeats itself and on text that does not: tokens a second of all streams, and the ratio.
 *   speculation FILE.gguf [threads] [tokens] [pairs] [streams at most]
 * Prompts are random tokens said three times. Greedy answers of a model without sense soon go round in circles; sampled at temperature 2 they hardly
 * ever say the same twice. Texts are compared: one that differs is an error. */
#include "base/clock.h"
#include "base/rng.h"
#include "base/str.h"
#include "engine/engine.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STREAMS_MAX = 8, OUT_MAX = 2048, PAIRS_MAX = 15, PROMPT = 96 };
struct stream {
    int32_t token[OUT_MAX];
    uint64_t first_ns, last_ns;
    uint32_t n;
    _Atomic bool done;
};

static clockid_t clock_id; /* one thread: the process' CPU time, so that a busy machine does less harm */

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(clock_id, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void on_event(void *arg, const struct seq_event *ev)
{
    struct stream *s = arg;
    if (ev->kind == SEQ_TEXT && ev->token >= 0) {
        s->last_ns = now();
        s->first_ns = s->n == 0 ? s->last_ns : s->first_ns;
        s->token[s->n++] = ev->token;
    }
    if (ev->kind == SEQ_DONE)
        s->done = true;
}

/* Tokens a second after the last stream's first token; 0: an error. */
static double run(struct engine *g, struct engine_model *m, uint32_t n_vocab, uint32_t streams, uint32_t tokens, float temperature, struct stream *s)
{
    static int32_t prompt[PROMPT];
    struct err e = {0};
    uint64_t id, from = 0, to = 0;
    memset(s, 0, streams * sizeof *s);
    for (uint32_t i = 0; i < streams; i++) {
        for (uint32_t k = 0; k < PROMPT; k++)
            prompt[k] = (int32_t)(rng_u64(i, 0, k % (PROMPT / 3), 0) % n_vocab);
        struct seq_opts o = {.model = m,
                             .tenant = {.id = i},
                             .prompt = prompt,
                             .n_prompt = PROMPT,
                             .max_tokens = tokens,
                             .allowance = UINT32_MAX,
                             .sample = {.temperature = temperature, .top_p = 1, .seed = i},
                             .ignore_eos = true,
                             .on_event = on_event,
                             .arg = &s[i]};
        if (engine_start(g, &o, &id, &e) < 0)
            return fprintf(stderr, "%s\n", e.msg), 0;
    }
    for (uint32_t i = 0; i < streams; i++) {
        while (!s[i].done)
            clock_sleep_ms(1);
        from = s[i].first_ns > from ? s[i].first_ns : from;
        to = s[i].last_ns > to ? s[i].last_ns : to;
    }
    return to > from ? (double)streams * tokens / ((double)(to - from) * 1e-9) : 0;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare(struct engine **g, struct engine_model **m, uint32_t n_vocab, uint32_t streams, uint32_t tokens, uint32_t pairs, float temperature)
{
    static struct stream s[2][STREAMS_MAX];
    double speed[2][PAIRS_MAX], ratio[PAIRS_MAX];
    struct engine_stats before, after;
    engine_stats(g[1], &before);
    for (uint32_t i = 0; i < pairs; i++) {
        for (int on = 0; on < 2; on++)
            speed[on][i] = run(g[on], m[on], n_vocab, streams, tokens, temperature, s[on]);
        if (!(speed[0][i] > 0) || !(speed[1][i] > 0))
            return 1;
        ratio[i] = speed[1][i] / speed[0][i];
        for (uint32_t k = 0; k < streams; k++)
            if (s[0][k].n != s[1][k].n || memcmp(s[0][k].token, s[1][k].token, s[0][k].n * sizeof(int32_t)) != 0)
                return fprintf(stderr, "stream %u says something else with speculation\n", k), 1;
    }
    engine_stats(g[1], &after);
    for (int on = 0; on < 2; on++)
        qsort(speed[on], pairs, sizeof(double), by_size);
    qsort(ratio, pairs, sizeof(double), by_size);
    printf("%s,%u,%.1f,%.1f,%.3f,%.3f,%.3f,%llu,%llu\n", temperature > 0 ? "does not repeat" : "repeats", streams, speed[0][pairs / 2],
           speed[1][pairs / 2], ratio[pairs / 2], ratio[0], ratio[pairs - 1], (unsigned long long)(after.draft_tokens - before.draft_tokens),
           (unsigned long long)(after.draft_accepted - before.draft_accepted));
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t size[4] = {2, 200, 5, STREAMS_MAX}; /* threads, tokens, pairs, streams */
    struct err e = {0};
    struct device *d;
    struct modelfile *f;
    struct model *m;
    struct engine *g[2];
    struct engine_model *em[2];
    for (int i = 2; i < argc && i < 6; i++)
        if (!str_u64(str_of(argv[i]), &size[i - 2]))
            argc = 1;
    if (argc < 2 || size[1] < 2 || size[1] > OUT_MAX || size[2] == 0 || size[2] > PAIRS_MAX)
        return fprintf(stderr, "usage: speculation FILE.gguf [threads] [tokens, at most %d] [pairs, at most %d] [streams, at most 8]\n", OUT_MAX,
                       PAIRS_MAX),
               2;
    if (device_new(&d, &(struct device_opts){.n_threads = (int)size[0]}, &e) < 0 || modelfile_open(&f, argv[1], &e) < 0 ||
        model_load(&m, f, d, NULL, NULL, &e) < 0)
        return fprintf(stderr, "%s\n", e.msg), 1;
    for (int on = 0; on < 2; on++) /* one of them runs at a time */
        if (engine_new(&g[on],
                       &(struct engine_opts){.device = d, .kv_bytes = 1 << 30, .no_prefix_cache = true, .draft_max = on ? ENGINE_DRAFT_MAX : 0},
                       &e) < 0 ||
            engine_model_add(g[on], m, NULL, &em[on], &e) < 0)
            return fprintf(stderr, "%s\n", e.msg), 1;
    clock_id = size[0] == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    printf("text,streams,off_tok_s,on_tok_s,ratio,ratio_min,ratio_max,drafted,accepted\n");
    static const uint32_t streams[] = {1, 4, 8};
    int rc = 0;
    for (int k = 0; k < 2 && rc == 0; k++)
        for (size_t i = 0; i < sizeof streams / sizeof *streams && streams[i] <= size[3] && rc == 0; i++)
            rc = compare(g, em, model_shape(m)->n_vocab, streams[i], (uint32_t)size[1], (uint32_t)size[2], k ? 2.0f : 0);
    for (int on = 0; on < 2; on++)
        engine_free(g[on]);
    model_free(m);
    modelfile_close(f);
    device_free(d);
    return rc;
}
