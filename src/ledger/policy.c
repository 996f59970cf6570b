#include "ledger/policy.h"

#include "ledger/business.h"
#include "ledger/operation.h"

#include <string.h>

static const char *const treatment_names[TREATMENTS] = {"revenue", "cash", "contra", "memo"};
enum { WORDS_MAX = 6 };

/* ---- the text ---- */

static int bad(struct err *e, size_t line, const char *what, struct str word)
{
    return err_param(e, ERR_BAD_VALUE, "policy", "policy, line %zu: %s: '%.*s'", line, what, (int)(word.n < 60 ? word.n : 60), word.p ? word.p : "");
}

static int name_index(const char *const *names, int n, struct str word)
{
    for (int i = 0; i < n; i++)
        if (str_eqz(word, names[i]))
            return i;
    return -1;
}

static bool word_copy(char *out, size_t cap, struct str w)
{
    if (!w.n || w.n >= cap)
        return false;
    memcpy(out, w.p, w.n);
    out[w.n] = 0;
    return true;
}

static int use_line(struct policy *p, size_t line, const struct str *w, struct err *e)
{
    struct policy_use u = {name_index(funding_names, FUNDING_COUNT, w[1]), name_index(scope_names, SCOPE_COUNT, w[2]), TREAT_MEMO};
    int how = name_index(treatment_names, TREATMENTS, w[3]);
    if (u.funding < 0)
        return bad(e, line, "the funding is unknown; write paid, promotional, goodwill or investment", w[1]);
    if (u.scope < 0)
        return bad(e, line, "the scope is unknown; write any, inference, training or embeddings", w[2]);
    if (how < 0)
        return bad(e, line, "the treatment is unknown; write revenue, cash, contra or memo", w[3]);
    u.how = (enum treatment)how;
    return vec_push(&p->use, u) ? 0 : err_set(e, ERR_NO_MEMORY, "ledger: no memory for a policy");
}

static int product_line(struct policy *p, size_t line, const struct str *w, size_t n, struct err *e)
{
    struct policy_product t = {.scope = name_index(scope_names, SCOPE_COUNT, w[2])};
    const char *star = memchr(w[1].p, '*', w[1].n);
    if (t.scope < 0)
        return bad(e, line, "the scope is unknown; write any, inference, training or embeddings", w[2]);
    if (!word_copy(t.model, sizeof t.model, w[1]) || (star && star != w[1].p + w[1].n - 1))
        return bad(e, line, "a model is an alias, or has one * at its end", w[1]);
    if (!word_copy(t.segment, sizeof t.segment, w[3]) || !word_copy(t.product, sizeof t.product, w[4]))
        return bad(e, line, "a segment or a product line is too long", w[3]);
    if (n == 6 && !str_eqz(w[5], "ai") && !str_eqz(w[5], "other"))
        return bad(e, line, "the last word is ai or other", w[5]);
    t.ai = n < 6 || str_eqz(w[5], "ai");
    return vec_push(&p->product, t) ? 0 : err_set(e, ERR_NO_MEMORY, "ledger: no memory for a policy");
}

static int publisher_line(struct policy *p, size_t line, const struct str *w, struct err *e)
{
    struct policy_publisher t = {.principal = str_eqz(w[2], "principal")};
    const char *star = memchr(w[1].p, '*', w[1].n);
    if (!word_copy(t.model, sizeof t.model, w[1]) || (star && star != w[1].p + w[1].n - 1))
        return bad(e, line, "a model is an alias, or has one * at its end", w[1]);
    if (!t.principal && !str_eqz(w[2], "agent"))
        return bad(e, line, "revenue of a publisher's model is all of it, or what is left after its share: write principal or agent", w[2]);
    return vec_push(&p->publisher, t) ? 0 : err_set(e, ERR_NO_MEMORY, "ledger: no memory for a policy");
}

static int expire_line(struct policy *p, size_t line, const struct str *w, struct err *e)
{
    int funding = name_index(funding_names, FUNDING_COUNT, w[1]);
    if (funding < 0)
        return bad(e, line, "the funding is unknown; write paid, promotional, goodwill or investment", w[1]);
    if (!str_eqz(w[2], "revenue") && !str_eqz(w[2], "keep"))
        return bad(e, line, "what expires becomes revenue, or the money is kept as owed: write revenue or keep", w[2]);
    p->breakage[funding] = str_eqz(w[2], "revenue");
    return 0;
}

static int weight_line(struct policy *p, size_t line, const struct str *w, struct err *e)
{
    int k = name_index(cube_sum_names, CUBE_SUMS, w[1]);
    uint64_t v;
    if (k < CUBE_INPUT || k > CUBE_REASONING)
        return bad(e, line, "the meter is unknown; write input, cache_read, cache_write, output or reasoning", w[1]);
    if (!str_u64(w[2], &v) || v > 1000)
        return bad(e, line, "a weight is an integer from 0 to 1000", w[2]);
    p->weight[k] = (int64_t)v;
    return 0;
}

