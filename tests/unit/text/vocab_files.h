/* Vocabularies for the tests: published GGUF files, and published tokenizer files of other formats turned into GGUF metadata
 * (tokenizer.json, ranks of tiktoken, SentencePiece models). */
#pragma once
#include "base/arena.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/os.h"
#include "format/modelfile.h"
#include "test_data.h"
#include "text/vocab.h"
#include <unistd.h>

/* A vocabulary of a published GGUF file, or NULL with the reason printed. */
static inline struct vocab *vocab_of_gguf(const char *rel)
{
    const char *path = test_data(rel);
    struct modelfile *f = NULL;
    struct vocab *v = NULL;
    struct err e = {0};
    if (!path || gguf_open(&f, path, &e) || vocab_load(&v, f, &e))
        printf("%s: %s\n", rel, path ? e.msg : "absent");
    modelfile_close(f);
    return v;
}

static inline bool read_data(struct buf *out, const char *rel)
{
    struct err e;
    const char *path = test_data(rel);
    buf_init(out, 64u << 20);
    return path && os_read_file(out, path, &e) == 0;
}

/* What becomes the metadata of a vocabulary. */
struct draft {
    struct arena mem;
    struct str *text, *merges;
    int32_t *type;
    float *score;
    size_t n, n_merges;
    const char *model, *pre;
    int32_t bos, eos, unk; /* -1: absent */
    bool add_space_prefix, remove_blanks;
    struct str charsmap;
};

/* Tokens that the last vocabulary's file calls user-defined and that loading made control tokens: a reference finds them in any text, so
 * the tests say that these stretches are trusted. */
static struct str vocab_markers[512];
static size_t n_vocab_markers;
static char vocab_marker_text[1 << 15];

static inline void draft_init(struct draft *d, const char *model, const char *pre, size_t n, size_t n_merges)
{
    *d = (struct draft){.model = model, .pre = pre, .n = n, .n_merges = n_merges, .bos = -1, .eos = -1, .unk = -1, .add_space_prefix = true};
    arena_init(&d->mem, 1u << 30);
    d->text = arena_array(&d->mem, n, sizeof *d->text);
    d->type = arena_array(&d->mem, n, sizeof *d->type);
    d->score = arena_array(&d->mem, n, sizeof *d->score);
    d->merges = arena_array(&d->mem, n_merges ? n_merges : 1, sizeof *d->merges);
    for (size_t i = 0; i < n; i++) { /* ids that no file names are unused, as converters do it */
        d->text[i] = str_of(arena_fmt(&d->mem, "[PAD%zu]", i));
        d->type[i] = TOKEN_UNUSED;
    }
}

static inline struct str draft_copy(struct draft *d, struct str s)
{
    return (struct str){arena_str(&d->mem, s.p, s.n), s.n};
}

static inline void draft_set(struct draft *d, int64_t id, struct str text, int32_t type)
{
    if (id >= 0 && (uint64_t)id < d->n) {
        d->text[id] = draft_copy(d, text);
        d->type[id] = type;
    }
}

static inline void markers_of(const struct draft *d, const struct vocab *v)
{
    size_t at = 0;
    n_vocab_markers = 0;
    for (size_t i = 0; v && i < d->n && n_vocab_markers < 512; i++) {
        struct str t = d->text[i];
        if (d->type[i] != TOKEN_USER || vocab_attr(v, (int32_t)i) != TOKEN_CONTROL || at + t.n > sizeof vocab_marker_text)
            continue;
        memcpy(vocab_marker_text + at, t.p, t.n);
        vocab_markers[n_vocab_markers++] = (struct str){vocab_marker_text + at, t.n};
        at += t.n;
    }
}

/* Spans that trust the markers alone; the number of spans. */
static inline size_t marker_spans(const char *p, size_t n, struct text_span *out, size_t cap)
{
    size_t k = 0;
    for (size_t at = 0; at < n && k < cap;) {
        size_t longest = 0;
        for (size_t i = 0; i < n_vocab_markers; i++)
            if (vocab_markers[i].n > longest && vocab_markers[i].n <= n - at && memcmp(p + at, vocab_markers[i].p, vocab_markers[i].n) == 0)
                longest = vocab_markers[i].n;
        if (longest)
            out[k++] = (struct text_span){(uint32_t)at, (uint32_t)longest, true};
        at += longest ? longest : 1;
    }
    return k;
}

