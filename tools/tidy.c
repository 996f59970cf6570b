/* tidy: checks the house rules that a machine can check, over src/, tools/, tests/ and bench/.
 *
 *   layers   a folder under src/ includes only what tools/layers.txt allows; no cycles can arise
 *   style    lines of at most 150 columns, no tabs, no blanks at the end, files of at most 800 lines, functions of at most 100
 *   banned   functions that hide errors or overflow (strtol, sprintf, ...) and #ifdef outside the folders that may have it
 *   only     libevent, libcurl and TLS in net, jansson and digests in base, SQLite in db, utf8proc and PCRE2 in text; what starts a process in
 *            base/sandbox.c, what makes the path of a blob in hub/store.c (two makers of a path are two chances to forget its check)
 *   names    no file is called util, common, misc or helper
 *
 * usage: tidy LAYERS_FILE FILE... ; prints path:line: fault, exits 1 when there is any. */
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 150, LINES_MAX = 800, FUNCTION_MAX = 100, LAYERS_MAX = 32 };

static struct layer {
    char name[32], allowed[256];
} layers[LAYERS_MAX];
static int n_layers, n_faults;

static void fault(const char *path, int line, const char *what, const char *arg)
{
    printf("%s:%d: %s%s%s\n", path, line, what, *arg ? ": " : "", arg);
    n_faults++;
}

static void layers_read(const char *path)
{
    char  line[512];
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        exit(2);
    }
    while (fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (line[0] == '#' || !colon || n_layers == LAYERS_MAX)
            continue;
        *colon = 0;
        colon[1 + strcspn(colon + 1, "\n")] = 0;
        snprintf(layers[n_layers].name, sizeof layers[0].name, "%.31s", line);
        snprintf(layers[n_layers++].allowed, sizeof layers[0].allowed, "%.250s ", colon + 1);
    }
    fclose(f);
}

static const struct layer *layer_of(const char *folder)
{
    for (int i = 0; i < n_layers; i++)
        if (strcmp(layers[i].name, folder) == 0)
            return &layers[i];
    return NULL;
}

/* "src/text/bpe.c" -> "text"; "" outside src/. */
static void folder_of(const char *path, char out[32])
{
    out[0] = 0;
    if (strncmp(path, "src/", 4) == 0 && strchr(path + 4, '/'))
        snprintf(out, 32, "%.*s", (int)strcspn(path + 4, "/"), path + 4);
}

static void check_include(const char *path, int n, const char *folder, const char *line)
{
    char        to[32], word[40];
    const char *q = strchr(line, '"');
    if (!*folder || !q || !strchr(q + 1, '/'))
        return;
    snprintf(to, sizeof to, "%.*s", (int)strcspn(q + 1, "/"), q + 1);
    const struct layer *from = layer_of(folder);
    snprintf(word, sizeof word, " %s ", to);
    if (!from)
        fault(path, n, "folder is not in tools/layers.txt", folder);
    else if (layer_of(to) && strcmp(to, folder) != 0 && !strstr(from->allowed, word) && !strchr(from->allowed, '*'))
        fault(path, n, "this folder may not include that one (tools/layers.txt)", to);
}

/* Library headers and the one folder that may see them. */
static void check_library(const char *path, int n, const char *folder, const char *line)
{
    static const struct {
        const char *header, *folder;
    } only[] = {{"<event2/", "net"}, {"<curl/", "net"}, {"<openssl/ssl", "net"}, {"<jansson", "base"}, {"<openssl/", "base net oidc"},
                {"<sqlite3", "db"}, {"<utf8proc", "text"}, {"pcre2.h", "text"}};
    for (size_t i = 0; *folder && i < sizeof only / sizeof *only; i++)
        if (strstr(line, only[i].header) && !strstr(only[i].folder, folder)) {
            fault(path, n, "this library is seen in one folder only", only[i].folder);
            return;
        }
}

static bool word_at(const char *line, const char *p, size_t n)
{
    return (p == line || !(isalnum((unsigned char)p[-1]) || p[-1] == '_')) && !(isalnum((unsigned char)p[n]) || p[n] == '_');
}

static void check_banned(const char *path, int n, const char *folder, const char *line)
{
    static const char *const banned[] = {"strtol", "strtoul", "strtoll", "strtoull", "atoi", "atol", "atof", "sprintf", "vsprintf", "strcpy",
                                         "strcat", "gets", "rand", "srand", "alloca", "strtok", "sscanf"};
    for (size_t i = 0; *folder && i < sizeof banned / sizeof *banned; i++) {
        const char *p = strstr(line, banned[i]);
        size_t      k = strlen(banned[i]);
        if (p && p[k] == '(' && word_at(line, p, k))
            fault(path, n, "banned function", banned[i]);
    }
}

