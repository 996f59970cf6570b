/* The device against plain loops in double, at every level that this CPU has. */
#include "test.h"
#include "device/device.h"
#include <math.h>

static const char *level; /* the tests run once a level */
static const char *const levels[] = {"scalar", "avx2", "avx512", "amx"};

static struct device *open_device(int n_threads)
{
    struct device *d = NULL;
    struct err e;
    if (device_new(&d, &(struct device_opts){.n_threads = n_threads, .cpu_mask = level}, &e) < 0)
        printf("%s\n", e.msg), abort();
    return d;
}

static uint64_t seed = 1;
static float next_float(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(seed >> 32) * 0x1p-31f;
}
static float *floats(size_t n)
{
    float *p = malloc((n + 1) * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = next_float();
    return p;
}
static void *encoded(uint32_t type, const float *x, size_t n)
{
    const struct quant_info *q = quant_info(type);
    void *p = malloc(n / q->block * q->bytes);
    q->encode(p, x, n);
    return p;
}

/* Largest difference of y to W x in double, over the sum of the absolute products. */
static double matmul_error(uint32_t type, const void *w, const float *x, const float *bias, const float *y, size_t n_out, size_t n_in, size_t n)
{
    const struct quant_info *q = quant_info(type);
    float *row = malloc(n_in * sizeof *row);
    double worst = 0;
    for (size_t r = 0; r < n_out; r++) {
        q->decode(row, (const char *)w + r * (n_in / q->block * q->bytes), n_in);
        for (size_t c = 0; c < n; c++) {
            double sum = bias ? (double)bias[r] : 0, magnitude = fabs(sum);
            for (size_t k = 0; k < n_in; k++) {
                double product = (double)row[k] * (double)x[c * n_in + k];
                sum += product;
                magnitude += fabs(product);
            }
            worst = fmax(worst, fabs(sum - (double)y[c * n_out + r]) / magnitude);
        }
    }
    free(row);
    return worst;
}

static void matmul_case(uint32_t type, size_t n_out, size_t n_in, int n, int threads)
{
    struct device *d = open_device(threads);
    struct weight *w;
    struct err e;
    float *values = floats(n_out * n_in), *x = floats((size_t)n * n_in), *bias = floats(n_out), *y = floats((size_t)n * n_out),
          *alone = floats(n_out);
    void *data = encoded(type, values, n_out * n_in);
    CHECK(weight_new(&w, d, type, (uint32_t)n_out, (uint32_t)n_in, data, &e) == 0);
    CHECK(weight_owns_data(w) == (quant_info(type)->split != NULL));
    dev_matmul(d, y, w, bias, x, n);
    double err = matmul_error(type, data, x, bias, y, n_out, n_in, (size_t)n);
    bool amx = strcmp(device_level(d), "amx") == 0; /* inputs in bf16: one, or two for F16 */
    double most = weight_owns_data(w) ? 8e-3 : amx && type == QUANT_BF16 ? 0x1p-8 : amx && type == QUANT_F16 ? 0x1p-15 : 1e-6;
    CHECK_MSG(err < most, "%s %s %zux%zu n %d: error %g", level, quant_info(type)->name, n_out, n_in, n, err);
    for (int c = 0; c < n; c++) { /* a row alone is the same row, bit for bit */
        dev_matmul(d, alone, w, bias, x + (size_t)c * n_in, 1);
        CHECK_MSG(memcmp(alone, y + (size_t)c * n_out, n_out * sizeof *y) == 0, "%s %s n %d row %d", level, quant_info(type)->name, n, c);
    }
    float *row = floats(n_in), *want = floats(n_in);
    int32_t token = (int32_t)n_out - 1;
    dev_embed(d, row, w, &token, 1);
    quant_info(type)->decode(want, (const char *)data + (n_out - 1) * (n_in / quant_info(type)->block * quant_info(type)->bytes), n_in);
    CHECK(memcmp(row, want, n_in * sizeof *row) == 0);
    weight_free(w);
    device_free(d);
    free(values), free(x), free(bias), free(y), free(alone), free(data), free(row), free(want);
}

static void matmuls(void)
{
    static const uint32_t types[] = {QUANT_F32, QUANT_F16, QUANT_BF16, QUANT_Q8_0, QUANT_Q4_0};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        matmul_case(types[t], 1, 32, 1, 1);
        matmul_case(types[t], 105, 64, 7, 2);
        matmul_case(types[t], 896, 896, 5, 2);
        matmul_case(types[t], 48, 4864, 70, 3);
        matmul_case(types[t], 33, 96, 530, 2);
    }
    static const uint32_t blocks[] = {QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_1, QUANT_Q2_K, QUANT_Q3_K, QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K};
    for (size_t t = 0; t < sizeof blocks / sizeof *blocks; t++) {
        matmul_case(blocks[t], 17, 256, 1, 1);
        matmul_case(blocks[t], 105, 512, 7, 2);
        matmul_case(blocks[t], 33, 256, 70, 3);
    }
    matmul_case(QUANT_F32, 7, 13, 3, 2);
    matmul_case(QUANT_F16, 7, 13, 3, 2);
    matmul_case(QUANT_BF16, 17, 172, 3, 2);
}

