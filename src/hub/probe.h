/* The probe: a model file is read for the first time in a sandboxed child of this program, so that a file that breaks its reader is an error
 * message. What the child says about a file is itself not trusted: it is read as strict JSON, within bounds.
 *
 *   parent (add, pull)                      child (`sluice probe`: the same program)
 *   probe_files ── sandbox_run ───────────► probe_child: map descriptor 0 (and 3, 4, ... for further parts), sandbox_enter,
 *               ◄── {"facts": {...}} ──────  parse, look, write
 *               ◄── {"error": {...}} ────── */
#pragma once
#include "base/json.h"
#include "format/modelfile.h"

enum { PROBE_TIMEOUT_MS = 120000, PROBE_CPU_SECONDS = 60, PROBE_FACTS_MAX = 64 << 10 };
#define PROBE_MEMORY_MAX (1ull << 30)

struct probe_facts {
    char     architecture[64], quantisation[32], name[128], licence[64]; /* "" where the file says nothing */
    uint64_t context, parameters;
    uint32_t part, parts; /* of a split file: part counts from 0; 0 and 1 for a whole one */
    uint64_t data_start;  /* first byte of the first tensor: all before is header. With an error: 0 when the header itself is at fault */
};
/* What the child does with a parsed file: checks it and fills the facts. */
typedef int (*probe_look_fn)(struct probe_facts *out, const struct modelfile *f, struct err *e);

/* Looks at an open model file in the child, or at a model in n files (in order). ERR_FORMAT when it is unsound, and when its reader crashed,
 * hung or wrote nonsense. */
int probe_files(struct probe_facts *out, const int *fds, size_t n, struct err *e) MUST_USE;
int probe_file(struct probe_facts *out, int fd, struct err *e) MUST_USE;
/* The child's main function, for n files; it does not return. */
_Noreturn void probe_child(size_t n, probe_look_fn look);

/* The child's answer: written by one, read by the other. */
void probe_facts_write(struct buf *b, const struct probe_facts *f);
int  probe_answer_read(struct probe_facts *out, const char *p, size_t n, struct err *e) MUST_USE; /* the error that it tells is returned */
