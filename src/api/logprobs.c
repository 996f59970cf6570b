#include "api/logprobs.h"
#include <math.h>
#include <string.h>

/* JSON has no minus infinity; OpenAI writes this for what is as good as impossible. */
#define LOGPROB_LEAST (-9999.0)

size_t utf8_count(const char *p, size_t n)
{
    size_t chars = 0;
    for (size_t i = 0; i < n; i++)
        chars += ((unsigned char)p[i] & 0xc0) != 0x80;
    return chars;
}

size_t told_ready(struct choice *ch, const char *p, size_t n, bool last)
{
    struct told *t = &ch->told;
    size_t ready = 0;
    uint32_t start = t->end;
    t->emitted += n;
    if (t->list.n)
        buf_add(&t->tail, p, n);
    for (size_t i = t->next; i < t->list.n; i++, ready++) {
        uint32_t end = t->list.p[i].end;
        /* At the end a token counts whose text has begun before the cut. */
        if (end > t->emitted && !(last && start < t->emitted))
            break;
        start = end;
    }
    return ready;
}

/* One is told: the characters before the next. Returns those before it. */
static uint64_t advance(struct choice *ch, const struct token_logprobs *e)
{
    struct told *t = &ch->told;
    size_t n = e->end - t->end;
    uint64_t before = t->chars;
    if (n > t->tail.len)
        n = t->tail.len;
    t->chars += utf8_count(t->tail.data ? t->tail.data : "", n);
    buf_cut(&t->tail, n);
    t->end = e->end;
    if (++t->next == t->list.n)
        t->next = t->list.n = 0;
    return before;
}

static void put_value(struct jw *w, float v)
{
    char text[32];
    if (v > (float)LOGPROB_LEAST)
        str_fmt(text, sizeof text, "%.9g", (double)(v == 0 ? 0.0f : v)); /* no -0 */
    else
        str_fmt(text, sizeof text, "%.1f", LOGPROB_LEAST);
    jw_raw(w, text, strlen(text));
}

/* The text of a token; bytes that are no text are written as \xNN, after `mark`. */
static void put_token(struct jw *w, const struct buf *bytes, const char *mark)
{
    struct buf text;
    if (!bytes->len || utf8_valid(bytes->data, bytes->len)) {
        jw_strn(w, bytes->len ? bytes->data : "", bytes->len);
        return;
    }
    buf_init(&text, 0);
    buf_str(&text, mark);
    for (size_t i = 0; i < bytes->len; i++) {
        unsigned char b = (unsigned char)bytes->data[i];
        if (b >= 0x20 && b < 0x7f)
            buf_char(&text, (char)b);
        else
            buf_fmt(&text, "\\x%02x", b);
    }
    jw_strn(w, text.data ? text.data : "", text.len);
    buf_deinit(&text);
}

/* ---- chat ---- */

static void put_pair(struct jw *w, const struct vocab *v, int32_t token, float value, struct buf *bytes)
{
    buf_clear(bytes);
    vocab_bytes(v, token, bytes);
    jw_key(w, "token"), put_token(w, bytes, "");
    jw_key(w, "logprob"), put_value(w, value);
    jw_key(w, "bytes");
    jw_arr(w);
    for (size_t i = 0; i < bytes->len; i++)
        jw_u64(w, (unsigned char)bytes->data[i]);
    jw_arr_end(w);
}

void told_chat(struct jw *w, struct choice *ch, size_t n)
{
    const struct vocab *v = ch->call->q.model->vocab;
    struct buf bytes;
    buf_init(&bytes, 0);
    jw_obj(w);
    jw_key(w, "content");
    jw_arr(w);
    while (n--) {
        const struct token_logprobs e = ch->told.list.p[ch->told.next];
        jw_obj(w);
        put_pair(w, v, e.token, e.value, &bytes);
        jw_key(w, "top_logprobs");
        jw_arr(w);
        for (uint32_t i = 0; i < e.n_top && e.top[i].token != TOKEN_NONE; i++) {
            jw_obj(w);
            put_pair(w, v, e.top[i].token, e.top[i].value, &bytes);
            jw_obj_end(w);
        }
        jw_arr_end(w);
        jw_obj_end(w);
        advance(ch, &e);
    }
    jw_arr_end(w);
    jw_key(w, "refusal"), jw_null(w);
    jw_obj_end(w);
    buf_deinit(&bytes);
}

