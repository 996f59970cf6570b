/* The operator's acts on reserved compute and commitments. */
#include "api/admin_args.h"
#include "ledger/reservation.h"

/* Tokens a second as people write them ("12.5"), in thousandths. */
static int rate(const struct json *args, const char *name, bool needed, int64_t *out, struct err *e)
{
    struct money m = {0};
    int rc = arg_money(args, name, (struct money){0}, needed, &m, e);
    if (rc == 0 && m.nano % 1000000)
        return err_param(e, ERR_BAD_VALUE, name, "%s has at most three decimals: 12.5", name);
    *out = m.nano / 1000000;
    return rc;
}

static int reservation(const struct json *args, struct reservation_id *out, struct err *e)
{
    int rc = arg_int(args, "reservation", 1, INT64_MAX, 0, &out->v, e);
    return rc == 0 && !out->v ? err_param(e, ERR_BAD_REQUEST, "reservation", "reservation is missing") : rc;
}

static int yes(const struct json *args, const char *name, bool *out, struct err *e)
{
    const char *z;
    int rc = arg_text(args, name, false, &z, e);
    *out = z && str_eqz(str_of(z), "yes");
    return rc == 0 && z && !*out && !str_eqz(str_of(z), "no") ? err_param(e, ERR_BAD_VALUE, name, "%s is yes or no", name) : rc;
}

/* How it is sold: against how much, or although there is not as much. */
static int capacity(const struct json *args, int64_t *out, bool *oversell, struct err *e)
{
    int rc = rate(args, "capacity", false, out, e);
    return rc < 0 ? rc : yes(args, "oversell", oversell, e);
}

int admin_reserve_create(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct reservation_new r = {.input_weight = -1};
    int64_t weight;
    int rc;
    if ((rc = arg_account(l, args, &r.org, e)) < 0 || (rc = arg_text(args, "model", true, &r.model, e)) < 0 ||
        (rc = rate(args, "rate", true, &r.rate, e)) < 0 || (rc = rate(args, "input_weight", false, &weight, e)) < 0 ||
        (rc = arg_date(args, "from", &r.from_us, e)) < 0 || (rc = arg_date(args, "to", &r.to_us, e)) < 0 ||
        (rc = arg_money(args, "price", (struct money){0}, true, &r.price, e)) < 0 || (rc = arg_text(args, "period", false, &r.period, e)) < 0 ||
        (rc = arg_text(args, "spill", false, &r.spill, e)) < 0 || (rc = yes(args, "upfront", &r.upfront, e)) < 0 ||
        (rc = capacity(args, &r.capacity, &r.oversell, e)) < 0 || (rc = arg_deed(args, &r.by, e)) < 0)
        return rc;
    if (arg_given(args, "input_weight"))
        r.input_weight = weight < 1001 ? (int)weight : 1001;
    return ledger_reserve(l, &r, out, e);
}

int admin_reserve_resize(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct reservation_id id;
    int64_t tokens, most;
    struct money price;
    bool oversell;
    struct deed by;
    int rc;
    if ((rc = reservation(args, &id, e)) < 0 || (rc = rate(args, "rate", true, &tokens, e)) < 0 ||
        (rc = arg_money(args, "price", (struct money){0}, false, &price, e)) < 0 || (rc = capacity(args, &most, &oversell, e)) < 0 ||
        (rc = arg_deed(args, &by, e)) < 0)
        return rc;
    return ledger_reserve_resize(l, id, tokens, arg_given(args, "price") ? &price : NULL, most, oversell, &by, out, e);
}

int admin_reserve_cancel(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct reservation_id id;
    struct deed by;
    int rc;
    if ((rc = reservation(args, &id, e)) < 0 || (rc = arg_deed(args, &by, e)) < 0)
        return rc;
    return ledger_reserve_cancel(l, id, &by, out, e);
}

int admin_reserve_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    int rc = arg_text(args, "account", false, &name, e);
    return rc < 0 ? rc : ledger_report_reservations(l, name, out, e);
}

int admin_commit_create(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct commitment_new c = {0};
    int rc;
    if ((rc = arg_account(l, args, &c.org, e)) < 0 || (rc = arg_money(args, "amount", (struct money){0}, true, &c.amount, e)) < 0 ||
        (rc = arg_text(args, "name", false, &c.name, e)) < 0 || (rc = arg_text(args, "period", false, &c.period, e)) < 0 ||
        (rc = arg_date(args, "from", &c.from_us, e)) < 0 || (rc = arg_date(args, "to", &c.to_us, e)) < 0 ||
        (rc = arg_text(args, "contract", false, &c.contract, e)) < 0 || (rc = arg_deed(args, &c.by, e)) < 0)
        return rc;
    c.name = c.name ? c.name : "commitment";
    return ledger_commit(l, &c, out, e);
}

int admin_commit_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    int rc = arg_text(args, "account", false, &name, e);
    return rc < 0 ? rc : ledger_report_commitments(l, name, out, e);
}

int admin_backlog(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    int rc = arg_text(args, "account", false, &name, e);
    return rc < 0 ? rc : ledger_report_backlog(l, name, out, e);
}

void admin_tell_speeds(struct api *a)
{
    struct backend_model_status st;
    for (size_t i = 0; a->backend.model_status && i < a->backend.n_models(a->backend.self); i++) {
        const struct backend_model *m = a->backend.model_at(a->backend.self, i);
        a->backend.model_status(a->backend.self, m, &st);
        if (st.speed.rate)
            ledger_capacity(a->ledger, m->alias, st.speed.rate);
    }
}
