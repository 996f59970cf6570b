/* Speculation by prompt lookup: where the end of a sequence stood before in its own tokens (ngram.c), what came next there is guessed to come next
 * again (Saxena, "Prompt lookup decoding", 2023). The guess, the draft, is computed in the same step as the last token, a row for each of its tokens,
 * because a few rows more cost little: weights are read once for all. Then each row is sampled as it would be anyway. The draft was right as far as
 * the sampler picks its tokens; the rows behind are as if they had never been: no count, no text, no page knows of them.
 *
 * How many rows a draft gets: as many as make the most tokens of the time.
 *
 *   tokens of a step: one of each sequence + for each drafted token the probability that all up to it are right
 *   time of a step:   by its rows, as steps of this model took so far (pace.c)
 *
 * A guess is made and checked against what is sampled at every step, drafted or not, so the probability that a guess after a match of this length is
 * right in this sequence is known without a row spent on probing. Nothing is learned from other sequences: they may be other tenants'. */
#include "base/mem.h"
#include "engine/engine_int.h"

enum {
    LENGTHS = 6,   /* classes of lengths of a match */
    REMEMBER = 32, /* guesses of a class; older ones count half */
};
/* Before anything is known of a sequence: right with this probability, as if seen in PRIOR_WEIGHT guesses. */
static const float prior[LENGTHS] = {0.25f, 0.35f, 0.5f, 0.6f, 0.75f, 0.85f};
#define PRIOR_WEIGHT 3.0f
#define WORTH        1.05 /* a draft must promise this much more, or it is left */
#define CHANCE_MIN   0.02f
#define CHECK_STEPS  16

struct spec {
    struct ngram index;
    struct ngram_match match; /* of the first n tokens */
    uint32_t n;
    float right[LENGTHS], wrong[LENGTHS];
    float chance;  /* that all tokens of the draft are right */
    uint32_t most; /* tokens that the draft may have */
    int32_t draft[ENGINE_DRAFT_MAX];
};

int32_t spec_token(const struct seq *s, uint32_t i)
{
    return s->spec->draft[i];
}

void spec_free(struct spec *x)
{
    if (!x)
        return;
    ngram_deinit(&x->index);
    mem_free(x);
}

/* ---- how likely a guess is right ---- */

static int class_of(uint32_t length)
{
    return length < 4 ? (int)length - 2 : length < 6 ? 2 : length < 10 ? 3 : length < 20 ? 4 : 5;
}

static float chance_of(const struct spec *x, uint32_t length)
{
    int c = class_of(length);
    return (x->right[c] + PRIOR_WEIGHT * prior[c]) / (x->right[c] + x->wrong[c] + PRIOR_WEIGHT);
}

/* What has been sampled since the last look is held against what was guessed then. */
static void learn(struct spec *x, const int32_t *tokens, uint32_t n)
{
    if (x->match.length == 0)
        return;
    bool right = true;
    for (uint32_t i = 0; right && x->n + i < n; i++) {
        int c = class_of(x->match.length + i);
        right = tokens[x->n + i] == tokens[x->match.at + i];
        *(right ? &x->right[c] : &x->wrong[c]) += 1;
        if (x->right[c] + x->wrong[c] > REMEMBER)
            x->right[c] /= 2, x->wrong[c] /= 2;
    }
}

/* ---- the drafts of a step ---- */

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Looks for the end of s in its past. False: there is nothing to guess by. */
static bool look(struct engine *g, struct seq *s)
{
    const uint32_t n = (uint32_t)s->tokens.n, allowance = atomic_load_explicit(&s->allowance, memory_order_relaxed);
    const uint32_t left = least(allowance, s->out_max) - s->n_out; /* at least one: it has a row in this step */
    struct spec *x = s->spec;
    if (!x && !(x = s->spec = mem_new(sizeof *x)))
        return false;
    learn(x, s->tokens.p, n);
    x->match = (struct ngram_match){0};
    x->n = n;
    if (!ngram_add(&x->index, s->tokens.p, n))
        return false;
    x->match = ngram_find(&x->index, s->tokens.p, n);
    x->most = least(g->o.draft_max, left - 1);
    x->chance = 1;
    return x->match.length > 0;
}

