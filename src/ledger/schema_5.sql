-- Version 5: the price book.
--
-- price: an immutable version. Versions of one (model, tier, org_id) are a book: org_id 0 is the list price, else that account's contract; tier is
-- the service tier. effective_us = created_us: set to begin at once. In force at t is, of those with effective_us <= t and not over (until_us, price_end), the one that began last. A bounded
-- version may lie inside an open-ended one, which then goes on after it.
CREATE TABLE price_5 (
    id           INTEGER PRIMARY KEY,
    model        TEXT NOT NULL,
    tier         TEXT NOT NULL,
    org_id       INTEGER NOT NULL DEFAULT 0,
    version      INTEGER NOT NULL,
    currency     TEXT NOT NULL,
    effective_us INTEGER NOT NULL,
    until_us     INTEGER NOT NULL DEFAULT 0 CHECK (until_us = 0 OR until_us > effective_us),
    created_us   INTEGER NOT NULL,
    created_by   TEXT NOT NULL,
    UNIQUE (model, tier, org_id, version)
) STRICT;
INSERT INTO price_5 SELECT id, model, tier, 0, version, currency, effective_us, 0, created_us, 'admin' FROM price;

-- rate: nano-units for as many units of the meter as meter.def says (a million tokens, a GPU hour, a GB-month). from_tokens: of the rows of one
-- meter the whole request is priced by the one with the greatest from_tokens that its input (input + cache_read + cache_write) reaches. A meter
-- without a row is not sold at this price.
CREATE TABLE price_rate_5 (
    price_id    INTEGER NOT NULL REFERENCES price_5(id),
    meter       TEXT NOT NULL,
    from_tokens INTEGER NOT NULL DEFAULT 0 CHECK (from_tokens >= 0),
    rate        INTEGER NOT NULL CHECK (rate >= 0),
    PRIMARY KEY (price_id, meter, from_tokens)
) WITHOUT ROWID, STRICT;
INSERT INTO price_rate_5 SELECT price_id, meter, from_tokens, nano_per_million FROM price_rate WHERE from_tokens = 0;
-- Embeddings were counted and priced as input.
INSERT INTO price_rate_5 SELECT price_id, 'embedding', 0, nano_per_million FROM price_rate WHERE from_tokens = 0 AND meter = 'input';
DROP TABLE price_rate;
DROP TABLE price;
ALTER TABLE price_5 RENAME TO price;
ALTER TABLE price_rate_5 RENAME TO price_rate;

-- A version that somebody ended, or took back before it began (end_us <= effective_us).
CREATE TABLE price_end (
    price_id   INTEGER PRIMARY KEY REFERENCES price(id),
    end_us     INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;

-- A request keeps the price that was in force when it was held, and the list price beside a contract's (the same id when there is none).
ALTER TABLE hold ADD COLUMN list_price_id INTEGER NOT NULL DEFAULT 0;
UPDATE hold SET list_price_id = price_id;

-- usage.list: counters times the list price; contracted: times the price; charged: contracted, at most what was held. scope: of the hold.
DROP TRIGGER usage_keep;
ALTER TABLE usage ADD COLUMN list_price_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN scope TEXT NOT NULL DEFAULT 'inference';
ALTER TABLE usage ADD COLUMN contracted INTEGER NOT NULL DEFAULT 0;
UPDATE usage SET list_price_id = price_id, contracted = list, scope = coalesce((SELECT scope FROM hold WHERE hold.id = usage.hold_id), 'inference');
CREATE TRIGGER usage_keep BEFORE UPDATE ON usage BEGIN SELECT RAISE(ABORT, 'usage is append-only'); END;

CREATE TRIGGER price_keep BEFORE UPDATE ON price BEGIN SELECT RAISE(ABORT, 'price is append-only'); END;
CREATE TRIGGER price_stay BEFORE DELETE ON price BEGIN SELECT RAISE(ABORT, 'price is append-only'); END;
CREATE TRIGGER price_rate_keep BEFORE UPDATE ON price_rate BEGIN SELECT RAISE(ABORT, 'price_rate is append-only'); END;
CREATE TRIGGER price_rate_stay BEFORE DELETE ON price_rate BEGIN SELECT RAISE(ABORT, 'price_rate is append-only'); END;
CREATE TRIGGER price_end_keep BEFORE UPDATE ON price_end BEGIN SELECT RAISE(ABORT, 'price_end is append-only'); END;
CREATE TRIGGER price_end_stay BEFORE DELETE ON price_end BEGIN SELECT RAISE(ABORT, 'price_end is append-only'); END;
