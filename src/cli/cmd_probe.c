/* sluice probe: the sandboxed reader of a model file that is new; sluice runs it itself for add and pull */
#include "cli/cli_int.h"
#include "hub/probe.h"
#include "model/model.h"

static void take(char *out, size_t cap, const struct modelfile *f, const char *key)
{
    struct str s;
    if (!modelfile_meta(f, key) || modelfile_str(f, key, &s, NULL))
        return;
    for (size_t i = 0; i < s.n && i < cap - 1; i++)
        out[i] = s.p[i] >= 32 && s.p[i] < 127 ? s.p[i] : '?';
}

/* A family that this build has, and a shape that it can run. A part of a split model holds neither all keys nor all tensors: the first is
 * judged by its family, and the whole when it is loaded. */
static int look(struct probe_facts *out, const struct modelfile *f, struct err *e)
{
    struct model_shape shape;
    uint32_t part, parts;
    int rc = modelfile_u32_or(f, "split.no", 0, UINT16_MAX, 0, &part, e);
    if (rc || (rc = modelfile_u32_or(f, "split.count", 0, UINT16_MAX, 1, &parts, e)))
        return rc;
    if (part >= (parts ? parts : 1))
        return err_set(e, ERR_FORMAT, "hub: split.no %u is not below split.count %u; the file is damaged", part, parts);
    take(out->architecture, sizeof out->architecture, f, "general.architecture");
    take(out->name, sizeof out->name, f, "general.name");
    take(out->licence, sizeof out->licence, f, "general.license");
    out->part = part, out->parts = parts ? parts : 1;
    if (out->parts > 1)
        return part == 0 && *out->architecture ? model_family_known(f, e) : 0;
    if ((rc = model_shape_read(&shape, f, e)))
        return rc;
    out->context = shape.n_ctx, out->parameters = shape.n_params;
    str_fmt(out->quantisation, sizeof out->quantisation, "%s", shape.quant);
    return 0;
}

int cmd_probe(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 0, 0, e);
    return rc < 0 ? rc : probe_child(look);
}
