#include "backend/shelf_int.h"

void wait_add(struct shelf *s, struct title *t, struct backend_wait *w, uint64_t now)
{
    w->title = t, w->next = NULL, w->told = false;
    w->deadline_ns = now + s->wait_ns;
    *t->waits_last = w;
    t->waits_last = &w->next;
    t->n_waits++, s->n.waiting++, s->n.waits++;
}

bool wait_remove(struct shelf *s, struct backend_wait *w)
{
    struct title *t = w->title;
    for (struct backend_wait **at = &t->waits; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            if (!*at)
                t->waits_last = at;
            t->n_waits--, s->n.waiting--;
            return true;
        }
    return false;
}

void waits_tell(struct shelf *s, struct title *t, const struct err *e)
{
    while (t->waits) {
        struct backend_wait *w = t->waits;
        (void)wait_remove(s, w);
        w->err = *e;
        if (e->code == ERR_OK)
            t->pins++;
        mailbox_wait(s->box, w);
    }
}

void waits_expire(struct shelf *s, uint64_t now)
{
    for (size_t i = 0; i < s->titles.n; i++) {
        struct title *t = s->titles.p[i];
        for (struct backend_wait *w = t->waits, *next; w; w = next) {
            next = w->next;
            if (w->deadline_ns > now)
                continue;
            (void)wait_remove(s, w);
            s->n.waits_expired++;
            err_set(&w->err, ERR_UNAVAILABLE,
                    "the model %s could not be loaded within %llu s, because the memory for models is in use; try again later", t->pub.alias,
                    (unsigned long long)(s->wait_ns / 1000000000));
            mailbox_wait(s->box, w);
        }
        if (t->state == TITLE_WANTED && !t->waits && t->wanted_ns + s->wait_ns <= now)
            t->state = TITLE_COLD; /* was to be preloaded, and there is no room */
    }
}
