/* Vocabularies from an enemy: each lie about a vocabulary's metadata is one error that names it, and no crash. */
#include "test.h"
#include "tiny_vocab.h"

enum kind { SPM, BPE, UNIGRAM };

/* A small good vocabulary, and what a case changes of it. */
struct lie {
    struct tiny t;
    const char *model, *pre;
    size_t n_tokens, n_types, n_scores;
    bool no_tokens, no_merges, no_scores, types_are_text, merges_are_numbers, pre_is_number, model_is_number;
    const uint8_t *charsmap;
    size_t n_charsmap;
    const char *id_key;
    uint32_t id;
    const char *text_key; /* a string where something else belongs */
};

static void start(struct lie *l, enum kind kind)
{
    memset(l, 0, sizeof *l);
    tiny_start(&l->t);
    l->model = kind == SPM ? "llama" : kind == BPE ? "gpt2" : "t5";
    l->pre = "gpt-2";
    tiny_add(&l->t, "a", TOKEN_NORMAL, -1);
    tiny_add(&l->t, "b", TOKEN_NORMAL, -2);
    tiny_add(&l->t, "ab", TOKEN_NORMAL, -3);
    tiny_add(&l->t, kind == BPE ? "c" : "<0x41>", kind == BPE ? TOKEN_NORMAL : TOKEN_BYTE, 0);
    l->t.merges[l->t.n_merges++] = STR("a b");
    l->n_tokens = l->n_types = l->n_scores = l->t.n;
}

static void put(struct lie *l)
{
    struct gguf_writer *w = l->t.w;
    if (l->model_is_number)
        gguf_put_u32(w, "tokenizer.ggml.model", 7);
    else
        gguf_put_str(w, "tokenizer.ggml.model", str_of(l->model));
    if (l->pre_is_number)
        gguf_put_u32(w, "tokenizer.ggml.pre", 7);
    else
        gguf_put_str(w, "tokenizer.ggml.pre", str_of(l->pre));
    if (!l->no_tokens)
        gguf_put_strs(w, "tokenizer.ggml.tokens", l->t.text, l->n_tokens);
    if (l->types_are_text)
        gguf_put_strs(w, "tokenizer.ggml.token_type", l->t.text, l->n_types);
    else
        gguf_put_i32s(w, "tokenizer.ggml.token_type", l->t.type, l->n_types);
    if (!l->no_scores)
        gguf_put_f32s(w, "tokenizer.ggml.scores", l->t.score, l->n_scores);
    if (l->merges_are_numbers)
        gguf_put_i32s(w, "tokenizer.ggml.merges", l->t.type, 2);
    else if (!l->no_merges)
        gguf_put_strs(w, "tokenizer.ggml.merges", l->t.merges, l->t.n_merges);
    if (l->charsmap)
        gguf_put_u8s(w, "tokenizer.ggml.precompiled_charsmap", l->charsmap, l->n_charsmap);
    if (l->id_key)
        gguf_put_u32(w, l->id_key, l->id);
    if (l->text_key)
        gguf_put_str(w, l->text_key, STR("seven"));
}

/* Loads what the lie makes of a file; frees it. */
static int load(struct lie *l, struct err *e)
{
    struct buf file;
    struct modelfile *f = NULL;
    struct vocab *v = NULL;
    void *aligned = NULL;
    put(l);
    buf_init(&file, 64u << 20);
    int rc = gguf_writer_bytes(l->t.w, &file, e);
    if (!rc && posix_memalign(&aligned, 64, file.len) == 0) {
        memcpy(aligned, file.data, file.len);
        rc = gguf_parse(&f, aligned, file.len, e);
        if (!rc)
            rc = vocab_load(&v, f, e);
    }
    vocab_free(v);
    modelfile_close(f);
    free(aligned);
    buf_deinit(&file);
    gguf_writer_free(l->t.w);
    return rc;
}

static struct lie l; /* some 20 KB */
static char long_text[8200];

static void u32_at(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, 4);
}

static uint8_t map[4 + 4 * TINY_UNITS + 5];
static void good_map(void)
{
    tiny_charsmap_init();
    memcpy(map, tiny_charsmap, sizeof map);
    l.charsmap = map;
    l.n_charsmap = sizeof map;
}

