#include "hub/probe.h"
#include "base/mem.h"
#include "base/sandbox.h"
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void text(struct jw *w, const char *key, const char *value)
{
    jw_key(w, key), jw_strn(w, value, strlen(value));
}

void probe_facts_write(struct buf *b, const struct probe_facts *f)
{
    struct jw w;
    jw_init(&w, b);
    jw_obj(&w);
    jw_key(&w, "facts");
    jw_obj(&w);
    text(&w, "architecture", f->architecture);
    text(&w, "quantisation", f->quantisation);
    text(&w, "name", f->name);
    text(&w, "licence", f->licence);
    jw_key(&w, "context"), jw_u64(&w, f->context);
    jw_key(&w, "parameters"), jw_u64(&w, f->parameters);
    jw_key(&w, "part"), jw_u64(&w, f->part);
    jw_key(&w, "parts"), jw_u64(&w, f->parts);
    jw_key(&w, "data_start"), jw_u64(&w, f->data_start);
    jw_obj_end(&w);
    jw_obj_end(&w);
}

static void error_write(struct buf *b, const struct err *e, uint64_t start)
{
    struct jw w;
    jw_init(&w, b);
    jw_obj(&w);
    jw_key(&w, "error");
    jw_obj(&w);
    jw_key(&w, "code"), jw_u64(&w, (uint64_t)e->code);
    text(&w, "message", e->msg);
    jw_key(&w, "data_start"), jw_u64(&w, start);
    jw_obj_end(&w);
    jw_obj_end(&w);
}

/* A text of the child, for a person: cut to its room, without control characters. */
static bool take_text(char *out, size_t cap, const struct json *j, const char *key)
{
    const struct json *v = json_get(j, key);
    struct str s = json_str(v);
    if (json_type(v) != JSON_STR || s.n >= cap)
        return false;
    for (size_t i = 0; i < s.n; i++)
        out[i] = (unsigned char)s.p[i] < 32 || s.p[i] == 127 ? '?' : s.p[i];
    out[s.n] = 0;
    return true;
}

static bool take_number(uint64_t *out, const struct json *j, const char *key)
{
    const struct json *v = json_get(j, key);
    *out = (uint64_t)json_int(v);
    return json_type(v) == JSON_INT && json_int(v) >= 0;
}

static int nonsense(struct err *e)
{
    return err_set(e, ERR_FORMAT, "hub: the reader of this file gave no proper answer; the file is not kept");
}

int probe_answer_read(struct probe_facts *out, const char *p, size_t n, struct err *e)
{
    struct json *root = NULL;
    uint64_t part = 0, parts = 0, code = 0;
    *out = (struct probe_facts){0};
    if (n > PROBE_FACTS_MAX || json_parse(&root, p ? p : "", n, NULL))
        return nonsense(e);
    const struct json *f = json_get(root, "facts"), *bad = json_get(root, "error");
    char message[sizeof((struct err *)0)->msg];
    int rc = 0;
    if (take_number(&code, bad, "code") && take_text(message, sizeof message, bad, "message") && take_number(&out->data_start, bad, "data_start"))
        rc = err_set(e, code == ERR_UNSUPPORTED ? ERR_UNSUPPORTED : code == ERR_NO_MEMORY ? ERR_NO_MEMORY : ERR_FORMAT, "%s", message);
    else if (!take_text(out->architecture, sizeof out->architecture, f, "architecture") ||
             !take_text(out->quantisation, sizeof out->quantisation, f, "quantisation") || !take_text(out->name, sizeof out->name, f, "name") ||
             !take_text(out->licence, sizeof out->licence, f, "licence") || !take_number(&out->context, f, "context") ||
             !take_number(&out->parameters, f, "parameters") || !take_number(&part, f, "part") || !take_number(&parts, f, "parts") ||
             !take_number(&out->data_start, f, "data_start") || parts > UINT16_MAX || part >= parts)
        rc = nonsense(e);
    out->part = (uint32_t)part, out->parts = (uint32_t)parts;
    json_free(root);
    return rc;
}

int probe_file(struct probe_facts *out, int fd, struct err *e)
{
    return probe_files(out, &fd, 1, e);
}

