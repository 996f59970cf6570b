/* What a key may see of its own account: balance, usage, reservations and rate limits (the page shows them), and the receipt
 * of a request of its project. */
#include "api/reports.h"
#include "ledger/reservation.h"

static int balance(struct work *w, struct err *e)
{
    struct money free_money, held, left;
    struct jw j;
    char text[MONEY_TEXT_MAX];
    int rc = ledger_balance(w->api->ledger, w->who.org, &free_money, &held, e);
    if (rc < 0)
        return rc;
    jw_init(&j, &w->out);
    jw_obj(&j);
    jw_key(&j, "object"), jw_str(&j, "sluice.balance");
    jw_key(&j, "account"), jw_str(&j, w->who.org_name);
    money_text(text, free_money);
    jw_key(&j, "balance"), jw_str(&j, text);
    money_text(text, held);
    jw_key(&j, "held"), jw_str(&j, text);
    if (ledger_key_budget(w->api->ledger, w->who.key, &left)) {
        money_text(text, left);
        jw_key(&j, "budget_left"), jw_str(&j, text);
    }
    jw_key(&j, "currency"), jw_str(&j, ledger_currency(w->api->ledger));
    jw_obj_end(&j);
    return 0;
}

static int limits(struct work *w, struct err *e)
{
    buf_str(&w->out, "{\"object\":\"list\",\"data\":");
    int rc = ledger_report_rates(w->api->ledger, w->who.org_name, &w->out, e);
    buf_str(&w->out, "}");
    return rc;
}

static int reservations(struct work *w, struct err *e)
{
    buf_str(&w->out, "{\"object\":\"list\",\"data\":");
    int rc = ledger_report_reservations(w->api->ledger, w->who.org_name, &w->out, e);
    buf_str(&w->out, "}");
    return rc;
}

static int receipt(struct work *w, struct err *e)
{
    return ledger_receipt(w->api->ledger, w->request, &w->who, &w->out, e);
}

static void start(struct http *r, struct api *a, const char *route, int (*fn)(struct work *, struct err *))
{
    struct err e = {0};
    struct work *w = work_new(a, r, route, fn);
    int rc = w ? 0 : err_set(&e, ERR_NO_MEMORY, "out of memory");
    if (rc >= 0 && fn == receipt)
        rc = request_name(w->request, http_param(r, "id"), "id", &e);
    if (rc < 0) {
        work_free(w);
        errors_reply(r, &e);
        return;
    }
    w->who = *(const struct principal *)http_user(r);
    w->args = query_args(r);
    worker_run(a->worker, w);
}

void route_balance(struct http *r, void *app)
{
    start(r, app, "balance", balance);
}
void route_usage(struct http *r, void *app)
{
    start(r, app, "usage", usage_of);
}
void route_limits(struct http *r, void *app)
{
    start(r, app, "limits", limits);
}
void route_reservations(struct http *r, void *app)
{
    start(r, app, "reservations", reservations);
}
void route_receipt(struct http *r, void *app)
{
    start(r, app, "receipt", receipt);
}
