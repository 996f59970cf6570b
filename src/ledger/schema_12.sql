-- What revenue is made of. A policy says by which rules use and expiry of credit become revenue, what a model's product line is and what the machine
-- costs: text that policy.c reads; a change is a new version, and a report can be made with any of them.
CREATE TABLE revenue_policy (
    version    INTEGER PRIMARY KEY,
    text       TEXT NOT NULL,
    actor      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    created_us INTEGER NOT NULL
) STRICT;
INSERT INTO revenue_policy (version, text, actor, reason, created_us) VALUES (1,
'use paid any cash
use promotional any contra
use goodwill any contra
use investment training memo
use investment any contra
expire paid revenue
product * training training own ai
product * any inference own ai
machine_hour 0
weight input 1
weight output 4
', 'sluice', 'the default', 0);

-- Revenue that other systems booked: of the time before this ledger, and of other products. month: 202611.
CREATE TABLE revenue_batch (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    digest     BLOB NOT NULL,
    n_lines    INTEGER NOT NULL,
    amount     INTEGER NOT NULL,
    actor      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    created_us INTEGER NOT NULL
) STRICT;
CREATE TABLE revenue_line (
    batch_id INTEGER NOT NULL REFERENCES revenue_batch(id),
    line     INTEGER NOT NULL,
    month    INTEGER NOT NULL,
    customer TEXT NOT NULL,
    segment  TEXT NOT NULL,
    product  TEXT NOT NULL,
    ai       INTEGER NOT NULL CHECK (ai IN (0, 1)),
    amount   INTEGER NOT NULL,
    PRIMARY KEY (batch_id, line)
) WITHOUT ROWID, STRICT;
CREATE TRIGGER revenue_policy_keep BEFORE UPDATE ON revenue_policy BEGIN SELECT RAISE(ABORT, 'revenue_policy is append-only'); END;
CREATE TRIGGER revenue_policy_stay BEFORE DELETE ON revenue_policy BEGIN SELECT RAISE(ABORT, 'revenue_policy is append-only'); END;
CREATE TRIGGER revenue_line_keep BEFORE UPDATE ON revenue_line BEGIN SELECT RAISE(ABORT, 'revenue_line is append-only'); END;
CREATE TRIGGER revenue_line_stay BEFORE DELETE ON revenue_line BEGIN SELECT RAISE(ABORT, 'revenue_line is append-only'); END;
