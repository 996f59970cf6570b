/* Private to cli/: parsed arguments, settings, and what commands share. */
#pragma once
#include "api/api.h"
#include "base/json.h"
#include "base/thread.h"
#include "cli/cli.h"
#include "hub/hub.h"
#include <stdio.h>

enum { FLAGS_MAX = 32, WORDS_MAX = 16 };
struct cli;
typedef int (*command_fn)(const struct cli *c, struct err *e);
struct command {
    const char *words;
    command_fn  fn;
    const char *args, *flags, *text, *example;
};
extern const struct command commands[];
extern const size_t         n_commands;

struct cli { /* one parsed command line */
    const struct command *command;
    struct { struct str name; const char *value; } flag[FLAGS_MAX]; /* value: "" for a flag without one */
    size_t      n_flags;
    const char *word[WORDS_MAX]; /* what is no flag, after the command's words */
    size_t      n_words;
};
#define COMMAND(words, fn, args, flags, text, example) int fn(const struct cli *c, struct err *e);
#include "cli/commands.def"
#undef COMMAND

/* args.c */
int         args_parse(struct cli *c, int argc, char **argv, struct err *e) MUST_USE; /* ERR_USAGE; flag "help" is left to the caller */
const char *args_flag(const struct cli *c, const char *name); /* NULL: not given */
int         args_count(const struct cli *c, size_t min, size_t max, struct err *e) MUST_USE;

/* help.c */
void help_list(void);
void help_command(const struct command *d);

/* data.c: --data, else $SLUICE_DATA, else /var/lib/sluice for root, else $XDG_DATA_HOME/sluice, else ~/.local/share/sluice */
enum { PATH_LEN = 1024 };
int data_dir(const struct cli *c, char out[PATH_LEN], struct err *e) MUST_USE;
int data_file(char out[PATH_LEN], const char *dir, const char *name, struct err *e) MUST_USE;

/* settings.c */
struct settings;
bool        settings_known(struct str name);
void        settings_help(void); /* one line each */
/* c NULL: without flags, of a command that has others. */
int         settings_load(struct settings **out, const struct cli *c, const char *dir, struct err *e) MUST_USE;
void        settings_free(struct settings *s);
void        settings_print(const struct settings *s, const char *dir);
const char *settings_get(const struct settings *s, const char *name);
int         settings_u64(const struct settings *s, const char *name, uint64_t max, uint64_t *out, struct err *e) MUST_USE;
int         settings_yes(const struct settings *s, const char *name, bool *out, struct err *e) MUST_USE; /* yes or no */

/* sign_in.c: how people sign in; on: an issuer is set */
struct sign_in {
    bool on;
    struct api_sign_in opts;
    char secret[1024], redirect[600];
};
int sign_in_read(struct sign_in *out, const struct settings *s, struct err *e) MUST_USE; /* out's texts are in out and in s */

/* publish.c: backend_local_opts.prefix; dir: the folder */
int publish_next(void *dir, const struct backend_model *m, size_t i, struct vec_i32 *tokens, struct err *e) MUST_USE;

/* admin.c: an operator's call, over DATA/admin.sock when a server runs, else on the ledger itself. args: pairs of name and value, a NULL
 * name ends; NULL values are left out. The caller frees *out. */
struct admin_arg { const char *name, *value; };
const char *deed_actor(const struct cli *c); /* cmd_grant.c: who does it, as far as is known */
int admin_do(const struct cli *c, enum http_method method, const char *path, const struct admin_arg *args, struct json **out, struct err *e) MUST_USE;
/* The errclass of an answer that is an error object; its text goes to e. */
int error_from_answer(int status, const struct buf *body, struct err *e);

/* table.c: an array of flat objects as aligned columns, as JSON when --json was given, as CSV when the command has --csv and it was. */
void table_print(const struct cli *c, const struct json *rows);
void json_print(const struct json *j);
/* "name  value" lines, or JSON; what is within an object as "name.member", an array under its name as a table. */
void object_print(const struct cli *c, const struct json *obj);

/* models.c: a backend with the models of DATA and the built-in guide. */
struct models_opts {
    const char               *dir;
    struct backend_local_opts local;
    bool                      one;  /* load one model now: `only`, or the first when that is NULL; else none is there yet */
    const char               *only;
};
int models_open(struct backend_local **out, const struct models_opts *o, struct err *e) MUST_USE;
/* Bytes for loaded models and for KV pages, by the settings memory and kv-memory and this machine's memory. */
struct models_budget { uint64_t models, kv; };
int models_budget(const struct settings *s, struct models_budget *out, struct err *e) MUST_USE;
/* The model that is meant when none is named: guide, else the first. NULL: there is none. */
const struct backend_model *models_default(const struct backend *b);

/* Offers every name of the store to a backend, now and as names come and go; on_new (owner's thread) is called for each. Freed before the backend
 * and after `post` runs nothing any more; models_watch_stop ends its thread earlier. */
struct models_watch;
struct models_watch_opts {
    const char           *dir;
    struct backend_local *local;
    void (*post)(void *ctx, void (*fn)(void *), void *arg);
    void *post_ctx;
    void (*on_new)(void *arg, const char *alias);
    void *arg;
};
int  models_watch_start(struct models_watch **out, const struct models_watch_opts *o, struct err *e) MUST_USE; /* *out is set also after an error */
void models_watch_stop(struct models_watch *w);
void models_watch_free(struct models_watch *w);

/* notify.c: to the service manager, when there is one. */
void     notify(const char *what); /* lines of NAME=value */
uint32_t notify_watchdog_ms(void); /* how often it wants to hear WATCHDOG=1; 0: never */

/* drain.c: SIGTERM and SIGINT, and an orderly end. */
struct drain {
    struct api    *api;
    struct server *server;
    uint32_t       ms; /* for running answers */
    uint64_t       until_ns;
    struct timer  *timer;
    struct thread  thread;
};
void drain_block_signals(void); /* before any thread starts */
int  drain_start(struct drain *d, struct err *e) MUST_USE;
void drain_stop(struct drain *d); /* server_run has ended */

/* guide.c: the guide model built into this program; false: built without it. */
bool guide_bytes(const void **p, size_t *n);
#define GUIDE_NAME "guide"

/* demo.c */
struct demo { char key[LEDGER_KEY_MAX]; };
int demo_setup(struct demo *out, struct ledger *l, const char *dir, const char *model, struct err *e) MUST_USE;
int demo_key_read(char key[LEDGER_KEY_MAX], const char *dir, struct err *e) MUST_USE;

/* run_local.c, run_remote.c: one way to ask, two ways to answer. on_text: false stops the answer. */
struct ask {
    const struct json *messages;
    const char        *model; /* NULL: the default */
    double             temperature;
    uint32_t           max_tokens; /* 0: no limit */
    bool               has_seed;
    int64_t            seed;
    bool (*stopped)(void); /* polled */
    struct buf        *answer; /* the text, also printed as it comes */
    char               note[160]; /* out: what it cost, how fast it was; "" when unknown */
};
struct asker { void *self; int (*ask)(void *self, struct ask *a, struct err *e); void (*free)(void *self); };
int run_local_open(struct asker *out, const char *dir, const char *model, struct err *e) MUST_USE;
/* 0; 1 when no server answers at DATA/admin.sock and no url was given */
int run_remote_open(struct asker *out, const char *dir, const char *url, const char *key, struct err *e) MUST_USE;
