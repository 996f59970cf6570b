-- Version 8: a ledger that several nodes share (share.h). One row.
CREATE TABLE share (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL, -- one more with each transaction of any node
    cold       INTEGER NOT NULL, -- one more with each that changed more than holds, usage and what grants have left
    secret     TEXT NOT NULL     -- HMAC-SHA256 of "sluice store" under DATA/secret, in hex; '' until the first node comes
) STRICT;
INSERT INTO share (id, generation, cold, secret) VALUES (1, 0, 0, '');
