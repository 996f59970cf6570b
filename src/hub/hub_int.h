#pragma once
#include "hub/hub.h"
#include "hub/remote.h"

const char *store_dir(const struct store *s);
/* endpoint.c: the hub's address and token. ERR_BAD_VALUE names the variable at fault. */
int endpoint_open(struct remote *r, const char *from, const char *token_file, struct err *e) MUST_USE;
