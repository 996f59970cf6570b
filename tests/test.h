/* A test program: `TEST(name) { CHECK(x == 1); }` for each case, TEST_MAIN() at the end. Prints one line a failure and, last,
 * "N passed, N failed, N skipped". argv[1] limits to cases whose name contains it. */
#pragma once
#include "test_data.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test_case {
    const char *name;
    void (*fn)(void);
    struct test_case *next;
};
static struct test_case *test_first, **test_last = &test_first;
static bool test_failed, test_skipped;

#define TEST(name)                                                                                                                         \
    static void test_##name(void);                                                                                                         \
    static struct test_case case_##name = {#name, test_##name, NULL};                                                                      \
    __attribute__((constructor)) static void add_##name(void) { *test_last = &case_##name, test_last = &case_##name.next; }                \
    static void test_##name(void)

/* A failed check ends its case. */
#define CHECK(x)                                                                                                                           \
    do {                                                                                                                                   \
        if (!(x)) {                                                                                                                        \
            printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #x);                                                                         \
            test_failed = true;                                                                                                            \
            return;                                                                                                                        \
        }                                                                                                                                  \
    } while (0)
#define CHECK_MSG(x, ...)                                                                                                                  \
    do {                                                                                                                                   \
        if (!(x)) {                                                                                                                        \
            printf("%s:%d: failed: %s: ", __FILE__, __LINE__, #x);                                                                         \
            printf(__VA_ARGS__);                                                                                                           \
            printf("\n");                                                                                                                  \
            test_failed = true;                                                                                                            \
            return;                                                                                                                        \
        }                                                                                                                                  \
    } while (0)
#define SKIP(why)                                                                                                                          \
    do {                                                                                                                                   \
        printf("skipped: %s\n", why);                                                                                                      \
        test_skipped = true;                                                                                                               \
        return;                                                                                                                            \
    } while (0)

static inline int test_run(const char *only)
{
    int passed = 0, failed = 0, skipped = 0;
    for (struct test_case *t = test_first; t; t = t->next) {
        if (only && !strstr(t->name, only))
            continue;
        test_failed = test_skipped = false;
        t->fn();
        if (test_failed)
            printf("FAIL %s\n", t->name), failed++;
        else if (test_skipped)
            skipped++;
        else
            passed++;
        fflush(stdout);
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed ? 1 : 0;
}
#define TEST_MAIN()                                                                                                                        \
    int main(int argc, char **argv) { return test_run(argc > 1 ? argv[1] : NULL); }
