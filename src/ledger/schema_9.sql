-- Cubes: what usage and refunds sum up to, kept by the same transactions that write the rows, so that a report reads thousands of cells instead of
-- millions of rows. A usage row counts in the hour (UTC) in which its request ended, a refund in the hour in which it was made.

-- level 0: slot is an hour since 1970; level 1: a day, and slot its first hour.
CREATE TABLE usage_cube (
    level          INTEGER NOT NULL CHECK (level IN (0, 1)),
    slot           INTEGER NOT NULL,
    org_id         INTEGER NOT NULL,
    project_id     INTEGER NOT NULL,
    key_id         INTEGER NOT NULL,
    model_id       INTEGER NOT NULL,
    price_id       INTEGER NOT NULL,
    scope          TEXT NOT NULL,
    requests       INTEGER NOT NULL, -- usage rows
    errors         INTEGER NOT NULL, -- of them, those that ended by a fault of ours: reason error or crash
    input          INTEGER NOT NULL,
    cache_read     INTEGER NOT NULL,
    cache_write    INTEGER NOT NULL,
    output         INTEGER NOT NULL,
    reasoning      INTEGER NOT NULL,
    accepted_draft INTEGER NOT NULL,
    list           INTEGER NOT NULL,
    contracted     INTEGER NOT NULL,
    charged        INTEGER NOT NULL,
    refunded       INTEGER NOT NULL,
    PRIMARY KEY (level, slot, org_id, project_id, key_id, model_id, price_id, scope)
) WITHOUT ROWID, STRICT;

-- What paid and what came back, by grant and day (days since 1970, UTC): revenue, deferred revenue and statements are computed from it.
CREATE TABLE grant_cube (
    grant_id   INTEGER NOT NULL,
    day        INTEGER NOT NULL,
    project_id INTEGER NOT NULL,
    model_id   INTEGER NOT NULL,
    scope      TEXT NOT NULL,
    spent      INTEGER NOT NULL,
    refunded   INTEGER NOT NULL,
    PRIMARY KEY (grant_id, day, project_id, model_id, scope)
) WITHOUT ROWID, STRICT;
CREATE INDEX txn_time ON txn (created_us) WHERE kind <> 'usage';

INSERT INTO usage_cube
    SELECT 0, x.slot, x.org_id, x.project_id, x.key_id, x.model_id, x.price_id, x.scope, sum(x.requests), sum(x.errors), sum(x.input),
           sum(x.cache_read), sum(x.cache_write), sum(x.output), sum(x.reasoning), sum(x.accepted_draft), sum(x.list), sum(x.contracted), sum(x.charged), sum(x.refunded)
    FROM (SELECT u.end_us / 3600000000 AS slot, u.org_id, u.project_id, u.key_id, u.model_id, u.price_id, u.scope, 1 AS requests,
                 CASE WHEN u.reason IN (4, 5) THEN 1 ELSE 0 END AS errors, u.input, u.cache_read, u.cache_write, u.output, u.reasoning,
                 u.accepted_draft, u.list, u.contracted, u.charged, 0 AS refunded
          FROM usage u
          UNION ALL
          SELECT t.created_us / 3600000000, u.org_id, u.project_id, u.key_id, u.model_id, u.price_id, u.scope, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, r.amount
          FROM refund_line r JOIN txn t ON t.id = r.txn_id JOIN usage u ON u.id = r.usage_id) x
    GROUP BY x.slot, x.org_id, x.project_id, x.key_id, x.model_id, x.price_id, x.scope;
INSERT INTO usage_cube
    SELECT 1, slot / 24 * 24, org_id, project_id, key_id, model_id, price_id, scope, sum(requests), sum(errors), sum(input), sum(cache_read),
           sum(cache_write), sum(output), sum(reasoning), sum(accepted_draft), sum(list), sum(contracted), sum(charged), sum(refunded)
    FROM usage_cube WHERE level = 0 GROUP BY slot / 24 * 24, org_id, project_id, key_id, model_id, price_id, scope;
INSERT INTO grant_cube
    SELECT x.grant_id, x.day, x.project_id, x.model_id, x.scope, sum(x.spent), sum(x.refunded)
    FROM (SELECT n.grant_id, u.end_us / 86400000000 AS day, u.project_id, u.model_id, u.scope, n.amount AS spent, 0 AS refunded
          FROM usage_line n JOIN usage u ON u.id = n.usage_id
          UNION ALL
          SELECT r.grant_id, t.created_us / 86400000000, u.project_id, u.model_id, u.scope, 0, r.amount
          FROM refund_line r JOIN txn t ON t.id = r.txn_id JOIN usage u ON u.id = r.usage_id) x
    GROUP BY x.grant_id, x.day, x.project_id, x.model_id, x.scope;
