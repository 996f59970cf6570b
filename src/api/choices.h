/* An answer made of choices, whole or in chunks: the shape that chat and completions have in common.
 *
 *   whole    {id, object, created, model, system_fingerprint, choices: [{..., finish_reason}, ...], usage}
 *   chunk    {id, object, created, model, system_fingerprint, choices: [{..., finish_reason}]}     one choice, usage: null when usage is to come
 *            and after the last one, when usage was asked for, one with no choices and the usage; else the last one has the bill
 *
 * An endpoint tells what stands at the dots: its struct choices_form is its wire's `form`, the functions below are its wire's. */
#pragma once
#include "api/call.h"

enum choices_part { CHOICES_FIRST, CHOICES_TEXT, CHOICES_LAST };

struct choices_form {
    const char *prefix, *object, *chunk; /* of the id; the object's name, whole and in a chunk */
    bool first;                          /* a stream begins with a chunk of every choice that has no text yet: CHOICES_FIRST */
    /* What a choice says, from its index to its log probabilities: the whole of ch->text, or the next n bytes. */
    void (*whole)(struct jw *w, struct choice *ch);
    void (*part)(struct jw *w, struct choice *ch, enum choices_part part, const char *p, size_t n);
};

void choices_open(struct call *c);
void choices_text(struct choice *ch, const char *p, size_t n);
void choices_ended(struct choice *ch);
void choices_done(struct call *c, struct choice *last);
