#include "load/fake.h"
#include "api/call.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/vec.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { N_MODELS = 5, CONTEXT = 100000, STEP_MAX = 1024, TEXT_MAX = 4096 };
static const struct kind {
    const char *alias;
    uint32_t first_us, each_us; /* each 0: all at once */
    bool faulty;
} kinds[N_MODELS] = {{"fake-20ms", 20000, 0, false},
                     {"fake-stream", 20000, 20000, false},
                     {"fake-fast", 1000, 1000, false},
                     {"fake-faulty", 1000, 1000, true},
                     {"fake-slow", 20000, 100000, false}};

struct backend_job {
    struct backend_req q;
    struct fake *f;
    const struct kind *kind;
    struct witness_entry *seen; /* NULL: nobody looks */
    uint64_t due_ns;
    size_t at;                             /* in the heap; SIZE_MAX: in none, its last event is on its way */
    uint32_t allowance, out, told, breaks; /* breaks after so many; UINT32_MAX: never */
    bool stopped;
    enum seq_end why;
};

struct event { /* of one job's step, on its way to the loop */
    struct backend_job *j;
    uint32_t out;
    bool ended, failed, paused;
    enum seq_end end;
};
struct served {
    size_t n;
    struct event ev[STEP_MAX];
};

struct fake {
    struct backend_model models[N_MODELS];
    struct server *server;
    struct api *api;
    struct witness *witness;
    struct mutex lock;
    pthread_cond_t wake;
    struct thread thread;
    struct VEC(struct backend_job *) heap; /* by due_ns; those that wait for an allowance are last */
    uint32_t live, n_started;
    bool quit;
};

/* ---- the heap; under lock ---- */

static void place(struct fake *f, size_t i, struct backend_job *j)
{
    f->heap.p[i] = j;
    j->at = i;
}

