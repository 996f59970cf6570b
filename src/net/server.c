#include "base/clock.h"
#include "base/hash.h"
#include "net/server_int.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

static struct timeval timeval_of(uint32_t ms) { return (struct timeval){ms / 1000, (suseconds_t)(ms % 1000) * 1000}; }

static void limits_fill(struct server_limits *l)
{
#define DEFAULT(field, value) l->field = l->field ? l->field : (value)
    DEFAULT(line_max, HTTP1_LINE_MAX);
    DEFAULT(head_max, HTTP1_HEAD_MAX);
    DEFAULT(headers_max, HTTP1_HEADERS_MAX);
    DEFAULT(body_max, HTTP1_BODY_MAX);
    DEFAULT(connections_max, 4096);
    DEFAULT(per_address_max, 2048);
    DEFAULT(head_ms, 10000);
    DEFAULT(body_floor_bps, 1024);
    DEFAULT(write_stall_ms, 30000);
    DEFAULT(idle_ms, 75000);
    DEFAULT(out_max, (uint64_t)1 << 20);
    DEFAULT(bodies_max, (uint64_t)256 << 20);
#undef DEFAULT
    if (l->head_max > UINT16_MAX)
        l->head_max = UINT16_MAX; /* the reader's spans have 16 bits */
}

/* Each connection is a descriptor; the files, sockets and databases of the rest get 256. */
static void files_raise(uint32_t connections)
{
    struct rlimit r;
    rlim_t        want = (rlim_t)connections + 256;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= want)
        return;
    r.rlim_cur = r.rlim_max == RLIM_INFINITY || r.rlim_max > want ? want : r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r); /* without it accept fails sooner, which listen.c survives */
}

/* Runs what other threads have posted so far; what they post meanwhile wakes the loop again. */
static void posts_run(struct server *s)
{
    mutex_lock(&s->lock);
    struct vec_post now = s->posts;
    s->posts = s->running;
    s->running = (struct vec_post){0};
    mutex_unlock(&s->lock);
    for (size_t i = 0; i < now.n; i++)
        now.p[i].fn(now.p[i].arg);
    now.n = 0;
    s->running = now;
}

static void listeners_close(struct server *s)
{
    for (struct listener *l = s->listeners, *next; l; l = next) {
        next = l->next;
        listener_free(l);
    }
    s->listeners = NULL;
}

static void drain_begin(struct server *s)
{
    struct timeval tv = timeval_of(atomic_load(&s->drain_ms));
    event_base_update_cache_time(s->base); /* libevent counts from the loop's last waking, which may be long ago */
    event_add(&s->drain, &tv); /* again when server_stop is called again: the last word counts */
    if (s->draining)
        return;
    s->draining = true;
    listeners_close(s);
    event_del(&s->accept_again);
    for (struct conn *c = s->conns, *next; c; c = next) {
        next = c->next;
        if (conn_idle(c))
            conn_free(c);
    }
    server_conn_closed(s);
}

void server_conn_closed(struct server *s)
{
    if (s->draining && !s->conns)
        event_base_loopbreak(s->base);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct server *s = arg;
    uint64_t       n;
    (void)what;
    if (read(fd, &n, sizeof n) < 0 && errno != EAGAIN && errno != EINTR)
        return;
    if (atomic_load(&s->stopping))
        drain_begin(s);
    posts_run(s);
}

static void on_kick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    conn_kicked(arg);
}

static void on_drained(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    event_base_loopbreak(((struct server *)arg)->base);
}

static void on_accept_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    for (struct listener *l = ((struct server *)arg)->listeners; l; l = l->next)
        evconnlistener_enable(l->ev);
}

