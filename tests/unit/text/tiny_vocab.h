/* Small vocabularies made by hand, of both kinds: every byte, a few merges, control and user-defined tokens. */
#pragma once
#include "base/mem.h"
#include "format/modelfile.h"
#include "text/vocab.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tiny {
    struct gguf_writer *w;
    struct str text[512], merges[64];
    int32_t type[512];
    float score[512];
    size_t n, n_merges;
    char store[512][32];
};

static inline int32_t tiny_add(struct tiny *t, const char *text, int32_t type, float score)
{
    snprintf(t->store[t->n], sizeof t->store[0], "%s", text);
    t->text[t->n] = str_of(t->store[t->n]);
    t->type[t->n] = type;
    t->score[t->n] = score;
    return (int32_t)t->n++;
}

/* Saves what w holds, loads it and forgets it. NULL: the error is in e. */
static inline struct vocab *tiny_done(struct tiny *t, const char *model, struct err *e)
{
    char path[64];
    struct modelfile *f = NULL;
    struct vocab *v = NULL;
    snprintf(path, sizeof path, "/tmp/tiny-%d.gguf", (int)getpid());
    gguf_put_str(t->w, "tokenizer.ggml.model", str_of(model));
    gguf_put_strs(t->w, "tokenizer.ggml.tokens", t->text, t->n);
    gguf_put_i32s(t->w, "tokenizer.ggml.token_type", t->type, t->n);
    if (strcmp(model, "gpt2") == 0)
        gguf_put_strs(t->w, "tokenizer.ggml.merges", t->merges, t->n_merges);
    else
        gguf_put_f32s(t->w, "tokenizer.ggml.scores", t->score, t->n);
    if (gguf_writer_save(t->w, path, e) || gguf_open(&f, path, e) || vocab_load(&v, f, e))
        v = NULL;
    modelfile_close(f);
    gguf_writer_free(t->w);
    unlink(path);
    return v;
}

enum { TINY_IM_START = 0, TINY_IM_END = 1, TINY_USER = 2 }; /* in both kinds */

static inline void tiny_start(struct tiny *t)
{
    struct err e;
    memset(t, 0, sizeof *t);
    if (gguf_writer_new(&t->w, &e))
        abort();
    gguf_put_str(t->w, "general.architecture", STR("llama"));
    tiny_add(t, "<|im_start|>", TOKEN_CONTROL, 0);
    tiny_add(t, "<|im_end|>", TOKEN_CONTROL, 0);
    tiny_add(t, "<tool>", TOKEN_USER, 0);
}

static inline struct vocab *tiny_bpe(const char *pre)
{
    static const char *const merges[] = {"h e", "l l", "he ll", "hell o", "Ġ w", "a a", "aa aa", "Ġ Ġ", "Ġ hello", "1 2", "x y", "b c"};
    struct tiny *t = mem_must(sizeof *t);
    struct err e = {0};
    tiny_start(t);
    gguf_put_str(t->w, "tokenizer.ggml.pre", str_of(pre));
    gguf_put_u32(t->w, "tokenizer.ggml.eos_token_id", TINY_IM_END);
    for (uint32_t b = 0, k = 0; b < 256; b++) {
        char text[8] = {0};
        bool plain = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        utf8_encode(text, plain ? b : 256 + k);
        k += !plain;
        tiny_add(t, text, TOKEN_NORMAL, 0);
    }
    for (size_t i = 0; i < sizeof merges / sizeof *merges; i++) {
        char both[32];
        const char *gap = strchr(merges[i], ' ');
        snprintf(both, sizeof both, "%.*s%s", (int)(gap - merges[i]), merges[i], gap + 1);
        t->merges[t->n_merges++] = str_of(merges[i]);
        tiny_add(t, both, strcmp(both, "xy") == 0 ? TOKEN_CONTROL : TOKEN_NORMAL, 0); /* a merge that makes a control token */
    }
    tiny_add(t, "zq", TOKEN_NORMAL, 0); /* no merge makes it */
    struct vocab *v = tiny_done(t, "gpt2", &e);
    if (!v)
        printf("%s\n", e.msg);
    mem_free(t);
    return v;
}