static int hour_line(struct policy *p, size_t line, const struct str *w, struct err *e)
{
    struct money m;
    if (money_parse(&m, w[1], NULL) < 0 || m.nano < 0 || m.nano > 1000000 * (int64_t)MONEY_NANO)
        return bad(e, line, "what an hour of the machine costs is an amount from 0 to 1000000", w[1]);
    p->machine_hour = m.nano;
    return 0;
}

static int line_read(struct policy *p, size_t line, struct str text, struct err *e)
{
    struct str w[WORDS_MAX] = {{0}};
    size_t n = 0;
    while (text.p) {
        struct str word = str_split(&text, ' ');
        if (word.n && n == WORDS_MAX)
            return bad(e, line, "it has too many words", word);
        if (word.n)
            w[n++] = word;
    }
    if (!n || w[0].p[0] == '#')
        return 0;
    if (p->use.n + p->product.n + p->publisher.n > POLICY_RULES_MAX)
        return bad(e, line, "there are more than 500 rules", w[0]);
    if (str_eqz(w[0], "use") && n == 4)
        return use_line(p, line, w, e);
    if (str_eqz(w[0], "product") && (n == 5 || n == 6))
        return product_line(p, line, w, n, e);
    if (str_eqz(w[0], "publisher") && n == 3)
        return publisher_line(p, line, w, e);
    if (str_eqz(w[0], "expire") && n == 3)
        return expire_line(p, line, w, e);
    if (str_eqz(w[0], "weight") && n == 3)
        return weight_line(p, line, w, e);
    if (str_eqz(w[0], "machine_hour") && n == 2)
        return hour_line(p, line, w, e);
    return bad(e, line,
               "it is no rule; write use FUNDING SCOPE TREATMENT, expire FUNDING revenue|keep, product MODEL SCOPE SEGMENT PRODUCT [ai|other], "
               "publisher MODEL agent|principal, machine_hour AMOUNT or weight METER N",
               w[0]);
}

/* Every use has a rule, and every model. */
static int whole(const struct policy *p, struct err *e)
{
    for (int f = 0; f < FUNDING_COUNT; f++) {
        bool any = false;
        for (size_t i = 0; i < p->use.n; i++)
            any |= p->use.p[i].funding == f && p->use.p[i].scope == SCOPE_ANY;
        if (!any)
            return err_param(e, ERR_BAD_VALUE, "policy", "policy: no rule says what %s credit is for any scope; add: use %s any contra",
                             funding_names[f], funding_names[f]);
    }
    for (size_t i = 0; i < p->product.n; i++)
        if (p->product.p[i].scope == SCOPE_ANY && strcmp(p->product.p[i].model, "*") == 0)
            return 0;
    return err_param(e, ERR_BAD_VALUE, "policy", "policy: no rule gives every model a product line; add: product * any inference own ai");
}

int policy_parse(struct policy *out, struct str text, struct err *e)
{
    *out = (struct policy){0};
    int rc = text.n > POLICY_TEXT_MAX ? err_param(e, ERR_BAD_VALUE, "policy", "policy: it is longer than 64 KiB") : 0;
    if (rc == 0 && text.n && (memchr(text.p, 0, text.n) || !utf8_valid(text.p, text.n)))
        rc = err_param(e, ERR_BAD_VALUE, "policy", "policy: it is no text in UTF-8");
    for (size_t line = 1; rc == 0 && text.p; line++)
        rc = line_read(out, line, str_trim(str_split(&text, '\n')), e);
    if (rc == 0)
        rc = whole(out, e);
    if (rc < 0)
        policy_deinit(out);
    return rc;
}

void policy_deinit(struct policy *p)
{
    vec_deinit(&p->use);
    vec_deinit(&p->product);
    vec_deinit(&p->publisher);
}

enum treatment policy_use_of(const struct policy *p, int funding, int scope)
{
    for (size_t i = 0; i < p->use.n; i++)
        if (p->use.p[i].funding == funding && (p->use.p[i].scope == SCOPE_ANY || p->use.p[i].scope == scope))
            return p->use.p[i].how;
    return TREAT_MEMO;
}

static bool model_fits(const char *rule, const char *model)
{
    size_t n = strlen(rule);
    return n && rule[n - 1] == '*' ? strncmp(rule, model, n - 1) == 0 : strcmp(rule, model) == 0;
}

const struct policy_product *policy_product_of(const struct policy *p, const char *model, int scope)
{
    for (size_t i = 0; i < p->product.n; i++) {
        const struct policy_product *t = &p->product.p[i];
        if ((t->scope == SCOPE_ANY || t->scope == scope) && model_fits(t->model, model))
            return t;
    }
    return &p->product.p[p->product.n - 1];
}

bool policy_principal(const struct policy *p, const char *model)
{
    for (size_t i = 0; i < p->publisher.n; i++)
        if (model_fits(p->publisher.p[i].model, model))
            return p->publisher.p[i].principal;
    return false;
}

/* ---- versions ---- */

struct load {
    struct policy *out;
    bool found;
};

static int load_row(void *arg, struct stmt *s, struct err *e)
{
    struct load *o = arg;
    int rc = policy_parse(o->out, stmt_col_str(s, 1), e);
    o->found = true;
    o->out->version = stmt_col_i64(s, 0);
    return rc;
}

