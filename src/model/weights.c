/* Tensors by name: present, of the shape that the family needs, of a type that this build computes with; then onto the device. */
#include "model/model_int.h"
#include "base/hash.h"
#include "base/mem.h"
#include <stdio.h>
#include <string.h>

enum { LOADER_PARTS_MAX = 3 }; /* matrices in one tensor */

int loader_init(struct loader *ld, const struct modelfile *f, struct device *dev, struct err *e)
{
    *ld = (struct loader){.f = f, .dev = dev};
    ld->used = mem_new(f->n_tensors ? f->n_tensors : 1);
    if (dev && f->n_tensors <= PACKED_ITEMS_MAX / LOADER_PARTS_MAX)
        ld->items_max = f->n_tensors * LOADER_PARTS_MAX;
    ld->items = ld->items_max ? mem_array(ld->items_max, sizeof *ld->items) : NULL;
    for (size_t i = 0; i < f->n_tensors; i++)
        ld->total += f->tensors[i].bytes; /* cannot overflow: they lie side by side in one file */
    if (ld->used && (ld->items || !ld->items_max))
        return 0;
    mem_free(ld->used);
    mem_free(ld->items);
    return err_set(e, ERR_NO_MEMORY, "model: no memory to load %zu tensors", f->n_tensors);
}

void loader_deinit(struct loader *ld)
{
    mem_free(ld->used);
}

/* Finds and checks; *out NULL: absent, and that is allowed. */
static int find(struct loader *ld, const struct tensor **out, const char *name, uint32_t n_out, uint32_t n_in, enum need need, struct err *e)
{
    const struct tensor *t = need == NONE ? NULL : modelfile_tensor(ld->f, name);
    *out = t;
    if (!t)
        return need != NEED ? 0 : err_set(e, ERR_FORMAT, "model: tensor %s is missing; the file is incomplete, convert or download it again", name);
    if (t->ne[0] != n_in || t->ne[1] != n_out || t->ne[2] != 1 || t->ne[3] != 1)
        return err_set(e, ERR_FORMAT, "model: tensor %s has the shape %llu x %llu, where the metadata ask for %u x %u; the file is damaged", name,
                       (unsigned long long)t->ne[0], (unsigned long long)t->ne[1], n_in, n_out);
    if (!quant_info(t->type)) {
        const struct tensor_type *ty = tensor_type(t->type);
        char number[24];
        snprintf(number, sizeof number, "number %u", t->type);
        return err_set(e, ERR_FORMAT, "model: tensor %s has the type %s, which this build does not compute with; take a Q4_K_M, Q8_0 or F16 file",
                       name, ty ? ty->name : number);
    }
    uint64_t values = t->ne[0] * t->ne[1]; /* both are 31 bits */
    ld->n_params += values;
    if (t->type < sizeof ld->by_type / sizeof *ld->by_type)
        ld->by_type[t->type] += values;
    ld->used[t - ld->f->tensors] = 1;
    return 0;
}

static void told(struct loader *ld, const struct tensor *t)
{
    ld->done += t->bytes;
    if (ld->progress)
        ld->progress(ld->arg, ld->done, ld->total);
}

struct tname {
    char z[96];
};
static struct tname name_of(const char *tail, int layer)
{
    struct tname n;
    if (layer < 0)
        snprintf(n.z, sizeof n.z, "%s", tail);
    else
        snprintf(n.z, sizeof n.z, "blk.%d.%s", layer, tail);
    return n;
}

/* Matrix number `part` of a tensor. What was packed is not wanted any more of the file. */
static int load(struct loader *ld, struct weight **out, const struct tensor *t, const char *name, int part, uint32_t n_out, uint32_t n_in,
                const void *data, struct err *e)
{
    static const uint8_t key[16];
    uint64_t id = siphash(key, name, strlen(name)) + (uint64_t)part;
    int rc = packed_weight(out, ld->dev, ld->kept, id, t->type, n_out, n_in, data, e);
    if (rc)
        return err_wrap(e, "model: tensor %s", name);
    if (weight_owns_data(*out))
        modelfile_drop(ld->f, data, t->bytes / t->ne[1] * n_out);
    if (ld->n_items < ld->items_max)
        ld->items[ld->n_items++] = (struct packed_item){id, *out};
    return 0;
}

int load_matrix(struct loader *ld, struct weight **out, const char *tail, int layer, uint32_t n_out, uint32_t n_in, enum need need, struct err *e)
{
    const struct tensor *t;
    struct tname name = name_of(tail, layer);
    int rc = find(ld, &t, name.z, n_out, n_in, need, e);
    if (rc || !t || !ld->dev)
        return rc;
    if ((rc = load(ld, out, t, name.z, 0, n_out, n_in, t->data, e)))
        return rc;
    told(ld, t);
    return 0;
}

int load_stacked(struct loader *ld, const struct part *parts, int n_parts, const char *tail, int layer, uint32_t n_in, struct err *e)
{
    const struct tensor *t;
    struct tname name = name_of(tail, layer);
    uint32_t rows = 0; /* a few times a limit of model_int.h at most */
    for (int i = 0; i < n_parts; i++)
        rows += parts[i].rows;
    int rc = find(ld, &t, name.z, rows, n_in, NEED, e);
    if (rc || !ld->dev)
        return rc;
    const char *data = t->data;
    for (int i = 0; i < n_parts; i++) {
        if ((rc = load(ld, parts[i].out, t, name.z, i, parts[i].rows, n_in, data, e)))
            return rc;
        data += t->bytes / rows * parts[i].rows;
    }
    told(ld, t);
    return 0;
}

bool loader_has(const struct loader *ld, const char *tail, int layer)
{
    return modelfile_tensor(ld->f, name_of(tail, layer).z) != NULL;
}

static int decode(struct loader *ld, float **out, const struct tensor *t, uint32_t n, const char *name, struct err *e)
{
    if (!(*out = mem_array(n, sizeof **out)))
        return err_set(e, ERR_NO_MEMORY, "model: no memory for tensor %s", name);
    quant_info(t->type)->decode(*out, t->data, n);
    told(ld, t);
    return 0;
}

int load_vector(struct loader *ld, float **out, const char *tail, int layer, uint32_t n, enum need need, struct err *e)
{
    const struct tensor *t;
    struct tname name = name_of(tail, layer);
    int rc = find(ld, &t, name.z, 1, n, need, e);
    if (rc || !t || !ld->dev)
        return rc;
    return decode(ld, out, t, n, name.z, e);
}

int loader_finish(struct loader *ld, struct err *e)
{
    for (size_t i = 0; i < ld->f->n_tensors; i++) {
        struct str n = ld->f->tensors[i].name;
        if (!ld->used[i])
            return err_set(e, ERR_FORMAT,
                           "model: tensor %.*s is not part of this family as this build computes it; leaving it out would give wrong answers",
                           (int)(n.n < 64 ? n.n : 64), n.p);
    }
    return 0;
}

const char *loader_quant(const struct loader *ld)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i < sizeof ld->by_type / sizeof *ld->by_type; i++)
        if (ld->by_type[i] > ld->by_type[best])
            best = i;
    return quant_info(best) ? quant_info(best)->name : "";
}
