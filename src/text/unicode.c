/* The only file that sees utf8proc. */
#include "text/unicode.h"
#include "base/str.h"
#include "text/work.h"
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

bool unicode_is_space(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= 9 && cp <= 13);
    return cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f ||
           cp == 0x205f || cp == 0x3000;
}

static int category(uint32_t cp)
{
    return cp < 0x110000 ? (int)utf8proc_category((utf8proc_int32_t)cp) : (int)UTF8PROC_CATEGORY_CN;
}

static uint8_t bit_of(int category)
{
    static const uint8_t bits[] = {
        [UTF8PROC_CATEGORY_LU] = U_UPPER,    [UTF8PROC_CATEGORY_LT] = U_UPPER,    [UTF8PROC_CATEGORY_LL] = U_LOWER,
        [UTF8PROC_CATEGORY_LM] = U_CASELESS, [UTF8PROC_CATEGORY_LO] = U_CASELESS, [UTF8PROC_CATEGORY_MN] = U_MARK,
        [UTF8PROC_CATEGORY_MC] = U_MARK,     [UTF8PROC_CATEGORY_ME] = U_MARK,     [UTF8PROC_CATEGORY_ND] = U_NUMBER,
        [UTF8PROC_CATEGORY_NL] = U_NUMBER,   [UTF8PROC_CATEGORY_NO] = U_NUMBER,   [UTF8PROC_CATEGORY_PC] = U_PUNCT,
        [UTF8PROC_CATEGORY_PD] = U_PUNCT,    [UTF8PROC_CATEGORY_PS] = U_PUNCT,    [UTF8PROC_CATEGORY_PE] = U_PUNCT,
        [UTF8PROC_CATEGORY_PI] = U_PUNCT,    [UTF8PROC_CATEGORY_PF] = U_PUNCT,    [UTF8PROC_CATEGORY_PO] = U_PUNCT,
        [UTF8PROC_CATEGORY_SM] = U_SYMBOL,   [UTF8PROC_CATEGORY_SC] = U_SYMBOL,   [UTF8PROC_CATEGORY_SK] = U_SYMBOL,
        [UTF8PROC_CATEGORY_SO] = U_SYMBOL,   [UTF8PROC_CATEGORY_CO] = 0,
    };
    return bits[category];
}

static const uint8_t ascii[128] = {
    ['\t' ... '\r'] = U_SPACE, [' '] = U_SPACE,          ['!' ... '/'] = U_PUNCT, [':' ... '@'] = U_PUNCT, ['[' ... '`'] = U_PUNCT,
    ['{' ... '~'] = U_PUNCT,   ['0' ... '9'] = U_NUMBER, ['A' ... 'Z'] = U_UPPER, ['a' ... 'z'] = U_LOWER,
};

static struct uchar made(uint32_t cp, uint8_t n, uint8_t is)
{
    enum char_class class = is & U_LETTER ? CLASS_LETTER : is == U_NUMBER ? CLASS_NUMBER : is == U_SPACE ? CLASS_SPACE : CLASS_OTHER;
    return (struct uchar){cp, n, is, class};
}

struct uchar uchar_at(const char *p, size_t n)
{
    work(1);
    uint8_t b = (uint8_t)p[0];
    if (b < 0x80)
        return made(b, 1, ascii[b] == U_PUNCT && strchr("$+<=>^`|~", b) ? U_SYMBOL : ascii[b]);
    uint32_t cp;
    int len = utf8_decode(p, n, &cp);
    if (len <= 0)
        return made(UINT32_MAX, 1, 0);
    return made(cp, (uint8_t)len, unicode_is_space(cp) ? U_SPACE : bit_of(category(cp)));
}

bool unicode_is_han(uint32_t cp)
{
    static const struct {
        uint32_t from, to;
    } r[] = {{0x2e80, 0x2e99},   {0x2e9b, 0x2ef3},   {0x2f00, 0x2fd5},   {0x3005, 0x3005},   {0x3007, 0x3007},   {0x3021, 0x3029},
             {0x3038, 0x303b},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfa6d},   {0xfa70, 0xfad9},   {0x16fe2, 0x16fe3},
             {0x16ff0, 0x16ff1}, {0x20000, 0x2a6df}, {0x2a700, 0x2b739}, {0x2b740, 0x2b81d}, {0x2b820, 0x2cea1}, {0x2ceb0, 0x2ebe0},
             {0x2ebf0, 0x2ee5d}, {0x2f800, 0x2fa1d}, {0x30000, 0x3134a}, {0x31350, 0x323af}};
    for (size_t i = 0; i < sizeof r / sizeof *r && cp >= r[i].from; i++)
        if (cp <= r[i].to)
            return true;
    return false;
}

