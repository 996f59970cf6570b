/* Loading a vocabulary: token texts, types and scores, and the index from text to token. The two algorithms load what they need
 * in sentencepiece.c, unigram.c and bpe.c; special tokens and ends of generation are in special.c. */
#include "text/text_int.h"
#include "base/hash.h"
#include "base/log.h"
#include <string.h>

static uint64_t hash_of(const struct vocab *v, const char *p, size_t n)
{
    return siphash(v->hash_key, p, n);
}

int32_t vocab_size(const struct vocab *v)
{
    return v->n;
}
int32_t vocab_bos(const struct vocab *v)
{
    return v->bos;
}
int32_t vocab_eos(const struct vocab *v)
{
    return v->eos;
}
bool vocab_add_bos(const struct vocab *v)
{
    return v->add_bos;
}

static bool in_range(const struct vocab *v, int32_t token)
{
    return token >= 0 && token < v->n;
}

bool vocab_is_eog(const struct vocab *v, int32_t token)
{
    return in_range(v, token) && v->eog[token];
}

enum token_attr vocab_attr(const struct vocab *v, int32_t token)
{
    return in_range(v, token) ? (enum token_attr)v->attr[token] : TOKEN_UNKNOWN;
}

struct str vocab_text(const struct vocab *v, int32_t token)
{
    if (!in_range(v, token))
        return (struct str){NULL, 0};
    return (struct str){v->text + v->at[token], v->at[token + 1] - v->at[token]};
}

int32_t vocab_find_n(const struct vocab *v, const char *p, size_t n)
{
    if (n == 0 || n > v->text_longest)
        return TOKEN_NONE;
    work(n);
    struct str key = {p, n};
    for (size_t i = hash_of(v, p, n) & (v->index_cap - 1); v->index[i]; i = (i + 1) & (v->index_cap - 1)) {
        int32_t token = (int32_t)(v->index[i] - 1);
        if (str_eq(vocab_text(v, token), key))
            return token;
    }
    return TOKEN_NONE;
}

int32_t vocab_find(const struct vocab *v, struct str text)
{
    return vocab_find_n(v, text.p, text.n);
}

bool token_is_plain(const struct vocab *v, int32_t token)
{
    return in_range(v, token) && (v->attr[token] == TOKEN_NORMAL || v->attr[token] == TOKEN_USER || v->attr[token] == TOKEN_UNUSED);
}

int token_put(struct token_sink *s, int32_t token)
{
    if (s->max && s->out->n >= s->max)
        return err_set(s->e, ERR_CONTEXT, "text: the input is longer than %u tokens; shorten it", s->max);
    if (!vec_push(s->out, token))
        return err_set(s->e, ERR_NO_MEMORY, "text: no memory for %zu tokens", s->out->n);
    return 0;
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "vocab: no memory for the tables");
}

/* The array under key: of strings (want_strings) or numbers, n long. *out stays NULL when it is absent. */
static int array_of(const struct modelfile *f, const char *key, bool want_strings, uint64_t n, const struct meta **out, struct err *e)
{
    const struct meta *m = modelfile_meta(f, key);
    *out = NULL;
    if (!m)
        return 0;
    if (m->type != META_ARR || (m->elem == META_STR) != want_strings || m->elem == META_ARR)
        return err_set(e, ERR_FORMAT, "vocab: %s is not an array of %s; convert the model again", key, want_strings ? "strings" : "numbers");
    if (n != UINT64_MAX && m->n != n)
        return err_set(e, ERR_FORMAT, "vocab: %s has %llu entries, not %llu; convert the model again", key, (unsigned long long)m->n,
                       (unsigned long long)n);
    *out = m;
    return 0;
}

static int load_texts(struct vocab *v, const struct modelfile *f, struct err *e)
{
    const struct meta *m;
    size_t bytes = 0;
    int rc = array_of(f, "tokenizer.ggml.tokens", true, UINT64_MAX, &m, e);
    if (rc)
        return rc;
    if (!m || m->n == 0 || m->n > VOCAB_TOKENS_MAX)
        return err_set(e, ERR_FORMAT, "vocab: tokenizer.ggml.tokens has %llu entries, not 1 to %d; convert the model again",
                       m ? (unsigned long long)m->n : 0ull, VOCAB_TOKENS_MAX);
    v->n = (int32_t)m->n;
    for (uint64_t i = 0; i < m->n; i++) {
        if (m->strings[i].n > TOKEN_TEXT_MAX)
            return err_set(e, ERR_FORMAT, "vocab: token %llu is %zu bytes long, the limit is %d; convert the model again", (unsigned long long)i,
                           m->strings[i].n, TOKEN_TEXT_MAX);
        bytes += m->strings[i].n; /* at most 2^21 * 2^12 */
        if (m->strings[i].n > v->text_longest)
            v->text_longest = m->strings[i].n;
    }
    if (bytes > UINT32_MAX)
        return err_set(e, ERR_FORMAT, "vocab: the tokens hold %zu bytes together, the limit is 4 GiB", bytes);
    v->text = mem_array(bytes ? bytes : 1, 1);
    v->at = mem_array((size_t)v->n + 1, sizeof *v->at);
    if (!v->text || !v->at)
        return no_memory(e);
    for (int32_t i = 0; i < v->n; i++) {
        if (m->strings[i].n)
            memcpy(v->text + v->at[i], m->strings[i].p, m->strings[i].n);
        v->at[i + 1] = v->at[i] + (uint32_t)m->strings[i].n;
    }
    return 0;
}

