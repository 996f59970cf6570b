/* The parameters of a request: params.def is the one table that drives parsing, errors and docs/using/parameters.md.
 * params_read fills struct params, one slot a row; those of other endpoints stay zero. No other code reads raw JSON numbers of a request. */
#pragma once
#include "base/json.h"

typedef struct str         param_STR;
typedef bool               param_BOOL;
typedef int64_t            param_INT;
typedef double             param_NUM;
typedef double             param_OVER;
typedef const struct json *param_ARR;
typedef const struct json *param_OBJ;
typedef const struct json *param_ANY;

enum endpoint { EP_CHAT = 1, EP_COMPLETIONS = 2, EP_EMBEDDINGS = 4, EP_TOKENIZE = 8, EP_DETOKENIZE = 16 };

struct params {
#define PARAM(id, name, endpoints, type, min, max, dflt, use, text)                                                                        \
    param_##type id;                                                                                                                       \
    bool         has_##id;
#include "api/params.def"
#undef PARAM
};

enum { IGNORED_BYTES_MAX = 256 };

/* Reads an object. Values stay borrowed from it. `ignored` (may be NULL) gets the names of unknown fields, ", " between, cut at
 * IGNORED_BYTES_MAX and safe for a header. ERR_BAD_REQUEST, ERR_BAD_VALUE, ERR_UNSUPPORTED with the parameter's name. */
int params_read(struct params *out, enum endpoint ep, const struct json *obj, struct buf *ignored, struct err *e) MUST_USE;
/* The tables as Markdown: docs/using/parameters.md is exactly this. */
void params_markdown(struct buf *out);
