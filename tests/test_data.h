#pragma once
#include <stdio.h>
#include <stdlib.h>

/* Where the test data is: $SLUICE_TEST_DATA, else ../shared/data; NULL when absent. Static storage. */
static inline const char *test_data(const char *rel)
{
    static char path[1024];
    const char *dir = getenv("SLUICE_TEST_DATA");
    snprintf(path, sizeof path, "%s/%s", dir ? dir : "../shared/data", rel);
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    fclose(f);
    return path;
}
