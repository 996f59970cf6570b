/* Money: integer nano-units of a currency in int64 (9.2e9 units), products in 128 bits, one rounding function. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include <stdint.h>

struct money { int64_t nano; };
enum { MONEY_NANO = 1000000000, MONEY_TEXT_MAX = 32 };

bool money_add(struct money a, struct money b, struct money *out); /* false: overflow */
bool money_sub(struct money a, struct money b, struct money *out);
/* tokens x price per million tokens, rounded half-even to a nano-unit; false: overflow. The only place where money is rounded. */
bool money_price(uint64_t tokens, struct money per_million, struct money *out);
/* quantity x rate / per, for meters that are not priced by the million; rounded by the same rule. per > 0. */
bool money_rate(uint64_t quantity, struct money rate, int64_t per, struct money *out);
/* The part num / den of an amount, rounded by the same rule; 0 <= num <= den, den > 0. */
struct money money_part(struct money m, int64_t num, int64_t den);
/* The same, with the way there, for people to follow. */
enum { MONEY_EXACT_MAX = 64 };
struct money_product {
    char exact[MONEY_EXACT_MAX]; /* tokens x price before it was rounded, in nano-units: "1234.56789", at most six decimals; "1234+5/3600" */
    const char *rounding;        /* "none", "down", "up", or "tie": half way between two nano-units, to the even one */
    struct money rounded;        /* by money_rate */
};
bool money_product(uint64_t quantity, struct money rate, int64_t per, struct money_product *out); /* false: overflow */
/* "10.00", "0.000000123", "-3"; at most nine decimals; digits and one point only. */
int money_parse(struct money *out, struct str s, struct err *e) MUST_USE;
/* At least two decimals, no trailing zeros beyond: "10.00", "0.000012345". */
void money_text(char out[MONEY_TEXT_MAX], struct money m);
