/* A load against a server that counts: what is sent is what was asked for, what is told is what came. */
#include "base/json.h"
#include "base/mem.h"
#include "base/thread.h"
#include "bench/bench.h"
#include "test.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SEEN_MAX = 256, PIECES = 5, WAIT_MS = 30 };
static struct seen {
    char key[64], system[4096], last[4096];
    size_t messages, words;
} seen[SEEN_MAX];
static size_t n_seen;
static struct mutex lock;
static _Atomic size_t refuse_from; /* every other request from this one on */
static int listener;

static size_t words_of(struct str s)
{
    size_t n = s.n > 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == ' ';
    return n;
}

static void note(const char *head, const char *body, struct seen *s)
{
    struct json *j = NULL;
    const char *key = strstr(head, "Bearer ");
    memset(s, 0, sizeof *s);
    if (key)
        snprintf(s->key, sizeof s->key, "%.*s", (int)strcspn(key + 7, "\r\n"), key + 7);
    if (json_parse(&j, body, strlen(body), NULL) < 0)
        return;
    const struct json *m = json_get(j, "messages");
    s->messages = json_len(m);
    for (size_t i = 0; i < json_len(m); i++) {
        struct str text = json_str(json_get(json_at(m, i), "content"));
        s->words += words_of(text);
        if (str_eqz(json_str(json_get(json_at(m, i), "role")), "system"))
            snprintf(s->system, sizeof s->system, "%s", text.p);
        snprintf(s->last, sizeof s->last, "%s", text.p);
    }
    json_free(j);
}

static void say(int fd, const char *z)
{
    if (write(fd, z, strlen(z)) < 0)
        return;
}