bool unicode_is_punct(uint32_t cp)
{
    int c = category(cp);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO;
}

bool unicode_is_symbol(uint32_t cp)
{
    int c = category(cp);
    return c >= UTF8PROC_CATEGORY_SM && c <= UTF8PROC_CATEGORY_SO;
}

bool unicode_is_mark(uint32_t cp)
{
    int c = category(cp);
    return c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME;
}

bool unicode_is_digit(uint32_t cp)
{
    return category(cp) == UTF8PROC_CATEGORY_ND;
}

bool unicode_is_word(uint32_t cp)
{
    int c = category(cp);
    if (c == UTF8PROC_CATEGORY_NO)
        return cp < 0x100; /* Oniguruma's table for Latin-1 has them, its table for the rest has not */
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NL) || c == UTF8PROC_CATEGORY_PC;
}

bool unicode_is_upper(uint32_t cp)
{
    int c = category(cp);
    return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LT;
}

bool unicode_is_lower(uint32_t cp)
{
    return category(cp) == UTF8PROC_CATEGORY_LL;
}
uint32_t unicode_lower(uint32_t cp)
{
    return cp < 0x110000 ? (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp) : cp;
}
uint32_t unicode_upper(uint32_t cp)
{
    return cp < 0x110000 ? (uint32_t)utf8proc_toupper((utf8proc_int32_t)cp) : cp;
}
uint32_t unicode_title(uint32_t cp)
{
    return cp < 0x110000 ? (uint32_t)utf8proc_totitle((utf8proc_int32_t)cp) : cp;
}

/* Characters that no character before them joins with, and that are their own normal form. More have this; these are the frequent ones. */
static bool inert(uint32_t cp)
{
    return cp < 0x300 || (cp >= 0x400 && cp <= 0x482) || (cp >= 0x2010 && cp <= 0x2027) || (cp >= 0x3001 && cp <= 0x3029) ||
           (cp >= 0x3041 && cp <= 0x3096) || (cp >= 0x30a1 && cp <= 0x30fa) || (cp >= 0x3400 && cp <= 0x9fff) || (cp >= 0xac00 && cp <= 0xd7a3) ||
           (cp >= 0xff01 && cp <= 0xffee) || (cp >= 0x1f000 && cp <= 0x1faff);
}

bool unicode_is_nfc(const char *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        if ((uint8_t)p[at] < 0xcc) { /* below U+0300, or a continuation */
            at++;
            continue;
        }
        struct uchar c = uchar_at(p + at, n - at);
        if (!inert(c.cp))
            return false;
        at += c.n;
    }
    return true;
}

/* One run: a character and those behind it that may join with it. */
static bool nfc_run(const char *p, size_t n, struct buf *out)
{
    work(n);
    utf8proc_uint8_t *made = NULL;
    utf8proc_ssize_t len = utf8proc_map((const utf8proc_uint8_t *)p, (utf8proc_ssize_t)n, &made, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (len >= 0)
        buf_add(out, made, (size_t)len);
    else if (len != UTF8PROC_ERROR_NOMEM)
        buf_add(out, p, n);
    free(made);
    return len != UTF8PROC_ERROR_NOMEM && !out->failed;
}

bool unicode_nfc(const char *p, size_t n, struct buf *out)
{
    size_t plain = 0, at = 0; /* p[plain, at) goes as it is */
    while (at < n) {
        struct uchar first = uchar_at(p + at, n - at);
        size_t to = at + first.n, chars = 1;
        bool joins = !inert(first.cp);
        for (; to < n && chars < NFC_RUN_MAX; chars++) {
            struct uchar c = uchar_at(p + to, n - to);
            if (inert(c.cp))
                break;
            joins = true;
            to += c.n;
        }
        if (joins) {
            buf_add(out, p + plain, at - plain);
            if (!nfc_run(p + at, to - at, out))
                return false;
            plain = to;
        }
        at = to;
    }
    buf_add(out, p + plain, n - plain);
    return !out->failed;
}

const char *unicode_category(uint32_t cp)
{
    return cp < 0x110000 ? utf8proc_category_string((utf8proc_int32_t)cp) : "Cn";
}

size_t unicode_fold(uint32_t cp, uint32_t out[4])
{
    utf8proc_int32_t to[4];
    utf8proc_ssize_t n = cp < 0x110000 ? utf8proc_decompose_char((utf8proc_int32_t)cp, to, 4, UTF8PROC_CASEFOLD, NULL) : 0;
    if (n < 1 || n > 4) {
        out[0] = cp;
        return 1;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++)
        out[i] = (uint32_t)to[i];
    return (size_t)n;
}
