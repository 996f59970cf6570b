#include "base/clock.h"
#include "base/str.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int64_t clock_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void clock_sleep_ms(uint32_t ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) != 0) {
    }
}

void clock_iso(char out[32], int64_t us)
{
    time_t    s = (time_t)(us / 1000000 - (us % 1000000 < 0));
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 32 - n, ".%06uZ", (unsigned)(us - (int64_t)s * 1000000) % 1000000u);
}

void clock_duration(char out[32], uint64_t ms)
{
    unsigned long long h = ms / 3600000, m = ms / 60000 % 60, s = ms / 1000 % 60, rest = ms % 1000;
    if (ms && ms < 1000) {
        snprintf(out, 32, "%llums", rest);
        return;
    }
    int n = h ? snprintf(out, 32, "%lluh%llum%llu", h, m, s) : m ? snprintf(out, 32, "%llum%llu", m, s) : snprintf(out, 32, "%llu", s);
    if (rest)
        n += snprintf(out + n, 32 - (size_t)n, ".%03llu", rest);
    while (rest && out[n - 1] == '0')
        n--;
    snprintf(out + n, 32 - (size_t)n, "s");
}

/* Reads exactly n digits at *p into *out. */
static bool digits(const char **p, int n, int lo, int hi, int *out)
{
    int v = 0;
    for (int i = 0; i < n; i++, ++*p) {
        if (**p < '0' || **p > '9')
            return false;
        v = v * 10 + (**p - '0');
    }
    *out = v;
    return v >= lo && v <= hi;
}

static bool literal(const char **p, char c) { return **p == c ? (++*p, true) : false; }

bool clock_parse(const char *s, int64_t *us)
{
    struct tm tm = {0};
    int       mday;
    if (!digits(&s, 4, 1970, 9999, &tm.tm_year) || !literal(&s, '-') || !digits(&s, 2, 1, 12, &tm.tm_mon) || !literal(&s, '-') ||
        !digits(&s, 2, 1, 31, &tm.tm_mday))
        return false;
    if (literal(&s, 'T')) {
        if (!digits(&s, 2, 0, 23, &tm.tm_hour) || !literal(&s, ':') || !digits(&s, 2, 0, 59, &tm.tm_min))
            return false;
        if (literal(&s, ':') && !digits(&s, 2, 0, 59, &tm.tm_sec))
            return false;
        if (!literal(&s, 'Z'))
            return false;
    }
    tm.tm_year -= 1900, tm.tm_mon -= 1, mday = tm.tm_mday;
    time_t t = timegm(&tm);
    if (*s || tm.tm_mday != mday) /* timegm would turn 31 February into March */
        return false;
    *us = (int64_t)t * 1000000;
    return true;
}
