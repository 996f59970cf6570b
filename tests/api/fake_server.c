/* The real api, ledger and server over a backend that computes nothing, so that money and endings can be tested exactly.
 *
 * usage: fake_server DATA ; prints the address, ends on SIGTERM. Its models, all with a context of 100,000 tokens and one token a byte:
 *   hold    takes requests and answers nothing until they are stopped
 *   count   answers "0 1 2 3 ...", a token every millisecond
 *   slow    the same, every 100 ms
 *   fail    the same, and breaks after 3 tokens
 *   refuse  is too busy for any request */
#include "api/api.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/vec.h"
#include "console/console.h"
#include "text/template.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { N_MODELS = 5, TICK_MS = 5, CONTEXT = 100000 };
static const char *const aliases[N_MODELS] = {"hold", "count", "slow", "fail", "refuse"};
static const uint32_t token_ms[N_MODELS] = {0, 1, 100, 1, 0};

struct backend_job {
    struct backend_req q;
    struct backend_job *next;
    uint32_t allowance, out, age_ms;
    bool paused_told, ended;
    enum seq_end end;
    bool failed;
};
static struct fake {
    struct backend_model models[N_MODELS];
    struct backend_job *jobs;
    struct server *server;
    struct api *api;
    struct engine_stats stats;
} fake;

static struct token_counts counts(const struct backend_job *j)
{
    return (struct token_counts){.input = j->q.n_prompt, .output = j->out};
}

static void tell(struct backend_job *j, enum seq_event_kind kind, const char *text, size_t n, uint32_t tokens)
{
    struct backend_event ev = {.kind = kind, .text = text, .n_text = n, .counts = counts(j), .n_tokens = tokens, .end = j->end};
    if (kind == SEQ_DONE && j->failed)
        err_set(&ev.err, ERR_INTERNAL, "the fake model broke, as it was told to");
    j->q.on_event(j->q.arg, &ev);
}

/* What this tick computes of one job; false when nothing. */
static bool work(struct backend_job *j)
{
    size_t model = (size_t)(j->q.model - fake.models);
    uint32_t before = j->out, due = token_ms[model] ? (j->age_ms += TICK_MS) / token_ms[model] : 0;
    while (!j->ended && j->out < due) {
        if (model == 3 && j->out == 3) {
            j->ended = j->failed = true, j->end = SEQ_END_ERROR;
        } else if (j->out == j->q.max_tokens) {
            j->ended = true, j->end = SEQ_END_LENGTH;
        } else if (j->out == j->allowance) {
            j->age_ms = j->out * token_ms[model];
            break;
        } else {
            j->out++;
        }
    }
    return j->out != before;
}

static void publish(struct backend_job *j, uint32_t from)
{
    char text[4096];
    size_t n = 0;
    for (uint32_t i = from; i < j->out && n + 16 < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%u ", i);
    if (j->out > from)
        tell(j, SEQ_TEXT, text, n, j->out - from);
    if (!j->ended && j->out == j->allowance && j->out < j->q.max_tokens && !j->paused_told) {
        j->paused_told = true;
        tell(j, SEQ_PAUSED, "", 0, 0);
    }
}

static void tick(void *arg)
{
    static struct timer *timer;
    struct backend_job **p = &fake.jobs;
    (void)arg;
    timer_free(timer);
    timer = server_timer(fake.server, TICK_MS, tick, NULL);
    while (*p) {
        struct backend_job *j = *p;
        uint32_t before = j->out;
        if (work(j)) { /* the journal before the event, as the engine does */
            struct usage_delta d = {.tag = j->q.tag, .counts = counts(j)};
            api_journal(fake.api, &d, 1);
        }
        publish(j, before);
        if (!j->ended) {
            p = &j->next;
            continue;
        }
        *p = j->next;
        tell(j, SEQ_DONE, "", 0, 0);
        mem_free(j);
    }
}

static size_t n_models(void *self)
{
    return (void)self, N_MODELS;
}
static const struct backend_model *model_at(void *self, size_t i)
{
    return (void)self, i < N_MODELS ? &fake.models[i] : NULL;
}
static const struct backend_model *model_find(void *self, struct str alias)
{
    (void)self;
    for (size_t i = 0; i < N_MODELS; i++)
        if (str_eqz(alias, fake.models[i].alias))
            return &fake.models[i];
    return NULL;
}

static int start(void *self, const struct backend_req *q, size_t n, struct backend_job **out, struct err *e)
{
    (void)self;
    if (q->model == &fake.models[4])
        return err_set(e, ERR_BUSY, "the fake model is always busy");
    for (size_t i = 0; i < n; i++) {
        struct backend_job *j = mem_must(sizeof *j);
        j->q = q[i];
        if (i > 0)
            j->q.n_prompt = 0; /* billed to the first */
        j->allowance = q[i].allowance;
        j->next = fake.jobs;
        fake.jobs = out[i] = j;
    }
    return 0;
}

static void allow(void *self, struct backend_job *j, uint32_t allowance)
{
    (void)self;
    j->allowance = allowance;
    j->paused_told = false;
}

static void stop(void *self, struct backend_job *j, enum seq_end why)
{
    (void)self;
    j->ended = true;
    j->end = why;
}

static void stats(void *self, struct engine_stats *out)
{
    (void)self;
    *out = fake.stats;
    for (const struct backend_job *j = fake.jobs; j; j = j->next)
        out->running++;
}

static void backend_free(void *self)
{
    (void)self;
    while (fake.jobs) {
        struct backend_job *j = fake.jobs;
        fake.jobs = j->next;
        j->end = SEQ_END_CANCEL;
        tell(j, SEQ_DONE, "", 0, 0);
        mem_free(j);
    }
}

/* A vocabulary of the 256 bytes, written as a model file without tensors and read back. */
static int byte_vocab(struct vocab **v, struct chat_template **t, const char *dir, struct err *e)
{
    enum { N = 259 };
    static char names[N][8];
    struct str tokens[N];
    float scores[N];
    int32_t types[N];
    char path[1024];
    struct gguf_writer *w = NULL;
    struct modelfile *f = NULL;
    for (int i = 0; i < N; i++) {
        static const char *const special[] = {"<unk>", "<s>", "</s>"};
        if (i < 3)
            snprintf(names[i], sizeof names[i], "%s", special[i]);
        else
            snprintf(names[i], sizeof names[i], "<0x%02X>", (unsigned)(i - 3) & 255);
        tokens[i] = str_of(names[i]);
        scores[i] = 0;
        types[i] = i == 0 ? TOKEN_UNKNOWN : i < 3 ? TOKEN_CONTROL : TOKEN_BYTE;
    }
    snprintf(path, sizeof path, "%s/vocab.gguf", dir);
    int rc = gguf_writer_new(&w, e);
    if (rc < 0)
        return rc;
    gguf_put_str(w, "general.architecture", STR("llama"));
    gguf_put_str(w, "tokenizer.ggml.model", STR("llama"));
    gguf_put_strs(w, "tokenizer.ggml.tokens", tokens, N);
    gguf_put_f32s(w, "tokenizer.ggml.scores", scores, N);
    gguf_put_i32s(w, "tokenizer.ggml.token_type", types, N);
    gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 1);
    gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 2);
    gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", false);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
    rc = gguf_writer_save(w, path, e);
    gguf_writer_free(w);
    if (rc >= 0 && (rc = gguf_open(&f, path, e)) >= 0 && (rc = vocab_load(v, f, e)) >= 0)
        rc = template_compile(t, STR("{% for m in messages %}{{ m.content }}{% endfor %}"), e);
    modelfile_close(f);
    return rc;
}

