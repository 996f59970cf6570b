/* The operator's acts on publishers. */
#include "api/admin_args.h"
#include "ledger/publisher.h"
#include <string.h>

enum { SHARES_MAX = 16 };

/* "70" or "input=50,output=70.5": per cent, of every meter or of named ones. */
static int read_shares(struct publisher_share *out, size_t *n, char names[SHARES_MAX][32], const char *text, struct err *e)
{
    struct str rest = str_of(text);
    for (*n = 0; rest.p; ++*n) {
        struct str part = str_trim(str_split(&rest, ',')), value = part, word = str_trim(str_split(&value, '='));
        struct money m;
        bool named = value.p != NULL;
        if (*n == SHARES_MAX || (named && !str_fmt(names[*n], 32, "%.*s", (int)word.n, word.p)))
            return err_param(e, ERR_BAD_VALUE, "share", "share has too many words, or too long ones");
        if (money_parse(&m, named ? str_trim(value) : word, NULL) < 0 || m.nano < 0 || m.nano > 100 * (int64_t)MONEY_NANO || m.nano % 10000000)
            return err_param(e, ERR_BAD_VALUE, "share", "'%.*s' is no share; write per cent with at most two decimals: 70, or input=50,output=70.25",
                             (int)(part.n < 40 ? part.n : 40), part.p);
        out[*n] = (struct publisher_share){named ? names[*n] : NULL, (uint32_t)(m.nano / 10000000)};
    }
    return 0;
}

int admin_publisher_set(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct publisher_share shares[SHARES_MAX];
    char names[SHARES_MAX][32];
    struct publisher_new p = {.shares = shares};
    const char *share, *withheld;
    int rc;
    if ((rc = arg_text(args, "model", true, &p.model, e)) < 0 || (rc = arg_text(args, "share", false, &share, e)) < 0 ||
        (rc = arg_text(args, "withheld", false, &withheld, e)) < 0 || (rc = arg_date(args, "from", &p.from_us, e)) < 0 ||
        (rc = arg_text(args, "actor", false, &p.actor, e)) < 0)
        return rc;
    if (arg_given(args, "account") && (rc = arg_account(l, args, &p.org, e)) < 0)
        return rc;
    if (p.org.v && !share)
        return err_param(e, ERR_BAD_REQUEST, "share", "share is missing: the per cent that the publisher gets");
    p.withheld = withheld != NULL;
    if ((share && (rc = read_shares(shares, &p.n_shares, names, share, e)) < 0) || (rc = ledger_publisher_set(l, &p, e)) < 0)
        return rc;
    reply_field(out, "set", p.model);
    return 0;
}

int admin_publisher_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    (void)args;
    return ledger_report_publishers(l, out, e);
}

int admin_publisher_statement(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    int64_t since, until;
    int rc;
    if ((rc = arg_text(args, "account", true, &name, e)) < 0 || (rc = arg_date(args, "since", &since, e)) < 0 ||
        (rc = arg_date(args, "until", &until, e)) < 0)
        return rc;
    return ledger_report_statement(l, name, since, until, out, e);
}
