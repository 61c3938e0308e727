-- One narrow row for each message: what changes with an outcome lies apart from what was asked (table `content`).
-- States, codes, lanes are the domain's small integers; a test holds the literals here against them.
CREATE TABLE message (
    row INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    customer TEXT NOT NULL CHECK (octet_length(customer) BETWEEN 1 AND 40),
    sandbox INTEGER NOT NULL CHECK (sandbox IN (0, 1)),
    key TEXT CHECK (octet_length(key) <= 255),
    -- NULL in a tombstone: cancelled before it came, nothing else is known of it.
    fingerprint BLOB CHECK (length(fingerprint) = 16),
    token INTEGER NOT NULL,
    channel TEXT NOT NULL CHECK (octet_length(channel) <= 32),
    recipient TEXT NOT NULL CHECK (octet_length(recipient) <= 256),
    reference TEXT CHECK (octet_length(reference) <= 1024),
    route TEXT NOT NULL CHECK (octet_length(route) <= 40),
    lane INTEGER NOT NULL CHECK (lane IN (0, 1)),
    state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 14),
    code INTEGER,
    detail TEXT CHECK (octet_length(detail) <= 1024),
    units INTEGER NOT NULL CHECK (units BETWEEN 0 AND 1000000),
    -- 0 none, 1 reserved, 2 captured, 3 released, 4 released after its period had closed (a credit).
    charge INTEGER NOT NULL CHECK (charge BETWEEN 0 AND 4),
    day INTEGER NOT NULL,
    attempt INTEGER NOT NULL CHECK (attempt >= 0),
    -- Who holds the current attempt, or whose settlement of it brought the row where it is; else NULL.
    incarnation INTEGER,
    possible_duplicate INTEGER NOT NULL,
    backend_id TEXT CHECK (octet_length(backend_id) <= 256),
    -- When to look at it again: due or expired (ready, scheduled, retrying), report due (sent); else NULL.
    wake_at INTEGER,
    expires_at INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    send_at INTEGER,
    sent_at INTEGER,
    final_at INTEGER,
    revision INTEGER NOT NULL,
    -- From when its unread report may be handed out; NULL: none, or read.
    report_at INTEGER
) STRICT;

CREATE INDEX message_ready ON message (route, lane, customer) WHERE state = 1;
CREATE INDEX message_wake ON message (wake_at) WHERE state IN (1, 2, 4);
CREATE INDEX message_sending ON message (incarnation) WHERE state = 3;
CREATE INDEX message_held ON message (route) WHERE state = 5;
CREATE INDEX message_stopped ON message (route) WHERE state = 6;
CREATE INDEX message_sent ON message (wake_at) WHERE state = 7;
CREATE INDEX message_unread ON message (customer, sandbox, report_at) WHERE report_at IS NOT NULL;

-- The whole message as JSON; needed again only by who takes it.
CREATE TABLE content (
    row INTEGER PRIMARY KEY,
    message TEXT NOT NULL CHECK (octet_length(message) <= 524288)
) STRICT;

-- Units of live messages by the day of their charge. used - credited = what is reserved or captured.
CREATE TABLE usage (
    customer TEXT NOT NULL,
    day INTEGER NOT NULL,
    channel TEXT NOT NULL,
    used INTEGER NOT NULL,
    credited INTEGER NOT NULL,
    PRIMARY KEY (customer, day, channel)
) STRICT, WITHOUT ROWID;

-- Attempts that were not simply the first and the last, and late words about any.
CREATE TABLE attempt_note (
    message INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    late INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    at INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (message, attempt, late, outcome)
) STRICT, WITHOUT ROWID;

CREATE TABLE report_history (
    message INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    report TEXT NOT NULL,
    PRIMARY KEY (message, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    -- From when it may be claimed: at first when it was written, later the end of a lease.
    free_at INTEGER NOT NULL,
    event TEXT NOT NULL
) STRICT;

CREATE INDEX outbox_free ON outbox (free_at);

CREATE TABLE incarnation (
    id INTEGER PRIMARY KEY,
    beat INTEGER NOT NULL
) STRICT;

-- Backlog that changed where the running process does not see it (an operator's command); read and deleted by it.
CREATE TABLE drift (
    row INTEGER PRIMARY KEY,
    route TEXT NOT NULL,
    lane INTEGER NOT NULL,
    customer TEXT NOT NULL,
    sandbox INTEGER NOT NULL,
    messages INTEGER NOT NULL
) STRICT;

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
