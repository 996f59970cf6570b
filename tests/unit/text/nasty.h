/* Texts that tokenizers get wrong: mixed scripts, combining marks out of order, emoji sequences, rows of blanks and newlines, digits of many
 * alphabets, contractions in both cases, look-alikes of special tokens. Always valid UTF-8, the same for the same number; the golden
 * scripts read them from tests/golden/nasty.c. Code points come from blocks that have not changed since Unicode 13, as peers differ in
 * their versions. */
#pragma once
#include "base/str.h"
#include <string.h>

enum { NASTY_BYTES_MAX = 8192, NASTY_COUNT = 5000, NASTY_BLOCK = 100 };

struct nasty {
    uint64_t state;
    char *out;
    size_t n;
    bool no_byte_names; /* leaves out `<0x0A>` */
};

/* splitmix64 (Steele, Lea, Flood 2014), below k. */
static inline uint32_t nasty_roll(struct nasty *x, uint32_t k)
{
    uint64_t z = x->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)((z ^ z >> 31) >> 32) % k;
}

static inline void nasty_cp(struct nasty *x, uint32_t cp)
{
    if (x->n + 4 <= NASTY_BYTES_MAX)
        x->n += utf8_encode(x->out + x->n, cp);
}

static inline void nasty_str(struct nasty *x, const char *s)
{
    size_t n = strlen(s);
    if (x->n + n <= NASTY_BYTES_MAX) {
        memcpy(x->out + x->n, s, n);
        x->n += n;
    }
}

#define NASTY_PICK(x, list) (list)[nasty_roll(x, sizeof(list) / sizeof *(list))]

struct nasty_block {
    uint32_t from, to;
};
static inline void nasty_of(struct nasty *x, const struct nasty_block *blocks, uint32_t n_blocks, uint32_t count)
{
    const struct nasty_block *b = &blocks[nasty_roll(x, n_blocks)];
    for (uint32_t i = 0; i < count; i++)
        nasty_cp(x, b->from + nasty_roll(x, b->to - b->from + 1));
}
#define NASTY_OF(x, blocks, count) nasty_of(x, blocks, sizeof(blocks) / sizeof *(blocks), count)

static inline void nasty_letters(struct nasty *x)
{
    static const struct nasty_block b[] = {
        {'a', 'z'},         {'A', 'Z'},       {0xc0, 0xd6},     {0xd8, 0x17f},      {0x180, 0x24f},     {0x250, 0x2af},     {0x391, 0x3a1},
        {0x3b1, 0x3c9},     {0x400, 0x481},   {0x48a, 0x52f},   {0x531, 0x556},     {0x561, 0x586},     {0x5d0, 0x5ea},     {0x620, 0x64a},
        {0x671, 0x6d3},     {0x904, 0x939},   {0x985, 0x98c},   {0xe01, 0xe30},     {0x1780, 0x17b3},   {0x10a0, 0x10c5},   {0x10d0, 0x10fa},
        {0x13a0, 0x13f5},   {0x1c90, 0x1cba}, {0x1e00, 0x1eff}, {0x1f00, 0x1f15},   {0x1fa0, 0x1fb4},   {0x3041, 0x3096},   {0x30a1, 0x30fa},
        {0x3105, 0x312f},   {0x3131, 0x318e}, {0x3400, 0x4db5}, {0x4e00, 0x9fa5},   {0x9fa6, 0x9fef},   {0xac00, 0xd7a3},   {0xf900, 0xfa6d},
        {0xff21, 0xff3a},   {0xff41, 0xff5a}, {0xff66, 0xff9d}, {0x10400, 0x1044f}, {0x1d400, 0x1d454}, {0x20000, 0x2a6d6}, {0x2f800, 0x2fa1d},
        {0x1e900, 0x1e943}, {0x2c00, 0x2c2e}, {0xa640, 0xa66d}, {0xfb00, 0xfb06},   {0xa7a0, 0xa7af},   {0x2d00, 0x2d25}};
    NASTY_OF(x, b, 1 + nasty_roll(x, 6));
}

