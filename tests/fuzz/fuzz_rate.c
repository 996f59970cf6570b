/* Rate limits as people write them, and buckets under any course of events. The first byte chooses.
 * A text that is taken has limits of 1 to BUCKET_MOST_MAX and reads back as the same; a bucket's shares stay in order and its sums stay true. */
#include "ledger/ledger_int.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void text(const uint8_t *p, size_t n)
{
    uint64_t most[RATE_WINDOWS] = {7, 7}, back[RATE_WINDOWS];
    struct err e = {0};
    char again[128];
    size_t len = 0;
    if (rate_parse(most, "tokens", (struct str){(const char *)p, n}, &e) < 0) {
        ASSERT(e.code == ERR_BAD_VALUE && e.msg[0] && most[0] == 7 && most[1] == 7);
        return;
    }
    for (int w = 0; w < RATE_WINDOWS; w++) {
        ASSERT(most[w] <= BUCKET_MOST_MAX);
        if (most[w]) {
            ASSERT(str_fmt(again + len, sizeof again - len, "%s%llu/%s", len ? "," : "", (unsigned long long)most[w], rate_window_names[w]));
            len += strlen(again + len);
        }
    }
    ASSERT(rate_parse(back, "tokens", len ? str_of(again) : STR("none"), &e) == 0 && memcmp(most, back, sizeof most) == 0);
}

static void check(const struct bucket *b)
{
    unsigned __int128 open = 0;
    bool due = false;
    for (const struct bucket_share *s = b->first; s; s = s->next) {
        due |= s == b->due;
        ASSERT(s->held && s->open <= s->parts && (due || !s->open) && (s->next ? s->next->prev == s : b->last == s));
        open += s->open;
    }
    ASSERT(open == b->open && (due || !b->due));
}

/* Three bytes an event: what, which share, how much. */
static void course(const uint8_t *p, size_t n)
{
    enum { SHARES = 8 };
    struct bucket_share s[SHARES] = {{0}};
    struct bucket b;
    uint64_t now = 0;
    if (n < 2)
        return;
    bucket_init(&b, 1 + p[0], 1 + p[1], 0);
    for (p += 2, n -= 2; n >= 3; p += 3, n -= 3) {
        struct bucket_share *x = &s[p[1] % SHARES];
        uint64_t v = p[2], fits = bucket_free(&b, now);
        switch (p[0] % 6) {
        case 0: now = p[1] & 1 && v < now ? now - v : now + v; break;
        case 1:
            if (!x->held)
                bucket_take(&b, now, x, v);
            break;
        case 2:
            if (x->held)
                bucket_grow(&b, now, x, v);
            break;
        case 3:
            if (x->held)
                bucket_settle(&b, now, x, v);
            break;
        case 4: bucket_change(&b, 1 + v, now); break;
        default: bucket_charge(&b, now, v); break;
        }
        check(&b);
        fits = bucket_free(&b, now);
        ASSERT(fits <= b.most && bucket_wait_ns(&b, now, fits) == 0 && (fits == b.most || bucket_wait_ns(&b, now, fits + 1) > 0));
    }
    bucket_leave(&b);
    for (int i = 0; i < SHARES; i++)
        ASSERT(!s[i].held);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (n && p[0] & 1)
        text(p + 1, n - 1);
    else if (n)
        course(p + 1, n - 1);
    return 0;
}
