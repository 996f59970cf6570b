/* Models in several files. `llama-gguf-split` cuts a model into NAME-00001-of-0000N.gguf and so on: each part is a GGUF file with some of the
 * tensors and three keys, split.no (from 0), split.count and split.tensors.count (of all parts together); the first has the metadata of the
 * model. Here they become one struct modelfile again, or an error that says which part is wrong and why. */
#include "format/format_int.h"
#include "base/mem.h"
#include <stdio.h>
#include <string.h>

enum { SHARD_TAIL = sizeof "-00001-of-00002.gguf" - 1 };

struct split {
    uint32_t no, count, tensors;
    bool     has_tensors;
};

bool shard_name(char *out, size_t cap, struct str stem, uint32_t i, uint32_t n)
{
    return stem.n <= INT32_MAX && str_fmt(out, cap, "%.*s-%05u-of-%05u.gguf", (int)stem.n, stem.p, i + 1, n);
}

/* Takes "-00001-of-00002.gguf" apart; false for any other name. */
static bool name_read(struct str name, struct str *stem, uint32_t *no, uint32_t *count)
{
    uint64_t i = 0, n = 0;
    if (name.n < SHARD_TAIL)
        return false;
    struct str tail = {name.p + name.n - SHARD_TAIL, SHARD_TAIL};
    if (!str_starts(tail, "-") || !str_u64((struct str){tail.p + 1, 5}, &i) || memcmp(tail.p + 6, "-of-", 4) != 0 ||
        !str_u64((struct str){tail.p + 10, 5}, &n) || memcmp(tail.p + 15, ".gguf", 5) != 0 || i < 1)
        return false;
    *stem = (struct str){name.p, name.n - SHARD_TAIL};
    *no = (uint32_t)i - 1, *count = (uint32_t)n;
    return true;
}

static int split_read(struct split *out, const struct modelfile *f, struct err *e)
{
    uint32_t unused;
    *out = (struct split){.count = 1};
    if (!modelfile_meta(f, "split.count"))
        return 0;
    int rc = modelfile_u32(f, "split.count", 0, UINT32_MAX, &out->count, e);
    if (!rc && out->count < 2) { /* a whole model, written by a splitter that had nothing to split */
        out->count = 1;
        return 0;
    }
    if (!rc && out->count > MODELFILE_PARTS_MAX)
        return err_set(e, ERR_FORMAT, "gguf: split.count says %u parts, where at most %d are read; the file is damaged", out->count,
                       MODELFILE_PARTS_MAX);
    out->has_tensors = modelfile_meta(f, "split.tensors.count") != NULL;
    if (rc || (rc = modelfile_u32(f, "split.no", 0, UINT32_MAX, &out->no, e)) ||
        (rc = modelfile_u32_or(f, "split.tensors.count", 0, FORMAT_TENSORS_MAX, 0, out->has_tensors ? &out->tensors : &unused, e)))
        return rc;
    if (out->no >= out->count)
        return err_set(e, ERR_FORMAT, "gguf: split.no says part %u of %u (it counts from 0); the file is damaged", out->no, out->count);
    return 0;
}

int modelfile_part(const struct modelfile *f, uint32_t *part, uint32_t *parts, struct err *e)
{
    struct split s;
    int rc = split_read(&s, f, e);
    *part = rc ? 0 : s.no;
    *parts = rc ? 1 : s.count;
    return rc;
}

