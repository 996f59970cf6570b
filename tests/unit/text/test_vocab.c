/* Vocabularies: control tokens only from trusted text, streaming detokenization, hostile files, linear time on a small stack. */
#include "test.h"
#include "tiny_vocab.h"
#include "text/work.h"
#include "vocab_files.h"
#include <pthread.h>

static const char *const kinds[] = {"gpt-2", "qwen2", "llama-bpe", "default", "starcoder"};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static bool encode(const struct vocab *v, struct str text, const struct text_span *spans, size_t n, struct vec_i32 *out)
{
    struct encode_opts o = {0};
    struct err e = {0};
    *out = (struct vec_i32){0};
    return vocab_encode(v, text.p, text.n, spans, n, &o, out, &e) == 0 || (printf("%s\n", e.msg), false);
}

static void decode(const struct vocab *v, const struct vec_i32 *ids, bool start, struct buf *out)
{
    struct detok d;
    buf_init(out, 0);
    detok_init(&d, v, start);
    for (size_t i = 0; i < ids->n; i++)
        detok_add(&d, ids->p[i], out);
    detok_end(&d, out);
}

static size_t count(const struct vocab *v, const struct vec_i32 *ids, enum token_attr attr)
{
    size_t n = 0;
    for (size_t i = 0; i < ids->n; i++)
        n += vocab_attr(v, ids->p[i]) == attr;
    return n;
}

/* Next of a fixed row of numbers, below n. */
static unsigned roll(unsigned *seed, unsigned n)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % n;
}

static size_t random_text(unsigned *seed, char *out, size_t cap)
{
    static const char *const bits[] = {"<|im_start|>", "<|im_end|>",  "<|im_",     "|>", "<",    "</s>",     "<s>",   "<unk>",
                                       "<0x0A>",       "hello",       " ",         "  ", "aaaa", "\n",       "12345", "é",
                                       "你好",         "👩‍👧", "e\xcc\x81", "'s", "\xff", "\xe4\xbd", "xyz",   "xyzz",
                                       "\xe2\x96\x81", "\t",          "w"};
    size_t n = 0, k = roll(seed, 24);
    for (size_t i = 0; i < k; i++) {
        const char *bit = bits[roll(seed, sizeof bits / sizeof *bits)];
        if (n + strlen(bit) >= cap)
            break;
        memcpy(out + n, bit, strlen(bit));
        n += strlen(bit);
    }
    return n;
}

TEST(untrusted_text_never_gives_control_tokens)
{
    for (int k = 0; k <= N_KINDS; k++) {
        struct vocab *v = k == N_KINDS ? tiny_spm(true) : tiny_bpe(kinds[k]);
        unsigned seed = 1;
        CHECK(v);
        for (int round = 0; round < 2000; round++) {
            char text[512];
            struct vec_i32 ids;
            size_t n = random_text(&seed, text, sizeof text);
            CHECK(encode(v, (struct str){text, n}, NULL, 0, &ids));
            CHECK_MSG(count(v, &ids, TOKEN_CONTROL) == 0 && count(v, &ids, TOKEN_UNKNOWN) == 0, "%.*s", (int)n, text);
            vec_deinit(&ids);
        }
        vocab_free(v);
    }
}

/* A template's text around random content: exactly its own control tokens, wherever the content is cut into spans. */
TEST(control_tokens_are_the_templates)
{
    struct vocab *v = tiny_bpe("qwen2");
    unsigned seed = 5;
    CHECK(v);
    for (int round = 0; round < 2000; round++) {
        char text[600] = "<|im_start|>u";
        size_t a = strlen(text), n = a + random_text(&seed, text + a, 512), cut = a + roll(&seed, (unsigned)(n - a) + 1);
        struct text_span spans[4] = {
            {0, (uint32_t)a, true}, {(uint32_t)a, (uint32_t)(cut - a), false}, {(uint32_t)cut, (uint32_t)(n - cut), false}, {(uint32_t)n, 10, true}};
        struct vec_i32 ids;
        memcpy(text + n, "<|im_end|>", 10);
        CHECK(encode(v, (struct str){text, n + 10}, spans, 4, &ids));
        CHECK(count(v, &ids, TOKEN_CONTROL) == 2 && ids.p[0] == TINY_IM_START && ids.p[ids.n - 1] == TINY_IM_END);
        vec_deinit(&ids);
    }
    vocab_free(v);
}

