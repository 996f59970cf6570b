#include "backend/shelf_int.h"

enum { TICK_MS = 100, IDLE_MS = 1000 };

static bool idle(const struct title *t)
{
    return t->state == TITLE_READY && !t->pins && !t->resident;
}

static bool busy(const struct title *t)
{
    return t->state == TITLE_READY && t->pins && !t->resident && !t->fenced;
}

static bool wanted_closed(const struct title *t)
{
    return t->state == TITLE_WANTED && !t->opened;
}

/* Opened, and then nobody wanted it any more. An open file cannot be removed. */
static bool unwanted(const struct title *t)
{
    return t->state == TITLE_COLD && t->opened;
}

static bool unseen(const struct title *t)
{
    return t->state == TITLE_COLD && !t->seen && !t->gone;
}

static bool unkept(const struct title *t)
{
    return t->state == TITLE_READY && t->unkept && !t->gone;
}

static struct title *oldest(struct shelf *s, bool (*fits)(const struct title *t))
{
    struct title *best = NULL;
    for (size_t i = 0; i < s->titles.n; i++) {
        struct title *t = s->titles.p[i];
        if (fits(t) && (!best || t->used_ns < best->used_ns))
            best = t;
    }
    return best;
}

static uint64_t idle_bytes(const struct shelf *s, bool with_fenced)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->titles.n; i++) {
        const struct title *t = s->titles.p[i];
        if (idle(t) || (with_fenced && t->state == TITLE_READY && t->fenced))
            sum += t->need;
    }
    return sum;
}

/* Those that are to go whether or not room is wanted. */
static struct title *overdue(struct shelf *s, uint64_t now)
{
    for (size_t i = 0; i < s->titles.n; i++) {
        struct title *t = s->titles.p[i];
        if (t->state == TITLE_READY && !t->pins && (t->gone || t->fenced))
            return t;
        if (idle(t) && !t->waits && s->keep_ns && t->used_ns + s->keep_ns <= now)
            return t;
    }
    return NULL;
}

static uint64_t room(const struct shelf *s)
{
    return s->n.bytes_max > s->n.bytes_used ? s->n.bytes_max - s->n.bytes_used : 0;
}

/* The open title that was wanted first, after `after`. */
static struct title *next_wanted(struct shelf *s, const struct title *after)
{
    struct title *best = NULL;
    for (size_t i = 0; i < s->titles.n; i++) {
        struct title *t = s->titles.p[i];
        if (t->state == TITLE_WANTED && t->opened && (!after || t->wanted_ns > after->wanted_ns) && (!best || t->wanted_ns < best->wanted_ns))
            best = t;
    }
    return best;
}

static void unfence(struct shelf *s)
{
    for (size_t i = 0; i < s->titles.n; i++) {
        struct title *t = s->titles.p[i];
        if (t->fenced && t->state == TITLE_READY) {
            t->fenced = false;
            waits_tell(s, t, &(struct err){0});
        }
    }
}

static void fence(struct shelf *s, const struct title *head)
{
    struct title *t;
    while (room(s) + idle_bytes(s, true) < head->need && (t = oldest(s, busy)))
        t->fenced = true;
}

/* What can be loaded now, or what goes to make room for it; both NULL: nothing can be done. */
static void plan(struct shelf *s, uint64_t now, struct title **load, struct title **unload)
{
    struct title *head = next_wanted(s, NULL);
    *load = *unload = NULL;
    bool impatient = head && head->wanted_ns + s->patience_ns <= now && room(s) < head->need;
    if (!impatient)
        unfence(s);
    for (struct title *t = head; t && !*load && !*unload; t = next_wanted(s, t)) {
        if (t->need <= room(s))
            *load = t;
        else if (t->need <= room(s) + idle_bytes(s, false))
            *unload = oldest(s, idle);
        if (impatient)
            break; /* nobody overtakes any more */
    }
    if (impatient && !*load && !*unload)
        fence(s, head);
}

enum task shelf_next(struct shelf *s, uint64_t now, struct title **t)
{
    struct title *load, *unload;
    plan(s, now, &load, &unload);
    if ((*t = overdue(s, now)))
        return TASK_UNLOAD;
    if ((*t = oldest(s, wanted_closed)))
        return TASK_OPEN;
    if ((*t = unload))
        return TASK_UNLOAD;
    if ((*t = load))
        return TASK_LOAD;
    if ((*t = oldest(s, unwanted)))
        return TASK_CLOSE;
    if ((*t = oldest(s, unseen))) /* there is nothing else to do */
        return TASK_LOOK;
    return (*t = oldest(s, unkept)) ? TASK_KEEP : TASK_NONE;
}

uint32_t shelf_nap_ms(const struct shelf *s)
{
    for (size_t i = 0; i < s->titles.n; i++)
        if (((const struct title *)s->titles.p[i])->state == TITLE_WANTED)
            return TICK_MS;
    return s->n.waiting ? TICK_MS : s->keep_ns ? IDLE_MS : UINT32_MAX;
}

bool shelf_wanted(struct shelf *s)
{
    bool is = s->stop || s->n.waiting > 0;
    for (size_t i = 0; i < s->titles.n && !is; i++) {
        const struct title *t = s->titles.p[i];
        is = t->state == TITLE_WANTED || (t->gone && t->state == TITLE_READY && !t->pins);
    }
    return is;
}
