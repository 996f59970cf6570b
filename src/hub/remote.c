#include "hub/remote.h"
#include "base/clock.h"
#include "base/mem.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { CONNECT_MS = 15000, PAUSE_MS = 250, PAUSE_MS_MAX = 15000, RETRY_AFTER_S_MAX = 60, ERROR_BODY_MAX = 64 << 10 };

int remote_init(struct remote *r, const struct proto *p, const char *endpoint, const char *token, struct err *e)
{
    *r = (struct remote){.proto = p};
    struct str t = str_trim(str_of(token)), at = str_of(endpoint);
    while (at.n && at.p[at.n - 1] == '/')
        at.n--;
    if (!str_fmt(r->endpoint, sizeof r->endpoint, "%.*s", (int)(at.n < 600 ? at.n : 600), at.p))
        return err_set(e, ERR_BAD_VALUE, "hub: the endpoint is longer than %zu bytes", sizeof r->endpoint - 1);
    for (size_t i = 0; i < t.n; i++)
        if (t.p[i] <= ' ' || t.p[i] >= 127 || t.p[i] == ';')
            return err_set(e, ERR_BAD_VALUE, "hub: the token holds a blank or a sign that no token has; it is one line without quotes");
    if (t.n > TOKEN_LEN_MAX)
        return err_set(e, ERR_BAD_VALUE, "hub: the token is longer than %d bytes", TOKEN_LEN_MAX);
    memcpy(r->token, t.p, t.n);
    if (strpbrk(r->endpoint, "?#"))
        return err_set(e, ERR_BAD_VALUE, "hub: the endpoint has a query or a fragment; it is like https://huggingface.co");
    return url_parse(&r->origin, r->endpoint, e);
}

void remote_deinit(struct remote *r)
{
    explicit_bzero(r->token, sizeof r->token);
    mem_free(r->files);
    r->files = NULL;
    r->n_files = r->cap_files = 0;
}

int remote_list(struct remote *r, struct err *e)
{
    return r->proto->list(r, e);
}

void remote_note(struct remote *r, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    if (!r->note)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    r->note(r->note_arg, text);
}

bool remote_passes(const struct client_answer *a, int rc)
{
    if (rc)
        return rc == -ERR_UNAVAILABLE;
    return a->status == 408 || a->status == 429 || a->status >= 500;
}

uint32_t remote_pause_ms(const struct client_answer *a, uint32_t n)
{
    struct str after;
    uint64_t seconds = 0;
    uint16_t r;
    uint32_t ms = PAUSE_MS;
    for (uint32_t i = 1; i < n && ms < PAUSE_MS_MAX; i++)
        ms *= 2;
    ms = ms < PAUSE_MS_MAX ? ms : PAUSE_MS_MAX;
    random_bytes(&r, sizeof r);
    ms -= ms / 2 * r / 65536; /* so that many clients do not come back at once */
    if ((a->status == 429 || a->status == 503) && client_header(a, "Retry-After", &after) && str_u64(after, &seconds))
        seconds = seconds < RETRY_AFTER_S_MAX ? seconds : RETRY_AFTER_S_MAX;
    return seconds * 1000 > ms ? (uint32_t)seconds * 1000 : ms;
}

/* What the hub says about an error, for people: printable, short. */
static void reason(const struct client_answer *a, char out[160])
{
    struct str s;
    size_t n = 0;
    if (client_header(a, "X-Error-Message", &s) && s.n) {
        out[n++] = ':', out[n++] = ' ';
        for (size_t i = 0; i < s.n && n < 150; i++)
            out[n++] = s.p[i] >= 32 && s.p[i] < 127 ? s.p[i] : '?';
    }
    out[n] = 0;
}

