/* CSV (RFC 4180): lines end in LF when written, in LF or CRLF when read; UTF-8; a field with a comma, a quote or a line end is quoted. */
#pragma once
#include "base/json.h"

/* An array of flat objects: a line of the first object's names, then a line for each. A text that a spreadsheet would take for a formula (it begins
 * with = + - @ and is no number) gets an apostrophe before it. */
void csv_rows(struct buf *out, const struct json *rows);

/* Reads a record at a time: start with rest = the text, line = 1. fields: NUL-terminated, in the reader's memory until the next call. */
enum { CSV_FIELDS_MAX = 64, CSV_RECORD_MAX = 1 << 16 };
struct csv {
    struct str rest;
    size_t     line; /* of the record that was read last */
    size_t     next_line;
    struct buf text;
    size_t     n;
    struct str field[CSV_FIELDS_MAX];
};
void csv_init(struct csv *c, struct str text); /* a byte order mark at its head is skipped */
void csv_deinit(struct csv *c);
/* False at the end, or with an error that names the line. Empty lines are skipped. */
bool csv_next(struct csv *c, struct err *e);
