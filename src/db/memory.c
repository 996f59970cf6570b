/* SQLite's memory, counted as malloc gives it out. SQLite's own count leaves out what each block costs beside its bytes: 16 to 24 bytes a page
 * of the page cache, which looks like a leak of two bytes a request to whoever takes that count from the heap in use. */
#include "db/db_int.h"

#include "base/mem.h"

#include <malloc.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>

static _Atomic uint64_t held;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* What the block takes of the heap: its bytes and malloc's word before them. */
static uint64_t taken(void *p)
{
    return p ? malloc_usable_size(p) + sizeof(size_t) : 0;
}

static void *take(int n)
{
    void *p = malloc((size_t)n);
    held += taken(p);
    return p;
}

static void give(void *p)
{
    held -= taken(p);
    free(p);
}

static void *resize(void *p, int n)
{
    uint64_t before = taken(p);
    void *q = realloc(p, (size_t)n);
    if (q)
        held += taken(q) - before;
    return q;
}

static int size(void *p)
{
    return p ? (int)malloc_usable_size(p) : 0;
}

static int round_up(int n)
{
    return (n + 7) & ~7;
}

static int begin(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}
static void end(void *arg)
{
    (void)arg;
}

static void configure(void)
{
    static const struct sqlite3_mem_methods methods = {take, give, resize, size, round_up, begin, end, NULL};
    ASSERT(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK); /* before any other call of SQLite's */
    ASSERT(sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) == SQLITE_OK);     /* a count of its own, under a lock, would be a second one */
}

void db_memory_init(void)
{
    pthread_once(&once, configure);
}

uint64_t db_memory_bytes(void)
{
    return held;
}
