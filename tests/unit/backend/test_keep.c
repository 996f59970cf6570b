/* Packed weights are kept in a file after the first load and used by the next; one that is cut or of another model is packed again, and the text
 * is the same each time. */
#include "../../../tools/tiny.h"
#include "backend/backend.h"
#include "backend/postq.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/os.h"
#include "device/packed.h"
#include "test.h"
#include <sys/stat.h>
#include <unistd.h>

static struct postq queue;
static struct backend_local *local;
static struct backend be;
static char dir[64], file[96], stem[96], packed[PACKED_PATH_MAX];

static bool open_one(bool no_packed, uint64_t min, uint8_t key)
{
    struct err e;
    struct backend_local_opts o = {.device = {.n_threads = 1}, .engine = {.kv_bytes = 8 << 20}, .post = postq_post, .post_ctx = &queue};
    o.no_packed = no_packed, o.packed_min = min;
    postq_init(&queue);
    if (backend_local_new(&local, &o, &e) < 0)
        return false;
    backend_local_iface(local, &be);
    struct backend_source s = {.alias = "m", .source = "a@b:c", .path = file, .packed = stem, .packed_key = {{key}}};
    return backend_local_offer(local, &s, &e) == 0;
}

static void close_one(void)
{
    be.free(be.self);
    postq_run(&queue, 0);
    postq_deinit(&queue);
}

struct said {
    int32_t n_tokens;
    bool ready, done;
    char text[512];
    size_t n;
};

static void on_ready(void *arg, const struct err *e)
{
    ((struct said *)arg)->ready = e->code == ERR_OK;
}

static void on_event(void *arg, const struct backend_event *ev)
{
    struct said *s = arg;
    size_t n = ev->n_text < sizeof s->text - s->n ? ev->n_text : sizeof s->text - s->n;
    if (ev->kind == SEQ_TEXT && n)
        memcpy(s->text + s->n, ev->text, n), s->n += n;
    s->n_tokens += (int32_t)ev->n_tokens;
    s->done |= ev->kind == SEQ_DONE;
}

/* Loads it and asks it; the text. */
static bool say(struct said *s)
{
    static const int32_t prompt[] = {5, 9, 20, 31};
    struct err e;
    const struct backend_model *m = be.model_at(be.self, 0);
    struct backend_wait w = {.ready = on_ready, .arg = s};
    struct backend_job *j;
    *s = (struct said){0};
    int rc = be.get(be.self, m, &w, &e);
    for (uint64_t end = clock_ns() + 300000000000ull; rc == 1 && !s->ready && clock_ns() < end;)
        postq_run(&queue, 50);
    if (rc < 0 || (rc == 1 && !s->ready))
        return false;
    struct backend_req q = {.model = m, .tenant = {.id = 1, .weight = 1}, .prompt = prompt, .n_prompt = 4, .max_tokens = 24, .allowance = 1000,
                            .sample = {.temperature = 1, .top_p = 1, .seed = 3}, .on_event = on_event, .arg = s};
    if (be.start(be.self, &q, 1, &j, &e) < 0)
        return false;
    for (uint64_t end = clock_ns() + 300000000000ull; !s->done && clock_ns() < end;)
        postq_run(&queue, 50);
    be.put(be.self, m);
    return s->done && s->n_tokens > 0;
}

static bool appears(ino_t not)
{
    struct stat st;
    for (uint64_t end = clock_ns() + 300000000000ull; clock_ns() < end; clock_sleep_ms(5))
        if (stat(packed, &st) == 0 && st.st_ino != not)
            return true;
    return false;
}

static bool same(const struct said *a, const struct said *b)
{
    return a->n == b->n && memcmp(a->text, b->text, a->n) == 0 && a->n_tokens == b->n_tokens;
}

TEST(packed_weights_are_kept)
{
    static struct said first, next;
    struct tiny o = tiny_default("llama");
    struct err e;
    struct stat st, now;
    strcpy(dir, "/tmp/sluice-keep-XXXXXX");
    CHECK(mkdtemp(dir) && tiny_set(&o, STR("type"), STR("q4_0")));
    snprintf(file, sizeof file, "%s/m.gguf", dir);
    snprintf(stem, sizeof stem, "%s/packed", dir);
    struct device *d;
    CHECK(!device_new(&d, &(struct device_opts){.n_threads = 1}, &e) && packed_path(packed, stem, packed_layout(d)));
    device_free(d);
    CHECK(tiny_save(&o, file, &e) == 0);
    log_level_set(LOG_ERROR);

    CHECK(open_one(true, 1, 7) && say(&first)); /* switched off */
    clock_sleep_ms(100);
    close_one();
    CHECK(!os_exists(packed));
    CHECK(open_one(false, 1 << 30, 7) && say(&next) && same(&first, &next)); /* not worth a file */
    clock_sleep_ms(100);
    close_one();
    CHECK(!os_exists(packed));

    CHECK(open_one(false, 1, 7) && say(&next) && same(&first, &next) && appears(0));
    close_one();
    CHECK(stat(packed, &st) == 0);
    CHECK(open_one(false, 1, 7) && say(&next) && same(&first, &next)); /* found: it is not written again */
    clock_sleep_ms(100);
    close_one();
    CHECK(stat(packed, &now) == 0 && now.st_ino == st.st_ino && now.st_mtim.tv_nsec == st.st_mtim.tv_nsec);

    char elsewhere[PACKED_PATH_MAX]; /* kept by a machine that packs differently */
    CHECK(packed_path(elsewhere, stem, 1) && !os_write_file(elsewhere, "not ours", 8, 0444, &e));
    CHECK(rename(packed, stem) == 0); /* where an earlier build kept it */
    CHECK(open_one(false, 1, 7) && say(&next) && same(&first, &next));
    clock_sleep_ms(100);
    close_one();
    CHECK(stat(packed, &now) == 0 && now.st_ino == st.st_ino && !os_exists(stem));

    CHECK(truncate(packed, st.st_size - 100) == 0); /* cut off */
    CHECK(open_one(false, 1, 7) && say(&next) && same(&first, &next) && appears(st.st_ino));
    close_one();
    CHECK(stat(packed, &now) == 0 && now.st_size == st.st_size);
    CHECK(open_one(false, 1, 8) && say(&next) && same(&first, &next) && appears(now.st_ino)); /* of another file */
    close_one();
    CHECK(stat(elsewhere, &now) == 0 && now.st_size == 8);
    CHECK(os_remove_tree(dir, &e) == 0);
}

TEST_MAIN()
