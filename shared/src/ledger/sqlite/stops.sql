-- Rules that stop messages. Phases: 1 sweeping, 2 standing, 3 undoing, 4 committing, 5 ended; in force are the first two.
CREATE TABLE stop_rule (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    phase INTEGER NOT NULL CHECK (phase BETWEEN 1 AND 5),
    -- What is stopped, by whose order and why, as JSON.
    document TEXT NOT NULL
) STRICT;

-- Messages that a rule stopped, what each was, and what became of it: 0 stopped, 1 undone, 2 cancelled, 3 ended otherwise.
CREATE TABLE stop_row (
    rule INTEGER NOT NULL,
    id BLOB NOT NULL,
    how INTEGER NOT NULL,
    was INTEGER NOT NULL,
    fate INTEGER NOT NULL DEFAULT 0,
    wake_at INTEGER,
    at INTEGER NOT NULL,
    PRIMARY KEY (rule, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX stop_row_left ON stop_row (rule, id) WHERE fate = 0;

-- Attempts that were under way when a rule came.
CREATE TABLE stop_flight (
    rule INTEGER NOT NULL,
    id BLOB NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (rule, id)
) STRICT, WITHOUT ROWID;
