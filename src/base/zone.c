#include "base/zone.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"

#include <stdio.h>
#include <string.h>

enum { FILE_MAX = 1 << 20, CHANGES_MAX = 10000, HOUR = 3600, DAY = 86400, OFFSET_MAX = 26 * HOUR };

/* ---- files of the database ---- */

static int64_t big_endian(const char *p, int n)
{
    uint64_t v = (unsigned char)p[0] & 0x80 ? UINT64_MAX : 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | (unsigned char)p[i];
    return (int64_t)v;
}

struct head {
    int64_t utc, std, leap, time, type, text;
};

static bool head_read(struct head *h, struct str f)
{
    if (f.n < 44 || memcmp(f.p, "TZif", 4) != 0 || f.p[4] < '2')
        return false;
    int64_t *v[] = {&h->utc, &h->std, &h->leap, &h->time, &h->type, &h->text};
    for (int i = 0; i < 6; i++) {
        *v[i] = big_endian(f.p + 20 + 4 * i, 4);
        if (*v[i] < 0 || *v[i] > CHANGES_MAX)
            return false;
    }
    return true;
}

static size_t block_size(const struct head *h, int64_t time_bytes)
{
    return (size_t)(h->time * (time_bytes + 1) + h->type * 6 + h->text + h->leap * (time_bytes + 4) + h->std + h->utc);
}

/* A rule for the years after the last change ("CET-1CEST,M3.5.0,M10.5.0/3") is not followed: a file that needs it early is refused. */
static bool ends_well(struct str rest, int64_t last)
{
    enum { LATE = 2082758400 }; /* 2036 */
    return last >= LATE || !memchr(rest.p, ',', rest.n);
}

bool zone_read(struct zone *out, struct str f)
{
    struct head h;
    *out = (struct zone){0};
    if (!head_read(&h, f))
        return false;
    size_t skip = 44 + block_size(&h, 4);
    if (f.n < skip)
        return false;
    f = (struct str){f.p + skip, f.n - skip};
    if (!head_read(&h, f) || !h.type || f.n < 44 + block_size(&h, 8))
        return false;
    const char *at = f.p + 44, *index = at + 8 * h.time, *type = index + h.time;
    struct str rest = {f.p + 44 + block_size(&h, 8), f.n - 44 - block_size(&h, 8)};
    if (h.time && !ends_well(rest, big_endian(at + 8 * (h.time - 1), 8)))
        return false;
    out->first = (int32_t)big_endian(type, 4);
    out->change = h.time ? mem_array((size_t)h.time, sizeof *out->change) : NULL;
    bool ok = (out->change || !h.time) && out->first > -OFFSET_MAX && out->first < OFFSET_MAX;
    for (int64_t i = 0; ok && i < h.time; i++) {
        int k = (unsigned char)index[i];
        struct zone_change c = {big_endian(at + 8 * i, 8), 0};
        ok = k < h.type && c.at > -(1ll << 60) && c.at < 1ll << 60 && (!i || c.at > out->change[i - 1].at);
        c.offset = ok ? (int32_t)big_endian(type + 6 * k, 4) : 0;
        ok = ok && c.offset > -OFFSET_MAX && c.offset < OFFSET_MAX;
        out->change[out->n++] = c;
    }
    if (!ok)
        zone_close(out);
    return ok;
}

/* ---- names ---- */

/* "+05:30", "-03:00", "+0530", "+5" */
static bool offset_parse(const char *z, int32_t *out)
{
    uint64_t h, m = 0;
    struct str s = str_of(z);
    if (s.n < 2 || (z[0] != '+' && z[0] != '-'))
        return false;
    s.p++, s.n--;
    struct str hour = s, minute = {NULL, 0};
    const char *colon = memchr(s.p, ':', s.n);
    if (colon)
        hour.n = (size_t)(colon - s.p), minute = (struct str){colon + 1, s.n - hour.n - 1};
    else if (s.n == 4)
        hour.n = 2, minute = (struct str){s.p + 2, 2};
    if (hour.n > 2 || !str_u64(hour, &h) || h > 14 || (minute.p && (minute.n != 2 || !str_u64(minute, &m) || m > 59)))
        return false;
    *out = (int32_t)(h * HOUR + m * 60) * (z[0] == '-' ? -1 : 1);
    return true;
}

