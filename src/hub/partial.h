/* A file that is being fetched, and what of it is there: it survives kill -9 and a lost machine, and a later pull goes on with it.
 *
 *   DIR/partial/<key>.data     the bytes at their places; of the file's full size, with holes
 *   DIR/partial/<key>.journal  which ranges are there; its owner holds a lock on it
 *
 * The key is the digest that the hub names, so that the same content under another name goes on too. The journal is appended to, one write(2)
 * a record, all numbers little-endian:
 *
 *   header   8 bytes "sluicej1" | u64 size of the file | 16 bytes id of the machine's start (boot_id) | u32 CRC-32 of the 32 bytes | u32 0
 *   record   u64 from | u64 to | u32 kind | u32 CRC-32 of the 20 bytes
 *            kind 1: [from, to) was written    kind 2: what the first `from` bytes of the journal tell is on the disk
 *
 * After a restart of the machine only what a record of kind 2 vouches for is believed. A torn or foreign record ends the journal. What
 * is believed wrongly cannot become a blob: the whole is hashed before it does. A partial file that nobody went on with for 14 days goes when
 * the store is opened. */
#pragma once
#include "hub/ranges.h"
#include "hub/store.h"

enum { JOURNAL_HEADER = 40, JOURNAL_RECORD = 24, JOURNAL_BYTES_MAX = 64 << 20, PARTIAL_KEY_MAX = 80, PARTIAL_DAYS_MAX = 14 };

struct partial;
/* Opens or begins. ERR_CONFLICT: another process fetches it; ERR_IO: also when the disk has not the room that is missing. */
int  partial_open(struct partial **out, const struct store *s, const char *key, uint64_t size, struct err *e) MUST_USE;
void partial_close(struct partial *p);  /* keeps it; NULL: nothing */
void partial_remove(struct partial *p); /* removes the files; p must still be closed */
int  partial_fd(const struct partial *p);
const char          *partial_path(const struct partial *p);
const struct ranges *partial_had(const struct partial *p); /* what was there when it was opened */
int partial_had_add(struct partial *p, const struct ranges *more, struct err *e) MUST_USE;
/* Bytes at their place; any thread. ERR_IO names a full disk. */
int partial_write(struct partial *p, uint64_t at, const void *data, size_t n, struct err *e) MUST_USE;
int partial_mark(struct partial *p, uint64_t from, uint64_t to, struct err *e) MUST_USE; /* journals that [from, to) was written; any thread */
int partial_sync(struct partial *p, struct err *e) MUST_USE;                              /* data to the disk, then a record that says so */

/* The journal's text: what it believes, clipped to size. false: no journal of a file of that size. boot: the machine's id now. */
bool partial_journal_read(struct ranges *out, const void *p, size_t n, uint64_t size, const uint8_t boot[16]);
/* Removes partial files older than PARTIAL_DAYS_MAX that nobody holds. */
void partial_sweep(const char *dir);
