/* A new grant: what it must be, its row, and its booking. Paid credit is received in cash, as far as it was paid for; what is given beside is
 * contra_revenue of its funding (contra_revenue:paid: a discount). */
#include "ledger/ledger_int.h"

#include "base/mem.h"

#include <string.h>

struct create_args {
    const struct grant_new *in;
    enum scope scope;
    enum funding funding;
    int64_t cash, list_value;
    int64_t id;
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

/* The same reference again: the first grant, if it says the same. */
static int replay(struct ledger *l, struct create_args *a, bool *found, struct err *e)
{
    struct stmt *s;
    *found = false;
    if (!a->in->reference)
        return 0;
    int rc = stmt_get(&s, l->db, SQL("SELECT id, org_id, amount FROM credit_grant WHERE reference = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, a->in->reference);
    if ((rc = stmt_step(s, found, e)) == 0 && *found) {
        a->id = stmt_col_i64(s, 0);
        if (stmt_col_i64(s, 1) != a->in->org.v || stmt_col_i64(s, 2) != a->in->amount.nano)
            rc = err_set(e, ERR_CONFLICT, "ledger: reference '%.64s' is already grant %lld with another account or amount; use a new reference",
                         a->in->reference, (long long)a->id);
    }
    stmt_put(s);
    return rc;
}

static int insert(struct ledger *l, const struct create_args *a, struct grant *g, struct err *e)
{
    struct stmt *s;
    const struct grant_new *in = a->in;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO credit_grant (id, org_id, account_id, scope, models, funding, priority, amount, remaining, currency, "
                          "cash_received, list_value, counterparty, instrument, effective_us, expires_us, state, reference, created_us, created_by, "
                          "approved_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, 0, ?16, ?17, ?18, ?17)"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, g->id), stmt_i64(s, 2, g->org->id), stmt_i64(s, 3, g->account), stmt_text(s, 4, scope_names[g->scope]);
    stmt_text(s, 5, g->models ? g->models : ""), stmt_text(s, 6, funding_names[g->funding]), stmt_i64(s, 7, g->priority);
    stmt_i64(s, 8, g->amount), stmt_text(s, 9, l->currency), stmt_i64(s, 10, a->cash), stmt_i64(s, 11, a->list_value);
    stmt_text(s, 12, in->counterparty ? in->counterparty : ""), stmt_text(s, 13, in->instrument ? in->instrument : "");
    stmt_i64(s, 14, g->effective_us), stmt_i64(s, 15, g->expires_us), stmt_text(s, 16, in->reference), stmt_i64(s, 17, l->now_us);
    stmt_text(s, 18, in->actor ? in->actor : "admin");
    return stmt_run(s, e);
}

static int note(struct ledger *l, const struct grant *g, const struct grant_new *in, struct err *e)
{
    char object[32], detail[KEY_LIST_MAX + 640], amount[MONEY_TEXT_MAX];
    money_text(amount, (struct money){g->amount});
    ASSERT(str_fmt(object, sizeof object, "grant %lld", (long long)g->id));
    ASSERT(str_fmt(detail, sizeof detail, "%s %s scope %s models %s funding %s priority %d reference %.130s counterparty %.130s instrument %.130s",
                   amount, l->currency, scope_names[g->scope], g->models ? g->models : "all", funding_names[g->funding], g->priority,
                   in->reference ? in->reference : "-", in->counterparty ? in->counterparty : "-", in->instrument ? in->instrument : "-"));
    return event_by(l, in->actor ? in->actor : "admin", "grant.create", object, detail, e);
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

/* The grant in memory, its account, row, booking and event. */
static int make(struct ledger *l, const struct create_args *a, struct org *o, struct grant *g, struct err *e)
{
    char code[64];
    *g = (struct grant){.id = (int64_t)l->grants.n + 1,
                        .org = o,
                        .scope = a->scope,
                        .funding = a->funding,
                        .priority = a->in->priority,
                        .posting = -1,
                        .amount = a->in->amount.nano,
                        .remaining = a->in->amount.nano,
                        .expires_us = a->in->expires_us,
                        .effective_us = a->in->effective_us ? a->in->effective_us : l->now_us};
    ASSERT(str_fmt(code, sizeof code, "grant_pool:%lld", (long long)g->id));
    int rc = models_read(l, a->in->models, &g->models, e);
    if (rc == 0)
        rc = account_get(l, code, "liability", o->id, &g->account, e);
    if (rc == 0)
        rc = insert(l, a, g, e);
    if (rc == 0)
        rc = grant_book(l, g, a->cash, 0, e);
    return rc < 0 ? rc : note(l, g, a->in, e);
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

static int create_call(struct ledger *l, void *arg, struct err *e)
{
    struct create_args *a = arg;
    bool found;
    int rc = replay(l, a, &found, e);
    if (rc < 0 || found || (rc = times(a->in, l->now_us, e)) < 0)
        return rc;
    struct org *o = org_find(l, a->in->org.v);
    if (!o)
        return err_set(e, ERR_NOT_FOUND, "ledger: there is no account %lld; see `sluice account list`", (long long)a->in->org.v);
    if (!grant_fits(l, a->in->amount.nano))
        return err_param(e, ERR_BAD_VALUE, "amount", "ledger: with this grant all grants of the store would pass %lld %s; make it smaller",
                         (long long)(INT64_MAX / MONEY_NANO), l->currency);
    struct grant *g = mem_new(sizeof *g);
    if (!g || !vec_reserve(&l->grants, l->grants.n + 1) || !vec_reserve(&o->grants, o->grants.n + 1)) {
        mem_free(g);
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a grant");
    }
    if ((rc = make(l, a, o, g, e)) < 0) {
        grant_free(g);
        return rc;
    }
    (void)vec_push(&l->grants, g);
    (void)vec_push(&o->grants, g);
    grant_sort(o);
    a->id = g->id;
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
        return err_param(e, ERR_BAD_VALUE, "scope", "ledger: scope '%.32s' is unknown; use any, inference, training or embeddings", in->scope);
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

/* Text that people write about a grant: any, but short and readable. */
static int words(const char *name, const char *text, struct err *e)
{
    size_t n = text ? strlen(text) : 1;
    bool good = n && n < LEDGER_NAME_MAX && (!text || utf8_valid(text, n));
    for (size_t i = 0; good && text && i < n; i++)
        good = (unsigned char)text[i] >= 0x20 && text[i] != 0x7f;
    return good ? 0
                : err_param(e, ERR_BAD_VALUE, name, "ledger: %s has 1 to %d bytes of UTF-8 without control characters", name, LEDGER_NAME_MAX - 1);
}

/* Books the grant and, when it is effective, lets it be spent. */
int ledger_grant_create(struct ledger *l, const struct grant_new *in, struct grant_id *out, struct err *e)
{
    struct create_args a = {.in = in};
    int rc = names(&a, e);
    if (rc == 0)
        rc = worth(&a, e);
    if (rc < 0 || (rc = words("reference", in->reference, e)) < 0 || (rc = words("counterparty", in->counterparty, e)) < 0 ||
        (rc = words("instrument", in->instrument, e)) < 0 || (rc = words("actor", in->actor, e)) < 0)
        return rc;
    rc = queue_call(l, create_call, &a, e);
    if (rc == 0 && out)
        out->v = a.id;
    return rc;
}