static int open_all(struct ledger **l, const char *dir, struct err *e)
{
    struct api_opts ao = {.page = console_page};
    struct server_opts so = {.limits = {.per_address_max = 4000}};
    struct vocab *v = NULL;
    struct chat_template *t = NULL;
    char sock[1024];
    int rc;
    if ((rc = os_mkdirs(dir, 0700, e)) < 0 || (rc = byte_vocab(&v, &t, dir, e)) < 0 || (rc = api_new(&fake.api, &ao, e)) < 0)
        return rc;
    for (size_t i = 0; i < N_MODELS; i++) {
        struct backend_model *m = &fake.models[i];
        snprintf(m->alias, sizeof m->alias, "%s", aliases[i]);
        m->vocab = v, m->tmpl = t, m->n_ctx = CONTEXT;
        snprintf(m->source, sizeof m->source, "test@1:%s", aliases[i]);
        m->digest.b[0] = (uint8_t)i;
    }
    api_server_opts(fake.api, &so);
    if ((rc = server_new(&fake.server, &so, e)) < 0)
        return rc;
    struct ledger_opts lo = {.dir = dir, .store = getenv("SLUICE_LEDGER"), .node = getenv("SLUICE_NODE"), .post = api_post, .post_ctx = fake.server};
    struct backend b = {.self = &fake, .n_models = n_models, .model_at = model_at, .model_find = model_find, .start = start, .allow = allow,
                        .stop = stop, .stats = stats, .free = backend_free};
    snprintf(sock, sizeof sock, "%s/admin.sock", dir);
    if ((rc = ledger_open(l, &lo, e)) < 0 || (rc = api_start(fake.api, fake.server, *l, &b, e)) < 0 ||
        (rc = server_listen(fake.server, "127.0.0.1:0", LISTEN_LOOPBACK, e)) < 0)
        return rc;
    return server_listen_unix(fake.server, sock, 0600, LISTEN_ADMIN, e);
}

static void on_signal(int sig)
{
    (void)sig;
    server_stop(fake.server, 100);
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct ledger *l = NULL;
    char addr[64];
    if (argc != 2 || open_all(&l, argv[1], &e) < 0) {
        fprintf(stderr, "fake_server: %s\n", argc != 2 ? "usage: fake_server DATA" : e.msg);
        return 1;
    }
    signal(SIGTERM, on_signal);
    server_address(fake.server, 0, addr);
    printf("fake models on http://%s\n", addr);
    fflush(stdout);
    tick(NULL);
    if (server_run(fake.server, &e) < 0)
        fprintf(stderr, "fake_server: %s\n", e.msg);
    backend_free(NULL);
    for (int i = 0; i < 100 && api_busy(fake.api); i++) {
        server_stop(fake.server, 10);
        if (server_run(fake.server, &e) < 0)
            break;
    }
    api_stop(fake.api);
    ledger_close(l);
    server_free(fake.server);
    api_free(fake.api);
    return 0;
}
