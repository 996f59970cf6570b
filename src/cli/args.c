/* The command line taken apart, by the rows of commands.def. */
#include "cli/cli_int.h"
#include <string.h>

/* The row whose words are argv[1] (and argv[2]); *used: how many. */
static const struct command *find(int argc, char **argv, int *used)
{
    for (size_t i = 0; i < n_commands; i++) {
        struct str rest = str_of(commands[i].words);
        int n = 0;
        bool same = true;
        for (; rest.n && same; n++)
            same = 1 + n < argc && str_eqz(str_split(&rest, ' '), argv[1 + n]);
        if (same) {
            *used = n;
            return &commands[i];
        }
    }
    return NULL;
}

/* 0: unknown; 1: a switch; 2: takes a value. */
static int flag_kind(const struct command *d, struct str name)
{
    if (str_eqz(name, "json") || str_eqz(name, "help"))
        return 1;
    if (str_eqz(name, "data"))
        return 2;
    struct str rest = str_of(d->flags);
    while (rest.n) {
        struct str one = str_split(&rest, ' ');
        bool value = str_ends(one, "=");
        if (value)
            one.n--;
        if (str_eqz(one, "@settings") && settings_known(name))
            return 2;
        if (str_eq(one, name))
            return value ? 2 : 1;
    }
    return 0;
}

static int add_flag(struct cli *c, int argc, char **argv, int *i, struct err *e)
{
    struct str rest = str_of(argv[*i] + 2), name = str_split(&rest, '=');
    bool joined = strchr(argv[*i], '=') != NULL;
    int kind = flag_kind(c->command, name);
    if (!kind)
        return err_set(e, ERR_USAGE, "sluice %s has no flag --%.*s; see: sluice %s --help", c->command->words, (int)(name.n < 40 ? name.n : 40),
                       name.p, c->command->words);
    if (kind == 1 && joined)
        return err_set(e, ERR_USAGE, "--%.*s takes no value", (int)name.n, name.p);
    if (kind == 2 && !joined && *i + 1 >= argc)
        return err_set(e, ERR_USAGE, "--%.*s needs a value", (int)name.n, name.p);
    if (c->n_flags == FLAGS_MAX)
        return err_set(e, ERR_USAGE, "too many flags");
    c->flag[c->n_flags].name = name;
    c->flag[c->n_flags++].value = kind == 1 ? "" : joined ? strchr(argv[*i], '=') + 1 : argv[++*i];
    return 0;
}

int args_parse(struct cli *c, int argc, char **argv, struct err *e)
{
    int used = 0;
    memset(c, 0, sizeof *c);
    c->command = find(argc, argv, &used);
    if (!c->command)
        return err_set(e, ERR_USAGE, "there is no command %s; see: sluice help", argc > 1 ? argv[1] : "");
    bool only_words = false;
    for (int i = 1 + used; i < argc; i++) {
        if (!only_words && strcmp(argv[i], "--") == 0) {
            only_words = true;
        } else if (!only_words && c->n_flags < FLAGS_MAX && strcmp(argv[i], "-h") == 0) {
            c->flag[c->n_flags++].name = STR("help");
        } else if (!only_words && strncmp(argv[i], "--", 2) == 0) {
            int rc = add_flag(c, argc, argv, &i, e);
            if (rc < 0)
                return rc;
        } else if (c->n_words == WORDS_MAX) {
            return err_set(e, ERR_USAGE, "too many arguments");
        } else {
            c->word[c->n_words++] = argv[i];
        }
    }
    return 0;
}

const char *args_flag(const struct cli *c, const char *name)
{
    for (size_t i = c->n_flags; i-- > 0;) /* the last one wins */
        if (str_eqz(c->flag[i].name, name))
            return c->flag[i].value ? c->flag[i].value : "";
    return NULL;
}

int args_count(const struct cli *c, size_t min, size_t max, struct err *e)
{
    if (c->n_words >= min && c->n_words <= max)
        return 0;
    return err_set(e, ERR_USAGE, "%s; usage: sluice %s %s", c->n_words < min ? "an argument is missing" : "too many arguments", c->command->words,
                   c->command->args);
}
