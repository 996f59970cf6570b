-- Version 3: what a grant is worth and who gave it; holds reserve of single grants, so that pools go; what people do to grants.

-- state: 0 waits for effective_us, 1 live, 2 expired, 3 expires (its time is over, open holds still reserve of it), 4 voided, 5 is voided
-- (open holds still reserve of it), 6 waits for its approval: not booked, remaining 0.
CREATE TABLE grant_3 (
    id            INTEGER PRIMARY KEY,
    org_id        INTEGER NOT NULL REFERENCES organisation(id),
    account_id    INTEGER NOT NULL REFERENCES account(id),
    parent_id     INTEGER NOT NULL DEFAULT 0,  -- the grant it was transferred from; 0: none
    scope         TEXT NOT NULL,
    models        TEXT NOT NULL DEFAULT '',    -- aliases with commas; '': every model
    funding       TEXT NOT NULL CHECK (funding IN ('paid', 'promotional', 'investment', 'goodwill')),
    priority      INTEGER NOT NULL DEFAULT 50,
    amount        INTEGER NOT NULL CHECK (amount > 0),
    adjusted      INTEGER NOT NULL DEFAULT 0,  -- the sum of its adjustments
    remaining     INTEGER NOT NULL CHECK (remaining >= 0 AND remaining <= amount + adjusted),
    held          INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0 AND held <= remaining), -- what open holds reserve of it
    currency      TEXT NOT NULL,
    cash_received INTEGER NOT NULL CHECK (cash_received >= 0 AND cash_received <= amount),
    list_value    INTEGER NOT NULL CHECK (list_value >= 0),
    counterparty  TEXT NOT NULL DEFAULT '',
    instrument    TEXT NOT NULL DEFAULT '',
    effective_us  INTEGER NOT NULL,
    expires_us    INTEGER NOT NULL DEFAULT 0,
    state         INTEGER NOT NULL CHECK (state BETWEEN 0 AND 6),
    reference     TEXT UNIQUE,
    created_us    INTEGER NOT NULL,
    created_by    TEXT NOT NULL,
    approved_us   INTEGER NOT NULL,            -- when it was booked; 0: not yet
    approved_by   TEXT NOT NULL DEFAULT '',    -- '': it needed nobody's approval
    void_id       INTEGER NOT NULL DEFAULT 0   -- the operation that voids it
) STRICT;
INSERT INTO grant_3 (id, org_id, account_id, scope, funding, priority, amount, remaining, currency, cash_received, list_value, effective_us,
                     expires_us, state, reference, created_us, created_by, approved_us)
    SELECT id, org_id, account_id, scope, funding, priority, amount, remaining, currency, CASE funding WHEN 'paid' THEN amount ELSE 0 END, amount,
           effective_us, expires_us, state, reference, created_us, 'admin', created_us FROM credit_grant;

-- What a hold reserves of which grants, as JSON: [[grant, amount], ...]. An open hold's part of a pool is laid
-- over the pool's grants: the holds one after the other along their amounts, the grants along what is left of them.
ALTER TABLE hold ADD COLUMN reserved TEXT NOT NULL DEFAULT '[]';
WITH g AS (
    SELECT id, pool_id, remaining, sum(remaining) OVER (PARTITION BY pool_id ORDER BY priority,
           CASE expires_us WHEN 0 THEN 9223372036854775807 ELSE expires_us END, instr('promotional goodwill investment paid', funding), id) AS z
    FROM credit_grant WHERE state = 1 AND remaining > 0),
h AS (
    SELECT x.id, p.id AS pool_id, x.amount, sum(x.amount) OVER (PARTITION BY p.id ORDER BY x.id) AS z FROM (
        SELECT id, org_id, scope, amount_scope AS amount FROM hold WHERE state = 0 UNION ALL
        SELECT id, org_id, 'any', amount_any FROM hold WHERE state = 0) x
    JOIN pool p ON p.org_id = x.org_id AND p.scope = x.scope WHERE x.amount > 0),
