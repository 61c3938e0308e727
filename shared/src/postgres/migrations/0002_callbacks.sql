-- Documents of kinds that the release before does not know: it reads all of `entry`, and would follow the catalog no further than
-- to the first that it cannot read. Versions are those of the one counter.
CREATE TABLE naru.entry_beside (
    version bigint NOT NULL UNIQUE,
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    document text NOT NULL,
    PRIMARY KEY (kind, key)
);

CREATE VIEW naru.every_entry AS
    SELECT version, kind, key, document FROM naru.entry
    UNION ALL
    SELECT version, kind, key, document FROM naru.entry_beside;

-- One event on its way to one webhook (`customer/name`); due: from when it may be claimed, while it is claimed the end of the lease.
CREATE TABLE naru.callback (
    row bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    due bigint NOT NULL,
    first_at bigint NOT NULL,
    attempt integer NOT NULL,
    webhook text COLLATE "C" NOT NULL,
    event text COLLATE "C" NOT NULL,
    body text NOT NULL,
    UNIQUE (webhook, event)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 1);

CREATE INDEX callback_turn ON naru.callback (webhook, due, row);

-- How each webhook fares; waiting: its rows in `callback`.
CREATE TABLE naru.callback_state (
    waiting bigint NOT NULL,
    given_up bigint NOT NULL,
    not_kept bigint NOT NULL,
    failing_since bigint,
    last_at bigint,
    full_since bigint,
    webhook text COLLATE "C" PRIMARY KEY,
    last_answer text
) WITH (fillfactor = 50);

CREATE INDEX callback_waiting ON naru.callback_state (webhook) WHERE waiting > 0;
