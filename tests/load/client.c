/* A load generator: one thread, epoll, many connections; what it saw of each answer goes to a file, what it measured to standard output.
 *
 * usage: load_client HOST:PORT --model NAME [--keys FILE] [--connections N] [--requests N] [--seconds N] [--warm N] [--rate N] [--stream]
 *                    [--max-tokens N] [--chaos] [--seed N] [--seen FILE] [--path PATH] [--header LINE]... [--prompt N]
 *
 *   --rate      an open loop: so many requests a second, counted from when each was due; without it each connection asks again at once
 *   --warm      requests that are not measured
 *   --chaos     every request otherwise: streamed or not, its tokens, its model (fake-fast or fake-faulty), and how its client leaves
 *   --seen      a struct seen for each request that was sent
 * It prints one JSON object. With --chaos a server that is gone is waited for, and a request that was cut is not sent again. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { IN_MAX = 16384, OUT_MAX = 8192, KEYS_MAX = 4096, HEADERS_MAX = 8, LEAVE_NEVER = -1 };

/* What the client saw of one request. Read by tests/chaos/chaos.py too. */
struct seen {
    char id[24]; /* hex digits of x-request-id; zeros: no answer came */
    int16_t status;
    uint8_t whole, left; /* an answer with its end; the client left */
    uint32_t tokens;     /* letters of the answer */
    uint32_t usage;      /* completion tokens that the answer named; UINT32_MAX: none */
    uint32_t most;       /* max_tokens; 0: none asked */
};

enum state { IDLE, CONNECTING, HEAD, BODY, CHUNK_SIZE, CHUNK, CHUNK_END, AWAY };
struct conn {
    int fd;
    enum state state;
    bool stream, chunked;
    uint64_t due_ns, first_ns, last_ns, leave_ns, retry_ns;
    int64_t leave_tokens; /* leaves after so many; LEAVE_NEVER */
    uint64_t left;        /* of the body or chunk */
    size_t in, line, out, sent;
    struct seen seen;
    char buf[IN_MAX], request[OUT_MAX];
};

static struct {
    struct sockaddr_in addr;
    char host[64];
    const char *model, *path, *headers[HEADERS_MAX], *seen_path;
    char keys[KEYS_MAX][128];
    size_t n_keys, n_headers;
    uint64_t connections, requests, seconds, warm, rate, max_tokens, seed, prompt;
    bool stream, chaos;
} o = {.model = "fake-20ms", .path = "/v1/chat/completions", .connections = 64, .max_tokens = 16, .seed = 1, .prompt = 24};

struct samples {
    uint32_t *p;
    size_t n, cap;
};
static struct {
    struct samples whole, first, gap; /* microseconds */
    uint64_t sent, done, ok, status[6], broken, left, tokens, start_ns, end_ns, opened;
} m;
static int ep;
static struct conn *conns;
static FILE *seen_file;

