/* What the files of text/ share: the tables of a vocabulary, and the two algorithms that vocab_encode chooses from. */
#pragma once
#include "text/charsmap.h"
#include "text/pretok.h"
#include "text/trie.h"
#include "text/vocab.h"
#include "text/work.h"

/* Limits of a vocabulary file. */
enum { VOCAB_TOKENS_MAX = 1 << 21, VOCAB_MERGES_MAX = 1 << 22, TOKEN_TEXT_MAX = 4096, ENCODE_BYTES_MAX = 1 << 28 };

enum vocab_kind { VOCAB_SPM, VOCAB_UNIGRAM, VOCAB_BPE };

/* Blanks that a special token takes with it. */
enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };

struct merge_rule {
    uint32_t left, right; /* tokens; left == UINT32_MAX: an empty slot */
    uint32_t rank, made;
};

struct vocab {
    enum vocab_kind kind;
    enum pretok pre;
    int32_t n;
    char *text;      /* the texts of all tokens, one after another */
    uint32_t *at;    /* (n + 1) */
    uint8_t *attr;   /* (n) */
    uint8_t *eog;    /* (n) */
    float *score;    /* (n), SPM and unigram */
    uint32_t *index; /* open addressing by SipHash of the text: token + 1 */
    size_t index_cap;
    size_t text_longest;
    uint8_t hash_key[16];
    int32_t bos, eos, unk;
    int32_t fim[3]; /* prefix, suffix, middle, as the file says; TOKEN_NONE */
    bool add_bos, add_eos, add_space_prefix, ignore_merges, nfc, remove_blanks, all_bytes;
    struct charsmap charsmap; /* SentencePiece's replacements; empty: none */
    struct trie trie;         /* unigram: the tokens by their bytes */
    double unk_score;
    int32_t byte_token[256];   /* SentencePiece: <0xHH>; BPE: the byte's own token; TOKEN_NONE when absent */
    struct merge_rule *merges; /* open addressing by the pair */
    uint64_t joints[1 << 10];  /* bit 256 a + b: some merge joins a symbol that ends with byte a and one that begins with byte b */
    size_t merges_cap;
    uint64_t merge_key;
    uint8_t *strip;   /* (n) STRIP_...; NULL: none */
    int32_t *special; /* tokens that are cut out of the text before anything else, ordered by their bytes */
    size_t n_special;
    uint8_t special_first[256], user_first[256]; /* a special, a user-defined token may begin with this byte */
};

/* Where tokens go. */
struct token_sink {
    struct vec_i32 *out;
    uint32_t max;
    struct err *e;
};
int token_put(struct token_sink *s, int32_t token) MUST_USE; /* 0, ERR_CONTEXT or ERR_NO_MEMORY */

int32_t vocab_find_n(const struct vocab *v, const char *p, size_t n); /* any token with that text */
bool token_is_plain(const struct vocab *v, int32_t token);            /* ordinary text may become this token */

/* special.c */
int special_init(struct vocab *v, const struct modelfile *f, struct err *e) MUST_USE;
int32_t special_match(const struct vocab *v, const char *p, size_t n, bool with_control); /* the longest at p; TOKEN_NONE */
void special_fix_attrs(struct vocab *v); /* marks the ends of generation; makes tokens that look like control tokens such */

/* bpe.c: text without special tokens. */
int bpe_load(struct vocab *v, const struct modelfile *f, struct err *e) MUST_USE;
int bpe_encode(const struct vocab *v, const char *p, size_t n, struct token_sink *s) MUST_USE;
size_t bpe_byte_of(uint32_t cp); /* the byte that a character of a byte-level token stands for; 256: none */

/* sentencepiece.c: text without control tokens; it normalises, keeps user-defined tokens whole and hands on what lies between them. */
int sp_load(struct vocab *v, const struct modelfile *f, struct err *e) MUST_USE;
int sp_encode(const struct vocab *v, const char *p, size_t n, bool prefix, struct token_sink *s) MUST_USE;
/* A piece that is no token: its bytes, or one <unk> for neighbours that have none (*after_unk: the piece before was such). */
int sp_put_unknown(const struct vocab *v, const char *p, size_t n, bool *after_unk, struct token_sink *s) MUST_USE;

/* spm.c, unigram.c: normalised text. */
int spm_encode(const struct vocab *v, const char *p, size_t n, struct token_sink *s) MUST_USE;
int unigram_load(struct vocab *v, struct err *e) MUST_USE;
int unigram_encode(const struct vocab *v, const char *p, size_t n, struct token_sink *s) MUST_USE;
