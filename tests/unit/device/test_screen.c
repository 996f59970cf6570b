/* Screening leaves nothing out that counts: against the whole product, at each level, for sizes with tails, one and two inputs, peaked, flat and tied
 * outputs, and inputs that point where the bound is needed. */
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "device/device.h"
#include "test.h"
#include <math.h>

static struct device *device;
static uint64_t seed, rolls;
static double gauss(void) /* near enough: four uniform numbers */
{
    uint64_t r = rng_u64(seed, 1, rolls++, 0);
    double x = -2;
    for (int i = 0; i < 4; i++, r >>= 16)
        x += (double)(r & 0xffff) / 65536;
    return x * 1.7;
}
static uint32_t pick_of(uint32_t n)
{
    return (uint32_t)(rng_u64(seed, 2, rolls++, 0) % n);
}

struct setup {
    uint32_t n_out, n_in;
    float *f, *x, *whole, *some; /* (n_out, n_in), (2, n_in), (2, n_out) twice */
    struct weight *w;
    struct screen *s;
};

static bool begin(struct setup *t, uint32_t n_out, uint32_t n_in)
{
    *t = (struct setup){.n_out = n_out, .n_in = n_in};
    t->f = malloc((size_t)n_out * n_in * sizeof *t->f), t->x = malloc((size_t)2 * n_in * sizeof *t->x);
    t->whole = malloc((size_t)2 * n_out * sizeof *t->whole), t->some = malloc((size_t)2 * n_out * sizeof *t->some);
    for (size_t i = 0; t->f && i < (size_t)n_out * n_in; i++)
        t->f[i] = (float)gauss();
    for (size_t i = 0; t->x && i < 2 * (size_t)n_in; i++)
        t->x[i] = (float)(gauss() * (pick_of(50) ? 1 : 12));
    return t->f && t->x && t->whole && t->some;
}

/* Weights as they are in f now. */
static bool make(struct setup *t)
{
    const struct quant_info *q = quant_info(QUANT_Q8_0);
    struct err e;
    uint8_t *rows = malloc((size_t)t->n_out * (t->n_in / q->block) * q->bytes);
    q->encode(rows, t->f, (size_t)t->n_out * t->n_in);
    bool ok = weight_new(&t->w, device, QUANT_Q8_0, t->n_out, t->n_in, rows, &e) == 0 && screen_new(&t->s, device, t->w, &e) == 0 && t->s;
    free(rows);
    return ok;
}

static void end(struct setup *t)
{
    screen_free(t->s);
    weight_free(t->w);
    free(t->f), free(t->x), free(t->whole), free(t->some);
}

static float kth_of(const float *y, uint32_t n, uint32_t k)
{
    float *sorted = malloc(n * sizeof *sorted), least;
    memcpy(sorted, y, n * sizeof *y);
    for (uint32_t i = 0; i < k; i++) /* the k largest to the front */
        for (uint32_t j = i + 1; j < n; j++)
            if (sorted[j] > sorted[i])
                least = sorted[i], sorted[i] = sorted[j], sorted[j] = least;
    least = sorted[k - 1];
    free(sorted);
    return least;
}

static uint32_t n_screened, n_left_out;

static void compare(struct setup *t, int n, const struct matmul_top *top)
{
    const uint32_t rows = top->n_rows < t->n_out ? top->n_rows : t->n_out;
    dev_matmul(device, t->whole, t->w, NULL, t->x, n);
    memset(t->some, 0x7f, (size_t)2 * t->n_out * sizeof *t->some);
    n_screened += dev_matmul_top(device, t->some, t->s, t->x, n, top);
    for (int c = 0; c < n; c++) {
        const float *a = t->whole + (size_t)c * t->n_out, *b = t->some + (size_t)c * t->n_out;
        float least = top->k ? kth_of(a, rows, top->k) : INFINITY, max = kth_of(a, rows, 1);
        least = top->below >= 0 ? fminf(least, max - top->below) : least;
        for (uint32_t i = 0; i < t->n_out; i++) {
            bool same = memcmp(&a[i], &b[i], sizeof *a) == 0, out = b[i] == -INFINITY;
            CHECK_MSG(same || out, "seed %u, row %u: %g, not %g", (unsigned)seed, i, (double)b[i], (double)a[i]);
            CHECK_MSG(same || i >= rows || a[i] < least, "seed %u, row %u: %g is left out, of at least %g", (unsigned)seed, i, (double)a[i],
                      (double)least);
            n_left_out += out;
        }
    }
}

/* A row that points to x, as strong as wanted. */
static void peak(struct setup *t, uint32_t row, int c, double strength)
{
    for (uint32_t k = 0; k < t->n_in; k++)
        t->f[(size_t)row * t->n_in + k] += (float)(strength * t->x[(size_t)c * t->n_in + k] / 2);
}

