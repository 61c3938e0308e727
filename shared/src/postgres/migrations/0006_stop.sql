-- Rules that stop messages. Phases: 1 sweeping, 2 standing, 3 undoing, 4 committing, 5 ended; in force are the first two.
CREATE TABLE naru.stop_rule (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    phase smallint NOT NULL CHECK (phase BETWEEN 1 AND 5),
    -- What is stopped, by whose order and why, as JSON.
    document text NOT NULL
);

CREATE INDEX stop_rule_phase ON naru.stop_rule (phase, number);

-- Messages that a rule stopped, what each was, and what became of it: 0 stopped, 1 undone, 2 cancelled, 3 ended otherwise.
CREATE TABLE naru.stop_row (
    rule bigint NOT NULL,
    wake_at bigint,
    at bigint NOT NULL,
    was smallint NOT NULL,
    how smallint NOT NULL,
    fate smallint NOT NULL DEFAULT 0,
    id bytea NOT NULL,
    PRIMARY KEY (rule, id)
) WITH (fillfactor = 85);

CREATE INDEX stop_row_left ON naru.stop_row (rule, id) WHERE fate = 0;

-- Attempts that were under way when a rule came.
CREATE TABLE naru.stop_flight (
    rule bigint NOT NULL,
    attempt integer NOT NULL,
    id bytea NOT NULL,
    PRIMARY KEY (rule, id)
);

-- The word of a code with which what was stopped may end.
CREATE OR REPLACE VIEW naru.readable AS
    SELECT 'message' AS lies_in, row, encode(id, 'hex') AS id, customer,
           CASE WHEN sandbox THEN 'sandbox' ELSE 'live' END AS environment, key, reference, recipient, channel, route,
           CASE lane WHEN 0 THEN 'express' ELSE 'bulk' END AS lane,
           (ARRAY['ready', 'scheduled', 'sending', 'retrying', 'held', 'stopped', 'sent', NULL, NULL, 'delivered', 'failed',
                  'expired', 'rejected', 'cancelled'])[state] AS state,
           (ARRAY['ok', 'backend-refused', 'uncertain', 'ttl-expired', 'no-report', 'quota-exceeded', 'suspended', 'no-route',
                  'cancelled', 'indigestible', 'restored', 'not-taken', 'attachment-lost', 'recalled'])[code + 1] AS code,
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
                  'cancelled', 'indigestible', 'restored', 'not-taken', 'attachment-lost', 'recalled'])[code + 1],
           detail, units,
           (ARRAY['none', 'reserved', 'captured', 'released', 'credited'])[charge + 1],
           attempt, revision, possible_duplicate,
           to_timestamp(accepted_at / 1000.0), to_timestamp(sent_at / 1000.0), to_timestamp(final_at / 1000.0)
      FROM naru.archive;
