/* sluice pull: a model from a hub into the store */
#include "base/clock.h"
#include "cli/cli_int.h"
#include "hub/pull.h"
#include <string.h>
#include <unistd.h>

enum { BAR = 24, LINE_SECONDS = 10, RATE_SAMPLES = 16 };

/* How it goes, for a person: a bar on a terminal, a line now and then elsewhere. */
struct view {
    bool tty, quiet;
    uint64_t shown_ns; /* when something was printed last */
    uint64_t began_ns;
    struct {
        uint64_t ns, moved;
    } sample[RATE_SAMPLES]; /* the last ones, for the rate now */
    unsigned n_samples;
    char file[REMOTE_PATH_MAX + 1];
    bool bar; /* a bar stands on the line */
};

static void size_text(char out[32], double bytes)
{
    static const char *const unit[] = {"B", "kB", "MB", "GB", "TB"};
    size_t u = 0;
    for (; bytes >= 1000 && u + 1 < sizeof unit / sizeof *unit; u++)
        bytes /= 1000;
    str_fmt(out, 32, u ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
}

/* Bytes a second over the last samples. */
static double rate(struct view *v, uint64_t now, uint64_t moved)
{
    v->sample[v->n_samples++ % RATE_SAMPLES].ns = now;
    v->sample[(v->n_samples - 1) % RATE_SAMPLES].moved = moved;
    unsigned first = v->n_samples > RATE_SAMPLES ? v->n_samples % RATE_SAMPLES : 0;
    double s = (double)(now - v->sample[first].ns) / 1e9;
    return s > 0.05 && moved >= v->sample[first].moved ? (double)(moved - v->sample[first].moved) / s : 0;
}

static void show(struct view *v, const struct fetch_progress *p, double per_s)
{
    char done[32], total[32], speed[32], left[32] = "--:--", bar[BAR + 1];
    uint64_t seconds = per_s > 1 ? (uint64_t)((double)(p->total - p->done) / per_s) : 0;
    double part = p->total ? (double)p->done / (double)p->total : 1;
    int filled = (int)(part * BAR), percent = (int)(part * 100);
    size_text(done, (double)p->done), size_text(total, (double)p->total), size_text(speed, per_s);
    if (per_s > 1 && seconds < 360000)
        str_fmt(left, sizeof left, seconds < 3600 ? "%llu:%02llu" : "%llu:%02llu:%02llu",
                (unsigned long long)(seconds < 3600 ? seconds / 60 : seconds / 3600),
                (unsigned long long)(seconds < 3600 ? seconds % 60 : seconds / 60 % 60), (unsigned long long)seconds % 60);
    for (int i = 0; i < BAR; i++)
        bar[i] = i < filled ? '=' : i == filled ? '>' : ' ';
    bar[BAR] = '\0';
    if (v->tty)
        fprintf(stderr, "\r%3d%% [%s] %s of %s, %s/s, %s left \033[K", percent, bar, done, total, speed, left);
    else
        fprintf(stderr, "%s: %d%%, %s of %s, %s/s, %s left\n", v->file, percent, done, total, speed, left);
    v->bar = v->tty;
}

static void on_progress(void *arg, const char *file, const struct fetch_progress *p)
{
    struct view *v = arg;
    uint64_t now = clock_ns();
    bool other = strcmp(file, v->file) != 0;
    if (other) {
        if (v->bar)
            fprintf(stderr, "\n");
        str_fmt(v->file, sizeof v->file, "%s", file);
        for (char *c = v->file; *c; c++)
            *c = (unsigned char)*c < 32 || *c == 127 ? '?' : *c;
        v->n_samples = 0, v->bar = false;
        if (v->tty && !v->quiet)
            fprintf(stderr, "%s\n", v->file);
        v->shown_ns = v->tty ? 0 : now;
    }
    double per_s = rate(v, now, p->moved);
    if (v->quiet || (!v->tty && now - v->shown_ns < LINE_SECONDS * 1000000000ull))
        return;
    v->shown_ns = now;
    show(v, p, per_s);
}

static void on_note(void *arg, const char *text)
{
    struct view *v = arg;
    if (!v->quiet)
        fprintf(stderr, "%ssluice: %s\n", v->tty ? "\r\033[K" : "", text);
}

static int number(const struct cli *c, const char *flag, uint64_t max, uint64_t scale, uint32_t *out, struct err *e)
{
    const char *v = args_flag(c, flag);
    uint64_t n;
    if (!v)
        return 0;
    if (!str_u64(str_of(v), &n) || n < 1 || n > max)
        return err_set(e, ERR_USAGE, "--%s is a number from 1 to %llu", flag, (unsigned long long)max);
    *out = (uint32_t)(n * scale);
    return 0;
}

static void print_json(const struct pull_done *d)
{
    char digest[65 + 7] = "sha256:";
    struct buf b;
    struct jw w;
    str_to_hex(digest + 7, d->ref.digest.b, 32);
    buf_init(&b, 0);
    jw_init(&w, &b);
    jw_obj(&w);
    jw_key(&w, "name"), jw_str(&w, d->ref.name);
    jw_key(&w, "repository"), jw_str(&w, d->ref.repository);
    jw_key(&w, "revision"), jw_str(&w, d->ref.revision);
    jw_key(&w, "file"), jw_str(&w, d->ref.file);
    jw_key(&w, "parts"), jw_u64(&w, d->parts);
    jw_key(&w, "bytes"), jw_u64(&w, d->ref.size);
    jw_key(&w, "digest"), jw_str(&w, digest);
    jw_key(&w, "moved"), jw_u64(&w, d->moved);
    jw_key(&w, "new"), jw_bool(&w, d->was_new);
    jw_obj_end(&w);
    printf("%s\n", b.data ? b.data : "");
    buf_deinit(&b);
}

static void print_text(const struct pull_done *d, const struct view *v)
{
    char size[32], moved[32], speed[32], digest[65];
    double s = (double)(clock_ns() - v->began_ns) / 1e9;
    size_text(size, (double)d->ref.size), size_text(moved, (double)d->moved), size_text(speed, s > 0 ? (double)d->moved / s : 0);
    str_to_hex(digest, d->ref.digest.b, 32);
    if (v->bar)
        fprintf(stderr, "\r\033[K");
    if (d->moved)
        printf("pulled %s (%s in %zu file%s, sha256:%.16s...; %s moved at %s/s)\n", d->ref.name, size, d->parts, d->parts == 1 ? "" : "s", digest,
               moved, speed);
    else
        printf("%s %s (%s, sha256:%.16s...); no bytes moved\n", d->was_new ? "named" : "up to date:", d->ref.name, size, digest);
    if (d->was_new)
        fprintf(stderr, "A running server serves it at once, when it has a price: sluice price set %s --input X --output Y\n", d->ref.name);
}

int cmd_pull(const struct cli *c, struct err *e)
{
    char dir[PATH_LEN], hub[PATH_LEN];
    struct store *s = NULL;
    struct view v = {.tty = isatty(2), .quiet = args_flag(c, "json") != NULL, .began_ns = clock_ns()};
    struct pull_opts o = {.progress = on_progress, .note = on_note, .arg = &v, .probe = probe_files};
    struct pull_done done;
    int rc;
    if ((rc = args_count(c, 1, 1, e)) < 0 || (rc = data_dir(c, dir, e)) < 0 || (rc = data_file(hub, dir, "hub", e)) < 0 ||
        (rc = number(c, "connections", FETCH_CONNECTIONS_MAX, 1, &o.connections, e)) < 0 || (rc = number(c, "retries", 1000, 1, &o.retries, e)) < 0 ||
        (rc = number(c, "timeout", 3600, 1000, &o.stall_ms, e)) < 0 || (rc = store_open(&s, hub, e)) < 0)
        return rc;
    o.spec = c->word[0], o.from = args_flag(c, "from"), o.name = args_flag(c, "name"), o.token_file = args_flag(c, "token-file");
    o.replace = args_flag(c, "replace") != NULL;
    rc = hub_pull(s, &o, &done, e);
    store_close(s);
    if (rc < 0 && v.bar)
        fprintf(stderr, "\n");
    if (rc < 0)
        return rc;
    if (v.quiet)
        print_json(&done);
    else
        print_text(&done, &v);
    return 0;
}