static void sample(struct samples *s, uint64_t ns)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 65536;
        s->p = realloc(s->p, s->cap * sizeof *s->p);
        if (!s->p)
            abort();
    }
    s->p[s->n++] = ns / 1000 < UINT32_MAX ? (uint32_t)(ns / 1000) : UINT32_MAX;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print(const char *name, struct samples *s)
{
    static const struct {
        const char *name;
        double share;
    } of[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
    if (s->n)
        qsort(s->p, s->n, sizeof *s->p, by_size);
    printf(", \"%s_us\": {\"n\": %zu", name, s->n);
    for (size_t i = 0; i < sizeof of / sizeof *of && s->n; i++) {
        size_t at = (size_t)(of[i].share * (double)s->n);
        printf(", \"%s\": %u", of[i].name, s->p[at < s->n ? at : s->n - 1]);
    }
    printf("}");
}

/* ---- requests ---- */

static uint64_t dice(uint64_t number, uint32_t what, uint64_t n)
{
    return rng_u64(o.seed, 0, number, what) % n;
}

/* How request `number` is, in chaos. */
static void vary(struct conn *c, uint64_t number, uint64_t now, const char **model, size_t *prompt)
{
    static const uint32_t most[] = {0, 1, 2, 5, 9, 20, 40, 80};
    c->stream = dice(number, 1, 4) > 0;
    c->seen.most = most[dice(number, 2, 8)];
    *model = dice(number, 3, 3) ? "fake-fast" : "fake-faulty";
    *prompt = dice(number, 4, 200) + 1;
    switch (dice(number, 5, 8)) {
    case 0: c->leave_ns = now + dice(number, 6, 4000) * 1000; break; /* at any time, also before its hold */
    case 1:
    case 2: c->leave_tokens = (int64_t)dice(number, 6, 30); break;
    default: break;
    }
    if (!c->seen.most && c->leave_tokens == LEAVE_NEVER) /* else it would answer for 100 seconds */
        c->leave_tokens = (int64_t)dice(number, 7, 400);
}

static void build(struct conn *c, uint64_t number, uint64_t now)
{
    char body[1024], most[48] = "";
    const char *model = o.model;
    size_t prompt = o.prompt;
    c->stream = o.stream, c->leave_tokens = LEAVE_NEVER, c->leave_ns = 0;
    c->seen = (struct seen){.usage = UINT32_MAX, .most = (uint32_t)o.max_tokens};
    if (o.chaos)
        vary(c, number, now, &model, &prompt);
    if (c->seen.most)
        snprintf(most, sizeof most, ",\"max_tokens\":%u", c->seen.most);
    int n = snprintf(
        body, sizeof body, "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"%.*s\"}]%s%s}", model,
        (int)(prompt < 250 ? prompt : 250),
        "The quick brown fox jumps over the lazy dog and then it does the same thing again, because nobody told it to stop; and so on, until the "
        "prompt is as long as it should be, which is at most two hundred and fifty letters, a good deal more than a fox jumps.......",
        most, c->stream ? ",\"stream\":true,\"stream_options\":{\"include_usage\":true}" : "");
    int k =
        snprintf(c->request, OUT_MAX, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n", o.path, o.host, n);
    if (o.n_keys)
        k += snprintf(c->request + k, (size_t)(OUT_MAX - k), "Authorization: Bearer %s\r\n", o.keys[number % o.n_keys]);
    for (size_t i = 0; i < o.n_headers; i++)
        k += snprintf(c->request + k, (size_t)(OUT_MAX - k), "%s\r\n", o.headers[i]);
    k += snprintf(c->request + k, (size_t)(OUT_MAX - k), "\r\n%s", body);
    if (k >= OUT_MAX)
        abort();
    c->out = (size_t)k, c->sent = 0, c->in = c->line = 0, c->first_ns = c->last_ns = 0;
}

/* ---- connections ---- */

static void watch(struct conn *c, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev) < 0)
        abort();
}

static void open_conn(struct conn *c)
{
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        perror("load_client: socket");
        exit(1);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        abort();
    c->state = CONNECTING;
    if (connect(c->fd, (struct sockaddr *)&o.addr, sizeof o.addr) < 0 && errno != EINPROGRESS) {
        close(c->fd);
        c->fd = -1, c->state = AWAY, c->retry_ns = clock_ns() + 20000000;
    }
}

static void flush(struct conn *c)
{
    ssize_t n = send(c->fd, c->request + c->sent, c->out - c->sent, MSG_NOSIGNAL);
    if (n > 0)
        c->sent += (size_t)n;
    if (c->sent < c->out)
        watch(c, EPOLLIN | EPOLLOUT);
}

static bool more_wanted(uint64_t now)
{
    return (!o.requests || m.sent < o.requests) && (!o.seconds || now - m.start_ns < o.seconds * 1000000000u);
}

static void ask(struct conn *c, uint64_t due)
{
    build(c, m.sent++, clock_ns());
    c->due_ns = due;
    c->state = HEAD;
    flush(c);
}

static void note(struct conn *c, bool whole, bool left)
{
    uint64_t now = clock_ns();
    m.done++;
    c->seen.whole = whole, c->seen.left = left;
    m.broken += !whole && !left, m.left += left, m.tokens += c->seen.tokens;
    m.ok += whole && c->seen.status == 200;
    m.status[c->seen.status > 0 && c->seen.status < 600 ? c->seen.status / 100 : 0]++;
    if (whole && m.done > o.warm) {
        sample(&m.whole, now - c->due_ns);
        if (c->first_ns)
            sample(&m.first, c->first_ns - c->due_ns);
    }
    if (m.done == o.warm)
        m.start_ns = now;
    m.end_ns = now;
    if (seen_file)
        fwrite(&c->seen, sizeof c->seen, 1, seen_file);
}