/* name, kind, what the message says, what is changed */
#define CASES                                                                                                                                        \
    X(no_tokens, SPM, "tokens has 0 entries", l.no_tokens = true)                                                                                    \
    X(empty_tokens, BPE, "tokens has 0 entries", l.n_tokens = l.n_types = l.n_scores = 0)                                                            \
    X(long_token, BPE, "token 3 is 5000 bytes long", (l.t.text[3] = (struct str){long_text, 5000}))                                                  \
    X(two_of_one_text, SPM, "tokens 3 and 4 have the same text", l.t.text[4] = STR("a"))                                                             \
    X(two_controls_of_one_text, BPE, "tokens 0 and 1 have the same text", l.t.text[1] = l.t.text[0])                                                 \
    X(few_types, BPE, "token_type has 1 entries, not 7", l.n_types = 1)                                                                              \
    X(many_types, SPM, "token_type has 8 entries, not 7", l.n_types = 8)                                                                             \
    X(types_are_text, BPE, "token_type is not an array of numbers", l.types_are_text = true)                                                         \
    X(type_77, BPE, "token 1 has type 77", l.t.type[1] = 77)                                                                                         \
    X(type_below_0, SPM, "token 1 has type -1", l.t.type[1] = -1)                                                                                    \
    X(no_scores, SPM, "scores is missing", l.no_scores = true)                                                                                       \
    X(few_scores, UNIGRAM, "scores is missing or has not one number a token", l.n_scores = 3)                                                        \
    X(nan_score, SPM, "score of token 4 is no number", l.t.score[4] = __builtin_nanf(""))                                                            \
    X(nan_score_of_a_control_token, UNIGRAM, "score of token 0 is no number", l.t.score[0] = __builtin_nanf(""))                                     \
    X(infinite_score, UNIGRAM, "score of token 5 is no number", l.t.score[5] = -__builtin_inff())                                                    \
    X(no_merges, BPE, "merges is missing", l.no_merges = true)                                                                                       \
    X(merges_are_numbers, BPE, "merges is missing or no array", l.merges_are_numbers = true)                                                         \
    X(merge_without_gap, BPE, "merge 0 (2 bytes)", l.t.merges[0] = STR("ab"))                                                                        \
    X(merge_with_nothing_right, BPE, "merge 0 (2 bytes)", l.t.merges[0] = STR("a "))                                                                 \
    X(merge_with_nothing_left, BPE, "merge 0 (2 bytes)", l.t.merges[0] = STR(" a"))                                                                  \
    X(empty_merge, BPE, "merge 0 (0 bytes)", l.t.merges[0] = STR(""))                                                                                \
    X(long_merge, BPE, "merge 0 (8193 bytes)", (long_text[4000] = ' ', l.t.merges[0] = (struct str){long_text, 8193}))                               \
    X(bos_past_the_end, SPM, "bos_token_id is 7, past the last token 6", (l.id_key = "tokenizer.ggml.bos_token_id", l.id = 7))                       \
    X(eos_past_the_end, BPE, "eos_token_id is 2147483648", (l.id_key = "tokenizer.ggml.eos_token_id", l.id = 1u << 31))                              \
    X(unk_past_the_end, UNIGRAM, "unknown_token_id is 4294967294", (l.id_key = "tokenizer.ggml.unknown_token_id", l.id = UINT32_MAX - 1))            \
    X(eot_past_the_end, BPE, "eot_token_id is 99", (l.id_key = "tokenizer.ggml.eot_token_id", l.id = 99))                                            \
    X(eom_past_the_end, BPE, "eom_token_id is 99", (l.id_key = "tokenizer.ggml.eom_token_id", l.id = 99))                                            \
    X(bos_is_text, BPE, "bos_token_id", l.text_key = "tokenizer.ggml.bos_token_id")                                                                  \
    X(add_bos_is_text, BPE, "add_bos_token", l.text_key = "tokenizer.ggml.add_bos_token")                                                            \
    X(add_eos_is_text, SPM, "add_eos_token", l.text_key = "tokenizer.ggml.add_eos_token")                                                            \
    X(add_space_is_text, SPM, "add_space_prefix", l.text_key = "tokenizer.ggml.add_space_prefix")                                                    \
    X(extra_blanks_is_text, UNIGRAM, "remove_extra_whitespaces", l.text_key = "tokenizer.ggml.remove_extra_whitespaces")                             \
    X(other_model, BPE, "tokenizer.ggml.model is \"rwkv\"", l.model = "rwkv")                                                                        \
    X(model_is_a_number, BPE, "tokenizer.ggml.model", l.model_is_number = true)                                                                      \
    X(other_pre, BPE, "the pre-tokenizer \"martian\"", l.pre = "martian")                                                                            \
    X(pre_is_a_number, BPE, "tokenizer.ggml.pre", l.pre_is_number = true)                                                                            \
    X(byte_below_0, SPM, "token 6 has the type of a byte", l.t.text[6] = STR("<0x-1>"))                                                              \
    X(byte_of_3_digits, SPM, "token 6 has the type of a byte", l.t.text[6] = STR("<0x100>"))                                                         \
    X(byte_of_1_digit, UNIGRAM, "token 6 has the type of a byte", l.t.text[6] = STR("<0x1>"))                                                        \
    X(byte_of_letters, UNIGRAM, "token 6 has the type of a byte", l.t.text[6] = STR("<0xgg>"))                                                       \
    X(byte_without_text, SPM, "token 6 has the type of a byte", l.t.text[6] = STR(""))                                                               \
    X(long_unigram_token, UNIGRAM, "token 3 is 600 bytes long, the limit of a unigram", (l.t.text[3] = (struct str){long_text, 600}))                \
    X(charsmap_is_text, UNIGRAM, "charsmap is not an array of bytes", l.text_key = "tokenizer.ggml.precompiled_charsmap")                            \
    X(charsmap_of_3_bytes, UNIGRAM, "charsmap is shorter than it says", l.n_charsmap = 3)                                                            \
    X(charsmap_longer_than_the_file, SPM, "charsmap is shorter than it says", u32_at(map, 1u << 30))                                                 \
    X(charsmap_of_4_gib, UNIGRAM, "charsmap is shorter than it says", u32_at(map, UINT32_MAX))                                                       \
    X(charsmap_of_half_a_unit, UNIGRAM, "units that are not whole", u32_at(map, 6))                                                                  \
    X(charsmap_without_units, UNIGRAM, "units that are not whole", u32_at(map, 0))                                                                   \
    X(charsmap_without_texts, UNIGRAM, "replacements without an end", l.n_charsmap = sizeof map - 5)                                                 \
    X(charsmap_without_end, UNIGRAM, "replacements without an end", map[sizeof map - 1] = 'x')                                                       \
    X(charsmap_value_outside, UNIGRAM, "unit 1 of tokenizer.ggml.precompiled_charsmap points outside", u32_at(map + 8, 1u << 31 | 6))                \
    X(charsmap_value_far_outside, SPM, "unit 1 of tokenizer.ggml.precompiled_charsmap points outside", u32_at(map + 8, UINT32_MAX))                  \
    X(charsmap_children_outside, UNIGRAM, "unit 0 of tokenizer.ggml.precompiled_charsmap points outside", u32_at(map + 4, 512u << 10))               \
    X(charsmap_root_far_outside, SPM, "unit 0 of tokenizer.ggml.precompiled_charsmap points outside", u32_at(map + 4, 0x7ffffe00))

