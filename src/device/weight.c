/* Weights: quantised matrices are packed into panels (kernel/kernel.h draws them); float matrices stay where the file is mapped. */
#include "device/device_int.h"
#include "base/mem.h"
#include <string.h>

static bool is_packed(uint32_t type) { return type == QUANT_Q4_0 || type == QUANT_Q8_0; }

static void pack_q4_0(uint8_t *panel, const uint8_t *rows, size_t n_rows, size_t n_in)
{
    size_t nb = n_in / KERNEL_BLOCK, row_bytes = nb * sizeof(struct q4_0);
    f16     *scale = (f16 *)(void *)panel;
    uint8_t *q = panel + kernel_panel_scales(n_in);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t b = 0; b < nb; b++) {
            struct q4_0 block; /* byte i: value i in the low nibble, i + 16 in the high one, as the panel wants it */
            memcpy(&block, rows + r * row_bytes + b * sizeof block, sizeof block);
            scale[b * KERNEL_PANEL + r] = block.d;
            for (size_t v = 0; v < 4; v++)
                memcpy(q + (b * 4 + v) * 64 + r * 4, block.q + 4 * v, 4);
        }
}

static void pack_q8_0(uint8_t *panel, const uint8_t *rows, size_t n_rows, size_t n_in)
{
    size_t nb = n_in / KERNEL_BLOCK, row_bytes = nb * sizeof(struct q8_0);
    f16     *scale = (f16 *)(void *)panel;
    uint8_t *q = panel + kernel_panel_scales(n_in);
    for (size_t r = 0; r < n_rows; r++)
        for (size_t b = 0; b < nb; b++) {
            struct q8_0 block;
            memcpy(&block, rows + r * row_bytes + b * sizeof block, sizeof block);
            scale[b * KERNEL_PANEL + r] = block.d;
            for (size_t v = 0; v < 8; v++) {
                uint32_t four;
                memcpy(&four, block.q + 4 * v, 4);
                four ^= 0x80808080u; /* + 128 */
                memcpy(q + (b * 8 + v) * 64 + r * 4, &four, 4);
            }
        }
}

struct pack {
    const struct weight *w;
    uint8_t             *to;
    const uint8_t       *from;
};

static void pack_share(void *arg, int worker, int n_workers)
{
    struct pack         *p = arg;
    const struct weight *w = p->w;
    size_t panels = (w->n_out + KERNEL_PANEL - 1) / KERNEL_PANEL, row_bytes = w->n_in / KERNEL_BLOCK * quant_info(w->type)->bytes;
    for (size_t i = share_start(panels, worker, n_workers); i < share_start(panels, worker + 1, n_workers); i++) {
        size_t row = i * KERNEL_PANEL, n = w->n_out - row < KERNEL_PANEL ? w->n_out - row : KERNEL_PANEL;
        if (w->type == QUANT_Q4_0)
            pack_q4_0(p->to + i * w->bytes, p->from + row * row_bytes, n, w->n_in);
        else
            pack_q8_0(p->to + i * w->bytes, p->from + row * row_bytes, n, w->n_in);
    }
}

/* Packs w from the file's rows into a slab. */
static int pack(struct weight *w, const void *data, struct err *e)
{
    w->bytes = w->type == QUANT_Q4_0 ? kernel_panel_q4_0(w->n_in) : kernel_panel_q8_0(w->n_in);
    size_t panels = ((size_t)w->n_out + KERNEL_PANEL - 1) / KERNEL_PANEL, bytes;
    void  *to = ck_mul(panels, w->bytes, &bytes) ? slab_get(w->device, &w->slab, bytes) : NULL;
    if (!to)
        return err_set(e, ERR_NO_MEMORY, "device: no memory to pack a weight of %u x %u; close another model", w->n_out, w->n_in);
    struct pack p = {w, to, data};
    device_run(w->device, (double)w->n_out * w->n_in, pack_share, &p);
    w->data = to;
    return 0;
}

int weight_new(struct weight **out, struct device *d, uint32_t type, uint32_t n_out, uint32_t n_in, const void *data, struct err *e)
{
    const struct quant_info *q = quant_info(type);
    if (!q)
        return err_set(e, ERR_FORMAT, "device: weight of number format %u, which this build does not know; convert the file to F16 or Q8_0", type);
    if (n_out == 0 || n_in == 0 || n_out > WEIGHT_DIM_MAX || n_in > WEIGHT_DIM_MAX)
        return err_set(e, ERR_FORMAT, "device: weight of %u x %u, more than %u or nothing at all", n_out, n_in, WEIGHT_DIM_MAX);
    if (n_in % q->block)
        return err_set(e, ERR_FORMAT, "device: rows of %u values are no whole blocks of %s (%u values)", n_in, q->name, q->block);
    struct weight *w = mem_new(sizeof *w);
    if (!w)
        return err_set(e, ERR_NO_MEMORY, "device: no memory for a weight");
    *w = (struct weight){.device = d, .type = type, .n_out = n_out, .n_in = n_in, .data = data, .bytes = (size_t)n_in * q->bytes};
    if (is_packed(type) && pack(w, data, e) < 0) {
        int rc = -(int)ERR_NO_MEMORY;
        mem_free(w);
        return rc;
    }
    *out = w;
    return 0;
}

void weight_free(struct weight *w)
{
    if (!w)
        return;
    if (w->slab)
        slab_put(w->device, w->slab);
    mem_free(w);
}

bool     weight_owns_data(const struct weight *w) { return w->slab != NULL; }
uint32_t weight_out(const struct weight *w) { return w->n_out; }
uint32_t weight_in(const struct weight *w) { return w->n_in; }

/* Row `row` of a packed matrix, as floats. */
static void unpack(float *y, const struct weight *w, size_t row)
{
    const uint8_t *panel = (const uint8_t *)w->data + row / KERNEL_PANEL * w->bytes, *q = panel + kernel_panel_scales(w->n_in);
    const f16     *scale = (const f16 *)(const void *)panel;
    size_t         r = row % KERNEL_PANEL;
    for (size_t b = 0; b < w->n_in / KERNEL_BLOCK; b++) {
        float d = f16_to_f32(scale[b * KERNEL_PANEL + r]);
        for (size_t k = 0; k < KERNEL_BLOCK; k++) {
            int v;
            if (w->type == QUANT_Q4_0) {
                uint8_t byte = q[(b * 4 + k % 16 / 4) * 64 + r * 4 + k % 4];
                v = (k < 16 ? byte & 15 : byte >> 4) - 8;
            } else {
                v = q[(b * 8 + k / 4) * 64 + r * 4 + k % 4] - 128;
            }
            *y++ = d * (float)v;
        }
    }
}

void dev_embed(struct device *d, float *y, const struct weight *w, const int32_t *token, int n)
{
    (void)d;
    for (int i = 0; i < n; i++, y += w->n_in) {
        ASSERT(token[i] >= 0 && (uint32_t)token[i] < w->n_out);
        if (is_packed(w->type))
            unpack(y, w, (size_t)token[i]);
        else
            quant_info(w->type)->decode(y, (const uint8_t *)w->data + (size_t)token[i] * w->bytes, w->n_in);
    }
}
