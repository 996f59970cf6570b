/* Memory that ends while a second model is loaded: one clear answer to who asked for it, no word less of the first model's answers, nothing kept, and
 * the second model as soon as there is room. The doors of base/mem.h are wrapped by the linker (make/tests.mk), so that any one allocation can fail.
 */
#include "../../../tools/tiny.h"
#include "backend/backend.h"
#include "backend/postq.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/os.h"
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* ---- allocations that fail ---- */

enum { WIDE = 32 << 10 }; /* no answer of the first model takes so much at a time */
static struct {
    atomic_int left;    /* so many succeed yet, of those that are counted; negative: all do */
    atomic_bool on;     /* false: none is counted */
    bool loader;        /* counted: what the loader takes, or what takes WIDE bytes and more on any thread */
    bool for_good;      /* after the first that fails all do */
    atomic_int refused; /* how many did */
    atomic_int blocks;  /* that are held now */
    atomic_llong pages; /* bytes of mem_pages that are held now */
} door;

static bool by_loader(void)
{
    static _Thread_local int is = -1;
    char name[16] = "";
    if (is < 0)
        is = pthread_getname_np(pthread_self(), name, sizeof name) == 0 && !strcmp(name, "loader");
    return is;
}

static bool refused(size_t n)
{
    if (!door.on || !(door.loader ? by_loader() : n >= WIDE))
        return false;
    int left = atomic_fetch_sub(&door.left, 1);
    bool no = left == 0 || (left < 0 && door.for_good);
    door.refused += no;
    return no;
}

static void *held(void *p)
{
    door.blocks += p != NULL;
    return p;
}

void *__real_mem_new(size_t n);
void *__real_mem_array(size_t n, size_t size);
void *__real_mem_resize(void *p, size_t n, size_t size);
char *__real_mem_str(const char *s, size_t n);
void *__real_mem_must(size_t n);
void *__real_mem_pages(size_t n);
void __real_mem_free(void *p);
void __real_mem_pages_free(void *p, size_t n);
void *__wrap_mem_new(size_t n);
void *__wrap_mem_array(size_t n, size_t size);
void *__wrap_mem_resize(void *p, size_t n, size_t size);
char *__wrap_mem_str(const char *s, size_t n);
void *__wrap_mem_must(size_t n);
void *__wrap_mem_pages(size_t n);
void __wrap_mem_free(void *p);
void __wrap_mem_pages_free(void *p, size_t n);

void *__wrap_mem_new(size_t n)
{
    return refused(n) ? NULL : held(__real_mem_new(n));
}
void *__wrap_mem_array(size_t n, size_t size)
{
    return refused(n * size) ? NULL : held(__real_mem_array(n, size));
}
char *__wrap_mem_str(const char *s, size_t n)
{
    return refused(n) ? NULL : held(__real_mem_str(s, n));
}
void *__wrap_mem_must(size_t n)
{
    return held(__real_mem_must(n));
} /* where a program can only end */
void *__wrap_mem_resize(void *p, size_t n, size_t size)
{
    void *q = refused(n * size) ? NULL : __real_mem_resize(p, n, size);
    return p ? q : held(q);
}
void *__wrap_mem_pages(size_t n)
{
    void *p = refused(n) ? NULL : __real_mem_pages(n);
    door.pages += p ? (long long)n : 0;
    return p;
}
void __wrap_mem_free(void *p)
{
    door.blocks -= p != NULL;
    __real_mem_free(p);
}
void __wrap_mem_pages_free(void *p, size_t n)
{
    door.pages -= p ? (long long)n : 0;
    __real_mem_pages_free(p, n);
}

/* ---- a house with two models ---- */

static struct postq queue;
static struct backend_local *local;
static struct backend be;
static char dir[64], first_file[96], second_file[96];

/* The second is wider in everything, so that what all models share has to grow for it; its output matrix is screened. */
static bool make_files(void)
{
    struct tiny small = tiny_default("llama"), wide = tiny_default("llama");
    struct err e;
    small.n_ctx = 1024;
    wide.seed = 2, wide.n_embd = 256, wide.n_ff = 1024, wide.n_heads = 2, wide.n_kv_heads = 1, wide.n_vocab = 2048;
    wide.type = wide.embd_type = QUANT_Q8_0;
    strcpy(dir, "/tmp/sluice-no-memory-XXXXXX");
    if (!mkdtemp(dir))
        return false;
    snprintf(first_file, sizeof first_file, "%s/first.gguf", dir);
    snprintf(second_file, sizeof second_file, "%s/second.gguf", dir);
    return tiny_save(&small, first_file, &e) == 0 && tiny_save(&wide, second_file, &e) == 0;
}