static void round_of(uint64_t number)
{
    struct setup t;
    seed = number, rolls = 0;
    CHECK(begin(&t, 600 + pick_of(1500), 32 * (1 + pick_of(12))));
    const int n = 1 + (int)pick_of(2);
    const double strength = number % 3 == 0 ? 0 : number % 3 == 1 ? 0.5 : 3;
    uint32_t some = pick_of(t.n_out);
    for (int c = 0; c < n; c++)
        for (uint32_t i = 0; i < 4; i++)
            peak(&t, pick_of(t.n_out), c, strength);
    for (int c = 0; c < n; c++) /* does not count when it is past n_rows */
        peak(&t, t.n_out - 1, c, 2 * strength);
    for (uint32_t i = 0; i < 3; i++) /* ties */
        memcpy(t.f + (size_t)pick_of(t.n_out) * t.n_in, t.f + (size_t)some * t.n_in, t.n_in * sizeof *t.f);
    CHECK(make(&t));
    struct matmul_top top = {.k = pick_of(3) ? 1 + pick_of(pick_of(2) ? 1 : 40) : 0, .n_rows = t.n_out - pick_of(100), .below = -1};
    if (top.k == 0 || pick_of(4) == 0) {
        dev_matmul(device, t.whole, t.w, NULL, t.x, 1);
        top.below = kth_of(t.whole, top.n_rows, 1) - kth_of(t.whole, top.n_rows, 1 + pick_of(30));
    }
    compare(&t, n, &top);
    end(&t);
}

TEST(nothing_that_counts_is_left_out)
{
    static const char *const levels[] = {"scalar", "avx2", NULL};
    const char *only = getenv("SEED");
    uint64_t from = 1, to = 30;
    struct err e;
    if (only && str_u64(str_of(only), &from))
        to = from;
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        n_screened = n_left_out = 0;
        CHECK(device_new(&device, &(struct device_opts){.n_threads = 2, .cpu_mask = levels[l]}, &e) == 0);
        for (uint64_t i = from; i <= to && !test_failed; i++)
            round_of(i);
        device_free(device);
        if (getenv("SLUICE_TEST_VERBOSE"))
            printf("%u screened, %u rows left out\n", n_screened, n_left_out);
        CHECK_MSG(only || (n_screened > 5 && n_screened < 30 && n_left_out > 10000), "%u screened, %u rows left out", n_screened, n_left_out);
    }
}

/* The best row is so by the bits that the coarse copy does not have, which are as bad as they can be: a bound a quarter smaller loses it. */
TEST(the_bound_is_needed)
{
    enum { N = 256, ROWS = 800 };
    struct setup t;
    struct err e;
    uint32_t taken = 0;
    CHECK(device_new(&device, &(struct device_opts){.n_threads = 1}, &e) == 0);
    n_screened = 0;
    for (seed = 1; seed <= 20; seed++) {
        rolls = 0;
        CHECK(begin(&t, ROWS, N));
        const uint32_t first = pick_of(ROWS / 2), second = ROWS / 2 + pick_of(ROWS / 2);
        for (uint32_t i = 0; i < ROWS; i++)
            for (uint32_t k = 0; k < N; k++) /* codes that are whole multiples of 8: the coarse copy is exact */
                t.f[i * N + k] = k % 32 ? (float)(8 * (int)pick_of(9)) - 32 : 127;
        for (uint32_t k = 0; k < N; k++) {
            t.x[k] = k % 32 ? (float)(1 + pick_of(100)) : 0.5f;
            t.f[first * N + k] = k % 32 ? 36 : 127;                    /* 8 * 21 - 4 */
            t.f[second * N + k] = k % 32 == 0 ? 127 : k % 5 ? 35 : 43; /* 8 * 20 + 3, 8 * 21 + 3: better, but coarsely worse */
        }
        CHECK(make(&t));
        compare(&t, 1, &(struct matmul_top){.k = 1, .n_rows = ROWS, .below = -1});
        taken += t.some[second] > t.some[first] && t.some[second] == kth_of(t.whole, ROWS, 1);
        end(&t);
    }
    device_free(device);
    CHECK(taken == 20 && n_screened == 20);
}

TEST(not_a_number_is_left_to_others)
{
    struct setup t;
    struct err e;
    seed = 3, rolls = 0;
    CHECK(device_new(&device, &(struct device_opts){.n_threads = 1}, &e) == 0 && begin(&t, 640, 64));
    t.f[70] = NAN;
    CHECK(make(&t));
    t.x[3] = INFINITY;
    dev_matmul(device, t.whole, t.w, NULL, t.x, 1);
    bool left_out = dev_matmul_top(device, t.some, t.s, t.x, 1, &(struct matmul_top){.k = 1, .n_rows = 640, .below = -1});
    CHECK(!left_out && memcmp(t.whole, t.some, 640 * sizeof *t.some) == 0);
    end(&t);
    device_free(device);
}

/* Float rows are not screened. */
TEST(other_types)
{
    struct screen *s;
    struct weight *w;
    struct err e;
    float f[64 * 32] = {0};
    CHECK(device_new(&device, &(struct device_opts){.n_threads = 1}, &e) == 0 && weight_new(&w, device, QUANT_F32, 64, 32, f, &e) == 0);
    CHECK(screen_new(&s, device, w, &e) == 0 && s == NULL);
    weight_free(w);
    device_free(device);
}

TEST_MAIN()