static bool name_safe(const char *z)
{
    if (*z == '/' || strstr(z, "..") || strlen(z) >= ZONE_NAME_MAX)
        return false;
    for (; *z; z++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/", *z))
            return false;
    return true;
}

int zone_open(struct zone *out, const char *name, struct err *e)
{
    char path[128];
    struct buf file;
    *out = (struct zone){.name = "UTC"};
    if (!name || strcmp(name, "UTC") == 0 || strcmp(name, "Z") == 0)
        return 0;
    bool ok = offset_parse(name, &out->first);
    if (!ok && *name && name_safe(name) && str_fmt(path, sizeof path, "/usr/share/zoneinfo/%s", name)) {
        buf_init(&file, FILE_MAX);
        ok = os_read_file(&file, path, NULL) >= 0 && zone_read(out, (struct str){file.data ? file.data : "", file.len});
        buf_deinit(&file);
    }
    if (!ok)
        return err_param(e, ERR_BAD_VALUE, "tz",
                         "tz '%.64s' is unknown; write UTC, an offset as +05:30, or a name of the time zone database "
                         "(Europe/Berlin), which must be installed on this machine (package tzdata)",
                         name);
    (void)str_fmt(out->name, sizeof out->name, "%s", name);
    return 0;
}

void zone_close(struct zone *z)
{
    mem_free(z->change);
    *z = (struct zone){0};
}

/* ---- clocks ---- */

static size_t change_after(const struct zone *z, int64_t utc) /* the first that is later */
{
    size_t lo = 0, hi = z->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (z->change[mid].at <= utc)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int32_t zone_offset(const struct zone *z, int64_t utc)
{
    size_t i = change_after(z, utc);
    return i ? z->change[i - 1].offset : z->first;
}

int64_t zone_utc(const struct zone *z, int64_t local)
{
    size_t i = change_after(z, local - OFFSET_MAX);
    for (int64_t from = local - OFFSET_MAX;; i++) {
        int64_t u = local - (i ? z->change[i - 1].offset : z->first);
        u = u > from ? u : from;
        if (i == z->n || u < z->change[i].at)
            return u;
        from = z->change[i].at;
    }
}

/* ---- the calendar ---- */

static int64_t floor_to(int64_t v, int64_t step)
{
    int64_t r = v % step;
    return v - (r < 0 ? r + step : r);
}

int64_t date_days(struct date d)
{
    int64_t y = d.year - (d.month <= 2), era = floor_to(y, 400) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (d.month + (d.month > 2 ? -3 : 9)) + 2) / 5 + d.day - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

struct date date_of(int64_t days)
{
    int64_t z = days + 719468, era = floor_to(z, 146097) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int month = (int)(mp < 10 ? mp + 3 : mp - 9);
    return (struct date){(int)(yoe + era * 400 + (month <= 2)), month, (int)(doy - (153 * mp + 2) / 5 + 1)};
}

int64_t period_start(enum calendar p, int64_t local)
{
    int64_t day = floor_to(local, DAY) / DAY;
    struct date d = date_of(day);
    switch (p) {
    case CAL_HOUR: return floor_to(local, HOUR);
    case CAL_DAY: return day * DAY;
    case CAL_WEEK: return (floor_to(day + 3, 7) - 3) * DAY; /* 1970-01-01 was a Thursday */
    case CAL_MONTH: return date_days((struct date){d.year, d.month, 1}) * DAY;
    case CAL_QUARTER: return date_days((struct date){d.year, (d.month - 1) / 3 * 3 + 1, 1}) * DAY;
    default: return local;
    }
}

int64_t period_next(enum calendar p, int64_t start)
{
    struct date d = date_of(floor_to(start, DAY) / DAY);
    int months = p == CAL_QUARTER ? 3 : 1;
    switch (p) {
    case CAL_HOUR: return start + HOUR;
    case CAL_DAY: return start + DAY;
    case CAL_WEEK: return start + 7 * DAY;
    case CAL_MONTH:
    case CAL_QUARTER: d.month += months; return date_days(d.month > 12 ? (struct date){d.year + 1, d.month - 12, 1} : d) * DAY;
    default: return start;
    }
}

void period_text(char out[PERIOD_TEXT_MAX], enum calendar p, const struct zone *z, int64_t utc)
{
    int32_t off = zone_offset(z, utc), abs = off < 0 ? -off : off;
    int64_t local = utc + off, day = floor_to(local, DAY) / DAY, s = local - day * DAY;
    struct date d = date_of(day);
    char zone[16] = "Z";
    if (off || strcmp(z->name, "UTC") != 0)
        snprintf(zone, sizeof zone, "%c%02d:%02d", off < 0 ? '-' : '+', abs / HOUR % 100, abs / 60 % 60);
    if (p == CAL_MONTH)
        snprintf(out, PERIOD_TEXT_MAX, "%04d-%02d", d.year, d.month);
    else if (p == CAL_QUARTER)
        snprintf(out, PERIOD_TEXT_MAX, "%04d-Q%d", d.year, (d.month + 2) / 3);
    else if (p == CAL_HOUR)
        snprintf(out, PERIOD_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d%s", d.year, d.month, d.day, (int)(s / HOUR), (int)(s / 60 % 60), zone);
    else
        snprintf(out, PERIOD_TEXT_MAX, "%04d-%02d-%02d", d.year, d.month, d.day);
}