/* Puts the files in order in `sorted` (n): each part once, all of one set. */
static int parts_sort(struct modelfile **sorted, struct modelfile *const *files, size_t n, uint32_t *tensors, struct err *e)
{
    struct split first, s;
    int rc = split_read(&first, files[0], e);
    if (rc)
        return rc;
    if (first.count == 1 && n > 1)
        return err_set(e, ERR_FORMAT, "gguf: %zu files were given as one model, but the first is no part of a split model (no split.count)", n);
    if (first.count != n)
        return err_set(e, ERR_FORMAT, "gguf: the model has %u parts (split.count), but %zu were given; fetch all of them", first.count, n);
    for (size_t i = 0; i < n; i++) {
        if ((rc = split_read(&s, files[i], e)))
            return rc;
        if (s.count == 1 && n > 1)
            return err_set(e, ERR_FORMAT, "gguf: file %zu of %zu is no part of a split model (no split.count); fetch the parts again", i + 1, n);
        if (s.count != first.count)
            return err_set(e, ERR_FORMAT, "gguf: part %u says that there are %u parts, part %u says %u; they are of different sets, fetch them again",
                           first.no + 1, first.count, s.no + 1, s.count);
        if (s.has_tensors != first.has_tensors || s.tensors != first.tensors)
            return err_set(e, ERR_FORMAT,
                           "gguf: part %u says that the model has %u tensors, part %u says %u; they are of different models, fetch them again",
                           first.no + 1, first.tensors, s.no + 1, s.tensors);
        if (sorted[s.no])
            return err_set(e, ERR_FORMAT, "gguf: part %u of %u was given twice; fetch the missing part", s.no + 1, s.count);
        sorted[s.no] = files[i];
    }
    *tensors = first.has_tensors ? first.tensors : UINT32_MAX;
    return 0;
}

/* Whether a later part belongs to the model of the first: what both say about it is the same. Splitters write these into the first part only. */
static int check_same_model(const struct modelfile *first, const struct modelfile *f, size_t part, struct err *e)
{
    static const char *const keys[] = {"general.architecture", "general.name", "general.uuid"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct str a, b;
        if (!modelfile_str(first, keys[i], &a, NULL) && !modelfile_str(f, keys[i], &b, NULL) && !str_eq(a, b))
            return err_set(e, ERR_FORMAT, "gguf: %s is %s in part 1 and %s in part %zu; they are of different models, fetch them again", keys[i],
                           shown_of(a).z, shown_of(b).z, part + 1);
    }
    return 0;
}

/* The tensors of all parts in the table of the first. */
static int tensors_join(struct modelfile **parts, size_t n, uint32_t want, struct err *e)
{
    struct modelfile_index *x = parts[0]->index;
    size_t total = 0, at;
    for (size_t i = 0; i < n; i++)
        total += parts[i]->n_tensors; /* 1,024 parts of 65,536 */
    if (want != UINT32_MAX && total != want)
        return err_set(e, ERR_FORMAT, "gguf: the parts hold %zu tensors, where split.tensors.count says %u; fetch them again", total, want);
    if (total > FORMAT_TENSORS_MAX)
        return err_set(e, ERR_FORMAT, "gguf: the parts hold %zu tensors, over the limit of %d", total, FORMAT_TENSORS_MAX);
    struct tensor *all = mem_array(total ? total : 1, sizeof *all);
    if (!all)
        return err_set(e, ERR_NO_MEMORY, "gguf: no memory for %zu tensors", total);
    at = parts[0]->n_tensors;
    if (at)
        memcpy(all, parts[0]->tensors, at * sizeof *all);
    mem_free(parts[0]->tensors);
    parts[0]->tensors = all; /* n_tensors follows as they come */
    for (size_t i = 1; i < n; i++)
        for (size_t t = 0; t < parts[i]->n_tensors; t++, at++) {
            union map_value seen;
            all[at] = parts[i]->tensors[t];
            if (map_get(&x->tensors, all[at].name, &seen))
                return err_set(e, ERR_FORMAT,
                               "gguf: tensor %s stands in part %zu and in an earlier one; they are of different sets, fetch them again",
                               shown_of(all[at].name).z, i + 1);
            if (!map_set(&x->tensors, all[at].name, (union map_value){.u64 = at}))
                return err_set(e, ERR_NO_MEMORY, "gguf: no memory for the index of tensors");
            parts[0]->n_tensors = at + 1;
        }
    return 0;
}