#define X(name, kind, text, change)                                                                                                                  \
    TEST(bad_##name)                                                                                                                                 \
    {                                                                                                                                                \
        struct err e = {0};                                                                                                                          \
        memset(long_text, 'x', sizeof long_text);                                                                                                    \
        start(&l, kind);                                                                                                                             \
        if (strstr(#name, "charsmap_") && !strstr(#name, "is_text"))                                                                                 \
            good_map();                                                                                                                              \
        (void)(change);                                                                                                                              \
        int rc = load(&l, &e);                                                                                                                       \
        CHECK_MSG(rc == -(int)ERR_FORMAT && strstr(e.msg, text), "%d: %s", rc, e.msg);                                                               \
    }
CASES

/* Without a lie each kind loads, and these oddities are no faults. */
TEST(odd_vocabularies_load)
{
    for (int odd = 0; odd < 6; odd++)
        for (int kind = SPM; kind <= UNIGRAM; kind++) {
            struct err e = {0};
            start(&l, (enum kind)kind);
            if (odd == 1)
                l.t.text[0] = l.t.text[1] = STR(""); /* empty tokens, several of them */
            if (odd == 2)
                l.id_key = "tokenizer.ggml.bos_token_id", l.id = UINT32_MAX; /* "none" of some converters */
            if (odd == 3)
                l.t.n_merges = 0;
            if (odd == 4)
                l.t.merges[l.t.n_merges++] = STR("a b"); /* one merge twice */
            if (odd == 5)
                good_map();
            CHECK_MSG(load(&l, &e) == 0, "kind %d, oddity %d: %s", kind, odd, e.msg);
        }
}

TEST_MAIN()
