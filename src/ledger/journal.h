/* The metering journal: a redo log of holds, steps and finishes, in DATA/journal/NNNNNNNNNNNNNNNN (16 hex digits, rising).
 *
 * The store commits without a sync; the journal is written with one write(2) a call and synced every 100 ms (strict: every step). So after
 * kill -9 nothing is lost, and after a lost machine at most 100 ms. All integers are little-endian.
 *
 *   segment   = header record*
 *   header    0 magic "SLJRNL\x00\x01"   8 u64 number   16 i64 created_us   24 u32 0   28 u32 CRC-32 of bytes 0 to 27        (32 bytes)
 *   record    0 u32 CRC-32 of the rest of the record   4 u16 n   6 u8 type   7 u8 low byte of the segment's number   8 payload (n bytes)
 *   1 HOLD    u64 hold, i64 org, project, key, price, u32 input, output, i64 amount_scope, amount_any, created_us, 32 bytes digest,
 *             u16 length of request, model, revision, then their bytes; then, unless it is inference, u8 scope (enum scope)
 *   2 MORE    u64 hold, u32 output, 0, i64 amount_scope, amount_any       cumulative
 *   3 STEP    u64 hold, u32 input, cache_read, cache_write, output, reasoning, accepted_draft       cumulative
 *   4 FINISH  as STEP, then u8 reason, u8 stream, u16 status, u32 0, i64 start_us, first_us, end_us
 *   5 COVER   u64 hold, i64 reservation, hour_us, units       cumulative; after its HOLD, before a MORE
 *
 * Reading a segment ends at its first record that does not check: a torn tail. A new segment begins with a snapshot of every hold whose
 * usage row is not committed yet, and is begun only after a synced commit; then the older segments are superfluous and are removed. */
#pragma once
#include "base/thread.h"
#include "ledger/ledger.h"

enum { JOURNAL_SEGMENT_BYTES = 8 << 20, JOURNAL_SYNC_MS = 100, JOURNAL_PAYLOAD_MAX = 2048, JOURNAL_SCOPES = 4 };
enum { LEDGER_REQUEST_MAX = 128, LEDGER_MODEL_MAX = 256, LEDGER_REVISION_MAX = 512 }; /* bytes with the final NUL */

enum journal_type { JOURNAL_HOLD = 1, JOURNAL_MORE, JOURNAL_STEP, JOURNAL_FINISH, JOURNAL_COVER };

/* One record, read or to be written; the fields of its type are set. Strings are borrowed. */
struct journal_rec {
    enum journal_type type;
    uint64_t hold;
    int64_t org, project, key, price;
    uint32_t input, output;
    int64_t amount_scope, amount_any, created_us;
    struct sha256 digest;
    struct str request, model, revision;
    uint8_t scope; /* of enum scope; 0: inference */
    struct usage_counts counts;
    enum finish_reason reason;
    bool stream;
    int status;
    int64_t start_us, first_us, end_us;
    int64_t reservation, hour_us, units;
};

struct journal {
    char path[1024]; /* the folder */
    int fd;
    uint64_t number;
    size_t size; /* bytes in this segment */
    bool dirty;  /* written since the last sync */
    bool failed, sync_failed;
    struct mutex lock;      /* appending: size, dirty, failed, fd */
    struct mutex sync_lock; /* held while syncing, so that fd stays open; taken before lock */
};

int journal_open(struct journal *j, const char *dir, struct err *e) MUST_USE; /* no segment yet: journal_rotate makes it */
void journal_close(struct journal *j);
/* Encodes a record for the segment that is current when it is appended. */
void journal_put(struct buf *b, const struct journal_rec *r);
/* Appends what journal_put made, with one write(2). After a failure every later append fails too. */
int journal_append(struct journal *j, struct buf *b, struct err *e) MUST_USE;
/* After a write that failed: the next rotation may begin a new segment. Not after a sync that did. */
void journal_mend(struct journal *j);
bool journal_sync_failed(struct journal *j);
size_t journal_size(struct journal *j); /* bytes in this segment */
int journal_sync(struct journal *j, struct err *e) MUST_USE;
/* Begins a new segment with what snap puts into it (called while appends wait, so that snapshot and switch are one), then removes the
 * older ones. The caller has synced the store. */
int journal_rotate(struct journal *j, void (*snap)(void *, struct buf *), void *arg, struct err *e) MUST_USE;
/* Walks the records of one segment; *whole: the bytes up to the first record that does not check. */
int journal_parse(const uint8_t *p, size_t n, uint64_t number, int (*fn)(void *, const struct journal_rec *, struct err *), void *arg, size_t *whole,
                  struct err *e) MUST_USE;
/* Reads every segment in order; returns the number of bytes ignored in *torn. fn may fail and so end the walk. */
int journal_read(const char *folder, int (*fn)(void *, const struct journal_rec *, struct err *), void *arg, uint64_t *torn, struct err *e) MUST_USE;
int journal_remove(const char *folder, uint64_t below, struct err *e) MUST_USE; /* segments with a smaller number */
