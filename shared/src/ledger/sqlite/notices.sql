-- By what a provider calls its messages: its reports name them so.
CREATE INDEX message_backend_id ON message (route, backend_id) WHERE backend_id IS NOT NULL;

-- Reports that came before anything was known of their messages, each kept for a while.
CREATE TABLE early_report (
    row INTEGER PRIMARY KEY,
    route TEXT NOT NULL CHECK (octet_length(route) <= 40),
    -- Of the notice: the same is kept once.
    digest TEXT NOT NULL,
    notice TEXT NOT NULL CHECK (octet_length(notice) <= 4096),
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    look_at INTEGER NOT NULL,
    UNIQUE (route, digest)
) STRICT;

CREATE INDEX early_report_look ON early_report (look_at);
