/* The hub: models in. A model's name in the API is an alias; a ref (ref.h) leads from it to repository@revision:file and to the digest of a
 * blob in the content-addressed store (store.h). The price belongs to the alias; usage rows keep both.
 *
 *   sluice add FILE --name NAME     hub_add
 *   sluice list                     ref_list
 *   sluice show NAME, serve         hub_model_path -> gguf_open -> model_shape_read or model_load
 */
#pragma once
#include "hub/ref.h"
#include "hub/store.h"

/* Adds a file of this machine under a name: store_add, then ref_set with repository "local" and the file's last path segment. name empty:
 * the file's name without ".gguf". *out (may be NULL) says what was made. An alias that names another blob already is ERR_CONFLICT
 * unless replace. */
int hub_add(struct store *s, const char *path, struct str name, bool replace, void (*progress)(void *, uint64_t done, uint64_t total), void *arg,
            struct ref *out, struct err *e) MUST_USE;
/* The ref of an alias and the path of its blob. ERR_NO_MODEL for an unknown alias. */
int hub_model_path(const struct store *s, struct str name, struct ref *ref, char path[STORE_PATH_MAX], struct err *e) MUST_USE;
