#include "hub/spec.h"
#include "base/str.h"
#include <string.h>

static bool name_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
            return false;
    }
    return s.n && s.n <= SPEC_PART_MAX && !str_eqz(s, ".") && !str_eqz(s, "..");
}

/* A branch, tag or commit: letters, digits, "-_./+", no empty or dot segment. */
static bool revision_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_./+", c)))
            return false;
    }
    for (struct str rest = s; rest.p;) {
        struct str seg = str_split(&rest, '/');
        if (!seg.n || str_eqz(seg, ".") || str_eqz(seg, ".."))
            return false;
    }
    return s.n && s.n <= SPEC_REVISION_MAX;
}

static bool tag_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 32 || s.p[i] == 127 || s.p[i] == '\\')
            return false;
    for (struct str rest = s; rest.p;) {
        struct str seg = str_split(&rest, '/');
        if (!seg.n || str_eqz(seg, ".") || str_eqz(seg, ".."))
            return false;
    }
    return s.n && s.n <= SPEC_TAG_MAX && utf8_valid(s.p, s.n);
}

static void copy(char *out, struct str s)
{
    memcpy(out, s.p, s.n);
    out[s.n] = 0;
}

int spec_parse(struct spec *out, const char *text, struct err *e)
{
    struct str rest = str_of(text), revision = {0}, tag = {0};
    *out = (struct spec){0};
    for (size_t i = rest.n; i-- > 0;)
        if (rest.p[i] == '@') {
            revision = (struct str){rest.p + i + 1, rest.n - i - 1};
            rest.n = i;
            break;
        }
    struct str repo = str_split(&rest, ':');
    bool has_tag = rest.p != NULL;
    tag = rest;
    struct str name = repo, org = str_split(&name, '/');
    if (!name.p || !name_ok(org) || !name_ok(name))
        return err_set(e, ERR_BAD_VALUE,
                       "hub: a model on a hub is named ORG/NAME, each of letters, digits, \"-\", \"_\" and \".\", at most %d; not \"%.80s\"",
                       SPEC_PART_MAX, text);
    if (has_tag && !tag_ok(tag))
        return err_set(e, ERR_BAD_VALUE,
                       "hub: what stands after \":\" is a file of the repository or a quantisation like Q4_K_M, of at most %d bytes", SPEC_TAG_MAX);
    if (revision.p && !revision_ok(revision))
        return err_set(e, ERR_BAD_VALUE, "hub: what stands after \"@\" is a branch, a tag or a commit, of at most %d bytes", SPEC_REVISION_MAX);
    copy(out->org, org), copy(out->name, name);
    if (has_tag)
        copy(out->tag, tag);
    if (revision.p)
        copy(out->revision, revision);
    return 0;
}
