/* What a person writes to name a model on a hub: ORG/NAME[:FILE or QUANT][@REVISION]
 *
 *   Qwen/Qwen2.5-0.5B-Instruct-GGUF            the default choice (pick.h)
 *   Qwen/Qwen2.5-0.5B-Instruct-GGUF:q8_0       a quantisation, case ignored
 *   org/name:sub/folder/model-Q4_K_M.gguf@v1   a file, at a branch, tag or commit */
#pragma once
#include "base/err.h"

enum { SPEC_PART_MAX = 96, SPEC_TAG_MAX = 255, SPEC_REVISION_MAX = 100 };
struct spec {
    char org[SPEC_PART_MAX + 1], name[SPEC_PART_MAX + 1];
    char tag[SPEC_TAG_MAX + 1];           /* "": none */
    char revision[SPEC_REVISION_MAX + 1]; /* "": the hub's default */
};
int spec_parse(struct spec *out, const char *text, struct err *e) MUST_USE; /* ERR_BAD_VALUE */
