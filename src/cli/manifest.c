#include "cli/manifest.h"
#include "base/clock.h"
#include "base/mem.h"
#include <string.h>

#define HEAD "# sluice backup 1, "

static bool path_ok(struct str p)
{
    if (p.n == 0 || p.n > MANIFEST_PATH_MAX || memchr(p.p, '\0', p.n) || memchr(p.p, '\\', p.n) || memchr(p.p, '\r', p.n))
        return false;
    if (!str_starts(p, "ledger/") && !str_starts(p, "refs/") && !str_starts(p, "blobs/") && !str_eqz(p, "sluice.conf"))
        return false;
    if (p.p[p.n - 1] == '/')
        return false;
    for (struct str rest = p; rest.p;) {
        struct str part = str_split(&rest, '/');
        if (part.n == 0 || str_eqz(part, ".") || str_eqz(part, ".."))
            return false;
    }
    return true;
}

static int add(struct manifest *m, struct str path, const struct sha256 *digest, struct err *e)
{
    struct manifest_file f = {.digest = *digest, .path = mem_str(path.p, path.n)};
    if (f.path && vec_push(m, f))
        return 0;
    mem_free(f.path);
    return err_set(e, ERR_NO_MEMORY, "backup: no memory for a list of %zu files", m->n + 1);
}

int manifest_add(struct manifest *m, const char *path, const struct sha256 *digest, struct err *e)
{
    if (!path_ok(str_of(path)))
        return err_set(e, ERR_BAD_VALUE, "backup: the file name %.100s cannot be kept in a backup; rename it", path);
    return add(m, str_of(path), digest, e);
}

void manifest_write(const struct manifest *m, struct buf *out)
{
    char at[32], hex[65];
    clock_iso(at, clock_now_us());
    buf_fmt(out, HEAD "%s\n", at);
    for (size_t i = 0; i < m->n; i++) {
        str_to_hex(hex, m->p[i].digest.b, sizeof m->p[i].digest.b);
        buf_fmt(out, "%s  %s\n", hex, m->p[i].path);
    }
    buf_fmt(out, "# end, %zu files\n", m->n);
}

static int damaged(struct err *e, size_t line, const char *why)
{
    return err_set(e, ERR_FORMAT, "backup: %s, line %zu: %s; take another backup", MANIFEST_NAME, line, why);
}

static int read_file(struct manifest *m, struct str line, size_t n, struct err *e)
{
    struct sha256 digest;
    if (line.n < 67 || line.p[64] != ' ' || line.p[65] != ' ' || !str_hex((struct str){line.p, 64}, digest.b, sizeof digest.b))
        return damaged(e, n, "not a digest, two blanks and a path");
    struct str path = {line.p + 66, line.n - 66};
    return path_ok(path) ? add(m, path, &digest, e) : damaged(e, n, "a path that no backup has");
}

/* "# end, 7 files" */
static bool read_end(struct str line, size_t files)
{
    uint64_t n;
    struct str rest = {line.p + 7, line.n < 7 ? 0 : line.n - 7};
    return str_starts(line, "# end, ") && str_ends(rest, " files") && str_u64((struct str){rest.p, rest.n - 6}, &n) && n == files;
}

int manifest_parse(struct manifest *m, struct str text, struct err *e)
{
    struct str rest = text;
    if (!str_starts(text, HEAD))
        return err_set(e, ERR_FORMAT, "backup: %s is not of a backup of this program, or of a later one; restore with the program that made it",
                       MANIFEST_NAME);
    if (text.p[text.n - 1] != '\n')
        return damaged(e, 1, "the end is missing");
    (void)str_split(&rest, '\n');
    for (size_t n = 2; rest.n; n++) {
        struct str line = str_split(&rest, '\n');
        if (line.n && line.p[0] == '#')
            return read_end(line, m->n) && !rest.n ? 0 : damaged(e, n, "the end does not fit what stands before it");
        int rc = read_file(m, line, n, e);
        if (rc < 0)
            return rc;
    }
    return damaged(e, m->n + 2, "the end is missing");
}

void manifest_deinit(struct manifest *m)
{
    for (size_t i = 0; i < m->n; i++)
        mem_free(m->p[i].path);
    vec_deinit(m);
}
