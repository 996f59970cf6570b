/* A set of byte strings that is walked byte by byte: all tokens that a text begins with, in one go. The children of all nodes stand in one
 * open-addressing table under (node, byte). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trie_edge {
    uint32_t node; /* 0: an empty slot, as the root is nobody's child */
    uint32_t from;
    int32_t value; /* what ends at the node; -1: nothing */
    uint8_t byte;
};
struct trie {
    struct trie_edge *edges;
    size_t cap;
    uint32_t n; /* nodes beside the root */
    uint64_t key;
};

bool trie_init(struct trie *t, size_t bytes_max); /* room for strings of so many bytes together; false: no memory */
void trie_deinit(struct trie *t);
void trie_add(struct trie *t, const char *p, size_t n, int32_t value); /* n > 0; of two equal strings the last one counts */
/* Steps from *node (0: the root) along byte; false when nothing goes on there. *value is -1 when no string ends there. */
bool trie_step(const struct trie *t, uint32_t *node, uint8_t byte, int32_t *value);
