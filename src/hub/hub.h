/* The hub: models in. A model's name in the API is an alias; a ref (ref.h) leads from it to repository@revision:file and to the digest of a
 * blob in the content-addressed store (store.h), or to several of a split model. The price belongs to the alias; usage rows keep both.
 *
 *   sluice pull ORG/NAME            hub_pull (pull.h)
 *   sluice add FILE --name NAME     hub_add
 *   sluice list                     ref_list
 *   sluice show NAME, serve         hub_model_open -> paths -> gguf_open
 *   sluice rm NAME                  hub_remove */
#pragma once
#include "hub/ref.h"
#include "hub/store.h"

/* Adds a file of this machine under a name: store_add, then ref_set with repository "local" and the file's last path segment. Of a split model
 * (NAME-00001-of-0000N.gguf) any part stands for all; the others lie beside it. name empty: the file's name without ".gguf" and without the
 * number of the part. *out (may be NULL) says what was made. An alias that names other content already is ERR_CONFLICT unless replace. */
int hub_add(struct store *s, const char *path, struct str name, bool replace, void (*progress)(void *, uint64_t done, uint64_t total), void *arg,
            struct ref *out, struct err *e) MUST_USE;

/* The ref of an alias and the paths of its blobs, in order. Needs hub_model_close when it succeeded. ERR_NO_MODEL for an unknown alias. */
struct hub_model {
    struct ref ref;
    size_t     n;
    char     **path;
    struct sha256 packed_key; /* of its packed weights: what all its blobs are */
};
int  hub_model_open(struct hub_model *out, const struct store *s, struct str name, struct err *e) MUST_USE;
void hub_model_close(struct hub_model *m);

/* Takes the name away, and its blobs and packed weights when no other name leads to them. freed: bytes of what was removed. ERR_NO_MODEL;
 * ERR_CONFLICT while a process has the model loaded (it holds a shared flock on each blob), unless force: then the server sees the name go, and
 * what it has mapped stays until it lets go. */
int hub_remove(struct store *s, struct str name, bool force, uint64_t *freed, struct err *e) MUST_USE;
/* Bytes of the packed weights that are kept of a model, of all ways of packing; 0: none. */
uint64_t hub_packed_bytes(const struct store *s, const struct hub_model *m);
/* Sets a ref under the store's lock after the rule of hub_add about aliases (and a pull moves its own repository's name on); r->created_us stays
 * when the content stays. The parts of a split model are checked together first. *was_new may be NULL. */
int hub_name(struct store *s, struct ref *r, const struct ref_part *parts, size_t n, bool replace, bool *was_new, struct err *e) MUST_USE;
/* ERR_CONFLICT when r->name means other content than digest, and may not be taken. */
int hub_name_free(const struct store *s, const struct ref *r, const struct sha256 *digest, bool replace, struct err *e) MUST_USE;
/* Removes those of the blobs that no ref names and no process holds: what was added for a name that was then not set. */
void hub_drop(struct store *s, const struct ref_part *parts, size_t n);
