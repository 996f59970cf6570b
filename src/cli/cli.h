/* The command line: one file per command (cmd_NAME.c), one line each in commands.def. */
#pragma once
int cli_main(int argc, char **argv); /* returns the exit code */