/* Writes the draft as a GGUF file and loads that. */
static inline struct vocab *draft_load(struct draft *d)
{
    struct gguf_writer *w = NULL;
    struct modelfile *f = NULL;
    struct vocab *v = NULL;
    struct err e = {0};
    char path[64];
    snprintf(path, sizeof path, "/tmp/vocab-%d.gguf", (int)getpid());
    if (gguf_writer_new(&w, &e) == 0) {
        gguf_put_str(w, "general.architecture", STR("llama"));
        gguf_put_str(w, "tokenizer.ggml.model", str_of(d->model));
        if (d->pre)
            gguf_put_str(w, "tokenizer.ggml.pre", str_of(d->pre));
        gguf_put_strs(w, "tokenizer.ggml.tokens", d->text, d->n);
        gguf_put_i32s(w, "tokenizer.ggml.token_type", d->type, d->n);
        if (strcmp(d->model, "gpt2") != 0)
            gguf_put_f32s(w, "tokenizer.ggml.scores", d->score, d->n);
        else
            gguf_put_strs(w, "tokenizer.ggml.merges", d->merges, d->n_merges);
        if (d->bos >= 0)
            gguf_put_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)d->bos);
        if (d->eos >= 0)
            gguf_put_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)d->eos);
        if (d->unk >= 0)
            gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", (uint32_t)d->unk);
        if (strcmp(d->model, "gpt2") != 0)
            gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", d->add_space_prefix);
        if (d->remove_blanks)
            gguf_put_bool(w, "tokenizer.ggml.remove_extra_whitespaces", true);
        if (d->charsmap.n)
            gguf_put_u8s(w, "tokenizer.ggml.precompiled_charsmap", (const uint8_t *)d->charsmap.p, d->charsmap.n);
        if (gguf_writer_save(w, path, &e) || gguf_open(&f, path, &e) || vocab_load(&v, f, &e))
            printf("draft: %s\n", e.msg);
    }
    markers_of(d, v);
    modelfile_close(f);
    gguf_writer_free(w);
    unlink(path);
    return v;
}

/* Our reader takes neither NUL in texts nor integers past 2^63. The files have both: NUL is read as U+E000 (nul_back undoes it), and
 * `: ` before a number of 19 digits or more is cut to 18. */
static inline void soften(struct buf *b)
{
    for (char *at = b->data; (at = strstr(at, "\\u0000")) != NULL;)
        memcpy(at, "\\ue000", 6);
    for (size_t i = 2; i < b->len; i++) {
        size_t n = 0;
        while (b->data[i - 1] == ' ' && b->data[i - 2] == ':' && i + n < b->len && b->data[i + n] >= '0' && b->data[i + n] <= '9')
            n++;
        if (n > 18)
            memset(b->data + i + 18, ' ', n - 18);
    }
}

static inline struct str nul_back(struct str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        bool nul = s.n - i >= 3 && memcmp(s.p + i, "\xee\x80\x80", 3) == 0;
        out[n++] = nul ? 0 : s.p[i];
        i += nul ? 2 : 0;
    }
    return (struct str){out, n};
}

static inline struct json *json_data(const char *rel)
{
    struct buf b;
    struct err e = {0};
    struct json *j = NULL;
    bool read = read_data(&b, rel);
    if (read)
        soften(&b);
    if (!read || json_parse(&j, b.data, b.len, &e))
        printf("%s: %s\n", rel, e.msg);
    buf_deinit(&b);
    return j;
}

/* A tokenizer.json with byte-level BPE. */
static inline struct vocab *vocab_of_tokenizer_json(const char *rel, const char *pre)
{
    struct json *j = json_data(rel);
    if (!j)
        return NULL;
    const struct json *vocab = json_get(json_get(j, "model"), "vocab"), *merges = json_get(json_get(j, "model"), "merges"),
                      *added = json_get(j, "added_tokens"), *id;
    struct draft d;
    struct str key;
    size_t n = json_len(vocab);
    for (size_t i = 0; i < json_len(added); i++)
        if ((size_t)json_int(json_get(json_at(added, i), "id")) >= n)
            n = (size_t)json_int(json_get(json_at(added, i), "id")) + 1;
    draft_init(&d, "gpt2", pre, n, json_len(merges));
    for (void *it = NULL; json_each(vocab, &it, &key, &id);)
        draft_set(&d, json_int(id), key, TOKEN_NORMAL);
    for (size_t i = 0; i < json_len(added); i++) {
        const struct json *a = json_at(added, i);
        draft_set(&d, json_int(json_get(a, "id")), json_str(json_get(a, "content")), json_bool(json_get(a, "special")) ? TOKEN_CONTROL : TOKEN_USER);
    }
    for (size_t i = 0; i < d.n_merges; i++) {
        const struct json *m = json_at(merges, i);
        d.merges[i] = json_type(m) == JSON_STR ? draft_copy(&d, json_str(m))
                                               : str_of(arena_fmt(&d.mem, "%s %s", json_str(json_at(m, 0)).p, json_str(json_at(m, 1)).p));
    }
    struct vocab *v = draft_load(&d);
    arena_deinit(&d.mem);
    json_free(j);
    return v;
}