static inline void nasty_words(struct nasty *x)
{
    static const char *const w[] = {"hello",
                                    " the",
                                    "World",
                                    " camelCase",
                                    "HTTPServer",
                                    " XMLHttpRequest",
                                    "don't",
                                    "CAN'T",
                                    "we'Ll",
                                    "I'M",
                                    "'re",
                                    "'RE",
                                    "'ve",
                                    "'D",
                                    "it'S",
                                    "'\xc5\xbf",
                                    "\xc5\xbft",
                                    "ZZ'll",
                                    "'tis",
                                    "O'Neill",
                                    "naïve",
                                    "Straße",
                                    "İ",
                                    "ı",
                                    "ǅ",
                                    "K",
                                    "ﬁn",
                                    "你好",
                                    "世界，",
                                    "東京",
                                    "한국어",
                                    "ไทย",
                                    "हिन्दी",
                                    "العربية",
                                    "שלום",
                                    "Việt",
                                    "\xe1\xbb\x87",
                                    "def f(x):",
                                    " return",
                                    "https://",
                                    "a@b.c",
                                    "x_y_z",
                                    "A1b2",
                                    "iPhone15Pro",
                                    "ÀÉÎ",
                                    "éÀ",
                                    "µm",
                                    "aǅb"};
    nasty_str(x, NASTY_PICK(x, w));
}

static inline void nasty_blanks(struct nasty *x)
{
    static const char *const one[] = {" ",        "\n",           "\t",           "\r\n",         "\r",       "\v",           "\f",
                                      "\xc2\xa0", "\xe2\x80\x83", "\xe3\x80\x80", "\xe2\x80\xa8", "\xc2\x85", "\xe2\x80\x8b", "\xef\xbb\xbf"};
    const char *s = nasty_roll(x, 2) ? " " : NASTY_PICK(x, one);
    for (uint32_t k = 1 + nasty_roll(x, nasty_roll(x, 8) ? 4 : 40); k; k--)
        nasty_str(x, nasty_roll(x, 6) ? s : NASTY_PICK(x, one));
}

static inline void nasty_numbers(struct nasty *x)
{
    static const struct nasty_block b[] = {{'0', '9'},   {'0', '9'},   {'0', '9'},       {0x660, 0x669},   {0x966, 0x96f},   {0xff10, 0xff19},
                                           {0xbc, 0xbe}, {0xb2, 0xb3}, {0x2460, 0x2473}, {0x2160, 0x216b}, {0x3007, 0x3007}, {0x1d7ce, 0x1d7ff}};
    NASTY_OF(x, b, 1 + nasty_roll(x, nasty_roll(x, 6) ? 5 : 20));
}

static inline void nasty_marks(struct nasty *x)
{
    static const struct nasty_block m[] = {{0x300, 0x36f},   {0x300, 0x345},   {0x323, 0x333},   {0x591, 0x5bd},  {0x64b, 0x652},
                                           {0x93e, 0x94d},   {0xe31, 0xe31},   {0xe34, 0xe3a},   {0xe47, 0xe4e},  {0x20d0, 0x20f0},
                                           {0xfe00, 0xfe0f}, {0x3099, 0x309a}, {0x1161, 0x1175}, {0x11a8, 0x11c2}};
    static const char *const base[] = {"e", "A", "o", "\xe1\x84\x80", "가", "か", "ก", "क", "ا", "1", " ", "", "Ω", "\xe2\x84\xa6", "\xc7\xbc"};
    nasty_str(x, NASTY_PICK(x, base));
    for (uint32_t k = 1 + nasty_roll(x, 4); k; k--)
        NASTY_OF(x, m, 1);
}

static inline void nasty_symbols(struct nasty *x)
{
    static const char *const s[] = {"!!!",
                                    "...",
                                    "'''",
                                    "```",
                                    "==",
                                    "->",
                                    "/*",
                                    "*/",
                                    "(",
                                    "))",
                                    "{\"",
                                    "\"}",
                                    "://",
                                    "#!",
                                    "$",
                                    "+",
                                    "<=",
                                    ">>",
                                    "^",
                                    "|",
                                    "~",
                                    "`",
                                    "\\n",
                                    "%",
                                    "&",
                                    "@",
                                    "_",
                                    "__",
                                    "-",
                                    "----------",
                                    "。",
                                    "、",
                                    "！？",
                                    "“",
                                    "”",
                                    "…",
                                    "—",
                                    "«",
                                    "€",
                                    "¥",
                                    "©",
                                    "™",
                                    "×",
                                    "→",
                                    "∑",
                                    "½",
                                    "·",
                                    "।",
                                    "；",
                                    "：",
                                    "～",
                                    "※",
                                    "\xe2\x96\x81",
                                    "\xe2\x96\x81\xe2\x96\x81"};
    static const struct nasty_block b[] = {{0x21, 0x2f},     {0x3a, 0x40},     {0x5b, 0x60},     {0x7b, 0x7e},     {0x2010, 0x2027},
                                           {0x2030, 0x205e}, {0x20a0, 0x20bf}, {0x2190, 0x21ff}, {0x2200, 0x22ff}, {0x2500, 0x257f},
                                           {0x3001, 0x3003}, {0x3008, 0x3011}, {0xff01, 0xff0f}, {0xfe30, 0xfe4f}, {0x2e80, 0x2e99}};
    if (nasty_roll(x, 2))
        nasty_str(x, NASTY_PICK(x, s));
    else
        NASTY_OF(x, b, 1 + nasty_roll(x, 4));
}