/* What may stand in one file alone. Comments do not count: a line that begins with " *" or "/" is one. */
static void check_single(const char *path, int n, const char *folder, const char *line)
{
    static const struct {
        const char *word, *file;
        bool        call;
    } only[] = {{"fork", "", true},  {"vfork", "", true},  {"system", "", true}, {"popen", "", true},  {"execve", "", true}, {"execv", "", true},
                {"execvp", "", true}, {"execl", "", true}, {"execlp", "", true}, {"dlopen", "", true}, {"posix_spawnp", "", true},
                {"posix_spawn", "src/base/sandbox.c", true}, {"blobs/sha256", "src/hub/store.c", false}};
    const char *first = line + strspn(line, " ");
    if (!*folder || *first == '*' || *first == '/')
        return;
    for (size_t i = 0; i < sizeof only / sizeof *only; i++) {
        const char *p = strstr(line, only[i].word);
        size_t      k = strlen(only[i].word);
        if (!p || strcmp(path, only[i].file) == 0 || (only[i].call && (p[k] != '(' || !word_at(line, p, k))))
            continue;
        if (*only[i].file)
            fault(path, n, "this stands in one file only", only[i].file);
        else
            fault(path, n, "no part of the program starts another or loads code", only[i].word);
    }
}

static void check_name(const char *path)
{
    static const char *const empty[] = {"util", "utils", "common", "misc", "helper", "helpers"};
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        if (strcspn(name, ".") == strlen(empty[i]) && strncmp(name, empty[i], strlen(empty[i])) == 0)
            fault(path, 1, "a file is named for what it is about, not", empty[i]);
}

static void check_ifdef(const char *path, int n, const char *folder, const char *line)
{
    static const char *const may[] = {"base", "kernel", "device", "dist"};
    if (!*folder || (strncmp(line, "#if", 3) != 0) || strstr(line, "SANITIZE") || strstr(line, "__has_"))
        return;
    for (size_t i = 0; i < sizeof may / sizeof *may; i++)
        if (strcmp(folder, may[i]) == 0)
            return;
    fault(path, n, "conditional compilation stands only in base/os, kernel, device and dist", "");
}

static void check_style(const char *path, int n, const char *line, size_t len)
{
    size_t columns = 0;
    for (size_t i = 0; i < len; i++)
        columns += ((unsigned char)line[i] & 0xC0) != 0x80;
    if (columns > COLUMNS_MAX)
        fault(path, n, "line longer than 150 columns", "");
    if (memchr(line, '\t', len))
        fault(path, n, "tab", "");
    if (len && (line[len - 1] == ' ' || line[len - 1] == '\r'))
        fault(path, n, "blank at the end of the line", "");
}

static void check_file(const char *path)
{
    char  line[8192], folder[32];
    int   n = 0, opened = 0;
    bool  c_file = strstr(path, ".c") || strstr(path, ".h") || strstr(path, ".def");
    FILE *f = fopen(path, "r");
    if (!f) {
        perror(path);
        exit(2);
    }
    folder_of(path, folder);
    check_name(path);
    while (fgets(line, sizeof line, f)) {
        size_t len = strcspn(line, "\n");
        line[len] = 0;
        n++;
        if (!strstr(path, ".def")) /* rows of tables may be long */
            check_style(path, n, line, len);
        if (!c_file)
            continue;
        if (strncmp(line, "#include", 8) == 0) {
            check_include(path, n, folder, line);
            check_library(path, n, folder, line);
        }
        check_banned(path, n, folder, line);
        check_single(path, n, folder, line);
        check_ifdef(path, n, folder, line);
        if (strcmp(line, "{") == 0)
            opened = n;
        if (strcmp(line, "}") == 0 && opened && n - opened > FUNCTION_MAX)
            fault(path, opened, "function longer than a screen (100 lines)", "");
    }
    if (n > LINES_MAX && c_file)
        fault(path, n, "file longer than 800 lines: is it one subject?", "");
    fclose(f);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: tidy LAYERS_FILE FILE...\n");
        return 2;
    }
    layers_read(argv[1]);
    for (int i = 2; i < argc; i++)
        check_file(argv[i]);
    printf("tidy: %d files, %d faults\n", argc - 2, n_faults);
    return n_faults != 0;
}