int server_new(struct server **out, const struct server_opts *o, struct err *e)
{
    *out = NULL;
    struct server *s = mem_new(sizeof *s);
    if (!s)
        return err_set(e, ERR_NO_MEMORY, "net: no memory for a server");
    s->opts = *o;
    limits_fill(&s->opts.limits);
    const struct server_limits *l = &s->opts.limits;
    s->reader = (struct http1_limits){l->line_max, l->head_max, l->headers_max, l->body_max};
    s->wake_fd = -1;
    map_init(&s->addresses);
    mutex_init(&s->lock);
    buf_init(&s->scratch, 4 * ANSWER_HEADERS_MAX);
    int rc = route_table_new(&s->routes, o->routes, o->n_routes, e);
    if (rc) {
        server_free(s);
        return rc;
    }
    struct event_config *config = event_config_new();
    if (config) {
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        s->base = event_base_new_with_config(config);
        event_config_free(config);
    }
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!s->base || s->wake_fd < 0) {
        server_free(s);
        return err_set(e, ERR_IO, "net: no event loop: %s; raise the limit of open files", strerror(errno));
    }
    event_assign(&s->wake, s->base, s->wake_fd, EV_READ | EV_PERSIST, on_wake, s);
    event_assign(&s->kick, s->base, -1, 0, on_kick, s);
    event_assign(&s->drain, s->base, -1, 0, on_drained, s);
    event_assign(&s->accept_again, s->base, -1, 0, on_accept_again, s);
    if (event_add(&s->wake, NULL) != 0) {
        server_free(s);
        return err_set(e, ERR_IO, "net: the event loop refuses its own wake-up descriptor");
    }
    signal(SIGPIPE, SIG_IGN);
    files_raise(l->connections_max);
    *out = s;
    return 0;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    while (s->conns)
        conn_free(s->conns);
    while (s->posts.n)
        posts_run(s);
    listeners_close(s);
    while (s->timers)
        timer_free(s->timers);
    if (s->base) {
        event_base_free(s->base);
    }
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    route_table_free(s->routes);
    map_deinit(&s->addresses);
    mutex_deinit(&s->lock);
    buf_deinit(&s->scratch);
    vec_deinit(&s->posts);
    vec_deinit(&s->running);
    mem_free(s);
}

int server_run(struct server *s, struct err *e)
{
    int rc = event_base_loop(s->base, EVLOOP_NO_EXIT_ON_EMPTY);
    while (s->conns) /* the drain time is over */
        conn_free(s->conns);
    posts_run(s);
    return rc < 0 ? err_set(e, ERR_IO, "net: the event loop failed: %s", strerror(errno)) : 0;
}

/* Async-signal-safe: two stores and a write. */
void server_stop(struct server *s, uint32_t drain_ms)
{
    int      saved = errno;
    uint64_t one = 1;
    atomic_store(&s->drain_ms, drain_ms);
    atomic_store(&s->stopping, true);
    if (write(s->wake_fd, &one, sizeof one) < 0) {
        /* EAGAIN: the counter is full, so the loop is awake anyhow */
    }
    errno = saved;
}

bool server_stopping(const struct server *s) { return atomic_load(&s->stopping) || atomic_load(&s->farewell); }
void server_farewell(struct server *s) { atomic_store(&s->farewell, true); }

void server_post(struct server *s, void (*fn)(void *), void *arg)
{
    mutex_lock(&s->lock);
    bool first = s->posts.n == 0;
    ASSERT(vec_push(&s->posts, ((struct post){fn, arg})));
    mutex_unlock(&s->lock);
    uint64_t one = 1;
    if (first && write(s->wake_fd, &one, sizeof one) < 0) {
        /* EAGAIN: the loop is awake anyhow */
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct timer *t = arg;
    (void)fd, (void)what;
    t->fn(t->arg);
}

struct timer *server_timer(struct server *s, uint32_t ms, void (*fn)(void *), void *arg)
{
    struct timer  *t = mem_new(sizeof *t);
    struct timeval tv = timeval_of(ms);
    if (!t)
        return NULL;
    t->s = s, t->fn = fn, t->arg = arg;
    event_assign(&t->ev, s->base, -1, 0, on_timer, t);
    event_base_update_cache_time(s->base);
    if (event_add(&t->ev, &tv) != 0) {
        mem_free(t);
        return NULL;
    }
    t->next = s->timers;
    if (t->next)
        t->next->prev = t;
    s->timers = t;
    return t;
}

void timer_free(struct timer *t)
{
    if (!t)
        return;
    event_del(&t->ev);
    *(t->prev ? &t->prev->next : &t->s->timers) = t->next;
    if (t->next)
        t->next->prev = t->prev;
    mem_free(t);
}

void server_count(const struct server *s, struct server_counts *out)
{
    *out = (struct server_counts){atomic_load(&s->accepted), atomic_load(&s->requests), atomic_load(&s->refused), atomic_load(&s->gone),
                                  atomic_load(&s->open)};
}

/* The time in milliseconds, then 48 random bits: ids that were given one after the other are neighbours in an index, and a store that keeps them
 * writes one page for many instead of one for each. */
void server_id(struct server *s, char id[29])
{
    enum { TIME = 6, RANDOM = 6 };
    if (s->random_left == 0) {
        random_bytes(s->random, sizeof s->random);
        s->random_left = sizeof s->random / RANDOM;
    }
    s->random_left--;
    uint8_t  bytes[TIME + RANDOM];
    uint64_t ms = (uint64_t)clock_now_us() / 1000;
    for (int i = 0; i < TIME; i++)
        bytes[i] = (uint8_t)(ms >> 8 * (TIME - 1 - i));
    memcpy(bytes + TIME, s->random + (size_t)s->random_left * RANDOM, RANDOM);
    memcpy(id, "req_", 4);
    str_to_hex(id + 4, bytes, sizeof bytes);
}
