/* Time zones and the calendar: where a day, a week or a month begins. A zone is "UTC", an offset ("+05:30") or a name of the system's database
 * ("Asia/Kolkata"; its files are read by us, because the C library knows one zone a process). Seconds since 1970. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum { ZONE_NAME_MAX = 64 };
struct zone_change { int64_t at; int32_t offset; };
struct zone {
    char    name[ZONE_NAME_MAX];
    int32_t first;              /* the offset before the first change */
    struct zone_change *change; /* rising */
    size_t  n;
};
/* name NULL: UTC. ERR_BAD_VALUE with the parameter "tz". */
int  zone_open(struct zone *out, const char *name, struct err *e) MUST_USE;
void zone_close(struct zone *z);
/* Reads a file of the database (RFC 8536, version 2 or later). False: it is none. */
bool    zone_read(struct zone *out, struct str file);
int32_t zone_offset(const struct zone *z, int64_t utc); /* seconds east of Greenwich */
int64_t zone_utc(const struct zone *z, int64_t local);  /* the first moment at which the clock on the wall shows so much or more */

/* Days since 1970 of a date of the Gregorian calendar, and back (Howard Hinnant, chrono-compatible low-level date algorithms). */
struct date { int year, month /* 1 to 12 */, day; };
int64_t     date_days(struct date d);
struct date date_of(int64_t days);
enum calendar { CAL_NONE, CAL_HOUR, CAL_DAY, CAL_WEEK, CAL_MONTH, CAL_QUARTER, CAL_COUNT };
/* The beginning of the period that t is in, and of the next one; both as local seconds. A week begins on Monday. Of CAL_NONE: t itself. */
int64_t period_start(enum calendar p, int64_t local);
int64_t period_next(enum calendar p, int64_t start);
/* "2026-01-02T03:00+01:00", "2026-01-02", "2026-01-02" (a Monday), "2026-01", "2026-Q1"; utc: its beginning. */
enum { PERIOD_TEXT_MAX = 40 };
void period_text(char out[PERIOD_TEXT_MAX], enum calendar p, const struct zone *z, int64_t utc);
