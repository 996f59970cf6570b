#include "hub/pick.h"
#include <string.h>

static const char *const preferred[] = {"Q4_K_M", "Q4_K_S", "Q5_K_M", "Q4_0", "Q4_1", "Q5_K_S", "Q5_0", "Q6_K",
                                        "Q8_0",   "Q3_K_M", "Q3_K_S", "Q2_K", "BF16", "F16",    "F32"};

bool pick_split(struct str path, uint32_t *part, uint32_t *parts, size_t *stem)
{
    enum { TAIL = sizeof "-00001-of-00002.gguf" - 1 };
    uint64_t a, b;
    if (path.n <= TAIL)
        return false;
    const char *t = path.p + path.n - TAIL;
    if (t[0] != '-' || memcmp(t + 6, "-of-", 4) || memcmp(t + 15, ".gguf", 5) || !str_u64((struct str){t + 1, 5}, &a) ||
        !str_u64((struct str){t + 10, 5}, &b) || a < 1 || a > b)
        return false;
    *part = (uint32_t)a, *parts = (uint32_t)b, *stem = path.n - TAIL;
    return true;
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

/* Q4_K_M, Q8_0, IQ3_XXS, TQ1_0, BF16, F16, F32, MXFP4, FP16 */
static bool is_quant(struct str s)
{
    size_t i = 0;
    char c = s.n ? upper(s.p[0]) : 0;
    if (s.n < 3 || s.n > 15)
        return false;
    if (s.n == 5 && upper(s.p[0]) == 'M' && upper(s.p[1]) == 'X' && upper(s.p[2]) == 'F' && upper(s.p[3]) == 'P' && s.p[4] == '4')
        return true;
    if ((c == 'I' || c == 'T' || c == 'B') && s.n > 1)
        c = upper(s.p[++i]);
    if (c != 'Q' && c != 'F')
        return false;
    i++;
    if (c == 'F' && i < s.n && upper(s.p[i]) == 'P')
        i++;
    size_t digits = i;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    if (i == digits)
        return false;
    if (c == 'F')
        return i == s.n && i - digits == 2;
    for (; i < s.n; i++)
        if (s.p[i] != '_' && !(s.p[i] >= '0' && s.p[i] <= '9') && !(upper(s.p[i]) >= 'A' && upper(s.p[i]) <= 'Z'))
            return false;
    return digits + 1 < s.n && s.p[digits + 1] == '_';
}

/* The last part between "-", "." and "/" that is a quantisation. */
static void quant_of(struct str path, char out[16])
{
    size_t from = 0;
    *out = 0;
    for (size_t i = 0; i <= path.n; i++) {
        if (i < path.n && path.p[i] != '-' && path.p[i] != '.' && path.p[i] != '/')
            continue;
        struct str one = {path.p + from, i - from};
        if (is_quant(one)) {
            for (size_t k = 0; k < one.n; k++)
                out[k] = upper(one.p[k]);
            out[one.n] = 0;
        }
        from = i + 1;
    }
}

static struct str base_of(struct str path)
{
    for (size_t i = path.n; i-- > 0;)
        if (path.p[i] == '/')
            return (struct str){path.p + i + 1, path.n - i - 1};
    return path;
}

static bool has(struct str s, const char *word)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= s.n; i++)
        if (str_ieqz((struct str){s.p + i, n}, word))
            return true;
    return false;
}

/* A file that stands for a candidate: whole, or the lowest part that is listed. */
static bool candidate(const struct remote_file *f)
{
    struct str path = str_of(f->path), base = base_of(path);
    uint32_t part, parts;
    size_t stem;
    if (path.n < 6 || !str_ieqz((struct str){path.p + path.n - 5, 5}, ".gguf") || has(base, "mmproj") || has(base, "imatrix"))
        return false;
    return !pick_split(path, &part, &parts, &stem) || part == 1;
}

static bool is_wanted(const struct remote_file *f, const char *tag)
{
    struct str path = str_of(f->path), want = str_of(tag), base = base_of(path);
    char quant[16], first[REMOTE_PATH_MAX + 1];
    uint32_t part, parts;
    size_t stem;
    if (!str_ends(want, ".gguf")) {
        quant_of(base, quant);
        if (!*quant)
            quant_of(path, quant); /* Q4_K_M/model-00001-of-00002.gguf */
        return str_ieqz(str_of(quant), tag);
    }
    if (pick_split(want, &part, &parts, &stem) && str_fmt(first, sizeof first, "%.*s-00001-of-%05u.gguf", (int)stem, tag, parts))
        want = str_of(first);
    return str_eq(path, want) || str_eq(base, want);
}