/* The connection is gone or given up. */
static void drop(struct conn *c, bool left, bool reset)
{
    bool asked = c->state > CONNECTING && c->state != AWAY;
    if (c->fd >= 0) {
        struct linger hard = {1, 0};
        if (reset)
            setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(c->fd);
    }
    c->fd = -1;
    if (asked && c->sent)
        note(c, false, left);
    else if (asked)
        m.sent--; /* never left this machine */
    c->state = AWAY;
    c->retry_ns = left ? 0 : clock_ns() + 20000000;
}

static void answered(struct conn *c)
{
    uint64_t now;
    note(c, true, false);
    c->state = IDLE, c->in = 0;
    now = clock_ns();
    if (!o.rate && more_wanted(now))
        ask(c, now);
}

/* ---- answers ---- */

/* Letters of the answer in a line or body, and the usage that it names. */
static void read_text(struct conn *c, const char *p, size_t n)
{
    const char *end = p + n, *at = memmem(p, n, "\"content\":\"", 11), *u = memmem(p, n, "\"completion_tokens\":", 20);
    uint32_t before = c->seen.tokens;
    if (at)
        for (at += 11; at < end && *at == 'a'; at++)
            c->seen.tokens++;
    if (u)
        c->seen.usage = (uint32_t)strtoul(u + 20, NULL, 10);
    if (c->seen.tokens == before)
        return;
    uint64_t now = clock_ns();
    if (!c->first_ns)
        c->first_ns = now;
    else if (m.done >= o.warm)
        sample(&m.gap, now - c->last_ns);
    c->last_ns = now;
}

static bool leaves(struct conn *c)
{
    if (c->leave_tokens == LEAVE_NEVER || (int64_t)c->seen.tokens < c->leave_tokens || !c->seen.tokens)
        return false;
    drop(c, true, c->leave_tokens % 3 == 0);
    return true;
}

static const char *field(const char *head, size_t n, const char *name)
{
    const char *p = memmem(head, n, name, strlen(name));
    return p ? p + strlen(name) : NULL;
}

/* False: the connection is gone, or the head is not whole. */
static bool read_head(struct conn *c, size_t *used)
{
    const char *end = memmem(c->buf, c->in, "\r\n\r\n", 4);
    if (!end)
        return false;
    size_t n = (size_t)(end - c->buf) + 4;
    const char *length = field(c->buf, n, "\r\nContent-Length: "), *id = field(c->buf, n, "x-request-id: req_");
    if (!length)
        length = field(c->buf, n, "\r\ncontent-length: ");
    c->seen.status = (int16_t)atoi(c->buf + 9);
    if (id)
        memcpy(c->seen.id, id, sizeof c->seen.id);
    c->chunked = !length;
    c->left = length ? strtoull(length, NULL, 10) : 0;
    c->state = length ? BODY : CHUNK_SIZE, c->line = 0;
    *used = n;
    return true;
}

/* One byte of a chunked answer; lines gather in front of what is read. */
static bool read_chunked(struct conn *c, char b, char line[IN_MAX], size_t *n)
{
    switch (c->state) {
    case CHUNK_SIZE:
        if (b >= '0' && b <= '9')
            c->left = c->left * 16 + (uint64_t)(b - '0');
        else if ((b | 32) >= 'a' && (b | 32) <= 'f')
            c->left = c->left * 16 + (uint64_t)((b | 32) - 'a' + 10);
        else if (b == '\n')
            c->state = c->left ? CHUNK : CHUNK_END, c->chunked = c->left > 0;
        break;
    case CHUNK:
        if (*n < IN_MAX - 1)
            line[(*n)++] = b;
        if (b == '\n') {
            read_text(c, line, *n);
            *n = 0;
        }
        if (--c->left == 0)
            c->state = CHUNK_END;
        break;
    case CHUNK_END:
        if (b == '\n' && !c->chunked)
            return true;
        if (b == '\n')
            c->state = CHUNK_SIZE, c->left = 0;
        break;
    default: abort();
    }
    return false;
}

static void readable(struct conn *c);

/* What a chunked answer's lines are gathered in, for each connection: c->buf; c->line bytes of it are an unfinished line. */
static void chunks(struct conn *c, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!read_chunked(c, p[i], c->buf, &c->line))
            continue;
        c->in = 0;
        answered(c);
        return;
    }
    leaves(c);
}

