/* Text from an enemy for each kind of vocabulary: the first byte chooses the vocabulary, the second cuts the text into spans. Tokens are in
 * range, control tokens come from trusted spans alone, and what is valid UTF-8 comes back from byte-level tokens. */
#include "unit/text/tiny_vocab.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { KINDS = 7 };

static struct vocab *vocab_of(unsigned kind)
{
    static const char *const pre[] = {"gpt-2", "qwen2", "llama-bpe", "default", "starcoder"};
    static struct vocab     *made[KINDS];
    if (!made[kind])
        made[kind] = kind < 5 ? tiny_bpe(pre[kind]) : tiny_spm(kind == 5);
    if (!made[kind])
        abort();
    return made[kind];
}

static void check_back(const struct vocab *v, const char *text, size_t n, const struct vec_i32 *ids, bool exact)
{
    struct detok d;
    struct buf   out;
    buf_init(&out, 0);
    detok_init(&d, v, true);
    for (size_t i = 0; i < ids->n; i++) {
        detok_add(&d, ids->p[i], &out);
        if (!utf8_valid(out.data ? out.data : "", out.len))
            abort();
    }
    detok_end(&d, &out);
    if (exact && !str_eq((struct str){text, n}, (struct str){out.data, out.len}))
        abort();
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n < 2)
        return 0;
    unsigned           kind = p[0] % KINDS;
    const char        *text = (const char *)p + 2;
    uint32_t           len = (uint32_t)(n - 2), at = (uint32_t)((uint64_t)len * p[1] / 256);
    bool               trusted = p[1] & 1;
    struct vocab      *v = vocab_of(kind);
    struct text_span   spans[2] = {{0, at, trusted}, {at, len - at, false}};
    struct encode_opts o = {.add_bos = true};
    struct vec_i32     ids = {0};
    struct err         e = {0};
    if (vocab_encode(v, text, len, spans, 2, &o, &ids, &e))
        abort();
    size_t control = 0;
    for (size_t i = 0; i < ids.n; i++) {
        if (ids.p[i] < 0 || ids.p[i] >= vocab_size(v))
            abort();
        control += vocab_attr(v, ids.p[i]) == TOKEN_CONTROL;
    }
    if (!trusted && control > (vocab_add_bos(v) ? 1u : 0u))
        abort();
    /* qwen2 (1) changes the text on purpose, SentencePiece (5, 6) reads U+2581 as a blank */
    check_back(v, text, len, &ids, kind < 5 && kind != 1 && !control && utf8_valid(text, len));
    vec_deinit(&ids);
    return 0;
}