/* Several matrices of one input at once give what each gives alone. */
static void many(void)
{
    enum { IN = 256, N = 9 };
    struct device *d = open_device(2);
    struct weight *w[3];
    struct err e;
    uint32_t types[] = {QUANT_Q4_0, QUANT_F16, QUANT_Q8_0}, outs[] = {300, 20, 257};
    float *x = floats(N * IN), *y[3], *alone[3];
    void *data[3];
    struct matmul_out o[3];
    for (int i = 0; i < 3; i++) {
        float *v = floats(outs[i] * IN);
        data[i] = encoded(types[i], v, outs[i] * IN);
        free(v);
        CHECK(weight_new(&w[i], d, types[i], outs[i], IN, data[i], &e) == 0);
        y[i] = floats(outs[i] * N), alone[i] = floats(outs[i] * N);
        o[i] = (struct matmul_out){y[i], w[i], NULL};
        dev_matmul(d, alone[i], w[i], NULL, x, N);
    }
    dev_matmul_many(d, o, 3, x, N);
    for (int i = 0; i < 3; i++) {
        CHECK(memcmp(y[i], alone[i], outs[i] * N * sizeof(float)) == 0);
        weight_free(w[i]), free(y[i]), free(alone[i]), free(data[i]);
    }
    device_free(d), free(x);
}

struct kv {
    void **pages;
    struct kv_shape s;
    int n_pages;
};
static struct kv kv_new(struct kv_shape s, int positions)
{
    struct kv kv = {.s = s, .n_pages = (positions + KV_PAGE - 1) / KV_PAGE};
    kv.pages = malloc((size_t)kv.n_pages * sizeof *kv.pages);
    for (int i = 0; i < kv.n_pages; i++) { /* NaN where nothing was stored */
        kv.pages[i] = aligned_alloc(64, (kv_page_bytes(&s) + 63) / 64 * 64);
        memset(kv.pages[i], 0xff, kv_page_bytes(&s));
    }
    return kv;
}
static void kv_free(struct kv *kv)
{
    for (int i = 0; i < kv->n_pages; i++)
        free(kv->pages[i]);
    free(kv->pages);
}

/* One row of attention in double, from the k and v that were stored. */
static void attention_row(double *out, const float *q, const float *k, const float *v, int pos, int n_kv, int hd, int kv_head, float scale,
                          int window)
{
    double max = -INFINITY, sum = 0;
    int first = window > 0 && pos - window + 1 > 0 ? pos - window + 1 : 0;
    double *score = malloc((size_t)(pos + 1) * sizeof *score);
    for (int j = first; j <= pos; j++) {
        score[j] = 0;
        for (int i = 0; i < hd; i++)
            score[j] += (double)q[i] * (double)k[(j * n_kv + kv_head) * hd + i] * (double)scale;
        max = fmax(max, score[j]);
    }
    memset(out, 0, (size_t)hd * sizeof *out);
    for (int j = first; j <= pos; j++)
        sum += score[j] = exp(score[j] - max);
    for (int j = first; j <= pos; j++)
        for (int i = 0; i < hd; i++)
            out[i] += score[j] / sum * (double)v[(j * n_kv + kv_head) * hd + i];
    free(score);
}

/* What is left of x in a page. */
static float stored(enum kv_type type, float x)
{
    return type == KV_F16 ? f16_to_f32(f16_from_f32(x)) : type == KV_BF16 ? bf16_to_f32(bf16_from_f32(x)) : x;
}

/* Values lie within +-1; eight bits have steps of 1/64 or so. */
static double error_of(enum kv_type type)
{
    return type == KV_Q8 ? 0.04 : 2e-6;
}