static void plain(struct conn *c)
{
    if (c->in < c->left)
        return;
    read_text(c, c->buf, (size_t)c->left);
    answered(c);
}

static void readable(struct conn *c)
{
    char chunk[IN_MAX];
    ssize_t n;
    if (c->state == HEAD || c->state == BODY) {
        n = recv(c->fd, c->buf + c->in, IN_MAX - c->in, 0);
        if (n > 0)
            c->in += (size_t)n;
    } else {
        n = recv(c->fd, chunk, sizeof chunk, 0);
    }
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        drop(c, false, false);
        return;
    }
    if (c->state == IDLE) { /* bytes that nobody asked for */
        drop(c, false, false);
        return;
    }
    size_t used;
    if (c->state == HEAD) {
        if (!read_head(c, &used))
            return;
        size_t rest = c->in - used;
        memcpy(chunk, c->buf + used, rest);
        c->in = 0;
        if (c->state == BODY) {
            memcpy(c->buf, chunk, rest);
            c->in = rest;
            plain(c);
        } else {
            chunks(c, chunk, rest);
        }
    } else if (c->state == BODY) {
        plain(c);
    } else {
        chunks(c, chunk, (size_t)n);
    }
}

static void on_event(struct conn *c, uint32_t events)
{
    if (c->state == CONNECTING && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
        int why = 0;
        socklen_t n = sizeof why;
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &why, &n);
        if (why) {
            drop(c, false, false);
            return;
        }
        m.opened++;
        watch(c, EPOLLIN);
        c->state = IDLE;
        if (!o.rate && more_wanted(clock_ns()))
            ask(c, clock_ns());
        return;
    }
    if (c->state > CONNECTING && c->state != AWAY && c->sent < c->out && (events & EPOLLOUT)) {
        flush(c);
        if (c->sent == c->out)
            watch(c, EPOLLIN);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        readable(c);
}

/* ---- the loop ---- */

/* Leavers whose time has come, connections that are tried again. */
static void housekeeping(uint64_t now)
{
    for (uint64_t i = 0; i < o.connections; i++) {
        struct conn *c = &conns[i];
        if (c->state > CONNECTING && c->state != AWAY && c->leave_ns && c->leave_ns <= now)
            drop(c, true, c->leave_ns / 1000 % 2);
        if (c->state == AWAY && c->retry_ns <= now && more_wanted(now))
            open_conn(c);
    }
}

/* Sends what is due in an open loop, each on a connection that is free. */
static void paced(uint64_t now, uint64_t *number)
{
    static uint64_t turn, began;
    began = began ? began : now;
    while (more_wanted(now) && began + *number * 1000000000u / o.rate <= now) {
        uint64_t i = 0;
        while (i < o.connections && conns[(turn + i) % o.connections].state != IDLE)
            i++;
        if (i == o.connections)
            return;
        turn = (turn + i) % o.connections;
        ask(&conns[turn], began + (*number)++ * 1000000000u / o.rate);
        turn++;
    }
}

static uint64_t busy(void)
{
    uint64_t n = 0;
    for (uint64_t i = 0; i < o.connections; i++)
        n += conns[i].state > CONNECTING && conns[i].state != AWAY;
    return n;
}

static void loop(void)
{
    static struct epoll_event ev[1024];
    uint64_t number = 0, house = 0;
    int tick = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event te = {.events = EPOLLIN, .data.ptr = NULL};
    uint64_t every = o.rate ? 1000000000u / o.rate : 1000000u;
    every = every > 500000u && o.rate ? 500000u : every;
    struct itimerspec it = {{0, (long)every}, {0, (long)every}};
    if (o.rate || o.chaos) {
        timerfd_settime(tick, 0, &it, NULL);
        epoll_ctl(ep, EPOLL_CTL_ADD, tick, &te);
    }
    m.start_ns = clock_ns();
    for (;;) {
        int n = epoll_wait(ep, ev, 1024, 100);
        uint64_t now = clock_ns(), ticks;
        for (int i = 0; i < n; i++) {
            struct conn *c = ev[i].data.ptr;
            if (c)
                on_event(c, ev[i].events);
            else if (read(tick, &ticks, sizeof ticks) < 0)
                ticks = 0;
        }
        if (o.rate)
            paced(now, &number);
        if (o.chaos && now - house > 500000)
            housekeeping(now), house = now;
        if (!o.chaos && m.broken > o.connections)
            break;
        if (!more_wanted(now) && !busy())
            break;
    }
}

