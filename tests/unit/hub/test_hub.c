#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "format/modelfile.h"
#include "hub/hub.h"
#include "test.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char tmp[512]; /* a folder for one case */

static bool fresh(void)
{
    snprintf(tmp, sizeof tmp, "%s/sluice-hub-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(tmp) != NULL;
}

static void wipe(void)
{
    char cmd[600];
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", tmp);
    if (system(cmd) != 0)
        printf("cannot remove %s\n", tmp);
}

static const char *in_tmp(const char *rel)
{
    static char path[4][1100];
    static int i;
    i = (i + 1) % 4;
    snprintf(path[i], sizeof path[i], "%s/%s", tmp, rel);
    return path[i];
}

/* A sound GGUF file of about n bytes that differs by `name`. */
static bool make_gguf(const char *path, const char *name, size_t n)
{
    struct gguf_writer *w;
    if (gguf_writer_new(&w, NULL))
        return false;
    uint64_t ne[1] = {n / 4};
    float *data = mem_array(n / 4, 4);
    gguf_put_str(w, "general.name", str_of(name));
    gguf_put_tensor(w, "t", QUANT_F32, 1, ne, data, n / 4 * 4);
    int rc = gguf_writer_save(w, path, NULL);
    mem_free(data);
    gguf_writer_free(w);
    return rc == 0;
}

static int count_files(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;
    for (struct dirent *x; d && (x = readdir(d));)
        n += x->d_name[0] != '.';
    if (d)
        closedir(d);
    return d ? n : -1;
}

static uint64_t told_done, told_total;
static int told_calls;
static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    told_calls++, told_done = done, told_total = total;
}

TEST(add_is_idempotent_and_read_only)
{
    struct store *s;
    struct err e = {0};
    struct sha256 a, b, want;
    uint64_t size;
    char path[STORE_PATH_MAX];
    struct stat st;
    CHECK(fresh() && make_gguf(in_tmp("m.gguf"), "m", 3 << 20));
    CHECK_MSG(!store_open(&s, in_tmp("hub"), &e), "%s", e.msg);
    CHECK(!store_add(s, in_tmp("m.gguf"), on_progress, NULL, &a, &size, &e));
    CHECK(told_calls >= 3 && told_done == size && told_total == size);
    CHECK(!sha256_file(&want, in_tmp("m.gguf"), NULL, NULL, &e) && !memcmp(&a, &want, sizeof a));
    CHECK(!store_path(s, &a, path, &e) && stat(path, &st) == 0);
    CHECK((uint64_t)st.st_size == size && (st.st_mode & 07777) == 0444);
    ino_t first = st.st_ino;
    CHECK(!store_add(s, in_tmp("m.gguf"), NULL, NULL, &b, &size, &e) && !memcmp(&a, &b, sizeof a));
    CHECK(stat(path, &st) == 0 && st.st_ino == first); /* never rewritten */
    CHECK(count_files(in_tmp("hub/blobs/sha256")) == 1 && count_files(in_tmp("hub/tmp")) == 0);
    CHECK(!store_delete(s, &a, &e) && store_path(s, &a, path, &e) == -ERR_NOT_FOUND);
    store_close(s);
    wipe();
}

TEST(what_is_no_gguf_never_becomes_a_blob)
{
    struct store *s;
    struct err e = {0};
    struct sha256 d;
    uint64_t size;
    CHECK(fresh() && !store_open(&s, in_tmp("hub"), &e));
    CHECK(store_add(s, in_tmp("absent"), NULL, NULL, &d, &size, &e) == -ERR_NOT_FOUND);
    CHECK(!os_write_file(in_tmp("a"), "<!DOCTYPE html>", 15, 0644, &e));
    CHECK(store_add(s, in_tmp("a"), NULL, NULL, &d, &size, &e) == -ERR_FORMAT && strstr(e.msg, "web page"));
    CHECK(!os_write_file(in_tmp("a"), "", 0, 0644, &e));
    CHECK(store_add(s, in_tmp("a"), NULL, NULL, &d, &size, &e) == -ERR_FORMAT && strstr(e.msg, "empty"));
    CHECK(make_gguf(in_tmp("m.gguf"), "m", 4096) && truncate(in_tmp("m.gguf"), 4000) == 0);
    CHECK(store_add(s, in_tmp("m.gguf"), NULL, NULL, &d, &size, &e) == -ERR_FORMAT && strstr(e.msg, "past the end"));
    CHECK(store_add(s, tmp, NULL, NULL, &d, &size, &e) < 0); /* a folder */
    CHECK(mkfifo(in_tmp("pipe"), 0600) == 0 && store_add(s, in_tmp("pipe"), NULL, NULL, &d, &size, &e) < 0);
    CHECK(count_files(in_tmp("hub/blobs/sha256")) == 0 && count_files(in_tmp("hub/tmp")) == 0);
    store_close(s);
    wipe();
}

