/* Reservations: made, resized, cancelled, found. */
#include "ledger/operation.h"

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

enum { INPUT_WEIGHT = 250, YEARS_MAX = 10 };
#define RATE_MAX INT64_C(100000000) /* 100,000 tokens a second */

const char *const reserve_period_names[RESERVE_PERIODS] = {"hour", "month", "term"};

int64_t reservation_end(const struct reservation *r)
{
    return r->ended_us ? r->ended_us : r->to_us ? r->to_us : INT64_MAX;
}

struct reservation *reservation_find(const struct ledger *l, int64_t id)
{
    for (size_t i = 0; i < l->reserved.list.n; i++)
        if (l->reserved.list.p[i]->id == id)
            return l->reserved.list.p[i];
    return NULL;
}

const struct reservation *reservation_at(const struct ledger *l, const struct org *o, const char *model, int64_t us)
{
    for (size_t i = 0; i < l->reserved.list.n; i++) {
        const struct reservation *r = l->reserved.list.p[i];
        if (r->org == o && r->from_us <= us && us < reservation_end(r) && strcmp(r->model, model) == 0)
            return r;
    }
    return NULL;
}

int reservation_deed(struct ledger *l, int64_t id, int64_t at_us, const char *why, int64_t operation, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("INSERT INTO reservation_end (reservation_id, at_us, why, operation_id) VALUES (?1, ?2, ?3, ?4)"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, id), stmt_i64(s, 2, at_us), stmt_text(s, 3, why), stmt_i64(s, 4, operation);
    return stmt_run(s, e);
}

/* ---- start ---- */

static int name_of(const char *const *names, int n, struct str z)
{
    for (int i = 0; i < n; i++)
        if (str_eqz(z, names[i]))
            return i;
    return -1;
}

static int load_one(struct ledger *l, struct stmt *s, struct err *e)
{
    struct reservation *r = mem_new(sizeof *r);
    struct str model = stmt_col_str(s, 2);
    const int period = name_of(reserve_period_names, RESERVE_PERIODS, stmt_col_str(s, 8));
    if (!r || !vec_push(&l->reserved.list, r)) {
        mem_free(r);
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for reservations");
    }
    *r = (struct reservation){.id = stmt_col_i64(s, 0),
                              .org = org_find(l, stmt_col_i64(s, 1)),
                              .rate = stmt_col_i64(s, 3),
                              .input_weight = stmt_col_i64(s, 4),
                              .from_us = stmt_col_i64(s, 5),
                              .to_us = stmt_col_i64(s, 6),
                              .price = stmt_col_i64(s, 7),
                              .period = (enum reserve_period)period,
                              .refuse = str_eqz(stmt_col_str(s, 9), "refuse"),
                              .upfront = stmt_col_i64(s, 10),
                              .capacity = stmt_col_i64(s, 11),
                              .replaces = stmt_col_i64(s, 12),
                              .ended_us = stmt_col_i64(s, 13),
                              .due_us = stmt_col_i64(s, 14)};
    if (!r->org || period < 0 || model.n >= sizeof r->model)
        return err_set(e, ERR_DB, "ledger: reservation %lld is damaged; run `sluice audit` on a copy", (long long)r->id);
    memcpy(r->model, model.p, model.n);
    return 0;
}

int reservation_load(struct ledger *l, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc = stmt_get(&s, l->db,
                      SQL("SELECT r.id, r.org_id, r.model, r.rate, r.input_weight, r.from_us, r.to_us, r.price, r.period, r.spill, r.upfront, "
                          "r.capacity, r.replaces, coalesce(x.at_us, 0), coalesce((SELECT max(c.hour_us) + 3600000000 FROM reservation_charge c "
                          "WHERE c.reservation_id = r.id), r.from_us) FROM reservation r LEFT JOIN reservation_end x ON x.reservation_id = r.id "
                          "ORDER BY r.id"),
                      e);
    if (rc < 0)
        return rc;
    while (rc == 0 && row)
        if ((rc = stmt_step(s, &row, e)) == 0 && row)
            rc = load_one(l, s, e);
    stmt_put(s);
    return rc;
}