int probe_files(struct probe_facts *out, const int *fds, size_t n, struct err *e)
{
    char count[16];
    const char *argv[] = {"sluice", "probe", n > 1 ? count : NULL, NULL};
    struct sandbox_child c = {.argv = argv, .files = fds, .n_files = n, .timeout_ms = PROBE_TIMEOUT_MS};
    (void)str_fmt(count, sizeof count, "%zu", n);
    if (n < 1 || n > SANDBOX_FILES_MAX)
        return err_set(e, ERR_TOO_LARGE, "hub: a model in %zu files, where 1 to %d are read", n, SANDBOX_FILES_MAX);
    struct sandbox_end end;
    struct buf b;
    buf_init(&b, SANDBOX_OUTPUT_MAX);
    int rc = sandbox_run(&end, &b, &c, e);
    if (!rc && end.timed_out)
        rc = err_set(e, ERR_FORMAT, "hub: the file kept its reader busy for %d s and is refused; it is damaged, or made to do harm",
                     PROBE_TIMEOUT_MS / 1000);
    else if (!rc && end.flooded)
        rc = nonsense(e);
    else if (!rc && end.signal)
        rc = err_set(e, ERR_FORMAT, "hub: the file broke its reader (signal %d, in a sandbox) and is refused; it is damaged, or made to do harm",
                     end.signal);
    else if (!rc)
        rc = probe_answer_read(out, b.data, b.len, e);
    buf_deinit(&b);
    return rc;
}

/* Where the first tensor of the first file begins; the whole file's length when it has none. */
static uint64_t data_start(const struct os_map *map, const struct modelfile *f)
{
    uint64_t first = map->n;
    for (size_t i = 0; i < f->n_tensors; i++) {
        uint64_t at = (uint64_t)((const uint8_t *)f->tensors[i].data - map->p);
        first = at < first ? at : first;
    }
    return first;
}

static int map_file(struct os_map *out, int fd, struct err *e)
{
    struct stat st;
    *out = (struct os_map){(const uint8_t *)"", 0};
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(e, ERR_USAGE, "probe: descriptor %d is not a regular file; usage: sluice probe < FILE", fd);
    if (!st.st_size)
        return 0;
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return err_set(e, ERR_IO, "probe: the file cannot be mapped");
    *out = (struct os_map){p, (size_t)st.st_size};
    return 0;
}

/* In the sandbox. Nothing is freed: the process ends. */
static int look_at(struct probe_facts *facts, const struct os_map *map, size_t n, probe_look_fn look, struct err *e)
{
    struct modelfile **file = mem_array(n, sizeof *file), *all = NULL;
    *facts = (struct probe_facts){.parts = 1};
    int rc = file ? sandbox_enter(PROBE_MEMORY_MAX, PROBE_CPU_SECONDS, e) : err_set(e, ERR_NO_MEMORY, "probe: no memory");
    for (size_t i = 0; i < n && !rc; i++)
        rc = gguf_parse(&file[i], map[i].p, map[i].n, e);
    if (rc)
        return rc;
    facts->data_start = data_start(&map[0], file[0]);
    if (n > 1 && (rc = modelfile_join(&all, file, n, e)))
        return rc;
    return look(facts, n > 1 ? all : file[0], e);
}

static void write_all(const struct buf *b)
{
    for (size_t at = 0; at < b->len;) {
        ssize_t k = write(1, b->data + at, b->len - at);
        if (k <= 0)
            return;
        at += (size_t)k;
    }
}

void probe_child(size_t n, probe_look_fn look)
{
    struct probe_facts facts = {0};
    struct os_map map[SANDBOX_FILES_MAX];
    struct err e = {0};
    struct buf b;
    int rc = n < 1 || n > SANDBOX_FILES_MAX ? err_set(&e, ERR_USAGE, "probe: 1 to %d files are read", SANDBOX_FILES_MAX) : 0;
    buf_init(&b, PROBE_FACTS_MAX);
    for (size_t i = 0; i < n && !rc; i++)
        rc = map_file(&map[i], i ? (int)i + 2 : 0, &e);
    if (!rc)
        rc = look_at(&facts, map, n, look, &e);
    if (rc)
        error_write(&b, &e, facts.data_start);
    else
        probe_facts_write(&b, &facts);
    buf_char(&b, '\n');
    if (!b.failed)
        write_all(&b);
    _exit(rc == -ERR_USAGE ? 2 : rc || b.failed); /* at once: nothing that runs at exit may call what the sandbox forbids */
}
