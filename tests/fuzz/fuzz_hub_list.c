/* What a hub answers and what a person writes. The first byte chooses: a page of a list (Hugging Face, ModelScope), with every pick from it; a
 * model's name; a URL and a place that it leads to. */
#include "base/mem.h"
#include "hub/pick.h"
#include "hub/spec.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_files(const struct remote *r)
{
    for (size_t i = 0; i < r->n_files; i++) {
        char out[URL_LEN_MAX];
        struct url u;
        ASSERT(*r->files[i].path && r->files[i].path[0] != '/' && !strstr(r->files[i].path, "/../") && strncmp(r->files[i].path, "../", 3));
        if (r->proto->file_url(r, &r->files[i], out))
            ASSERT(!url_parse(&u, out, NULL) && url_same_origin(&u, &r->origin));
    }
}

static void list(const struct proto *proto, const char *p, size_t n)
{
    static const char *const tags[] = {"", "Q4_K_M", "q8_0", "m.gguf", "m-00002-of-00003.gguf"};
    struct remote r;
    struct json *j;
    struct err e;
    if (remote_init(&r, proto, "https://hub.example", "", &e) || json_parse(&j, p, n, NULL))
        return;
    strcpy(r.org, "o"), strcpy(r.name, "n"), strcpy(r.revision, "main"), strcpy(r.commit, "0");
    if (!proto->read_page(&r, j, &e))
        check_files(&r);
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        struct pick *pick = malloc(sizeof *pick);
        if (!pick_files(pick, r.files, r.n_files, tags[i], &e))
            ASSERT(pick->n >= 1 && pick->n <= PICK_PARTS_MAX);
        else
            ASSERT(*e.msg);
        free(pick);
    }
    json_free(j);
    remote_deinit(&r);
}

static void spec(const char *z)
{
    struct spec s;
    struct err e;
    if (spec_parse(&s, z, &e)) {
        ASSERT(*e.msg);
        return;
    }
    ASSERT(*s.org && *s.name && !strchr(s.org, '/') && !strchr(s.name, '/') && strcmp(s.org, "..") && strcmp(s.name, "..") &&
           !strstr(s.tag, "/../") && strncmp(s.tag, "../", 3));
}

static void url(const char *base, const char *location)
{
    char joined[URL_LEN_MAX], escaped[URL_LEN_MAX];
    struct url u, again;
    if (!url_parse(&u, base, NULL)) {
        ASSERT(*u.host && u.port);
        if (!url_join(joined, base, location, NULL))
            ASSERT(!url_parse(&again, joined, NULL));
    }
    if (url_escape(escaped, sizeof escaped, location, false))
        ASSERT(!strchr(escaped, '/') && !strchr(escaped, ' '));
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    if (!n)
        return 0;
    char *z = mem_str((const char *)p + 1, n - 1), *mid = z ? strchr(z, '\n') : NULL;
    if (!z)
        return 0;
    switch (p[0] % 4) {
    case 0: list(&proto_hf, z, n - 1); break;
    case 1: list(&proto_modelscope, z, n - 1); break;
    case 2: spec(z); break;
    default:
        if (mid)
            *mid = 0;
        url(z, mid ? mid + 1 : "");
    }
    mem_free(z);
    return 0;
}