/* GPT-2's pair of files. */
static inline struct vocab *vocab_of_gpt2_files(const char *vocab_rel, const char *merges_rel, const char *pre)
{
    struct json *j = json_data(vocab_rel);
    struct buf b;
    if (!j || !read_data(&b, merges_rel))
        return NULL;
    const struct json *id;
    struct draft d;
    struct str key, rest = {b.data, b.len};
    draft_init(&d, "gpt2", pre, json_len(j), 2 * json_len(j));
    d.n_merges = 0;
    for (void *it = NULL; json_each(j, &it, &key, &id);)
        draft_set(&d, json_int(id), key, str_eqz(key, "<|endoftext|>") ? TOKEN_CONTROL : TOKEN_NORMAL);
    while (rest.p) {
        struct str line = str_split(&rest, '\n');
        if (line.n && !str_starts(line, "#version"))
            d.merges[d.n_merges++] = line;
    }
    struct vocab *v = draft_load(&d);
    arena_deinit(&d.mem);
    buf_deinit(&b);
    json_free(j);
    return v;
}

static inline size_t base64(struct str in, uint8_t *out)
{
    uint32_t bits = 0;
    size_t n = 0, have = 0;
    for (size_t i = 0; i < in.n && in.p[i] != '='; i++) {
        const char *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        bits = bits << 6 | (uint32_t)(strchr(alphabet, in.p[i]) - alphabet);
        if ((have += 6) >= 8)
            out[n++] = (uint8_t)(bits >> (have -= 8));
    }
    return n;
}

static inline struct str byte_level(struct draft *d, const uint8_t *p, size_t n)
{
    char *out = arena_new(&d->mem, 2 * n + 1);
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t k = 0, b = p[i];
        bool plain = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        for (uint32_t c = 0; c < b; c++)
            k += !((c >= 0x21 && c <= 0x7e) || (c >= 0xa1 && c <= 0xac) || c >= 0xae);
        at += utf8_encode(out + at, plain ? b : 256 + k);
    }
    return (struct str){out, at};
}

/* The last merge that makes a token of tiktoken's ranks: merge its bytes with all lower ranks, two parts remain. 0: none. */
static inline size_t last_cut(const struct map *ranks, const uint8_t *p, size_t n, uint64_t rank)
{
    size_t cut[512], parts = n;
    for (size_t i = 0; i <= n; i++)
        cut[i] = i;
    while (parts > 2) {
        uint64_t best = rank;
        size_t at = 0;
        for (size_t i = 0; i + 2 <= parts; i++) {
            union map_value r;
            if (map_get(ranks, (struct str){(const char *)p + cut[i], cut[i + 2] - cut[i]}, &r) && r.u64 < best)
                best = r.u64, at = i + 1;
        }
        if (!at)
            return 0;
        memmove(&cut[at], &cut[at + 1], (parts - at) * sizeof *cut);
        parts--;
    }
    return parts == 2 ? cut[1] : 0;
}

/* One rank: its token, and the merge that makes it. */
static inline void rank_add(struct draft *d, struct map *ranks, uint64_t rank, const uint8_t *p, size_t n)
{
    map_set(ranks, (struct str){(const char *)p, n}, (union map_value){.u64 = rank});
    draft_set(d, (int64_t)rank, byte_level(d, p, n), TOKEN_NORMAL);
    size_t cut = n > 1 && n < 500 ? last_cut(ranks, p, n, rank) : 0;
    if (cut) {
        struct str left = byte_level(d, p, cut), right = byte_level(d, p + cut, n - cut);
        d->merges[d->n_merges++] = str_of(arena_fmt(&d->mem, "%.*s %.*s", (int)left.n, left.p, (int)right.n, right.p));
    }
}

