-- Reserved compute and commitments. Rates and units are thousandths of a token; an hour is the microseconds at which it begins.

-- Immutable: what changes one is the end of it and, when it is resized, the next one.
CREATE TABLE reservation (
    id           INTEGER PRIMARY KEY,
    org_id       INTEGER NOT NULL REFERENCES organisation(id),
    model        TEXT NOT NULL,                -- the alias
    rate         INTEGER NOT NULL CHECK (rate > 0),        -- thousandths of a token in a second
    input_weight INTEGER NOT NULL CHECK (input_weight BETWEEN 0 AND 1000), -- of a prompt token that is computed
    from_us      INTEGER NOT NULL,
    to_us        INTEGER NOT NULL,             -- 0: until it is cancelled
    price        INTEGER NOT NULL CHECK (price >= 0),
    period       TEXT NOT NULL CHECK (period IN ('hour', 'month', 'term')), -- of the price
    spill        TEXT NOT NULL CHECK (spill IN ('metered', 'refuse')),
    upfront      INTEGER NOT NULL CHECK (upfront >= 0), -- paid when it was made; 0: hour by hour
    capacity     INTEGER NOT NULL,             -- the model's speed that it was sold against; 0: not known
    replaces     INTEGER NOT NULL DEFAULT 0,   -- the one that was resized; 0: none
    operation_id INTEGER NOT NULL,
    created_us   INTEGER NOT NULL
) STRICT;
CREATE TABLE reservation_end (
    reservation_id INTEGER PRIMARY KEY REFERENCES reservation(id),
    at_us          INTEGER NOT NULL,
    why            TEXT NOT NULL CHECK (why IN ('cancelled', 'resized', 'lapsed')),
    operation_id   INTEGER NOT NULL DEFAULT 0  -- 0: its credit ended
) STRICT;

-- What each hour costs, whether it is used or not, and who paid it. amount 0 has no line.
CREATE TABLE reservation_charge (
    reservation_id INTEGER NOT NULL,
    hour_us        INTEGER NOT NULL,
    amount         INTEGER NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (reservation_id, hour_us)
) WITHOUT ROWID, STRICT;
-- hour_us 0: paid up front. grant_id 0: of what was paid up front.
CREATE TABLE reservation_line (
    reservation_id INTEGER NOT NULL,
    hour_us        INTEGER NOT NULL,
    grant_id       INTEGER NOT NULL,
    amount         INTEGER NOT NULL CHECK (amount > 0),
    txn_id         INTEGER NOT NULL,
    PRIMARY KEY (reservation_id, hour_us, grant_id)
) WITHOUT ROWID, STRICT;

-- The units of an hour: what open holds have of them, what finished requests took.
CREATE TABLE reservation_hour (
    reservation_id INTEGER NOT NULL,
    hour_us        INTEGER NOT NULL,
    capacity       INTEGER NOT NULL,
    held           INTEGER NOT NULL CHECK (held >= 0),
    used           INTEGER NOT NULL CHECK (used >= 0),
    PRIMARY KEY (reservation_id, hour_us),
    CHECK (held + used <= capacity)
) WITHOUT ROWID, STRICT;
-- What a reservation covers of a request: units while it is open, then what it took and the tokens that cost nothing for it.
CREATE TABLE cover (
    hold_id        INTEGER PRIMARY KEY,
    reservation_id INTEGER NOT NULL,
    hour_us        INTEGER NOT NULL,
    units          INTEGER NOT NULL CHECK (units >= 0),
    input          INTEGER NOT NULL DEFAULT 0,
    cache_read     INTEGER NOT NULL DEFAULT 0,
    cache_write    INTEGER NOT NULL DEFAULT 0,
    output         INTEGER NOT NULL DEFAULT 0,
    reasoning      INTEGER NOT NULL DEFAULT 0,
    state          INTEGER NOT NULL DEFAULT 0 CHECK (state IN (0, 1)) -- as the hold's
) STRICT;
CREATE INDEX cover_hour ON cover (reservation_id, hour_us);

