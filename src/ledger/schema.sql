-- The ledger's store, version 1. Money is integer nano-units; times are microseconds since 1970, UTC; 0 in *_us means "none".
-- An entry's amount is positive for a debit and negative for a credit; the entries of a transaction, and of the store, sum to 0.
-- usage, usage_line, txn, entry and event are append-only.

CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID, STRICT;

CREATE TABLE organisation (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_us INTEGER NOT NULL
) STRICT;

CREATE TABLE project (
    id         INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL REFERENCES organisation(id),
    name       TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    UNIQUE (org_id, name)
) STRICT;

-- A key is shown once; only its HMAC-SHA256 under DATA/secret is kept.
CREATE TABLE key (
    id         INTEGER PRIMARY KEY,
    public_id  TEXT NOT NULL UNIQUE,
    project_id INTEGER NOT NULL REFERENCES project(id),
    name       TEXT NOT NULL,
    hmac       BLOB NOT NULL,
    last4      TEXT NOT NULL,
    scopes     TEXT NOT NULL DEFAULT 'inference',
    created_us INTEGER NOT NULL,
    rotated_us INTEGER NOT NULL DEFAULT 0,
    expires_us INTEGER NOT NULL DEFAULT 0,
    revoked_us INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The chart of accounts: one per grant (grant_pool:ID) and the provider's own (org_id NULL).
CREATE TABLE account (
    id       INTEGER PRIMARY KEY,
    code     TEXT NOT NULL,
    class    TEXT NOT NULL CHECK (class IN ('asset', 'liability', 'revenue', 'contra_revenue')),
    org_id   INTEGER REFERENCES organisation(id),
    currency TEXT NOT NULL,
    balance  INTEGER NOT NULL DEFAULT 0, -- the sum of its entries
    UNIQUE (code, currency)
) STRICT;

-- What may be spent: balance is what the live grants of this scope have left, held is what open holds reserve of it.
CREATE TABLE pool (
    id       INTEGER PRIMARY KEY,
    org_id   INTEGER NOT NULL REFERENCES organisation(id),
    scope    TEXT NOT NULL,
    currency TEXT NOT NULL,
    balance  INTEGER NOT NULL DEFAULT 0 CHECK (balance >= 0),
    held     INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0 AND held <= balance),
    UNIQUE (org_id, scope, currency)
) STRICT;

CREATE TABLE credit_grant (
    id           INTEGER PRIMARY KEY,
    org_id       INTEGER NOT NULL REFERENCES organisation(id),
    pool_id      INTEGER NOT NULL REFERENCES pool(id),
    account_id   INTEGER NOT NULL REFERENCES account(id),
    scope        TEXT NOT NULL,
    funding      TEXT NOT NULL CHECK (funding IN ('paid', 'promotional', 'investment', 'goodwill')),
    priority     INTEGER NOT NULL DEFAULT 50,
    amount       INTEGER NOT NULL CHECK (amount > 0),
    remaining    INTEGER NOT NULL CHECK (remaining >= 0 AND remaining <= amount),
    currency     TEXT NOT NULL,
    effective_us INTEGER NOT NULL,
    expires_us   INTEGER NOT NULL DEFAULT 0,
    state        INTEGER NOT NULL CHECK (state IN (0, 1, 2)), -- 0 waits for effective_us, 1 in its pool, 2 expired
    reference    TEXT UNIQUE,
    created_us   INTEGER NOT NULL
) STRICT;
CREATE INDEX credit_grant_org ON credit_grant (org_id);

-- A price is immutable; a change is a new version.
CREATE TABLE price (
    id           INTEGER PRIMARY KEY,
    model        TEXT NOT NULL,
    version      INTEGER NOT NULL,
    tier         TEXT NOT NULL DEFAULT 'standard',
    currency     TEXT NOT NULL,
    effective_us INTEGER NOT NULL,
    created_us   INTEGER NOT NULL,
    UNIQUE (model, tier, version)
) STRICT;

CREATE TABLE price_rate (
    price_id         INTEGER NOT NULL REFERENCES price(id),
    meter            TEXT NOT NULL CHECK (meter IN ('input', 'cache_read', 'cache_write', 'output', 'reasoning')),
    from_tokens      INTEGER NOT NULL DEFAULT 0, -- volume tier; only 0 is used
    nano_per_million INTEGER NOT NULL CHECK (nano_per_million >= 0),
    PRIMARY KEY (price_id, meter, from_tokens)
) WITHOUT ROWID, STRICT;

-- What an alias meant when it was used.
CREATE TABLE model (
    id       INTEGER PRIMARY KEY,
    alias    TEXT NOT NULL,
    revision TEXT NOT NULL,
    digest   BLOB NOT NULL,
    UNIQUE (alias, revision, digest)
) STRICT;

