-- Of messages that were sent again, how they were sent before: a late word of that backend names them so.
CREATE TABLE earlier_sending (
    message INTEGER NOT NULL,
    -- The last of that time.
    attempt INTEGER NOT NULL,
    route TEXT NOT NULL,
    backend_id TEXT,
    PRIMARY KEY (message, attempt)
) STRICT, WITHOUT ROWID;

CREATE INDEX earlier_sending_backend_id ON earlier_sending (route, backend_id, message, attempt) WHERE backend_id IS NOT NULL;
