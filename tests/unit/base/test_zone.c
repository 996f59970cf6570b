/* Zones, the calendar, periods; CSV. */
#include "base/clock.h"
#include "base/csv.h"
#include "base/zone.h"
#include "test.h"

#include <time.h>

static int64_t at(const char *text)
{
    int64_t us = 0;
    return clock_parse(text, &us) ? us / 1000000 : INT64_MIN;
}

TEST(dates_agree_with_the_c_library)
{
    for (int64_t day = -200000; day < 200000; day += 7) {
        time_t t = (time_t)(day * 86400);
        struct tm tm;
        gmtime_r(&t, &tm);
        struct date d = date_of(day);
        CHECK_MSG(d.year == tm.tm_year + 1900 && d.month == tm.tm_mon + 1 && d.day == tm.tm_mday, "%lld", (long long)day);
        CHECK(date_days(d) == day);
        int64_t week = period_start(CAL_WEEK, day * 86400);
        CHECK(week <= day * 86400 && day * 86400 < week + 7 * 86400 && (week / 86400 % 7 + 7) % 7 == 4); /* a Monday: 1970-01-05 is day 4 */
    }
    CHECK(period_start(CAL_QUARTER, at("2026-05-31")) == at("2026-04-01") && period_next(CAL_QUARTER, at("2026-10-01")) == at("2027-01-01"));
    CHECK(period_next(CAL_MONTH, at("2026-12-01")) == at("2027-01-01") && period_start(CAL_HOUR, -1) == -3600);
}

TEST(offsets)
{
    struct zone z;
    struct err e;
    char text[PERIOD_TEXT_MAX];
    CHECK(zone_open(&z, "+05:30", &e) == 0 && zone_offset(&z, 0) == 19800 && zone_utc(&z, 0) == -19800);
    period_text(text, CAL_HOUR, &z, at("2026-01-01T18:30Z"));
    CHECK(strcmp(text, "2026-01-02T00:00+05:30") == 0);
    zone_close(&z);
    CHECK(zone_open(&z, "-0345", &e) == 0 && z.first == -13500 && zone_open(&z, "+9", &e) == 0 && z.first == 32400 && zone_open(&z, NULL, &e) == 0 &&
          !z.first);
    static const char *const wrong[] = {"",       "+",    "+15:00", "+05:60", "+05:3", "5", "../../etc/passwd", "/etc/passwd", "Nowhere/City",
                                        "Europe", "a\nb", "+1:2:3"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_MSG(zone_open(&z, wrong[i], &e) < 0 && e.code == ERR_BAD_VALUE && strcmp(e.param, "tz") == 0, "%s", wrong[i]);
}

/* Against the C library, which knows one zone a process. */
TEST(zones_agree_with_the_c_library)
{
    static const char *const names[] = {"Europe/Berlin",       "America/Sao_Paulo", "Asia/Kathmandu",
                                        "Australia/Lord_Howe", "America/St_Johns",  "Africa/Cairo"};
    struct zone z;
    struct err e;
    if (zone_open(&z, "Europe/Berlin", &e) < 0)
        SKIP("no time zone database (package tzdata)");
    zone_close(&z);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        setenv("TZ", names[i], 1);
        tzset();
        CHECK_MSG(zone_open(&z, names[i], &e) == 0, "%s", e.msg);
        int64_t before = INT64_MIN;
        for (int64_t t = at("1990-01-01"); t < at("2036-01-01"); t += 3 * 3600 + 17) {
            time_t c = (time_t)t;
            struct tm tm;
            localtime_r(&c, &tm);
            CHECK_MSG(zone_offset(&z, t) == tm.tm_gmtoff, "%s %lld", names[i], (long long)t);
            int64_t day = zone_utc(&z, period_start(CAL_DAY, t + zone_offset(&z, t)));
            CHECK_MSG(day <= t && day >= before && t - day < 26 * 3600, "%s: the day of %lld begins at %lld", names[i], (long long)t, (long long)day);
            before = day;
        }
        zone_close(&z);
    }
    setenv("TZ", "UTC", 1);
    tzset();
    /* The clock is put forward at 2:00 and back at 3:00. */
    CHECK(zone_open(&z, "Europe/Berlin", &e) == 0 && zone_utc(&z, at("2026-03-29T02:30Z")) == at("2026-03-29T01:00Z"));
    CHECK(zone_utc(&z, at("2026-10-25T02:30Z")) == at("2026-10-25T00:30Z") && zone_utc(&z, at("2026-10-26")) == at("2026-10-25T23:00Z"));
    zone_close(&z);
}

TEST(files_that_are_none)
{
    struct zone z;
    char f[200] = "TZif2";
    for (size_t n = 0; n < sizeof f; n++)
        CHECK(!zone_read(&z, (struct str){f, n}));
}

static bool csv_is(const char *text, const char *want)
{
    struct csv c;
    struct err e = {0};
    char got[400] = "";
    size_t n = 0;
    csv_init(&c, str_of(text));
    while (csv_next(&c, &e))
        for (size_t i = 0; i < c.n; i++)
            n += (size_t)snprintf(got + n, sizeof got - n, "%s%s", c.field[i].p, i + 1 == c.n ? ";" : "|");
    csv_deinit(&c);
    if (e.code)
        snprintf(got + n, sizeof got - n, "%s", e.msg);
    if (strcmp(got, want) != 0)
        printf("%s\n", got);
    return strcmp(got, want) == 0;
}

TEST(csv_is_read)
{
    CHECK(csv_is("a,b\r\n1,\"x,\"\"y\"\"\nz\"\n\n,\n", "a|b;1|x,\"y\"\nz;|;") && csv_is("\xef\xbb\xbfq", "q;") && csv_is("", ""));
    CHECK(csv_is("a\n\"b", "a;line 2: a quote is not closed") && csv_is("\"a\"b", "line 1: something stands after a closing quote"));
    CHECK(csv_is("a\"b", "line 1: a quote or a NUL stands within a field that is not quoted"));
}

TEST(csv_is_written)
{
    static const char rows[] = "[{\"name\":\"a,b\",\"n\":-5,\"m\":\"-0.50\"},{\"name\":\"=1+1\",\"n\":null,\"m\":\"q\\\"\"}]";
    struct json *j;
    struct err e;
    struct buf out;
    buf_init(&out, 0);
    CHECK(json_parse(&j, rows, sizeof rows - 1, &e) == 0);
    csv_rows(&out, j);
    CHECK_MSG(strcmp(out.data, "name,n,m\n\"a,b\",-5,-0.50\n\"'=1+1\",,\"q\"\"\"\n") == 0, "%s", out.data);
    buf_deinit(&out);
    json_free(j);
}

TEST_MAIN()