/* A charsmap of two rules, "A" to "a" and the ligature U+FB01 to "fi", written by hand: units at root ^ label. */
enum { TINY_UNITS = 512 };
static uint8_t tiny_charsmap[4 + 4 * TINY_UNITS + 5];

static inline void tiny_unit(uint32_t at, uint32_t unit)
{
    memcpy(tiny_charsmap + 4 + 4 * at, &unit, 4);
}

static inline void tiny_charsmap_init(void)
{
    uint32_t bytes = 4 * TINY_UNITS;
    memcpy(tiny_charsmap, &bytes, 4);
    tiny_unit(0, 256u << 10);                                         /* the root's children begin at 256 */
    tiny_unit(256 ^ 'A', 'A' | 1u << 8 | (256u ^ 'A' ^ 1) << 10);     /* "A" ends here: its value stands at 1 */
    tiny_unit(1, 1u << 31 | 0);                                       /* "a" */
    tiny_unit(256 ^ 0xef, 0xefu | (256u ^ 0xef) << 10);               /* children at 0 ^ label */
    tiny_unit(0xac, 0xacu | (0xacu ^ 256) << 10);                     /* children at 256 ^ label */
    tiny_unit(256 ^ 0x81, 0x81u | 1u << 8 | (256u ^ 0x81 ^ 2) << 10); /* the value stands at 2 */
    tiny_unit(2, 1u << 31 | 2);                                       /* "fi" */
    memcpy(tiny_charsmap + 4 + bytes, "a\0fi\0", 5);
}

static inline struct vocab *tiny_pieces(const char *model, bool bytes, bool normalise)
{
    static const char *const words[] = {"▁",      "h",  "e",  "l",    "o",  "w", "a", "he", "ll", "hell", "hello",
                                        "▁hello", "▁w", "aa", "aaaa", "▁▁", "<", "/", "s",  ">",  "</",   "</s"};
    struct tiny *t = mem_must(sizeof *t);
    struct err e = {0};
    tiny_start(t);
    int32_t unk = tiny_add(t, "<unk>", TOKEN_UNKNOWN, 0), bos = tiny_add(t, "<s>", TOKEN_CONTROL, 0), eos = tiny_add(t, "</s>", TOKEN_CONTROL, 0);
    gguf_put_u32(t->w, "tokenizer.ggml.unknown_token_id", (uint32_t)unk);
    gguf_put_u32(t->w, "tokenizer.ggml.bos_token_id", (uint32_t)bos);
    gguf_put_u32(t->w, "tokenizer.ggml.eos_token_id", (uint32_t)eos);
    for (int b = 0; bytes && b < 256; b++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", b);
        tiny_add(t, text, TOKEN_BYTE, 0);
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        tiny_add(t, words[i], TOKEN_NORMAL, -(float)i);
    if (normalise) {
        gguf_put_bool(t->w, "tokenizer.ggml.add_space_prefix", true);
        gguf_put_bool(t->w, "tokenizer.ggml.remove_extra_whitespaces", true);
        gguf_put_u8s(t->w, "tokenizer.ggml.precompiled_charsmap", tiny_charsmap, sizeof tiny_charsmap);
    }
    struct vocab *v = tiny_done(t, model, &e);
    if (!v)
        printf("%s\n", e.msg);
    mem_free(t);
    return v;
}

static inline struct vocab *tiny_spm(bool bytes)
{
    return tiny_pieces("llama", bytes, false);
}

static inline struct vocab *tiny_unigram(bool bytes)
{
    tiny_charsmap_init();
    return tiny_pieces("t5", bytes, true);
}
