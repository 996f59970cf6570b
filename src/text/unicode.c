/* The only file that sees utf8proc. */
#include "text/unicode.h"
#include "base/str.h"
#include <stdlib.h>
#include <utf8proc.h>

bool unicode_is_space(uint32_t cp)
{
    if (cp < 0x80)
        return cp == ' ' || (cp >= 9 && cp <= 13);
    return cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f ||
           cp == 0x205f || cp == 0x3000;
}

static int category(uint32_t cp) { return cp < 0x110000 ? (int)utf8proc_category((utf8proc_int32_t)cp) : (int)UTF8PROC_CATEGORY_CN; }

static enum char_class class_of(uint32_t cp)
{
    if (cp < 0x80) {
        if ((cp | 32) >= 'a' && (cp | 32) <= 'z')
            return CLASS_LETTER;
        if (cp >= '0' && cp <= '9')
            return CLASS_NUMBER;
        return unicode_is_space(cp) ? CLASS_SPACE : CLASS_OTHER;
    }
    if (unicode_is_space(cp))
        return CLASS_SPACE;
    switch (category(cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return CLASS_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return CLASS_NUMBER;
    default: return CLASS_OTHER;
    }
}

struct uchar uchar_at(const char *p, size_t n)
{
    uint8_t b = (uint8_t)p[0];
    if (b < 0x80)
        return (struct uchar){b, 1, class_of(b)};
    uint32_t cp;
    int      len = utf8_decode(p, n, &cp);
    if (len <= 0)
        return (struct uchar){UINT32_MAX, 1, CLASS_OTHER};
    return (struct uchar){cp, (uint32_t)len, class_of(cp)};
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

bool unicode_is_upper(uint32_t cp)
{
    int c = category(cp);
    return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LT;
}

bool     unicode_is_lower(uint32_t cp) { return category(cp) == UTF8PROC_CATEGORY_LL; }
uint32_t unicode_lower(uint32_t cp) { return cp < 0x110000 ? (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp) : cp; }
uint32_t unicode_upper(uint32_t cp) { return cp < 0x110000 ? (uint32_t)utf8proc_toupper((utf8proc_int32_t)cp) : cp; }
uint32_t unicode_title(uint32_t cp) { return cp < 0x110000 ? (uint32_t)utf8proc_totitle((utf8proc_int32_t)cp) : cp; }

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
    utf8proc_uint8_t *made = NULL;
    utf8proc_ssize_t  len = utf8proc_map((const utf8proc_uint8_t *)p, (utf8proc_ssize_t)n, &made, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
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
        size_t       to = at + first.n, chars = 1;
        bool         joins = !inert(first.cp);
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
