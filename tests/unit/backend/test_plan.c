/* What the loader does next, one decision at a time: titles are states and numbers, nothing is loaded and no thread runs. */
#include "backend/shelf_int.h"
#include "test.h"

enum { A, B, C, N };
static struct title title[N];
static struct shelf shelf;
static uint64_t now;

/* Memory for 100; nothing of it is used, nobody waits, no title has work for the loader. */
static void start(void)
{
    vec_deinit(&shelf.titles);
    shelf = (struct shelf){.n.bytes_max = 100, .patience_ns = 50};
    now = 1000;
    for (int i = 0; i < N; i++) {
        title[i] = (struct title){.state = TITLE_COLD, .seen = true, .used_ns = (uint64_t)(100 + i)};
        ASSERT(vec_push(&shelf.titles, &title[i]));
    }
}

static void ready(int i, uint64_t need, uint32_t pins)
{
    title[i].state = TITLE_READY, title[i].opened = true, title[i].need = need, title[i].pins = pins;
    shelf.n.bytes_used += need;
}

static void wanted(int i, uint64_t need, uint64_t since)
{
    title[i].state = TITLE_WANTED, title[i].opened = need > 0, title[i].need = need, title[i].wanted_ns = since;
}

static bool next_is(enum task task, int i)
{
    struct title *t;
    enum task got = shelf_next(&shelf, now, &t);
    if (got == task && (task == TASK_NONE || t == &title[i]))
        return true;
    printf("task %d of title %d, not %d of %d\n", (int)got, t ? (int)(t - title) : -1, (int)task, i);
    return false;
}

TEST(room_is_made_by_the_idle_alone_and_only_where_it_is_enough)
{
    start(), wanted(B, 50, now);
    CHECK(next_is(TASK_LOAD, B));
    title[B].need = 100;
    CHECK(next_is(TASK_LOAD, B));
    title[B].need = 50, ready(A, 60, 0);
    CHECK(next_is(TASK_UNLOAD, A));
    title[A].resident = true;
    CHECK(next_is(TASK_NONE, 0));
    start(), ready(A, 60, 1), wanted(B, 50, now);
    CHECK(next_is(TASK_NONE, 0));
    start(), ready(A, 30, 0), ready(C, 50, 1), wanted(B, 60, now); /* 20 are free, and 30 idle: A would go for nothing */
    CHECK(next_is(TASK_NONE, 0));
    start(), ready(A, 40, 0), ready(C, 40, 0), wanted(B, 50, now); /* the one not used for longest */
    CHECK(next_is(TASK_UNLOAD, A));
    title[A].used_ns = 200;
    CHECK(next_is(TASK_UNLOAD, C));
}

TEST(what_was_opened_and_is_wanted_no_more_is_closed_when_nothing_waits)
{
    start(), title[A].opened = true, title[C].seen = false;
    CHECK(next_is(TASK_CLOSE, A));
    wanted(B, 50, now);
    CHECK(next_is(TASK_LOAD, B));
    title[B].opened = false;
    CHECK(next_is(TASK_OPEN, B));
    title[B].state = TITLE_COLD, title[A].opened = false;
    CHECK(next_is(TASK_LOOK, C));
}

TEST(a_small_one_overtakes_until_the_first_has_waited_long_enough)
{
    start(), ready(A, 60, 1), wanted(B, 50, now), wanted(C, 30, now + 1);
    now += 49;
    CHECK(next_is(TASK_LOAD, C) && !title[A].fenced);
    now += 1;
    CHECK(next_is(TASK_NONE, 0) && title[A].fenced);
    title[A].pins = 0; /* its last request has ended */
    CHECK(next_is(TASK_UNLOAD, A));
    title[A].pins = 1, title[B].state = TITLE_COLD; /* who waited has left */
    CHECK(next_is(TASK_LOAD, C) && !title[A].fenced);
}

TEST(as_few_are_fenced_as_make_room)
{
    start(), ready(A, 50, 1), ready(C, 50, 1), wanted(B, 50, now - 50);
    title[A].used_ns = 300; /* so C goes first */
    CHECK(next_is(TASK_NONE, 0) && title[C].fenced && !title[A].fenced);
    CHECK(next_is(TASK_NONE, 0) && !title[A].fenced);
    wanted(B, 51, now - 50);
    CHECK(next_is(TASK_NONE, 0) && title[A].fenced);
    title[A].pins = 0; /* not enough yet, but it takes no new requests: it goes */
    CHECK(next_is(TASK_UNLOAD, A));

    start(), ready(A, 30, 0), ready(C, 50, 1), wanted(B, 60, now - 50); /* A waits for C: until then somebody may ask for it */
    CHECK(next_is(TASK_NONE, 0) && title[C].fenced);
    CHECK(next_is(TASK_NONE, 0) && !title[A].fenced);
    title[C].pins = 0;
    CHECK(next_is(TASK_UNLOAD, C));
}

TEST(what_is_over_goes_first_and_what_nobody_waits_for_last)
{
    start(), wanted(B, 50, now), wanted(C, 0, now + 1);
    CHECK(next_is(TASK_OPEN, C)); /* its file may be no model */
    ready(A, 10, 0), title[A].gone = true;
    CHECK(next_is(TASK_UNLOAD, A));
    title[A].pins = 1;
    CHECK(next_is(TASK_OPEN, C));
    start(), ready(A, 60, 1), wanted(B, 50, now - 50), title[B].opened = false;
    CHECK(next_is(TASK_OPEN, B) && !title[A].fenced); /* it costs nobody his place before that is known */

    start(), ready(A, 10, 0), title[A].unkept = true, title[C].seen = false;
    CHECK(next_is(TASK_LOOK, C));
    title[C].seen = true;
    CHECK(next_is(TASK_KEEP, A));
    title[A].gone = true, title[A].pins = 1;
    CHECK(next_is(TASK_NONE, 0));
    title[A].gone = false;
    CHECK(next_is(TASK_KEEP, A));
    wanted(B, 50, now);
    CHECK(next_is(TASK_LOAD, B));
    start();
    CHECK(next_is(TASK_NONE, 0));
}

TEST(keep_counts_from_the_last_use)
{
    start(), ready(A, 10, 0), ready(C, 10, 1), shelf.keep_ns = 500;
    title[A].used_ns = title[C].used_ns = now - 499;
    CHECK(next_is(TASK_NONE, 0) && shelf_nap_ms(&shelf) <= 1000);
    now++;
    CHECK(next_is(TASK_UNLOAD, A));
    title[A].resident = true;
    CHECK(next_is(TASK_NONE, 0));
    shelf.keep_ns = 0;
    CHECK(shelf_nap_ms(&shelf) == UINT32_MAX);
    wanted(B, 90, now);
    CHECK(shelf_nap_ms(&shelf) <= 100);
}

TEST(weights_are_written_aside_while_nobody_wants_the_loader)
{
    start(), ready(A, 10, 1);
    CHECK(!shelf_wanted(&shelf));
    shelf.n.waiting = 1;
    CHECK(shelf_wanted(&shelf));
    shelf.n.waiting = 0, shelf.stop = true;
    CHECK(shelf_wanted(&shelf));
    shelf.stop = false, wanted(B, 90, now);
    CHECK(shelf_wanted(&shelf));
    title[B].state = TITLE_COLD, title[A].gone = true;
    CHECK(!shelf_wanted(&shelf));
    title[A].pins = 0;
    CHECK(shelf_wanted(&shelf));
}

TEST_MAIN()