/* Two tokens of one text are an error, as in llama.cpp and Hugging Face: one of them would be out of reach. Empty ones are out of reach anyway. */
static int load_index(struct vocab *v, struct err *e)
{
    random_bytes(v->hash_key, sizeof v->hash_key);
    for (v->index_cap = 16; v->index_cap < (size_t)v->n * 2; v->index_cap *= 2)
        ;
    v->index = mem_array(v->index_cap, sizeof *v->index);
    if (!v->index)
        return no_memory(e);
    for (int32_t t = 0; t < v->n; t++) {
        struct str text = vocab_text(v, t);
        size_t i = hash_of(v, text.p, text.n) & (v->index_cap - 1);
        if (text.n == 0)
            continue;
        while (v->index[i] && !str_eq(vocab_text(v, (int32_t)(v->index[i] - 1)), text))
            i = (i + 1) & (v->index_cap - 1);
        if (v->index[i])
            return err_set(e, ERR_FORMAT, "vocab: tokens %u and %d have the same text; convert the model again", v->index[i] - 1, t);
        v->index[i] = (uint32_t)t + 1;
    }
    return 0;
}

static int load_attrs(struct vocab *v, const struct modelfile *f, struct err *e)
{
    const struct meta *m;
    int rc = array_of(f, "tokenizer.ggml.token_type", false, (uint64_t)v->n, &m, e);
    if (rc)
        return rc;
    v->attr = mem_array((size_t)v->n, 1);
    v->eog = mem_array((size_t)v->n, 1);
    if (!v->attr || !v->eog)
        return no_memory(e);
    for (int32_t i = 0; i < v->n; i++) {
        int64_t type = TOKEN_NORMAL;
        if (m && (!meta_arr_i64(m, (uint64_t)i, &type) || type < 0 || type > TOKEN_BYTE))
            return err_set(e, ERR_FORMAT, "vocab: token %d has type %lld, not 1 to 6; convert the model again", i, (long long)type);
        v->attr[i] = (uint8_t)(type ? type : TOKEN_NORMAL);
    }
    return 0;
}

static int load_id(const struct vocab *v, const struct modelfile *f, const char *key, int32_t dflt, int32_t *out, struct err *e)
{
    uint32_t id;
    *out = dflt < v->n ? dflt : TOKEN_NONE;
    const struct meta *m = modelfile_meta(f, key);
    if (!m)
        return 0;
    int rc = modelfile_u32(f, key, 0, UINT32_MAX, &id, e);
    if (rc)
        return rc;
    if (id >= (uint32_t)v->n) /* some converters write 2^32 - 1 for "none" */
        return id == UINT32_MAX ? (*out = TOKEN_NONE, 0)
                                : err_set(e, ERR_FORMAT, "vocab: %s is %u, past the last token %d; convert the model again", key, id, v->n - 1);
    *out = (int32_t)id;
    return 0;
}

/* What ends a generation beside eos: the ids that a file names, as llama.cpp takes them. */
static int load_eog_ids(struct vocab *v, const struct modelfile *f, struct err *e)
{
    static const char *const keys[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int32_t id;
        int rc = load_id(v, f, keys[i], TOKEN_NONE, &id, e);
        if (rc)
            return rc;
        if (id != TOKEN_NONE)
            v->eog[id] = 1;
    }
    return 0;
}

