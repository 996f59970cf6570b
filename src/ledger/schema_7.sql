-- Version 7: jobs that run elsewhere and spend credit by events. A job is a hold with a lease; its expires_us moves with each renewal.
ALTER TABLE hold ADD COLUMN lease_us INTEGER NOT NULL DEFAULT 0; -- 0: a request that is computed here

-- What an open job may use at most and has reported, cumulative, in the units of meter.def.
CREATE TABLE hold_quantity (
    hold_id INTEGER NOT NULL,
    meter   TEXT NOT NULL,
    most    INTEGER NOT NULL CHECK (most >= 0),
    used    INTEGER NOT NULL CHECK (used >= 0),
    PRIMARY KEY (hold_id, meter)
) WITHOUT ROWID, STRICT;

-- What a usage row of a job (scope training or storage) counts; its five counters are 0.
CREATE TABLE usage_quantity (
    usage_id INTEGER NOT NULL,
    meter    TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (usage_id, meter)
) WITHOUT ROWID, STRICT;

-- Events that were taken: a second one with the same source and id is the first one, with its answer. digest: of the event as it came.
CREATE TABLE meter_event (
    id          INTEGER PRIMARY KEY,
    org_id      INTEGER NOT NULL,
    key_id      INTEGER NOT NULL,
    source      TEXT NOT NULL,
    event       TEXT NOT NULL,
    type        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    hold_id     INTEGER NOT NULL,
    time_us     INTEGER NOT NULL, -- as the sender says; 0: it does not
    received_us INTEGER NOT NULL,
    digest      BLOB NOT NULL,
    answer      TEXT NOT NULL,
    UNIQUE (org_id, source, event)
) STRICT;
CREATE TRIGGER usage_quantity_keep BEFORE UPDATE ON usage_quantity BEGIN SELECT RAISE(ABORT, 'usage_quantity is append-only'); END;
CREATE TRIGGER usage_quantity_stay BEFORE DELETE ON usage_quantity BEGIN SELECT RAISE(ABORT, 'usage_quantity is append-only'); END;
CREATE TRIGGER meter_event_keep BEFORE UPDATE ON meter_event BEGIN SELECT RAISE(ABORT, 'meter_event is append-only'); END;
CREATE TRIGGER meter_event_stay BEFORE DELETE ON meter_event BEGIN SELECT RAISE(ABORT, 'meter_event is append-only'); END;