int modelfile_join(struct modelfile **out, struct modelfile **files, size_t n, struct err *e)
{
    uint32_t tensors = UINT32_MAX;
    int rc = 0;
    *out = NULL;
    struct modelfile **sorted = n ? mem_array(n, sizeof *sorted) : NULL;
    if (n == 0)
        return err_set(e, ERR_FORMAT, "gguf: a model of no files");
    if (!sorted)
        rc = err_set(e, ERR_NO_MEMORY, "gguf: no memory for %zu parts", n);
    if (!rc)
        rc = parts_sort(sorted, files, n, &tensors, e);
    for (size_t i = 1; i < n && !rc; i++)
        rc = check_same_model(sorted[0], sorted[i], i, e);
    if (!rc && n > 1)
        rc = tensors_join(sorted, n, tensors, e);
    if (rc) {
        for (size_t i = 0; i < n; i++)
            modelfile_close(files[i]);
        mem_free(sorted);
        return rc;
    }
    sorted[0]->parts = sorted; /* itself first */
    sorted[0]->n_parts = n;
    *out = sorted[0];
    return 0;
}

int modelfile_open_parts(struct modelfile **out, const char *const *paths, size_t n, struct err *e)
{
    *out = NULL;
    if (n == 0 || n > MODELFILE_PARTS_MAX)
        return err_set(e, ERR_FORMAT, "gguf: a model of %zu files, where 1 to %d are read", n, MODELFILE_PARTS_MAX);
    struct modelfile **files = mem_array(n, sizeof *files);
    int rc = files ? 0 : err_set(e, ERR_NO_MEMORY, "gguf: no memory for %zu parts", n);
    for (size_t i = 0; i < n && !rc; i++)
        if ((rc = gguf_open(&files[i], paths[i], e)) && n > 1)
            rc = err_wrap(e, "part %zu of %zu", i + 1, n);
    if (!rc) {
        rc = modelfile_join(out, files, n, e);
    } else {
        for (size_t i = 0; files && i < n; i++)
            modelfile_close(files[i]);
    }
    mem_free(files);
    return rc;
}

/* Opens the parts beside `path`, which is part `no` of `count` by what is in it. */
static int open_siblings(struct modelfile **out, const char *path, struct split s, struct err *e)
{
    struct str stem;
    uint32_t no, count;
    if (!name_read(str_of(path), &stem, &no, &count))
        return err_set(e, ERR_FORMAT,
                       "gguf: the file is part %u of %u, but its name does not end with -%05u-of-%05u.gguf, by which the others are found; name all "
                       "parts so",
                       s.no + 1, s.count, s.no + 1, s.count);
    if (no != s.no || count != s.count)
        return err_set(e, ERR_FORMAT, "gguf: the file is part %u of %u, but its name says part %u of %u; give it its name back", s.no + 1, s.count,
                       no + 1, count);
    size_t cap = strlen(path) + 1;
    char **paths = mem_array(count, sizeof *paths);
    int rc = paths ? 0 : err_set(e, ERR_NO_MEMORY, "gguf: no memory for %u parts", count);
    for (uint32_t i = 0; i < count && !rc; i++) {
        if (!(paths[i] = mem_new(cap)) || !shard_name(paths[i], cap, stem, i, count))
            rc = err_set(e, ERR_NO_MEMORY, "gguf: no memory for the names of %u parts", count);
        else if (!os_exists(paths[i]))
            rc = err_set(e, ERR_NOT_FOUND, "gguf: part %u of %u is missing: there is no %s; fetch all parts into one folder", i + 1, count, paths[i]);
    }
    if (!rc)
        rc = modelfile_open_parts(out, (const char *const *)paths, count, e);
    for (uint32_t i = 0; paths && i < count; i++)
        mem_free(paths[i]);
    mem_free(paths);
    return rc;
}

int modelfile_open(struct modelfile **out, const char *path, struct err *e)
{
    struct split s;
    int rc = gguf_open(out, path, e);
    if (rc || (!(rc = split_read(&s, *out, e)) && s.count == 1))
        return rc;
    modelfile_close(*out);
    *out = NULL;
    return rc ? rc : open_siblings(out, path, s, e);
}
