/* Text from an enemy for each kind of vocabulary: the first byte chooses the vocabulary, the second cuts the text into spans. Tokens are in
 * range, control tokens come from trusted spans alone, what is valid UTF-8 comes back from byte-level tokens, and the work stays in proportion.
 * A first byte past the vocabularies makes the rest a charsmap and a text that goes through it. */
#include "text/charsmap.h"
#include "text/pretok.h"
#include "text/work.h"
#include "unit/text/tiny_vocab.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const char *const pre[] = {
#define PRETOK(id, names, flags, ...) names,
#include "text/pretok.def"
#undef PRETOK
};
enum { BPES = sizeof pre / sizeof *pre, KINDS = BPES + 4 };

static struct vocab *vocab_of(unsigned kind)
{
    static struct vocab *made[KINDS];
    char name[32];
    if (made[kind])
        return made[kind];
    if (kind < BPES) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(pre[kind], " "), pre[kind]);
        made[kind] = tiny_bpe(name);
    } else
        made[kind] = kind < BPES + 2 ? tiny_spm(kind == BPES) : tiny_unigram(kind == BPES + 2);
    if (!made[kind])
        abort();
    return made[kind];
}

/* A charsmap that loads never matches more than there is, and what it puts there ends inside it. */
static int check_charsmap(const uint8_t *p, size_t n)
{
    struct charsmap m;
    struct err e;
    if (charsmap_load(&m, p, n, &e))
        return 0;
    for (size_t at = 0; at < n; at++) {
        const char *text = NULL;
        size_t text_n = 0, len = charsmap_match(&m, (const char *)p + at, n - at, &text, &text_n);
        if (len > n - at || (len && (text < m.texts || text + text_n >= m.texts + m.n_texts)))
            abort();
    }
    charsmap_deinit(&m);
    return 0;
}

static void check_back(const struct vocab *v, const char *text, size_t n, const struct vec_i32 *ids, bool exact)
{
    struct detok d;
    struct buf out;
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
    if (p[0] == 0xff)
        return check_charsmap(p + 1, n - 1);
    unsigned kind = p[0] % KINDS;
    const char *text = (const char *)p + 2;
    uint32_t len = (uint32_t)(n - 2), at = (uint32_t)((uint64_t)len * p[1] / 256);
    bool trusted = p[1] & 1;
    struct vocab *v = vocab_of(kind);
    struct text_span spans[2] = {{0, at, trusted}, {at, len - at, false}};
    struct encode_opts o = {.add_bos = true};
    struct vec_i32 ids = {0};
    struct err e = {0};
    uint64_t before = text_work;
    if (vocab_encode(v, text, len, spans, 2, &o, &ids, &e) || text_work - before > 2000ull * (len + 1))
        abort();
    size_t control = 0;
    for (size_t i = 0; i < ids.n; i++) {
        if (ids.p[i] < 0 || ids.p[i] >= vocab_size(v))
            abort();
        control += vocab_attr(v, ids.p[i]) == TOKEN_CONTROL;
    }
    if (!trusted && control > (vocab_add_bos(v) ? 1u : 0u))
        abort();
    /* Normal form C changes the text on purpose, SentencePiece reads U+2581 as a blank. */
    bool exact = kind < BPES && !(pretok_flags((enum pretok)kind) & PRETOK_NFC);
    check_back(v, text, len, &ids, exact && !control && utf8_valid(text, len));
    vec_deinit(&ids);
    return 0;
}
