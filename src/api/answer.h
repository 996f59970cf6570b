/* What the answers of all endpoints share: usage, bill, the end's reason, money headers, events of a stream. */
#pragma once
#include "api/call.h"

/* An object is begun: id (PREFIX-...), object, created, model, system_fingerprint, and service_tier if that was asked for. */
void answer_head(struct jw *w, const struct call *c, const char *prefix, const char *object);
void answer_usage(struct jw *w, const struct call *c); /* "usage", with the bill in it */
void answer_bill(struct jw *w, const struct call *c);  /* "sluice": cost, balance, currency */
void answer_finish(struct jw *w, const struct choice *ch); /* finish_reason, and finish_details when the credit ended it */
/* A plain answer: the JSON in api->scratch goes out with the money headers, or an error when it did not fit. */
void answer_reply(struct call *c);
/* A stream: its head; the JSON in api->scratch as an event; [DONE] and the end. */
void answer_open(struct call *c);
void answer_event(struct call *c);
void answer_end(struct call *c);
void answer_fail(struct call *c, const struct err *e); /* plain or, in a stream, as its last event */
void answer_scratch(struct call *c, struct jw *w);     /* the empty scratch, and a writer on it */
