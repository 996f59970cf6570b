/* Waiting for a model that is not in memory. A request whose model has to be loaded is put aside as it is and read again from the start when
 * the model is there: loading is rare, and so no endpoint has to know of it. What costs nothing to check is checked before a load is begun:
 * nobody without a price or credit, or whose rate limits are used up, moves models about. */
#include "api/call.h"
#include <string.h>

struct gate { /* one request put aside */
    struct backend_wait wait;
    struct api *api;
    struct http *r;
    const struct backend_model *model;
    const struct call_wire *wire;
    call_read_fn read;
    struct gate *prev, *next; /* of api->gates */
};

static void gate_free(struct gate *g)
{
    if (g->prev)
        g->prev->next = g->next;
    else
        g->api->gates = g->next;
    if (g->next)
        g->next->prev = g->prev;
    mem_free(g);
}

static void on_gone(void *arg)
{
    struct gate *g = arg;
    g->api->backend.leave(g->api->backend.self, &g->wait);
    g->api->counts.answers[0]++;
    gate_free(g);
}

static void refuse(struct gate *g, const struct err *e)
{
    g->api->counts.answers[err_http(e->code) / 100]++;
    http_on_gone(g->r, NULL, NULL);
    errors_reply(g->r, e); /* e may be the gate's own */
    gate_free(g);
}

static void on_ready(void *arg, const struct err *e)
{
    struct gate *g = arg;
    struct api *a = g->api;
    struct http *r = g->r;
    const struct call_wire *wire = g->wire;
    call_read_fn read = g->read;
    if (e->code != ERR_OK) {
        refuse(g, e);
        return;
    }
    a->granted = g->model; /* its pin is for the call that is read now */
    gate_free(g);
    http_on_gone(r, NULL, NULL);
    call_route(a, r, wire, read);
    if (a->granted)
        a->backend.put(a->backend.self, a->granted);
    a->granted = NULL;
}

/* Whether a load may be begun for this caller. */
static int may_wait(struct call *c, const struct backend_model *m, struct err *e)
{
    struct money have, held, left;
    int rc = call_allowed(c->api, m, e);
    if (rc < 0 || (rc = ledger_balance(c->api->ledger, c->who.org, &have, &held, e)) < 0)
        return rc;
    if (!c->wire->begin && (rc = ledger_rate_room(c->api->ledger, &c->who, m->alias, e)) < 0) { /* what only reads texts is under no limit */
        c->api->counts.refused_rate++;
        return rc;
    }
    if (ledger_key_budget(c->api->ledger, c->who.key, &left) && !left.nano)
        return err_set(e, ERR_QUOTA,
                       "the budget of the key %s is used up, and the model %s would have to be loaded first; raise it: sluice key set %s "
                       "--budget AMOUNT",
                       c->who.public_id, m->alias, c->who.public_id);
    return have.nano > 0
               ? 0
               : err_set(e, ERR_QUOTA,
                         "the account has no credit left, and the model %s would have to be loaded first; add credit, or try again later", m->alias);
}

int gate_get(struct call *c, const struct backend_model *m, struct err *e)
{
    struct api *a = c->api;
    if (!a->backend.get || a->granted == m) {
        a->granted = NULL;
        c->q.model = m;
        return 0;
    }
    struct gate *g = mem_new(sizeof *g);
    if (!g)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    struct backend_model_status st;
    a->backend.model_status(a->backend.self, m, &st);
    g->wait.ready = on_ready, g->wait.arg = g;
    int rc = strcmp(st.state, "loaded") ? may_wait(c, m, e) : 0;
    if (rc >= 0)
        rc = a->backend.get(a->backend.self, m, &g->wait, e);
    if (rc <= 0) {
        mem_free(g);
        c->q.model = rc < 0 ? NULL : m;
        return rc;
    }
    g->api = a, g->r = c->r, g->model = m;
    g->next = a->gates;
    if (a->gates)
        a->gates->prev = g;
    a->gates = c->gate = g;
    return err_set(e, ERR_UNAVAILABLE, "the model %s is being loaded", m->alias); /* call_route looks at c->gate */
}

void gate_park(struct gate *g, const struct call_wire *wire, call_read_fn read)
{
    g->wire = wire, g->read = read;
    http_on_gone(g->r, on_gone, g);
}

void gate_drain(struct api *a)
{
    struct err e;
    err_set(&e, ERR_UNAVAILABLE, "the server is shutting down; try again in a moment");
    while (a->gates) {
        struct gate *g = a->gates;
        a->backend.leave(a->backend.self, &g->wait);
        refuse(g, &e);
    }
}
