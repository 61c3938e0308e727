-- Of messages that were sent again, how they were sent before: a late word of that backend names them so. attempt: the last of that time.
CREATE TABLE naru.earlier_sending (
    at bigint NOT NULL,
    attempt integer NOT NULL,
    id bytea NOT NULL,
    route text COLLATE "C" NOT NULL,
    backend_id text COLLATE "C",
    PRIMARY KEY (id, attempt)
) WITH (autovacuum_vacuum_threshold = 2000);

CREATE INDEX earlier_sending_backend_id ON naru.earlier_sending (route, backend_id, at, id, attempt) WHERE backend_id IS NOT NULL;

CREATE INDEX earlier_sending_at ON naru.earlier_sending (at);
