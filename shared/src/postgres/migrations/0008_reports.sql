-- By what a provider calls its messages: its reports name them so. Making these two reads both tables from end to end and holds up who
-- writes to them meanwhile: a few seconds for each million of messages that are kept (docs/rollout.md says how to make them before).
CREATE INDEX IF NOT EXISTS message_backend_id ON naru.message (route, backend_id, row) WHERE backend_id IS NOT NULL;

CREATE INDEX IF NOT EXISTS archive_backend_id ON naru.archive (route, backend_id, row) WHERE backend_id IS NOT NULL;

-- Reports that came before anything was known of their messages, each kept for a while. digest: of the notice, the same is kept once.
CREATE TABLE naru.early_report (
    row bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    since bigint NOT NULL,
    until bigint NOT NULL,
    look_at bigint NOT NULL,
    route text COLLATE "C" NOT NULL CHECK (octet_length(route) <= 40),
    digest text COLLATE "C" NOT NULL,
    notice text NOT NULL CHECK (octet_length(notice) <= 4096),
    UNIQUE (route, digest)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 1);

CREATE INDEX early_report_look ON naru.early_report (look_at);