static void sift(struct fake *f, size_t i, struct backend_job *j)
{
    while (i && f->heap.p[(i - 1) / 2]->due_ns > j->due_ns) {
        place(f, i, f->heap.p[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (size_t k; (k = 2 * i + 1) < f->heap.n; i = k) {
        k += k + 1 < f->heap.n && f->heap.p[k + 1]->due_ns < f->heap.p[k]->due_ns;
        if (f->heap.p[k]->due_ns >= j->due_ns)
            break;
        place(f, i, f->heap.p[k]);
    }
    place(f, i, j);
}

static void heap_add(struct fake *f, struct backend_job *j)
{
    ASSERT(vec_push(&f->heap, j));
    sift(f, f->heap.n - 1, j);
}

static void heap_del(struct fake *f, struct backend_job *j)
{
    size_t i = j->at;
    struct backend_job *last = f->heap.p[--f->heap.n];
    j->at = SIZE_MAX;
    if (last != j)
        sift(f, i, last);
}

/* At once, or when it is due; the thread is woken when that is now the first. */
static void schedule(struct fake *f, struct backend_job *j, uint64_t due_ns)
{
    if (j->at != SIZE_MAX)
        heap_del(f, j);
    j->due_ns = due_ns;
    heap_add(f, j);
    if (j->at == 0)
        pthread_cond_signal(&f->wake);
}

/* ---- a step, on the fake's thread ---- */

/* What one job does now. Under lock; it is in no heap. */
static void advance(struct backend_job *j, uint64_t now, struct event *ev)
{
    uint32_t most = j->q.max_tokens < j->allowance ? j->q.max_tokens : j->allowance, want = j->out;
    if (!j->stopped)
        want = j->kind->each_us ? j->out + 1 + (uint32_t)((now - j->due_ns) / 1000 / j->kind->each_us) : j->q.max_tokens;
    want = want < most ? want : most;
    bool failed = !j->stopped && want >= j->breaks;
    j->out = failed ? j->breaks : want > j->out ? want : j->out;
    bool full = j->out == j->q.max_tokens;
    *ev = (struct event){.j = j, .out = j->out, .failed = failed, .ended = j->stopped || failed || full};
    ev->end = j->stopped ? j->why : failed ? SEQ_END_ERROR : SEQ_END_LENGTH;
    ev->paused = !ev->ended && j->out == j->allowance;
    if (ev->paused)
        schedule(j->f, j, UINT64_MAX);
    else if (!ev->ended)
        schedule(j->f, j, j->due_ns + ((now - j->due_ns) / 1000 / j->kind->each_us + 1) * 1000 * j->kind->each_us);
}

static void tell(struct backend_job *j, enum seq_event_kind kind, const char *text, size_t n, uint32_t tokens, const struct event *x)
{
    struct backend_event ev = {
        .kind = kind, .text = text, .n_text = n, .counts = {.input = j->q.n_prompt, .output = x->out}, .n_tokens = tokens, .end = x->end};
    if (kind == SEQ_DONE && x->failed)
        err_set(&ev.err, ERR_INTERNAL, "the fake model broke, as it was told to");
    j->q.on_event(j->q.arg, &ev);
}

/* Loop thread. */
static void deliver(void *arg)
{
    static char letters[TEXT_MAX];
    struct served *s = arg;
    memset(letters, 'a', sizeof letters);
    for (size_t i = 0; i < s->n; i++) {
        const struct event *x = &s->ev[i];
        struct backend_job *j = x->j;
        while (j->told < x->out) {
            uint32_t n = x->out - j->told < TEXT_MAX ? x->out - j->told : TEXT_MAX;
            j->told += n;
            tell(j, SEQ_TEXT, letters, n, n, x);
        }
        if (x->paused)
            tell(j, SEQ_PAUSED, "", 0, 0, x);
        if (x->ended) {
            j->f->live--;
            tell(j, SEQ_DONE, "", 0, 0, x);
            mem_free(j);
        }
    }
    mem_free(s);
}

/* What is due, as one step: counts to the journal first, then the events. Lock held; it is let go meanwhile. */
static void serve(struct fake *f, uint64_t now)
{
    static struct usage_delta d[STEP_MAX];
    struct served *s = mem_must(sizeof *s);
    while (f->heap.n && f->heap.p[0]->due_ns <= now && s->n < STEP_MAX) {
        struct backend_job *j = f->heap.p[0];
        heap_del(f, j);
        advance(j, now, &s->ev[s->n++]);
    }
    mutex_unlock(&f->lock);
    for (size_t i = 0; i < s->n; i++) {
        struct backend_job *j = s->ev[i].j;
        d[i] = (struct usage_delta){.tag = j->q.tag, .counts = {.input = j->q.n_prompt, .output = s->ev[i].out}};
        if (j->seen)
            j->seen->input = j->q.n_prompt, j->seen->asked = s->ev[i].out;
    }
    atomic_thread_fence(memory_order_seq_cst);
    api_journal(f->api, d, s->n);
    atomic_thread_fence(memory_order_seq_cst);
    for (size_t i = 0; i < s->n; i++)
        if (s->ev[i].j->seen)
            s->ev[i].j->seen->handed = s->ev[i].out, s->ev[i].j->seen->ended = s->ev[i].ended;
    server_post(f->server, deliver, s);
    mutex_lock(&f->lock);
}

static void run(void *arg)
{
    struct fake *f = arg;
    prctl(PR_SET_TIMERSLACK, 1ul);
    mutex_lock(&f->lock);
    while (!f->quit) {
        uint64_t now = clock_ns();
        if (!f->heap.n) {
            pthread_cond_wait(&f->wake, &f->lock.m);
        } else if (f->heap.p[0]->due_ns <= now) {
            serve(f, now);
        } else {
            uint64_t at = f->heap.p[0]->due_ns;
            struct timespec ts = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
            pthread_cond_timedwait(&f->wake, &f->lock.m, &ts);
        }
    }
    mutex_unlock(&f->lock);
}

/* ---- the backend's functions, on the loop thread ---- */

static size_t n_models(void *self)
{
    return (void)self, N_MODELS;
}
static const struct backend_model *model_at(void *self, size_t i)
{
    struct fake *f = self;
    return i < N_MODELS ? &f->models[i] : NULL;
}
static const struct backend_model *model_find(void *self, struct str alias)
{
    struct fake *f = self;
    for (size_t i = 0; i < N_MODELS; i++)
        if (str_eqz(alias, kinds[i].alias))
            return &f->models[i];
    return NULL;
}

static struct witness_entry *witness_new(struct fake *f, uint64_t tag)
{
    const struct choice *ch = (const struct choice *)(uintptr_t)tag;
    uint32_t i = f->witness ? atomic_fetch_add(&f->witness->n, 1) : WITNESS_MAX;
    if (i >= WITNESS_MAX)
        return NULL;
    struct witness_entry *w = &f->witness->entry[i];
    w->life = (uint16_t)atomic_load(&f->witness->life);
    snprintf(w->id, sizeof w->id, "%s", ch->call->id + 4);
    return w;
}

static int start(void *self, const struct backend_req *q, size_t n, struct backend_job **out, struct err *e)
{
    struct fake *f = self;
    uint64_t now = clock_ns();
    (void)e;
    for (size_t i = 0; i < n; i++) {
        struct backend_job *j = mem_must(sizeof *j);
        *j = (struct backend_job){
            .q = q[i], .f = f, .at = SIZE_MAX, .allowance = q[i].allowance, .breaks = UINT32_MAX, .kind = &kinds[q[i].model - f->models]};
        if (i > 0)
            j->q.n_prompt = 0; /* billed to the first */
        if (j->kind->faulty && f->n_started++ % 8 == 0)
            j->breaks = f->n_started / 8 % 50;
        j->seen = i ? NULL : witness_new(f, q[i].tag);
        out[i] = j;
        f->live++;
        mutex_lock(&f->lock);
        schedule(f, j, now + j->kind->first_us * 1000ull);
        mutex_unlock(&f->lock);
    }
    return 0;
}

static void allow(void *self, struct backend_job *j, uint32_t allowance)
{
    struct fake *f = self;
    mutex_lock(&f->lock);
    j->allowance = allowance;
    if (j->at != SIZE_MAX && j->due_ns == UINT64_MAX) /* it was paused */
        schedule(f, j, clock_ns());
    mutex_unlock(&f->lock);
}

static void stop(void *self, struct backend_job *j, enum seq_end why)
{
    struct fake *f = self;
    mutex_lock(&f->lock);
    if (j->at != SIZE_MAX) { /* else its last event is on its way */
        j->stopped = true, j->why = why;
        schedule(f, j, 0);
    }
    mutex_unlock(&f->lock);
}

static void stats(void *self, struct engine_stats *out)
{
    struct fake *f = self;
    *out = (struct engine_stats){.running = f->live};
}

/* Ends what still runs, with its events. */
static void end(void *self)
{
    struct fake *f = self;
    mutex_lock(&f->lock);
    f->quit = true;
    pthread_cond_signal(&f->wake);
    mutex_unlock(&f->lock);
    thread_join(&f->thread);
    mutex_lock(&f->lock);
    for (size_t i = 0; i < f->heap.n; i++)
        f->heap.p[i]->stopped = true, f->heap.p[i]->why = SEQ_END_CANCEL;
    while (f->heap.n)
        serve(f, UINT64_MAX);
    mutex_unlock(&f->lock);
}
static void nothing(void *self)
{
    (void)self;
}

void fake_backend(struct fake *f, struct backend *out)
{
    *out = (struct backend){.self = f,
                            .n_models = n_models,
                            .model_at = model_at,
                            .model_find = model_find,
                            .start = start,
                            .allow = allow,
                            .stop = stop,
                            .stats = stats,
                            .free = nothing,
                            .end = end};
}

/* ---- making one ---- */

/* A vocabulary of the 256 bytes, written as a model file without tensors and read back. */
static int byte_vocab(struct vocab **v, struct chat_template **t, const char *dir, struct err *e)
{
    enum { N = 259 };
    static char names[N][8];
    struct str tokens[N];
    float scores[N] = {0};
    int32_t types[N];
    char path[1024];
    struct gguf_writer *w = NULL;
    struct modelfile *m = NULL;
    for (int i = 0; i < N; i++) {
        static const char *const special[] = {"<unk>", "<s>", "</s>"};
        if (i < 3)
            snprintf(names[i], sizeof names[i], "%s", special[i]);
        else
            snprintf(names[i], sizeof names[i], "<0x%02X>", (unsigned)(i - 3) & 255);
        tokens[i] = str_of(names[i]);
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
    if (rc >= 0 && (rc = gguf_open(&m, path, e)) >= 0 && (rc = vocab_load(v, m, e)) >= 0)
        rc = template_compile(t, STR("{% for m in messages %}{{ m.content }}{% endfor %}"), e);
    modelfile_close(m);
    return rc;
}

static int witness_open(struct fake *f, const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *p =
        fd < 0 || ftruncate(fd, sizeof *f->witness) < 0 ? MAP_FAILED : mmap(NULL, sizeof *f->witness, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (p == MAP_FAILED)
        return err_set(e, ERR_IO, "the witness %s cannot be mapped: %m", path);
    f->witness = p;
    atomic_fetch_add(&f->witness->life, 1);
    return 0;
}

int fake_new(struct fake **out, const char *dir, const char *witness, struct err *e)
{
    struct fake *f = mem_must(sizeof *f);
    struct vocab *v = NULL;
    struct chat_template *t = NULL;
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&f->wake, &a);
    pthread_condattr_destroy(&a);
    mutex_init(&f->lock);
    int rc = byte_vocab(&v, &t, dir, e);
    if (rc == 0 && witness)
        rc = witness_open(f, witness, e);
    for (size_t i = 0; i < N_MODELS; i++) {
        struct backend_model *m = &f->models[i];
        snprintf(m->alias, sizeof m->alias, "%s", kinds[i].alias);
        snprintf(m->source, sizeof m->source, "test@1:%s", kinds[i].alias);
        m->vocab = v, m->tmpl = t, m->n_ctx = CONTEXT, m->digest.b[0] = (uint8_t)i;
    }
    *out = f;
    return rc;
}

void fake_start(struct fake *f, struct server *s, struct api *a)
{
    f->server = s, f->api = a;
    ASSERT(thread_start(&f->thread, "fake", run, f));
}

void fake_free(struct fake *f)
{
    if (f)
        vec_deinit(&f->heap);
    mem_free(f);
}
