/* What a model's steps read and compute is said right; cases that cannot be are skipped with their reason; the machine's figures are there. */
#include "../../../tools/tiny.h"
#include "bench/bench.h"
#include "test.h"

static struct bench_model_row rows[16];
static size_t n_rows;
static void keep(void *arg, const struct bench_model_row *r)
{
    (void)arg;
    if (n_rows < 16)
        rows[n_rows++] = *r;
}

static void measure(const struct tiny *t, const struct roofline_limits *l)
{
    static const uint64_t prefill[] = {100, 4000}, depth[] = {0, 64, 4000}, streams[] = {3};
    struct device *d = NULL;
    struct model *m = NULL;
    struct err e = {0};
    struct buf b;
    buf_init(&b, 0);
    n_rows = 0;
    struct modelfile *f = tiny_file(t, &b, &e);
    CHECK_MSG(f && !device_new(&d, &(struct device_opts){.n_threads = 1}, &e) && !model_load(&m, f, d, NULL, NULL, &e), "%s", e.msg);
    struct bench_model_opts o = {.device = d,
                                 .file = f,
                                 .model = m,
                                 .kv_type = KV_F32,
                                 .prefill = prefill,
                                 .depth = depth,
                                 .streams = streams,
                                 .n_prefill = 2,
                                 .n_depth = 3,
                                 .n_streams = 1,
                                 .tokens = 4,
                                 .rounds = 2};
    CHECK(!bench_model(&o, l, keep, NULL, NULL, &e));
    model_free(m), device_free(d), modelfile_close(f), buf_deinit(&b);
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

/* llama, embd 64, 2 layers, 4 heads of 16, 2 KV heads, ff 160, vocabulary 384, F32, context 256. */
enum { LAYER = 64 * 64 + 2 * 32 * 64 + 64 * 64 + 3 * 64 * 160, HEAD = 384 * 64, KV_POSITION = 2 * 2 * 2 * 16 * 4 };

TEST(bytes_and_operations_are_those_of_the_model)
{
    struct tiny t = tiny_default("llama");
    measure(&t, &(struct roofline_limits){.read = 1e6, .int8 = 1, .bf16 = 0, .f32 = 1e15}); /* all that matters is reading */
    CHECK(n_rows == 6);
    CHECK(near(rows[0].bytes, 4.0 * (2 * LAYER + HEAD)) && near(rows[0].ops, 100 * 2.0 * 2 * LAYER + 2.0 * HEAD + 4.0 * 64 * 2 * 5050));
    CHECK(near(rows[0].limit, 100 * 1e6 / rows[0].bytes) && !strcmp(rows[0].bound, "read"));
    CHECK(near(rows[2].bytes, 4.0 * (2 * LAYER + HEAD) + 2.0 * KV_POSITION) && near(rows[3].bytes, 4.0 * (2 * LAYER + HEAD) + 66.0 * KV_POSITION));
    CHECK(near(rows[2].ops, 2.0 * (2 * LAYER + HEAD) + 4.0 * 64 * 2 * 2));
    CHECK(rows[5].n == 3 && near(rows[5].bytes, 4.0 * (2 * LAYER + HEAD) + 3 * 2.0 * KV_POSITION) && near(rows[5].limit, 3 * 1e6 / rows[5].bytes));
    for (size_t i = 0; i < 6; i++)
        CHECK(*rows[i].skipped || (rows[i].rate > 0 && rows[i].best >= rows[i].rate));
}

TEST(a_tied_embedding_is_the_head_and_an_untied_one_is_not_read)
{
    struct tiny t = tiny_default("qwen2"); /* tied, with biases: vectors are not counted */
    measure(&t, &(struct roofline_limits){.read = 1e6, .int8 = 1, .f32 = 1e15});
    CHECK(n_rows == 6 && near(rows[2].bytes, 4.0 * (2 * LAYER + HEAD) + 2.0 * KV_POSITION));
}

TEST(arithmetic_bounds_by_the_unit_that_does_it)
{
    struct tiny t = tiny_default("llama");
    measure(&t, &(struct roofline_limits){.read = 1e15, .int8 = 1, .bf16 = 3e6, .f32 = 1e6});
    CHECK(n_rows == 6 && !strcmp(rows[0].bound, "bf16") && near(rows[0].limit, 100 * 3e6 / rows[0].ops));
    t.type = t.embd_type = QUANT_Q8_0;
    measure(&t, &(struct roofline_limits){.read = 1e15, .int8 = 2e6, .bf16 = 0, .f32 = 1e30});
    CHECK(n_rows == 6 && !strcmp(rows[2].bound, "int8") && near(rows[2].limit, 2e6 / (2.0 * (2 * LAYER + HEAD))));
}

TEST(what_the_context_cannot_hold_is_skipped)
{
    struct tiny t = tiny_default("llama");
    measure(&t, &(struct roofline_limits){.read = 1e6, .int8 = 1, .f32 = 1});
    CHECK(n_rows == 6 && strstr(rows[1].skipped, "256") && strstr(rows[4].skipped, "256") && !*rows[3].skipped && rows[1].rate == 0);
}

static size_t machine_rows;
static bool all_positive = true, trip;
static void machine(void *arg, const struct roofline_row *r)
{
    (void)arg;
    machine_rows++;
    all_positive &= r->value > 0 && *r->unit;
    trip |= !strcmp(r->what, "round trip");
}

TEST(the_machine_has_figures)
{
    struct err e = {0};
    struct roofline_limits l;
    CHECK(!roofline_run(2, true, machine, NULL, &e));
    CHECK(machine_rows >= 3 && all_positive && trip);
    CHECK(!roofline_limits(&l, 1, "scalar", &e) && l.read > 0 && l.int8 == 0); /* scalar code has no vector unit's peak */
}

TEST_MAIN()