static int load_pre(struct vocab *v, const struct modelfile *f, struct err *e)
{
    struct str name;
    v->pre = PRETOK_DEFAULT;
    if (!modelfile_meta(f, "tokenizer.ggml.pre")) {
        log_line(LOG_WARN, "vocab", "tokenizer.ggml.pre is missing; the default pre-tokenizer may cut the text otherwise than in training");
        return 0;
    }
    int rc = modelfile_str(f, "tokenizer.ggml.pre", &name, e);
    if (rc)
        return rc;
    if (!pretok_by_name(name, &v->pre))
        return err_set(e, ERR_FORMAT, "vocab: the pre-tokenizer \"%.*s\" (tokenizer.ggml.pre) is not known to this build; a newer one may have it",
                       (int)(name.n < 64 ? name.n : 64), name.p);
    return 0;
}

static int load_kind(struct vocab *v, const struct modelfile *f, struct err *e)
{
    struct str model;
    int rc = modelfile_str(f, "tokenizer.ggml.model", &model, e);
    if (rc)
        return rc;
    if (str_eqz(model, "llama"))
        v->kind = VOCAB_SPM;
    else if (str_eqz(model, "t5"))
        v->kind = VOCAB_UNIGRAM;
    else if (str_eqz(model, "gpt2"))
        v->kind = VOCAB_BPE;
    else
        return err_set(e, ERR_FORMAT, "vocab: tokenizer.ggml.model is \"%.*s\"; this build knows llama, t5 and gpt2",
                       (int)(model.n < 64 ? model.n : 64), model.p);
    return 0;
}

/* llama.cpp's defaults for each kind. */
static const struct defaults {
    int32_t bos, eos, unk;
    bool add_bos, add_eos, add_space_prefix;
} defaults[] = {
    [VOCAB_SPM] = {1, 2, 0, true, false, true},
    [VOCAB_UNIGRAM] = {TOKEN_NONE, 1, 2, false, true, false},
    [VOCAB_BPE] = {TOKEN_NONE, TOKEN_NONE, TOKEN_NONE, false, false, false},
};

static int load_ids(struct vocab *v, const struct modelfile *f, struct err *e)
{
    const struct defaults *d = &defaults[v->kind];
    int rc = v->kind == VOCAB_BPE ? load_pre(v, f, e) : 0;
    int flags = v->kind == VOCAB_BPE ? pretok_flags(v->pre) : 0;
    if (!rc)
        rc = load_id(v, f, "tokenizer.ggml.bos_token_id", d->bos, &v->bos, e);
    if (!rc)
        rc = load_id(v, f, "tokenizer.ggml.eos_token_id", d->eos, &v->eos, e);
    if (!rc)
        rc = load_id(v, f, "tokenizer.ggml.unknown_token_id", d->unk, &v->unk, e);
    static const char *const fim[] = {"tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.fim_mid_token_id"};
    for (size_t i = 0; i < 3 && !rc; i++)
        rc = load_id(v, f, fim[i], TOKEN_NONE, &v->fim[i], e);
    if (!rc)
        rc = modelfile_bool_or(f, "tokenizer.ggml.add_bos_token", d->add_bos || flags & PRETOK_BOS, &v->add_bos, e);
    if (!rc)
        rc = modelfile_bool_or(f, "tokenizer.ggml.add_eos_token", d->add_eos, &v->add_eos, e);
    if (!rc)
        rc = modelfile_bool_or(f, "tokenizer.ggml.add_space_prefix", d->add_space_prefix, &v->add_space_prefix, e);
    v->ignore_merges = flags & PRETOK_WHOLE;
    v->nfc = flags & PRETOK_NFC;
    return rc ? rc : load_eog_ids(v, f, e);
}

int vocab_load(struct vocab **out, const struct modelfile *f, struct err *e)
{
    struct vocab *v = mem_new(sizeof *v);
    *out = NULL;
    if (!v)
        return no_memory(e);
    int rc = load_kind(v, f, e);
    if (!rc)
        rc = load_texts(v, f, e);
    if (!rc)
        rc = load_attrs(v, f, e);
    if (!rc)
        rc = load_ids(v, f, e);
    if (!rc) {
        special_fix_attrs(v);
        rc = load_index(v, e);
    }
    if (!rc)
        rc = special_init(v, f, e);
    if (!rc)
        rc = v->kind == VOCAB_BPE ? bpe_load(v, f, e) : sp_load(v, f, e);
    if (rc)
        vocab_free(v);
    else
        *out = v;
    return rc;
}

void vocab_free(struct vocab *v)
{
    if (!v)
        return;
    mem_free(v->text);
    mem_free(v->at);
    mem_free(v->attr);
    mem_free(v->eog);
    mem_free(v->score);
    mem_free(v->index);
    mem_free(v->merges);
    mem_free(v->special);
    mem_free(v->strip);
    charsmap_deinit(&v->charsmap);
    trie_deinit(&v->trie);
    mem_free(v);
}
