/* One ledger, several nodes, over PostgreSQL.
 *
 * Each node has all of the ledger in memory, as with SQLite, and what it has is exact whenever it writes: transactions of all nodes take turns
 * (db/postgres.c), and each begins with one row, `share`. Another generation than ours says that somebody else has written since:
 *
 *   cold differs     keys, prices, limits, grants or accounts were changed by people: memory is read anew and exchanged as a whole
 *   else             only holds, usage and what grants have left: the counters of ids and the chain of events are read, and the grants of an
 *                    account when this transaction first touches it
 *
 * A node that has nothing to write asks every SHARE_POLL_MS whether cold differs, so that what people do on one node (a key revoked) is obeyed by
 * every node after half a second at most. The guarded UPDATE still decides every hold. Rate limits are counted by each node for itself.
 *
 * A node is a row of `node`, by name, and holds a lock of its session for as long as it lives: a second one with its name is refused. Its open
 * holds are its own: it takes them back from its journal when it starts again; when it never does, another node ends them, uncharged, an hour
 * after their time.
 *
 * The secret under which keys are kept is a file of each data folder and must be the same everywhere: the store has its fingerprint.
 *
 * Healing (heal.c), of SQLite too: a write that failed breaks the ledger (no hold is granted, nothing is written but the journal); the ledger's
 * thread then opens the store again, after 0.1 s and then ever less often, up to 2 s; when it can, memory is read anew, the holds that are open in
 * memory are laid beside those of the store, what ended meanwhile is billed, and work goes on. A disk that failed a sync is not trusted again:
 * that wants a restart. */
#pragma once
#include "ledger/ledger_int.h"

enum { SHARE_POLL_MS = 250, HEAL_FIRST_MS = 100, HEAL_MOST_MS = 2000, CLAIM_WAIT_MS = 3000 };

int share_claim(struct ledger *l, unsigned wait_ms, struct err *e) MUST_USE; /* the node's name, outside a transaction */
int share_open(struct ledger *l, struct err *e) MUST_USE;  /* in the transaction of the start: compares secrets */
int share_begin(struct ledger *l, struct err *e) MUST_USE; /* at the beginning of a transaction: memory is as the store is now, but for grants */
int share_end(struct ledger *l, struct err *e) MUST_USE;   /* before its commit */
void share_done(struct ledger *l);                         /* after it */
int share_org(struct ledger *l, struct org *o, struct err *e) MUST_USE; /* the account's grants are as the store has them now */
int share_all(struct ledger *l, struct err *e) MUST_USE;                /* the grants of all */
int share_poll(struct ledger *l, struct err *e) MUST_USE;
int share_sweep(struct ledger *l, struct err *e) MUST_USE; /* ends holds of nodes that did not come back */

/* Reads all of memory anew in the open transaction and exchanges it. */
int state_reload(struct ledger *l, struct err *e) MUST_USE;
/* Tries to bring a broken ledger back. Ledger thread, outside a transaction. */
void heal(struct ledger *l);