/* tiktoken's "base64 rank" lines, and the added tokens of a tokenizer_config.json. */
static inline struct vocab *vocab_of_ranks(const char *rel, const char *config_rel, const char *pre)
{
    struct buf b;
    struct json *config = config_rel ? json_data(config_rel) : NULL;
    if (!read_data(&b, rel))
        return NULL;
    const struct json *added = json_get(config, "added_tokens_decoder"), *a;
    struct map ranks;
    struct draft d;
    struct str rest = {b.data, b.len}, key;
    size_t n = 0;
    for (size_t i = 0; i < b.len; i++)
        n += b.data[i] == '\n';
    draft_init(&d, "gpt2", pre, n + json_len(added) + 1, n); /* p50k leaves out one rank */
    map_init(&ranks);
    d.n_merges = 0;
    while (rest.n) {
        uint8_t bytes[1024];
        uint64_t rank;
        struct str line = str_split(&rest, '\n');
        size_t len = base64(str_split(&line, ' '), bytes);
        if (len && str_u64(line, &rank))
            rank_add(&d, &ranks, rank, bytes, len);
    }
    for (void *it = NULL; added && json_each(added, &it, &key, &a);) {
        int64_t id;
        if (str_i64(key, &id))
            draft_set(&d, id, json_str(json_get(a, "content")), json_bool(json_get(a, "special")) ? TOKEN_CONTROL : TOKEN_USER);
    }
    struct vocab *v = draft_load(&d);
    map_deinit(&ranks);
    arena_deinit(&d.mem);
    buf_deinit(&b);
    json_free(config);
    return v;
}

/* Tekken's ranks in one line, "! 0 base64 base64 ...". Their special tokens have the ids before them, which are left out here. */
static inline struct vocab *vocab_of_tekken(const char *rel)
{
    struct json *j = json_data(rel);
    if (!j)
        return NULL;
    const struct json *config = json_get(j, "config");
    size_t n = (size_t)(json_int(json_get(config, "default_vocab_size")) - json_int(json_get(config, "default_num_special_tokens")));
    struct str rest = json_str(json_get(j, "bpe_ranks"));
    struct map ranks;
    struct draft d;
    draft_init(&d, "gpt2", "tekken", n, n);
    map_init(&ranks);
    d.n_merges = 0;
    str_split(&rest, ' ');
    str_split(&rest, ' ');
    for (uint64_t rank = 0; rank < n && rest.p; rank++) {
        uint8_t bytes[1024];
        rank_add(&d, &ranks, rank, bytes, base64(str_split(&rest, ' '), bytes));
    }
    struct vocab *v = draft_load(&d);
    map_deinit(&ranks);
    arena_deinit(&d.mem);
    json_free(j);
    return v;
}

static inline uint64_t varint(const uint8_t **p, const uint8_t *end)
{
    uint64_t v = 0;
    for (int shift = 0; *p < end && shift < 64; shift += 7) {
        uint8_t b = *(*p)++;
        v |= (uint64_t)(b & 127) << shift;
        if (b < 128)
            break;
    }
    return v;
}

/* One SentencePiece {1: piece, 2: score, 3: type}. */
static inline void sentence_piece(struct draft *d, size_t i, const uint8_t *p, const uint8_t *end)
{
    struct str text = {"", 0};
    uint64_t type = 1;
    while (p < end) {
        uint64_t tag = varint(&p, end);
        if (tag == 10) {
            text.n = (size_t)varint(&p, end);
            text.p = (const char *)p;
            p += text.n;
        } else if (tag == 21) {
            memcpy(&d->score[i], p, 4);
            p += 4;
        } else
            type = varint(&p, end);
    }
    draft_set(d, (int64_t)i, text, (int32_t)type); /* the numbers are GGUF's */
}

/* One field of a protobuf message: its number, and its value (a varint or four bytes) or its bytes. */
struct field {
    uint64_t number, value;
    const uint8_t *p;
    size_t n;
};
static inline bool field_next(const uint8_t **p, const uint8_t *end, struct field *f)
{
    if (*p >= end)
        return false;
    uint64_t tag = varint(p, end);
    *f = (struct field){.number = tag >> 3};
    if ((tag & 7) == 0) {
        f->value = varint(p, end);
        return true;
    }
    f->n = (tag & 7) == 2 ? (size_t)varint(p, end) : (tag & 7) == 5 ? 4 : 8;
    f->p = *p;
    *p += f->n;
    return *p <= end;
}

/* TrainerSpec (2) and NormalizerSpec (3). */
static inline void sentencepiece_spec(struct draft *d, const struct field *message)
{
    const uint8_t *p = message->p, *end = p + message->n;
    struct field f;
    while (field_next(&p, end, &f))
        switch (message->number * 100 + f.number) {
        case 203: d->model = f.value == 1 ? "t5" : "llama"; break;
        case 240: d->unk = (int32_t)f.value; break;
        case 241: d->bos = (int32_t)f.value; break;
        case 242: d->eos = (int32_t)f.value; break;
        case 302: d->charsmap = draft_copy(d, (struct str){(const char *)f.p, f.n}); break;
        case 303: d->add_space_prefix = f.value != 0; break;
        case 304: d->remove_blanks = f.value != 0; break;
        }
}

