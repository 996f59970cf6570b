#include "base/hash.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

struct sha256_ctx { EVP_MD_CTX *md; };

struct sha256_ctx *sha256_new(void)
{
    struct sha256_ctx *c = mem_must(sizeof *c);
    c->md = EVP_MD_CTX_new();
    ASSERT(c->md && EVP_DigestInit_ex(c->md, EVP_sha256(), NULL) == 1);
    return c;
}

void sha256_add(struct sha256_ctx *c, const void *p, size_t n) { ASSERT(EVP_DigestUpdate(c->md, p, n) == 1); }

void sha256_free(struct sha256_ctx *c, struct sha256 *out)
{
    if (out)
        ASSERT(EVP_DigestFinal_ex(c->md, out->b, NULL) == 1);
    EVP_MD_CTX_free(c->md);
    mem_free(c);
}

struct sha1_ctx { EVP_MD_CTX *md; };

struct sha1_ctx *sha1_new(void)
{
    struct sha1_ctx *c = mem_must(sizeof *c);
    c->md = EVP_MD_CTX_new();
    ASSERT(c->md && EVP_DigestInit_ex(c->md, EVP_sha1(), NULL) == 1);
    return c;
}

void sha1_add(struct sha1_ctx *c, const void *p, size_t n) { ASSERT(EVP_DigestUpdate(c->md, p, n) == 1); }

void sha1_free(struct sha1_ctx *c, struct sha1 *out)
{
    if (out)
        ASSERT(EVP_DigestFinal_ex(c->md, out->b, NULL) == 1);
    EVP_MD_CTX_free(c->md);
    mem_free(c);
}

void sha256(struct sha256 *out, const void *p, size_t n) { ASSERT(EVP_Digest(p, n, out->b, NULL, EVP_sha256(), NULL) == 1); }

int sha256_file(struct sha256 *out, const char *path, void (*progress)(void *, uint64_t, uint64_t), void *arg, struct err *e)
{
    enum { CHUNK = 1 << 20 };
    struct stat st;
    int         fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int rc = err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    char              *chunk = mem_new(CHUNK);
    struct sha256_ctx *c = sha256_new();
    uint64_t           done = 0;
    ssize_t            n = -1;
    while (chunk && (n = read(fd, chunk, CHUNK)) > 0) {
        sha256_add(c, chunk, (size_t)n);
        done += (uint64_t)n;
        if (progress)
            progress(arg, done, (uint64_t)st.st_size);
    }
    int rc = !chunk ? err_set(e, ERR_NO_MEMORY, "hash: no memory to read %s", path)
             : n < 0 ? err_set(e, ERR_IO, "%s: %s", path, strerror(errno)) : 0;
    sha256_free(c, rc == 0 ? out : NULL);
    mem_free(chunk);
    close(fd);
    return rc;
}

void hmac_sha256(struct sha256 *out, const void *key, size_t n_key, const void *p, size_t n)
{
    unsigned len = sizeof out->b;
    ASSERT(n_key <= INT32_MAX && HMAC(EVP_sha256(), key, (int)n_key, p, n, out->b, &len) && len == sizeof out->b);
}

/* Eight bytes at once: crc_table[k][b] is what byte b does to the sum k bytes later. */
static uint32_t crc_table[8][256];

__attribute__((constructor)) static void crc_tables(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t c = b;
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (0xEDB88320u & (0u - (c & 1)));
        crc_table[0][b] = c;
    }
    for (uint32_t b = 0; b < 256; b++)
        for (int k = 1; k < 8; k++)
            crc_table[k][b] = crc_table[k - 1][b] >> 8 ^ crc_table[0][crc_table[k - 1][b] & 255];
}

uint32_t crc32_of(const void *data, size_t n)
{
    const uint8_t *p = data;
    uint32_t       c = 0xFFFFFFFFu, lo, hi;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&lo, p, 4), memcpy(&hi, p + 4, 4);
        lo ^= c;
        c = crc_table[7][lo & 255] ^ crc_table[6][lo >> 8 & 255] ^ crc_table[5][lo >> 16 & 255] ^ crc_table[4][lo >> 24] ^ crc_table[3][hi & 255] ^
            crc_table[2][hi >> 8 & 255] ^ crc_table[1][hi >> 16 & 255] ^ crc_table[0][hi >> 24];
    }
    for (; n; p++, n--)
        c = c >> 8 ^ crc_table[0][(c ^ *p) & 255];
    return ~c;
}

/* SipHash-2-4 (Aumasson and Bernstein, 2012). */
static inline uint64_t rotl(uint64_t v, int b) { return v << b | v >> (64 - b); }
__attribute__((always_inline)) static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = rotl(v[1], 13) ^ v[0], v[0] = rotl(v[0], 32);
    v[2] += v[3], v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotl(v[1], 17) ^ v[2], v[2] = rotl(v[2], 32);
}

uint64_t siphash(const uint8_t key[16], const void *data, size_t n)
{
    const uint8_t *p = data;
    uint64_t       k[2], m;
    memcpy(k, key, 16);
    uint64_t v[4] = {k[0] ^ 0x736f6d6570736575ull, k[1] ^ 0x646f72616e646f6dull, k[0] ^ 0x6c7967656e657261ull, k[1] ^ 0x7465646279746573ull};
    size_t   left = n;
    for (; left >= 8; p += 8, left -= 8) {
        memcpy(&m, p, 8);
        v[3] ^= m, sip_round(v), sip_round(v), v[0] ^= m;
    }
    m = 0;
    if (left)
        memcpy(&m, p, left);
    m |= (uint64_t)n << 56;
    v[3] ^= m, sip_round(v), sip_round(v), v[0] ^= m;
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void random_bytes(void *out, size_t n)
{
    char *p = out;
    while (n) {
        ssize_t k = getrandom(p, n, 0);
        if (k < 0 && errno == EINTR)
            continue;
        ASSERT(k > 0);
        p += k, n -= (size_t)k;
    }
}

bool const_eq(const void *a, const void *b, size_t n) { return CRYPTO_memcmp(a, b, n) == 0; }