/* ---- completions: four arrays, filled in parallel ---- */

struct columns {
    struct buf tokens, values, tops, offsets, bytes;
    struct jw wt, wv, wp, wo;
};

static void column_init(struct buf *b, struct jw *w)
{
    buf_init(b, 0);
    jw_init(w, b);
    jw_arr(w);
}

static void column_put(struct jw *out, const char *name, struct buf *b, struct jw *w)
{
    jw_arr_end(w);
    jw_key(out, name);
    if (b->failed)
        out->b->failed = true;
    else
        jw_raw(out, b->data, b->len);
    buf_deinit(b);
}

/* The likeliest, and the token itself in any case; two tokens of one text are one key. */
static void put_top(struct columns *c, const struct vocab *v, const struct token_logprobs *e)
{
    struct buf key, keys;
    struct jw wk;
    bool own = false;
    buf_init(&key, 0), buf_init(&keys, 0);
    jw_obj(&c->wp);
    for (uint32_t i = 0; i <= e->n_top; i++) {
        bool last = i == e->n_top;
        int32_t token = last ? e->token : e->top[i].token;
        if (token == TOKEN_NONE || (last && own))
            continue;
        own |= token == e->token;
        buf_clear(&c->bytes), buf_clear(&key);
        vocab_bytes(v, token, &c->bytes);
        jw_init(&wk, &key);
        buf_char(&key, '\n'); /* JSON has none in a string: it tells keys apart */
        put_token(&wk, &c->bytes, "bytes:");
        buf_char(&key, '\n');
        if (key.failed || (keys.len && memmem(keys.data, keys.len, key.data, key.len)))
            continue;
        buf_add(&keys, key.data, key.len);
        jw_raw(&c->wp, key.data + 1, key.len - 2);
        buf_char(c->wp.b, ':');
        c->wp.comma = false;
        put_value(&c->wp, last ? e->value : e->top[i].value);
    }
    jw_obj_end(&c->wp);
    buf_deinit(&key), buf_deinit(&keys);
}

static void put_row(struct columns *c, const struct vocab *v, const struct token_logprobs *e, uint64_t offset)
{
    buf_clear(&c->bytes);
    vocab_bytes(v, e->token, &c->bytes);
    put_token(&c->wt, &c->bytes, "bytes:");
    jw_u64(&c->wo, offset);
    if (isnan(e->value)) { /* nothing comes before a prompt's first token */
        jw_null(&c->wv), jw_null(&c->wp);
        return;
    }
    put_value(&c->wv, e->value);
    put_top(c, v, e);
}

static void put_prompt(struct columns *c, const struct vocab *v, const struct vec_logprobs *list)
{
    struct detok d;
    struct buf text;
    uint64_t chars = 0;
    buf_init(&text, 0);
    detok_init(&d, v, true);
    for (size_t i = 0; i < list->n; i++) {
        put_row(c, v, &list->p[i], chars);
        buf_clear(&text);
        detok_add(&d, list->p[i].token, &text);
        chars += utf8_count(text.data ? text.data : "", text.len);
    }
    buf_deinit(&text);
}

void told_completion(struct jw *w, struct choice *ch, size_t n, bool with_prompt, uint64_t base)
{
    const struct vocab *v = ch->call->q.model->vocab;
    struct columns c;
    column_init(&c.tokens, &c.wt), column_init(&c.values, &c.wv), column_init(&c.tops, &c.wp), column_init(&c.offsets, &c.wo);
    buf_init(&c.bytes, 0);
    if (with_prompt)
        put_prompt(&c, v, &ch->call->prompts[ch->prompt].logprobs);
    while (n--) {
        const struct token_logprobs e = ch->told.list.p[ch->told.next];
        put_row(&c, v, &e, base + advance(ch, &e));
    }
    jw_obj(w);
    column_put(w, "tokens", &c.tokens, &c.wt);
    column_put(w, "token_logprobs", &c.values, &c.wv);
    column_put(w, "top_logprobs", &c.tops, &c.wp);
    column_put(w, "text_offset", &c.offsets, &c.wo);
    jw_obj_end(w);
    buf_deinit(&c.bytes);
}
