/* The limits of a key: scopes, models, addresses, budget. People write and read words ("all", "none"); the store has lists with commas in
 * which nothing means every one. A list in memory is replaced as a whole, under lock. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

static const struct {
    const char *name;
    enum key_scope scope;
} scopes[] = {{"inference", KEY_INFERENCE}, {"embeddings", KEY_EMBEDDINGS}, {"models", KEY_MODELS}, {"usage", KEY_USAGE}, {"events", KEY_EVENTS}};
enum { SCOPES = sizeof scopes / sizeof *scopes, INET6_TEXT = 45 };

void key_scopes_text(char out[KEY_SCOPES_TEXT_MAX], unsigned have)
{
    size_t n = 0;
    for (size_t i = 0; i < SCOPES; i++)
        if (have & scopes[i].scope) {
            ASSERT(str_fmt(out + n, KEY_SCOPES_TEXT_MAX - n, "%s%s", n ? "," : "", scopes[i].name));
            n += strlen(out + n);
        }
    out[n] = 0;
}

struct key *key_by_id(const struct ledger *l, int64_t id)
{
    union map_value v;
    return map_get(&l->keys_by_id, ID_KEY(id), &v) ? v.ptr : NULL;
}

/* ---- reading what people write ---- */

static bool is(const char *text, const char *word)
{
    return strcmp(text, word) == 0;
}

/* The next word of a list; false at its end. An empty word is the caller's to refuse. */
static bool next(struct str *rest, struct str *word)
{
    if (!rest->p)
        return false;
    *word = str_trim(str_split(rest, ','));
    return true;
}

static int read_scopes(unsigned *out, struct str rest, struct err *e)
{
    struct str word;
    *out = 0;
    while (next(&rest, &word)) {
        unsigned found = 0;
        for (size_t i = 0; i < SCOPES; i++)
            found |= str_eqz(word, scopes[i].name) ? scopes[i].scope : 0;
        if (!found)
            return err_param(
                e, ERR_BAD_VALUE, "scopes",
                "ledger: '%.*s' is no scope of a key; they are inference, embeddings, models, usage, events, with commas between, or all",
                (int)(word.n < 60 ? word.n : 60), word.p);
        *out |= found;
    }
    return 0;
}

bool list_has(const char *list, struct str name)
{
    struct str rest = str_of(list), word;
    while (next(&rest, &word))
        if (str_eq(word, name))
            return true;
    return false;
}

static bool append(char list[KEY_LIST_MAX + 1], struct str word)
{
    size_t n = strlen(list);
    return str_fmt(list + n, KEY_LIST_MAX + 1 - n, "%s%.*s", n ? "," : "", (int)word.n, word.p);
}

/* Each must have a price: a name that is written wrong would lock the key out, or the credit in, without a word. */
int list_models(struct ledger *l, char out[KEY_LIST_MAX + 1], struct str rest, const char *else_what, struct err *e)
{
    struct str word;
    char name[LEDGER_MODEL_MAX];
    *out = 0;
    while (next(&rest, &word)) {
        int shown = (int)(word.n < 150 ? word.n : 150);
        if (!word.n)
            return err_param(e, ERR_BAD_VALUE, "models", "ledger: the list of models has an empty name; write a,b or all");
        if (!str_fmt(name, sizeof name, "%.*s", (int)word.n, word.p) || !price_find(l, name))
            return err_param(e, ERR_BAD_VALUE, "models", "ledger: no model %.*s has a price here, so %s; see `sluice price list`, or write all",
                             shown, word.p, else_what);
        if (!list_has(out, word) && !append(out, word))
            return err_param(e, ERR_BAD_VALUE, "models", "ledger: the list of models has more than %d bytes; name fewer", KEY_LIST_MAX);
    }
    return 0;
}

static int read_allow(struct key_lists *out, struct str rest, struct err *e)
{
    struct str word;
    struct err why;
    out->n_allow = 0;
    while (next(&rest, &word)) {
        struct cidr c;
        if (cidr_parse(&c, word, &why) < 0)
            return err_param(e, ERR_BAD_VALUE, "allow", "ledger: %.400s; several with commas between, or all", why.msg);
        if (out->n_allow == KEY_NETWORKS_MAX)
            return err_param(e, ERR_BAD_VALUE, "allow", "ledger: a key is allowed from at most %d networks; name wider ones", KEY_NETWORKS_MAX);
        out->allow[out->n_allow++] = c;
    }
    return 0;
}

static int read_budget(struct limits *out, struct str text, struct err *e)
{
    struct str rest = text, amount = str_split(&rest, '/');
    struct money m;
    struct err why;
    if (rest.p && !str_eqz(rest, "month"))
        return err_param(e, ERR_BAD_VALUE, "budget", "ledger: a budget is for a month or in all; write 5.00/month, 5.00 or none, not %.*s",
                         (int)(text.n < 60 ? text.n : 60), text.p);
    if (money_parse(&m, amount, &why) < 0)
        return err_param(e, ERR_BAD_VALUE, "budget", "ledger: the budget: %.300s; write 5.00, 5.00/month or none", why.msg);
    if (m.nano < 0)
        return err_param(e, ERR_BAD_VALUE, "budget", "ledger: the budget is negative; write 5.00, 5.00/month or none");
    out->budget = m.nano, out->monthly = rest.p != NULL;
    return 0;
}

