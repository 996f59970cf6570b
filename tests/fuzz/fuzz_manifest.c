/* The manifest of a backup from anywhere: what parses names only files of a backup, and reads the same after it was written again. */
#include "cli/manifest.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_path(const char *path)
{
    struct str rest = str_of(path);
    ASSERT(path[0] != '/' && rest.n <= MANIFEST_PATH_MAX);
    while (rest.p) {
        struct str part = str_split(&rest, '/');
        ASSERT(part.n && !str_eqz(part, "..") && !str_eqz(part, "."));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct manifest a = {0}, b = {0};
    struct err e = {0};
    struct buf text;
    if (manifest_parse(&a, (struct str){(const char *)p, n}, &e) < 0) {
        ASSERT(e.code != ERR_OK && e.msg[0]);
        manifest_deinit(&a);
        return 0;
    }
    buf_init(&text, 0);
    manifest_write(&a, &text);
    ASSERT(manifest_parse(&b, (struct str){text.data, text.len}, &e) == 0 && a.n == b.n);
    for (size_t i = 0; i < a.n; i++) {
        check_path(a.p[i].path);
        ASSERT(!strcmp(a.p[i].path, b.p[i].path) && !memcmp(&a.p[i].digest, &b.p[i].digest, sizeof a.p[i].digest));
    }
    buf_deinit(&text);
    manifest_deinit(&a);
    manifest_deinit(&b);
    return 0;
}
