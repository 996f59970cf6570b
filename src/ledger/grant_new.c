/* A new grant: what it must be, its row, and its booking. Paid credit is received in cash, as far as it was paid for; what is given beside is
 * contra_revenue of its funding (contra_revenue:paid: a discount). */
#include "ledger/operation.h"

#include "base/mem.h"

#include <string.h>

struct create_args {
    const struct grant_new *in;
    enum scope scope;
    enum funding funding;
    int64_t cash, list_value;
};

static int money_in(struct ledger *l, struct grant *g, const char *code, const char *class, int64_t amount, int64_t operation, struct err *e)
{
    int64_t from;
    int rc = amount ? account_get(l, code, class, 0, &from, e) : 0;
    return rc < 0 || !amount ? rc : batch_txn(l, &(struct movement){"grant", g, from, g->account, amount, operation}, NULL, e);
}

int grant_book(struct ledger *l, struct grant *g, int64_t cash, int64_t operation, struct err *e)
{
    char code[64];
    ASSERT(str_fmt(code, sizeof code, "contra_revenue:%s", funding_names[g->funding]));
    int rc = money_in(l, g, "cash", "asset", cash, operation, e);
    return rc < 0 ? rc : money_in(l, g, code, "contra_revenue", g->amount - cash, operation, e);
}

/* Every account's balance stays within the sum of what was ever given, so that must be an amount. A transfer gives nothing new. */
bool grant_fits(struct ledger *l, int64_t more)
{
    int64_t sum = more;
    for (size_t i = 0; i < l->grants.n; i++) {
        const struct grant *g = l->grants.p[i];
        if ((!g->parent && !ck_add(sum, g->amount, &sum)) || (g->adjusted > 0 && !ck_add(sum, g->adjusted, &sum)))
            return false;
    }
    return true;
}

/* ---- the row ---- */