/* A word is two tokens, a conversation has ten more; three are found in the cache; five pieces of text come. */
static void answer(int fd, const struct seen *s, size_t i)
{
    char t[256];
    if (i >= refuse_from && i % 2) {
        say(fd, "HTTP/1.1 503 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        return;
    }
    say(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n");
    nanosleep(&(struct timespec){.tv_nsec = WAIT_MS * 1000000}, NULL);
    for (int k = 0; k < PIECES; k++)
        say(fd, "data: {\"choices\":[{\"delta\":{\"content\":\"so \"}}]}\n\n");
    snprintf(t, sizeof t,
             "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":%d,\"prompt_tokens_details\":{\"cached_tokens\":3}}}\n\n",
             2 * s->words + 10, PIECES + 1);
    say(fd, t), say(fd, "data: [DONE]\n\n");
}

static void serve_one(int fd)
{
    static char head[1][1 << 16]; /* requests are handled one after the other */
    size_t n = 0, length = 0;
    char *body = NULL, *p = head[0];
    while (n + 1 < sizeof head[0]) {
        ssize_t got = read(fd, p + n, sizeof head[0] - 1 - n);
        if (got <= 0)
            return;
        p[n += (size_t)got] = 0;
        const char *l = strstr(p, "Content-Length: ");
        if (!body && (body = strstr(p, "\r\n\r\n")) && l)
            for (body += 4, l += 16; *l >= '0' && *l <= '9'; l++)
                length = 10 * length + (size_t)(*l - '0');
        if (body && n - (size_t)(body - p) >= length)
            break;
    }
    struct seen s;
    note(p, body, &s);
    mutex_lock(&lock);
    size_t i = n_seen < SEEN_MAX ? n_seen++ : SEEN_MAX - 1;
    seen[i] = s;
    mutex_unlock(&lock);
    answer(fd, &s, i);
}

static void server(void *arg)
{
    (void)arg;
    for (int fd; (fd = accept(listener, NULL, NULL)) >= 0; close(fd))
        serve_one(fd);
}

static struct load_row rows[16];
static size_t n_rows;
static void keep(void *arg, const struct load_row *r)
{
    (void)arg;
    if (n_rows < 16)
        rows[n_rows++] = *r;
}

static char url[64];
static struct load_opts opts(void)
{
    n_seen = n_rows = 0;
    refuse_from = SEEN_MAX;
    return (struct load_opts){.url = url,
                              .model = "m",
                              .seed = 7,
                              .timeout_ms = 20000,
                              .main = {.requests = 6, .users = 3, .prompt = 50, .output = 8, .turns = 1, .key = {"a", "b"}, .n_keys = 2}};
}

TEST(requests_have_their_lengths_and_keys)
{
    struct load_opts o = opts();
    struct err e = {0};
    CHECK(load_run(&o, keep, NULL, NULL, &e) == 0);
    CHECK(n_rows == 1 && n_seen == 8); /* two to learn from */
    CHECK(rows[0].requests == 6 && rows[0].failed == 0);
    CHECK(rows[0].prompt == 50 && rows[0].cached == 3 && rows[0].output == PIECES + 1);
    CHECK(rows[0].ttft_p50 >= WAIT_MS && rows[0].ttft_p99 >= rows[0].ttft_p50 && rows[0].whole_p50 >= rows[0].ttft_p50);
    size_t a = 0, b = 0;
    for (size_t i = 2; i < n_seen; i++)
        a += !strcmp(seen[i].key, "a"), b += !strcmp(seen[i].key, "b");
    CHECK(a == 3 && b == 3);
    for (size_t i = 2; i < n_seen; i++)
        for (size_t k = 2; k < i; k++)
            CHECK(strcmp(seen[i].last, seen[k].last)); /* nobody's prompt is in the cache already */
}

TEST(conversations_grow)
{
    struct load_opts o = opts();
    struct err e = {0};
    o.main.requests = 2, o.main.turns = 3, o.main.users = 1;
    CHECK(load_run(&o, keep, NULL, NULL, &e) == 0);
    CHECK(n_rows == 4 && n_seen == 8 && rows[0].requests == 6);
    for (size_t t = 0; t < 3; t++)
        CHECK(rows[1 + t].requests == 2 && seen[2 + t].messages == 2 * t + 1 && seen[5 + t].messages == 2 * t + 1);
    CHECK(rows[2].prompt > rows[1].prompt && rows[3].prompt > rows[2].prompt);
}

TEST(a_prefix_is_shared_or_not)
{
    struct load_opts o = opts();
    struct err e = {0};
    o.main.prefix = 40, o.main.requests = 3;
    CHECK(load_run(&o, keep, NULL, NULL, &e) == 0);
    CHECK(seen[2].system[0] && !strcmp(seen[2].system, seen[3].system) && !strcmp(seen[3].system, seen[4].system));
    CHECK(seen[2].messages == 2 && rows[0].prompt == 40 + 50);
    o = opts();
    o.main.prefix = 40, o.main.own_prefix = true, o.main.requests = 3;
    CHECK(load_run(&o, keep, NULL, NULL, &e) == 0);
    CHECK(strcmp(seen[2].system, seen[3].system) && strcmp(seen[3].system, seen[4].system) && strcmp(seen[2].system, seen[4].system));
}

TEST(failures_are_counted_and_told)
{
    struct load_opts o = opts();
    struct err e = {0};
    o.main.users = 1;
    CHECK(load_run(&o, keep, NULL, NULL, &e) == 0 && rows[0].failed == 0);
    o = opts();
    refuse_from = 0;
    CHECK(load_run(&o, keep, NULL, NULL, &e) == -ERR_UNAVAILABLE && strstr(e.msg, "503")); /* the second of those it learns from */
    o.url = "http://127.0.0.1:1";
    CHECK(load_run(&o, keep, NULL, NULL, &e) == -ERR_UNAVAILABLE);
}

TEST(a_refused_request_is_no_answer)
{
    struct load_opts o = opts();
    struct err e = {0};
    o.main.requests = 20;
    o.main.users = 1;
    refuse_from = 2;
    CHECK(load_run(&o, keep, NULL, NULL, &e) == 0);
    CHECK(rows[0].requests == 20 && rows[0].failed == 10 && strstr(rows[0].fault, "503") && rows[0].output == PIECES + 1);
}

TEST(arrivals_and_a_neighbour)
{
    struct load_opts o = opts();
    struct err e = {0};
    o.main.rate = 100, o.main.users = 0;
    o.neighbour = (struct load_stream){.requests = 4, .users = 4, .prompt = 30, .output = 8, .turns = 1, .key = {"n"}, .n_keys = 1};
    CHECK(load_run(&o, keep, NULL, NULL, &e) == 0);
    CHECK(n_rows == 2 && rows[0].requests == 6 && !strcmp(rows[1].what, "neighbour") && rows[1].requests == 4 && rows[1].prompt == 30);
    size_t n = 0;
    for (size_t i = 0; i < n_seen; i++)
        n += !strcmp(seen[i].key, "n");
    CHECK(n == 4);
}

TEST(a_neighbour_that_is_not_due_is_not_waited_for)
{
    struct load_opts o = opts();
    struct err e = {0};
    o.neighbour = (struct load_stream){.requests = 9, .rate = 1e-6, .prompt = 30, .output = 8, .turns = 1}; /* the second is due in days */
    CHECK(load_run(&o, keep, NULL, NULL, &e) == 0);
    CHECK(n_rows == 2 && rows[0].requests == 6 && rows[1].requests <= 1);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    struct thread t = {0};
    mutex_init(&lock);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 64) ||
        getsockname(listener, (struct sockaddr *)&at, &len) || !thread_start(&t, "server", server, NULL))
        return 1;
    snprintf(url, sizeof url, "http://127.0.0.1:%u", ntohs(at.sin_port));
    int rc = test_run(argc > 1 ? argv[1] : NULL);
    shutdown(listener, SHUT_RDWR);
    thread_join(&t);
    return rc;
}