int limits_change(struct ledger *l, struct limits *to, const struct key_limits *in, struct err *e)
{
    int rc = 0;
    if (in->scopes && is(in->scopes, "all"))
        to->scopes = KEY_SCOPES_ALL;
    else if (in->scopes)
        rc = read_scopes(&to->scopes, str_of(in->scopes), e);
    if (rc == 0 && in->models && is(in->models, "all"))
        to->lists.models[0] = 0;
    else if (rc == 0 && in->models)
        rc = list_models(l, to->lists.models, str_of(in->models), "no key can use it", e);
    if (rc == 0 && in->allow && is(in->allow, "all"))
        to->lists.n_allow = 0;
    else if (rc == 0 && in->allow)
        rc = read_allow(&to->lists, str_of(in->allow), e);
    if (rc == 0 && in->budget && is(in->budget, "none"))
        to->budget = -1, to->monthly = false;
    else if (rc == 0 && in->budget)
        rc = read_budget(to, str_of(in->budget), e);
    return rc;
}

/* ---- between memory and store ---- */

void limits_of(struct limits *out, const struct key *k)
{
    *out = (struct limits){.scopes = k->scopes, .budget = k->budget, .monthly = k->monthly};
    if (k->lists)
        out->lists = *k->lists;
}

bool limits_give(struct ledger *l, struct key *k, const struct limits *x)
{
    bool needed = x->lists.models[0] || x->lists.n_allow;
    struct key_lists *fresh = needed ? mem_new(sizeof *fresh) : NULL, *old = k->lists;
    if (needed && !fresh)
        return false;
    if (fresh)
        *fresh = x->lists;
    mutex_lock(&l->lock);
    k->scopes = x->scopes, k->lists = fresh;
    k->budget = x->budget, k->monthly = x->monthly;
    mutex_unlock(&l->lock);
    mem_free(old);
    return true;
}

static void allow_text(char out[KEY_LIST_MAX + 1], const struct key_lists *x)
{
    char one[CIDR_TEXT_MAX];
    *out = 0;
    for (size_t i = 0; i < x->n_allow; i++) {
        cidr_text(one, &x->allow[i]);
        ASSERT(append(out, str_of(one)));
    }
}
_Static_assert(KEY_NETWORKS_MAX *(INET6_TEXT + 4 + 1) <= KEY_LIST_MAX, "every list of networks fits");

bool limits_same(const struct key *a, const struct key *b)
{
    static const struct key_lists none;
    const struct key_lists *x = a->lists ? a->lists : &none, *y = b->lists ? b->lists : &none;
    return a->scopes == b->scopes && a->budget == b->budget && a->monthly == b->monthly && is(x->models, y->models) && x->n_allow == y->n_allow &&
           memcmp(x->allow, y->allow, x->n_allow * sizeof *x->allow) == 0;
}

void limits_texts(const struct limits *x, char text[2][KEY_LIST_MAX + 1])
{
    key_scopes_text(text[0], x->scopes);
    allow_text(text[1], &x->lists);
}

void limits_bind(struct stmt *s, int from, const struct limits *x, char text[2][KEY_LIST_MAX + 1])
{
    limits_texts(x, text);
    stmt_text(s, from, text[0]), stmt_text(s, from + 1, x->lists.models), stmt_text(s, from + 2, text[1]);
    stmt_i64(s, from + 3, x->budget), stmt_i64(s, from + 4, x->monthly);
}

int limits_load(struct key *k, struct stmt *s, int col, struct err *e)
{
    struct key_lists x = {0};
    struct str models = stmt_col_str(s, col + 1), allow = stmt_col_str(s, col + 2);
    k->budget = stmt_col_i64(s, col + 3), k->monthly = stmt_col_i64(s, col + 4) != 0;
    int rc = read_scopes(&k->scopes, stmt_col_str(s, col), e);
    if (rc == 0 && allow.n)
        rc = read_allow(&x, allow, e);
    if (rc == 0 && models.n >= sizeof x.models)
        rc = err_set(e, ERR_DB, "ledger: a key's list of models is too long");
    if (rc < 0 || (!models.n && !x.n_allow))
        return rc;
    memcpy(x.models, models.p, models.n);
    k->lists = mem_new(sizeof x);
    if (!k->lists)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a key's lists");
    *k->lists = x;
    return 0;
}

/* ---- asked for each request ---- */

bool key_all_models(const struct key *k)
{
    return !k->lists || !k->lists->models[0];
}

bool ledger_key_model(struct ledger *l, struct key_id id, struct str model)
{
    mutex_lock(&l->lock);
    const struct key *k = key_by_id(l, id.v);
    bool may = k && (key_all_models(k) || list_has(k->lists->models, model));
    mutex_unlock(&l->lock);
    return may;
}

bool ledger_key_address(struct ledger *l, struct key_id id, struct str address)
{
    mutex_lock(&l->lock);
    const struct key *k = key_by_id(l, id.v);
    bool may = k && (!k->lists || !k->lists->n_allow);
    for (size_t i = 0; k && k->lists && i < k->lists->n_allow && !may; i++)
        may = cidr_has(&k->lists->allow[i], address);
    mutex_unlock(&l->lock);
    return may;
}

bool ledger_key_budget(struct ledger *l, struct key_id id, struct money *left)
{
    mutex_lock(&l->lock);
    const struct key *k = key_by_id(l, id.v);
    bool has = k && k->budget >= 0;
    if (has)
        left->nano = k->renews_us && clock_now_us() >= k->renews_us ? k->budget : k->left > 0 ? k->left : 0;
    mutex_unlock(&l->lock);
    return has;
}
