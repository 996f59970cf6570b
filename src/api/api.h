/* The API: OpenAI's wire format over net, money by ledger, answers by a backend.
 *
 * Order at start: api_new -> api_server_opts -> server_new -> ledger_open and the backend with post = api_post, ctx = the server ->
 * api_start -> server_listen (with a tag of enum api_listener) -> server_run. Everything in this folder runs on the server's loop thread;
 * what may wait for the ledger runs on one worker thread (worker.c). */
#pragma once
#include "backend/backend.h"
#include "ledger/ledger.h"
#include "ledger/member.h"
#include "net/server.h"
#include "oidc/oidc.h"

/* Tag of a listener. On LOOPBACK the Host header must name this machine (DNS rebinding); ADMIN opens the admin routes. */
enum api_listener { LISTEN_LOOPBACK, LISTEN_PUBLIC, LISTEN_ADMIN };

struct api;
/* How people sign in; kept by who calls. */
struct api_sign_in {
    struct oidc_opts     oidc;
    struct sign_in_rules rules;
};
struct api_opts {
    const struct api_sign_in *sign_in; /* NULL: nobody signs in */
    void (*page)(struct http *r); /* answers "/" and "/page/..."; NULL: 404 */
    const char *hosts;            /* further names allowed in Host on loopback, separated by commas; NULL: none; must outlive the api */
    const char *metrics_key; /* who bears it may read the LOCAL routes from other machines; NULL: nobody; must outlive the api */
};
int  api_new(struct api **out, const struct api_opts *o, struct err *e) MUST_USE;
void api_server_opts(struct api *a, struct server_opts *out); /* routes, authorise, error_body, app; limits are left alone */
int  api_start(struct api *a, struct server *s, struct ledger *l, const struct backend *b, struct err *e) MUST_USE;

/* The end. api_drain, on the loop thread: no new work; what runs may go on for ms, then ends with an error that says so (call server_stop
 * with a little more). After server_run: free the backend, which ends what still runs; run the loop while api_busy; api_stop; close the
 * ledger; free the server; api_free. */
void api_drain(struct api *a, uint32_t ms);
bool api_busy(const struct api *a);
void api_stop(struct api *a);
void api_free(struct api *a);

/* For ledger_opts.post and backend_local_opts.post: ctx is the server. */
void api_post(void *server, void (*fn)(void *), void *arg);
/* For engine_opts.journal: ctx is the api. After a failed write no new work is taken. */
void api_journal(void *api, const struct usage_delta *d, size_t n);

/* A conversation and what the model's chat template is told besides it; all borrowed. */
struct prompt_in {
    const struct json *messages;  /* an array of {role, content: string} */
    const struct json *variables; /* chat_template_kwargs, an object, or NULL */
    struct str         tmpl;      /* the name of one of the model's templates; empty: the one without a name */
    struct str         effort;    /* reasoning_effort, or empty */
    bool               no_answer; /* without the beginning of an answer */
};
/* The template rendered and tokenised. ERR_TEMPLATE (400) with the template's own words where it refuses the conversation, ERR_BAD_VALUE for a name
 * that the model does not have or a variable that is not the client's, ERR_CONTEXT when it leaves no room for one token of answer. */
int prompt_build(struct vec_i32 *out, const struct backend_model *m, const struct prompt_in *in, struct err *e) MUST_USE;

/* The tokens that all conversations with this system prompt begin with, whatever the user says. Any thread. */
int api_prefix_tokens(struct vec_i32 *out, const struct backend_model *m, struct str system, struct err *e) MUST_USE;

/* What an operator can do (admin.def), without HTTP: args is an object or NULL; out gets one JSON value. [wait] */
int admin_call(struct ledger *l, enum http_method method, const char *path, const struct json *args, struct buf *out, struct err *e) MUST_USE;
