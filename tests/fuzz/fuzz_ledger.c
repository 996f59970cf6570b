/* What the ledger reads: amounts, keys from a header, and journal segments. The first byte chooses.
 * An amount that is taken reads back; a key that is taken has the one shape; a record that is read is written again as the same bytes. */
#include "base/mem.h"
#include "ledger/ledger_int.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void amount(struct str s)
{
    struct money m, back;
    struct err e = {0};
    char text[MONEY_TEXT_MAX];
    if (money_parse(&m, s, &e) < 0) {
        ASSERT(e.code == ERR_BAD_VALUE && e.msg[0]);
        return;
    }
    money_text(text, m);
    ASSERT(money_parse(&back, str_of(text), &e) == 0 && back.nano == m.nano);
}

static void key(struct str s)
{
    struct str bare, id;
    if (key_shape(s, &bare, &id))
        ASSERT(bare.n == 71 && id.n == 10 && bare.p >= s.p && bare.p + bare.n == s.p + s.n && crc32_of(bare.p, 64) != 0);
}

static int record(void *arg, const struct journal_rec *r, struct err *e)
{
    (void)e;
    ASSERT(r->type >= JOURNAL_HOLD && r->type <= JOURNAL_COVER && r->request.n < LEDGER_REQUEST_MAX && r->amount_any >= 0);
    journal_put(arg, r);
    return 0;
}

/* Makes the input a segment whose checksums are right, so that the fields behind them are reached. input: records of length, type, payload. */
static void segment(const uint8_t *p, size_t n)
{
    struct buf b, again;
    struct err e;
    size_t whole;
    buf_init(&b, 0);
    buf_init(&again, 0);
    uint64_t number = 7;
    uint32_t zero = 0, crc;
    buf_add(&b, "SLJRNL\x00\x01", 8);
    buf_add(&b, &number, 8);
    buf_add(&b, &number, 8);
    buf_add(&b, &zero, 4);
    crc = crc32_of(b.data, b.len);
    buf_add(&b, &crc, 4);
    while (n >= 2) {
        size_t len = p[0] < n - 2 ? p[0] : n - 2;
        uint16_t n16 = (uint16_t)len;
        size_t at = b.len;
        buf_add(&b, &zero, 4);
        buf_add(&b, &n16, 2);
        buf_add(&b, p + 1, 1);
        buf_char(&b, 7);
        buf_add(&b, p + 2, len);
        crc = crc32_of(b.data + at + 4, b.len - at - 4);
        memcpy(b.data + at, &crc, 4);
        p += 2 + len, n -= 2 + len;
    }
    ASSERT(journal_parse((const uint8_t *)b.data, b.len, number, record, &again, &whole, &e) == 0);
    ASSERT(whole >= 32 && whole <= b.len && again.len == whole - 32);
    buf_deinit(&b);
    buf_deinit(&again);
}

static int ignore(void *arg, const struct journal_rec *r, struct err *e)
{
    return (void)arg, (void)r, (void)e, 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct err e;
    size_t whole;
    if (!n)
        return 0;
    struct str s = {(const char *)p + 1, n - 1};
    switch (p[0] & 3) {
    case 0: amount(s); break;
    case 1: key(s); break;
    case 2: segment(p + 1, n - 1); break;
    default: ASSERT(journal_parse(p + 1, n - 1, 1, ignore, NULL, &whole, &e) == 0 && whole <= n - 1);
    }
    return 0;
}