void reservation_free(struct ledger *l)
{
    for (size_t i = 0; i < l->reserved.list.n; i++)
        mem_free(l->reserved.list.p[i]);
    for (size_t i = 0; i < l->reserved.commitments.n; i++)
        mem_free(l->reserved.commitments.p[i]);
    vec_deinit(&l->reserved.list), vec_deinit(&l->reserved.commitments), vec_deinit(&l->reserved.speeds);
}

/* ---- how fast the machine is ---- */

void ledger_capacity(struct ledger *l, const char *model, int64_t rate)
{
    size_t i = 0;
    mutex_lock(&l->lock);
    while (i < l->reserved.speeds.n && strcmp(l->reserved.speeds.p[i].model, model) != 0)
        i++;
    if (strlen(model) < LEDGER_MODEL_MAX && (i < l->reserved.speeds.n || vec_push(&l->reserved.speeds, (struct speed){0}))) {
        (void)str_fmt(l->reserved.speeds.p[i].model, LEDGER_MODEL_MAX, "%s", model);
        l->reserved.speeds.p[i].rate = rate;
    }
    mutex_unlock(&l->lock);
}

/* As it was seen, else as it was last sold against; 0: nobody knows. */
static int64_t speed_of(struct ledger *l, const char *model)
{
    int64_t rate = 0;
    mutex_lock(&l->lock);
    for (size_t i = 0; i < l->reserved.speeds.n; i++)
        if (strcmp(l->reserved.speeds.p[i].model, model) == 0)
            rate = l->reserved.speeds.p[i].rate;
    mutex_unlock(&l->lock);
    for (size_t i = l->reserved.list.n; i-- > 0 && !rate;)
        if (strcmp(l->reserved.list.p[i]->model, model) == 0)
            rate = l->reserved.list.p[i]->capacity;
    return rate;
}

/* ---- making one ---- */

static bool meets(const struct reservation *a, const struct reservation *b)
{
    return a->from_us < reservation_end(b) && b->from_us < reservation_end(a);
}

/* Each reservation takes the part rate / capacity of the machine, whatever its model; all that are in force at some time of r's together no more than
 * all of it. `but`: the one that r replaces. */
static int check_capacity(const struct ledger *l, const struct reservation *r, const struct reservation *but, bool oversell, struct err *e)
{
    int64_t sold = 0; /* millionths */
    if (oversell)
        return 0;
    if (!r->capacity)
        return err_param(
            e, ERR_CONFLICT, "capacity",
            "ledger: how many tokens a second the machine does of %.100s is not known; let the server answer some requests at once and reserve "
            "while it runs, say it yourself (--capacity N; `sluice bench model` measures it), or promise it anyway: --oversell",
            r->model);
    for (size_t i = 0; i < l->reserved.list.n; i++) {
        const struct reservation *x = l->reserved.list.p[i];
        if (x != but && meets(x, r) && x->capacity)
            sold += x->rate * 1000000 / x->capacity;
    }
    const int64_t left = sold < 1000000 ? (int64_t)((__int128)(1000000 - sold) * r->capacity / 1000000) : 0;
    if (r->rate <= left)
        return 0;
    return err_param(
        e, ERR_CONFLICT, "rate",
        "ledger: the machine does %lld.%03lld tokens a second of %.100s, and %lld.%lld%% of it are reserved then; reserve %lld.%03lld or "
        "less, or promise more than there is: --oversell",
        (long long)(r->capacity / 1000), (long long)(r->capacity % 1000), r->model, (long long)(sold / 10000), (long long)(sold / 1000 % 10),
        (long long)(left / 1000), (long long)(left % 1000));
}

static int check_overlap(const struct ledger *l, const struct reservation *r, const struct reservation *but, struct err *e)
{
    for (size_t i = 0; i < l->reserved.list.n; i++) {
        const struct reservation *x = l->reserved.list.p[i];
        if (x != but && x->org == r->org && strcmp(x->model, r->model) == 0 && meets(x, r))
            return err_param(
                e, ERR_CONFLICT, "model",
                "ledger: %.100s has reservation %lld of %.100s at that time; resize it (sluice reserve resize %lld TOKENS), or let this one "
                "begin when it ends",
                r->org->name, (long long)x->id, r->model, (long long)x->id);
    }
    return 0;
}

