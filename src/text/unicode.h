/* Character classes for the pre-tokenizers and the template filters. Bytes that are not UTF-8 count as one symbol each. */
#pragma once
#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum char_class { CLASS_OTHER, CLASS_LETTER, CLASS_NUMBER, CLASS_SPACE };

struct uchar {
    uint32_t        cp; /* 0xFFFFFFFF: a byte that is not UTF-8 */
    uint32_t        n;  /* bytes, at least 1 */
    enum char_class class;
};
/* The character at p; n must be at least 1. */
struct uchar uchar_at(const char *p, size_t n);

bool unicode_is_punct(uint32_t cp);  /* \p{P} */
bool unicode_is_symbol(uint32_t cp); /* \p{S} */
bool unicode_is_mark(uint32_t cp);   /* \p{M} */
bool unicode_is_upper(uint32_t cp);  /* \p{Lu} or \p{Lt} */
bool unicode_is_lower(uint32_t cp);  /* \p{Ll} */
bool unicode_is_space(uint32_t cp);  /* White_Space */
uint32_t unicode_lower(uint32_t cp);
uint32_t unicode_upper(uint32_t cp);
uint32_t unicode_title(uint32_t cp);

/* Appends the text in normal form C. A row of more than NFC_RUN_MAX characters that may join with their neighbours is cut there, so that
 * reordering marks stays linear; what is not UTF-8 stays as it is. False: no memory. */
enum { NFC_RUN_MAX = 256 };
bool unicode_is_nfc(const char *p, size_t n); /* a quick look: false may still be NFC */
bool unicode_nfc(const char *p, size_t n, struct buf *out);