/* Two sequences in one batch (one prefilled in two parts, one decoding) against plain loops, and against each row alone. */
static void attention_case(struct kv_shape s, int n_heads, int window, int threads)
{
    enum { LEN_A = 150, PART = 70, LEN_B = 90, LAYER = 1 };
    struct device *d = open_device(threads);
    int hd = s.head_dim, group = n_heads / s.n_kv_heads;
    size_t q_row = (size_t)(n_heads * hd), kv_row = (size_t)(s.n_kv_heads * hd);
    struct kv a = kv_new(s, LEN_A), b = kv_new(s, LEN_B);
    float *k = floats(kv_row * (LEN_A + LEN_B)), *v = floats(kv_row * (LEN_A + LEN_B)), *q = floats(q_row * (LEN_A + LEN_B)),
          *out = floats(q_row * (LEN_A + LEN_B)), *alone = floats(q_row);
    float scale = 3 / sqrtf((float)hd);
    for (size_t i = 0; i < kv_row * (LEN_A + LEN_B); i++)
        k[i] = stored(s.type, k[i]), v[i] = stored(s.type, v[i]);
    struct kv_seq first = {.row0 = 0, .n_rows = PART, .pos0 = 0, .pages = a.pages},
                  other = {.row0 = 0, .n_rows = LEN_B - 1, .pos0 = 0, .pages = b.pages};
    dev_kv_store(d, &s, LAYER, &first, 1, k, v);
    dev_attention(d, out, q, &s, LAYER, &first, 1, n_heads, scale, window);
    dev_kv_store(d, &s, LAYER, &other, 1, k + kv_row * LEN_A, v + kv_row * LEN_A);
    dev_attention(d, out + q_row * LEN_A, q + q_row * LEN_A, &s, LAYER, &other, 1, n_heads, scale, window);
    /* the rest of a, and the last row of b, which lie behind one another from row PART on */
    struct kv_seq both[2] = {{.row0 = 0, .n_rows = LEN_A - PART, .pos0 = PART, .pages = a.pages},
                             {.row0 = LEN_A - PART + LEN_B - 1, .n_rows = 1, .pos0 = LEN_B - 1, .pages = b.pages}};
    dev_kv_store(d, &s, LAYER, both, 2, k + kv_row * PART, v + kv_row * PART);
    dev_attention(d, out + q_row * PART, q + q_row * PART, &s, LAYER, both, 2, n_heads, scale, window);
    double *want = malloc((size_t)hd * sizeof *want), worst = 0;
    for (int i = 0; i < LEN_A + LEN_B; i++) {
        size_t base = i < LEN_A ? 0 : kv_row * LEN_A;
        int pos = i < LEN_A ? i : i - LEN_A;
        for (int h = 0; h < n_heads; h++) {
            attention_row(want, q + (size_t)i * q_row + h * hd, k + base, v + base, pos, s.n_kv_heads, hd, h / group, scale, window);
            for (int j = 0; j < hd; j++)
                worst = fmax(worst, fabs(want[j] - (double)out[(size_t)i * q_row + (size_t)(h * hd + j)]));
        }
        struct kv_seq one = {.row0 = 0, .n_rows = 1, .pos0 = pos, .pages = i < LEN_A ? a.pages : b.pages};
        dev_attention(d, alone, q + (size_t)i * q_row, &s, LAYER, &one, 1, n_heads, scale, window);
        CHECK_MSG(memcmp(alone, out + (size_t)i * q_row, q_row * sizeof *out) == 0, "%s head_dim %d: row %d alone differs", level, hd, i);
    }
    CHECK_MSG(worst < error_of(s.type), "%s head_dim %d heads %d window %d: error %g", level, hd, n_heads, window, worst);
    kv_free(&a), kv_free(&b), device_free(d);
    free(k), free(v), free(q), free(out), free(alone), free(want);
}

/* Contexts of several segments, ROWS rows at their end: with one thread, with segments shared out to three, and each row alone, to the bit; the last
 * row against plain loops. */
