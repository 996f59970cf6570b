/* The command table, and the way from a command line to its exit code. */
#include "cli/cli_int.h"
#include <signal.h>
#include <string.h>

const struct command commands[] = {
#define COMMAND(words, fn, args, flags, text, example) {words, fn, args, flags, text, example},
#include "cli/commands.def"
#undef COMMAND
};
const size_t n_commands = sizeof commands / sizeof commands[0];

/* "sluice account", "sluice account --help": the rows that begin with the word. */
static int help_group(const char *word)
{
    int found = 0;
    size_t n = strlen(word);
    for (size_t i = 0; i < n_commands; i++)
        if (strncmp(commands[i].words, word, n) == 0 && commands[i].words[n] == ' ') {
            help_command(&commands[i]);
            found++;
        }
    return found;
}

int cli_main(int argc, char **argv)
{
    struct cli c;
    struct err e = {0};
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help_list();
        return argc < 2 ? err_exit(ERR_USAGE) : 0;
    }
    if (strcmp(argv[1], "--version") == 0)
        argv[1] = (char[]){"version"};
    int rc = args_parse(&c, argc, argv, &e);
    if (rc < 0 && (argc == 2 || (argc == 3 && strcmp(argv[2], "--help") == 0)) && help_group(argv[1]))
        return argc == 2 ? err_exit(ERR_USAGE) : 0;
    if (rc >= 0 && args_flag(&c, "help"))
        help_command(c.command);
    else if (rc >= 0)
        rc = c.command->fn(&c, &e);
    if (rc < 0)
        fprintf(stderr, "sluice: %s\n", e.msg);
    return rc < 0 ? err_exit(e.code) : rc;
}
