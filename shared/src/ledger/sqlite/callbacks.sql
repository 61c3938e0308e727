-- One event on its way to one webhook (`customer/name`); due: from when it may be claimed, while it is claimed the end of the lease.
CREATE TABLE callback (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook TEXT NOT NULL,
    event TEXT NOT NULL,
    due INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (webhook, event)
) STRICT;

CREATE INDEX callback_turn ON callback (webhook, due, row);

-- How each webhook fares; waiting: its rows in `callback`.
CREATE TABLE callback_state (
    webhook TEXT PRIMARY KEY,
    waiting INTEGER NOT NULL,
    given_up INTEGER NOT NULL,
    not_kept INTEGER NOT NULL,
    failing_since INTEGER,
    full_since INTEGER,
    last_at INTEGER,
    last_answer TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX callback_waiting ON callback_state (webhook) WHERE waiting > 0;