/* The same reference again: the first grant, if it says the same. *id: 0 when there is none. */
static int replay(struct ledger *l, const struct create_args *a, int64_t *id, struct err *e)
{
    struct stmt *s;
    bool found;
    *id = 0;
    if (!a->in->reference)
        return 0;
    int rc = stmt_get(&s, l->db, SQL("SELECT id, org_id, amount FROM credit_grant WHERE reference = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, a->in->reference);
    if ((rc = stmt_step(s, &found, e)) == 0 && found) {
        *id = stmt_col_i64(s, 0);
        if (stmt_col_i64(s, 1) != a->in->org.v || stmt_col_i64(s, 2) != a->in->amount.nano)
            rc = err_set(e, ERR_CONFLICT, "ledger: reference '%.64s' is already grant %lld with another account or amount; use a new reference",
                         a->in->reference, (long long)*id);
    }
    stmt_put(s);
    return rc;
}

static int insert(struct ledger *l, const struct operation *o, const struct grant *g, struct err *e)
{
    struct stmt *s;
    const struct create_args *a = o->arg;
    const struct grant_new *in = a->in;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO credit_grant (id, org_id, account_id, scope, models, funding, priority, amount, remaining, currency, "
                          "cash_received, list_value, counterparty, instrument, effective_us, expires_us, state, reference, created_us, created_by, "
                          "approved_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, g->id), stmt_i64(s, 2, g->org->id), stmt_i64(s, 3, g->account), stmt_text(s, 4, scope_names[g->scope]);
    stmt_text(s, 5, g->models ? g->models : ""), stmt_text(s, 6, funding_names[g->funding]), stmt_i64(s, 7, g->priority);
    stmt_i64(s, 8, g->amount), stmt_i64(s, 9, g->remaining), stmt_text(s, 10, l->currency), stmt_i64(s, 11, a->cash);
    stmt_i64(s, 12, a->list_value), stmt_text(s, 13, in->counterparty ? in->counterparty : "");
    stmt_text(s, 14, in->instrument ? in->instrument : ""), stmt_i64(s, 15, g->effective_us), stmt_i64(s, 16, g->expires_us);
    stmt_i64(s, 17, (int64_t)g->state), stmt_text(s, 18, in->reference), stmt_i64(s, 19, l->now_us), stmt_text(s, 20, operation_actor(o));
    stmt_i64(s, 21, g->state == GRANT_UNAPPROVED ? 0 : l->now_us);
    return stmt_run(s, e);
}

static void describe(const struct ledger *l, struct operation *o, const struct grant *g)
{
    const struct grant_new *in = ((const struct create_args *)o->arg)->in;
    char amount[MONEY_TEXT_MAX];
    money_text(amount, (struct money){g->amount});
    buf_fmt(&o->detail, "%s %s for %s scope %s models %s funding %s priority %d reference %s counterparty %s instrument %s%s", amount, l->currency,
            g->org->name, scope_names[g->scope], g->models ? g->models : "all", funding_names[g->funding], g->priority,
            in->reference ? in->reference : "-", in->counterparty ? in->counterparty : "-", in->instrument ? in->instrument : "-",
            g->state == GRANT_UNAPPROVED ? " unapproved" : "");
}

static int models_read(struct ledger *l, const char *text, char **out, struct err *e)
{
    char list[KEY_LIST_MAX + 1];
    if (!text || strcmp(text, "all") == 0)
        return 0;
    int rc = list_models(l, list, str_of(text), "no grant can be for it", e);
    if (rc == 0 && !(*out = mem_str(list, strlen(list))))
        rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory for a grant");
    return rc;
}

/* The grant in memory, its account, row and booking. */
static int make(struct ledger *l, const struct operation *o, struct org *org, struct grant *g, struct err *e)
{
    const struct create_args *a = o->arg;
    char code[64];
    bool waits = approval_needed(l, a->in->amount.nano);
    *g = (struct grant){.id = (int64_t)l->grants.n + 1,
                        .org = org,
                        .scope = a->scope,
                        .funding = a->funding,
                        .state = waits ? GRANT_UNAPPROVED : GRANT_WAITS,
                        .priority = a->in->priority,
                        .posting = -1,
                        .amount = a->in->amount.nano,
                        .remaining = waits ? 0 : a->in->amount.nano,
                        .expires_us = a->in->expires_us,
                        .effective_us = a->in->effective_us ? a->in->effective_us : l->now_us};
    ASSERT(str_fmt(code, sizeof code, "grant_pool:%lld", (long long)g->id));
    int rc = models_read(l, a->in->models, &g->models, e);
    if (rc == 0)
        rc = account_get(l, code, "liability", org->id, &g->account, e);
    if (rc == 0)
        rc = insert(l, o, g, e);
    return rc == 0 && !waits ? grant_book(l, g, a->cash, o->id, e) : rc;
}

static void answer(struct operation *o, int64_t grant, bool unapproved)
{
    struct jw w;
    jw_init(&w, &o->answer);
    jw_obj(&w);
    jw_key(&w, "grant"), jw_i64(&w, grant);
    if (unapproved)
        jw_key(&w, "approval"), jw_str(&w, "needed");
    jw_obj_end(&w);
}

/* A repeated call is answered before its times are looked at: they may be over by then. */
static int times(const struct grant_new *in, int64_t now, struct err *e)
{
    if (in->priority < 0 || in->priority > 1000)
        return err_param(e, ERR_BAD_VALUE, "priority", "ledger: a priority is 0 (first) to 1000");
    if (in->expires_us && in->expires_us <= now)
        return err_param(e, ERR_BAD_VALUE, "expires", "ledger: the grant would have expired already; give a time to come");
    if (in->expires_us && in->expires_us <= in->effective_us)
        return err_param(e, ERR_BAD_VALUE, "expires", "ledger: the grant would expire before it begins");
    if (in->effective_us && in->effective_us < now)
        return err_param(e, ERR_BAD_VALUE, "effective", "ledger: the grant would begin in the past; leave the time out and it begins now");
    return 0;
}

static int check(struct ledger *l, const struct create_args *a, struct org *org, struct err *e)
{
    if (!org)
        return err_set(e, ERR_NOT_FOUND, "ledger: there is no account %lld; see `sluice account list`", (long long)a->in->org.v);
    if (!grant_fits(l, a->in->amount.nano))
        return err_param(e, ERR_BAD_VALUE, "amount", "ledger: with this grant all grants of the store would pass %lld %s; make it smaller",
                         (long long)(INT64_MAX / MONEY_NANO), l->currency);
    return times(a->in, l->now_us, e);
}

static int act(struct ledger *l, struct operation *o, struct err *e)
{
    const struct create_args *a = o->arg;
    struct org *org = org_find(l, a->in->org.v);
    int64_t before;
    int rc = replay(l, a, &before, e);
    if (rc == 0 && before) {
        o->known = true;
        answer(o, before, l->grants.p[before - 1]->state == GRANT_UNAPPROVED);
        return 0;
    }
    if (rc < 0 || (rc = check(l, a, org, e)) < 0)
        return rc;
    struct grant *g = mem_new(sizeof *g);
    if (!g || !vec_reserve(&l->grants, l->grants.n + 1) || !vec_reserve(&org->grants, org->grants.n + 1)) {
        mem_free(g);
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a grant");
    }
    if ((rc = make(l, o, org, g, e)) < 0) {
        grant_free(g);
        return rc;
    }
    grant_add(l, g);
    answer(o, g->id, g->state == GRANT_UNAPPROVED);
    describe(l, o, g);
    ASSERT(str_fmt(o->object, sizeof o->object, "grant %lld", (long long)g->id));
    o->org = org->id;
    return grant_due(l, e);
}

/* ---- what it must be ---- */

static bool name_index(const char *const *names, int n, const char *name, int *out)
{
    for (*out = 0; *out < n; ++*out)
        if (strcmp(names[*out], name) == 0)
            return true;
    return false;
}

static int names(struct create_args *a, struct err *e)
{
    const struct grant_new *in = a->in;
    int scope, funding;
    if (!name_index(scope_names, SCOPE_COUNT, in->scope ? in->scope : "any", &scope))
        return err_param(e, ERR_BAD_VALUE, "scope", "ledger: scope '%.32s' is unknown; use any, inference, embeddings, training or storage",
                         in->scope);
    if (!name_index(funding_names, FUNDING_COUNT, in->funding ? in->funding : "paid", &funding))
        return err_param(e, ERR_BAD_VALUE, "funding", "ledger: funding '%.32s' is unknown; use paid, promotional, investment or goodwill",
                         in->funding);
    a->scope = (enum scope)scope, a->funding = (enum funding)funding;
    return 0;
}

static int worth(struct create_args *a, struct err *e)
{
    const struct grant_new *in = a->in;
    bool paid = a->funding == FUNDING_PAID;
    if (in->amount.nano <= 0)
        return err_param(e, ERR_BAD_VALUE, "amount", "ledger: a grant is more than 0");
    a->cash = in->cash_received ? in->cash_received->nano : paid ? in->amount.nano : 0;
    a->list_value = in->list_value ? in->list_value->nano : in->amount.nano;
    if (a->cash < 0 || a->cash > in->amount.nano)
        return err_param(e, ERR_BAD_VALUE, "cash_received", "ledger: the cash received is 0 to the amount of the grant; grant all that was paid");
    if (a->cash && !paid)
        return err_param(e, ERR_BAD_VALUE, "cash_received", "ledger: %s credit is not paid for; leave the cash out, or make the funding paid",
                         funding_names[a->funding]);
    if (a->list_value < 0)
        return err_param(e, ERR_BAD_VALUE, "list_value", "ledger: a list value is 0 or more");
    return 0;
}

/* Everything that makes the grant what it is. */
static void asks(struct operation *o)
{
    const struct create_args *a = o->arg;
    const struct grant_new *in = a->in;
    const int64_t n[] = {in->org.v, in->amount.nano, in->priority, in->effective_us, in->expires_us, a->cash, a->list_value};
    const char *const text[] = {scope_names[a->scope], funding_names[a->funding], in->models, in->counterparty, in->instrument, in->reference};
    for (size_t i = 0; i < sizeof n / sizeof *n; i++)
        operation_asks_i64(o, n[i]);
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        operation_asks(o, text[i]);
}

static int answered(struct buf *text, struct grant_id *out, struct err *e)
{
    struct json *j;
    int rc = json_parse(&j, text->data, text->len, e);
    if (rc == 0)
        out->v = json_int(json_get(j, "grant"));
    if (rc == 0)
        json_free(j);
    return rc;
}

/* Books the grant and, when it is effective, lets it be spent; one that needs approval is only kept. */
int ledger_grant_create(struct ledger *l, const struct grant_new *in, struct grant_id *out, struct err *e)
{
    struct create_args a = {.in = in};
    struct operation o;
    struct buf text;
    int rc = names(&a, e);
    if (rc == 0)
        rc = worth(&a, e);
    if (rc < 0 || (rc = words_check("reference", in->reference, LEDGER_NAME_MAX - 1, e)) < 0 ||
        (rc = words_check("counterparty", in->counterparty, LEDGER_NAME_MAX - 1, e)) < 0 ||
        (rc = words_check("instrument", in->instrument, LEDGER_NAME_MAX - 1, e)) < 0)
        return rc;
    operation_init(&o, "create", &in->by, act);
    o.arg = &a, o.no_reason = true;
    asks(&o);
    buf_init(&text, 0);
    if ((rc = operation_run(l, &o, &text, e)) == 0 && out)
        rc = answered(&text, out, e);
    if (rc == 0 && in->answer)
        buf_add(in->answer, text.data, text.len);
    buf_deinit(&text);
    return rc;
}
