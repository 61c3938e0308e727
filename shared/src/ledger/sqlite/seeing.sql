-- What a message's timeline tells beside its state: when intake recorded it, when a backend took it whose report comes later, and
-- when its customer read which revision; NULL: it did not happen, or a release wrote the row that did not keep it.
ALTER TABLE message ADD COLUMN intake_at INTEGER;
ALTER TABLE message ADD COLUMN taken_at INTEGER;
ALTER TABLE message ADD COLUMN read_at INTEGER;
ALTER TABLE message ADD COLUMN read_revision INTEGER;
ALTER TABLE attempt_note ADD COLUMN began_at INTEGER;
ALTER TABLE attempt_note ADD COLUMN doubtful INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt_note ADD COLUMN backend_id TEXT;

-- What came and what ended of live messages, in steps of ten seconds, written together every few seconds. For rates and
-- alarms only: kept for hours, and what a killed process had not written is not in it.
CREATE TABLE flow (
    at INTEGER NOT NULL,
    route TEXT NOT NULL,
    customer TEXT NOT NULL,
    taken_in INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    other INTEGER NOT NULL,
    PRIMARY KEY (at, route, customer)
) STRICT, WITHOUT ROWID;

-- When intake last recorded a live message of a customer on a route.
CREATE TABLE flow_last (
    route TEXT NOT NULL,
    customer TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (route, customer)
) STRICT, WITHOUT ROWID;

-- Alarms that are raised: a row comes and goes in the transaction that writes its event.
CREATE TABLE alarm (
    alarm TEXT NOT NULL,
    subject TEXT NOT NULL,
    raised_at INTEGER NOT NULL,
    -- Since when what it is about is well again; NULL: it is not.
    calm_since INTEGER,
    data TEXT NOT NULL,
    PRIMARY KEY (alarm, subject)
) STRICT, WITHOUT ROWID;

-- Whose turn it is to look at alarms: until when it was taken, and since when somebody looks without a gap.
CREATE TABLE alarm_turn (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    until INTEGER NOT NULL,
    since INTEGER NOT NULL
) STRICT;
