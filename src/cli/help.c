#include "api/params.h"
#include "cli/cli_int.h"
#include <string.h>

void help_list(void)
{
    printf("sluice %s: the AI cloud in one C program\n\nusage: sluice COMMAND [ARGUMENTS] [--data DIR] [--json]\n\n", SLUICE_VERSION);
    for (size_t i = 0; i < n_commands; i++)
        printf("  %-15s %s\n", commands[i].words, commands[i].text);
    printf("\nsluice COMMAND --help explains one. Begin with: sluice serve --demo\n");
}

void help_command(const struct command *d)
{
    printf("sluice %s%s%s\n    %s\n", d->words, *d->args ? " " : "", d->args, d->text);
    struct str rest = str_of(d->flags);
    if (rest.n)
        printf("    flags:");
    while (rest.n) {
        struct str one = str_split(&rest, ' ');
        bool value = str_ends(one, "=");
        if (one.p[0] == '@')
            printf(" and the settings:\n"), settings_help();
        else
            printf(" --%.*s%s", (int)(one.n - value), one.p, value ? " X" : "");
    }
    printf("%s    example: %s\n\n", *d->flags ? "\n" : "", d->example);
}

int cmd_help(const struct cli *c, struct err *e)
{
    int found = 0;
    if (c->n_words == 0)
        help_list();
    if (c->n_words == 1 && strcmp(c->word[0], "parameters") == 0) { /* what docs/using/parameters.md is made from */
        struct buf b;
        buf_init(&b, 0);
        params_markdown(&b);
        fwrite(b.data, 1, b.len, stdout);
        buf_deinit(&b);
        return 0;
    }
    for (size_t i = 0; i < n_commands && c->n_words; i++) {
        struct str rest = str_of(commands[i].words);
        bool same = true;
        for (size_t k = 0; k < c->n_words && same; k++)
            same = str_eqz(str_split(&rest, ' '), c->word[k]);
        if (same)
            help_command(&commands[i]), found++;
    }
    return found || !c->n_words ? 0 : err_set(e, ERR_USAGE, "there is no command %s; see: sluice help", c->word[0]);
}

int cmd_version(const struct cli *c, struct err *e)
{
    (void)c, (void)e;
    printf("sluice %s\n", SLUICE_VERSION);
    return 0;
}
