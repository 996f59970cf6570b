-- Version 10: projects that are people's, members and their sessions, end users; whose an event is.

ALTER TABLE project ADD COLUMN archived_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE project ADD COLUMN retention_days INTEGER NOT NULL DEFAULT 0 CHECK (retention_days BETWEEN 0 AND 3650); -- 0: nothing is kept

-- The account whose owners may read the event; 0: the operator's alone. It is in the hash where it is not 0.
ALTER TABLE event ADD COLUMN org_id INTEGER NOT NULL DEFAULT 0;

CREATE TABLE rate_limit_10 (
    whose    TEXT NOT NULL CHECK (whose IN ('key', 'project', 'account', 'all')),
    owner_id INTEGER NOT NULL,
    model    TEXT NOT NULL,
    meter    TEXT NOT NULL CHECK (meter IN ('requests', 'input', 'output', 'tokens', 'parallel')),
    window_s INTEGER NOT NULL CHECK (window_s IN (0, 60, 86400) AND (window_s = 0) = (meter = 'parallel')),
    most     INTEGER NOT NULL CHECK (most > 0),
    PRIMARY KEY (whose, owner_id, model, meter, window_s)
) WITHOUT ROWID, STRICT;
INSERT INTO rate_limit_10 (whose, owner_id, model, meter, window_s, most) SELECT whose, owner_id, model, meter, window_s, most FROM rate_limit;
DROP TABLE rate_limit;
ALTER TABLE rate_limit_10 RENAME TO rate_limit;

-- Somebody whom an identity provider has told us of: the pair of issuer and subject is the identity, the e-mail address only a name.
CREATE TABLE person (
    id           INTEGER PRIMARY KEY,
    issuer       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    email        TEXT NOT NULL,              -- in small letters
    created_us   INTEGER NOT NULL,
    seen_us      INTEGER NOT NULL,
    signup_org   INTEGER NOT NULL DEFAULT 0, -- the account that it opened itself; 0: none
    signup_grant INTEGER NOT NULL DEFAULT 0, -- the free credit promised then
    UNIQUE (issuer, subject)
) STRICT;

-- person_id 0: invited, and never signed in: the first identity with this verified address takes the row.
CREATE TABLE member (
    id         INTEGER PRIMARY KEY,
    org_id     INTEGER NOT NULL REFERENCES organisation(id),
    email      TEXT NOT NULL,
    person_id  INTEGER NOT NULL DEFAULT 0,
    role       INTEGER NOT NULL CHECK (role BETWEEN 1 AND 4), -- viewer, developer, admin, owner
    from_group INTEGER NOT NULL DEFAULT 0 CHECK (from_group IN (0, 1)), -- the provider's groups say so, at each sign-in anew
    created_us INTEGER NOT NULL,
    UNIQUE (org_id, email)
) STRICT;
CREATE INDEX member_person ON member (person_id);

-- A session's token is the browser's alone; here is its HMAC-SHA256 under DATA/secret.
CREATE TABLE session (
    id         INTEGER PRIMARY KEY,
    hmac       BLOB NOT NULL UNIQUE,
    person_id  INTEGER NOT NULL REFERENCES person(id),
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL
) STRICT;
CREATE INDEX session_person ON session (person_id);

-- Whom a customer names as its end user (user, safety_identifier): an HMAC-SHA256 under DATA/secret, never the text. Erasure deletes the rows; what
-- was used stays, for the bill, and belongs to nobody then.
CREATE TABLE end_user (
    id     INTEGER PRIMARY KEY,
    org_id INTEGER NOT NULL,
    digest BLOB NOT NULL,
    UNIQUE (org_id, digest)
) STRICT;
CREATE TABLE end_user_hold (
    hold_id     INTEGER PRIMARY KEY,
    end_user_id INTEGER NOT NULL
) STRICT;
CREATE INDEX end_user_holds ON end_user_hold (end_user_id);
