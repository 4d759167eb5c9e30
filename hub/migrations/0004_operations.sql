-- Operations: many tasks of one sort, over a set of servers or sites that is fixed when the operation is made.
-- Labels are JSON, {"env": "test"}, beside what they are on: they go, and are renamed, together with it.
ALTER TABLE server ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
ALTER TABLE site   ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';

CREATE TABLE operation (
    id           TEXT   NOT NULL PRIMARY KEY CHECK (length(id) = 36),   -- UUIDv7: sorts by time
    kind         TEXT   NOT NULL,            -- of its tasks
    params       TEXT   NOT NULL,            -- JSON: those of its tasks, but for the site
    selector     TEXT   NOT NULL,            -- JSON: what was asked for
    requested_by TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    parallel     BIGINT NOT NULL CHECK (parallel >= 1),     -- tasks that are open at once, at most
    per_server   BIGINT CHECK (per_server >= 1),            -- the same, on one server
    stop_after   BIGINT NOT NULL CHECK (stop_after >= 0),   -- failures after which nothing new is made; 0: never
    state        TEXT   NOT NULL CHECK (state IN ('running', 'stopping', 'paused', 'cancelling', 'cancelled',
                     'finished')),
    reason       TEXT,                       -- why it does not run
    total        BIGINT NOT NULL,            -- items; and those in each state
    waiting      BIGINT NOT NULL CHECK (waiting >= 0),
    open         BIGINT NOT NULL CHECK (open >= 0),
    succeeded    BIGINT NOT NULL CHECK (succeeded >= 0),
    failed       BIGINT NOT NULL CHECK (failed >= 0),
    cancelled    BIGINT NOT NULL CHECK (cancelled >= 0),
    skipped      BIGINT NOT NULL CHECK (skipped >= 0),
    forgiven     BIGINT NOT NULL DEFAULT 0,  -- failures that were known when it was resumed last
    finished_at  BIGINT,
    CHECK (total = waiting + open + succeeded + failed + cancelled + skipped),
    CHECK ((finished_at IS NOT NULL) = (state IN ('cancelled', 'finished'))),
    CHECK (state NOT IN ('paused', 'cancelled', 'finished') OR open = 0),
    CHECK (state NOT IN ('cancelling', 'cancelled', 'finished') OR waiting = 0)
) /* WITHOUT ROWID */;
CREATE INDEX operation_running ON operation (id) WHERE state = 'running';

-- The servers of an operation: how much of it waits for each, and is open there.
CREATE TABLE operation_server (
    operation TEXT   NOT NULL REFERENCES operation (id),
    server    TEXT   NOT NULL,
    waiting   BIGINT NOT NULL CHECK (waiting >= 0),
    open      BIGINT NOT NULL CHECK (open >= 0),
    PRIMARY KEY (operation, server)
) /* WITHOUT ROWID */;
CREATE INDEX operation_server_ready ON operation_server (operation, open, server) WHERE waiting > 0;

-- What an operation is carried out on, a task each.
CREATE TABLE operation_item (
    operation TEXT   NOT NULL REFERENCES operation (id),
    place     BIGINT NOT NULL,               -- from 1, by server and name
    server    TEXT   NOT NULL,
    site      TEXT,                          -- none where the tasks are about servers
    state     TEXT   NOT NULL CHECK (state IN ('waiting', 'made', 'succeeded', 'failed', 'cancelled', 'skipped')),
    task      TEXT,                          -- the newest that was made for it
    reason    TEXT,                          -- why none was made
    PRIMARY KEY (operation, place),
    CHECK (state NOT IN ('made', 'succeeded', 'failed') OR task IS NOT NULL),
    CHECK (state <> 'waiting' OR task IS NULL)
) /* WITHOUT ROWID */;
-- Whose turn is next on a server, however much of the operation is done.
CREATE INDEX operation_item_next ON operation_item (operation, server, state, place);
-- A task is made for one item only.
CREATE UNIQUE INDEX operation_item_by_task ON operation_item (task) WHERE task IS NOT NULL;

ALTER TABLE task ADD COLUMN operation TEXT;
CREATE INDEX task_by_operation ON task (operation, id) WHERE operation IS NOT NULL;
