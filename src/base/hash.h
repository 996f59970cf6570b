/* Digests, random bytes and comparisons that take constant time (hash.c is the only file that sees OpenSSL's digests). */
#pragma once
#include "base/err.h"
#include <stdint.h>

struct sha256 { uint8_t b[32]; };
struct sha256_ctx;

int  sha256_file(struct sha256 *out, const char *path, void (*progress)(void *, uint64_t done, uint64_t total), void *arg, struct err *e) MUST_USE;
void sha256(struct sha256 *out, const void *p, size_t n);
struct sha256_ctx *sha256_new(void);
void sha256_add(struct sha256_ctx *c, const void *p, size_t n);
void sha256_free(struct sha256_ctx *c, struct sha256 *out /* may be NULL */);
/* SHA-1, for git's names of contents alone: they are compared, never trusted against an enemy who can choose both. */
struct sha1 { uint8_t b[20]; };
struct sha1_ctx;
struct sha1_ctx *sha1_new(void);
void sha1_add(struct sha1_ctx *c, const void *p, size_t n);
void sha1_free(struct sha1_ctx *c, struct sha1 *out /* may be NULL */);
void hmac_sha256(struct sha256 *out, const void *key, size_t n_key, const void *p, size_t n);
uint32_t crc32_of(const void *p, size_t n); /* IEEE 802.3 */
uint64_t siphash(const uint8_t key[16], const void *p, size_t n);
void random_bytes(void *out, size_t n); /* aborts when the kernel has none */
bool const_eq(const void *a, const void *b, size_t n);