TEST(a_control_token_lies_wholly_in_trusted_text)
{
    struct vocab *v = tiny_bpe("gpt-2");
    struct str text = STR("<|im_start|>");
    struct vec_i32 ids;
    CHECK(v);
    for (uint32_t cut = 1; cut < text.n; cut++) {
        struct text_span half[2] = {{0, cut, true}, {cut, (uint32_t)text.n - cut, false}},
                         other[2] = {{0, cut, false}, {cut, (uint32_t)text.n - cut, true}};
        struct text_span both[2] = {{0, cut, true}, {cut, (uint32_t)text.n - cut, true}};
        CHECK(encode(v, text, half, 2, &ids) && count(v, &ids, TOKEN_CONTROL) == 0);
        vec_deinit(&ids);
        CHECK(encode(v, text, other, 2, &ids) && count(v, &ids, TOKEN_CONTROL) == 0);
        vec_deinit(&ids);
        CHECK(encode(v, text, both, 2, &ids) && ids.n == 1 && ids.p[0] == TINY_IM_START);
        vec_deinit(&ids);
    }
    CHECK(encode(v, STR("a<tool>b"), NULL, 0, &ids) && ids.n == 3 && ids.p[1] == TINY_USER); /* user-defined tokens are text */
    vec_deinit(&ids);
    vocab_free(v);
}

/* Spans say only what is trusted: cutting untrusted text anywhere changes no token. */
TEST(neighbouring_spans_are_one_text)
{
    for (int k = 0; k <= N_KINDS; k++) {
        struct vocab *v = k == N_KINDS ? tiny_spm(true) : tiny_bpe(kinds[k]);
        unsigned seed = 9;
        CHECK(v);
        for (int round = 0; round < 500; round++) {
            char text[512];
            struct vec_i32 one, cut;
            size_t n = random_text(&seed, text, sizeof text), at = roll(&seed, (unsigned)n + 1);
            struct text_span spans[2] = {{0, (uint32_t)at, false}, {(uint32_t)at, (uint32_t)(n - at), false}};
            CHECK(encode(v, (struct str){text, n}, NULL, 0, &one) && encode(v, (struct str){text, n}, spans, 2, &cut));
            CHECK(one.n == cut.n && (one.n == 0 || memcmp(one.p, cut.p, one.n * sizeof *one.p) == 0));
            vec_deinit(&one);
            vec_deinit(&cut);
        }
        vocab_free(v);
    }
}

TEST(spans_out_of_order_are_refused)
{
    struct vocab *v = tiny_bpe("gpt-2");
    struct text_span bad[][2] = {
        {{2, 2, true}, {0, 2, true}}, {{0, 3, true}, {2, 1, true}}, {{0, 9, true}, {9, 0, true}}, {{4, UINT32_MAX, true}, {4, 0, true}}};
    struct encode_opts o = {0};
    CHECK(v);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct vec_i32 ids = {0};
        struct err e = {0};
        CHECK(vocab_encode(v, "hello", 5, bad[i], 2, &o, &ids, &e) == -(int)ERR_INTERNAL);
        vec_deinit(&ids);
    }
    vocab_free(v);
}

TEST(byte_level_text_comes_back)
{
    for (int k = 0; k < N_KINDS; k++) {
        struct vocab *v = tiny_bpe(kinds[k]);
        unsigned seed = 3;
        CHECK(v);
        for (int round = 0; round < 1000; round++) {
            char text[512];
            struct vec_i32 ids;
            struct buf back;
            size_t n = random_text(&seed, text, sizeof text);
            if (!utf8_valid(text, n) || (k == 1 && memmem(text, n, "\xcc\x81", 2))) /* qwen2 normalises */
                continue;
            CHECK(encode(v, (struct str){text, n}, NULL, 0, &ids));
            decode(v, &ids, true, &back);
            CHECK_MSG(str_eq((struct str){text, n}, (struct str){back.data, back.len}), "%s: %.*s", kinds[k], (int)n, text);
            buf_deinit(&back);
            vec_deinit(&ids);
        }
        vocab_free(v);
    }
}

