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

/* A family that this build has, and a shape that it can run. One part of a split model holds neither all keys nor all tensors: the first is judged
 * by its family, and the whole when all parts are given. */
static int look(struct probe_facts *out, const struct modelfile *f, struct err *e)
{
    struct model_shape shape;
    int rc = modelfile_part(f, &out->part, &out->parts, e);
    if (rc)
        return rc;
    take(out->architecture, sizeof out->architecture, f, "general.architecture");
    take(out->name, sizeof out->name, f, "general.name");
    take(out->licence, sizeof out->licence, f, "general.license");
    if (out->parts > 1 && f->n_parts < 2)
        return out->part == 0 && *out->architecture ? model_family_known(f, e) : 0;
    if ((rc = model_shape_read(&shape, f, e)))
        return rc;
    out->context = shape.n_ctx, out->parameters = shape.n_params;
    str_fmt(out->quantisation, sizeof out->quantisation, "%s", shape.quant);
    return 0;
}

int cmd_probe(const struct cli *c, struct err *e)
{
    uint64_t n = 1;
    int rc = args_count(c, 0, 1, e);
    if (rc < 0)
        return rc;
    if (c->n_words && !str_u64(str_of(c->word[0]), &n))
        return err_set(e, ERR_USAGE, "how many files? usage: sluice probe < FILE");
    probe_child((size_t)n, look);
}
