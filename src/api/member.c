/* What members of an account do, over the web: the operator's acts, within their account and by their role (member.def). */
#include "api/admin_args.h"
#include "api/session.h"
#include "ledger/event.h"
#include <string.h>

enum whose { OF_ACCOUNT, OF_KEY };
static const struct act {
    enum http_method method;
    const char *path;
    int (*fn)(struct ledger *l, const struct json *args, struct buf *out, struct err *e);
    enum whose whose;
} acts[] = {
#define ACT(name, method, path, whose) {HTTP_##method, path, admin_##name, OF_##whose},
#include "api/member.def"
#undef ACT
};

struct doing {
    const struct act *act;
    struct signed_in person;
};

/* The arguments as the member may give them: account, actor and role are the session's, whatever was sent. */
static int own_args(struct json **out, const struct json *sent, const struct work *w, const struct doing *d, struct err *e)
{
    static const char *const ours[] = {"account", "actor", MEMBER_ROLE_ARG};
    struct buf b;
    struct jw j;
    struct str key;
    const struct json *value;
    void *it = NULL;
    bool acts_for = d->act->method == HTTP_POST; /* what is read may be asked of an actor */
    buf_init(&b, 1 << 20);
    jw_init(&j, &b);
    jw_obj(&j);
    while (json_type(sent) == JSON_OBJ && json_each(sent, &it, &key, &value)) {
        bool taken = false;
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            taken = taken || (str_eqz(key, ours[i]) && (i != 1 || acts_for));
        if (taken)
            continue;
        struct buf one;
        buf_init(&one, 1 << 20);
        json_dump(&one, value);
        jw_key(&j, key.p), jw_raw(&j, one.data ? one.data : "null", one.data ? one.len : 4);
        buf_deinit(&one);
    }
    jw_key(&j, "account"), jw_str(&j, w->who.org_name);
    if (acts_for)
        jw_key(&j, "actor"), jw_str(&j, d->person.email);
    jw_key(&j, MEMBER_ROLE_ARG), jw_str(&j, role_names[d->person.role]);
    jw_obj_end(&j);
    int rc = b.failed ? err_set(e, ERR_TOO_LARGE, "the request is too large") : json_parse(out, b.data, b.len, e);
    buf_deinit(&b);
    return rc < 0 ? rc : 0;
}

/* A key of another account is one that never was. */
static int check_owner(struct work *w, const struct doing *d, const struct json *args, struct err *e)
{
    struct str id = json_str(json_get(args, "id"));
    if (d->act->whose != OF_KEY || !id.n || ledger_key_of(w->api->ledger, w->who.org, id.p))
        return 0;
    return err_param(e, ERR_NOT_FOUND, "id", "ledger: there is no living key with the id '%.20s'; see GET /v1/sluice/keys", id.p);
}

static int call(struct work *w, struct err *e)
{
    struct doing *d = w->ctx;
    struct json *args = NULL;
    int rc = own_args(&args, w->args, w, d, e);
    if (rc == 0)
        rc = check_owner(w, d, args, e);
    ledger_act_as(d->person.email);
    if (rc == 0)
        rc = d->act->fn(w->api->ledger, args, &w->out, e);
    if (rc == -ERR_FORBIDDEN) {
        struct err lost;
        if (ledger_event(w->api->ledger, w->who.org, "denied", d->act->path, e->msg, &lost) < 0)
            *e = lost;
    }
    ledger_act_as(NULL);
    json_free(args);
    return rc;
}

static const struct act *find(struct http *r)
{
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (acts[i].method == http_method(r) && str_eqz(http_path(r), acts[i].path))
            return &acts[i];
    return NULL;
}

static int read_args(struct work *w, struct http *r, struct err *e)
{
    struct str type = http_header(r, "content-type"), first = str_split(&type, ';');
    if (http_method(r) == HTTP_GET) {
        w->args = query_args(r);
        return 0;
    }
    if (!str_ieqz(str_trim(first), "application/json")) /* what a form of a stranger's page can send is none */
        return err_set(e, ERR_MEDIA_TYPE, "the body must be JSON; send the header Content-Type: application/json");
    int rc = json_parse(&w->args, http_body(r).p, http_body(r).n, e);
    return rc >= 0 && json_type(w->args) != JSON_OBJ ? err_set(e, ERR_BAD_REQUEST, "the body must be a JSON object") : rc < 0 ? rc : 0;
}

void route_member(struct http *r, void *app)
{
    struct api *a = app;
    const struct visitor *v = http_user(r);
    const struct act *act = find(r);
    struct err e = {0};
    struct work *w = act ? work_new(a, r, "member", call) : NULL;
    struct doing *d = w ? mem_new(sizeof *d) : NULL;
    int rc = !act ? err_set(&e, ERR_NO_ROUTE, "there is nothing at this address") : !d ? err_set(&e, ERR_NO_MEMORY, "out of memory") : 0;
    if (rc == 0)
        rc = read_args(w, r, &e);
    if (d) {
        *d = (struct doing){act, v->person};
        w->ctx = d, w->ctx_free = mem_free;
        w->who = v->caller.who;
    }
    if (rc < 0) {
        work_free(w);
        errors_reply(r, &e);
        return;
    }
    worker_run(a->worker, w);
}