static bool offer(const char *name, const char *file)
{
    struct err e;
    return backend_local_offer(local, &(struct backend_source){.alias = name, .source = "a@b:c", .path = file}, &e) == 0;
}

static bool open_house(struct backend_local_opts o)
{
    struct err e;
    log_level_set(LOG_ERROR + 1); /* failures by the hundred, each of which a test reads */
    o.device.n_threads = 1, o.engine.kv_bytes = 8 << 20, o.engine.seqs_max = 8;
    o.post = postq_post, o.post_ctx = &queue;
    postq_init(&queue);
    if (!make_files() || backend_local_new(&local, &o, &e) < 0)
        return false;
    backend_local_iface(local, &be);
    return offer("first", first_file);
}

static bool close_house(void)
{
    struct err e;
    be.free(be.self);
    postq_run(&queue, 0);
    postq_deinit(&queue);
    return os_remove_tree(dir, &e) == 0;
}

static const struct backend_model *model(const char *name)
{
    return be.model_find(be.self, str_of(name));
}

static struct backend_model_status status(const char *name)
{
    struct backend_model_status st = {.state = "absent"};
    if (model(name))
        be.model_status(be.self, model(name), &st);
    return st;
}

static struct backend_shelf_stats numbers(void)
{
    struct backend_shelf_stats n;
    be.shelf_stats(be.self, &n);
    return n;
}

#define UNTIL(condition) for (uint64_t end = clock_ns() + 300000000000ull; !(condition) && clock_ns() < end; postq_run(&queue, 2))

/* ---- who asks and who answers ---- */

struct asker {
    struct backend_wait wait;
    struct err err;
    int told;
};

static void on_ready(void *arg, const struct err *e)
{
    struct asker *a = arg;
    a->told++;
    a->err = *e;
}

/* Asks for a model and waits for what is said. */
static void ask(struct asker *a, const char *name)
{
    struct err e;
    *a = (struct asker){.wait = {.ready = on_ready, .arg = a}};
    int rc = be.get(be.self, model(name), &a->wait, &e);
    if (rc <= 0)
        a->told = 1, a->err = rc ? e : (struct err){0};
    UNTIL(a->told) {}
}

struct answer {
    struct buf text;
    enum seq_end end;
    struct err err;
    bool done;
};

static void on_event(void *arg, const struct backend_event *ev)
{
    struct answer *a = arg;
    buf_add(&a->text, ev->text, ev->n_text);
    a->done |= ev->kind == SEQ_DONE;
    a->end = ev->end, a->err = ev->err;
}

/* n tokens of a model that is pinned, the same each time. */
static bool begin(struct answer *a, const char *name, uint32_t n)
{
    static const int32_t prompt[] = {5, 9, 20, 31};
    struct backend_job *j;
    struct backend_req q = {.model = model(name),
                            .tenant = {.id = 1, .weight = 1},
                            .prompt = prompt,
                            .n_prompt = 4,
                            .max_tokens = n,
                            .allowance = n,
                            .sample = {.temperature = 1, .top_p = 1, .seed = 3},
                            .on_event = on_event,
                            .arg = a};
    a->text.len = 0, a->done = false;
    return be.start(be.self, &q, 1, &j, &a->err) == 0;
}

static bool as(const struct answer *a, const struct answer *right)
{
    return a->done && a->end == right->end && a->end != SEQ_END_ERROR && a->text.len == right->text.len && a->text.len > 0 &&
           !memcmp(a->text.data, right->text.data, a->text.len);
}

/* What both say when nothing is short, learned in a house of its own: what all models share grows with the first of its kind. */
static struct answer truth[2];
static uint64_t bytes[2]; /* that they are reckoned at */
static char warning[256];
static bool learn(void)
{
    static const char *const names[] = {"first", "second"};
    struct asker a;
    if (!open_house((struct backend_local_opts){0}) || !offer("second", second_file))
        return false;
    for (int i = 0; i < 2; i++) {
        ask(&a, names[i]);
        if (a.err.code || !begin(&truth[i], names[i], i ? 12 : 400))
            return false;
        UNTIL(truth[i].done) {}
        bytes[i] = status(names[i]).bytes;
        be.put(be.self, model(names[i]));
    }
    snprintf(warning, sizeof warning, "%s", model("second")->warning);
    return close_house();
}

/* The first model is there, pinned, and answers from now on; what the house holds then is noted. */
static long long rest_pages;
static bool settle(struct answer *said)
{
    struct asker a;
    ask(&a, "first");
    rest_pages = door.pages;
    return a.err.code == ERR_OK && begin(said, "first", 400);
}

/* ---- the tests ---- */

static bool says_memory(const char *text)
{
    return strstr(text, "no memory") || strstr(text, "no address space");
}

