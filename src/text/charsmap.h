/* SentencePiece's precompiled_charsmap: which strings are replaced before anything else, as the trainer compiled them (nmt_nfkc and others).
 *
 *   uint32 bytes of units | units: a double array (Darts-clone), little-endian uint32 | the replacements, each ended by a NUL
 *
 * A unit: bits 0-7 the label, bit 8 "a value hangs below", bits 10-30 the offset to the children (times 256 when bit 9 is set); a unit with
 * bit 31 holds a value, the offset of a replacement. */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct charsmap {
    uint32_t *unit;
    size_t n_units, n_texts;
    char *texts;
};
/* Longer keys do not exist; the limit keeps a map that runs in circles from making a text's time quadratic. */
enum { CHARSMAP_BYTES_MAX = 16 << 20, CHARSMAP_KEY_MAX = 256 };

/* Copies and checks p[0..n). ERR_FORMAT names what points nowhere; on an error nothing is held. */
int charsmap_load(struct charsmap *m, const uint8_t *p, size_t n, struct err *e) MUST_USE;
void charsmap_deinit(struct charsmap *m);
/* The longest string at p that has a replacement: its length (0: none) and the replacement, which lives as long as the map. */
size_t charsmap_match(const struct charsmap *m, const char *p, size_t n, const char **text, size_t *text_n);