/* "Q4_K_M (400.0 MB), Q8_0 (...)" into out, as much as fits. */
static void list_what_there_is(char *out, size_t cap, const struct remote_file *files, size_t n, const char *tag)
{
    size_t at = 0;
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        char one[REMOTE_PATH_MAX + 32];
        if (!candidate(&files[i]) || (tag && !is_wanted(&files[i], tag)))
            continue;
        (void)str_fmt(one, sizeof one, "%s%s (%.1f MB)", at ? ", " : "", files[i].path, (double)files[i].size / 1e6);
        if (strlen(one) + at + 5 > cap) {
            (void)str_fmt(out + at, cap - at, " ...");
            return;
        }
        (void)str_fmt(out + at, cap - at, "%s", one);
        at += strlen(one);
    }
}

static int gather(struct pick *out, const struct remote_file *files, size_t n, const struct remote_file *first, struct err *e)
{
    struct str path = str_of(first->path), base = base_of(path);
    uint32_t part, parts = 1;
    size_t stem;
    quant_of(base, out->quant);
    if (!*out->quant)
        quant_of(path, out->quant);
    if (!pick_split(path, &part, &parts, &stem)) {
        out->file[0] = first, out->n = 1;
        return 0;
    }
    if (parts > PICK_PARTS_MAX)
        return err_set(e, ERR_TOO_LARGE, "hub: %s is one of %u parts, more than %d", first->path, parts, PICK_PARTS_MAX);
    for (uint32_t k = 1; k <= parts; k++) {
        char name[REMOTE_PATH_MAX + 1];
        const struct remote_file *found = NULL;
        bool fits = str_fmt(name, sizeof name, "%.*s-%05u-of-%05u.gguf", (int)stem, path.p, k, parts);
        for (size_t i = 0; i < n && fits && !found; i++)
            found = strcmp(files[i].path, name) ? NULL : &files[i];
        if (!found)
            return err_set(e, ERR_REMOTE, "hub: part %u of %u of %.*s is not in the repository; it is incomplete, choose another file", k, parts,
                           (int)stem, path.p);
        out->file[out->n++] = found;
    }
    return 0;
}

static size_t count(const struct remote_file *files, size_t n, const char *tag, const struct remote_file **found)
{
    size_t hits = 0;
    for (size_t i = 0; i < n; i++)
        if (candidate(&files[i]) && (!tag || is_wanted(&files[i], tag)))
            hits++, *found = &files[i];
    return hits;
}

int pick_files(struct pick *out, const struct remote_file *files, size_t n, const char *tag, struct err *e)
{
    const struct remote_file *found = NULL;
    char there[360];
    *out = (struct pick){0};
    size_t all = count(files, n, NULL, &found);
    if (!all)
        return err_set(e, ERR_NOT_FOUND, "hub: the repository has no .gguf file; look for one whose name ends in -GGUF");
    if (*tag) {
        size_t hits = count(files, n, tag, &found);
        if (hits == 1)
            return gather(out, files, n, found, e);
        list_what_there_is(there, sizeof there, files, n, hits ? tag : NULL);
        return err_set(e, hits ? ERR_CONFLICT : ERR_NOT_FOUND,
                       hits ? "hub: more than one file is %s: %s; name one of them" : "hub: no file is %s; there is %s", tag, there);
    }
    if (all == 1)
        return gather(out, files, n, found, e);
    for (size_t i = 0; i < sizeof preferred / sizeof *preferred; i++) {
        size_t hits = count(files, n, preferred[i], &found);
        if (hits == 1)
            return gather(out, files, n, found, e);
        if (hits > 1) {
            list_what_there_is(there, sizeof there, files, n, preferred[i]);
            return err_set(e, ERR_CONFLICT, "hub: more than one file is %s: %s; name one of them after \":\"", preferred[i], there);
        }
    }
    list_what_there_is(there, sizeof there, files, n, NULL);
    return err_set(e, ERR_CONFLICT, "hub: say which file, ORG/NAME:FILE; there is %s", there);
}
