-- Version 11: publishers. A model may belong to a lab's account, which gets a share of what its use is charged.

-- Terms never change: in force for a request are, of its model's, those with the latest effective_us at or before the hold's created_us. org_id 0:
-- from then on the model is the provider's own. downloadable 0: it is served, and its files are given to nobody.
CREATE TABLE publisher_terms (
    id           INTEGER PRIMARY KEY,
    model        TEXT NOT NULL,
    version      INTEGER NOT NULL,
    org_id       INTEGER NOT NULL,
    downloadable INTEGER NOT NULL CHECK (downloadable IN (0, 1)),
    effective_us INTEGER NOT NULL,
    created_us   INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    UNIQUE (model, version)
) STRICT;
CREATE TABLE publisher_share (
    terms_id     INTEGER NOT NULL REFERENCES publisher_terms(id),
    meter        TEXT NOT NULL,
    basis_points INTEGER NOT NULL CHECK (basis_points BETWEEN 0 AND 10000),
    PRIMARY KEY (terms_id, meter)
) WITHOUT ROWID, STRICT;

-- What of a usage row's charge is owed to the publisher, and how that lies in the row's lines and in what came back of them. Booked as
-- payable:publisher:ORG, the rest as revenue.
CREATE TABLE usage_share (
    usage_id INTEGER PRIMARY KEY,
    terms_id INTEGER NOT NULL,
    amount   INTEGER NOT NULL CHECK (amount > 0)
) STRICT;
CREATE TABLE usage_line_share (
    usage_id INTEGER NOT NULL,
    grant_id INTEGER NOT NULL,
    amount   INTEGER NOT NULL CHECK (amount > 0),
    PRIMARY KEY (usage_id, grant_id)
) WITHOUT ROWID, STRICT;
CREATE TABLE refund_share (
    txn_id   INTEGER NOT NULL,
    usage_id INTEGER NOT NULL,
    grant_id INTEGER NOT NULL,
    amount   INTEGER NOT NULL CHECK (amount > 0),
    PRIMARY KEY (usage_id, grant_id, txn_id)
) WITHOUT ROWID, STRICT;
CREATE TRIGGER publisher_terms_keep BEFORE UPDATE ON publisher_terms BEGIN SELECT RAISE(ABORT, 'publisher_terms is append-only'); END;
CREATE TRIGGER publisher_terms_stay BEFORE DELETE ON publisher_terms BEGIN SELECT RAISE(ABORT, 'publisher_terms is append-only'); END;
CREATE TRIGGER usage_share_keep BEFORE UPDATE ON usage_share BEGIN SELECT RAISE(ABORT, 'usage_share is append-only'); END;
CREATE TRIGGER usage_share_stay BEFORE DELETE ON usage_share BEGIN SELECT RAISE(ABORT, 'usage_share is append-only'); END;