TEST(sentencepiece_text_comes_back)
{
    struct vocab *v = tiny_spm(true);
    unsigned seed = 4;
    CHECK(v);
    for (int round = 0; round < 2000; round++) {
        char text[512];
        struct vec_i32 ids;
        struct buf back;
        size_t n = random_text(&seed, text, sizeof text);
        if (!utf8_valid(text, n) || memmem(text, n, "\xe2\x96\x81", 3))
            continue;
        CHECK(encode(v, (struct str){text, n}, NULL, 0, &ids));
        decode(v, &ids, true, &back);
        CHECK_MSG(str_eq((struct str){text, n}, (struct str){back.data, back.len}), "%.*s: %s", (int)n, text, back.data);
        buf_deinit(&back);
        vec_deinit(&ids);
    }
    vocab_free(v);
}

TEST(no_byte_fallback_gives_unk)
{
    struct vocab *v = tiny_spm(false);
    struct vec_i32 ids;
    CHECK(v && encode(v, STR("hello\n\nhello"), NULL, 0, &ids));
    CHECK(count(v, &ids, TOKEN_UNKNOWN) == 1 && ids.n == 3); /* a row of unknown characters is one <unk> */
    vec_deinit(&ids);
    vocab_free(v);
    if (!test_data("models/babyllama-tok105-f32.gguf"))
        SKIP("no test data");
    v = vocab_of_gguf("models/babyllama-tok105-f32.gguf");
    CHECK(v && encode(v, STR("a\nb"), NULL, 0, &ids) && count(v, &ids, TOKEN_UNKNOWN) == 1);
    vec_deinit(&ids);
    vocab_free(v);
}

TEST(bos_and_eos_as_asked_and_as_the_file_says)
{
    struct vocab *v = tiny_spm(true), *plain = tiny_bpe("gpt-2");
    struct vec_i32 ids = {0};
    struct err e = {0};
    struct encode_opts o = {.add_bos = true, .add_eos = true};
    CHECK(v && plain && vocab_add_bos(v) && !vocab_add_bos(plain));
    CHECK(vocab_encode(v, "hello", 5, NULL, 0, &o, &ids, &e) == 0);
    CHECK(ids.n == 2 && ids.p[0] == vocab_bos(v)); /* add_eos_token is off unless the file says so */
    ids.n = 0;
    CHECK(vocab_encode(plain, "hello", 5, NULL, 0, &o, &ids, &e) == 0 && ids.n == 1);
    vec_deinit(&ids);
    vocab_free(v);
    vocab_free(plain);
}

/* llama-bpe takes a piece that is a token whole, gpt-2 only what its merges make. */
TEST(whole_pieces_where_the_family_takes_them)
{
    struct vocab *gpt = tiny_bpe("gpt-2"), *llama = tiny_bpe("llama-bpe");
    struct vec_i32 a, b;
    CHECK(gpt && llama && encode(gpt, STR("zq"), NULL, 0, &a) && encode(llama, STR("zq"), NULL, 0, &b));
    CHECK(a.n == 2 && b.n == 1 && b.p[0] == vocab_find(llama, STR("zq")));
    vec_deinit(&a);
    vec_deinit(&b);
    vocab_free(gpt);
    vocab_free(llama);
}

/* "x y" merges into a control token: text stays two bytes. */
TEST(no_merge_gives_a_control_token)
{
    struct vocab *v = tiny_bpe("gpt-2");
    struct vec_i32 ids;
    CHECK(v && encode(v, STR("xy"), NULL, 0, &ids));
    CHECK(ids.n == 2 && ids.p[0] == vocab_find(v, STR("x")) && ids.p[1] == vocab_find(v, STR("y")));
    vec_deinit(&ids);
    vocab_free(v);
}

/* Loads what `put` adds to a small vocabulary of three special tokens. */
static struct vocab *special_vocab(const char *model, void (*put)(struct tiny *t))
{
    struct tiny *t = mem_must(sizeof *t);
    struct err e = {0};
    tiny_start(t);
    for (const char *c = "abc "; *c; c++)
        tiny_add(t, *c == ' ' ? "Ġ" : (char[]){*c, 0}, TOKEN_NORMAL, -1);
    put(t);
    struct vocab *v = tiny_done(t, model, &e);
    if (!v)
        printf("%s\n", e.msg);
    mem_free(t);
    return v;
}