static int die_at; /* bytes after which the writer kills itself */
static void die(void *arg, uint64_t done, uint64_t total)
{
    (void)arg, (void)total;
    if (done >= (uint64_t)die_at)
        raise(SIGKILL);
}

TEST(killed_in_the_middle_leaves_nothing)
{
    struct store *s;
    struct err e = {0};
    struct sha256 d;
    uint64_t size;
    CHECK(fresh() && make_gguf(in_tmp("m.gguf"), "m", 4 << 20));
    for (die_at = 1 << 20; die_at <= 4 << 20; die_at += 1 << 20) {
        pid_t pid = fork();
        if (pid == 0) {
            if (!store_open(&s, in_tmp("hub"), &e) && !hub_add(s, in_tmp("m.gguf"), STR("m"), false, die, NULL, NULL, &e))
                _exit(1);
            _exit(2);
        }
        int st;
        CHECK(waitpid(pid, &st, 0) == pid && WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
        CHECK(count_files(in_tmp("hub/tmp")) == 1); /* it was in the middle indeed */
        CHECK(!store_open(&s, in_tmp("hub"), &e));
        CHECK(count_files(in_tmp("hub/tmp")) == 0 && count_files(in_tmp("hub/blobs/sha256")) == 0 && count_files(in_tmp("hub/refs")) == 0);
        store_close(s);
    }
    CHECK(!store_open(&s, in_tmp("hub"), &e) && !store_add(s, in_tmp("m.gguf"), NULL, NULL, &d, &size, &e));
    store_close(s);
    wipe();
}

static void open_other(void *arg, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    struct store *s; /* a second process opens the store while the first one writes: it must not sweep the living file */
    if (!store_open(&s, arg, NULL))
        store_close(s);
}

TEST(opening_spares_a_living_writer)
{
    struct store *s;
    struct err e = {0};
    struct sha256 d;
    uint64_t size;
    char dir[1100], path[STORE_PATH_MAX];
    CHECK(fresh() && make_gguf(in_tmp("m.gguf"), "m", 2 << 20));
    snprintf(dir, sizeof dir, "%s", in_tmp("hub"));
    CHECK(!store_open(&s, dir, &e));
    CHECK_MSG(!store_add(s, in_tmp("m.gguf"), open_other, dir, &d, &size, &e), "%s", e.msg);
    CHECK(!store_path(s, &d, path, &e));
    store_close(s);
    wipe();
}

TEST(names)
{
    static const char *const good[] = {
        "guide", "org/model", "Qwen/Qwen2.5-0.5B-Instruct:q4", "a", "..a", "a..b/.c", "\xe6\xa8\xa1\xe5\x9e\x8b", "a b", "100%", "a%2Fb"};
    static const char *const bad[] = {"",     "/",     "a/",   "/a",   "a//b",     ".",  "..", "a/../b", "./a",
                                      "a\nb", "a\x7f", "a\\b", "\xff", "\xc2\x85", " a", "a ", "\xc3"};
    struct err e;
    char long_name[130];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        CHECK_MSG(!ref_name_check(str_of(good[i]), &e), "%s: %s", good[i], e.msg);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(ref_name_check(str_of(bad[i]), &e) == -ERR_BAD_VALUE, "%zu", i);
    memset(long_name, 'a', sizeof long_name);
    CHECK(!ref_name_check((struct str){long_name, 128}, &e) && ref_name_check((struct str){long_name, 129}, &e) < 0);
    CHECK(ref_name_check((struct str){"a\0b", 3}, &e) < 0);
}

TEST(refs)
{
    struct store *s;
    struct err e = {0};
    struct ref r, got, *all;
    size_t n;
    bool used;
    CHECK(fresh() && make_gguf(in_tmp("one.gguf"), "one", 400) && make_gguf(in_tmp("two.gguf"), "two", 400) && !store_open(&s, in_tmp("hub"), &e));
    CHECK_MSG(!hub_add(s, in_tmp("one.gguf"), STR(""), false, NULL, NULL, &r, &e), "%s", e.msg);
    CHECK(!strcmp(r.name, "one") && !strcmp(r.repository, "local") && !strcmp(r.file, "one.gguf") && !*r.revision && r.size > 400 &&
          r.created_us > 0);
    CHECK(!hub_add(s, in_tmp("two.gguf"), STR("org/a%2Fb"), false, NULL, NULL, NULL, &e));
    CHECK(!hub_add(s, in_tmp("two.gguf"), STR("org/a/b"), false, NULL, NULL, NULL, &e)); /* another name, not the same file */
    CHECK(!hub_add(s, in_tmp("two.gguf"), STR("..."), false, NULL, NULL, NULL, &e));
    CHECK(!ref_list(s, &all, &n, &e) && n == 4);
    CHECK(!strcmp(all[0].name, "...") && !strcmp(all[1].name, "one") && !strcmp(all[2].name, "org/a%2Fb") && !strcmp(all[3].name, "org/a/b"));
    mem_free(all);
    /* The same file again is no conflict, another one is. */
    CHECK(!hub_add(s, in_tmp("one.gguf"), STR("one"), false, NULL, NULL, &got, &e) && got.created_us == r.created_us);
    CHECK(hub_add(s, in_tmp("two.gguf"), STR("one"), false, NULL, NULL, NULL, &e) == -ERR_CONFLICT);
    CHECK(!ref_get(s, STR("one"), &got, &e) && !memcmp(&got.digest, &r.digest, sizeof r.digest));
    CHECK(!hub_add(s, in_tmp("two.gguf"), STR("one"), true, NULL, NULL, &got, &e) && memcmp(&got.digest, &r.digest, sizeof r.digest));
    CHECK(!ref_uses(s, &r.digest, &used, &e) && !used && !ref_uses(s, &got.digest, &used, &e) && used);
    struct hub_model m;
    CHECK(!hub_model_open(&m, s, STR("org/a/b"), &e) && m.n == 1 && os_exists(m.path[0]));
    hub_model_close(&m);
    CHECK(!ref_delete(s, STR("org/a/b"), &e) && ref_delete(s, STR("org/a/b"), &e) == -ERR_NO_MODEL &&
          ref_get(s, STR("org/a/b"), &got, &e) == -ERR_NO_MODEL);
    CHECK(ref_get(s, STR("../refs/one"), &got, &e) == -ERR_BAD_VALUE && ref_delete(s, STR(".."), &e) == -ERR_BAD_VALUE);
    /* A ref to a blob that is not there is not made. */
    memset(&r.digest, 7, sizeof r.digest);
    CHECK(ref_set(s, &r, &e) == -ERR_NOT_FOUND);
    store_close(s);
    wipe();
}

TEST(damaged_refs_are_refused_and_left_out)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{\"name\":\"x\"}",
        "{\"name\":\"y\",\"repository\":\"\",\"revision\":\"\",\"file\":\"\",\"digest\":\"sha256:"
        "0000000000000000000000000000000000000000000000000000000000000000\",\"size\":1,\"created\":1}",
        "{\"name\":\"x\",\"repository\":\"\",\"revision\":\"\",\"file\":\"\",\"digest\":\"sha256:00\",\"size\":1,\"created\":1}",
        "{\"name\":\"x\",\"repository\":\"\",\"revision\":\"\",\"file\":\"\",\"digest\":\"sha256:"
        "0000000000000000000000000000000000000000000000000000000000000000\",\"size\":-1,\"created\":1}"};
    static const char good[] = "{\"name\":\"x\",\"repository\":\"\",\"revision\":\"\",\"file\":\"\",\"digest\":\"sha256:"
                               "0000000000000000000000000000000000000000000000000000000000000000\",\"size\":1,\"created\":1}";
    struct store *s;
    struct err e = {0};
    struct ref got, *all;
    size_t n;
    CHECK(fresh() && !store_open(&s, in_tmp("hub"), &e));
    int keep = dup(2), null = open("/dev/null", O_WRONLY); /* the log's warnings */
    dup2(null, 2);
    bool ok = true;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ok = ok && !os_write_file(in_tmp("hub/refs/x.json"), bad[i], strlen(bad[i]), 0644, &e);
        ok = ok && ref_get(s, STR("x"), &got, &e) == -ERR_IO && !ref_list(s, &all, &n, &e) && n == 0;
    }
    dup2(keep, 2);
    close(keep), close(null);
    CHECK(ok);
    CHECK(!os_write_file(in_tmp("hub/refs/x.json"), good, strlen(good), 0644, &e) && !ref_get(s, STR("x"), &got, &e) && got.size == 1);
    store_close(s);
    wipe();
}

