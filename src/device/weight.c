/* Weights: quantised matrices are packed into panels (kernel/panel.h draws them); float matrices stay where the file is mapped. */
#include "device/device_int.h"
#include "device/packed.h"
#include "base/mem.h"
#include <string.h>

struct pack {
    const struct weight *w;
    uint8_t             *to; /* zeros: a slab never gives the same bytes twice */
    const uint8_t       *from;
};

static void pack_share(void *arg, int worker, int n_workers)
{
    struct pack             *p = arg;
    const struct weight     *w = p->w;
    const struct quant_info *q = quant_info(w->type);
    struct kernel_panel      at = kernel_panel(q->form, w->n_in);
    size_t panels = (w->n_out + KERNEL_PANEL - 1) / KERNEL_PANEL, blocks = w->n_in / q->block, row_bytes = blocks * q->bytes;
    for (size_t i = share_start(panels, worker, n_workers); i < share_start(panels, worker + 1, n_workers); i++) {
        size_t row = i * KERNEL_PANEL, n = w->n_out - row < KERNEL_PANEL ? w->n_out - row : KERNEL_PANEL;
        if (pack_rows(w->type, p->to + i * at.bytes, at, p->from + row * row_bytes, n, blocks, q->bytes))
            continue;
        for (size_t r = 0; r < n; r++)
            for (size_t b = 0; b < blocks; b++) {
                struct quant_parts parts;
                q->split(&parts, p->from + (row + r) * row_bytes + b * q->bytes);
                kernel_panel_put(p->to + i * at.bytes, q->form, at, b, r, &parts);
            }
    }
}

size_t weight_panel_bytes(const struct weight *w)
{
    return ((size_t)w->n_out + KERNEL_PANEL - 1) / KERNEL_PANEL * w->bytes;
}

/* Takes w's panels from the file that keeps them, or packs the rows into a slab. */
static int pack(struct weight *w, struct packed *kept, uint64_t id, const void *data, struct err *e)
{
    w->bytes = kernel_panel(quant_info(w->type)->form, w->n_in).bytes;
    size_t panels = ((size_t)w->n_out + KERNEL_PANEL - 1) / KERNEL_PANEL, bytes;
    bool ok = ck_mul(panels, w->bytes, &bytes);
    if (ok && kept && (w->data = packed_take(kept, id, w, bytes))) {
        w->kept = kept;
        return 0;
    }
    void  *to = ok ? slab_get(w->device, &w->slab, bytes) : NULL;
    if (!to)
        return err_set(e, ERR_NO_MEMORY, "device: no memory to pack a weight of %u x %u; close another model", w->n_out, w->n_in);
    struct pack p = {w, to, data};
    device_run(w->device, (double)w->n_out * w->n_in, pack_share, &p);
    w->data = to;
    return 0;
}

int weight_new(struct weight **out, struct device *d, uint32_t type, uint32_t n_out, uint32_t n_in, const void *data, struct err *e)
{
    return packed_weight(out, d, NULL, 0, type, n_out, n_in, data, e);
}

int packed_weight(struct weight **out, struct device *d, struct packed *kept, uint64_t id, uint32_t type, uint32_t n_out, uint32_t n_in,
                  const void *data, struct err *e)
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
    if (q->split && pack(w, kept, id, data, e) < 0) {
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
    packed_close(w->kept);
    mem_free(w);
}

bool     weight_owns_data(const struct weight *w) { return weight_is_packed(w); }
uint64_t weight_packed_bytes(const struct weight *w) { return weight_is_packed(w) ? weight_panel_bytes(w) : 0; }
uint32_t weight_out(const struct weight *w) { return w->n_out; }
uint32_t weight_in(const struct weight *w) { return w->n_in; }

/* Row `row` of a packed matrix, as floats. */
static void unpack(float *y, const struct weight *w, size_t row)
{
    struct quant_form   f = quant_info(w->type)->form;
    struct kernel_panel at = kernel_panel(f, w->n_in);
    for (size_t b = 0; b < w->n_in / f.block; b++, y += f.block) {
        struct quant_parts parts;
        kernel_panel_get(&parts, (const uint8_t *)w->data + row / KERNEL_PANEL * at.bytes, f, at, b, row % KERNEL_PANEL);
        quant_parts_decode(y, &parts, &f);
    }
}

void dev_embed(struct device *d, float *y, const struct weight *w, const int32_t *token, int n)
{
    (void)d;
    for (int i = 0; i < n; i++, y += w->n_in) {
        ASSERT(token[i] >= 0 && (uint32_t)token[i] < w->n_out);
        if (weight_is_packed(w))
            unpack(y, w, (size_t)token[i]);
        else
            quant_info(w->type)->decode(y, (const uint8_t *)w->data + (size_t)token[i] * w->bytes, w->n_in);
    }
}