/* One try: the second model is named, asked for while allocation i fails, and withdrawn. *ended: there was no allocation i.
 * The text of a fault, or NULL. */
static const char *try(int i, bool *ended, int *failed)
{
    struct asker a;
    struct answer said = {0};
    const char *fault = NULL;
    if (!offer("second", second_file))
        return "the name is taken";
    UNTIL(status("second").n_ctx) {} /* its file was looked at, which fails for itself */
    atomic_store(&door.refused, 0);
    atomic_store(&door.left, i);
    atomic_store(&door.on, true);
    ask(&a, "second");
    if (a.err.code == ERR_OK && begin(&said, "second", 12))
        UNTIL(said.done) {}
    atomic_store(&door.on, false);
    *ended = door.refused == 0;
    if (a.told != 1)
        fault = "told not once";
    else if (a.err.code != ERR_OK && (a.err.code != ERR_NO_MEMORY || !strstr(a.err.msg, "model second: ") || !says_memory(a.err.msg)))
        fault = a.err.msg;
    else if (a.err.code == ERR_OK && strcmp(model("second")->warning, warning) != 0)
        fault = model("second")->warning;
    else if (a.err.code == ERR_OK && !as(&said, &truth[1]))
        fault = "another text";
    *failed += a.err.code != ERR_OK;
    if (a.err.code == ERR_OK)
        be.put(be.self, model("second"));
    static char copy[512];
    if (fault)
        fault = strcpy(copy, fault);
    backend_local_withdraw(local, STR("second"));
    UNTIL(numbers().known == 1) {}
    if (!fault && (door.pages != rest_pages || numbers().bytes_used != status("first").bytes))
        fault = "memory was kept";
    buf_deinit(&said.text);
    return fault;
}

/* Every allocation in its turn, while the first model answers without a break. */
static void sweep(bool loader, bool for_good)
{
    const int blocks = door.blocks;
    struct answer said = {0};
    int failed = 0, answers = 0, i = 0;
    bool ended = false;
    CHECK(learn() && open_house((struct backend_local_opts){0}) && settle(&said));
    door.loader = loader, door.for_good = for_good;
    for (; !ended; i++) {
        const char *fault = try(i, &ended, &failed);
        CHECK_MSG(!fault, "allocation %d: %s", i, fault);
        if (said.done) {
            CHECK_MSG(as(&said, &truth[0]), "an answer of the first model: %d, %s", (int)said.end, said.err.msg);
            CHECK(begin(&said, "first", 400));
            answers++;
        }
        CHECK(i < 20000);
    }
    UNTIL(said.done) {}
    CHECK(as(&said, &truth[0]));
    printf("%d allocations, of which %d are fatal to the load; %d answers of the first model meanwhile\n", i - 1, failed, answers + 1);
    CHECK(failed > (loader ? 50 : 5));
    buf_deinit(&said.text), buf_deinit(&truth[0].text), buf_deinit(&truth[1].text);
    be.put(be.self, model("first"));
    CHECK(close_house());
    CHECK_MSG(door.blocks == blocks && door.pages == 0, "%d blocks and %lld bytes of pages are kept", door.blocks - blocks, (long long)door.pages);
}

TEST(each_wide_allocation_once)
{
    sweep(false, false);
}
TEST(each_allocation_of_the_loader_once)
{
    sweep(true, false);
}
TEST(from_each_allocation_of_the_loader_on)
{
    sweep(true, true);
}

/* What is refused is not tried again for a while, and then it is. */
TEST(it_is_loaded_when_there_is_room_again)
{
    struct answer said = {0}, second = {0};
    struct asker a;
    CHECK(learn() && open_house((struct backend_local_opts){0}) && settle(&said) && offer("second", second_file));
    UNTIL(status("second").n_ctx) {}
    door.loader = door.for_good = true;
    atomic_store(&door.left, 90);
    atomic_store(&door.on, true);
    ask(&a, "second");
    CHECK_MSG(a.told == 1 && a.err.code == ERR_NO_MEMORY && err_http(a.err.code) == 503 && err_retry(a.err.code), "%s", a.err.msg);
    atomic_store(&door.on, false);
    char text[sizeof a.err.msg];
    strcpy(text, a.err.msg);
    ask(&a, "second");
    CHECK_MSG(a.err.code == ERR_NO_MEMORY && !strcmp(a.err.msg, text) && numbers().load_failures == 1, "%s", a.err.msg);
    UNTIL(said.done) {}
    CHECK(as(&said, &truth[0]));
    UNTIL(a.err.code == ERR_OK)
    {
        ask(&a, "second");
    }
    CHECK_MSG(a.err.code == ERR_OK && begin(&second, "second", 12), "%s", a.err.msg);
    UNTIL(second.done) {}
    CHECK(as(&second, &truth[1]) && numbers().bytes_used == bytes[0] + bytes[1]);
    be.put(be.self, model("first")), be.put(be.self, model("second"));
    buf_deinit(&said.text), buf_deinit(&second.text), buf_deinit(&truth[0].text), buf_deinit(&truth[1].text);
    CHECK(close_house());
}

