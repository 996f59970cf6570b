/* Special tokens: those that are cut out of the text before it is merged, and those that end a generation. */
#include "text/text_int.h"
#include <stdlib.h>
#include <string.h>

/* Ends of generation by name, where the file gives no id for them (llama.cpp's list). */
static const char *const eog_names[] = {"<|eot_id|>",
                                        "<|im_end|>",
                                        "<|end|>",
                                        "<|return|>",
                                        "<|call|>",
                                        "<|calls|>",
                                        "<|flush|>",
                                        "<end_of_turn>",
                                        "<|endoftext|>",
                                        "<|eom_id|>",
                                        "<EOT>",
                                        "_<EOT>",
                                        "[EOT]",
                                        "[EOS]",
                                        "<eos>",
                                        "[e~[",
                                        "<|eos|>",
                                        "<|EOT|>",
                                        "<|end_of_text|>",
                                        "<end_of_utterance>",
                                        "</s>",
                                        "<｜end▁of▁sentence｜>",
                                        "<|endofassistant|>"};

/* Some converters write these as user-defined tokens. They steer the model, so a user must not be able to type them. */
static bool looks_like_control(struct str t)
{
    return (t.n > 4 && str_starts(t, "<|") && str_ends(t, "|>")) || (t.n > 8 && str_starts(t, "<｜") && str_ends(t, "｜>")) ||
           str_eqz(t, "<start_of_turn>") || str_eqz(t, "<end_of_turn>");
}

static bool is_eog_name(struct str t)
{
    for (size_t i = 0; i < sizeof eog_names / sizeof *eog_names; i++)
        if (str_eqz(t, eog_names[i]))
            return true;
    return false;
}

void special_fix_attrs(struct vocab *v)
{
    int32_t harmony_end = TOKEN_NONE; /* gpt-oss and Solar end a message, not the turn, with <|end|> */
    bool turn_end = false, call_end = false;
    for (int32_t i = 0; i < v->n; i++) {
        struct str t = vocab_text(v, i);
        if (v->attr[i] == TOKEN_USER && looks_like_control(t))
            v->attr[i] = TOKEN_CONTROL;
        if (is_eog_name(t) && (v->attr[i] == TOKEN_CONTROL || looks_like_control(t))) {
            v->attr[i] = TOKEN_CONTROL;
            v->eog[i] = 1;
        }
        turn_end |= str_eqz(t, "<|return|>") || str_eqz(t, "<|flush|>");
        call_end |= str_eqz(t, "<|call|>") || str_eqz(t, "<|calls|>");
        if (str_eqz(t, "<|end|>"))
            harmony_end = i;
    }
    if (turn_end && call_end && harmony_end != TOKEN_NONE && harmony_end != v->eos)
        v->eog[harmony_end] = 0;
    if (v->eos != TOKEN_NONE)
        v->eog[v->eos] = 1;
    for (int32_t i = 0; i < v->n; i++)
        if (v->eog[i] && v->attr[i] != TOKEN_BYTE)
            v->attr[i] = TOKEN_CONTROL;
    if (v->bos != TOKEN_NONE && v->attr[v->bos] != TOKEN_BYTE)
        v->attr[v->bos] = TOKEN_CONTROL;
}

static int by_text(const void *a, const void *b, void *arg)
{
    const struct vocab *v = arg;
    struct str x = vocab_text(v, *(const int32_t *)a), y = vocab_text(v, *(const int32_t *)b);
    int c = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);
    return c ? c : (x.n > y.n) - (x.n < y.n);
}

static bool is_special(const struct vocab *v, int32_t t)
{
    return (v->attr[t] == TOKEN_CONTROL || v->attr[t] == TOKEN_UNKNOWN || v->attr[t] == TOKEN_USER) && vocab_text(v, t).n > 0;
}

static bool names_phi3(const struct modelfile *f)
{
    struct str name;
    struct err none;
    if (modelfile_str(f, "general.name", &name, &none))
        return false;
    for (size_t i = 0; i + 4 <= name.n; i++)
        if (str_ieqz((struct str){name.p + i, 4}, "phi3") || (i + 5 <= name.n && str_ieqz((struct str){name.p + i, 5}, "phi-3")))
            return true;
    return false;
}

/* GGUF has no place for lstrip and rstrip of added tokens; these are the families that llama.cpp knows by name to have them. */
static int load_strip(struct vocab *v, const struct modelfile *f, struct err *e)
{
    struct str pre;
    struct err none;
    bool phi3 = names_phi3(f), jina = !modelfile_str(f, "tokenizer.ggml.pre", &pre, &none) && str_starts(pre, "jina-v2-");
    if (!phi3 && !jina)
        return 0;
    v->strip = mem_array((size_t)v->n, 1);
    if (!v->strip)
        return err_set(e, ERR_NO_MEMORY, "vocab: no memory for the special tokens");
    for (size_t i = 0; phi3 && i < v->n_special; i++) {
        struct str t = vocab_text(v, v->special[i]);
        bool plain = str_eqz(t, "<unk>") || str_eqz(t, "<s>") || str_eqz(t, "<|endoftext|>");
        v->strip[v->special[i]] = plain ? 0 : STRIP_RIGHT;
    }
    int32_t mask = jina ? vocab_find(v, STR("<mask>")) : TOKEN_NONE;
    if (mask != TOKEN_NONE)
        v->strip[mask] |= STRIP_LEFT;
    return 0;
}

int special_init(struct vocab *v, const struct modelfile *f, struct err *e)
{
    size_t n = 0;
    for (int32_t t = 0; t < v->n; t++)
        n += is_special(v, t);
    v->special = mem_array(n ? n : 1, sizeof *v->special);
    if (!v->special)
        return err_set(e, ERR_NO_MEMORY, "vocab: no memory for %zu special tokens", n);
    for (int32_t t = 0; t < v->n; t++)
        if (is_special(v, t)) {
            uint8_t first = (uint8_t)vocab_text(v, t).p[0];
            v->special[v->n_special++] = t;
            v->special_first[first] = 1;
            v->user_first[first] |= v->attr[t] == TOKEN_USER;
        }
    qsort_r(v->special, v->n_special, sizeof *v->special, by_text, v);
    return load_strip(v, f, e);
}

/* The first of special[lo, hi) whose byte at depth is at least c; the texts of the range agree before depth. */
static size_t lower(const struct vocab *v, size_t lo, size_t hi, size_t depth, int c)
{
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        struct str t = vocab_text(v, v->special[mid]);
        if ((t.n > depth ? (int)(uint8_t)t.p[depth] : -1) < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int32_t special_match(const struct vocab *v, const char *p, size_t n, bool with_control)
{
    int32_t best = TOKEN_NONE;
    size_t lo = 0, hi = v->n_special;
    for (size_t depth = 0; depth < n && lo < hi; depth++) {
        int c = (uint8_t)p[depth];
        work(1);
        lo = lower(v, lo, hi, depth, c);
        hi = lower(v, lo, hi, depth, c + 1);
        /* The shortest text of the range stands first; where two are equal both stand there. */
        for (size_t i = lo; i < hi && vocab_text(v, v->special[i]).n == depth + 1; i++)
            if (with_control || v->attr[v->special[i]] == TOKEN_USER)
                best = v->special[i];
    }
    return best;
}
