/* Refs: a model's name in the API (an alias) -> repository@revision:file -> the digest of a blob. One small JSON file each, replaced
 * atomically; the alias, percent-encoded, is the file's name, so that "org/model" stays one flat file:
 *
 *   DIR/refs/org%2Fmodel.json   {"name", "repository", "revision", "file", "digest": "sha256:...", "size", "created": microseconds,
 *                                "licence" (where known), "parts": [{"digest", "size"}, ...] (of a split model)}
 *
 * The digest of a whole model is its blob's. That of a split one is the SHA-256 of the lines "sha256:<hex>\n" of its parts, in order: it names
 * the content, and no blob. */
#pragma once
#include "base/str.h"
#include "hub/store.h"

enum { REF_NAME_MAX = 128, REF_FIELD_MAX = 255, REF_PARTS_MAX = 256 };
struct ref {
    char          name[REF_NAME_MAX + 1];        /* "guide", "org/model" */
    char          repository[REF_FIELD_MAX + 1]; /* "local" for a file added by hand */
    char          revision[REF_FIELD_MAX + 1];   /* "" where there is none */
    char          file[REF_FIELD_MAX + 1];       /* the file's name in the repository, no folder of this machine */
    char          licence[64];                   /* as the hub or the file says; "" unknown */
    struct sha256 digest;
    uint64_t      size;    /* of all parts */
    uint32_t      n_parts; /* 1: whole; 0 in ref_set: 1 */
    int64_t       created_us; /* wall clock; 0 in ref_set: now */
};

/* 1 to REF_NAME_MAX bytes of UTF-8, no control characters, no backslash, no leading or final blank, no segment between slashes that is
 * empty, "." or "..". ERR_BAD_VALUE says which rule a name breaks. */
int ref_name_check(struct str name, struct err *e) MUST_USE;
/* Makes or replaces; the blob must be in the store. */
int ref_set(struct store *s, const struct ref *r, struct err *e) MUST_USE;
/* As ref_set, of n parts: digest, size and n_parts follow from them. */
int ref_set_parts(struct store *s, struct ref *r, const struct ref_part *parts, size_t n, struct err *e) MUST_USE;
/* The digest of a model of these parts. */
void ref_digest(struct sha256 *out, const struct ref_part *parts, size_t n);
/* The blobs of a ref, in order; *parts is the caller's (mem_free). */
int ref_parts(const struct store *s, struct str name, struct ref *out, struct ref_part **parts, size_t *n, struct err *e) MUST_USE;
/* The bytes of a ref file: parts may be NULL. ERR_IO when they are no ref. */
int ref_read(struct ref *out, struct ref_part **parts, const char *p, size_t n, struct err *e) MUST_USE;
int ref_get(const struct store *s, struct str name, struct ref *out, struct err *e) MUST_USE; /* ERR_NO_MODEL when absent */
/* All refs, by name; *out is the caller's (mem_free). A file that is not a ref is left out and logged. */
int ref_list(const struct store *s, struct ref **out, size_t *n, struct err *e) MUST_USE;
int ref_delete(struct store *s, struct str name, struct err *e) MUST_USE; /* ERR_NO_MODEL when absent; the blob stays */
/* Whether some ref names the blob, as its whole or as a part. */
int ref_uses(const struct store *s, const struct sha256 *digest, bool *used, struct err *e) MUST_USE;
