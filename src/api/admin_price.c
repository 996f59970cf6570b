/* The operator's acts on prices. */
#include "api/admin_args.h"

/* Cached input costs as much as input, cache writes too, and reasoning as much as output, unless said otherwise. */
int admin_price_set(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct price_new p = {0};
    struct price_id id;
    int rc;
    if ((rc = arg_text(args, "model", true, &p.model, e)) < 0 || (rc = arg_money(args, "input", p.input, true, &p.input, e)) < 0 ||
        (rc = arg_money(args, "output", p.output, true, &p.output, e)) < 0 ||
        (rc = arg_money(args, "cached_input", p.input, false, &p.cache_read, e)) < 0 ||
        (rc = arg_money(args, "cache_write", p.input, false, &p.cache_write, e)) < 0 ||
        (rc = arg_money(args, "reasoning", p.output, false, &p.reasoning, e)) < 0 || (rc = arg_text(args, "tier", false, &p.tier, e)) < 0 ||
        (rc = ledger_price_set(l, &p, &id, e)) < 0)
        return rc;
    reply_id(out, "price", id.v);
    return 0;
}

int admin_price_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    (void)args;
    return ledger_report_prices(l, out, e);
}
