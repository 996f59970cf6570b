/* Character classes for the pre-tokenizers and the template filters. Bytes that are not UTF-8 count as one symbol each. */
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a character is, as bits, so that a pattern's [...] is a mask. At most one is set; none: controls, unassigned, not UTF-8. */
enum {
    U_UPPER = 1,    /* \p{Lu}\p{Lt} */
    U_LOWER = 2,    /* \p{Ll} */
    U_CASELESS = 4, /* \p{Lm}\p{Lo} */
    U_MARK = 8,     /* \p{M} */
    U_NUMBER = 16,  /* \p{N} */
    U_SPACE = 32,   /* \s: White_Space */
    U_PUNCT = 64,   /* \p{P} */
    U_SYMBOL = 128, /* \p{S} */
    U_LETTER = U_UPPER | U_LOWER | U_CASELESS,
};

enum char_class { CLASS_OTHER, CLASS_LETTER, CLASS_NUMBER, CLASS_SPACE };

struct uchar {
    uint32_t cp;           /* 0xFFFFFFFF: a byte that is not UTF-8 */
    uint8_t n;             /* bytes, at least 1 */
    uint8_t is;            /* U_... */
    enum char_class class; /* the same, coarser */
};
/* The character at p; n must be at least 1. */
struct uchar uchar_at(const char *p, size_t n);

bool unicode_is_punct(uint32_t cp);  /* \p{P} */
bool unicode_is_symbol(uint32_t cp); /* \p{S} */
bool unicode_is_mark(uint32_t cp);   /* \p{M} */
bool unicode_is_upper(uint32_t cp);  /* \p{Lu} or \p{Lt} */
bool unicode_is_lower(uint32_t cp);  /* \p{Ll} */
bool unicode_is_space(uint32_t cp);  /* White_Space */
bool unicode_is_han(uint32_t cp);    /* \p{Han} */
bool unicode_is_digit(uint32_t cp);  /* \d: \p{Nd} */
bool unicode_is_word(uint32_t cp);   /* Oniguruma's \w: \p{L}\p{M}\p{Nd}\p{Nl}\p{Pc} */
uint32_t unicode_lower(uint32_t cp);
uint32_t unicode_upper(uint32_t cp);
uint32_t unicode_title(uint32_t cp);
size_t   unicode_fold(uint32_t cp, uint32_t out[4]); /* full case folding; how many code points */
const char *unicode_category(uint32_t cp);           /* "Lu", "Nd", ...: the general category */

/* Appends the text in normal form C. A row of more than NFC_RUN_MAX characters that may join with their neighbours is cut there, so that
 * reordering marks stays linear; what is not UTF-8 stays as it is. False: no memory. */
enum { NFC_RUN_MAX = 256 };
bool unicode_is_nfc(const char *p, size_t n); /* a quick look: false may still be NFC */
bool unicode_nfc(const char *p, size_t n, struct buf *out);
