/* Private to shelf.c and its parts. All but loader_work are called with the lock held. */
#pragma once
#include "backend/local_int.h"

/* shelf_wait.c: who waits for a title. */
void wait_add(struct shelf *s, struct title *t, struct backend_wait *w, uint64_t now);
bool wait_remove(struct shelf *s, struct backend_wait *w);              /* false: it was told already */
void waits_tell(struct shelf *s, struct title *t, const struct err *e); /* each gets a pin, or the error */
void waits_expire(struct shelf *s, uint64_t now);                       /* whose time is over is told so */

/* shelf_plan.c: what the loader does next. */
enum task { TASK_NONE, TASK_OPEN, TASK_LOAD, TASK_UNLOAD, TASK_CLOSE, TASK_LOOK, TASK_KEEP };
enum task shelf_next(struct shelf *s, uint64_t now, struct title **t); /* puts up and takes away fences */
uint32_t shelf_nap_ms(const struct shelf *s);                          /* how long the loader may sleep when there is none */
bool shelf_wanted(struct shelf *s); /* somebody wants the loader for something better than to write weights aside */

/* shelf_load.c: the loader's thread. */
void loader_work(void *shelf);

static inline void title_want(struct title *t, uint64_t now)
{
    t->state = TITLE_WANTED;
    t->wanted_ns = now;
}