/* A SentencePiece .model: BPE or unigram. */
static inline struct vocab *vocab_of_sentencepiece_at(const char *path)
{
    struct buf b;
    struct draft d;
    struct field f;
    struct err e;
    size_t n = 0;
    buf_init(&b, 64u << 20);
    if (os_read_file(&b, path, &e))
        return NULL;
    const uint8_t *start = (const uint8_t *)b.data, *end = start + b.len, *p = start;
    while (field_next(&p, end, &f))
        n += f.number == 1;
    draft_init(&d, "t5", NULL, n, 0);
    d.unk = 0, d.bos = 1, d.eos = 2, d.remove_blanks = true; /* the defaults of sentencepiece_model.proto */
    n = 0;
    for (p = start; field_next(&p, end, &f);)
        if (f.number == 1)
            sentence_piece(&d, n++, f.p, f.p + f.n);
        else
            sentencepiece_spec(&d, &f);
    struct vocab *v = draft_load(&d);
    arena_deinit(&d.mem);
    buf_deinit(&b);
    return v;
}

static inline struct vocab *vocab_of_sentencepiece(const char *rel)
{
    const char *path = test_data(rel);
    return path ? vocab_of_sentencepiece_at(path) : NULL;
}

/* A tokenizer.json with a unigram model and byte fallback. Its pre-tokenizer cuts before each blank, so that tokens with a blank inside are
 * out of reach: unused. */
static inline struct vocab *vocab_of_unigram_json(const char *rel)
{
    struct json *j = json_data(rel);
    if (!j)
        return NULL;
    const struct json *vocab = json_get(json_get(j, "model"), "vocab"), *added = json_get(j, "added_tokens");
    struct draft d;
    uint8_t byte;
    draft_init(&d, "t5", NULL, json_len(vocab), 0);
    d.unk = (int32_t)json_int(json_get(json_get(j, "model"), "unk_id")), d.bos = 1, d.eos = 2;
    for (size_t i = 0; i < d.n; i++) {
        struct str t = json_str(json_at(json_at(vocab, i), 0));
        bool is_byte = t.n == 6 && str_starts(t, "<0x") && str_hex((struct str){t.p + 3, 2}, &byte, 1);
        bool unused = t.n > 1 && memmem(t.p + 1, t.n - 1, "\xe2\x96\x81", 3);
        draft_set(&d, (int64_t)i, t, is_byte ? TOKEN_BYTE : unused ? TOKEN_UNUSED : TOKEN_NORMAL);
        d.score[i] = (float)json_num(json_at(json_at(vocab, i), 1));
    }
    for (size_t i = 0; i < json_len(added); i++)
        d.type[json_int(json_get(json_at(added, i), "id"))] = TOKEN_CONTROL;
    d.type[d.unk] = TOKEN_UNKNOWN;
    struct vocab *v = draft_load(&d);
    arena_deinit(&d.mem);
    json_free(j);
    return v;
}

/* A GGUF vocabulary whose converter forgot that its text has no extra blanks (tokenizer.ggml.remove_extra_whitespaces). */
static inline struct vocab *vocab_of_gguf_without_extra_blanks(const char *rel)
{
    const char *path = test_data(rel);
    struct modelfile *f = NULL;
    struct err e = {0};
    if (!path || gguf_open(&f, path, &e))
        return NULL;
    const struct meta *text = modelfile_meta(f, "tokenizer.ggml.tokens"), *type = modelfile_meta(f, "tokenizer.ggml.token_type"),
                      *score = modelfile_meta(f, "tokenizer.ggml.scores");
    struct draft d;
    bool ok = text && type && score;
    draft_init(&d, "llama", NULL, ok ? text->n : 0, 0);
    d.unk = 0, d.bos = 1, d.eos = 2, d.remove_blanks = true;
    for (size_t i = 0; i < d.n; i++) {
        int64_t t = TOKEN_NORMAL;
        ok &= meta_arr_i64(type, i, &t) && meta_arr_f32(score, i, &d.score[i]);
        draft_set(&d, (int64_t)i, text->strings[i], (int32_t)t);
    }
    struct vocab *v = ok ? draft_load(&d) : NULL;
    arena_deinit(&d.mem);
    modelfile_close(f);
    return v;
}
