/* embed NAME FILE...: prints a C header with the files as one array, struct embedded NAME[]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *mime(const char *name)
{
    static const char *const types[][2] = {{".html", "text/html; charset=utf-8"},
                                           {".js", "text/javascript; charset=utf-8"},
                                           {".css", "text/css; charset=utf-8"},
                                           {".svg", "image/svg+xml"},
                                           {".png", "image/png"},
                                           {".json", "application/json"}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

static long bytes(const char *path, int index)
{
    FILE *f = fopen(path, "rb");
    long n = 0;
    int c;
    if (!f) {
        fprintf(stderr, "embed: %s cannot be read\n", path);
        exit(1);
    }
    printf("static const unsigned char embedded_%d[] = {", index);
    for (; (c = getc(f)) != EOF; n++)
        printf("%s%d,", n % 32 ? "" : "\n", c);
    printf("0};\n");
    fclose(f);
    return n;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: embed NAME FILE...\n");
        return 2;
    }
    printf("/* made by tools/embed.c */\n#pragma once\n#include <stddef.h>\n");
    printf("struct embedded {\n    const char          *name, *mime;\n    const unsigned char *data;\n    size_t               size;\n};\n");
    long sizes[256];
    if (argc - 2 > 256 || argc < 3)
        return 2;
    for (int i = 2; i < argc; i++)
        sizes[i - 2] = bytes(argv[i], i - 2);
    printf("static const struct embedded %s[] = {\n", argv[1]);
    for (int i = 2; i < argc; i++) {
        const char *slash = strrchr(argv[i], '/');
        printf("    {\"%s\", \"%s\", embedded_%d, %ld},\n", slash ? slash + 1 : argv[i], mime(argv[i]), i - 2, sizes[i - 2]);
    }
    printf("};\n");
    return 0;
}
