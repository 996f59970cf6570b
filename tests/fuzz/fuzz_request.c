/* A chat request's body from an enemy: it is refused with an error of the 400 class that fits a header and a JSON answer, or it becomes a
 * request whose every number is within its limits and whose messages have the one form that templates see. */
#include "api/chat.h"
#include "base/mem.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct backend_model model = {.alias = "m", .n_ctx = 1000};
static const struct backend_model *find(void *self, struct str alias)
{
    return (void)self, str_eqz(alias, "m") ? &model : NULL;
}

static void check_error(const struct err *e)
{
    struct buf b;
    struct json *j = NULL;
    int http = err_http(e->code);
    ASSERT(http >= 400 && http < 500 && e->msg[0]);
    buf_init(&b, 1 << 16);
    struct jw w;
    jw_init(&w, &b);
    jw_obj(&w);
    jw_key(&w, "message"), jw_str(&w, e->msg);
    jw_key(&w, "param"), jw_str(&w, e->param);
    jw_obj_end(&w);
    ASSERT(!b.failed && json_parse(&j, b.data, b.len, NULL) == 0);
    json_free(j);
    buf_deinit(&b);
}

static void check_request(const struct call_request *q, const struct json *messages)
{
    ASSERT(q->model == &model && q->max_tokens <= INT32_MAX && q->n_stops <= STOPS_MAX);
    ASSERT(q->sample.temperature >= 0 && q->sample.temperature <= 2 && q->sample.top_p >= 0 && q->sample.top_p <= 1);
    ASSERT(q->sample.min_p >= 0 && q->sample.min_p <= 1 && q->sample.top_k <= 1000000);
    ASSERT(!q->include_usage || q->stream);
    for (uint32_t i = 0; i < q->n_stops; i++)
        ASSERT(q->stop_lens[i] > 0 && q->stop_lens[i] <= STOP_BYTES && strlen(q->stops[i]) == q->stop_lens[i]);
    ASSERT(json_len(messages) > 0 && json_len(messages) <= 2048);
    for (size_t i = 0; i < json_len(messages); i++) {
        const struct json *m = json_at(messages, i);
        struct str role = json_str(json_get(m, "role"));
        ASSERT(str_eqz(role, "system") || str_eqz(role, "user") || str_eqz(role, "assistant"));
        ASSERT(json_type(json_get(m, "content")) == JSON_STR && json_len(m) == 2);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct api api = {.backend = {.model_find = find}};
    struct call c = {.api = &api, .who = {.all_models = true}};
    struct json *body = NULL;
    struct prompt_in in;
    struct buf ignored;
    struct err e = {0};
    arena_init(&c.mem, 1 << 20);
    buf_init(&ignored, IGNORED_BYTES_MAX + 8);
    int rc = json_parse(&body, (const char *)p, n, &e);
    if (rc == 0)
        rc = chat_fields(&c, body, &in, &ignored, &e);
    if (rc < 0)
        check_error(&e);
    else
        check_request(&c.q, c.messages);
    for (size_t i = 0; i < ignored.len; i++)
        ASSERT(ignored.data[i] >= ' ' && ignored.data[i] < 127);
    ASSERT(!ignored.failed && ignored.len <= IGNORED_BYTES_MAX);
    json_free(c.messages);
    json_free(body);
    buf_deinit(&ignored);
    arena_deinit(&c.mem);
    return 0;
}
