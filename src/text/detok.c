/* Tokens to text, as a stream. */
#include "text/text_int.h"
#include <string.h>

static const char REPLACEMENT[] = "\xef\xbf\xbd", BLANK[] = "\xe2\x96\x81";

void detok_init(struct detok *d, const struct vocab *v, bool start_of_text)
{
    *d = (struct detok){.v = v, .any = !start_of_text};
}

/* The bytes of held[0, n_held) that are done: whole characters go out, an invalid start becomes one U+FFFD for as many bytes as
 * could have begun a character (Unicode 3.9, "maximal subparts"). */
static void flush(struct detok *d, bool end, struct buf *out)
{
    const char *p = (const char *)d->held;
    size_t at = 0;
    while (at < d->n_held) {
        size_t left = d->n_held - at;
        int len = utf8_len(p + at, left);
        if (len > 0) {
            buf_add(out, p + at, (size_t)len);
            at += (size_t)len;
            continue;
        }
        if (len == 0 && !end)
            break;
        size_t bad = left;
        while (bad > 1 && utf8_len(p + at, bad) != 0)
            bad--;
        buf_str(out, REPLACEMENT);
        at += bad;
    }
    d->n_held = (uint8_t)(d->n_held - at);
    memmove(d->held, d->held + at, d->n_held);
}

static void add_byte(struct detok *d, uint8_t b, struct buf *out)
{
    if (d->raw || (d->n_held == 0 && b < 0x80)) {
        buf_char(out, (char)b);
        return;
    }
    d->held[d->n_held++] = b; /* flush leaves at most 3 */
    flush(d, false, out);
}

static void add_bytes(struct detok *d, const char *p, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++)
        add_byte(d, (uint8_t)p[i], out);
}

/* U+2581 is a blank; the first blank of a text is the one that encoding put there (a text without extra blanks has none at its start). */
static void add_spm(struct detok *d, struct str t, struct buf *out)
{
    for (size_t i = 0; i < t.n; i++) {
        bool blank = t.n - i >= 3 && memcmp(t.p + i, BLANK, 3) == 0;
        if (!blank)
            add_byte(d, (uint8_t)t.p[i], out);
        else if (d->any || i > 0 || !(d->v->add_space_prefix || d->v->remove_blanks))
            add_byte(d, ' ', out);
        i += blank ? 2 : 0;
    }
}

/* Characters that stand for bytes become those; any other (in tokens that were added as text) stays. */
static void add_bpe(struct detok *d, struct str t, struct buf *out)
{
    for (size_t i = 0; i < t.n;) {
        uint32_t cp;
        int len = utf8_decode(t.p + i, t.n - i, &cp);
        size_t byte = len > 0 ? bpe_byte_of(cp) : 256;
        if (byte < 256)
            add_byte(d, (uint8_t)byte, out);
        else
            add_bytes(d, t.p + i, len > 0 ? (size_t)len : 1, out);
        i += len > 0 ? (size_t)len : 1;
    }
}

/* What an <unk> that the model sampled reads as; SentencePiece prints the same. */
static const char UNKNOWN[] = " \xe2\x81\x87 ";

void detok_add(struct detok *d, int32_t token, struct buf *out)
{
    const struct vocab *v = d->v;
    struct str t = vocab_text(v, token);
    uint8_t b;
    if (!t.p)
        return;
    switch (vocab_attr(v, token)) {
    case TOKEN_CONTROL: return;
    case TOKEN_UNKNOWN:
        if (token == v->unk)
            add_bytes(d, UNKNOWN, sizeof UNKNOWN - 1, out);
        break;
    case TOKEN_BYTE:
        if (t.n == 6 && str_hex((struct str){t.p + 3, 2}, &b, 1))
            add_byte(d, b, out);
        break;
    default:
        if (v->kind != VOCAB_BPE)
            add_spm(d, t, out);
        else if (vocab_attr(v, token) == TOKEN_USER)
            add_bytes(d, t.p, t.n, out);
        else
            add_bpe(d, t, out);
    }
    d->any |= !(v->remove_blanks && str_eqz(t, BLANK));
}

void detok_end(struct detok *d, struct buf *out)
{
    flush(d, true, out);
}

void vocab_bytes(const struct vocab *v, int32_t token, struct buf *out)
{
    struct detok d = {.v = v, .any = true, .raw = true};
    struct str   t = vocab_text(v, token);
    if (t.p && vocab_attr(v, token) == TOKEN_CONTROL)
        buf_add(out, t.p, t.n);
    else
        detok_add(&d, token, out);
}
