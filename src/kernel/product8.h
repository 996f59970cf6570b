/* The integer product of attn8_tile.h: out (n, 16 n_panels) = rows of a times panels (kv8.h draws them), over pages one behind the other: each
 * has n_panels panels of `quads` 64-byte vectors and meets the next 4 * quads values of a. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct product8 {
    int32_t *out;
    size_t ldo; /* values between rows of out */
    struct pieces a;
    size_t lda; /* and of a */
    const uint8_t *const *pages;
    size_t n_pages, quads, n_panels, n;
};
