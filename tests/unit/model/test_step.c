/* A row of a step does not know its neighbours: whatever shares its batch, its logits are the same to the last bit. */
#include "golden.h"

enum { SEQS = 6, VOCAB = 384, LENGTH = 150 };

/* RoPE may depend on it. */
static uint32_t reach_of(int seq)
{
    return (uint32_t)(LENGTH + 40 * seq);
}

/* Feeds every sequence alone, one chunk after the other, wanting the logits of each row: (SEQS, LENGTH, VOCAB). */
static bool alone(struct modelfile *f, enum kv_type type, const char *mask, int32_t token[SEQS][LENGTH], float *out, int chunk)
{
    struct err e = {0};
    struct run r;
    if (!run_open(&r, f, type, mask, &e)) {
        printf("%s\n", e.msg);
        return false;
    }
    for (int s = 0; s < SEQS; s++) {
        int32_t want[LENGTH];
        r.pos = 0, r.reach = reach_of(s);
        for (int i = 0; i < LENGTH; i++)
            want[i] = i;
        for (int at = 0; at < LENGTH; at += chunk) {
            int n = LENGTH - at < chunk ? LENGTH - at : chunk;
            run_feed(&r, token[s] + at, n, want, n, out + ((size_t)s * LENGTH + (size_t)at) * VOCAB);
        }
    }
    r.file = NULL; /* the caller's */
    run_close(&r);
    return true;
}

/* All sequences at once: each step takes a different number of rows from each, and wants only every third row. */
static bool together(struct modelfile *f, enum kv_type type, const char *mask, int32_t token[SEQS][LENGTH], const float *want_logits)
{
    struct err e = {0};
    struct run r;
    void *pages[SEQS][RUN_PAGES];
    int done[SEQS] = {0}, step_no = 0;
    bool same = run_open(&r, f, type, mask, &e);
    for (int s = 0; s < SEQS && same; s++)
        for (int p = 0; p < RUN_PAGES; p++)
            pages[s][p] = p * KV_PAGE < LENGTH ? mem_pages(kv_page_bytes(&r.kv)) : NULL;
    float *logits = mem_array((size_t)STEP_ROWS_MAX * VOCAB, sizeof *logits);
    for (bool more = same; more; step_no++) {
        int32_t tok[STEP_ROWS_MAX], pos[STEP_ROWS_MAX], want[STEP_ROWS_MAX], of[STEP_ROWS_MAX];
        struct kv_seq seqs[SEQS];
        uint32_t reach[SEQS];
        int n = 0, n_seqs = 0, n_want = 0;
        for (int i = 0; i < SEQS; i++) {
            int s = (i + step_no) % SEQS, k = (step_no * 7 + s * 5) % 23; /* 0 to 22 rows, in another order each time */
            k = k < LENGTH - done[s] ? k : LENGTH - done[s];
            if (!k)
                continue;
            reach[n_seqs] = reach_of(s);
            seqs[n_seqs++] = (struct kv_seq){.row0 = n, .n_rows = k, .pos0 = done[s], .pages = pages[s]};
            for (int j = 0; j < k; j++, n++) {
                tok[n] = token[s][done[s] + j], pos[n] = done[s] + j;
                if ((done[s] + j) % 3 == 0 && step_no % 5 != 4)
                    of[n_want] = s * LENGTH + done[s] + j, want[n_want++] = n;
            }
            done[s] += k;
        }
        if (n)
            model_step(r.model, &(struct step){.n = n,
                                               .token = tok,
                                               .pos = pos,
                                               .seqs = seqs,
                                               .n_seqs = n_seqs,
                                               .reach = reach,
                                               .kv = r.kv,
                                               .want = want,
                                               .n_want = n_want,
                                               .logits = logits});
        for (int i = 0; i < n_want; i++)
            same &= !memcmp(logits + (size_t)i * VOCAB, want_logits + (size_t)of[i] * VOCAB, VOCAB * sizeof *logits);
        more = false;
        for (int s = 0; s < SEQS; s++)
            more |= done[s] < LENGTH;
    }
    for (int s = 0; s < SEQS; s++)
        for (int p = 0; p < RUN_PAGES; p++)
            if (pages[s][p])
                mem_pages_free(pages[s][p], kv_page_bytes(&r.kv));
    mem_free(logits);
    r.file = NULL;
    run_close(&r);
    return same && step_no > 10;
}

static void check_model(const struct tiny *o, enum kv_type kv, const char *mask)
{
    struct err e = {0};
    struct buf b;
    static int32_t token[SEQS][LENGTH];
    buf_init(&b, 0);
    struct modelfile *f = tiny_file(o, &b, &e);
    CHECK_MSG(f, "%s", e.msg);
    for (int s = 0; s < SEQS; s++)
        for (int i = 0; i < LENGTH; i++)
            token[s][i] = (int32_t)(rng_u64(9, (uint32_t)s, (uint64_t)i, 0) % VOCAB);
    float *one = mem_array((size_t)SEQS * LENGTH * VOCAB, sizeof *one), *other = mem_array((size_t)SEQS * LENGTH * VOCAB, sizeof *other);
    CHECK(one && other && alone(f, kv, mask, token, one, 1) && alone(f, kv, mask, token, other, 64));
    CHECK(!memcmp(one, other, (size_t)SEQS * LENGTH * VOCAB * sizeof *one)); /* prefill in chunks = one by one */
    CHECK(together(f, kv, mask, token, one));
    /* The sequences differ, or the comparison would say nothing. */
    CHECK(memcmp(one, one + (size_t)LENGTH * VOCAB, VOCAB * sizeof *one));
    mem_free(one), mem_free(other);
    modelfile_close(f);
    buf_deinit(&b);
}

