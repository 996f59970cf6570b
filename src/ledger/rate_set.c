/* The limits that people set: their texts, their rows, and how a bucket begins with what the usage rows say. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

const char *const rate_whose_names[RATE_WHOSE] = {"key", "project", "account", "all"};
const char *const rate_meter_names[RATE_METERS] = {"requests", "input", "output", "tokens"};
const char *const rate_window_names[RATE_WINDOWS] = {"minute", "day"};
const uint64_t rate_window_s[RATE_WINDOWS] = {60, 86400};
static const char parallel_name[] = "parallel"; /* a meter without a window */

void rate_init(struct rates *r)
{
    mutex_init(&r->lock);
    map_init(&r->all);
    r->clock = clock_ns;
}

void rate_deinit(struct rates *r)
{
    size_t it = 0;
    struct str k;
    union map_value v;
    while (map_next(&r->all, &it, &k, &v))
        mem_free(v.ptr);
    map_deinit(&r->all);
    mutex_deinit(&r->lock);
}

struct str rate_key(char out[RATE_KEY_MAX], enum rate_whose whose, int64_t owner, struct str model)
{
    ASSERT(model.n < LEDGER_MODEL_MAX);
    out[0] = (char)whose;
    memcpy(out + 1, &owner, sizeof owner);
    memcpy(out + 1 + sizeof owner, model.p, model.n);
    return (struct str){out, 1 + sizeof owner + model.n};
}

static struct str key_of(char out[RATE_KEY_MAX], const struct rate_id *id)
{
    return rate_key(out, id->whose, id->owner, str_of(id->model));
}

struct rate *rate_find(struct ledger *l, const struct rate_id *id)
{
    char key[RATE_KEY_MAX];
    union map_value v;
    return map_get(&l->rates.all, key_of(key, id), &v) ? v.ptr : NULL;
}

/* ---- reading what people write ---- */

/* The number of one limit: "60". */
static bool number(struct str text, uint64_t max, uint64_t *out)
{
    return text.n && text.p[0] >= '1' && text.p[0] <= '9' && str_u64(text, out) && *out <= max;
}

static int bad(const char *meter, struct str text, struct err *e)
{
    return err_param(e, ERR_BAD_VALUE, meter,
                     "ledger: '%.*s' is no limit of %s; write 60/minute, 1000/day, both with a comma between, or none; a number is 1 to %llu",
                     (int)(text.n < 60 ? text.n : 60), text.p ? text.p : "", meter, BUCKET_MOST_MAX);
}

int rate_parse(uint64_t most[RATE_WINDOWS], const char *meter, struct str text, struct err *e)
{
    uint64_t out[RATE_WINDOWS] = {0};
    struct str rest = text;
    bool none = str_eqz(text, "none");
    while (!none && rest.p) {
        struct str window = str_trim(str_split(&rest, ',')), n = str_split(&window, '/');
        int w = 0;
        while (w < RATE_WINDOWS && !(window.p && str_eqz(window, rate_window_names[w])))
            w++;
        if (w == RATE_WINDOWS || out[w] || !number(n, BUCKET_MOST_MAX, &out[w]))
            return bad(meter, text, e);
    }
    memcpy(most, out, sizeof out);
    return 0;
}

static int change(struct rate_most *to, const struct rate_texts *t, struct err *e)
{
    const char *const texts[RATE_METERS] = {t->requests, t->input, t->output, t->tokens};
    for (int m = 0; m < RATE_METERS; m++)
        if (texts[m]) {
            int rc = rate_parse(to->of + (size_t)m * RATE_WINDOWS, rate_meter_names[m], str_of(texts[m]), e);
            if (rc < 0)
                return rc;
        }
    if (!t->parallel)
        return 0;
    to->parallel = 0;
    if (strcmp(t->parallel, "none") != 0 && !number(str_of(t->parallel), RATE_PARALLEL_MAX, &to->parallel))
        return err_param(e, ERR_BAD_VALUE, parallel_name, "ledger: '%.60s' is no number of parallel requests; write 1 to %u, or none", t->parallel,
                         RATE_PARALLEL_MAX);
    return 0;
}

