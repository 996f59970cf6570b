#include "net/client.h"
#include "base/str.h"
#include <curl/curl.h>
#include <pthread.h>

enum { ANSWER_MAX = 64 << 20, CONNECT_MS = 5000 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void           curl_begin(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

struct transfer {
    CURL                    *curl;
    const struct client_req *q;
    struct client_answer    *out;
    bool                     stopped; /* by on_data or go_on */
};

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    long             status = 0;
    n *= size; /* size is always 1 */
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    t->out->status = (int)status;
    if (t->q->on_data)
        t->stopped = !t->q->on_data(t->q->arg, p, n);
    else
        buf_add(&t->out->body, p, n);
    return t->stopped || t->out->body.failed ? 0 : n;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct transfer *t = arg;
    (void)a, (void)b, (void)c, (void)d;
    t->stopped = t->stopped || !t->q->go_on(t->q->arg);
    return t->stopped;
}

/* Headers for the request; false: out of memory. */
static bool headers_make(struct curl_slist **out, const struct client_req *q)
{
    const char *fixed[] = {"Expect:", q->body ? "Content-Type: application/json" : "Content-Type:"};
    struct buf  auth;
    bool        ok = true;
    for (int i = 0; i < 2 && ok; i++) {
        struct curl_slist *more = curl_slist_append(*out, fixed[i]);
        ok = more != NULL;
        *out = more ? more : *out;
    }
    buf_init(&auth, 8192);
    if (q->bearer && ok) {
        buf_fmt(&auth, "Authorization: Bearer %s", q->bearer);
        struct curl_slist *more = auth.failed ? NULL : curl_slist_append(*out, auth.data);
        ok = more != NULL;
        *out = more ? more : *out;
    }
    buf_deinit(&auth);
    return ok;
}

static void options_set(CURL *c, struct transfer *t, struct curl_slist *headers)
{
    const struct client_req *q = t->q;
    curl_easy_setopt(c, CURLOPT_URL, q->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_NOPROXY, q->unix_socket ? "*" : "127.0.0.1,localhost,::1");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(q->connect_ms ? q->connect_ms : CONNECT_MS));
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)q->total_ms);
    if (q->go_on) {
        curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
        curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    }
    if (q->unix_socket)
        curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, q->unix_socket);
    if (q->body) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->n_body);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body);
    } else if (str_eqz(str_of(q->method), "HEAD"))
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
}

int client_do(struct client_answer *out, const struct client_req *q, struct err *e)
{
    struct transfer    t = {.q = q, .out = out};
    struct curl_slist *headers = NULL;
    char               text[CURL_ERROR_SIZE] = "";
    long               status = 0;
    int                rc = 0;
    *out = (struct client_answer){.status = 0};
    buf_init(&out->body, ANSWER_MAX);
    pthread_once(&once, curl_begin);
    t.curl = curl_easy_init();
    if (!t.curl || !headers_make(&headers, q)) {
        rc = err_set(e, ERR_NO_MEMORY, "net: no memory for a request");
    } else {
        options_set(t.curl, &t, headers);
        curl_easy_setopt(t.curl, CURLOPT_ERRORBUFFER, text);
        CURLcode code = curl_easy_perform(t.curl);
        curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
        out->status = (int)status;
        if (out->body.failed)
            rc = err_set(e, ERR_TOO_LARGE, "net: the answer of %s is larger than %d MiB", q->url, ANSWER_MAX >> 20);
        else if (code != CURLE_OK && !t.stopped)
            rc = err_set(e, ERR_UNAVAILABLE, "net: %s %s: %s", q->url, status ? "broke off its answer" : "does not answer",
                         text[0] ? text : curl_easy_strerror(code));
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(t.curl);
    return rc;
}

void client_answer_deinit(struct client_answer *a) { buf_deinit(&a->body); }
