/* A hash map from byte strings to pointers or integers (SipHash with a per-process key, so that keys chosen by an enemy do not collide).
 * Keys are copied. */
#pragma once
#include "base/str.h"

union map_value {
    void    *ptr;
    int64_t  i64;
    uint64_t u64;
};
struct map_slot;
struct map {
    struct map_slot *slots;
    size_t           n, cap;
};

void map_init(struct map *m);
void map_deinit(struct map *m);
bool map_set(struct map *m, struct str key, union map_value v); /* false: out of memory */
bool map_get(const struct map *m, struct str key, union map_value *out);
bool map_del(struct map *m, struct str key, union map_value *out /* may be NULL */);
/* Walks: start with *it = 0; false at the end. The map must not change meanwhile. */
bool map_next(const struct map *m, size_t *it, struct str *key, union map_value *out);
