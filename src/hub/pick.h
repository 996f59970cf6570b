/* Which files of a repository are the model that was asked for.
 *
 * Candidates are the .gguf files, without projectors (mmproj) and importance matrices. Files NAME-00001-of-0000N.gguf ... are one candidate, which
 * must be complete. A candidate's quantisation is the last part of its name that is one (Q4_K_M, IQ2_XS, BF16, ...).
 *
 *   tag ending in .gguf   the file of that path, or of that name in any folder (any part of a split names the whole)
 *   tag                   the candidate of that quantisation, case ignored
 *   no tag                the only candidate; else the first of these that there is: Q4_K_M Q4_K_S Q5_K_M Q4_0 Q4_1 Q5_K_S Q5_0 Q6_K Q8_0 Q3_K_M
 *                         Q3_K_S Q2_K BF16 F16 F32
 *
 * When more than one fits, or none, the error lists what there is. */
#pragma once
#include "hub/remote.h"

enum { PICK_PARTS_MAX = 256 };
struct pick {
    const struct remote_file *file[PICK_PARTS_MAX]; /* in order; of the remote's list */
    size_t                    n;
    char                      quant[16]; /* upper case; "" when the name has none */
};
int pick_files(struct pick *out, const struct remote_file *files, size_t n, const char *tag, struct err *e) MUST_USE;
/* NAME-00002-of-00003.gguf: part 2 of 3 and the length of "NAME"; false: the file is whole. */
bool pick_split(struct str path, uint32_t *part, uint32_t *parts, size_t *stem);
