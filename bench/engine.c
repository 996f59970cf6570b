/* Speed of the whole engine (scheduler, model, sampler, detokenizer; no network): streams that decode side by side.
 *   engine FILE.gguf [threads] [prompt] [tokens] [temperature in hundredths]      prints one line for 1, 4, 8 and 16 streams */
#include "base/clock.h"
#include "base/rng.h"
#include "engine/engine.h"
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STREAMS_MAX = 16, PROMPT_MAX = 8192 };
struct stream {
    uint64_t     first_ns, last_ns, worst_ns; /* worst: longest wait for a token after the first */
    uint32_t     n;
    _Atomic bool done;
};

static void on_event(void *arg, const struct seq_event *ev)
{
    struct stream *s = arg;
    if (ev->kind == SEQ_TEXT && ev->token >= 0) {
        uint64_t now = clock_ns();
        if (s->n++ == 0)
            s->first_ns = now;
        else if (now - s->last_ns > s->worst_ns)
            s->worst_ns = now - s->last_ns;
        s->last_ns = now;
    }
    if (ev->kind == SEQ_DONE) {
        if (ev->end == SEQ_END_ERROR)
            fprintf(stderr, "%s\n", ev->err.msg);
        s->done = true;
    }
}

static int measure(struct engine *g, struct engine_model *m, uint32_t n_vocab, int n, const uint64_t *size, struct err *e)
{
    static struct stream s[STREAMS_MAX];
    static int32_t       prompt[PROMPT_MAX];
    memset(s, 0, sizeof s);
    uint64_t            t0 = clock_ns(), first = UINT64_MAX, all_first = 0, last = 0, worst = 0, id;
    uint32_t            after = 0;
    struct engine_stats before, now;
    engine_stats(g, &before);
    for (int i = 0; i < n; i++) {
        for (uint32_t k = 0; k < size[1]; k++)
            prompt[k] = (int32_t)(rng_u64((uint64_t)i, 0, k, 0) % n_vocab);
        struct seq_opts o = {.model = m, .tenant = {.id = (uint64_t)i}, .prompt = prompt, .n_prompt = (uint32_t)size[1],
                             .max_tokens = (uint32_t)size[2], .allowance = UINT32_MAX,
                             .sample = {.temperature = (float)size[3] / 100, .top_p = 1, .seed = (uint64_t)i}, .ignore_eos = true,
                             .on_event = on_event, .arg = &s[i]};
        if (engine_start(g, &o, &id, e) < 0)
            return -1;
    }
    for (int i = 0; i < n; i++) {
        while (!s[i].done)
            clock_sleep_ms(1);
        first = s[i].first_ns < first ? s[i].first_ns : first;
        all_first = s[i].first_ns > all_first ? s[i].first_ns : all_first;
        last = s[i].last_ns > last ? s[i].last_ns : last;
        worst = s[i].worst_ns > worst ? s[i].worst_ns : worst;
        after += s[i].n - 1;
    }
    engine_stats(g, &now);
    double prefill = (double)n * (double)size[1] / ((double)(all_first - t0) * 1e-9);
    double decode = (double)after / ((double)(last - first) * 1e-9);
    printf("%2d streams: decode %8.1f tokens/s in all, %7.1f each; prompts %8.1f tokens/s; "
           "first token %.0f to %.0f ms, longest gap %.0f ms; %.2f ms a step\n",
           n, decode, decode / n, prefill, (double)(first - t0) * 1e-6, (double)(all_first - t0) * 1e-6, (double)worst * 1e-6,
           (double)(now.step_ns - before.step_ns) * 1e-6 / (double)(now.steps - before.steps));
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t             size[4] = {2, 32, 64, 0}; /* threads, prompt, tokens, temperature */
    struct err           e = {0};
    struct device       *d;
    struct modelfile    *f;
    struct vocab        *v = NULL;
    struct model        *m;
    struct engine       *g;
    struct engine_model *em;
    for (int i = 2; i < argc && i < 6; i++)
        if (!str_u64(str_of(argv[i]), &size[i - 2]) || size[1] == 0 || size[1] > PROMPT_MAX || size[2] < 2)
            argc = 1;
    if (argc < 2) {
        fprintf(stderr, "usage: engine FILE.gguf [threads] [prompt] [tokens] [temperature in hundredths]\n");
        return 2;
    }
    if (device_new(&d, &(struct device_opts){.n_threads = (int)size[0]}, &e) < 0 || modelfile_open(&f, argv[1], &e) < 0 ||
        model_load(&m, f, d, NULL, NULL, &e) < 0)
        return fprintf(stderr, "%s\n", e.msg), 1;
    if (vocab_load(&v, f, &e) < 0)
        fprintf(stderr, "no text: %s\n", e.msg);
    if (engine_new(&g, &(struct engine_opts){.device = d, .no_prefix_cache = true}, &e) < 0 || engine_model_add(g, m, v, &em, &e) < 0)
        return fprintf(stderr, "%s\n", e.msg), 1;
    printf("%s %s, kernels %s, %d threads, prompts of %llu, %llu tokens\n", model_shape(m)->arch, model_shape(m)->quant,
           device_level(d), device_threads(d), (unsigned long long)size[1], (unsigned long long)size[2]);
    for (int n = 1; n <= STREAMS_MAX; n *= n == 1 ? 4 : 2)
        if (measure(g, em, model_shape(m)->n_vocab, n, size, &e) < 0)
            return fprintf(stderr, "%s\n", e.msg), 1;
    engine_free(g);
    model_free(m);
    vocab_free(v);
    modelfile_close(f);
    device_free(d);
    return 0;
}
