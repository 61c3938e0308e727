-- What a message's timeline tells beside its state: when intake recorded it, when a backend took it whose report comes later, and
-- when its customer read which revision. Columns of the row that is written then anyway; NULL: it did not happen, or a
-- release wrote the row that did not keep it.
ALTER TABLE naru.message ADD COLUMN intake_at bigint, ADD COLUMN taken_at bigint, ADD COLUMN read_at bigint,
    ADD COLUMN read_revision integer;
ALTER TABLE naru.archive ADD COLUMN intake_at bigint, ADD COLUMN taken_at bigint, ADD COLUMN read_at bigint,
    ADD COLUMN read_revision integer;
ALTER TABLE naru.attempt_note ADD COLUMN began_at bigint, ADD COLUMN doubtful boolean NOT NULL DEFAULT false,
    ADD COLUMN backend_id text COLLATE "C";

-- What came and what ended of live messages, in steps of ten seconds, written together by each process every few seconds. For rates and
-- alarms only: kept for hours, and what a killed process had not written is not in it.
CREATE TABLE naru.flow (
    at bigint NOT NULL,
    taken_in bigint NOT NULL,
    delivered bigint NOT NULL,
    failed bigint NOT NULL,
    other bigint NOT NULL,
    route text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    PRIMARY KEY (at, route, customer)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);

-- When intake last recorded a live message of a customer on a route.
CREATE TABLE naru.flow_last (
    at bigint NOT NULL,
    route text COLLATE "C" NOT NULL,
    customer text COLLATE "C" NOT NULL,
    PRIMARY KEY (route, customer)
) WITH (fillfactor = 50);

-- Alarms that are raised: a row comes and goes in the transaction that writes its event.
CREATE TABLE naru.alarm (
    raised_at bigint NOT NULL,
    -- Since when what it is about is well again; NULL: it is not.
    calm_since bigint,
    alarm text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    data text NOT NULL,
    PRIMARY KEY (alarm, subject)
);

-- Whose turn it is to look at alarms: until when it was taken, and since when somebody looks without a gap.
CREATE TABLE naru.alarm_turn (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    until bigint NOT NULL,
    since bigint NOT NULL
) WITH (fillfactor = 50);
