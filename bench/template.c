/* template: renders the conversations of tests/golden/templates.json with each published template of the test data and prints microseconds a render
 * (of processor time; compiling apart), then what the dearest bombs take and how many nanoseconds a step is. The best of several runs counts.
 * bench/peers/template.mjs is the same for @huggingface/jinja. Arguments: --runs N (5), --templates DIR. */
#include "base/os.h"
#include "base/str.h"
#include "text/template.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static struct json *golden(void)
{
    struct buf b;
    struct err e = {0};
    struct json *j = NULL;
    buf_init(&b, 16u << 20);
    if (os_read_file(&b, "tests/golden/templates.json", &e) || json_parse(&j, b.data, b.len, &e))
        printf("%s\n", e.msg);
    buf_deinit(&b);
    return j;
}

/* One run over all conversations: microseconds and how many rendered. */
static double run(const struct chat_template *t, const struct json *conversations, int *n)
{
    void *it = NULL;
    struct str name;
    const struct json *c;
    double from = cpu_us();
    *n = 0;
    while (json_each(conversations, &it, &name, &c)) {
        const struct json *gen = json_get(c, "gen");
        struct render_in in = {.messages = json_get(c, "messages"),
                               .tools = json_get(c, "tools"),
                               .extra = json_get(c, "extra"),
                               .bos = STR("<s>"),
                               .eos = STR("</s>"),
                               .add_generation_prompt = !gen || json_bool(gen),
                               .now_us = 1700000000000000};
        struct rendered r;
        struct err e;
        *n += template_render(t, &in, &r, &e) == 0;
        rendered_deinit(&r);
    }
    return cpu_us() - from;
}

static void one_template(const char *dir, const char *file, const struct json *conversations, int runs)
{
    char path[1024];
    struct buf b;
    struct err e;
    struct chat_template *t;
    buf_init(&b, 1u << 20);
    if (str_fmt(path, sizeof path, "%s/%s", dir, file) && os_read_file(&b, path, &e) == 0) {
        double from = cpu_us(), best = 0;
        int n = 0, rc = template_compile(&t, (struct str){b.data, b.len}, &e);
        double compile = cpu_us() - from;
        for (int i = 0; rc == 0 && i < runs; i++) {
            double us = run(t, conversations, &n);
            best = i == 0 || us < best ? us : best;
        }
        if (rc == 0)
            printf("%s,%.0f,%d,%.1f\n", file, compile, n, best / (double)json_len(conversations));
        template_free(rc ? NULL : t);
    }
    buf_deinit(&b);
}

static void one_bomb(const char *source)
{
    struct chat_template *t;
    struct json *m;
    struct err e;
    struct rendered r;
    if (template_compile(&t, str_of(source), &e) || json_parse(&m, "[]", 2, &e))
        return;
    struct render_in in = {.messages = m};
    double from = cpu_us();
    int rc = template_render(t, &in, &r, &e);
    double us = cpu_us() - from;
    printf("%.0f ms, %.1f ns a step, %s: %.90s\n", us / 1e3, r.steps ? us * 1e3 / (double)r.steps : 0, rc ? "refused" : "rendered", source);
    rendered_deinit(&r);
    json_free(m);
    template_free(t);
}

int main(int argc, char **argv)
{
    static const char *const bombs[] = {
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ a ~ b }}{% endfor %}{% endfor %}",
        "{% set x = 'a' * 3000000 %}{% for i in range(99999) %}{% set y = x.replace('a', 'b') %}{% endfor %}",
        "{% set x = 'a' * 3000000 %}{% for i in range(99999) %}{% set y = x | upper %}{% endfor %}",
        "{% set x = '一' * 1000000 %}{% for i in range(99999) %}{% set y = x.isnumeric() %}{% endfor %}",
        "{% set x = range(99999) | list %}{% for i in range(99999) %}{% set y = x | sort %}{% endfor %}",
        "{% set x = range(99999) | list %}{% for i in range(99999) %}{% set y = x[::-1] %}{% endfor %}",
        "{% set x = 'ab' * 1000000 %}{% for i in range(99999) %}{% set y = x.count('ab') %}{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99) %}{% set y = 'x' | upper | lower | trim | length %}{% endfor %}{% endfor %}",
    };
    const char *dir = "../shared/data/templates";
    uint64_t runs = 5;
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], "--runs"))
            str_u64(str_of(argv[i + 1]), &runs);
        else if (!strcmp(argv[i], "--templates"))
            dir = argv[i + 1];
    struct json *g = golden();
    const struct json *cases = json_get(g, "cases"), *conversations = json_get(g, "conversations");
    printf("template,compile us,renders,us a render\n");
    for (size_t i = 0; i < json_len(cases); i += json_len(conversations))
        one_template(dir, json_str(json_get(json_at(cases, i), "template")).p, conversations, (int)runs);
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++)
        one_bomb(bombs[i]);
    json_free(g);
    return 0;
}
