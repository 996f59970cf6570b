/* The store: model files kept by content. A blob is named by the SHA-256 of its bytes, is read-only (0444) and never rewritten, so that a
 * process may map it for as long as it likes (a mapped file that shrinks kills its reader), and equal files are kept once.
 *
 *   DIR/blobs/sha256/<64 hex digits>   one file a blob
 *   DIR/refs/<name>.json               see ref.h
 *   DIR/packed/<64 hex digits>-...     packed weights of a model, a file for each way of packing (device/packed.h): made and made again at
 *                                      will, nothing depends on them
 *   DIR/tmp/<random>                   a blob that is being written; its writer holds a lock on it
 *   DIR/partial/<digest>.*             a file that is being fetched, see partial.h
 *   DIR/lock                           held while refs and blobs change together (store_lock)
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

/* What a file must pass before it becomes a blob, and the files of a split model together before a name leads to them; fds are open for
 * reading. NULL (the default): one GGUF file is parsed in this process. The program sets one that reads in a sandbox (probe.h). */
typedef int (*store_check_fn)(void *arg, const int *fds, size_t n, struct err *e);
void store_check_set(struct store *s, store_check_fn check, void *arg);
int  store_check(const struct store *s, int fd, const char *path, struct err *e) MUST_USE;
/* Blobs, together; of one alone nothing is left to check. */
int  store_check_parts(const struct store *s, const struct sha256 *digest, size_t n, struct err *e) MUST_USE;

/* Copies a GGUF file into the store and says its digest and size. The file is parsed first: what is not a sound GGUF file is ERR_FORMAT and
 * never becomes a blob. Adding what is there already is success. progress (may be NULL) is called with bytes done and their total. */
int store_add(struct store *s, const char *path, void (*progress)(void *, uint64_t done, uint64_t total), void *arg, struct sha256 *digest,
              uint64_t *size, struct err *e) MUST_USE;
/* The path of a blob, for gguf_open: the only function that makes one. ERR_NOT_FOUND when the blob is not there. */
int store_path(const struct store *s, const struct sha256 *digest, char out[STORE_PATH_MAX], struct err *e) MUST_USE;
void store_blobs(const struct store *s, char out[STORE_PATH_MAX]); /* the folder of all blobs: for a backup of them */
bool store_has(const struct store *s, const struct sha256 *digest, uint64_t size); /* the blob is there, of that size */
/* Makes the finished file at path (open as fd, on the store's file system, hashed and checked by the caller) a blob: synced, made read-only,
 * renamed. A blob that is there already stays, and the file goes. */
int store_publish(const struct store *s, int fd, const char *path, const struct sha256 *digest, uint64_t size, struct err *e) MUST_USE;
/* Removes a blob. The caller knows that no ref names it (ref_uses); readers that have it open keep it. */
int store_delete(struct store *s, const struct sha256 *digest, struct err *e) MUST_USE;

/* The stem of the files in which packed weights of the model with this key (hub_model.packed_key) are kept, whether or not there are any. */
void store_packed_path(const struct store *s, const struct sha256 *key, char out[STORE_PATH_MAX]);
uint64_t store_packed_bytes(const struct store *s, const struct sha256 *key); /* of all of them that are whole */
/* Removes all packed weights but those of keys (n). Who has them mapped keeps them. freed grows by their bytes. */
int store_packed_sweep(struct store *s, const struct sha256 *keys, size_t n, uint64_t *freed, struct err *e) MUST_USE;

/* ERR_CONFLICT while a process holds the blob; success also when it is not there. */
int store_idle(const struct store *s, const struct sha256 *digest, struct err *e) MUST_USE;

/* Blobs written more than so many days ago; *out is the caller's (mem_free). */
struct ref_part { /* one blob */
    struct sha256 digest;
    uint64_t      size;
};
int store_old_blobs(const struct store *s, uint32_t days, struct ref_part **out, size_t *n, struct err *e) MUST_USE;

/* A lock on the whole store, shared or exclusive; waits. Refs and the blobs that they name change together under the exclusive one.
 * store_unlock closes fd. */
int  store_lock(const struct store *s, bool exclusive, int *fd, struct err *e) MUST_USE;
void store_unlock(int fd);
