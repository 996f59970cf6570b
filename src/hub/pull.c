#include "hub/pull.h"
#include "base/mem.h"
#include "hub/hub_int.h"
#include "hub/pick.h"
#include "hub/spec.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How much of a file is fetched before it is judged: a header is mostly its vocabulary. */
enum { HEAD_FIRST = 1 << 20, HEAD_MORE = 16, HEAD_MAX = 64 << 20 };

struct pull {
    struct store *s;
    const struct pull_opts *o;
    struct remote remote;
    const char *file;         /* at which it is */
    struct probe_facts facts; /* of the first part */
    uint64_t moved;
};

static void on_progress(void *arg, const struct fetch_progress *p)
{
    struct pull *t = arg;
    struct fetch_progress all = *p;
    all.moved += t->moved;
    if (t->o->progress)
        t->o->progress(t->o->arg, t->file, &all);
}

static int judge(struct pull *t, struct partial *p, struct probe_facts *facts, struct err *e)
{
    int fd = partial_fd(p);
    return t->o->probe ? t->o->probe(facts, &fd, 1, e) : store_check(t->s, fd, partial_path(p), e);
}

static int probe_check(void *arg, const int *fds, size_t n, struct err *e)
{
    struct pull *t = arg;
    return t->o->probe(&t->facts, fds, n, e);
}

/* Whether the file begins as GGUF does: then a fault may be that the header is not all there yet. */
static bool head_is_gguf(const struct partial *p)
{
    char head[4];
    return pread(partial_fd(p), head, sizeof head, 0) == sizeof head && !memcmp(head, "GGUF", sizeof head);
}

/* Refuses what could not be served before its gigabytes come. The file has its full size already, and zeros where nothing came yet: a header
 * that is not all there reads as damaged, so that more of it is fetched before that is believed. */
static int judge_head(struct pull *t, struct fetch *f, struct err *e)
{
    uint64_t size = f->file->size;
    for (uint64_t n = HEAD_FIRST;; n *= HEAD_MORE) {
        struct probe_facts facts = {0};
        uint64_t moved = 0;
        bool last = n >= HEAD_MAX || n >= size;
        n = n < size ? n : size;
        int rc = fetch_head(f, n, &moved, e);
        t->moved += moved;
        if (rc)
            return rc;
        rc = judge(t, f->partial, &facts, e);
        if (!rc && (facts.data_start <= n || last))
            return 0;
        bool all_there = facts.data_start && facts.data_start <= n; /* the header was sound: what is wrong is what it says */
        if (rc && (last || all_there || rc != -ERR_FORMAT || !head_is_gguf(f->partial)))
            return rc;
    }
}

static int part_bytes(struct pull *t, struct fetch *f, struct ref_part *out, struct probe_facts *facts, struct err *e)
{
    uint64_t moved = 0;
    bool useless = false;
    int rc = judge_head(t, f, e);
    if (rc == -ERR_FORMAT || rc == -ERR_UNSUPPORTED)
        partial_remove(f->partial);
    if (rc)
        return rc;
    rc = fetch_rest(f, &out->digest, &moved, &useless, e);
    t->moved += moved;
    if (useless)
        partial_remove(f->partial);
    if (rc)
        return rc;
    if ((rc = judge(t, f->partial, facts, e)) == -ERR_FORMAT || rc == -ERR_UNSUPPORTED)
        partial_remove(f->partial);
    out->size = f->file->size;
    return rc ? rc : store_publish(t->s, partial_fd(f->partial), partial_path(f->partial), &out->digest, out->size, e);
}

static int pull_part(struct pull *t, const struct remote_file *file, struct ref_part *out, struct probe_facts *facts, struct err *e)
{
    char key[PARTIAL_KEY_MAX];
    struct partial *p;
    char hex[65];
    if (!file->has_sha256 && !file->has_blob)
        return err_set(e, ERR_REMOTE, "hub: %s names no digest for %s, so that it could not be verified; fetch it by other means and `sluice add` it",
                       t->remote.origin.host, file->path);
    if (file->has_sha256 && store_has(t->s, &file->sha256, file->size)) {
        *out = (struct ref_part){file->sha256, file->size};
        return 0;
    }
    str_to_hex(hex, file->has_sha256 ? file->sha256.b : file->blob.b, file->has_sha256 ? 32 : 20);
    (void)str_fmt(key, sizeof key, "%s-%s", file->has_sha256 ? "sha256" : "blob", hex);
    int rc = partial_open(&p, t->s, key, file->size, e);
    if (rc)
        return rc;
    struct fetch f = {.remote = &t->remote, .file = file, .partial = p, .connections = t->o->connections, .progress = on_progress, .arg = t};
    t->file = file->path;
    rc = part_bytes(t, &f, out, facts, e);
    if (!rc)
        partial_remove(p);
    partial_close(p);
    return rc;
}