TEST(a_removed_name_frees_what_no_other_leads_to)
{
    struct store *s;
    struct err e = {0};
    struct ref one, two;
    struct hub_model m;
    uint64_t freed;
    char path[STORE_PATH_MAX];
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    CHECK(fresh() && make_gguf(in_tmp("one.gguf"), "one", 400) && make_gguf(in_tmp("two.gguf"), "two", 800) && !store_open(&s, in_tmp("hub"), &e));
    CHECK(!hub_add(s, in_tmp("one.gguf"), STR("a"), false, NULL, NULL, &one, &e) &&
          !hub_add(s, in_tmp("one.gguf"), STR("b"), false, NULL, NULL, NULL, &e));
    CHECK(!hub_remove(s, STR("a"), false, &freed, &e) && freed == 0 && count_files(in_tmp("hub/blobs/sha256")) == 1);
    CHECK(hub_remove(s, STR("a"), false, &freed, &e) == -ERR_NO_MODEL);
    /* Held: not without force, and nothing has changed then. */
    int held;
    CHECK(!hub_model_open(&m, s, STR("b"), &e) && (held = open(m.path[0], O_RDONLY)) >= 0 && flock(held, LOCK_SH) == 0);
    CHECK(hub_remove(s, STR("b"), false, &freed, &e) == -ERR_CONFLICT && !ref_get(s, STR("b"), &one, &e));
    CHECK(!hub_remove(s, STR("b"), true, &freed, &e) && freed == one.size && count_files(in_tmp("hub/blobs/sha256")) == 0);
    close(held);
    hub_model_close(&m);
    /* Packed weights go with the last name, and only then; so do those of models that are not there. */
    char pack[3][4096];
    uint64_t size_of_pack = 0;
    CHECK(!hub_add(s, in_tmp("one.gguf"), STR("a"), false, NULL, NULL, NULL, &e) &&
          !hub_add(s, in_tmp("one.gguf"), STR("b"), false, NULL, NULL, NULL, &e) && !hub_model_open(&m, s, STR("a"), &e));
    store_packed_path(s, &m.packed_key, pack[0]);
    str_fmt(pack[2], sizeof pack[2], "%s-fedcba9876543210", pack[0]); /* packed in two ways */
    strcat(pack[0], "-0123456789abcdef");
    m.packed_key.b[3] ^= 1;
    store_packed_path(s, &m.packed_key, pack[1]);
    strcat(pack[1], "-0123456789abcdef");
    m.packed_key.b[3] ^= 1;
    CHECK(hub_packed_bytes(s, &m) == 0 && !os_write_file(pack[0], "packed", 6, 0444, &e) && !os_write_file(pack[1], "old", 3, 0444, &e));
    CHECK(hub_packed_bytes(s, &m) == 6 && !os_write_file(pack[2], "again", 5, 0444, &e) && hub_packed_bytes(s, &m) == 11);
    CHECK(!hub_remove(s, STR("a"), false, &size_of_pack, &e) && size_of_pack == 3 && os_exists(pack[0]) && os_exists(pack[2]) && !os_exists(pack[1]));
    CHECK(!hub_remove(s, STR("b"), false, &size_of_pack, &e) && size_of_pack == one.size + 11 && !os_exists(pack[0]) && !os_exists(pack[2]));
    hub_model_close(&m);
    /* A name that moves on frees what it meant. */
    CHECK(!hub_add(s, in_tmp("one.gguf"), STR("a"), false, NULL, NULL, NULL, &e) &&
          !hub_add(s, in_tmp("two.gguf"), STR("a"), true, NULL, NULL, &two, &e));
    CHECK(count_files(in_tmp("hub/blobs/sha256")) == 1 && store_has(s, &two.digest, two.size));
    CHECK(hub_add(s, in_tmp("one.gguf"), STR("a"), false, NULL, NULL, NULL, &e) == -ERR_CONFLICT && count_files(in_tmp("hub/blobs/sha256")) == 1);
    /* A blob without a name goes with the next removal when it is old, and not before. */
    struct sha256 orphan;
    uint64_t size;
    CHECK(!store_add(s, in_tmp("one.gguf"), NULL, NULL, &orphan, &size, &e) &&
          !hub_add(s, in_tmp("two.gguf"), STR("b"), false, NULL, NULL, NULL, &e));
    CHECK(!hub_remove(s, STR("b"), false, &freed, &e) && freed == 0 && store_has(s, &orphan, size));
    CHECK(!store_path(s, &orphan, path, &e) && utimensat(AT_FDCWD, path, old, 0) == 0);
    CHECK(!hub_remove(s, STR("a"), false, &freed, &e) && freed == two.size + size && count_files(in_tmp("hub/blobs/sha256")) == 0);
    store_close(s);
    wipe();
}

TEST_MAIN()