static void put_phi3(struct tiny *t)
{
    gguf_put_str(t->w, "general.name", STR("My PHI-3 mini"));
    gguf_put_str(t->w, "tokenizer.ggml.pre", STR("gpt-2"));
    tiny_add(t, "<|endoftext|>", TOKEN_CONTROL, 0);
}

static void put_jina(struct tiny *t)
{
    gguf_put_str(t->w, "tokenizer.ggml.pre", STR("jina-v2-de"));
    tiny_add(t, "<mask>", TOKEN_CONTROL, 0);
}

static bool gives(const struct vocab *v, const char *text, const char *tokens)
{
    struct text_span span = {0, (uint32_t)strlen(text), true};
    struct vec_i32 ids;
    char got[256] = "";
    if (!encode(v, str_of(text), &span, 1, &ids))
        return false;
    for (size_t i = 0; i < ids.n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s.", (int)vocab_text(v, ids.p[i]).n, vocab_text(v, ids.p[i]).p);
    vec_deinit(&ids);
    return strcmp(got, tokens) == 0 || (printf("%s gives %s\n", text, got), false);
}

/* Phi-3's special tokens take the blanks behind them, but for three; Jina's <mask> takes those before it; others take none. */
TEST(special_tokens_take_blanks_with_them)
{
    struct vocab *phi3 = special_vocab("gpt2", put_phi3), *jina = special_vocab("gpt2", put_jina);
    CHECK(phi3 && gives(phi3, "a <|im_start|> \n\xc2\xa0 b", "a.Ġ.<|im_start|>.b."));
    CHECK(gives(phi3, "a<|endoftext|> b<|im_end|> ", "a.<|endoftext|>.Ġ.b.<|im_end|>."));
    CHECK(jina && gives(jina, "a \xe2\x80\x83 <mask> b", "a.<mask>.Ġ.b."));
    CHECK(gives(jina, " <mask>a <|im_start|> b", "<mask>.a.Ġ.<|im_start|>.Ġ.b."));
    vocab_free(phi3);
    vocab_free(jina);
}

static void put_ends(struct tiny *t)
{
    static const char *const ends[] = {"<|end|>", "<|calls|>", "<|flush|>", "[EOT]", "<eos>", "[e~["};
    gguf_put_str(t->w, "tokenizer.ggml.pre", STR("gpt-2"));
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        tiny_add(t, ends[i], TOKEN_CONTROL, 0);
    tiny_add(t, "[EOS]", TOKEN_NORMAL, 0); /* ordinary text by its type: no end */
}

TEST(ends_of_generation_by_name)
{
    struct vocab *v = special_vocab("gpt2", put_ends);
    CHECK(v);
    for (size_t i = 0; i < 4; i++)
        CHECK(vocab_is_eog(v, vocab_find(v, str_of(((const char *[]){"<|calls|>", "[EOT]", "<eos>", "[e~["})[i]))));
    CHECK(!vocab_is_eog(v, vocab_find(v, STR("<|end|>"))) && !vocab_is_eog(v, vocab_find(v, STR("[EOS]"))));
    vocab_free(v);
}

/* t5 without any flag in the file: eos behind the text, neither bos nor a blank before it, and blanks as they are. */
static void put_t5(struct tiny *t)
{
    tiny_add(t, "\xe2\x96\x81", TOKEN_NORMAL, -1);
    tiny_add(t, "<unk>", TOKEN_UNKNOWN, 0);
    gguf_put_u32(t->w, "tokenizer.ggml.unknown_token_id", (uint32_t)t->n - 1);
}

TEST(unigram_defaults)
{
    struct vocab *v = special_vocab("t5", put_t5);
    struct vec_i32 ids = {0};
    struct err e = {0};
    struct encode_opts o = {.add_bos = true, .add_eos = true};
    CHECK(v && vocab_encode(v, "a  b", 4, NULL, 0, &o, &ids, &e) == 0);
    CHECK(ids.n == 5 && ids.p[4] == vocab_eos(v) && vocab_eos(v) == 1 && !vocab_add_bos(v));
    vec_deinit(&ids);
    CHECK(gives(v,
                "a\xe4\xbd\xa0\xe5\xa5\xbd\xff"
                "b",
                "a.<unk>.b.")); /* a row of what is no token is one <unk> */
    vocab_free(v);
}

/* The charsmap replaces, extra blanks go, and user-defined tokens are kept as they are. */
TEST(sentencepiece_normalises)
{
    struct vocab *v = tiny_unigram(true);
    CHECK(v && gives(v, "  hello \xef\xac\x81  hello ", "\xe2\x96\x81.hello.\xe2\x96\x81.<0x66>.<0x69>.\xe2\x96\x81.hello."));
    CHECK(gives(v, "AAAA", "\xe2\x96\x81.aaaa."));
    CHECK(gives(v, "a<tool>A", "\xe2\x96\x81.a.<tool>.a.") && gives(v, "   ", "") && gives(v, "", ""));
    CHECK(gives(v, "h\xffh", "\xe2\x96\x81.h.<0xEF>.<0xBF>.<0xBD>.h.")); /* with a charsmap what is not UTF-8 is U+FFFD */
    vocab_free(v);
}

TEST(tokens_have_a_limit)
{
    struct vocab *v = tiny_bpe("gpt-2");
    struct vec_i32 ids = {0};
    struct err e = {0};
    struct encode_opts o = {.tokens_max = 3};
    CHECK(v && vocab_encode(v, "bdfg", 4, NULL, 0, &o, &ids, &e) == -(int)ERR_CONTEXT && ids.n <= 3);
    vec_deinit(&ids);
    vocab_free(v);
}

TEST(ends_of_generation)
{
    struct vocab *v = tiny_bpe("gpt-2"), *s = tiny_spm(true);
    CHECK(v && s);
    CHECK(vocab_is_eog(v, TINY_IM_END) && !vocab_is_eog(v, TINY_IM_START) && !vocab_is_eog(v, -1) && !vocab_is_eog(v, 1 << 30));
    CHECK(vocab_is_eog(s, vocab_eos(s)) && vocab_is_eog(s, TINY_IM_END));
    CHECK(vocab_find(v, STR("hello")) != TOKEN_NONE && vocab_find(v, STR("nothing")) == TOKEN_NONE && vocab_find(v, STR("")) == TOKEN_NONE);
    CHECK(vocab_text(v, -1).p == NULL && vocab_text(v, vocab_size(v)).p == NULL);
    vocab_free(v);
    vocab_free(s);
}

/* Every prefix of the stream is whole characters, and bytes that are none become U+FFFD, one for each that could have begun one. */
TEST(the_stream_has_no_half_characters)
{
    static const struct {
        const char *bytes, *text;
    } t[] = {
        {"a\xc3\xa9z", "aéz"},
        {"\xe4\xbd\xa0", "你"},
        {"\xf0\x9f\x9a\x80", "🚀"},
        {"\xe4\xbd", "\xef\xbf\xbd"},
        {"\xe4\xbdz", "\xef\xbf\xbdz"},
        {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf0\x9f\xe4\xbd\xa0", "\xef\xbf\xbd你"},
        {"\x80", "\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf0\x9f\x9a", "\xef\xbf\xbd"},
        {"\xc3", "\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
    };
    struct vocab *v = tiny_spm(true);
    CHECK(v);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct detok d;
        struct buf out;
        buf_init(&out, 0);
        detok_init(&d, v, false);
        for (const char *b = t[i].bytes; *b; b++) {
            char name[8];
            snprintf(name, sizeof name, "<0x%02X>", (uint8_t)*b);
            detok_add(&d, vocab_find(v, str_of(name)), &out);
            CHECK(utf8_valid(out.data ? out.data : "", out.len));
        }
        detok_end(&d, &out);
        CHECK_MSG(str_eqz((struct str){out.data, out.len}, t[i].text), "%zu: %s", i, out.data);
        buf_deinit(&out);
    }
    vocab_free(v);
}

TEST(the_first_blank_belongs_to_the_start)
{
    struct vocab *v = tiny_spm(true);
    struct buf out;
    int32_t hello = vocab_find(v, STR("▁hello"));
    struct vec_i32 ids = {.p = (int32_t[]){vocab_bos(v), hello, hello, TINY_IM_END}, .n = 4};
    decode(v, &ids, true, &out);
    CHECK(str_eqz((struct str){out.data, out.len}, "hello hello"));
    buf_deinit(&out);
    decode(v, &ids, false, &out);
    CHECK(str_eqz((struct str){out.data, out.len}, " hello hello"));
    buf_deinit(&out);
    vocab_free(v);
}

/* ---- work and stack ---- */

static const char *const rows[] = {"a", "A",  " ", "\n",          "1",  "\xcc\x81", "你", "🚀",         "\xff",         "_",          "<", "hello ",
                                   "é", "\t", "'", "<|im_start|", "aB", "\n ",      "1a", "A\xcc\x81", "\xe2\x96\x81", "👩‍👧"};

struct job {
    const struct vocab *v;
    const char *unit;
    size_t bytes;
    uint64_t work;
    bool ok;
};

static void *job_run(void *arg)
{
    struct job *j = arg;
    struct buf b;
    buf_init(&b, 0);
    while (b.len < j->bytes)
        buf_str(&b, j->unit);
    struct text_span span = {0, (uint32_t)b.len, true};
    struct vec_i32 ids;
    uint64_t before = text_work;
    j->ok = encode(j->v, (struct str){b.data, b.len}, &span, 1, &ids);
    j->work = text_work - before;
    vec_deinit(&ids);
    buf_deinit(&b);
    return NULL;
}

/* On a stack of 64 KiB. */
static bool job_do(struct job *j)
{
    pthread_t t;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 64 << 10);
    bool ok = !pthread_create(&t, &attr, job_run, j) && !pthread_join(t, NULL) && j->ok;
    pthread_attr_destroy(&attr);
    return ok;
}

/* So many times the text is at most 1.3 times as much more work (n log n is 1.1 to 1.2), and no character is much work. What is counted
 * stands in text/work.h. */
static void check_work(const struct vocab *v, const char *name, size_t bytes, size_t times)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct job one = {v, rows[i], bytes / times, 0, false}, all = {v, rows[i], bytes, 0, false};
        CHECK_MSG(job_do(&one) && job_do(&all), "%s, rows of %s", name, rows[i]);
        CHECK_MSG(one.work >= one.bytes / strlen(rows[i]), "%s, rows of %s: only %llu counted", name, rows[i], (unsigned long long)one.work);
        CHECK_MSG((double)all.work < 1.3 * (double)times * (double)one.work, "%s, rows of %s: %llu, then %llu", name, rows[i],
                  (unsigned long long)one.work, (unsigned long long)all.work);
        CHECK_MSG(all.work < 400 * all.bytes, "%s, rows of %s: %llu for %zu bytes", name, rows[i], (unsigned long long)all.work, all.bytes);
    }
}

TEST(every_pretokenizer_is_linear)
{
    static const char *const names[] = {
#define PRETOK(id, names, flags, ...) names,
#include "text/pretok.def"
#undef PRETOK
    };
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        char name[32];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(names[k], " "), names[k]);
        struct vocab *v = tiny_bpe(name);
        CHECK_MSG(v, "%s", name);
        check_work(v, name, 16 << 10, 2);
        vocab_free(v);
    }
}

/* A megabyte; sanitizers take a smaller one, for they make it a matter of minutes. */
#ifdef __SANITIZE_ADDRESS__
enum { MEGABYTE = 64 << 10 };
#else
enum { MEGABYTE = 1 << 20 };
#endif

TEST(a_megabyte_is_linear_on_a_small_stack)
{
    struct vocab *v[] = {tiny_bpe("qwen2"), tiny_spm(true), tiny_unigram(true)};
    static const char *const names[] = {"qwen2", "llama", "t5"};
    for (size_t k = 0; k < 3; k++) {
        CHECK(v[k]);
        check_work(v[k], names[k], MEGABYTE, 8);
        vocab_free(v[k]);
    }
}

TEST_MAIN()