static void long_context(enum kv_type type, int window)
{
    enum { LEN = 2500, ROWS = 40, KV = 2, HEADS = 14, HD = 64, Q_ROW = HEADS * HD, KV_ROW = KV * HD };
    struct kv_shape s = {1, KV, HD, type, NULL};
    struct kv kv = kv_new(s, LEN);
    float *k = floats(KV_ROW * LEN), *v = floats(KV_ROW * LEN), *q = floats(Q_ROW * ROWS), *out[2] = {floats(Q_ROW * ROWS), floats(Q_ROW * ROWS)},
          *alone = floats(Q_ROW), scale = 3 / sqrtf(HD);
    for (size_t i = 0; i < KV_ROW * LEN; i++)
        k[i] = stored(type, k[i]), v[i] = stored(type, v[i]);
    struct kv_seq all = {.row0 = 0, .n_rows = LEN, .pos0 = 0, .pages = kv.pages},
                  end = {.row0 = 0, .n_rows = ROWS, .pos0 = LEN - ROWS, .pages = kv.pages};
    for (int i = 0; i < 2; i++) {
        struct device *d = open_device(i ? 3 : 1);
        if (!i)
            dev_kv_store(d, &s, 0, &all, 1, k, v);
        dev_attention(d, out[i], q, &s, 0, &end, 1, HEADS, scale, window);
        for (int r = 0; r < ROWS; r++) {
            struct kv_seq one = {.row0 = 0, .n_rows = 1, .pos0 = LEN - ROWS + r, .pages = kv.pages};
            dev_attention(d, alone, q + Q_ROW * r, &s, 0, &one, 1, HEADS, scale, window);
            CHECK_MSG(memcmp(alone, out[0] + Q_ROW * r, Q_ROW * sizeof *alone) == 0, "%s type %d window %d: row %d alone differs", level, type,
                      window, r);
        }
        device_free(d);
    }
    CHECK_MSG(memcmp(out[0], out[1], Q_ROW * ROWS * sizeof **out) == 0, "%s type %d window %d: threads change bits", level, type, window);
    double want[HD], worst = 0;
    for (int h = 0; h < HEADS; h++) {
        attention_row(want, q + Q_ROW * (ROWS - 1) + h * HD, k, v, LEN - 1, KV, HD, h / (HEADS / KV), scale, window);
        for (int j = 0; j < HD; j++)
            worst = fmax(worst, fabs(want[j] - (double)out[0][Q_ROW * (ROWS - 1) + h * HD + j]));
    }
    CHECK_MSG(worst < error_of(type), "%s type %d window %d: error %g", level, type, window, worst);
    kv_free(&kv);
    free(k), free(v), free(q), free(out[0]), free(out[1]), free(alone);
}

static void attentions(void)
{
    for (int type = KV_F16; type <= KV_Q8; type++)
        if (strcmp(level, "scalar") || type == KV_Q8) {
            long_context((enum kv_type)type, 0);
            long_context((enum kv_type)type, 1500);
        }
    for (int type = KV_F16; type <= KV_Q8; type++) {
        attention_case((struct kv_shape){2, 2, 64, (enum kv_type)type, NULL}, 14, 0, 2);
        attention_case((struct kv_shape){2, 1, 8, (enum kv_type)type, NULL}, 8, 0, 2);
        attention_case((struct kv_shape){2, 3, 4, (enum kv_type)type, NULL}, 3, 17, 1);
        attention_case((struct kv_shape){3, 1, 80, (enum kv_type)type, NULL}, 70, 65, 2);
        attention_case((struct kv_shape){2, 2, 128, (enum kv_type)type, NULL}, 4, 1, 3);
        attention_case((struct kv_shape){2, 1, 13, (enum kv_type)type, NULL}, 2, 64, 2);
    }
}

