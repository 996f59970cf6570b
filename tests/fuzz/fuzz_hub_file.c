/* Files that the hub part keeps, and what its sandboxed child says: a ref, a journal, an answer; the first byte chooses. What is read is sound,
 * and what was written reads back. */
#include "base/mem.h"
#include "hub/partial.h"
#include "hub/probe.h"
#include "hub/ref.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void journal(const uint8_t *p, size_t n, uint64_t size)
{
    uint8_t boot[16] = {0};
    struct ranges r;
    if (n >= 32)
        memcpy(boot, p + 16, 16);
    for (int restarted = 0; restarted < 2; restarted++) {
        boot[0] ^= (uint8_t)restarted;
        if (!partial_journal_read(&r, p, n, size, boot))
            continue;
        for (size_t i = 0; i < r.n; i++)
            ASSERT(r.p[i].from < r.p[i].to && r.p[i].to <= size && (!i || r.p[i - 1].to < r.p[i].from));
        ranges_deinit(&r);
    }
}

static void ref(const char *p, size_t n)
{
    struct ref r;
    struct ref_part *parts;
    if (ref_read(&r, &parts, p, n, NULL))
        return;
    uint64_t sum = 0;
    ASSERT(r.n_parts >= 1 && r.n_parts <= REF_PARTS_MAX && memchr(r.name, 0, sizeof r.name));
    for (uint32_t i = 0; i < r.n_parts; i++)
        sum += parts[i].size;
    ASSERT(sum == r.size);
    mem_free(parts);
}

static void answer(const char *p, size_t n)
{
    struct probe_facts f, again;
    struct err e;
    struct buf b;
    if (probe_answer_read(&f, p, n, &e)) {
        ASSERT(e.code != ERR_OK);
        return;
    }
    buf_init(&b, 0);
    probe_facts_write(&b, &f);
    ASSERT(!probe_answer_read(&again, b.data, b.len, &e) && !strcmp(f.name, again.name) && f.data_start == again.data_start && f.part == again.part);
    buf_deinit(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (!n)
        return 0;
    switch (p[0] % 3) {
    case 0: journal(p + 1, n - 1, 1000); break;
    case 1: ref((const char *)p + 1, n - 1); break;
    default: answer((const char *)p + 1, n - 1);
    }
    return 0;
}