int policy_load(struct policy *out, struct ledger *l, int64_t version, struct err *e)
{
    struct load o = {out, false};
    *out = (struct policy){0};
    int rc = report_each(l, SQL("SELECT version, text FROM revenue_policy WHERE ?1 = 0 OR version = ?1 ORDER BY version DESC LIMIT 1"),
                         (int64_t[4]){version}, load_row, &o, e);
    if (rc == 0 && !o.found)
        rc = err_param(e, ERR_NOT_FOUND, "policy", "ledger: there is no version %lld of the policy; see `sluice policy list`", (long long)version);
    return rc;
}

static void version_put(struct jw *w, struct stmt *s)
{
    report_i64(w, "version", stmt_col_i64(s, 0)), report_text(w, "actor", stmt_col_str(s, 2)), report_text(w, "reason", stmt_col_str(s, 3));
    report_time(w, "created", stmt_col_i64(s, 4));
}

static int list_row(void *arg, struct stmt *s, struct err *e)
{
    (void)e;
    jw_obj(arg), version_put(arg, s), jw_obj_end(arg);
    return 0;
}

int ledger_policy_list(struct ledger *l, struct buf *out, struct err *e)
{
    struct jw w;
    int rc = report_begin(l, e);
    if (rc < 0)
        return rc;
    jw_init(&w, out), jw_arr(&w);
    rc = report_each(l, SQL("SELECT version, text, actor, reason, created_us FROM revenue_policy ORDER BY version DESC"), NULL, list_row, &w, e);
    jw_arr_end(&w);
    report_end(l);
    return rc;
}

static int show_row(void *arg, struct stmt *s, struct err *e)
{
    (void)e;
    jw_obj(arg), version_put(arg, s), report_text(arg, "text", stmt_col_str(s, 1)), jw_obj_end(arg);
    return 0;
}

int ledger_policy_show(struct ledger *l, int64_t version, struct buf *out, struct err *e)
{
    struct jw w;
    size_t before = out->len;
    int rc = report_begin(l, e);
    if (rc < 0)
        return rc;
    jw_init(&w, out);
    rc = report_each(
        l, SQL("SELECT version, text, actor, reason, created_us FROM revenue_policy WHERE ?1 = 0 OR version = ?1 ORDER BY version DESC LIMIT 1"),
        (int64_t[4]){version}, show_row, &w, e);
    report_end(l);
    if (rc == 0 && out->len == before)
        rc = err_param(e, ERR_NOT_FOUND, "policy", "ledger: there is no version %lld of the policy; see `sluice policy list`", (long long)version);
    return rc;
}

struct set_args {
    const char *text, *actor, *reason;
    int64_t version;
    bool same;
};

/* Ledger thread, in a transaction of its own. */
static int set(struct ledger *l, void *arg, struct err *e)
{
    struct set_args *a = arg;
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db, SQL("SELECT version, text FROM revenue_policy ORDER BY version DESC LIMIT 1"), e);
    if (rc < 0 || (rc = stmt_step(s, &row, e)) < 0)
        return rc;
    a->version = row ? stmt_col_i64(s, 0) : 0;
    a->same = row && str_eqz(stmt_col_str(s, 1), a->text);
    stmt_put(s);
    if (a->same)
        return 0;
    if ((rc = stmt_get(&s, l->db, SQL("INSERT INTO revenue_policy (version, text, actor, reason, created_us) VALUES (?1, ?2, ?3, ?4, ?5)"), e)) < 0)
        return rc;
    stmt_i64(s, 1, ++a->version), stmt_text(s, 2, a->text), stmt_text(s, 3, a->actor), stmt_text(s, 4, a->reason), stmt_i64(s, 5, l->now_us);
    char object[32];
    ASSERT(str_fmt(object, sizeof object, "version %lld", (long long)a->version));
    return (rc = stmt_run(s, e)) < 0 ? rc : event_by(l, a->actor, "policy.set", object, a->reason, e);
}

int ledger_policy_set(struct ledger *l, const char *text, const struct deed *by, struct buf *out, struct err *e)
{
    struct set_args a = {.text = text, .actor = by->actor ? by->actor : "admin", .reason = by->reason};
    struct policy p;
    struct jw w;
    int rc = words_check("actor", by->actor, LEDGER_NAME_MAX - 1, e);
    if (rc < 0 || (rc = words_check("reason", by->reason, LEDGER_REASON_MAX, e)) < 0)
        return rc;
    if (!by->reason)
        return err_param(e, ERR_BAD_VALUE, "reason", "ledger: a reason is missing; say why, for who reads the books later");
    if ((rc = policy_parse(&p, str_of(text), e)) < 0)
        return rc;
    policy_deinit(&p);
    if ((rc = queue_call(l, set, &a, e)) < 0)
        return rc;
    jw_init(&w, out), jw_obj(&w);
    report_i64(&w, "version", a.version);
    jw_key(&w, "new"), jw_bool(&w, !a.same);
    jw_obj_end(&w);
    return 0;
}