/* Whose limits are meant. Ledger thread: it asks for keys and prices. */
static int owner(struct ledger *l, const struct rate_owner *o, struct rate_id *id, const char **name, struct err *e)
{
    union map_value v;
    *id = (struct rate_id){.whose = o->key ? RATE_OF_KEY : o->project ? RATE_OF_PROJECT : o->account ? RATE_OF_ACCOUNT : RATE_OF_ALL};
    *name = o->key ? o->key : o->project ? o->project : o->account ? o->account : "";
    if ((o->key != NULL) + (o->project != NULL) + (o->account != NULL) > 1)
        return err_param(e, ERR_BAD_VALUE, "account", "ledger: a limit is a key's, a project's or an account's; name one of them");
    if (!o->key && !o->project && !o->account && !o->model)
        return err_param(e, ERR_BAD_VALUE, "key", "ledger: whose limit? name a key, a project, an account or a model");
    struct project *p = o->project ? project_path(l, o->project, e) : NULL;
    if (o->project && !p)
        return -ERR_NOT_FOUND;
    if (p)
        id->owner = p->id;
    if (o->key && !map_get(&l->keys, str_of(o->key), &v))
        return err_param(e, ERR_NOT_FOUND, "key", "ledger: there is no key %.40s; see `sluice key list`", o->key);
    if (o->key)
        id->owner = ((struct key *)v.ptr)->id;
    struct org *org = o->account ? org_named(l, o->account) : NULL;
    if (o->account && !org)
        return err_param(e, ERR_NOT_FOUND, "account", "ledger: there is no account '%.100s'; see `sluice account list`", o->account);
    if (org)
        id->owner = org->id;
    if (o->model && (!str_fmt(id->model, sizeof id->model, "%s", o->model) || !price_find(l, id->model)))
        return err_param(e, ERR_BAD_VALUE, "model",
                         "ledger: no model %.150s has a price here, so no limit of it would count; see `sluice price list`", o->model);
    return 0;
}

/* ---- buckets that begin: with what the usage rows of their window say ---- */

static uint64_t window_ns(int limit)
{
    return rate_window_s[rate_window_of(limit)] * 1000000000;
}

static void charge(struct rate *x, uint64_t at_ns, const uint64_t used[RATE_METERS])
{
    for (int k = 0; k < RATE_LIMITS; k++)
        if (x->most.of[k])
            bucket_charge(&x->bucket[k], at_ns, used[rate_meter_of(k)]);
}

/* A request counts in the sets of limits that it was under, when it began. */
static void charge_row(const struct map *all, struct stmt *s, int64_t since_us, uint64_t span_ns)
{
    int64_t key = stmt_col_i64(s, 0), org = stmt_col_i64(s, 1), us = stmt_col_i64(s, 3) - since_us;
    struct str model = stmt_col_str(s, 2);
    uint64_t in = (uint64_t)stmt_col_i64(s, 4), out = (uint64_t)stmt_col_i64(s, 5), used[RATE_METERS] = {1, in, out, in + out};
    uint64_t at = (uint64_t)us < span_ns / 1000 ? (uint64_t)us * 1000 : span_ns; /* later than now: the clock was set back since */
    const int64_t owner[RATE_WHOSE] = {[RATE_OF_KEY] = key, [RATE_OF_PROJECT] = stmt_col_i64(s, 6), [RATE_OF_ACCOUNT] = org};
    char text[RATE_KEY_MAX];
    union map_value v;
    for (int i = 0; i < RATE_WHOSE; i++) {
        if (map_get(all, rate_key(text, (enum rate_whose)i, owner[i], STR("")), &v))
            charge(v.ptr, at, used);
        if (map_get(all, rate_key(text, (enum rate_whose)i, owner[i], model), &v))
            charge(v.ptr, at, used);
    }
}

/* Fills the buckets of all, which begin: until now their time is that of the rows, from since_us on. */
static int charge_rows(struct ledger *l, const struct map *all, int64_t since_us, uint64_t span_ns, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc =
        stmt_get(&s, l->db,
                 SQL("SELECT u.key_id, u.org_id, m.alias, h.created_us, u.input + u.cache_read + u.cache_write, u.output + u.reasoning, u.project_id "
                     "FROM usage u JOIN hold h ON h.id = u.hold_id JOIN model m ON m.id = u.model_id "
                     "WHERE u.end_us >= ?1 AND h.created_us >= ?1 ORDER BY h.created_us"),
                 e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, since_us);
    while ((rc = stmt_step(s, &row, e)) == 0 && row)
        charge_row(all, s, since_us, span_ns);
    stmt_put(s);
    return rc;
}