CREATE TABLE node (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE hold (
    id           INTEGER PRIMARY KEY,
    request      TEXT NOT NULL UNIQUE,
    org_id       INTEGER NOT NULL,
    project_id   INTEGER NOT NULL,
    key_id       INTEGER NOT NULL,
    model_id     INTEGER NOT NULL,
    price_id     INTEGER NOT NULL,
    scope        TEXT NOT NULL DEFAULT 'inference',
    input        INTEGER NOT NULL, -- the most tokens that may be computed
    output       INTEGER NOT NULL,
    amount_scope INTEGER NOT NULL CHECK (amount_scope >= 0), -- held of the pool of this scope
    amount_any   INTEGER NOT NULL CHECK (amount_any >= 0),   -- held of the pool "any"
    node_id      INTEGER NOT NULL,
    created_us   INTEGER NOT NULL,
    expires_us   INTEGER NOT NULL,
    state        INTEGER NOT NULL DEFAULT 0 CHECK (state IN (0, 1)) -- 0 open, 1 finished
) STRICT;
CREATE INDEX hold_open ON hold (id) WHERE state = 0;

-- One row a finished request. Counters are disjoint, but accepted_draft is a part of output.
CREATE TABLE usage (
    id             INTEGER PRIMARY KEY,
    hold_id        INTEGER NOT NULL UNIQUE,
    request        TEXT NOT NULL,
    org_id         INTEGER NOT NULL,
    project_id     INTEGER NOT NULL,
    key_id         INTEGER NOT NULL,
    model_id       INTEGER NOT NULL,
    price_id       INTEGER NOT NULL,
    input          INTEGER NOT NULL,
    cache_read     INTEGER NOT NULL,
    cache_write    INTEGER NOT NULL,
    output         INTEGER NOT NULL,
    reasoning      INTEGER NOT NULL,
    accepted_draft INTEGER NOT NULL,
    list           INTEGER NOT NULL, -- counters times price
    charged        INTEGER NOT NULL, -- never more than was held
    reason         INTEGER NOT NULL, -- enum finish_reason
    status         INTEGER NOT NULL,
    stream         INTEGER NOT NULL,
    start_us       INTEGER NOT NULL,
    first_us       INTEGER NOT NULL,
    end_us         INTEGER NOT NULL
) STRICT;
CREATE INDEX usage_time ON usage (end_us);

-- Which grants paid a usage row, and in which transaction.
CREATE TABLE usage_line (
    usage_id INTEGER NOT NULL,
    grant_id INTEGER NOT NULL,
    amount   INTEGER NOT NULL CHECK (amount > 0),
    txn_id   INTEGER NOT NULL,
    PRIMARY KEY (usage_id, grant_id)
) WITHOUT ROWID, STRICT;

CREATE TABLE txn (
    id          INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL CHECK (kind IN ('grant', 'usage', 'expire', 'refund', 'adjust')),
    org_id      INTEGER NOT NULL,
    grant_id    INTEGER NOT NULL,
    price_id    INTEGER,          -- of a usage transaction, with the rows it sums:
    first_usage INTEGER,
    last_usage  INTEGER,
    n_usage     INTEGER,
    created_us  INTEGER NOT NULL
) STRICT;

CREATE TABLE entry (
    txn_id     INTEGER NOT NULL,
    line       INTEGER NOT NULL,
    account_id INTEGER NOT NULL,
    amount     INTEGER NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (txn_id, line)
) WITHOUT ROWID, STRICT;

-- What people did, hash-chained: hash = SHA-256(previous hash, at, actor, action, object, detail), fields ended by a NUL.
CREATE TABLE event (
    id     INTEGER PRIMARY KEY,
    at_us  INTEGER NOT NULL,
    actor  TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL,
    hash   BLOB NOT NULL
) STRICT;

CREATE TRIGGER usage_keep BEFORE UPDATE ON usage BEGIN SELECT RAISE(ABORT, 'usage is append-only'); END;
CREATE TRIGGER usage_stay BEFORE DELETE ON usage BEGIN SELECT RAISE(ABORT, 'usage is append-only'); END;
CREATE TRIGGER usage_line_keep BEFORE UPDATE ON usage_line BEGIN SELECT RAISE(ABORT, 'usage_line is append-only'); END;
CREATE TRIGGER usage_line_stay BEFORE DELETE ON usage_line BEGIN SELECT RAISE(ABORT, 'usage_line is append-only'); END;
CREATE TRIGGER txn_keep BEFORE UPDATE ON txn BEGIN SELECT RAISE(ABORT, 'txn is append-only'); END;
CREATE TRIGGER txn_stay BEFORE DELETE ON txn BEGIN SELECT RAISE(ABORT, 'txn is append-only'); END;
CREATE TRIGGER entry_keep BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'entry is append-only'); END;
CREATE TRIGGER entry_stay BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'entry is append-only'); END;
CREATE TRIGGER event_keep BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'event is append-only'); END;
CREATE TRIGGER event_stay BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'event is append-only'); END;
