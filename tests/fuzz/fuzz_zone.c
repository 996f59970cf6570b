/* A file of the time zone database from anywhere: what reads has changes in order, and the clock on the wall is turned back to the first moment that
 * shows so much. */
#include "base/zone.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_at(const struct zone *z, int64_t local)
{
    char text[PERIOD_TEXT_MAX];
    int64_t utc = zone_utc(z, local);
    ASSERT(utc + zone_offset(z, utc) >= local && utc - 1 + zone_offset(z, utc - 1) < local);
    for (int c = CAL_NONE; c < CAL_COUNT; c++) {
        int64_t start = period_start((enum calendar)c, local);
        ASSERT(start <= local && (c == CAL_NONE || period_next((enum calendar)c, start) > local));
        period_text(text, (enum calendar)c, z, utc);
        ASSERT(text[0] && strlen(text) < sizeof text);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    enum { LOOKS = 64 };
    struct zone z;
    if (!zone_read(&z, (struct str){(const char *)p, n})) {
        ASSERT(!z.change && !z.n);
        return 0;
    }
    for (size_t i = 1; i < z.n; i++)
        ASSERT(z.change[i].at > z.change[i - 1].at);
    for (size_t i = 0; i < z.n && i < LOOKS; i++)
        if (z.change[i].at > -(1ll << 40) && z.change[i].at < 1ll << 40)
            for (int64_t d = -7200; d <= 7200; d += 1800)
                check_at(&z, z.change[i].at + z.change[i].offset + d);
    check_at(&z, 0), check_at(&z, -1), check_at(&z, 4102444800);
    zone_close(&z);
    return 0;
}