/* Gives every limit of all its bucket. */
static int begin(struct ledger *l, const struct map *all, struct err *e)
{
    uint64_t span = 0, now = l->rates.clock();
    size_t it = 0;
    struct str key;
    union map_value v;
    while (map_next(all, &it, &key, &v))
        for (int k = 0; k < RATE_LIMITS; k++) {
            struct rate *x = v.ptr;
            if (!x->most.of[k])
                continue;
            bucket_init(&x->bucket[k], x->most.of[k], window_ns(k), 0);
            span = window_ns(k) > span ? window_ns(k) : span;
        }
    int rc = span ? charge_rows(l, all, clock_now_us() - (int64_t)(span / 1000), span, e) : 0;
    for (it = 0; map_next(all, &it, &key, &v);)
        for (int k = 0; k < RATE_LIMITS; k++)
            bucket_move(&((struct rate *)v.ptr)->bucket[k], span, now);
    return rc;
}

/* ---- between memory and store ---- */

static void bind(struct stmt *s, const struct rate_id *id)
{
    stmt_text(s, 1, rate_whose_names[id->whose]), stmt_i64(s, 2, id->owner), stmt_text(s, 3, id->model);
}

static int insert(struct ledger *l, const struct rate_id *id, const char *meter, uint64_t window_s, uint64_t most, struct err *e)
{
    struct stmt *s;
    if (!most)
        return 0;
    int rc = stmt_get(&s, l->db, SQL("INSERT INTO rate_limit (whose, owner_id, model, meter, window_s, most) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"), e);
    if (rc < 0)
        return rc;
    bind(s, id), stmt_text(s, 4, meter), stmt_i64(s, 5, (int64_t)window_s), stmt_i64(s, 6, (int64_t)most);
    return stmt_run(s, e);
}

/* Replaces the rows of one set of limits. */
static int save(struct ledger *l, const struct rate_id *id, const struct rate_most *most, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("DELETE FROM rate_limit WHERE whose = ?1 AND owner_id = ?2 AND model = ?3"), e);
    if (rc < 0)
        return rc;
    bind(s, id);
    rc = stmt_run(s, e);
    for (int k = 0; k < RATE_LIMITS && rc == 0; k++)
        rc = insert(l, id, rate_meter_names[rate_meter_of(k)], rate_window_s[rate_window_of(k)], most->of[k], e);
    return rc == 0 ? insert(l, id, parallel_name, 0, most->parallel, e) : rc;
}

/* The number of a limit as the store names it; RATE_LIMITS: it is none, or parallel. */
static int limit_of(struct str meter, int64_t window_s)
{
    int k = 0;
    while (k < RATE_LIMITS && !(str_eqz(meter, rate_meter_names[rate_meter_of(k)]) && window_s == (int64_t)rate_window_s[rate_window_of(k)]))
        k++;
    return k;
}

bool rate_most_read(struct rate_most *most, struct str meter, int64_t window_s, int64_t n)
{
    int k = limit_of(meter, window_s);
    bool parallel = str_eqz(meter, parallel_name) && window_s == 0;
    if (n < 1 || (uint64_t)n > (parallel ? RATE_PARALLEL_MAX : BUCKET_MOST_MAX) || (k == RATE_LIMITS && !parallel))
        return false;
    *(parallel ? &most->parallel : &most->of[k]) = (uint64_t)n;
    return true;
}

bool rate_look(struct ledger *l, const struct rate_id *id, struct str meter, int64_t window_s, struct rate_state *out)
{
    int k = limit_of(meter, window_s);
    mutex_lock(&l->rates.lock);
    struct rate *x = rate_find(l, id);
    uint64_t now = l->rates.clock();
    bool has = x && (k == RATE_LIMITS ? x->most.parallel : x->most.of[k]);
    if (has && k == RATE_LIMITS)
        *out = (struct rate_state){.used = x->running};
    else if (has)
        *out = (struct rate_state){bucket_used(&x->bucket[k], now), (bucket_full_ns(&x->bucket[k], now) + 999999) / 1000000};
    mutex_unlock(&l->rates.lock);
    return has;
}

/* A set of limits in memory, made when there is none. The map owns it. Under rates.lock. */
static struct rate *make(struct ledger *l, const struct rate_id *id, const char *name)
{
    char key[RATE_KEY_MAX];
    struct rate *x = rate_find(l, id);
    if (x || !(x = mem_new(sizeof *x)))
        return x;
    x->id = *id;
    if (!str_fmt(x->name, sizeof x->name, "%s", name) || !map_set(&l->rates.all, key_of(key, id), (union map_value){.ptr = x})) {
        mem_free(x);
        return NULL;
    }
    atomic_fetch_add(&l->rates.n, 1);
    return x;
}

static int damaged(struct err *e)
{
    return err_set(e, ERR_DB,
                   "ledger: the store is damaged: a rate limit is malformed, or belongs to no key and no account; restore it from the backup");
}