static void elements(void)
{
    enum { N = 5, COLS = 1003, HD = 48, ROT = 32, H = 3 };
    struct device *d = open_device(2);
    float *x = floats(N * COLS), *gain = floats(COLS), *y = floats(N * COLS), *up = floats(N * COLS);
    dev_rmsnorm(d, y, x, gain, 1e-5f, N, COLS);
    for (int r = 0; r < N; r++) {
        double sum = 0;
        for (int i = 0; i < COLS; i++)
            sum += (double)x[r * COLS + i] * (double)x[r * COLS + i];
        for (int i = 0; i < COLS; i++)
            CHECK(fabs((double)y[r * COLS + i] - (double)x[r * COLS + i] / sqrt(sum / COLS + 1e-5) * (double)gain[i]) < 1e-6);
    }
    for (int i = 0; i < N * COLS; i++)
        x[i] *= 30;
    dev_swiglu(d, y, x, up, N * COLS);
    for (int i = 0; i < N * COLS; i++)
        CHECK(fabs((double)y[i] - (double)x[i] / (1 + exp(-(double)x[i])) * (double)up[i]) < 1e-5);
    memcpy(y, x, N * COLS * sizeof *y);
    dev_add(d, y, up, N * COLS);
    for (int i = 0; i < N * COLS; i++)
        CHECK(y[i] == x[i] + up[i]);
    float q[N * H * HD], cosines[N * ROT / 2], sines[N * ROT / 2];
    double freqs[ROT / 2], slow[ROT / 2];
    const double *of_row[N] = {freqs, freqs, slow, freqs, freqs};
    const int32_t pos[N] = {0, 1, 77, 4095, 100000};
    for (int i = 0; i < ROT / 2; i++)
        freqs[i] = pow(10000, -2.0 * i / ROT), slow[i] = freqs[i] / 8;
    for (int kind = ROPE_NORM; kind <= ROPE_NEOX; kind++) {
        double scale = kind == ROPE_NORM ? 1 : 1.25;
        memcpy(q, x, sizeof q);
        dev_rope_angles(d, cosines, sines, pos, of_row, scale, N, ROT / 2);
        dev_rope(d, q, cosines, sines, (enum rope_pairs)kind, N, H, HD, ROT);
        for (int r = 0; r < N * H; r++)
            for (int i = 0; i < HD; i++) {
                const float *in = x + r * HD;
                bool second = kind == ROPE_NORM ? i % 2 : i >= ROT / 2;
                int pair = kind == ROPE_NORM ? i / 2 : i % (ROT / 2), mate = kind == ROPE_NORM ? i ^ 1 : (i + ROT / 2) % ROT;
                double angle = i < ROT ? (double)pos[r / H] * of_row[r / H][pair] : 0, c = cos(angle) * scale, s = sin(angle) * scale;
                double want = i >= ROT ? (double)in[i] : second ? (double)in[mate] * s + (double)in[i] * c : (double)in[i] * c - (double)in[mate] * s;
                CHECK_MSG(fabs((double)q[r * HD + i] - want) < 1e-5, "kind %d row %d value %d", kind, r, i);
            }
    }
    memcpy(y, x, N * COLS * sizeof *y);
    dev_scale_rows(d, y, gain, N, COLS);
    for (int i = 0; i < N * COLS; i++)
        CHECK(y[i] == x[i] * gain[i / COLS]);
    device_free(d), free(x), free(gain), free(y), free(up);
}

static void each_level(void (*fn)(void))
{
    for (int i = 0; i < 3 && !test_failed; i++) {
        bool has;
        level = device_cpu(i, &has);
        if (has && strcmp(level, levels[i]) == 0)
            fn();
    }
}

TEST(matmul)
{
    each_level(matmuls);
}
TEST(matmul_many)
{
    each_level(many);
}
TEST(attention)
{
    each_level(attentions);
}
TEST(elementwise)
{
    each_level(elements);
}

TEST(errors)
{
    struct device *d = NULL;
    struct weight *w = NULL;
    struct err e;
    CHECK(device_new(&d, &(struct device_opts){.cpu_mask = "sse9"}, &e) == -ERR_BAD_VALUE && strstr(e.msg, "sse9"));
    CHECK(device_new(&d, &(struct device_opts){.n_threads = -1}, &e) == -ERR_BAD_VALUE);
    CHECK(device_new(&d, &(struct device_opts){.n_threads = 1 << 20}, &e) == -ERR_BAD_VALUE);
    level = "scalar";
    d = open_device(1);
    CHECK(weight_new(&w, d, 77, 32, 32, "", &e) == -ERR_FORMAT && strstr(e.msg, "77"));
    CHECK(weight_new(&w, d, QUANT_Q8_0, 32, 33, "", &e) == -ERR_FORMAT && strstr(e.msg, "33"));
    CHECK(weight_new(&w, d, QUANT_Q8_0, 0, 32, "", &e) == -ERR_FORMAT);
    CHECK(weight_new(&w, d, QUANT_F32, 1u << 29, 32, "", &e) == -ERR_FORMAT);
    device_free(d);
}

/* The levels give nearly the same numbers: the same formula on the same quantised activations. amx gives avx512's. */
TEST(levels_agree)
{
    enum { OUT = 100, IN = 512, N = 30 };
    float *values = floats(OUT * IN), *x = floats(N * IN), *y[4] = {0};
    void *data = encoded(QUANT_Q4_0, values, OUT * IN);
    for (int i = 0; i < 4; i++) {
        bool has;
        struct err e;
        struct weight *w;
        level = device_cpu(i, &has);
        if (!has)
            continue;
        struct device *d = open_device(2);
        y[i] = floats(OUT * N);
        CHECK(weight_new(&w, d, QUANT_Q4_0, OUT, IN, data, &e) == 0);
        dev_matmul(d, y[i], w, NULL, x, N);
        for (int j = 0; j < OUT * N; j++)
            CHECK(fabsf(y[i][j] - y[0][j]) < 1e-5f);
        weight_free(w), device_free(d);
    }
    CHECK(!y[3] || memcmp(y[2], y[3], OUT * N * sizeof(float)) == 0);
    for (int i = 0; i < 4; i++)
        free(y[i]);
    free(values), free(x), free(data);
}
TEST_MAIN()
