/* Months and quarters, UTC, by the proleptic Gregorian calendar (after Hinnant, "chrono-compatible low-level date algorithms"). */
#include "ledger/ledger_int.h"

struct civil {
    int64_t year;
    int month, day; /* from 1 */
};

static int64_t days_of(struct civil c)
{
    const int64_t y = c.year - (c.month <= 2), era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    const int64_t of_year = (153 * (c.month + (c.month > 2 ? -3 : 9)) + 2) / 5 + c.day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static struct civil civil_of(int64_t us)
{
    const int64_t days = (us >= 0 ? us : us - DAY_US + 1) / DAY_US, z = days + 719468;
    const int64_t era = (z >= 0 ? z : z - 146096) / 146097, of_era = z - era * 146097;
    const int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365, of_year = of_era - (365 * year + year / 4 - year / 100);
    const int64_t m = (5 * of_year + 2) / 153;
    struct civil c = {year + era * 400, (int)(m < 10 ? m + 3 : m - 9), (int)(of_year - (153 * m + 2) / 5 + 1)};
    c.year += c.month <= 2;
    return c;
}

int64_t month_begin(int64_t us)
{
    struct civil c = civil_of(us);
    c.day = 1;
    return days_of(c) * DAY_US;
}

int64_t month_add(int64_t begin_us, int n)
{
    struct civil c = civil_of(begin_us);
    const int64_t months = c.year * 12 + c.month - 1 + n;
    return days_of((struct civil){months / 12, (int)(months % 12) + 1, c.day}) * DAY_US;
}

int64_t quarter_begin(int64_t us)
{
    struct civil c = civil_of(us);
    return days_of((struct civil){c.year, (c.month - 1) / 3 * 3 + 1, 1}) * DAY_US;
}

void quarter_text(char out[8], int64_t us)
{
    const struct civil c = civil_of(us);
    if (!str_fmt(out, 8, "%04lldQ%d", (long long)c.year, (c.month - 1) / 3 + 1))
        out[0] = 0;
}