bool rate_id_read(struct rate_id *id, struct stmt *s, int col)
{
    struct str whose = stmt_col_str(s, col), model = stmt_col_str(s, col + 2);
    *id = (struct rate_id){.whose = RATE_WHOSE, .owner = stmt_col_i64(s, col + 1)};
    for (int i = 0; i < RATE_WHOSE; i++)
        if (str_eqz(whose, rate_whose_names[i]))
            id->whose = (enum rate_whose)i;
    return id->whose < RATE_WHOSE && str_fmt(id->model, sizeof id->model, "%.*s", (int)model.n, model.n ? model.p : "");
}

/* The owner's name; NULL: there is no such owner. */
static const char *name_of(struct ledger *l, const struct rate_id *id, char path[2 * LEDGER_NAME_MAX])
{
    const struct project *p = id->whose == RATE_OF_PROJECT ? project_find(l, id->owner) : NULL;
    if (p)
        return str_fmt(path, 2 * LEDGER_NAME_MAX, "%s/%s", p->org->name, p->name) ? path : NULL;
    const struct key *k = id->whose == RATE_OF_KEY ? key_by_id(l, id->owner) : NULL;
    const struct org *o = id->whose == RATE_OF_ACCOUNT ? org_find(l, id->owner) : NULL;
    if (id->whose == RATE_OF_ALL)
        return !id->owner && *id->model ? "" : NULL;
    return k ? k->public_id : o ? o->name : NULL;
}

static int load_row(struct ledger *l, struct stmt *s, struct err *e)
{
    struct rate_id id;
    char path[2 * LEDGER_NAME_MAX];
    const char *name = rate_id_read(&id, s, 0) ? name_of(l, &id, path) : NULL;
    if (!name)
        return damaged(e);
    struct rate *x = make(l, &id, name);
    if (!x)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory to read the store");
    return rate_most_read(&x->most, stmt_col_str(s, 3), stmt_col_i64(s, 4), stmt_col_i64(s, 5)) ? 0 : damaged(e);
}

int rate_read(struct ledger *l, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc = stmt_get(&s, l->db, SQL("SELECT whose, owner_id, model, meter, window_s, most FROM rate_limit"), e);
    if (rc < 0)
        return rc;
    while (rc == 0 && (rc = stmt_step(s, &row, e)) == 0 && row)
        rc = load_row(l, s, e);
    stmt_put(s);
    return rc;
}

int rate_load(struct ledger *l, struct err *e)
{
    int rc = rate_read(l, e);
    return rc == 0 ? begin(l, &l->rates.all, e) : rc;
}

/* ---- changing ---- */

struct set_args {
    const struct rate_owner *owner;
    const struct rate_texts *texts; /* NULL: all of them go */
};

/* Whose account the owner belongs to; 0: nobody's. */
static int64_t org_of(struct ledger *l, const struct rate_id *id)
{
    const struct key *k = id->whose == RATE_OF_KEY ? key_by_id(l, id->owner) : NULL;
    const struct project *p = id->whose == RATE_OF_PROJECT ? project_find(l, id->owner) : NULL;
    return k ? k->org->id : p ? p->org->id : id->whose == RATE_OF_ACCOUNT ? id->owner : 0;
}

/* What people did, for the chain of events: all limits of the set as they are now. */
static int note(struct ledger *l, const char *action, const struct rate_id *id, const char *name, const struct rate_most *most, struct err *e)
{
    char object[2 * LEDGER_NAME_MAX + LEDGER_MODEL_MAX + 32], detail[512];
    size_t n = 0;
    ASSERT(str_fmt(object, sizeof object, "%s %s model %s", rate_whose_names[id->whose], name, *id->model ? id->model : "all"));
    for (int k = 0; k < RATE_LIMITS; k++)
        if (most->of[k]) {
            ASSERT(str_fmt(detail + n, sizeof detail - n, "%s %llu/%s ", rate_meter_names[rate_meter_of(k)], (unsigned long long)most->of[k],
                           rate_window_names[rate_window_of(k)]));
            n += strlen(detail + n);
        }
    ASSERT(str_fmt(detail + n, sizeof detail - n, "parallel %llu", (unsigned long long)most->parallel));
    return event_of(l, org_of(l, id), action, object, detail, e);
}

static void give_bucket(struct rate *x, const struct rate *fresh, int k, uint64_t is, uint64_t now)
{
    uint64_t was = x->most.of[k];
    if (was && is)
        bucket_change(&x->bucket[k], is, now);
    else if (was)
        bucket_leave(&x->bucket[k]);
    else if (is)
        x->bucket[k] = fresh->bucket[k]; /* nobody has a share of it yet */
}