static inline void nasty_emoji(struct nasty *x)
{
    static const char *const s[] = {
        "👩‍👩‍👧‍👦", "🇨🇳", "👍🏽", "🏳️‍🌈", "😶‍🌫️", "✅", "❤️", "🦙", "🚀", "1️⃣", "👨🏿‍🚀"};
    static const struct nasty_block b[] = {{0x1f300, 0x1f5ff}, {0x1f600, 0x1f64f}, {0x1f680, 0x1f6c5}, {0x1f910, 0x1f93e},
                                           {0x2600, 0x26ff},   {0x1f1e6, 0x1f1ff}, {0x200d, 0x200d},   {0x1f3fb, 0x1f3ff}};
    if (nasty_roll(x, 2))
        nasty_str(x, NASTY_PICK(x, s));
    else
        NASTY_OF(x, b, 1 + nasty_roll(x, 3));
}

static inline void nasty_special(struct nasty *x)
{
    static const char *const s[] = {"<|im_start|>",
                                    "<|im_end|>",
                                    "<|im_start",
                                    "|im_end|>",
                                    "<|endoftext|>",
                                    "<|end_of_text|>",
                                    "<|begin_of_text|>",
                                    "<|eot_id|>",
                                    "<s>",
                                    "</s>",
                                    "<unk>",
                                    "<pad>",
                                    "[INST]",
                                    "[/INST]",
                                    "<<SYS>>",
                                    "<tool_call>",
                                    "</tool_call>",
                                    "<think>",
                                    "</think>",
                                    "<|fim_prefix|>",
                                    "<fim_middle>",
                                    "<｜User｜>",
                                    "<｜end▁of▁sentence｜>",
                                    "<|0.00|>",
                                    "<|startoftranscript|>",
                                    "<|start|>",
                                    "<|message|>",
                                    "<|call|>",
                                    "[REF]",
                                    "[/REF]",
                                    "[REFERENCE_DOC_3]",
                                    "<reserved_106>",
                                    "<|reserved003|>",
                                    "<|unused115|>",
                                    "<h2>",
                                    "<br>",
                                    "<|>",
                                    "<|",
                                    "|>",
                                    "<SEP>",
                                    "[PAD0]",
                                    "<|||>"};
    if (!nasty_roll(x, 8) && !x->no_byte_names)
        nasty_str(x, "<0x0A>");
    else
        nasty_str(x, NASTY_PICK(x, s));
}

static inline void nasty_odd(struct nasty *x)
{
    static const struct nasty_block b[] = {{0, 0x1f},        {0x7f, 0x9f},     {0xad, 0xad},     {0xe000, 0xf8ff}, {0xf0000, 0xf00ff},
                                           {0x200b, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x2064}, {0xfff9, 0xfffd}, {0xe0020, 0xe007f}};
    NASTY_OF(x, b, 1 + nasty_roll(x, 3));
}

static inline void nasty_row(struct nasty *x)
{
    static const char *const s[] = {"a",   "A",   "aB",  "é",    "e\xcc\x81", "你", "1",  "_",  "=",
                                    "ab ", "\n ", " \n", "🙂", "ก",         "-",  "x.", "'s", "\xcc\x81"};
    const char *one = NASTY_PICK(x, s);
    for (uint32_t k = 2 + nasty_roll(x, 40); k; k--)
        nasty_str(x, one);
}

/* Text number i: at most NASTY_BYTES_MAX bytes into out; its length. */
static inline size_t nasty_text(uint32_t i, bool no_byte_names, char *out)
{
    static void (*const kinds[])(struct nasty *) = {nasty_words,  nasty_words,   nasty_words,   nasty_letters, nasty_letters, nasty_blanks,
                                                    nasty_blanks, nasty_numbers, nasty_numbers, nasty_marks,   nasty_symbols, nasty_symbols,
                                                    nasty_emoji,  nasty_special, nasty_odd,     nasty_row};
    struct nasty x = {.state = 20261126u + (uint64_t)i * 0x2545f4914f6cdd1dull, .out = out, .no_byte_names = no_byte_names};
    for (uint32_t k = 1 + nasty_roll(&x, nasty_roll(&x, 10) ? 16 : 60); k; k--) {
        NASTY_PICK(&x, kinds)(&x);
        if (nasty_roll(&x, 3) == 0)
            nasty_str(&x, " ");
    }
    return x.n;
}
