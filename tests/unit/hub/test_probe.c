/* The sandboxed reader: this program is its own child. What a planted file makes the child do is chosen by the file's general.name. */
#include "base/mem.h"
#include "base/sandbox.h"
#include "base/thread.h"
#include "format/modelfile.h"
#include "hub/probe.h"
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[600];

static int file_named(const char *name)
{
    struct gguf_writer *w;
    uint64_t ne[1] = {4};
    float data[4] = {1, 2, 3, 4};
    snprintf(path, sizeof path, "%s/sluice-probe-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    int fd = mkstemp(path);
    if (fd < 0 || gguf_writer_new(&w, NULL))
        return -1;
    close(fd);
    gguf_put_str(w, "general.name", str_of(name));
    gguf_put_tensor(w, "t", QUANT_F32, 1, ne, data, sizeof data);
    for (int i = 0; i < 1000 && !strcmp(name, "many"); i++) { /* as a real model: their table is sorted */
        char tensor[16];
        snprintf(tensor, sizeof tensor, "t%d", i);
        gguf_put_tensor(w, tensor, QUANT_F32, 1, ne, data, sizeof data);
    }
    int rc = gguf_writer_save(w, path, NULL);
    gguf_writer_free(w);
    fd = rc ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    unlink(path);
    return fd;
}

extern char **environ;

/* The child's look. Each of these must end it, or fail. */
static int look(struct probe_facts *out, const struct modelfile *f, struct err *e)
{
    struct str name;
    if (modelfile_str(f, "general.name", &name, e))
        return -ERR_FORMAT;
    if (str_eqz(name, "null"))
        *(volatile int *)(uintptr_t)(out->parts - 1) = 1;
    if (str_eqz(name, "abort"))
        abort();
    if (str_eqz(name, "exit"))
        _exit(0); /* without a word */
    if (str_eqz(name, "lie") && write(1, "{\"facts\":{\"architecture\":5}}\n", 29) > 0)
        _exit(0);
    if (str_eqz(name, "flood"))
        for (char junk[4096] = {0}; write(1, junk, sizeof junk) > 0;) {
        }
    if (str_eqz(name, "open"))
        (void)!open("/etc/passwd", O_RDONLY);
    if (str_eqz(name, "socket"))
        (void)socket(AF_INET, SOCK_STREAM, 0);
    if (str_eqz(name, "fork"))
        (void)fork();
    if (str_eqz(name, "exec"))
        execl("/bin/true", "true", (char *)NULL);
    if (str_eqz(name, "kill"))
        kill(getppid(), SIGTERM);
    if (str_eqz(name, "executable"))
        (void)!mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (str_eqz(name, "environment") && *environ)
        return err_set(e, ERR_INTERNAL, "the environment is not empty");
    if (str_eqz(name, "descriptors"))
        for (int fd = 2; fd < 1024; fd++)
            if (fd != 2 && read(fd, &fd, 0) == 0)
                return err_set(e, ERR_INTERNAL, "descriptor %d is open", fd);
    if (str_eqz(name, "memory"))
        for (int i = 0; i < 4096; i++) { /* 4 TiB of address space */
            void *p = mmap(NULL, 1ull << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (p == MAP_FAILED)
                return err_set(e, ERR_NO_MEMORY, "as it must be");
        }
    if (str_eqz(name, "bad"))
        return err_set(e, ERR_FORMAT, "test: a fault with a \"name\"");
    snprintf(out->architecture, sizeof out->architecture, "fine");
    return 0;
}

static int probe(const char *name, struct probe_facts *facts, struct err *e)
{
    int fd = file_named(name);
    if (fd < 0)
        return -ERR_IO;
    int rc = probe_file(facts, fd, e);
    close(fd);
    return rc;
}

TEST(a_sound_file_gives_its_facts)
{
    struct probe_facts f;
    struct err e = {0};
    CHECK_MSG(!probe("good", &f, &e), "%s", e.msg);
    CHECK(!strcmp(f.architecture, "fine") && f.parts == 1 && f.data_start > 0);
    CHECK_MSG(!probe("many", &f, &e), "%s", e.msg);
    CHECK(probe("bad", &f, &e) == -ERR_FORMAT && !strcmp(e.msg, "test: a fault with a \"name\"") && f.data_start > 0);
}

TEST(a_file_that_breaks_its_reader_is_an_error)
{
    static const char *const kills[] = {"null", "abort", "open", "socket", "fork", "exec", "kill", "executable"};
    struct probe_facts f;
    for (size_t i = 0; i < sizeof kills / sizeof *kills; i++) {
        struct err e = {0};
        int rc = probe(kills[i], &f, &e);
        CHECK_MSG(rc == -ERR_FORMAT, "%s: %d %s", kills[i], rc, e.msg);
        CHECK_MSG(strstr(e.msg, "broke its reader"), "%s: %s", kills[i], e.msg);
    }
    static const char *const talks[] = {"exit", "lie", "flood"};
    for (size_t i = 0; i < sizeof talks / sizeof *talks; i++) {
        struct err e = {0};
        CHECK_MSG(probe(talks[i], &f, &e) == -ERR_FORMAT, "%s", talks[i]);
        CHECK_MSG(strstr(e.msg, "no proper answer"), "%s: %s", talks[i], e.msg);
    }
}

TEST(the_child_has_no_secrets)
{
    struct probe_facts f;
    struct err e = {0};
    int keep[3];
    for (int i = 0; i < 3; i++)
        keep[i] = dup(0); /* inherited unless closed */
    setenv("HF_TOKEN", "secret", 1);
    CHECK_MSG(!probe("environment", &f, &e), "%s", e.msg);
    CHECK_MSG(!probe("descriptors", &f, &e), "%s", e.msg);
    for (int i = 0; i < 3; i++)
        close(keep[i]);
}

TEST(memory_has_a_limit)
{
#if defined(__SANITIZE_ADDRESS__)
    printf("the sanitizer's shadow is larger than any limit\n");
#else
    struct probe_facts f;
    struct err e = {0};
    CHECK(probe("memory", &f, &e) == -ERR_NO_MEMORY && !strcmp(e.msg, "as it must be"));
#endif
}

TEST(a_child_that_hangs_is_killed)
{
    static const char *const argv[] = {"sluice", "hang", NULL};
    int fd = open("/dev/null", O_RDONLY);
    struct sandbox_child c = {.argv = argv, .files = &fd, .n_files = 1, .timeout_ms = 200};
    struct sandbox_end end;
    struct buf b;
    buf_init(&b, 100);
    CHECK(!sandbox_run(&end, &b, &c, NULL) && end.timed_out && end.signal == SIGKILL);
    close(fd);
    buf_deinit(&b);
}

TEST(what_the_child_says_is_not_trusted)
{
    static const char *const bad[] = {
        "",
        "{}",
        "[]",
        "{\"facts\":{}}",
        "{\"error\":{}}",
        "{\"error\":{\"code\":-1,\"message\":\"x\",\"data_start\":0}}",
        "{\"facts\":null}",
        "{\"facts\":{\"architecture\":\"a\",\"quantisation\":\"q\",\"name\":\"n\",\"licence\":\"l\",\"context\":1,\"parameters\":1,\"part\":1,"
        "\"parts\":1,\"data_start\":1}}",
        "{\"facts\":{\"architecture\":\"a\",\"quantisation\":\"q\",\"name\":\"n\",\"licence\":\"l\",\"context\":-1,\"parameters\":1,\"part\":0,"
        "\"parts\":1,\"data_start\":1}}",
    };
    struct probe_facts f, g = {.architecture = "llama", .name = "a\nb", .parts = 2, .part = 1, .context = 5, .data_start = 7};
    struct err e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(probe_answer_read(&f, bad[i], strlen(bad[i]), &e) == -ERR_FORMAT, "%zu", i);
    struct buf b;
    buf_init(&b, 0);
    probe_facts_write(&b, &g);
    CHECK_MSG(!probe_answer_read(&f, b.data, b.len, &e), "%s", e.msg);
    CHECK(!strcmp(f.name, "a?b") && f.part == 1 && f.parts == 2 && f.context == 5 && f.data_start == 7);
    buf_deinit(&b);
}

static void churn(void *arg) /* a server's other threads: allocation locks are held at any moment */
{
    const volatile bool *stop = arg;
    while (!*stop)
        for (size_t n = 1; n < 4096; n *= 2)
            mem_free(mem_new(n));
}

TEST(it_is_started_from_a_threaded_process)
{
    struct thread t[4] = {{0}};
    volatile bool stop = false;
    bool ok = true;
    for (int i = 0; i < 4; i++)
        ok = thread_start(&t[i], "churn", churn, (void *)(uintptr_t)&stop) && ok;
    for (int i = 0; i < 20 && ok; i++) {
        struct probe_facts f;
        struct err e = {0};
        ok = probe(i % 2 ? "null" : "good", &f, &e) == (i % 2 ? -ERR_FORMAT : 0);
    }
    stop = true;
    for (int i = 0; i < 4; i++)
        thread_join(&t[i]);
    CHECK(ok);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "probe") == 0)
        probe_child(1, look);
    while (argc > 1 && strcmp(argv[1], "hang") == 0)
        pause();
    return test_run(argc > 1 ? argv[1] : NULL);
}