/* To the set in memory, which keeps what is taken of limits that it had. fresh has the buckets of the others. */
static int give(struct ledger *l, const struct rate *fresh, const struct rate_most *most, struct err *e)
{
    mutex_lock(&l->rates.lock);
    struct rate *x = make(l, &fresh->id, fresh->name);
    for (int k = 0; x && k < RATE_LIMITS; k++)
        give_bucket(x, fresh, k, most->of[k], l->rates.clock());
    if (x)
        x->most = *most;
    mutex_unlock(&l->rates.lock);
    return x ? 0 : err_set(e, ERR_NO_MEMORY, "ledger: no memory for a limit");
}

/* Buckets for the limits of fresh. */
static int draw(struct ledger *l, struct rate *fresh, struct err *e)
{
    struct map one;
    char key[RATE_KEY_MAX];
    map_init(&one);
    bool ok = map_set(&one, key_of(key, &fresh->id), (union map_value){.ptr = fresh});
    int rc = ok ? begin(l, &one, e) : err_set(e, ERR_NO_MEMORY, "ledger: no memory for a limit");
    map_deinit(&one);
    return rc;
}

/* From what the set in memory limits to `want`: limits that are new count what was used before. */
static int become(struct ledger *l, struct rate *fresh, const struct rate_most *want, struct err *e)
{
    static const struct rate_most none;
    const struct rate *x = rate_find(l, &fresh->id); /* only this thread changes the map and the limits */
    struct rate_most had = x ? x->most : none;
    if (memcmp(&had, want, sizeof had) == 0)
        return 0;
    for (int k = 0; k < RATE_LIMITS; k++)
        fresh->most.of[k] = had.of[k] ? 0 : want->of[k];
    int rc = draw(l, fresh, e);
    return rc == 0 ? give(l, fresh, want, e) : rc;
}

/* Sets that have no rows any more limit nothing. */
int rate_follow(struct ledger *l, const struct rates *to, struct err *e)
{
    static const struct rate_most none;
    size_t it = 0;
    struct str key;
    union map_value v, w;
    int rc = 0;
    while (rc == 0 && map_next(&to->all, &it, &key, &v)) {
        struct rate fresh = *(struct rate *)v.ptr;
        const struct rate_most want = fresh.most;
        memset(&fresh.most, 0, sizeof fresh.most);
        rc = become(l, &fresh, &want, e);
    }
    for (it = 0; rc == 0 && map_next(&l->rates.all, &it, &key, &v);) {
        struct rate fresh = {.id = ((struct rate *)v.ptr)->id};
        memcpy(fresh.name, ((struct rate *)v.ptr)->name, sizeof fresh.name);
        if (!map_get(&to->all, key, &w))
            rc = become(l, &fresh, &none, e);
    }
    return rc;
}

static int set_call(struct ledger *l, void *arg, struct err *e)
{
    static const struct rate_most none;
    struct set_args *a = arg;
    struct rate fresh = {0};
    const char *name;
    int rc = owner(l, a->owner, &fresh.id, &name, e);
    if (rc < 0)
        return rc;
    ASSERT(str_fmt(fresh.name, sizeof fresh.name, "%s", name));
    const struct rate *x = rate_find(l, &fresh.id); /* only this thread changes the map and the limits */
    struct rate_most had = x ? x->most : none, want = a->texts ? had : none;
    if (!a->texts && memcmp(&had, &none, sizeof none) == 0)
        return err_set(e, ERR_NOT_FOUND, "ledger: there is no such limit; see `sluice limit list`");
    if (a->texts && (rc = change(&want, a->texts, e)) < 0)
        return rc;
    for (int k = 0; k < RATE_LIMITS; k++)
        fresh.most.of[k] = had.of[k] ? 0 : want.of[k];
    if ((rc = save(l, &fresh.id, &want, e)) < 0 || (rc = note(l, a->texts ? "limit.set" : "limit.rm", &fresh.id, name, &want, e)) < 0 ||
        (rc = draw(l, &fresh, e)) < 0)
        return rc;
    return give(l, &fresh, &want, e);
}

int ledger_rate_set(struct ledger *l, const struct rate_owner *o, const struct rate_texts *t, struct err *e)
{
    if (!t->requests && !t->input && !t->output && !t->tokens && !t->parallel)
        return err_set(e, ERR_BAD_VALUE, "ledger: nothing to set; give at least one of requests, input, output, tokens and parallel");
    struct set_args a = {o, t};
    return queue_call(l, set_call, &a, e);
}

int ledger_rate_rm(struct ledger *l, const struct rate_owner *o, struct err *e)
{
    struct set_args a = {o, NULL};
    return queue_call(l, set_call, &a, e);
}
