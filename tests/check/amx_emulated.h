/* AMX's tiles in plain C, beside avx512_emulated.h: src/kernel/amx is checked on every CPU. A row of 64 bytes beyond what the configuration gives a
 * tile is neither read nor written. */
#pragma once
#include "avx512_emulated.h"

struct emu_tile {
    union {
        int8_t b[16][64];
        uint8_t u[16][64];
        int32_t i[16][16];
        float f[16][16];
        uint16_t h[16][32];
    };
};
static struct emu_tile emu_tile[8];
static int emu_rows[8], emu_bytes[8];

/* The layout of LDTILECFG's operand: bytes of a row from 16 on, rows from 48 on. */
EMU void emu_tile_config(const void *config)
{
    uint16_t bytes[8];
    uint8_t rows[8];
    memcpy(bytes, (const char *)config + 16, sizeof bytes);
    memcpy(rows, (const char *)config + 48, sizeof rows);
    for (int t = 0; t < 8; t++)
        emu_rows[t] = rows[t], emu_bytes[t] = bytes[t];
    memset(emu_tile, 0, sizeof emu_tile);
}
EMU void emu_tile_load(int t, const void *p, size_t stride)
{
    memset(&emu_tile[t], 0, sizeof emu_tile[t]);
    for (int r = 0; r < emu_rows[t]; r++)
        memcpy(emu_tile[t].b[r], (const char *)p + (size_t)r * stride, (size_t)emu_bytes[t]);
}
EMU void emu_tile_store(int t, void *p, size_t stride)
{
    for (int r = 0; r < emu_rows[t]; r++)
        memcpy((char *)p + (size_t)r * stride, emu_tile[t].b[r], (size_t)emu_bytes[t]);
}
EMU void emu_tile_dot_int8(int c, int a, int b)
{
    for (int m = 0; m < emu_rows[c]; m++)
        for (int k = 0; k < emu_bytes[a]; k++)
            for (int n = 0; n < emu_bytes[c] / 4; n++)
                emu_tile[c].i[m][n] += emu_tile[a].b[m][k] * emu_tile[b].b[k / 4][4 * n + k % 4];
}
EMU void emu_tile_dot_int8_unsigned(int c, int a, int b)
{
    for (int m = 0; m < emu_rows[c]; m++)
        for (int k = 0; k < emu_bytes[a]; k++)
            for (int n = 0; n < emu_bytes[c] / 4; n++)
                emu_tile[c].i[m][n] += emu_tile[a].b[m][k] * emu_tile[b].u[k / 4][4 * n + k % 4];
}
/* The first and the second values of the pairs are summed apart, then both added to c: as the SDM has it, but for denormals. */
EMU void emu_tile_dot_bf16(int c, int a, int b)
{
    for (int m = 0; m < emu_rows[c]; m++)
        for (int n = 0; n < emu_bytes[c] / 4; n++) {
            float sum[2] = {0, 0};
            for (int k = 0; k < emu_bytes[a] / 2; k++)
                sum[k % 2] = fmaf(bf16_to_f32(emu_tile[a].h[m][k]), bf16_to_f32(emu_tile[b].h[k / 2][2 * n + k % 2]), sum[k % 2]);
            emu_tile[c].f[m][n] += sum[0] + sum[1];
        }
}
EMU void emu_tile_zero(int t)
{
    memset(&emu_tile[t], 0, sizeof emu_tile[t]);
}

#define TILE_ZERO(t)             emu_tile_zero(t)
#define TILE_CONFIG(c)           emu_tile_config(c)
#define TILE_RELEASE()           ((void)0)
#define TILE_LOAD(t, p, stride)  emu_tile_load(t, p, stride)
#define TILE_STORE(t, p, stride) emu_tile_store(t, p, stride)
#define TILE_DOT_INT8(c, a, b)   emu_tile_dot_int8(c, a, b)
#define TILE_DOT_INT8_UNSIGNED(c, a, b) emu_tile_dot_int8_unsigned(c, a, b)
#define TILE_DOT_BF16(c, a, b)   emu_tile_dot_bf16(c, a, b)
