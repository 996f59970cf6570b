/* The store: model files kept by content. A blob is named by the SHA-256 of its bytes, is read-only (0444) and never rewritten, so that a
 * process may map it for as long as it likes (a mapped file that shrinks kills its reader), and equal files are kept once.
 *
 *   DIR/blobs/sha256/<64 hex digits>   one file a blob
 *   DIR/refs/<name>.json               see ref.h
 *   DIR/tmp/<random>                   a blob that is being written; its writer holds a lock on it
 *
 * A blob appears by rename, after its last byte is on disk: a process killed in the middle leaves nothing visible, and its unfinished
 * file goes when the store is opened next. Several processes may use one store. */
#pragma once
#include "base/err.h"
#include "base/hash.h"
#include <stdint.h>

struct store;
enum { STORE_PATH_MAX = 4096 };

/* Opens the store in dir, made if absent. dir: DATA/hub. */
int  store_open(struct store **out, const char *dir, struct err *e) MUST_USE;
void store_close(struct store *s);

/* Copies a GGUF file into the store and says its digest and size. The file is parsed first: what is not a sound GGUF file is ERR_FORMAT and
 * never becomes a blob. Adding what is there already is success. progress (may be NULL) is called with bytes done and their total. */
int store_add(struct store *s, const char *path, void (*progress)(void *, uint64_t done, uint64_t total), void *arg, struct sha256 *digest,
              uint64_t *size, struct err *e) MUST_USE;
/* The path of a blob, for gguf_open: the only function that makes one. ERR_NOT_FOUND when the blob is not there. */
int store_path(const struct store *s, const struct sha256 *digest, char out[STORE_PATH_MAX], struct err *e) MUST_USE;
/* Removes a blob. The caller knows that no ref names it (ref_uses); readers that have it open keep it. */
int store_delete(struct store *s, const struct sha256 *digest, struct err *e) MUST_USE;
