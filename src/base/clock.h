/* Time. Durations come from the monotonic clock, dates from the wall clock (microseconds since 1970, UTC). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t clock_ns(void);  /* monotonic */
int64_t  clock_now_us(void); /* wall */
void     clock_sleep_ms(uint32_t ms);
void     clock_iso(char out[32], int64_t us);            /* 2026-11-23T23:30:00.123456Z */
bool     clock_parse(const char *s, int64_t *us);        /* 2026-11-23, or with THH:MM[:SS]Z */
void     clock_duration(char out[32], uint64_t ms);      /* 0s, 12ms, 1.5s, 6m0s, 23h59m59.001s: as OpenAI's headers have it, and Go */
