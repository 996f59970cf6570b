/* Events of jobs, on the ledger thread: each looks first and refuses with an error that changes nothing; all of a call are one transaction, synced
 * before it is answered. */
#include "ledger/job.h"
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include <string.h>

struct told {
    struct err err;
    struct buf answer; /* a JSON object */
    bool again;
};

struct call {
    const struct principal *who;
    const struct job_event *event;
    struct told *told;
    size_t n;
};

/* ---- quantities and rows ---- */

static void job_name(char out[LEDGER_REQUEST_MAX], int64_t org, const char *kind, const char *source, const char *name)
{
    struct sha256 h;
    struct sha256_ctx *c = sha256_new();
    const char *const part[] = {kind, source, name};
    sha256_add(c, &org, sizeof org);
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        sha256_add(c, part[i], strlen(part[i]) + 1);
    sha256_free(c, &h);
    memcpy(out, "req_", 4);
    str_to_hex(out + 4, h.b, 12);
}

int job_usage_add(struct ledger *l, const struct job *job, int64_t usage, struct err *e)
{
    int rc = 0;
    for (int i = 0; i < METER_COUNT && rc == 0; i++) {
        struct stmt *s;
        if (!job->used.of[i])
            continue;
        rc = stmt_get(&s, l->db, SQL("INSERT INTO usage_quantity (usage_id, meter, quantity) VALUES (?1, ?2, ?3)"), e);
        if (rc < 0)
            break;
        stmt_i64(s, 1, usage), stmt_text(s, 2, meters[i].name), stmt_i64(s, 3, (int64_t)job->used.of[i]);
        rc = stmt_run(s, e);
    }
    return rc;
}

