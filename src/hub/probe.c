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
    static const char *const argv[] = {"sluice", "probe", NULL};
    struct sandbox_child c = {.argv = argv, .files = &fd, .n_files = 1, .timeout_ms = PROBE_TIMEOUT_MS};
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

static uint64_t data_start(const struct modelfile *f)
{
    uint64_t first = f->map.n;
    for (size_t i = 0; i < f->n_tensors; i++) {
        uint64_t at = (uint64_t)((const uint8_t *)f->tensors[i].data - f->map.p);
        first = at < first ? at : first;
    }
    return first;
}

static int look_at(struct probe_facts *facts, const void *p, size_t n, probe_look_fn look, struct err *e)
{
    struct modelfile *f = NULL;
    int rc = sandbox_enter(PROBE_MEMORY_MAX, PROBE_CPU_SECONDS, e);
    if (!rc)
        rc = gguf_parse(&f, p, n, e);
    if (!rc) {
        *facts = (struct probe_facts){.parts = 1, .data_start = data_start(f)};
        rc = look(facts, f, e);
    }
    return rc; /* f stays: the process ends */
}

int probe_child(probe_look_fn look)
{
    struct probe_facts facts = {0};
    struct err e = {0};
    struct stat st;
    struct buf b;
    int rc = 0;
    void *p = NULL;
    buf_init(&b, PROBE_FACTS_MAX);
    if (fstat(0, &st) != 0 || !S_ISREG(st.st_mode))
        rc = err_set(&e, ERR_USAGE, "probe: standard input is not a regular file; usage: sluice probe < FILE");
    else if (st.st_size && (p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, 0, 0)) == MAP_FAILED)
        rc = err_set(&e, ERR_IO, "probe: the file cannot be mapped");
    if (!rc)
        rc = look_at(&facts, p ? p : "", (size_t)st.st_size, look, &e);
    if (rc)
        error_write(&b, &e, facts.data_start);
    else
        probe_facts_write(&b, &facts);
    buf_char(&b, '\n');
    for (size_t at = 0; !b.failed && at < b.len;) {
        ssize_t k = write(1, b.data + at, b.len - at);
        if (k <= 0)
            break;
        at += (size_t)k;
    }
    _exit(b.failed || rc ? (rc == -ERR_USAGE ? 2 : 1) : 0); /* at once: nothing that runs at exit may call what the sandbox forbids */
}