part AS (
    SELECT h.id AS hold_id, g.id AS grant_id, min(g.z, h.z) - max(g.z - g.remaining, h.z - h.amount) AS n
    FROM h JOIN g ON g.pool_id = h.pool_id AND g.z - g.remaining < h.z AND h.z - h.amount < g.z)
UPDATE hold SET reserved = (SELECT json_group_array(json_array(grant_id, n)) FROM (
    SELECT hold_id, grant_id, n FROM part ORDER BY grant_id) p WHERE p.hold_id = hold.id) WHERE state = 0;
UPDATE grant_3 SET held = coalesce((SELECT sum(json_extract(j.value, '$[1]')) FROM hold h, json_each(h.reserved) j
                                    WHERE h.state = 0 AND json_extract(j.value, '$[0]') = grant_3.id), 0);
DROP TABLE credit_grant;
DROP TABLE pool;
ALTER TABLE grant_3 RENAME TO credit_grant;
CREATE INDEX credit_grant_org ON credit_grant (org_id);

-- What expires goes to an account of its funding. Of other funding than paid it went back to contra_revenue:FUNDING before.
UPDATE account SET code = 'breakage:paid' WHERE code = 'breakage';

CREATE TABLE txn_3 (
    id           INTEGER PRIMARY KEY,
    kind         TEXT NOT NULL CHECK (kind IN ('grant', 'usage', 'expire', 'void', 'transfer', 'refund', 'adjust')),
    org_id       INTEGER NOT NULL,
    grant_id     INTEGER NOT NULL,           -- of a transfer: the grant that gives
    price_id     INTEGER,                    -- of a usage transaction, with the rows it sums:
    first_usage  INTEGER,
    last_usage   INTEGER,
    n_usage      INTEGER,
    created_us   INTEGER NOT NULL,
    operation_id INTEGER NOT NULL DEFAULT 0  -- what somebody did; 0: use and expiry, and everything before version 3
) STRICT;
INSERT INTO txn_3 (id, kind, org_id, grant_id, price_id, first_usage, last_usage, n_usage, created_us)
    SELECT id, kind, org_id, grant_id, price_id, first_usage, last_usage, n_usage, created_us FROM txn;
DROP TABLE txn;
ALTER TABLE txn_3 RENAME TO txn;
CREATE INDEX txn_grant ON txn (grant_id) WHERE kind <> 'usage';

-- What people did to grants and charges. key: a second time it is the same operation, with the same answer; digest: of what was asked.
CREATE TABLE operation (
    id         INTEGER PRIMARY KEY,
    key        TEXT UNIQUE,
    kind       TEXT NOT NULL CHECK (kind IN ('create', 'approve', 'void', 'transfer', 'refund', 'adjust', 'limit')),
    digest     BLOB NOT NULL,
    actor      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    answer     TEXT NOT NULL, -- JSON
    created_us INTEGER NOT NULL
) STRICT;

-- What of a usage row came back to a grant that had paid it.
CREATE TABLE refund_line (
    txn_id   INTEGER NOT NULL,
    usage_id INTEGER NOT NULL,
    grant_id INTEGER NOT NULL,
    amount   INTEGER NOT NULL CHECK (amount > 0),
    PRIMARY KEY (usage_id, grant_id, txn_id)
) WITHOUT ROWID, STRICT;

CREATE TRIGGER txn_keep BEFORE UPDATE ON txn BEGIN SELECT RAISE(ABORT, 'txn is append-only'); END;
CREATE TRIGGER txn_stay BEFORE DELETE ON txn BEGIN SELECT RAISE(ABORT, 'txn is append-only'); END;
CREATE TRIGGER operation_keep BEFORE UPDATE ON operation BEGIN SELECT RAISE(ABORT, 'operation is append-only'); END;
CREATE TRIGGER operation_stay BEFORE DELETE ON operation BEGIN SELECT RAISE(ABORT, 'operation is append-only'); END;
CREATE TRIGGER refund_line_keep BEFORE UPDATE ON refund_line BEGIN SELECT RAISE(ABORT, 'refund_line is append-only'); END;
CREATE TRIGGER refund_line_stay BEFORE DELETE ON refund_line BEGIN SELECT RAISE(ABORT, 'refund_line is append-only'); END;