int remote_status_error(const struct remote *r, const struct client_answer *a, const char *what, struct err *e)
{
    char why[160];
    struct str code;
    const char *host = r->origin.host;
    reason(a, why);
    bool known = client_header(a, "X-Error-Code", &code);
    switch (a->status) {
    case 401:
        if (*r->token)
            return err_set(e, ERR_AUTH, "hub: %s does not accept the token for %s%s; make a new one and %s", host, what, why, r->proto->token_hint);
        return err_set(e, ERR_AUTH, "hub: %s does not show %s without a token%s; check the name, and if it is private or gated, %s", host, what, why,
                       r->proto->token_hint);
    case 403:
        if (known && str_eqz(code, "GatedRepo"))
            return err_set(e, ERR_FORBIDDEN, "hub: %s is gated; accept its terms at %s/%s/%s with the account of your token, then pull again", what,
                           r->endpoint, r->org, r->name);
        return err_set(e, ERR_FORBIDDEN, "hub: %s forbids access to %s%s; ask its owner for access, or %s", host, what, why, r->proto->token_hint);
    case 404:
        if (known && str_eqz(code, "RevisionNotFound"))
            return err_set(e, ERR_NOT_FOUND, "hub: %s/%s has no revision \"%s\"; leave out @%s, or name another", r->org, r->name, r->revision,
                           r->revision);
        return err_set(e, ERR_NOT_FOUND, "hub: %s has no %s%s; check the spelling, and where it is hosted (--from)", host, what, why);
    case 429:
        return err_set(e, ERR_BUSY, "hub: %s asks for fewer requests (429)%s; try again in some minutes, or %s", host, why, r->proto->token_hint);
    default:
        if (a->status >= 500)
            return err_set(e, ERR_UNAVAILABLE, "hub: %s has a fault of its own (%d)%s; try again later, what came is kept", host, a->status, why);
        return err_set(e, ERR_REMOTE, "hub: %s answered %d for %s%s", host, a->status, what, why);
    }
}

/* Which addresses a host that a reply named may have. */
static unsigned reach_of_strangers(const struct remote *r)
{
    unsigned home = r->home_known && r->home != NET_SPECIAL ? 1u << r->home : 0;
    return 1u << NET_PUBLIC | home;
}

/* An address written out in a URL is judged even where a proxy would connect to it. */
static int judge_literal(const struct remote *r, const struct url *u, struct err *e)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char host[HOST_MAX];
    size_t n = strlen(u->host);
    enum net_class c = NET_PUBLIC;
    if (inet_pton(AF_INET, u->host, &v4.sin_addr) == 1)
        c = net_class_of((struct sockaddr *)&v4);
    else if (u->host[0] == '[' && n > 2 && str_fmt(host, sizeof host, "%.*s", (int)(n - 2), u->host + 1) &&
             inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
        c = net_class_of((struct sockaddr *)&v6);
    if (reach_of_strangers(r) >> c & 1)
        return 0;
    return err_set(e, ERR_REMOTE, "hub: %s leads to %s, a %s address, where nothing outside may send this program; it is not asked", r->origin.host,
                   u->host, net_class_name(c));
}

static int next_hop(const struct remote *r, char url[URL_LEN_MAX], struct url *at, const struct client_answer *a, struct err *e)
{
    char to[URL_LEN_MAX], location[URL_LEN_MAX];
    struct str where;
    struct url u;
    if (!client_header(a, "Location", &where) ||
        !str_fmt(location, sizeof location, "%.*s", (int)(where.n < URL_LEN_MAX ? where.n : URL_LEN_MAX), where.p))
        return err_set(e, ERR_REMOTE, "hub: %s sends elsewhere (%d) without saying where", at->host, a->status);
    int rc = url_join(to, url, location, e);
    if (!rc)
        rc = url_parse(&u, to, e);
    if (rc) {
        (void)err_wrap(e, "hub: %s sends to a place that is not asked", at->host);
        if (e)
            e->code = ERR_REMOTE;
        return -ERR_REMOTE;
    }
    if (at->tls && !u.tls)
        return err_set(e, ERR_REMOTE, "hub: %s sends from https to plain http (%s); that is not followed", at->host, u.host);
    if (!url_same_origin(&u, &r->origin) && (rc = judge_literal(r, &u, e)))
        return rc;
    memcpy(url, to, sizeof to);
    *at = u;
    return 0;
}

struct gate { /* lets the body of a good answer through, keeps that of others */
    struct remote_get *g;
    struct client_answer *a;
    struct remote *r;
    bool own, judged;
    int rc;
    struct err why;
};

static int judge_head(struct gate *t)
{
    struct str v;
    if (t->judged)
        return t->rc;
    t->judged = true;
    if (client_header(t->a, "Content-Encoding", &v) && v.n && !str_ieqz(v, "identity"))
        t->rc = err_set(&t->why, ERR_REMOTE, "hub: the answer is encoded as \"%.*s\" although that was not asked for; it is not unpacked",
                        (int)(v.n < 20 ? v.n : 20), v.p);
    else if (t->g->on_head)
        t->rc = t->g->on_head(t->g->arg, t->a, t->own, &t->why);
    return t->rc;
}