/* The sequence whose next drafted token is the likeliest to be right, and how likely that is; NULL: none may have more. */
static struct seq *likeliest(struct engine *g, uint32_t n, float *chance)
{
    struct seq *best = NULL;
    *chance = CHANCE_MIN;
    for (uint32_t i = 0; i < n; i++) {
        struct seq *s = g->sorted[i];
        const struct spec *x = s->spec;
        float c = x->chance * chance_of(x, x->match.length + s->n_draft);
        if (s->n_draft < x->most && c > *chance)
            best = s, *chance = c;
    }
    return best;
}

/* Gives out rows one by one, the likeliest first, and takes back those beyond the best sum. g->sorted (n): those that have something to guess by.
 * rows: of decoding sequences; mixed: the step has rows of prompts too, so that another row costs what such a row does. */
static void share_rows(struct engine *g, struct engine_model *m, uint32_t n, uint32_t rows, uint32_t room, bool mixed)
{
    struct seq *given[ENGINE_DRAFT_ROWS], *s;
    const double alone = (double)pace_decode_ns(&m->pace, rows), row = (double)pace_row_ns(&m->pace);
    double tokens = rows, best = alone > 0 ? WORTH * rows / alone : 0;
    uint32_t k = 0, keep = 0;
    float chance;
    if (!g->draft_always && (!(alone > 0) || (mixed && !(row > 0))))
        return;
    for (; k < room && (s = likeliest(g, n, &chance)); k++) {
        struct spec *x = s->spec;
        uint32_t at = x->match.at + s->n_draft;
        x->draft[s->n_draft++] = at < x->n ? s->tokens.p[at] : x->draft[at - x->n]; /* a short loop goes on in the draft itself */
        x->chance = chance;
        given[k] = s;
        tokens += (double)chance;
        double cost = mixed ? alone + (k + 1) * row : (double)pace_decode_ns(&m->pace, rows + k + 1);
        if (tokens / cost > best || g->draft_always)
            best = tokens / cost, keep = k + 1;
    }
    /* What a step takes without drafts must be known well: it is looked at again, the rarer the more drafts gain. */
    double gain = keep > 0 && alone > 0 ? best * alone / rows : 1;
    if (keep > 0 && !mixed && !g->draft_always && (double)pace_age(&m->pace, rows) > CHECK_STEPS * gain * gain)
        keep = 0;
    while (k > keep)
        given[--k]->n_draft--;
}

/* Only pages that nobody needs: a draft that has none ends there. */
static void secure(struct seq *s)
{
    const uint32_t need = kv_pages_for(s->n_kv + 1 + s->n_draft);
    while (s->pages.n < need) {
        void *page = vec_reserve(&s->pages, need) ? kv_page_get(s->model->pool) : NULL;
        if (!page) {
            s->n_draft = (uint32_t)s->pages.n * KV_PAGE - s->n_kv - 1;
            return;
        }
        s->pages.p[s->pages.n++] = page;
    }
}

void spec_plan(struct engine *g, struct engine_model *m)
{
    uint32_t rows = 0, prompts = 0, n = 0;
    for (uint32_t i = 0; i < g->n_batch; i++) {
        struct seq *s = g->batch[i];
        *(s->decodes ? &rows : &prompts) += s->rows;
        s->n_draft = 0;
        if (g->o.draft_max > 0 && s->decodes && s->kind == SEQ_GENERATE && s->n_out > 0 && look(g, s))
            g->sorted[n++] = s;
    }
    if (n == 0)
        return;
    share_rows(g, m, n, rows, least(ENGINE_DRAFT_ROWS, STEP_ROWS_MAX - rows - prompts), prompts > 0);
    for (uint32_t i = 0; i < n; i++) {
        struct seq *s = g->sorted[i];
        secure(s);
        s->rows += s->n_draft;
        g->drafted += s->n_draft;
    }
}

void spec_settle(struct seq *s)
{
    const uint32_t need = kv_pages_for(s->n_kv);
    while (s->pages.n > need)
        kv_page_put(s->model->pool, s->pages.p[--s->pages.n]);
}