/* Not for want of memory, but of the memory that models may take: beside one that answers, and alone. */
TEST(a_budget_that_is_too_small)
{
    struct answer said = {0}, second = {0};
    struct asker a;
    CHECK(learn());
    CHECK(open_house((struct backend_local_opts){.memory = bytes[1] - 1}) && settle(&said) && offer("second", second_file));
    ask(&a, "second");
    CHECK_MSG(a.told == 1 && a.err.code == ERR_NO_ROOM && err_http(a.err.code) == 503 && strstr(a.err.msg, "the model second needs") &&
                  strstr(a.err.msg, "--memory"),
              "%s", a.err.msg);
    UNTIL(said.done) {}
    CHECK(as(&said, &truth[0]) && door.pages == rest_pages && numbers().bytes_used == bytes[0]);
    be.put(be.self, model("first"));
    CHECK(close_house());

    CHECK(open_house((struct backend_local_opts){.memory = bytes[0] + bytes[1] - 1, .wait_ms = 300}) && settle(&said) &&
          offer("second", second_file));
    ask(&a, "second");
    CHECK_MSG(a.told == 1 && a.err.code == ERR_UNAVAILABLE && err_http(a.err.code) == 503 && err_retry(a.err.code) &&
                  strstr(a.err.msg, "the model second could not be loaded"),
              "%s", a.err.msg);
    UNTIL(said.done) {}
    CHECK(as(&said, &truth[0]) && door.pages == rest_pages && numbers().bytes_used == bytes[0] && !strcmp(status("first").state, "loaded"));
    be.put(be.self, model("first"));
    UNTIL(status("first").in_use == 0) {}
    UNTIL(a.err.code == ERR_OK) /* a slow machine loads it for longer than one waits */
    {
        ask(&a, "second");
    }
    CHECK_MSG(a.err.code == ERR_OK && begin(&second, "second", 12), "%s", a.err.msg);
    UNTIL(second.done) {}
    CHECK(as(&second, &truth[1]) && !strcmp(status("first").state, "unloaded") && numbers().bytes_used == bytes[1]);
    be.put(be.self, model("second"));
    buf_deinit(&said.text), buf_deinit(&second.text), buf_deinit(&truth[0].text), buf_deinit(&truth[1].text);
    CHECK(close_house());
}

/* The sizes of the second model: of its file, of its screen; of what is reckoned and held beside the pages of its KV and its slab of weights. */
static bool weigh(bool no_screen, struct model_shape *sh, uint64_t *reckoned, uint64_t *held_beside)
{
    const uint64_t slab = 64 << 20, kv = 8 << 20;
    struct modelfile *f;
    struct asker a;
    struct answer said = {0}, second = {0};
    struct err e;
    struct backend_local_opts o = {.engine = {.no_screen = no_screen, .no_prefix_cache = true}};
    if (!open_house(o) || !settle(&said) || !offer("second", second_file) || modelfile_open(&f, second_file, &e) || model_shape_read(sh, f, &e))
        return false;
    modelfile_close(f);
    ask(&a, "second");
    *reckoned = status("second").bytes;
    *held_beside = (uint64_t)(door.pages - rest_pages) - slab - kv;
    bool ok = a.err.code == ERR_OK && begin(&second, "second", 12);
    UNTIL(second.done && said.done) {}
    ok = ok && as(&second, &truth[1]);
    be.put(be.self, model("first")), be.put(be.self, model("second"));
    buf_deinit(&said.text), buf_deinit(&second.text);
    return close_house() && ok;
}

TEST(what_is_reckoned_is_what_is_held)
{
    struct model_shape sh;
    uint64_t with, without, beside, beside_without;
    CHECK(learn() && weigh(false, &sh, &with, &beside) && weigh(true, &sh, &without, &beside_without));
    CHECK_MSG(sh.screen_bytes == 2048 * 256 / 32 * 22 && with - without == sh.screen_bytes, "the screen: %llu", (unsigned long long)(with - without));
    CHECK_MSG(without - sh.weight_bytes - 200 * sh.n_vocab == beside && beside == beside_without, "%llu reckoned, %llu held",
              (unsigned long long)(without - sh.weight_bytes - 200 * sh.n_vocab), (unsigned long long)beside);
    buf_deinit(&truth[0].text), buf_deinit(&truth[1].text);
}

TEST_MAIN()
