/* sluice run: one question, or a chat with history. */
#include "base/os.h"
#include "base/vec.h"
#include "cli/cli_int.h"
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;
static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}
static bool stopped(void)
{
    return interrupted;
}

struct talk {
    struct asker asker;
    struct ask ask;
    struct buf history; /* the messages so far: JSON objects with commas between */
};

static void add_message(struct buf *history, const char *role, const char *p, size_t n)
{
    struct jw w;
    if (history->len)
        buf_char(history, ',');
    jw_init(&w, history);
    jw_obj(&w);
    jw_key(&w, "role"), jw_str(&w, role);
    jw_key(&w, "content"), jw_strn(&w, p, n);
    jw_obj_end(&w);
}

/* Asks with the whole history; the answer joins it, also a stopped one. */
static int turn(struct talk *t, const char *p, size_t n, struct err *e)
{
    struct json *messages = NULL;
    struct buf text, answer;
    size_t before = t->history.len;
    buf_init(&text, 0), buf_init(&answer, 64 << 20);
    add_message(&t->history, "user", p, n);
    buf_fmt(&text, "[%s]", t->history.data);
    t->ask.answer = &answer;
    t->ask.note[0] = '\0';
    interrupted = 0;
    int rc = json_parse(&messages, text.data, text.len, e);
    t->ask.messages = messages;
    if (rc >= 0)
        rc = t->asker.ask(t->asker.self, &t->ask, e);
    if (rc >= 0) {
        printf("\n");
        if (isatty(2) && t->ask.note[0])
            fprintf(stderr, "\033[2m%s%s\033[0m\n", interrupted ? "stopped; " : "", t->ask.note);
        add_message(&t->history, "assistant", answer.data ? answer.data : "", answer.len);
    } else {
        t->history.len = before; /* a question that failed is as if it had not been asked */
        if (t->history.data)
            t->history.data[before] = '\0';
    }
    json_free(messages);
    buf_deinit(&text), buf_deinit(&answer);
    return rc;
}

/* Reads a line; false at the end of the input. Ctrl-C at the prompt clears the line. */
static bool read_line(struct buf *line)
{
    buf_clear(line);
    for (;;) {
        int c = getchar();
        if (c == EOF && interrupted) {
            interrupted = 0;
            clearerr(stdin);
            buf_clear(line);
            fprintf(stderr, "\n(Ctrl-D ends)\n> ");
        } else if (c == EOF) {
            return line->len > 0;
        } else if (c == '\n') {
            return true;
        } else {
            buf_char(line, (char)c);
        }
    }
}

static int chat(struct talk *t, struct err *e)
{
    struct buf line;
    int rc = 0;
    buf_init(&line, 1 << 20);
    bool people = isatty(0);
    for (;;) {
        if (people)
            fprintf(stderr, "> ");
        if (!read_line(&line))
            break;
        struct str s = str_trim((struct str){line.data, line.len});
        if (!s.n)
            continue;
        rc = turn(t, s.p, s.n, e);
        if (rc < 0 && !people)
            break;
        if (rc < 0)
            fprintf(stderr, "sluice: %s\n", e->msg);
        rc = 0;
    }
    buf_deinit(&line);
    return rc;
}

static int read_numbers(const struct cli *c, struct ask *a, struct err *e)
{
    const char *v;
    uint64_t n = 0;
    a->temperature = 0;
    if ((v = args_flag(c, "temperature")) && (!str_f64(str_of(v), &a->temperature) || a->temperature < 0 || a->temperature > 2))
        return err_set(e, ERR_USAGE, "--temperature %s must be a number from 0 to 2", v);
    if ((v = args_flag(c, "max-tokens")) && (!str_u64(str_of(v), &n) || n < 1 || n > INT32_MAX))
        return err_set(e, ERR_USAGE, "--max-tokens %s must be a whole number from 1", v);
    a->max_tokens = (uint32_t)n;
    if ((v = args_flag(c, "seed")) && !(a->has_seed = str_i64(str_of(v), &a->seed)))
        return err_set(e, ERR_USAGE, "--seed %s must be a whole number", v);
    return 0;
}

/* The server of the data folder; without --data also the one of ./demo-data, which `serve --demo` uses. */
static int open_asker(const struct cli *c, struct asker *out, const char *model, struct err *e)
{
    char dir[PATH_LEN];
    int rc = data_dir(c, dir, e);
    if (rc < 0)
        return rc;
    if (!args_flag(c, "local")) {
        rc = run_remote_open(out, dir, args_flag(c, "url"), args_flag(c, "key"), e);
        if (rc == 1 && !args_flag(c, "data"))
            rc = run_remote_open(out, "demo-data", NULL, args_flag(c, "key"), e);
        if (rc <= 0)
            return rc;
    }
    fprintf(stderr, "sluice: %s runs here and is not metered\n", args_flag(c, "local") ? "this" : "no server is running, so this");
    rc = run_local_open(out, dir, model, e);
    if (rc == -ERR_NO_MODEL && !args_flag(c, "data") && os_exists("demo-data"))
        rc = run_local_open(out, "demo-data", model, e);
    return rc;
}

int cmd_run(const struct cli *c, struct err *e)
{
    struct talk t = {.ask = {.stopped = stopped}};
    const char *prompt = NULL, *system = args_flag(c, "system");
    int rc;
    if ((rc = args_count(c, 0, 2, e)) < 0 || (rc = read_numbers(c, &t.ask, e)) < 0)
        return rc;
    if (c->n_words == 2)
        t.ask.model = c->word[0], prompt = c->word[1];
    else if (c->n_words == 1 && strchr(c->word[0], ' ')) /* no model has a blank in its name: a question for the default model */
        prompt = c->word[0];
    else if (c->n_words == 1)
        t.ask.model = c->word[0];
    if ((rc = open_asker(c, &t.asker, t.ask.model, e)) < 0)
        return rc;
    struct sigaction sa = {.sa_handler = on_interrupt}; /* without SA_RESTART: a read at the prompt ends too */
    sigaction(SIGINT, &sa, NULL);
    buf_init(&t.history, 64 << 20);
    if (system)
        add_message(&t.history, "system", system, strlen(system));
    rc = prompt ? turn(&t, prompt, strlen(prompt), e) : chat(&t, e);
    buf_deinit(&t.history);
    t.asker.free(t.asker.self);
    return rc;
}
