/* Refs: a model's name in the API (an alias) -> repository@revision:file -> the digest of a blob. One small JSON file each, replaced
 * atomically; the alias, percent-encoded, is the file's name, so that "org/model" stays one flat file:
 *
 *   DIR/refs/org%2Fmodel.json   {"name", "repository", "revision", "file", "digest": "sha256:...", "size", "created": microseconds} */
#pragma once
#include "base/str.h"
#include "hub/store.h"

enum { REF_NAME_MAX = 128, REF_FIELD_MAX = 255 };
struct ref {
    char          name[REF_NAME_MAX + 1];        /* "guide", "org/model" */
    char          repository[REF_FIELD_MAX + 1]; /* "local" for a file added by hand */
    char          revision[REF_FIELD_MAX + 1];   /* "" where there is none */
    char          file[REF_FIELD_MAX + 1];       /* the file's name in the repository, no folder of this machine */
    struct sha256 digest;
    uint64_t      size;
    int64_t       created_us; /* wall clock; 0 in ref_set: now */
};

/* 1 to REF_NAME_MAX bytes of UTF-8, no control characters, no backslash, no leading or final blank, no segment between slashes that is
 * empty, "." or "..". ERR_BAD_VALUE says which rule a name breaks. */
int ref_name_check(struct str name, struct err *e) MUST_USE;
/* Makes or replaces; the blob must be in the store. */
int ref_set(struct store *s, const struct ref *r, struct err *e) MUST_USE;
int ref_get(const struct store *s, struct str name, struct ref *out, struct err *e) MUST_USE; /* ERR_NO_MODEL when absent */
/* All refs, by name; *out is the caller's (mem_free). A file that is not a ref is left out and logged. */
int ref_list(const struct store *s, struct ref **out, size_t *n, struct err *e) MUST_USE;
int ref_delete(struct store *s, struct str name, struct err *e) MUST_USE; /* ERR_NO_MODEL when absent; the blob stays */
/* Whether some ref names the blob. */
int ref_uses(const struct store *s, const struct sha256 *digest, bool *used, struct err *e) MUST_USE;
