/* The manifest of a backup: a line for each file with its SHA-256, in the form of sha256sum(1), so that `sha256sum -c MANIFEST` checks a backup
 * without us. It is written last, so that a folder without one is no backup, and ends with its own count, so that a cut one is none either.
 *
 *   # sluice backup 1, 2026-11-26T19:00:00.000000Z
 *   <64 hex digits>  ledger/ledger.db
 *   ...
 *   # end, 7 files
 *
 * Paths begin with ledger/, refs/ or blobs/, or are sluice.conf; no part of them is empty, "." or "..". */
#pragma once
#include "base/buf.h"
#include "base/hash.h"
#include "base/str.h"
#include "base/vec.h"

#define MANIFEST_NAME "MANIFEST"
enum { MANIFEST_BYTES_MAX = 64 << 20, MANIFEST_PATH_MAX = 512 };
struct manifest_file {
    struct sha256 digest;
    char         *path;
};
struct manifest VEC(struct manifest_file);

int  manifest_add(struct manifest *m, const char *path, const struct sha256 *digest, struct err *e) MUST_USE;
void manifest_write(const struct manifest *m, struct buf *out);
int  manifest_parse(struct manifest *m, struct str text, struct err *e) MUST_USE; /* m is empty before; deinit it also after an error */
void manifest_deinit(struct manifest *m);
