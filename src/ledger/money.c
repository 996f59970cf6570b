#include "ledger/money.h"

#include "base/mem.h"

#include <string.h>

bool money_add(struct money a, struct money b, struct money *out)
{
    return ck_add(a.nano, b.nano, &out->nano);
}

bool money_sub(struct money a, struct money b, struct money *out)
{
    return ck_sub(a.nano, b.nano, &out->nano);
}

/* q = p / d rounded half to even; d > 0. */
static __int128 div_half_even(__int128 p, int64_t d)
{
    __int128 q = p / d, r = p % d;
    if (r < 0)
        r = -r;
    bool up = 2 * r > d || (2 * r == d && (q & 1));
    return up ? q + (p < 0 ? -1 : 1) : q;
}

bool money_rate(uint64_t quantity, struct money rate, int64_t per, struct money *out)
{
    __int128 q = div_half_even((__int128)quantity * rate.nano, per);
    if (q > INT64_MAX || q < INT64_MIN)
        return false;
    out->nano = (int64_t)q;
    return true;
}

bool money_price(uint64_t tokens, struct money per_million, struct money *out)
{
    return money_rate(tokens, per_million, 1000000, out);
}

struct money money_part(struct money m, int64_t num, int64_t den)
{
    ASSERT(num >= 0 && num <= den && den > 0);
    return (struct money){(int64_t)div_half_even((__int128)m.nano * num, den)};
}

/* v / 1000000 with its decimals, or v / per with what is left as a fraction. */
static void exact_text(char out[MONEY_EXACT_MAX], unsigned __int128 v, bool minus, int64_t per)
{
    unsigned long long whole = (unsigned long long)(v / (uint64_t)per), rest = (unsigned long long)(v % (uint64_t)per);
    if (per != 1000000) {
        ASSERT(rest ? str_fmt(out, MONEY_EXACT_MAX, "%s%llu+%llu/%lld", minus ? "-" : "", whole, rest, (long long)per)
                    : str_fmt(out, MONEY_EXACT_MAX, "%s%llu", minus ? "-" : "", whole));
        return;
    }
    ASSERT(str_fmt(out, MONEY_EXACT_MAX, "%s%llu.%06llu", minus ? "-" : "", whole, rest));
    size_t n = strlen(out);
    while (out[n - 1] == '0')
        out[--n] = 0;
    if (out[n - 1] == '.')
        out[n - 1] = 0;
}

bool money_product(uint64_t quantity, struct money rate, int64_t per, struct money_product *out)
{
    if (!money_rate(quantity, rate, per, &out->rounded))
        return false;
    __int128 p = (__int128)quantity * rate.nano, more = p - (__int128)out->rounded.nano * per;
    exact_text(out->exact, p < 0 ? -(unsigned __int128)p : (unsigned __int128)p, p < 0, per); /* it fits: the rounded amount did */
    out->rounding = more == 0 ? "none" : 2 * more == per || 2 * more == -per ? "tie" : more > 0 ? "down" : "up";
    return true;
}

static int bad(struct str s, const char *why, struct err *e)
{
    int n = s.n > 40 ? 40 : (int)s.n;
    return err_set(e, ERR_BAD_VALUE, "money: '%.*s' %s; write digits with at most nine decimals, for example 10.00", n, s.p ? s.p : "", why);
}

/* Adds a decimal digit to v; false on overflow. */
static bool digit_add(int64_t *v, char c)
{
    return ck_mul(*v, (int64_t)10, v) && ck_add(*v, (int64_t)(c - '0'), v);
}

int money_parse(struct money *out, struct str s, struct err *e)
{
    size_t i = s.n && s.p[0] == '-' ? 1 : 0, whole = 0, decimals = 0;
    bool minus = i == 1, point = false;
    int64_t v = 0;
    for (; i < s.n; i++) {
        char c = s.p[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            return bad(s, "is not an amount", e);
        if (point && ++decimals > 9)
            return bad(s, "has more than nine decimals", e);
        whole += !point;
        if (!digit_add(&v, c))
            return bad(s, "is too large", e);
    }
    if (!whole || (point && !decimals))
        return bad(s, "is not an amount", e);
    for (; decimals < 9; decimals++)
        if (!digit_add(&v, '0'))
            return bad(s, "is too large", e);
    out->nano = minus ? -v : v;
    return 0;
}

void money_text(char out[MONEY_TEXT_MAX], struct money m)
{
    uint64_t v = m.nano < 0 ? 0 - (uint64_t)m.nano : (uint64_t)m.nano;
    ASSERT(str_fmt(out, MONEY_TEXT_MAX, "%s%llu.%09llu", m.nano < 0 ? "-" : "", (unsigned long long)(v / MONEY_NANO),
                   (unsigned long long)(v % MONEY_NANO)));
    size_t n = strlen(out), least = n - 7; /* two decimals stay */
    while (n > least && out[n - 1] == '0')
        out[--n] = 0;
}