static int check_credit(const struct ledger *l, const struct reservation *r, struct err *e)
{
    char need[MONEY_TEXT_MAX], has[MONEY_TEXT_MAX];
    const int64_t now = r->upfront ? r->upfront : r->from_us <= l->now_us ? reservation_amount(r, r->from_us) : 0, free = reservation_free_credit(r);
    if (free >= now)
        return 0;
    money_text(need, (struct money){now}), money_text(has, (struct money){free});
    return err_param(e, ERR_CONFLICT, "price",
                     "ledger: account %s has %s %s to spend on %.100s, and %s costs %s %s; add credit: sluice grant create %s AMOUNT", r->org->name,
                     has, l->currency, r->model, r->upfront ? "this, up front," : "the first hour", need, l->currency, r->org->name);
}

static int insert(struct ledger *l, const struct reservation *r, int64_t operation, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO reservation (id, org_id, model, rate, input_weight, from_us, to_us, price, period, spill, upfront, capacity, "
                          "replaces, operation_id, created_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, r->id), stmt_i64(s, 2, r->org->id), stmt_text(s, 3, r->model), stmt_i64(s, 4, r->rate), stmt_i64(s, 5, r->input_weight);
    stmt_i64(s, 6, r->from_us), stmt_i64(s, 7, r->to_us), stmt_i64(s, 8, r->price), stmt_text(s, 9, reserve_period_names[r->period]);
    stmt_text(s, 10, r->refuse ? "refuse" : "metered"), stmt_i64(s, 11, r->upfront), stmt_i64(s, 12, r->capacity), stmt_i64(s, 13, r->replaces);
    stmt_i64(s, 14, operation), stmt_i64(s, 15, l->now_us);
    return stmt_run(s, e);
}

static void put_time(struct jw *w, const char *key, int64_t us)
{
    char text[32];
    clock_iso(text, us);
    jw_key(w, key), jw_str(w, us && us != INT64_MAX ? text : NULL);
}

static void answer(const struct ledger *l, struct operation *o, const struct reservation *r)
{
    struct jw w;
    jw_init(&w, &o->answer);
    jw_obj(&w);
    jw_key(&w, "operation"), jw_i64(&w, o->id);
    jw_key(&w, "reservation"), jw_i64(&w, r->id);
    jw_key(&w, "account"), jw_str(&w, r->org->name);
    jw_key(&w, "model"), jw_str(&w, r->model);
    put_time(&w, "from", r->from_us), put_time(&w, "to", reservation_end(r));
    answer_money(&w, "upfront", r->upfront);
    jw_key(&w, "currency"), jw_str(&w, l->currency);
    jw_obj_end(&w);
    ASSERT(str_fmt(o->object, sizeof o->object, "reservation %lld", (long long)r->id));
}

/* Checks r, a copy of which becomes a reservation, in place of `old` if that is not NULL. */
static int make(struct ledger *l, struct operation *o, const struct reservation *asked, struct reservation *old, bool oversell, struct err *e)
{
    bool paid = true;
    int rc = check_overlap(l, asked, old, e);
    if (rc < 0 || (rc = check_capacity(l, asked, old, oversell, e)) < 0 || (rc = check_credit(l, asked, e)) < 0)
        return rc;
    struct reservation *r = mem_new(sizeof *r);
    if (!r || !vec_reserve(&l->reserved.list, l->reserved.list.n + 1)) {
        mem_free(r);
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a reservation");
    }
    *r = *asked;
    r->id = l->reserved.list.n ? l->reserved.list.p[l->reserved.list.n - 1]->id + 1 : 1;
    r->due_us = r->from_us;
    if (old && (rc = reservation_deed(l, old->id, r->from_us, "resized", o->id, e)) == 0)
        old->ended_us = r->from_us;
    if (rc == 0)
        rc = insert(l, r, o->id, e);
    (void)vec_push(&l->reserved.list, r);
    l->moved = true;
    if (rc == 0 && r->upfront)
        rc = reservation_pay(l, r, 0, r->upfront, o->id, &paid, e);
    if (rc < 0)
        return rc;
    answer(l, o, r);
    return grant_due(l, e); /* its first hour */
}

struct make_args {
    const struct reservation_new *in;
    struct reservation r;
};

static int create_act(struct ledger *l, struct operation *o, struct err *e)
{
    struct make_args *a = o->arg;
    struct reservation *r = &a->r;
    if (!(r->org = org_find(l, a->in->org.v)))
        return err_set(e, ERR_NOT_FOUND, "ledger: there is no account %lld; see `sluice account list`", (long long)a->in->org.v);
    if (!price_find(l, r->model))
        return err_param(e, ERR_NO_PRICE, "model",
                         "ledger: model %.150s has no price, so it is not served; set one: sluice price set %.150s --input X --output Y", r->model,
                         r->model);
    if (!r->capacity)
        r->capacity = speed_of(l, r->model);
    const int64_t hour = l->now_us / HOUR_US * HOUR_US;
    if (!r->from_us)
        r->from_us = hour;
    if (r->from_us < hour)
        return err_param(e, ERR_BAD_VALUE, "from", "ledger: a reservation begins with this hour or later");
    if (r->to_us && (r->to_us <= r->from_us || r->to_us - r->from_us > YEARS_MAX * 366 * DAY_US))
        return err_param(e, ERR_BAD_VALUE, "to", "ledger: a reservation ends at least an hour after it begins, and within %d years", YEARS_MAX);
    if (!r->to_us && (r->period == PERIOD_TERM || a->in->upfront))
        return err_param(e, ERR_BAD_VALUE, "to", "ledger: a price for the term, or one that is paid up front, needs an end: --to DATE");
    if (a->in->upfront && (r->upfront = reservation_total(r, r->from_us, r->to_us)) == INT64_MAX)
        return err_param(e, ERR_BAD_VALUE, "price", "ledger: so much is no amount; make it less");
    return make(l, o, r, NULL, a->in->oversell, e);
}

static int check_rate(int64_t rate, int64_t capacity, struct err *e)
{
    if (rate < 1 || rate > RATE_MAX)
        return err_param(e, ERR_BAD_VALUE, "rate", "ledger: a rate is 0.001 to 100000 tokens a second");
    return capacity < 0 || capacity > RATE_MAX ? err_param(e, ERR_BAD_VALUE, "capacity", "ledger: a capacity is at most 100000 tokens a second") : 0;
}

static int check_new(const struct reservation_new *in, int *period, bool *refuse, struct err *e)
{
    const size_t n = in->model ? strlen(in->model) : 0;
    *period = in->period ? name_of(reserve_period_names, RESERVE_PERIODS, str_of(in->period)) : PERIOD_HOUR;
    *refuse = in->spill && strcmp(in->spill, "refuse") == 0;
    int rc = check_rate(in->rate, in->capacity, e);
    if (rc == 0 && (!n || n >= LEDGER_MODEL_MAX))
        rc = err_param(e, ERR_BAD_VALUE, "model", "ledger: a model's name has 1 to %d bytes", LEDGER_MODEL_MAX - 1);
    if (rc == 0 && in->input_weight > 1000)
        rc = err_param(e, ERR_BAD_VALUE, "input_weight", "ledger: a prompt token counts 0 to 1 of an output token");
    if (rc == 0 && in->price.nano < 0)
        rc = err_param(e, ERR_BAD_VALUE, "price", "ledger: a price is 0 or more");
    if (rc == 0 && *period < 0)
        rc = err_param(e, ERR_BAD_VALUE, "period", "ledger: a price is for an hour, a month or the term");
    if (rc == 0 && in->spill && !*refuse && strcmp(in->spill, "metered") != 0)
        rc = err_param(e, ERR_BAD_VALUE, "spill", "ledger: what is beyond a reservation is metered or refused: --spill metered, --spill refuse");
    if (rc == 0 && (in->from_us < 0 || in->from_us % HOUR_US))
        rc = err_param(e, ERR_BAD_VALUE, "from", "ledger: a reservation begins with a whole hour, UTC: 2026-12-01T08:00Z");
    if (rc == 0 && (in->to_us < 0 || in->to_us % HOUR_US))
        rc = err_param(e, ERR_BAD_VALUE, "to", "ledger: a reservation ends with a whole hour, UTC: 2026-12-01T08:00Z");
    return rc;
}

int ledger_reserve(struct ledger *l, const struct reservation_new *in, struct buf *out, struct err *e)
{
    struct make_args a = {.in = in};
    struct operation o;
    int period;
    bool refuse;
    int rc = check_new(in, &period, &refuse, e);
    if (rc < 0)
        return rc;
    a.r = (struct reservation){.rate = in->rate,
                               .input_weight = in->input_weight < 0 ? INPUT_WEIGHT : in->input_weight,
                               .from_us = in->from_us,
                               .to_us = in->to_us,
                               .price = in->price.nano,
                               .capacity = in->capacity,
                               .period = (enum reserve_period)period,
                               .refuse = refuse};
    memcpy(a.r.model, in->model, strlen(in->model) + 1);
    operation_init(&o, "reserve", &in->by, create_act);
    o.arg = &a, o.no_reason = o.plain = true;
    const int64_t asked[] = {in->org.v, in->rate, a.r.input_weight, in->from_us, in->to_us, in->price.nano, period, refuse, in->upfront};
    operation_asks(&o, in->model);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        operation_asks_i64(&o, asked[i]);
    return operation_run(l, &o, out, e);
}

/* ---- changing one ---- */

struct change_args {
    int64_t id, rate, price, capacity;
    bool priced, oversell;
};

/* The one that is to be changed, from the next hour on, or when it begins. */
static struct reservation *changes(struct ledger *l, int64_t id, int64_t *at, struct err *e)
{
    struct reservation *r = reservation_find(l, id);
    if (!r) {
        err_param(e, ERR_NOT_FOUND, "reservation", "ledger: there is no reservation %lld; see `sluice reserve list`", (long long)id);
        return NULL;
    }
    *at = (l->now_us / HOUR_US + 1) * HOUR_US;
    *at = *at > r->from_us ? *at : r->from_us;
    if (r->upfront || *at >= reservation_end(r)) {
        err_param(e, ERR_CONFLICT, "reservation", "ledger: reservation %lld %s", (long long)id,
                  r->upfront ? "is paid up front and runs to its end" : "has ended, or ends with this hour; make a new one: sluice reserve create");
        return NULL;
    }
    return r;
}

static int resize_act(struct ledger *l, struct operation *o, struct err *e)
{
    const struct change_args *a = o->arg;
    int64_t at;
    struct reservation *old = changes(l, a->id, &at, e);
    if (!old)
        return e ? -(int)e->code : -ERR_CONFLICT;
    struct reservation r = *old;
    r.rate = a->rate, r.replaces = old->id, r.ended_us = 0;
    r.price = a->priced ? a->price : (int64_t)((__int128)old->price * a->rate / old->rate);
    r.capacity = a->capacity ? a->capacity : speed_of(l, r.model);
    if (r.period == PERIOD_TERM) /* the rest of the term costs the rest of its price */
        r.price = a->priced ? a->price : (int64_t)((__int128)reservation_total(old, at, old->to_us) * a->rate / old->rate);
    r.from_us = at;
    return make(l, o, &r, old, a->oversell, e);
}

int ledger_reserve_resize(struct ledger *l, struct reservation_id id, int64_t rate, const struct money *price, int64_t capacity, bool oversell,
                          const struct deed *by, struct buf *out, struct err *e)
{
    struct change_args a = {id.v, rate, price ? price->nano : 0, capacity, price != NULL, oversell};
    struct operation o;
    int rc = check_rate(rate, capacity, e);
    if (rc < 0)
        return rc;
    if (a.price < 0)
        return err_param(e, ERR_BAD_VALUE, "price", "ledger: a price is 0 or more");
    operation_init(&o, "resize", by, resize_act);
    o.arg = &a, o.plain = true;
    operation_asks_i64(&o, id.v), operation_asks_i64(&o, rate), operation_asks_i64(&o, price ? price->nano : -1);
    return operation_run(l, &o, out, e);
}

static int cancel_act(struct ledger *l, struct operation *o, struct err *e)
{
    const struct change_args *a = o->arg;
    int64_t at;
    struct reservation *r = changes(l, a->id, &at, e);
    if (!r)
        return e ? -(int)e->code : -ERR_CONFLICT;
    int rc = reservation_deed(l, r->id, at, "cancelled", o->id, e);
    if (rc < 0)
        return rc;
    r->ended_us = at;
    l->moved = true;
    answer(l, o, r);
    return 0;
}

int ledger_reserve_cancel(struct ledger *l, struct reservation_id id, const struct deed *by, struct buf *out, struct err *e)
{
    struct change_args a = {.id = id.v};
    struct operation o;
    operation_init(&o, "cancel", by, cancel_act);
    o.arg = &a, o.plain = true;
    operation_asks_i64(&o, id.v);
    return operation_run(l, &o, out, e);
}