/* A name that is another's already is told before gigabytes move. */
static int early_conflict(struct pull *t, const struct pick *pick, const struct spec *spec, struct pull_done *out, struct err *e)
{
    struct ref_part parts[PICK_PARTS_MAX];
    struct sha256 digest;
    bool known = true;
    for (size_t i = 0; i < pick->n; i++) {
        parts[i] = (struct ref_part){pick->file[i]->sha256, pick->file[i]->size};
        known = known && pick->file[i]->has_sha256;
    }
    if (!str_fmt(out->ref.repository, sizeof out->ref.repository, "%s/%s", spec->org, spec->name))
        return err_set(e, ERR_BAD_VALUE, "hub: the name of the repository is too long");
    if (!known)
        return 0;
    ref_digest(&digest, parts, pick->n);
    return hub_name_free(t->s, &out->ref, &digest, t->o->replace, e);
}

static int pull_all(struct pull *t, const struct pick *pick, const struct spec *spec, struct pull_done *out, struct err *e)
{
    struct ref_part parts[PICK_PARTS_MAX];
    struct ref *r = &out->ref;
    int rc = early_conflict(t, pick, spec, out, e);
    for (size_t i = 0; i < pick->n && !rc; i++) {
        struct probe_facts facts = {0};
        rc = pull_part(t, pick->file[i], &parts[i], &facts, e);
        if (!i)
            t->facts = facts;
    }
    out->moved = t->moved, out->parts = pick->n;
    if (rc)
        return rc;
    if (t->o->probe)
        store_check_set(t->s, probe_check, t);
    bool fits = str_fmt(r->repository, sizeof r->repository, "%s/%s", spec->org, spec->name) &&
                str_fmt(r->file, sizeof r->file, "%s", pick->file[0]->path) &&
                str_fmt(r->revision, sizeof r->revision, "%s", *t->remote.commit ? t->remote.commit : t->remote.revision);
    if (!fits)
        return err_set(e, ERR_BAD_VALUE, "hub: the names of repository, revision and file are too long for a ref");
    (void)str_fmt(r->licence, sizeof r->licence, "%s", *t->remote.licence ? t->remote.licence : t->facts.licence);
    if ((rc = hub_name(t->s, r, parts, pick->n, t->o->replace, &out->was_new, e)) == -ERR_FORMAT || rc == -ERR_CONFLICT)
        hub_drop(t->s, parts, pick->n);
    return rc;
}

/* The name of the ref: checked before anything moves. */
static int choose_name(struct ref *r, const struct pull_opts *o, const struct spec *spec, struct err *e)
{
    bool fits = o->name ? str_fmt(r->name, sizeof r->name, "%s", o->name)
                        : str_fmt(r->name, sizeof r->name, "%s/%s%s%s", spec->org, spec->name, *spec->tag ? ":" : "", spec->tag);
    return fits ? ref_name_check(str_of(r->name), e)
                : err_set(e, ERR_BAD_VALUE, "hub: the model's name would be longer than %d bytes; give a --name", REF_NAME_MAX);
}

int hub_pull(struct store *s, const struct pull_opts *o, struct pull_done *out, struct err *e)
{
    struct pull t = {.s = s, .o = o};
    struct spec spec;
    struct pick pick;
    *out = (struct pull_done){0};
    int rc = spec_parse(&spec, o->spec, e);
    if (rc || (rc = choose_name(&out->ref, o, &spec, e)) || (rc = endpoint_open(&t.remote, o->from, o->token_file, e)))
        return rc;
    struct remote *r = &t.remote;
    r->retries = o->retries, r->stall_ms = o->stall_ms, r->note = o->note, r->note_arg = o->arg;
    memcpy(r->org, spec.org, sizeof r->org);
    memcpy(r->name, spec.name, sizeof r->name);
    (void)str_fmt(r->revision, sizeof r->revision, "%s", *spec.revision ? spec.revision : r->proto->default_revision);
    if (*r->token && !r->origin.tls && strcmp(r->origin.host, "127.0.0.1") && strcmp(r->origin.host, "localhost"))
        remote_note(r, "the token goes to %s unencrypted (http); use an https endpoint", r->origin.host);
    rc = remote_list(r, e);
    if (!rc)
        rc = pick_files(&pick, r->files, r->n_files, spec.tag, e);
    if (!rc)
        rc = pull_all(&t, &pick, &spec, out, e);
    remote_deinit(r);
    return rc;
}