static bool gate_data(void *arg, const char *p, size_t n)
{
    struct gate *t = arg;
    if (t->a->status != 200 && t->a->status != 206) {
        if (t->a->body.len < ERROR_BODY_MAX)
            buf_add(&t->a->body, p, n);
        return t->a->body.len < ERROR_BODY_MAX;
    }
    if (judge_head(t))
        return false;
    if (t->g->on_data)
        return t->g->on_data(t->g->arg, p, n);
    buf_add(&t->a->body, p, n);
    return !t->a->body.failed;
}

static bool gate_go_on(void *arg)
{
    struct gate *t = arg;
    return !t->g->go_on || t->g->go_on(t->g->arg);
}

static int one_get(struct remote *r, struct remote_get *g, struct client_answer *out, const char *url, bool own, struct err *e)
{
    char range[64] = "", cookie[TOKEN_LEN_MAX + 64] = "";
    struct gate t = {.g = g, .a = out, .r = r, .own = own};
    struct client_req q = {
        .method = "GET",
        .url = url,
        .client = g->client,
        .connect_ms = CONNECT_MS,
        .stall_ms = r->stall_ms ? r->stall_ms : REMOTE_STALL_MS,
        .answer_max = g->answer_max,
        .on_data = gate_data,
        .go_on = gate_go_on,
        .arg = &t,
        .reach = own ? 0 : reach_of_strangers(r),
    };
    size_t n = 0;
    q.header[n++] = "Accept-Encoding: identity";
    q.header[n++] = "User-Agent: sluice/" SLUICE_VERSION;
    if (g->to && str_fmt(range, sizeof range, "Range: bytes=%llu-%llu", (unsigned long long)g->from, (unsigned long long)g->to - 1))
        q.header[n++] = range;
    if (own && *r->token) {
        q.bearer = r->token;
        if (r->proto->auth_cookie && str_fmt(cookie, sizeof cookie, "Cookie: %s=%s", r->proto->auth_cookie, r->token))
            q.header[n++] = cookie;
    }
    int rc = client_do(out, &q, e);
    explicit_bzero(cookie, sizeof cookie);
    if (!rc && !t.judged && (out->status / 100 == 2 || out->status / 100 == 3))
        (void)judge_head(&t);
    if (t.rc && e)
        *e = t.why;
    return t.rc ? t.rc : rc;
}

int remote_get(struct remote *r, struct remote_get *g, struct client_answer *out, struct err *e)
{
    char url[URL_LEN_MAX];
    struct url at;
    int rc = 0;
    *out = (struct client_answer){0};
    if (!str_fmt(url, sizeof url, "%s", g->start))
        return err_set(e, ERR_REMOTE, "hub: a URL longer than %d bytes", URL_LEN_MAX - 1);
    if ((rc = url_parse(&at, url, e)))
        return rc;
    for (int hops = 0;; hops++) {
        bool own = url_same_origin(&at, &r->origin);
        rc = one_get(r, g, out, url, own, e);
        if (!rc && own && !r->home_known)
            r->home_known = true, r->home = out->reached;
        int s = out->status;
        if (rc || (s != 301 && s != 302 && s != 303 && s != 307 && s != 308))
            break;
        if (hops == REDIRECTS_MAX)
            return err_set(e, ERR_REMOTE, "hub: %s sends from place to place, more than %d times; that is not followed", r->origin.host,
                           REDIRECTS_MAX);
        if ((rc = next_hop(r, url, &at, out, e)))
            return rc;
        client_answer_deinit(out);
        *out = (struct client_answer){0};
    }
    if (g->final)
        memcpy(g->final, url, sizeof url);
    return rc;
}