static void check(uint32_t type, enum kv_type kv, const char *mask)
{
    struct tiny o = tiny_default("qwen2");
    o.type = o.embd_type = type;
    check_model(&o, kv, mask);
}

/* A family, with key=value arguments of tinymodel behind. */
static void check_family(const char *arch, const char *args, enum kv_type kv)
{
    struct tiny o = tiny_default(arch);
    char text[256];
    snprintf(text, sizeof text, "%s", args);
    for (char *save, *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
        struct str v = str_of(p), key = str_split(&v, '=');
        CHECK(tiny_set(&o, key, v));
    }
    check_model(&o, kv, NULL);
}

TEST(f32)
{
    check(QUANT_F32, KV_F32, NULL);
}
TEST(f16)
{
    check(QUANT_F16, KV_F16, NULL);
}
TEST(q8_0)
{
    check(QUANT_Q8_0, KV_F16, NULL);
}
TEST(q4_0)
{
    check(QUANT_Q4_0, KV_F32, NULL);
}
TEST(q8_0_avx2)
{
    check(QUANT_Q8_0, KV_F16, "avx2");
}
TEST(q8_0_scalar)
{
    check(QUANT_Q8_0, KV_F16, "scalar");
}

TEST(qwen3)
{
    check_family("qwen3", "", KV_F32);
}
TEST(mistral3)
{
    check_family("mistral3", "rope=yarn rope_factor=4 rope_ctx=32 q_scale=0.3", KV_F16);
}
TEST(smollm3)
{
    check_family("smollm3", "", KV_F16);
}
TEST(deci)
{
    check_family("deci", "", KV_F16);
}
TEST(phi3)
{
    check_family("phi3", "n_rot=12", KV_F16);
}
TEST(deci_f32)
{
    check_family("deci", "layer_heads=4/4/0 layer_kv=2/0/0 layer_ff=0/160/96", KV_F32);
}
TEST(windows)
{
    check_family("llama", "window=16 window_every=2", KV_F16);
}
TEST(values_narrower_than_keys)
{
    check_family("qwen3", "v_dim=20", KV_F16);
}
TEST(values_wider_than_keys)
{
    check_family("llama", "head_dim=12 v_dim=24 qkv_in_one=1", KV_F32);
}
TEST(values_narrower_in_8_bits)
{
    check_family("llama", "head_dim=24 v_dim=16", KV_Q8);
}
TEST(longrope)
{
    check_family("llama", "rope=longrope rope_ctx=200", KV_F32);
} /* some sequences reach past it */
TEST(dynamic)
{
    check_family("qwen2", "rope=dynamic rope_factor=4 rope_ctx=64", KV_F16);
}

/* In one layer, where positions matter only by their distance, the last 16 tokens alone give what a window of 16 sees. */
TEST(sliding_window)
{
    enum { WINDOW = 16, N = 100 };
    struct tiny o = tiny_default("llama");
    struct err e = {0};
    static float logits[2][VOCAB], all[VOCAB];
    int32_t token[N], want;
    o.n_layers = 1;
    for (int i = 0; i < N; i++)
        token[i] = (int32_t)(rng_u64(5, 0, (uint64_t)i, 0) % VOCAB);
    for (int k = 0; k < 3; k++) { /* a window; its tokens alone; all tokens without a window */
        struct gguf_writer *w;
        struct modelfile *f;
        struct run r;
        struct buf b;
        int n = k == 1 ? WINDOW : N;
        buf_init(&b, 0);
        CHECK(!gguf_writer_new(&w, &e));
        if (k == 0)
            gguf_put_u32(w, "llama.attention.sliding_window", WINDOW);
        CHECK(tiny_put(w, &o) && !gguf_writer_bytes(w, &b, &e) && !gguf_parse(&f, b.data, b.len, &e) && run_open(&r, f, KV_F32, NULL, &e));
        want = n - 1;
        run_feed(&r, token + N - n, n, &want, 1, k == 2 ? all : logits[k]);
        run_close(&r);
        gguf_writer_free(w);
        buf_deinit(&b);
    }
    float near = 0, far = 0;
    for (int i = 0; i < VOCAB; i++)
        near = fmaxf(near, fabsf(logits[0][i] - logits[1][i])), far = fmaxf(far, fabsf(logits[0][i] - all[i]));
    CHECK_MSG(near < 1e-3f && far > 0.1f, "%g %g", (double)near, (double)far);
}

TEST_MAIN()
