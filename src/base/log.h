/* The log: one JSON object a line on standard error; no prompts and no secrets in it. */
#pragma once
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
void log_level_set(enum log_level min);
/* event: a short fixed word ("request", "model_load"); the text must hold no user content. */
void log_line(enum log_level l, const char *event, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