/* Link: <https://...>; rel="next" */
static int next_page(const struct remote *r, const struct client_answer *a, const char *base, char next[URL_LEN_MAX], struct err *e)
{
    struct str link, part;
    struct url u;
    char target[URL_LEN_MAX];
    *next = 0;
    if (!client_header(a, "Link", &link))
        return 0;
    while (link.p) {
        part = str_split(&link, ',');
        struct str address = str_trim(str_split(&part, ';'));
        bool is_next = false;
        while (part.p) {
            struct str p = str_trim(str_split(&part, ';'));
            is_next |= str_eqz(p, "rel=\"next\"") || str_eqz(p, "rel=next");
        }
        if (!is_next)
            continue;
        if (address.n < 2 || address.p[0] != '<' || address.p[address.n - 1] != '>' || address.n >= URL_LEN_MAX)
            return err_set(e, ERR_REMOTE, "hub: %s names a next page that is no URL", r->origin.host);
        (void)str_fmt(target, sizeof target, "%.*s", (int)address.n - 2, address.p + 1);
        if (url_join(next, base, target, e) || url_parse(&u, next, e) || !url_same_origin(&u, &r->origin))
            return err_set(e, ERR_REMOTE, "hub: %s names a next page on another host; that is not followed", r->origin.host);
        return 0;
    }
    return 0;
}

int remote_json(struct remote *r, const char *url, struct json **out, char next[URL_LEN_MAX], struct err *e)
{
    uint32_t most = r->retries ? r->retries : REMOTE_RETRIES;
    char final[URL_LEN_MAX], what[2 * REPO_PART_MAX + 32];
    *out = NULL;
    (void)str_fmt(what, sizeof what, "model %s/%s", r->org, r->name);
    for (uint32_t tries = 1;; tries++) {
        struct remote_get g = {.start = url, .final = final, .answer_max = REMOTE_JSON_MAX};
        struct client_answer a;
        int rc = remote_get(r, &g, &a, e);
        bool again = remote_passes(&a, rc) && tries < most;
        uint32_t pause = again ? remote_pause_ms(&a, tries) : 0;
        if (!rc && a.status != 200)
            rc = remote_status_error(r, &a, what, e);
        else if (rc == -ERR_TOO_LARGE || (!rc && a.body.failed))
            rc = err_set(e, ERR_REMOTE, "hub: the list of files of %s is larger than %d MiB", r->origin.host, REMOTE_JSON_MAX >> 20);
        else if (!rc && json_parse(out, a.body.data ? a.body.data : "", a.body.len, NULL))
            rc = err_set(e, ERR_REMOTE, "hub: %s did not answer in JSON; is %s the address of a hub?", r->origin.host, r->endpoint);
        if (!rc && next)
            rc = next_page(r, &a, final, next, e);
        client_answer_deinit(&a);
        if (!rc || !again)
            return rc;
        remote_note(r, "%s; trying again in %.1f s (%u of %u)", e ? e->msg : "", pause / 1000.0, tries, most);
        clock_sleep_ms(pause);
    }
}

static bool path_is_sound(struct str path)
{
    if (!path.n || path.n > REMOTE_PATH_MAX || !utf8_valid(path.p, path.n))
        return false;
    for (size_t i = 0; i < path.n; i++)
        if ((unsigned char)path.p[i] < 32 || path.p[i] == 127 || path.p[i] == '\\')
            return false;
    for (struct str rest = path; rest.p;) {
        struct str seg = str_split(&rest, '/');
        if (!seg.n || str_eqz(seg, ".") || str_eqz(seg, ".."))
            return false;
    }
    return true;
}

int remote_add_file(struct remote *r, struct str path, uint64_t size, struct str sha256_hex, struct str blob_hex, struct err *e)
{
    if (!path_is_sound(path))
        return 0;
    if (r->n_files == REMOTE_FILES_MAX)
        return err_set(e, ERR_TOO_LARGE, "hub: %s/%s has more than %d files", r->org, r->name, REMOTE_FILES_MAX);
    if (r->n_files == r->cap_files) {
        size_t cap = r->cap_files ? 2 * r->cap_files : 64;
        struct remote_file *more = mem_resize(r->files, cap, sizeof *more);
        if (!more)
            return err_set(e, ERR_NO_MEMORY, "hub: no memory for a list of %zu files", cap);
        r->files = more, r->cap_files = cap;
    }
    struct remote_file *f = &r->files[r->n_files++];
    *f = (struct remote_file){.size = size};
    memcpy(f->path, path.p, path.n);
    f->has_sha256 = str_hex(sha256_hex, f->sha256.b, sizeof f->sha256.b);
    f->has_blob = str_hex(blob_hex, f->blob.b, sizeof f->blob.b);
    return 0;
}