CREATE TABLE commitment (
    id           INTEGER PRIMARY KEY,
    org_id       INTEGER NOT NULL REFERENCES organisation(id),
    name         TEXT NOT NULL,
    from_us      INTEGER NOT NULL,
    to_us        INTEGER NOT NULL CHECK (to_us > from_us),
    amount       INTEGER NOT NULL CHECK (amount > 0), -- of each period
    period       TEXT NOT NULL CHECK (period IN ('month', 'quarter', 'year', 'term')),
    contract     TEXT NOT NULL DEFAULT '', -- whose prices it is about
    operation_id INTEGER NOT NULL,
    created_us   INTEGER NOT NULL
) STRICT;
-- A period that is over: what was used of it, and what was billed because it was not.
CREATE TABLE commitment_period (
    commitment_id INTEGER NOT NULL REFERENCES commitment(id),
    from_us       INTEGER NOT NULL,
    to_us         INTEGER NOT NULL,
    drawn         INTEGER NOT NULL CHECK (drawn >= 0),
    shortfall     INTEGER NOT NULL CHECK (shortfall >= 0),
    txn_id        INTEGER NOT NULL, -- 0: nothing was short
    PRIMARY KEY (commitment_id, from_us)
) WITHOUT ROWID, STRICT;

-- Kinds of transactions and of operations that are new: their tables are made again.
CREATE TABLE txn_6 (
    id           INTEGER PRIMARY KEY,
    kind         TEXT NOT NULL CHECK (kind IN ('grant', 'usage', 'expire', 'void', 'transfer', 'refund', 'adjust', 'prepay', 'reserve', 'shortfall')),
    org_id       INTEGER NOT NULL,
    grant_id     INTEGER NOT NULL,           -- of a transfer: the grant that gives; 0: none (a shortfall, hours that were paid up front)
    price_id     INTEGER,                    -- of a usage transaction, with the rows it sums:
    first_usage  INTEGER,
    last_usage   INTEGER,
    n_usage      INTEGER,
    created_us   INTEGER NOT NULL,
    operation_id INTEGER NOT NULL DEFAULT 0  -- what somebody did; 0: use and expiry, and everything before version 3
) STRICT;
INSERT INTO txn_6 SELECT id, kind, org_id, grant_id, price_id, first_usage, last_usage, n_usage, created_us, operation_id FROM txn;
DROP TABLE txn;
ALTER TABLE txn_6 RENAME TO txn;
CREATE INDEX txn_grant ON txn (grant_id) WHERE kind <> 'usage';
CREATE TABLE operation_6 (
    id         INTEGER PRIMARY KEY,
    key        TEXT UNIQUE,
    kind       TEXT NOT NULL CHECK (kind IN ('create', 'approve', 'void', 'transfer', 'refund', 'adjust', 'limit', 'reserve', 'resize', 'cancel', 'commit')),
    digest     BLOB NOT NULL,
    actor      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    answer     TEXT NOT NULL, -- JSON
    created_us INTEGER NOT NULL
) STRICT;
INSERT INTO operation_6 SELECT id, key, kind, digest, actor, reason, answer, created_us FROM operation;
DROP TABLE operation;
ALTER TABLE operation_6 RENAME TO operation;

CREATE TRIGGER txn_keep BEFORE UPDATE ON txn BEGIN SELECT RAISE(ABORT, 'txn is append-only'); END;
CREATE TRIGGER txn_stay BEFORE DELETE ON txn BEGIN SELECT RAISE(ABORT, 'txn is append-only'); END;
CREATE TRIGGER operation_keep BEFORE UPDATE ON operation BEGIN SELECT RAISE(ABORT, 'operation is append-only'); END;
CREATE TRIGGER operation_stay BEFORE DELETE ON operation BEGIN SELECT RAISE(ABORT, 'operation is append-only'); END;
CREATE TRIGGER reservation_keep BEFORE UPDATE ON reservation BEGIN SELECT RAISE(ABORT, 'reservation is append-only'); END;
CREATE TRIGGER reservation_stay BEFORE DELETE ON reservation BEGIN SELECT RAISE(ABORT, 'reservation is append-only'); END;
CREATE TRIGGER reservation_charge_keep BEFORE UPDATE ON reservation_charge BEGIN SELECT RAISE(ABORT, 'reservation_charge is append-only'); END;
CREATE TRIGGER reservation_charge_stay BEFORE DELETE ON reservation_charge BEGIN SELECT RAISE(ABORT, 'reservation_charge is append-only'); END;
CREATE TRIGGER reservation_line_keep BEFORE UPDATE ON reservation_line BEGIN SELECT RAISE(ABORT, 'reservation_line is append-only'); END;
CREATE TRIGGER reservation_line_stay BEFORE DELETE ON reservation_line BEGIN SELECT RAISE(ABORT, 'reservation_line is append-only'); END;
CREATE TRIGGER commitment_keep BEFORE UPDATE ON commitment BEGIN SELECT RAISE(ABORT, 'commitment is append-only'); END;
CREATE TRIGGER commitment_stay BEFORE DELETE ON commitment BEGIN SELECT RAISE(ABORT, 'commitment is append-only'); END;