static bool read_keys(const char *path)
{
    FILE *f = fopen(path, "r");
    while (f && o.n_keys < KEYS_MAX && fscanf(f, "%127s", o.keys[o.n_keys]) == 1)
        o.n_keys++;
    if (f)
        fclose(f);
    return f && o.n_keys;
}

static bool read_address(char *text)
{
    char *colon = strrchr(text, ':');
    uint64_t port;
    if (!colon || !str_u64(str_of(colon + 1), &port) || port > 65535)
        return false;
    snprintf(o.host, sizeof o.host, "%s", text);
    *colon = 0;
    o.addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, text, &o.addr.sin_addr) == 1;
}

static bool read_opts(int argc, char **argv)
{
    static const struct {
        const char *name;
        uint64_t *to;
    } numbers[] = {
        {"--connections", &o.connections}, {"--requests", &o.requests}, {"--seconds", &o.seconds}, {"--warm", &o.warm}, {"--rate", &o.rate},
        {"--max-tokens", &o.max_tokens},   {"--seed", &o.seed},         {"--prompt", &o.prompt}};
    static const struct {
        const char *name;
        const char **to;
    } texts[] = {{"--model", &o.model}, {"--seen", &o.seen_path}, {"--path", &o.path}};
    bool ok = argc > 1 && read_address(argv[1]);
    for (int i = 2; i < argc && ok; i++) {
        bool known = true;
        if (strcmp(argv[i], "--stream") == 0)
            o.stream = true;
        else if (strcmp(argv[i], "--chaos") == 0)
            o.chaos = true;
        else
            known = false;
        if (known)
            continue;
        if (++i == argc)
            return false;
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            if (strcmp(argv[i - 1], numbers[k].name) == 0)
                known = str_u64(str_of(argv[i]), numbers[k].to);
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            if (strcmp(argv[i - 1], texts[k].name) == 0)
                known = true, *texts[k].to = argv[i];
        if (strcmp(argv[i - 1], "--keys") == 0)
            known = read_keys(argv[i]);
        if (strcmp(argv[i - 1], "--header") == 0 && o.n_headers < HEADERS_MAX)
            known = true, o.headers[o.n_headers++] = argv[i];
        ok = known;
    }
    return ok && o.connections && (o.requests || o.seconds);
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
    if (!read_opts(argc, argv))
        return fprintf(stderr,
                       "usage: load_client HOST:PORT --model NAME --requests N | --seconds N ...; the head of tests/load/client.c has the rest\n"),
               2;
    struct rlimit files = {65536, 65536};
    (void)setrlimit(RLIMIT_NOFILE, &files);
    if (o.seen_path && !(seen_file = fopen(o.seen_path, "ab")))
        return perror(o.seen_path), 1;
    ep = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc(o.connections, sizeof *conns);
    if (ep < 0 || !conns)
        return perror("load_client"), 1;
    m.start_ns = clock_ns();
    for (uint64_t i = 0; i < o.connections; i++)
        open_conn(&conns[i]);
    loop();
    double s = (double)(m.end_ns - m.start_ns) / 1e9;
    printf("{\"requests\": %llu, \"ok\": %llu, \"broken\": %llu, \"left\": %llu, \"tokens\": %llu, \"s\": %.3f, \"per_s\": %.1f, \"cpu_s\": %.3f",
           (unsigned long long)m.done, (unsigned long long)m.ok, (unsigned long long)m.broken, (unsigned long long)m.left,
           (unsigned long long)m.tokens, s, (double)(m.done - (m.done > o.warm ? o.warm : 0)) / s, cpu_s());
    printf(", \"status\": {\"2xx\": %llu, \"4xx\": %llu, \"5xx\": %llu}", (unsigned long long)m.status[2], (unsigned long long)m.status[4],
           (unsigned long long)m.status[5]);
    print("whole", &m.whole), print("first", &m.first), print("gap", &m.gap);
    printf("}\n");
    return seen_file && fclose(seen_file) != 0;
}