int quantities_read(struct quantities *q, struct db *d, int64_t usage, struct err *e)
{
    struct stmt *s;
    bool row = true;
    enum meter m;
    int rc = stmt_get(&s, d, SQL("SELECT meter, quantity FROM usage_quantity WHERE usage_id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, usage);
    while ((rc = stmt_step(s, &row, e)) == 0 && row)
        if (meter_find(stmt_col_str(s, 0), &m))
            q->of[m] += (uint64_t)stmt_col_i64(s, 1);
    stmt_put(s);
    return rc;
}

static int rows_write(struct ledger *l, const struct hold *h, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("UPDATE hold SET lease_us = ?2, expires_us = ?3 WHERE id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, (int64_t)h->id), stmt_i64(s, 2, h->job->lease_us), stmt_i64(s, 3, h->expires_us);
    rc = stmt_run(s, e);
    for (int i = 0; i < METER_COUNT && rc == 0; i++) {
        if (!h->job->most.of[i])
            continue;
        rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO hold_quantity (hold_id, meter, most, used) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (hold_id, meter) DO UPDATE SET "
                          "most = excluded.most, used = excluded.used"),
                      e);
        if (rc < 0)
            break;
        stmt_i64(s, 1, (int64_t)h->id), stmt_text(s, 2, meters[i].name), stmt_i64(s, 3, (int64_t)h->job->most.of[i]);
        stmt_i64(s, 4, (int64_t)h->job->used.of[i]);
        rc = stmt_run(s, e);
    }
    return rc;
}

static void most(struct quantities *to, const struct quantities *q)
{
    for (int i = 0; i < METER_COUNT; i++)
        to->of[i] = q->of[i] > to->of[i] ? q->of[i] : to->of[i];
}

/* ---- refusals: 0, and told->err says why ---- */

static bool refuse(struct told *t, enum errcode code, const char *param, const char *fmt, const char *a, const char *b)
{
    char text[400];
    (void)str_fmt(text, sizeof text, fmt, a, b);
    (void)err_param(&t->err, code, param, "ledger: %s", text);
    return false;
}

static bool sold(const struct price *p, const struct quantities *q, struct told *t)
{
    for (int i = 0; i < METER_COUNT; i++)
        if (q->of[i] && p->step[0].rate[i] == PRICE_NO_RATE)
            return refuse(t, ERR_BAD_VALUE, "data",
                          "the price of %.150s does not sell %s, so the event is refused; the operator has to price it first", p->model,
                          meters[i].name);
    return true;
}

static void short_of_credit(struct ledger *l, struct told *t, const struct hold_answer *a, const struct job_event *v, int64_t want)
{
    char cost[MONEY_TEXT_MAX];
    if (a->err.code != ERR_QUOTA || a->of_key) {
        t->err = a->err;
        return;
    }
    money_text(cost, (struct money){want});
    (void)err_set(&t->err, ERR_QUOTA,
                  "ledger: the credit for %s is too short: this job may cost %s %s more; ask for less, or add credit: sluice grant create",
                  scope_names[v->scope], cost, l->currency);
}

/* ---- deeds ---- */

static void put(struct jw *w, const char *key, int64_t nano)
{
    char text[MONEY_TEXT_MAX];
    money_text(text, (struct money){nano});
    jw_key(w, key), jw_str(w, text);
}

static void answer(const struct ledger *l, const struct job_event *v, const struct hold *h, struct told *t)
{
    struct jw w;
    char until[32];
    jw_init(&w, &t->answer);
    jw_obj(&w);
    jw_key(&w, "object"), jw_str(&w, "sluice.event");
    jw_key(&w, "id"), jw_str(&w, v->id);
    jw_key(&w, "source"), jw_str(&w, v->source);
    jw_key(&w, "job"), jw_str(&w, h->request);
    jw_key(&w, "state"), jw_str(&w, !h->finished ? "open" : v->type == JOB_RELEASE ? "released" : "captured");
    put(&w, "held", h->finished ? 0 : h->amount_scope + h->amount_any);
    if (h->finished)
        put(&w, "list", h->list), put(&w, "contracted", h->contracted), put(&w, "charged", h->charged), put(&w, "waived", h->contracted - h->charged);
    else
        clock_iso(until, h->expires_us), jw_key(&w, "renew_before"), jw_str(&w, until);
    put(&w, "balance", h->org->free);
    jw_key(&w, "currency"), jw_str(&w, l->currency);
    jw_obj_end(&w);
}

/* Ends the job: what it reported is charged, at most what it holds. */
static int close_job(struct ledger *l, struct hold *h, enum finish_reason reason, struct err *e)
{
    mutex_lock(&l->lock);
    meter_close(h, &(struct finish_req){.reason = reason, .status = 200, .start_us = h->created_us, .end_us = l->now_us});
    mutex_unlock(&l->lock);
    l->moved = true;
    return meter_finish(l, h, e);
}

/* Places a hold for the event's most (of a usage: what was used). *out: NULL when it is refused. */
static int place(struct ledger *l, const struct principal *who, const struct job_event *v, struct hold **out, struct told *t, struct err *e)
{
    const struct quantities *q = v->type == JOB_USAGE ? &v->used : &v->most;
    const struct price *list, *p = price_pick(l, v->model, v->tier[0] ? v->tier : LEDGER_TIER_STANDARD, who->org.v, v->scope, l->now_us, &list);
    *out = NULL;
    if (!p) {
        refuse(t, ERR_BAD_VALUE, "model", "%.150s has no price for %s, so the event is refused; the operator has to price it first", v->model,
               scope_names[v->scope]);
        return 0;
    }
    if (!sold(p, q, t))
        return 0;
    struct job *job = mem_new(sizeof *job);
    struct op *op = mem_new(sizeof *op);
    if (!job || !op) {
        mem_free(job), mem_free(op);
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a job");
    }
    int64_t want = price_list(p, q);
    op->kind = OP_HOLD, op->l = l, op->who = *who, op->scope = v->scope;
    (void)str_fmt(op->model, sizeof op->model, "%s", v->model);
    job_name(op->request, who->org.v, v->type == JOB_USAGE ? "usage" : "job", v->source, v->type == JOB_USAGE ? v->id : v->subject);
    int rc = hold_replay(l, op, (uint64_t)l->next_hold++, p, list, l->now_us, want, e);
    if (rc == 0 && op->answer.err.code == ERR_CONFLICT)
        refuse(t, ERR_CONFLICT, "subject", "job %.100s of %.100s was opened before; a subject is one job, also when it is run again", v->subject,
               v->source);
    else if (rc == 0 && op->answer.err.code)
        short_of_credit(l, t, &op->answer, v, want);
    if (rc == 0 && op->hold) {
        l->moved = true; /* what it reserves is in memory */
        *out = op->hold;
        *job = (struct job){.lease_us = v->lease_us ? v->lease_us : JOB_LEASE_US, .most = *q, .used = v->used};
        op->hold->job = job, job = NULL;
        op->hold->expires_us = l->now_us + op->hold->job->lease_us;
        rc = rows_write(l, op->hold, e);
    }
    mem_free(op), mem_free(job);
    return rc;
}

/* The open job of the event; NULL: refused. */
static int find(struct ledger *l, const struct principal *who, const struct job_event *v, struct hold **out, struct told *t, struct err *e)
{
    char name[LEDGER_REQUEST_MAX];
    struct stmt *s;
    bool row;
    job_name(name, who->org.v, "job", v->source, v->subject);
    *out = NULL;
    int rc = stmt_get(&s, l->db, SQL("SELECT id, state FROM hold WHERE request = ?1 AND org_id = ?2"), e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, name), stmt_i64(s, 2, who->org.v);
    rc = stmt_step(s, &row, e);
    uint64_t id = rc == 0 && row ? (uint64_t)stmt_col_i64(s, 0) : 0;
    bool over = id && stmt_col_i64(s, 1) != 0;
    stmt_put(s);
    mutex_lock(&l->lock);
    struct hold *h = id ? hold_find(l, id) : NULL;
    bool elsewhere = id && !over && !h;
    over |= id && !elsewhere && (!h || h->finished || !h->job);
    mutex_unlock(&l->lock);
    if (rc == 0 && !id)
        refuse(t, ERR_NOT_FOUND, "subject", "there is no job %.100s of %.100s; open it first", v->subject, v->source);
    else if (rc == 0 && elsewhere)
        refuse(t, ERR_CONFLICT, "subject", "job %.100s of %.100s is held by another node; send its events to the node that opened it", v->subject,
               v->source);
    else if (rc == 0 && over)
        refuse(t, ERR_CONFLICT, "subject", "job %.100s of %.100s is over: it was captured, released, or not renewed in time", v->subject, v->source);
    else if (rc == 0)
        *out = h;
    return rc;
}

/* What it has used and may use; more is reserved when that needs it. enough: whether a refusal for credit ends the matter. */
static int report(struct ledger *l, struct hold *h, const struct job_event *v, bool enough, bool *ok, struct told *t, struct err *e)
{
    struct quantities may = h->job->most, used = h->job->used;
    int64_t have = h->amount_scope + h->amount_any;
    most(&used, &v->used), most(&may, &v->most), most(&may, &used);
    *ok = false;
    if (v->scope != SCOPE_ANY && v->scope != h->scope) {
        refuse(t, ERR_BAD_VALUE, "data", "the job is for %s, and the event is for %s", scope_names[h->scope], scope_names[v->scope]);
        return 0;
    }
    if (!sold(h->price, &may, t))
        return 0;
    int64_t want = price_list(h->price, &may);
    struct op *op = mem_new(sizeof *op);
    if (!op)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a job");
    op->kind = OP_MORE, op->l = l, op->who.org.v = h->org->id, op->scope = h->scope;
    int rc = want > have ? hold_raise(l, op, h, want, e) : 0;
    bool raised = rc == 0 && !op->answer.err.code;
    if (rc == 0 && !raised && enough) {
        struct job_event of = {.scope = h->scope};
        short_of_credit(l, t, &op->answer, &of, want - have);
    }
    *ok = rc == 0 && (raised || !enough);
    if (*ok) {
        l->moved = true;
        if (v->lease_us)
            h->job->lease_us = v->lease_us;
        h->job->most = may, h->job->used = used;
        mutex_lock(&l->lock);
        h->expires_us = l->now_us + h->job->lease_us;
        mutex_unlock(&l->lock);
        rc = rows_write(l, h, e);
    }
    mem_free(op);
    return rc;
}

static int act(struct ledger *l, const struct principal *who, const struct job_event *v, struct hold **h, struct told *t, struct err *e)
{
    bool ok = true, makes = v->type == JOB_OPEN || v->type == JOB_USAGE;
    int rc = makes ? place(l, who, v, h, t, e) : find(l, who, v, h, t, e);
    if (rc < 0 || !*h)
        return rc;
    if (v->type == JOB_RELEASE) {
        for (int i = 0; i < METER_COUNT; i++)
            ok = ok && !(*h)->job->used.of[i];
        if (!ok)
            refuse(t, ERR_CONFLICT, "type", "job %.100s of %.100s has reported what it used; capture it", v->subject, v->source);
    } else if (!makes) {
        rc = report(l, *h, v, v->type == JOB_RENEW, &ok, t, e);
    }
    if (rc < 0 || !ok) {
        *h = NULL;
        return rc;
    }
    if (v->type == JOB_CAPTURE || v->type == JOB_USAGE || v->type == JOB_RELEASE)
        rc = close_job(l, *h, v->type == JOB_RELEASE ? FINISH_CANCEL : FINISH_STOP, e);
    return rc;
}

/* ---- each event once ---- */

static int replay(struct ledger *l, const struct principal *who, const struct job_event *v, struct told *t, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db, SQL("SELECT digest, answer FROM meter_event WHERE org_id = ?1 AND source = ?2 AND event = ?3"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, who->org.v), stmt_text(s, 2, v->source), stmt_text(s, 3, v->id);
    if ((rc = stmt_step(s, &row, e)) == 0 && row) {
        struct str has = stmt_col_blob(s, 0), text = stmt_col_str(s, 1);
        t->again = true;
        if (has.n == sizeof v->digest && memcmp(has.p, &v->digest, sizeof v->digest) == 0)
            buf_add(&t->answer, text.p, text.n);
        else
            refuse(t, ERR_CONFLICT, "id", "event %.100s of %.100s came before and said something else; a new event has a new id", v->id, v->source);
    }
    stmt_put(s);
    return rc;
}

static int keep(struct ledger *l, const struct principal *who, const struct job_event *v, const struct hold *h, const struct told *t, struct err *e)
{
    struct stmt *s;
    int rc =
        stmt_get(&s, l->db,
                 SQL("INSERT INTO meter_event (org_id, key_id, source, event, type, subject, hold_id, time_us, received_us, digest, answer) VALUES "
                     "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"),
                 e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, who->org.v), stmt_i64(s, 2, who->key.v), stmt_text(s, 3, v->source), stmt_text(s, 4, v->id);
    stmt_text(s, 5, job_event_names[v->type]), stmt_text(s, 6, v->subject), stmt_i64(s, 7, (int64_t)h->id), stmt_i64(s, 8, v->time_us);
    stmt_i64(s, 9, l->now_us), stmt_blob(s, 10, &v->digest, sizeof v->digest), stmt_text(s, 11, t->answer.data);
    return stmt_run(s, e);
}

static int one(struct ledger *l, const struct principal *who, const struct job_event *v, struct told *t, struct err *e)
{
    struct hold *h = NULL;
    int rc = replay(l, who, v, t, e);
    if (rc < 0 || t->again)
        return rc;
    if ((rc = act(l, who, v, &h, t, e)) < 0 || !h)
        return rc;
    answer(l, v, h, t);
    if (t->answer.failed)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for an answer");
    return keep(l, who, v, h, t, e);
}

static int events_call(struct ledger *l, void *arg, struct err *e)
{
    struct call *c = arg;
    int rc = 0;
    for (size_t i = 0; i < c->n && rc == 0; i++)
        if (!c->told[i].err.code)
            rc = one(l, c->who, &c->event[i], &c->told[i], e);
    return rc;
}

/* ---- the call ---- */

static int read_one(struct ledger *l, const struct principal *who, const struct json *j, struct job_event *v, struct err *e)
{
    int rc = job_event_read(v, j, e);
    if (rc == 0 && v->model[0] && !ledger_key_model(l, who->key, str_of(v->model)))
        rc = err_param(e, ERR_BAD_VALUE, "model", "ledger: the key may not use %.150s", v->model);
    return rc;
}

static void write_list(const struct call *c, struct buf *out)
{
    buf_str(out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < c->n; i++) {
        const struct told *t = &c->told[i];
        struct jw w;
        if (i)
            buf_char(out, ',');
        if (!t->err.code) {
            buf_add(out, t->answer.data, t->answer.len);
            continue;
        }
        jw_init(&w, out);
        jw_obj(&w);
        jw_key(&w, "object"), jw_str(&w, "sluice.event");
        jw_key(&w, "id"), jw_str(&w, c->event[i].id);
        jw_key(&w, "source"), jw_str(&w, c->event[i].source);
        jw_key(&w, "error"), jw_obj(&w);
        jw_key(&w, "code"), jw_str(&w, err_wire_code(t->err.code));
        jw_key(&w, "status"), jw_i64(&w, err_http(t->err.code));
        jw_key(&w, "message"), jw_str(&w, t->err.msg);
        jw_obj_end(&w), jw_obj_end(&w);
    }
    buf_str(out, "]}");
}

int ledger_events(struct ledger *l, const struct principal *who, const struct json *body, struct buf *out, struct err *e)
{
    bool batch = json_type(body) == JSON_ARR;
    size_t n = batch ? json_len(body) : 1;
    if (!n || n > JOB_EVENTS_MAX)
        return err_set(e, ERR_BAD_VALUE, "ledger: a batch has 1 to %d events, not %zu", JOB_EVENTS_MAX, n);
    struct job_event *event = mem_array(n, sizeof *event);
    struct told *told = mem_array(n, sizeof *told);
    int rc = event && told ? 0 : err_set(e, ERR_NO_MEMORY, "ledger: no memory for events");
    struct call c = {who, event, told, n};
    for (size_t i = 0; i < n && rc == 0; i++) {
        buf_init(&told[i].answer, 0);
        (void)read_one(l, who, batch ? json_at(body, i) : body, &event[i], &told[i].err); /* told in its place */
    }
    if (rc == 0 && (batch || !told[0].err.code))
        rc = queue_call(l, events_call, &c, e);
    if (rc == 0 && batch)
        write_list(&c, out);
    else if (rc == 0 && told[0].err.code)
        rc = -(int)(*e = told[0].err).code;
    else if (rc == 0)
        buf_add(out, told[0].answer.data, told[0].answer.len);
    for (size_t i = 0; told && i < n; i++)
        buf_deinit(&told[i].answer);
    mem_free(event), mem_free(told);
    return rc;
}
