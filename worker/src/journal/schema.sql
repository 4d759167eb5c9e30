-- The worker's journal, format 1 (PRAGMA user_version). What is written here is durable before anything
-- acts on it or acks it. A later release must read it: add, never change a meaning.

-- Which journal this is. A machine that was rebuilt has a new one, and the hub can tell.
CREATE TABLE meta (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    journal    BLOB    NOT NULL CHECK (length(journal) = 16),
    server     TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- One row an attempt, kept for a good while after its end: it is what tells a doubled message.
CREATE TABLE task (
    id          INTEGER PRIMARY KEY,               -- the order of acceptance
    task        BLOB    NOT NULL CHECK (length(task) = 16),
    attempt     INTEGER NOT NULL CHECK (attempt >= 1),
    kind        TEXT    NOT NULL,
    message     BLOB,                              -- the sealed message; dropped at the end
    state       TEXT    NOT NULL CHECK (state IN ('accepted', 'running', 'rolling_back', 'stuck',
                    'succeeded', 'failed', 'cancelled', 'interrupted', 'rejected')),
    last_seq    INTEGER NOT NULL CHECK (last_seq >= 0),
    cause       TEXT,                              -- JSON: how it ends once it is rolled back
    committed   INTEGER NOT NULL DEFAULT 0 CHECK (committed IN (0, 1)),
    result      BLOB,                              -- sealed: the report that ends it, from the point of no return on
    accepted_at INTEGER NOT NULL,
    ended_at    INTEGER,
    UNIQUE (task, attempt),
    CHECK ((ended_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled', 'interrupted', 'rejected')))
) STRICT;

CREATE INDEX task_live  ON task (id)       WHERE ended_at IS NULL;
CREATE INDEX task_ended ON task (ended_at) WHERE ended_at IS NOT NULL;

-- What has been begun, with all that undoing (or finishing) needs. Gone when the attempt ends.
CREATE TABLE step (
    task     BLOB    NOT NULL,
    attempt  INTEGER NOT NULL,
    position INTEGER NOT NULL CHECK (position >= 1),
    name     TEXT    NOT NULL,
    record   TEXT    NOT NULL,                     -- JSON, the step's own
    state    TEXT    NOT NULL CHECK (state IN ('intent', 'done', 'undone', 'final', 'finished')),
    PRIMARY KEY (task, attempt, position),
    FOREIGN KEY (task, attempt) REFERENCES task (task, attempt) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- What waits to be sent: sealed batches of reports, forgotten when the broker has confirmed them. The
-- number is never used again, since it names the message.
CREATE TABLE spool (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    body BLOB    NOT NULL
) STRICT;
