-- Everything of Naru lies in the schema `naru`. Times are UTC milliseconds since 1970; the view `readable` shows them as dates.
-- States, codes, charges and lanes are the domain's small integers; the view shows their words.
CREATE SCHEMA IF NOT EXISTS naru;

CREATE TABLE naru.migration (
    version integer PRIMARY KEY,
    applied_at timestamptz NOT NULL
);

-- One narrow row for each message that has not ended, or ended only minutes ago. What was asked lies apart (`content`).
-- A row is found by its id alone; `row` only numbers rows in the order in which they came.
CREATE TABLE naru.message (
    row bigint GENERATED ALWAYS AS IDENTITY,
    token bigint NOT NULL,
    -- Who holds the current attempt, or whose settlement of it brought the row where it is; else NULL.
    incarnation bigint,
    -- When to look at it again: due or expired (ready, scheduled, retrying), report due (sent); else NULL.
    wake_at bigint,
    expires_at bigint NOT NULL,
    accepted_at bigint NOT NULL,
    send_at bigint,
    sent_at bigint,
    final_at bigint,
    day integer NOT NULL,
    units integer NOT NULL CHECK (units BETWEEN 0 AND 1000000),
    attempt integer NOT NULL CHECK (attempt >= 0),
    revision integer NOT NULL,
    state smallint NOT NULL CHECK (state BETWEEN 1 AND 14),
    code smallint,
    -- 0 none, 1 reserved, 2 captured, 3 released, 4 released after its period had closed (a credit).
    charge smallint NOT NULL CHECK (charge BETWEEN 0 AND 4),
    lane smallint NOT NULL CHECK (lane IN (0, 1)),
    sandbox boolean NOT NULL,
    possible_duplicate boolean NOT NULL,
    id bytea NOT NULL PRIMARY KEY CHECK (octet_length(id) = 16),
    -- NULL in a tombstone: cancelled before it came, nothing else is known of it.
    fingerprint bytea CHECK (octet_length(fingerprint) = 16),
    customer text COLLATE "C" NOT NULL CHECK (octet_length(customer) BETWEEN 1 AND 40),
    route text COLLATE "C" NOT NULL CHECK (octet_length(route) <= 40),
    channel text COLLATE "C" NOT NULL CHECK (octet_length(channel) <= 32),
    recipient text COLLATE "C" NOT NULL CHECK (octet_length(recipient) <= 256),
    key text COLLATE "C" CHECK (octet_length(key) <= 255),
    reference text COLLATE "C" CHECK (octet_length(reference) <= 1024),
    backend_id text COLLATE "C" CHECK (octet_length(backend_id) <= 256),
    detail text CHECK (octet_length(detail) <= 1024)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_analyze_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 1);

CREATE INDEX message_ready ON naru.message (route, lane, customer, row) WHERE state = 1;
CREATE INDEX message_wake ON naru.message (wake_at) WHERE state IN (1, 2, 4);
CREATE INDEX message_sending ON naru.message (incarnation, row) WHERE state = 3;
CREATE INDEX message_held ON naru.message (route) WHERE state IN (5, 6);
CREATE INDEX message_sent ON naru.message (wake_at) WHERE state = 7;
-- What is to be moved to the archive, and tombstones that are to be forgotten.
CREATE INDEX message_final ON naru.message (final_at) WHERE state >= 10 AND fingerprint IS NOT NULL;
CREATE INDEX message_tombstone ON naru.message (final_at) WHERE fingerprint IS NULL;

-- The whole message as JSON; needed again only by who takes it.
CREATE TABLE naru.content (
    row bigint PRIMARY KEY,
    message text NOT NULL CHECK (octet_length(message) <= 524288)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 1);

-- Messages that ended, by the month of their end (UTC). An id that is here is known, and no second message of it begins.
CREATE TABLE naru.archive (
    row bigint NOT NULL,
    token bigint NOT NULL,
    incarnation bigint,
    wake_at bigint,
    expires_at bigint NOT NULL,
    accepted_at bigint NOT NULL,
    send_at bigint,
    sent_at bigint,
    final_at bigint NOT NULL,
    day integer NOT NULL,
    units integer NOT NULL,
    attempt integer NOT NULL,
    revision integer NOT NULL,
    state smallint NOT NULL,
    code smallint,
    charge smallint NOT NULL,
    lane smallint NOT NULL,
    sandbox boolean NOT NULL,
    possible_duplicate boolean NOT NULL,
    id bytea NOT NULL,
    fingerprint bytea NOT NULL,
    customer text COLLATE "C" NOT NULL,
    route text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    recipient text COLLATE "C" NOT NULL,
    key text COLLATE "C",
    reference text COLLATE "C",
    backend_id text COLLATE "C",
    detail text,
    -- NULL once the text was removed.
    message text
) PARTITION BY RANGE (final_at);

CREATE INDEX archive_id ON naru.archive (id);
CREATE INDEX archive_row ON naru.archive (row);
CREATE INDEX archive_customer ON naru.archive (customer, row);
CREATE INDEX archive_text ON naru.archive (final_at) WHERE message IS NOT NULL;

