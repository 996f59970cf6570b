/* The operator's acts on prices. */
#include "api/admin_args.h"
#include <string.h>

enum { RATES_MAX = 128 };

/* What people call a meter where they set its price; the ledger's name when it is the same. */
static const struct {
    const char *word, *meter;
} words[] = {{"input", "input"},
             {"output", "output"},
             {"cached_input", "cache_read"},
             {"cache_write", "cache_write"},
             {"reasoning", "reasoning"},
             {"embedding", "embedding"},
             {"training_token", "training_token"},
             {"gpu_hour", "gpu_hour"},
             {"storage_gb_month", "storage_gb_month"}};
enum { WORDS = sizeof words / sizeof *words };

struct rates {
    struct price_rate rate[RATES_MAX];
    size_t n;
};

static int rate_add(struct rates *r, const char *meter, uint32_t from, struct money m, struct err *e)
{
    if (r->n == RATES_MAX)
        return err_param(e, ERR_BAD_VALUE, "above", "a price has at most %d rates", RATES_MAX);
    r->rate[r->n++] = (struct price_rate){meter, from, m};
    return 0;
}

static int bad_above(struct str part, struct err *e)
{
    return err_param(e, ERR_BAD_VALUE, "above",
                     "'%.*s' is no step; write TOKENS:input=X,output=Y, several with ; between: 200000:input=2.50,output=15.00",
                     (int)(part.n < 60 ? part.n : 60), part.p ? part.p : "");
}

/* "input=X": of a step from so many tokens on. */
static int read_rate(struct rates *r, uint32_t from, struct str part, struct err *e)
{
    struct str value = part, word = str_trim(str_split(&value, '='));
    struct money m;
    int rc;
    if (!value.p)
        return bad_above(part, e);
    if ((rc = money_parse(&m, str_trim(value), e)) < 0)
        return rc;
    for (size_t i = 0; i < WORDS; i++)
        if (str_eqz(word, words[i].word))
            return rate_add(r, words[i].meter, from, m, e);
    return bad_above(part, e);
}

/* Steps by input length: "200000:input=2.50,output=15.00;1000000:input=5.00". */
static int read_above(struct rates *r, const char *text, struct err *e)
{
    struct str rest = str_of(text);
    int rc = 0;
    while (rest.p && rc == 0) {
        struct str step = str_trim(str_split(&rest, ';')), list = step, number = str_trim(str_split(&list, ':'));
        uint64_t from;
        if (!list.p || !str_u64(number, &from) || !from || from > UINT32_MAX)
            return bad_above(step, e);
        while (list.p && rc == 0)
            rc = read_rate(r, (uint32_t)from, str_trim(str_split(&list, ',')), e);
    }
    return rc;
}

static int read_rates(struct rates *r, const struct json *args, struct err *e)
{
    const char *above;
    int rc = arg_text(args, "above", false, &above, e);
    for (size_t i = 0; i < WORDS && rc == 0; i++) {
        struct money m;
        if (!arg_given(args, words[i].word))
            continue;
        if ((rc = arg_money(args, words[i].word, (struct money){0}, true, &m, e)) == 0)
            rc = rate_add(r, words[i].meter, 0, m, e);
    }
    return rc == 0 && above ? read_above(r, above, e) : rc;
}

/* Whose price: an account's contract, or the list. */
static int whose(struct ledger *l, const struct json *args, struct org_id *out, struct err *e)
{
    *out = (struct org_id){0};
    return arg_given(args, "account") ? arg_account(l, args, out, e) : 0;
}

static int read_price(struct ledger *l, const struct json *args, struct price_new *p, struct rates *r, struct err *e)
{
    int rc;
    if ((rc = arg_text(args, "model", true, &p->model, e)) < 0 || (rc = arg_text(args, "tier", false, &p->tier, e)) < 0 ||
        (rc = whose(l, args, &p->org, e)) < 0 || (rc = arg_date(args, "from", &p->from_us, e)) < 0 ||
        (rc = arg_date(args, "until", &p->until_us, e)) < 0 || (rc = arg_text(args, "actor", false, &p->actor, e)) < 0 ||
        (rc = read_rates(r, args, e)) < 0)
        return rc;
    p->rates = r->rate, p->n_rates = r->n;
    return 0;
}

int admin_price_set(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct price_new p = {0};
    struct rates r = {.n = 0};
    struct price_id id;
    int rc;
    if ((rc = read_price(l, args, &p, &r, e)) < 0)
        return rc;
    buf_str(out, "{\"preview\":");
    if ((rc = ledger_price_preview(l, &p, out, e)) < 0 || (rc = ledger_price_set(l, &p, &id, e)) < 0)
        return rc;
    buf_fmt(out, ",\"price\":%lld}", (long long)id.v);
    return 0;
}

int admin_price_preview(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct price_new p = {0};
    struct rates r = {.n = 0};
    int rc;
    if ((rc = read_price(l, args, &p, &r, e)) < 0)
        return rc;
    return ledger_price_preview(l, &p, out, e);
}

int admin_price_end(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct price_end p = {0};
    int64_t version;
    int rc;
    if ((rc = arg_text(args, "model", true, &p.model, e)) < 0 || (rc = arg_text(args, "tier", false, &p.tier, e)) < 0 ||
        (rc = whose(l, args, &p.org, e)) < 0 || (rc = arg_int(args, "version", 1, INT32_MAX, 0, &version, e)) < 0 ||
        (rc = arg_date(args, "at", &p.at_us, e)) < 0 || (rc = arg_text(args, "actor", false, &p.actor, e)) < 0)
        return rc;
    if (!version)
        return err_param(e, ERR_BAD_REQUEST, "version", "version is missing");
    p.version = (int)version;
    if ((rc = ledger_price_end(l, &p, e)) < 0)
        return rc;
    reply_field(out, "ended", p.model);
    return 0;
}

int admin_price_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name, *all;
    int rc;
    if ((rc = arg_text(args, "account", false, &name, e)) < 0 || (rc = arg_text(args, "all", false, &all, e)) < 0)
        return rc;
    return ledger_report_prices(l, name, all != NULL, out, e);
}
