#include "text/charsmap.h"
#include "base/mem.h"
#include "text/work.h"
#include <string.h>

static uint32_t label(uint32_t unit)
{
    return unit & (1u << 31 | 0xff);
}
static uint32_t offset(uint32_t unit)
{
    return (unit >> 10) << ((unit & 1u << 9) >> 6);
}
static bool has_value(uint32_t unit)
{
    return unit >> 8 & 1;
}

static int bad(const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "vocab: tokenizer.ggml.precompiled_charsmap %s; convert the model again", what);
}

static uint32_t read_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Every value is the start of a replacement, every node's children lie inside the array. So a match needs no further checks but the last
 * block's end. */
static int check(const struct charsmap *m, struct err *e)
{
    for (size_t i = 0; i < m->n_units; i++) {
        uint32_t u = m->unit[i];
        if (u >> 31 ? (u & 0x7fffffff) >= m->n_texts : ((uint32_t)i ^ offset(u)) >= m->n_units)
            return err_set(e, ERR_FORMAT, "vocab: unit %zu of tokenizer.ggml.precompiled_charsmap points outside it; convert the model again", i);
    }
    return 0;
}

int charsmap_load(struct charsmap *m, const uint8_t *p, size_t n, struct err *e)
{
    *m = (struct charsmap){0};
    if (n > CHARSMAP_BYTES_MAX)
        return bad("has more than 16 MiB", e);
    if (n < 4 || read_u32(p) > n - 4)
        return bad("is shorter than it says", e);
    size_t bytes = read_u32(p);
    if (bytes % 4 || bytes == 0)
        return bad("has units that are not whole", e);
    m->n_units = bytes / 4;
    m->n_texts = n - 4 - bytes;
    if (m->n_texts == 0 || p[n - 1] != 0)
        return bad("has replacements without an end", e);
    m->unit = mem_array(m->n_units, sizeof *m->unit);
    m->texts = mem_array(m->n_texts, 1);
    int rc = m->unit && m->texts ? 0 : err_set(e, ERR_NO_MEMORY, "vocab: no memory for the charsmap");
    if (!rc) {
        for (size_t i = 0; i < m->n_units; i++)
            m->unit[i] = read_u32(p + 4 + 4 * i);
        memcpy(m->texts, p + 4 + bytes, m->n_texts);
        rc = check(m, e);
    }
    if (rc)
        charsmap_deinit(m);
    return rc;
}

void charsmap_deinit(struct charsmap *m)
{
    mem_free(m->unit);
    mem_free(m->texts);
    *m = (struct charsmap){0};
}

size_t charsmap_match(const struct charsmap *m, const char *p, size_t n, const char **text, size_t *text_n)
{
    size_t longest = 0;
    uint32_t value = 0, at = m->n_units ? offset(m->unit[0]) : 0;
    for (size_t i = 0; i < n && i < CHARSMAP_KEY_MAX && p[i]; i++) {
        work(1);
        at ^= (uint8_t)p[i];
        if (at >= m->n_units || label(m->unit[at]) != (uint8_t)p[i])
            break;
        bool leaf = has_value(m->unit[at]);
        at ^= offset(m->unit[at]); /* inside, as load has seen */
        if (leaf && m->unit[at] >> 31) {
            longest = i + 1;
            value = m->unit[at] & 0x7fffffff;
        }
    }
    if (longest) {
        *text = m->texts + value;
        *text_n = strlen(*text);
    }
    return longest;
}