-- Reports that were not read: handed out from `free_at` on, deleted when they are acknowledged.
CREATE TABLE naru.unread (
    free_at bigint NOT NULL,
    revision integer NOT NULL,
    sandbox boolean NOT NULL,
    id bytea NOT NULL PRIMARY KEY,
    customer text COLLATE "C" NOT NULL
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 1);

CREATE INDEX unread_free ON naru.unread (customer, sandbox, free_at);

-- Units of live messages by the day of their charge. used - credited = what is reserved or captured.
CREATE TABLE naru.usage (
    used bigint NOT NULL,
    credited bigint NOT NULL,
    day integer NOT NULL,
    customer text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    PRIMARY KEY (customer, day, channel)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500);

-- Attempts that were not simply the first and the last, and late words about any.
CREATE TABLE naru.attempt_note (
    message bigint NOT NULL,
    at bigint NOT NULL,
    attempt integer NOT NULL,
    late boolean NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (message, attempt, late, outcome)
);

CREATE INDEX attempt_note_at ON naru.attempt_note (at);

-- Reports that a later revision replaced.
CREATE TABLE naru.report_history (
    message bigint NOT NULL,
    at bigint NOT NULL,
    revision integer NOT NULL,
    report text NOT NULL,
    PRIMARY KEY (message, revision)
);

CREATE INDEX report_history_at ON naru.report_history (at);

-- Events to publish; free_at: from when one may be claimed, at first when it was written, later the end of a lease.
CREATE TABLE naru.outbox (
    row bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    free_at bigint NOT NULL,
    event text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 1);

CREATE INDEX outbox_free ON naru.outbox (free_at, row);

CREATE TABLE naru.incarnation (
    id bigint PRIMARY KEY,
    beat bigint NOT NULL
) WITH (fillfactor = 50);

-- By how many messages what waits has changed: one row for each place and transaction, summed up by who reads it. Nobody updates
-- a row, so nobody waits for one.
CREATE TABLE naru.backlog (
    messages bigint NOT NULL,
    lane smallint NOT NULL,
    sandbox boolean NOT NULL,
    route text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 1);

CREATE TABLE naru.meta (
    name text PRIMARY KEY,
    value bigint NOT NULL
);

-- The catalog: documents by kind and key, each at the version of its last change.
CREATE TABLE naru.entry (
    version bigint NOT NULL UNIQUE,
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    document text NOT NULL,
    PRIMARY KEY (kind, key)
);

-- The version of the last change: locked by each change, so that versions become visible in their order.
CREATE TABLE naru.catalog_version (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO naru.catalog_version (version) VALUES (0);

-- For people: every message, wherever it is, in words.
CREATE VIEW naru.readable AS
    SELECT 'message' AS lies_in, row, encode(id, 'hex') AS id, customer,
           CASE WHEN sandbox THEN 'sandbox' ELSE 'live' END AS environment, key, reference, recipient, channel, route,
           CASE lane WHEN 0 THEN 'express' ELSE 'bulk' END AS lane,
           (ARRAY['ready', 'scheduled', 'sending', 'retrying', 'held', 'stopped', 'sent', NULL, NULL, 'delivered', 'failed',
                  'expired', 'rejected', 'cancelled'])[state] AS state,
           (ARRAY['ok', 'backend-refused', 'uncertain', 'ttl-expired', 'no-report', 'quota-exceeded', 'suspended', 'no-route',
                  'cancelled', 'indigestible', 'restored', 'not-taken'])[code + 1] AS code,
           detail, units,
           (ARRAY['none', 'reserved', 'captured', 'released', 'credited'])[charge + 1] AS charge,
           attempt, revision, possible_duplicate,
           to_timestamp(accepted_at / 1000.0) AS accepted_at, to_timestamp(sent_at / 1000.0) AS sent_at,
           to_timestamp(final_at / 1000.0) AS final_at
      FROM naru.message WHERE fingerprint IS NOT NULL
    UNION ALL
    SELECT 'archive', row, encode(id, 'hex'), customer,
           CASE WHEN sandbox THEN 'sandbox' ELSE 'live' END, key, reference, recipient, channel, route,
           CASE lane WHEN 0 THEN 'express' ELSE 'bulk' END,
           (ARRAY['ready', 'scheduled', 'sending', 'retrying', 'held', 'stopped', 'sent', NULL, NULL, 'delivered', 'failed',
                  'expired', 'rejected', 'cancelled'])[state],
           (ARRAY['ok', 'backend-refused', 'uncertain', 'ttl-expired', 'no-report', 'quota-exceeded', 'suspended', 'no-route',
                  'cancelled', 'indigestible', 'restored', 'not-taken'])[code + 1],
           detail, units,
           (ARRAY['none', 'reserved', 'captured', 'released', 'credited'])[charge + 1],
           attempt, revision, possible_duplicate,
           to_timestamp(accepted_at / 1000.0), to_timestamp(sent_at / 1000.0), to_timestamp(final_at / 1000.0)
      FROM naru.archive;
