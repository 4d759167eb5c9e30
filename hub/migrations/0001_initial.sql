-- The hub's store. The same statements run on SQLite and PostgreSQL: only TEXT and BIGINT, times as
-- milliseconds since 1970, JSON as TEXT. The mark WITHOUT ROWID in a comment is read by SQLite alone
-- (store/connect.rs). Constraints repeat what kolga_protocol::state says, so that no other program can
-- leave a state that nobody knows.

-- Spokes.
CREATE TABLE server (
    name       TEXT   NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT,                       -- last heartbeat, by the hub's clock, written now and then
    journal    TEXT,                         -- the worker's journal; another one after a rebuild
    worker     TEXT                          -- JSON: what the worker said of itself then
) /* WITHOUT ROWID */;

-- What was asked for. The state is that of the newest attempt.
CREATE TABLE task (
    id               TEXT   NOT NULL PRIMARY KEY CHECK (length(id) = 36),   -- UUIDv7: sorts by time
    server           TEXT   NOT NULL,                       -- which may have been removed since it ended
    kind             TEXT   NOT NULL,
    params           TEXT   NOT NULL,                                        -- JSON
    object           TEXT,
    requested_by     TEXT   NOT NULL,
    created_at       BIGINT NOT NULL,
    attempt          BIGINT NOT NULL CHECK (attempt >= 1),
    tries            BIGINT NOT NULL CHECK (tries >= 1),   -- attempts since a person last asked
    state            TEXT   NOT NULL CHECK (state IN ('queued', 'sent', 'accepted', 'running',
                         'rolling_back', 'stuck', 'succeeded', 'failed', 'cancelled', 'interrupted', 'rejected')),
    trouble          TEXT GENERATED ALWAYS AS (CASE WHEN state IN ('stuck', 'failed', 'cancelled', 'interrupted',
                         'rejected') THEN state END) STORED,
    cancel_requested BIGINT NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    entries          BIGINT NOT NULL DEFAULT 0,            -- the last number given to an entry
    step             TEXT,                                 -- JSON: the newest step entry
    waiting          TEXT,                                 -- what is in its way
    output           TEXT,                                 -- JSON
    failure          TEXT,                                 -- JSON
    retry_at         BIGINT,                               -- when the next attempt is due
    finished_at      BIGINT,                               -- nothing more happens by itself
    log_pruned       BIGINT NOT NULL DEFAULT 0 CHECK (log_pruned IN (0, 1)),   -- some or all entries are gone
    CHECK (retry_at IS NULL OR state = 'interrupted'),
    CHECK (retry_at IS NULL OR finished_at IS NULL),
    CHECK (finished_at IS NULL OR state IN ('succeeded', 'failed', 'cancelled', 'interrupted', 'rejected')),
    CHECK (output IS NULL OR state = 'succeeded')
) /* WITHOUT ROWID */;
-- No index has the state in it, which changes several times on the way of each task: what goes well costs no index
-- anything between its beginning and its end. What is open is found by task_open, what went wrong by trouble.
CREATE INDEX task_by_server         ON task (server, id);
CREATE INDEX task_by_object         ON task (object, id)          WHERE object IS NOT NULL;
CREATE INDEX task_open              ON task (server, id)          WHERE finished_at IS NULL;
CREATE INDEX task_trouble           ON task (trouble, id)         WHERE trouble IS NOT NULL;
CREATE INDEX task_trouble_by_server ON task (server, trouble, id) WHERE trouble IS NOT NULL;
CREATE INDEX task_retry             ON task (retry_at)            WHERE retry_at IS NOT NULL;

-- Each try at a task.
CREATE TABLE attempt (
    task       TEXT   NOT NULL REFERENCES task (id),
    attempt    BIGINT NOT NULL CHECK (attempt >= 1),
    state      TEXT   NOT NULL CHECK (state IN ('queued', 'sent', 'accepted', 'running',
                   'rolling_back', 'stuck', 'succeeded', 'failed', 'cancelled', 'interrupted', 'rejected')),
    created_at BIGINT NOT NULL,
    started_at BIGINT,                       -- by the worker's clock
    ended_at   BIGINT,                       -- by the worker's clock
    last_seq   BIGINT NOT NULL DEFAULT 0,    -- the last report taken
    journal    TEXT,                         -- the worker's journal that tells of it
    failure    TEXT,                         -- JSON
    check_at   BIGINT,                       -- without news by then, the worker is asked
    PRIMARY KEY (task, attempt),
    CHECK ((ended_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled', 'interrupted', 'rejected')))
) /* WITHOUT ROWID */;
CREATE INDEX attempt_due ON attempt (check_at) WHERE check_at IS NOT NULL;

-- What the broker has yet to confirm. Written in the transaction that makes the attempt; gone when confirmed.
CREATE TABLE outbox (
    seq          BIGINT NOT NULL PRIMARY KEY,
    server       TEXT   NOT NULL REFERENCES server (name),
    task         TEXT   NOT NULL REFERENCES task (id),
    attempt      BIGINT NOT NULL,
    sort         TEXT   NOT NULL CHECK (sort IN ('task', 'cancel')),
    requested_by TEXT   NOT NULL,
    blocked      TEXT,                                   -- why the broker does not take it
    maybe_sent   BIGINT NOT NULL DEFAULT 0 CHECK (maybe_sent IN (0, 1)),   -- the broker may have it all the same
    UNIQUE (task, attempt, sort)
);
CREATE INDEX outbox_blocked ON outbox (server) WHERE blocked IS NOT NULL;

-- Log lines, steps and changes of state, as the API gives them. By far the most rows, all written by one
-- function that has just read the task: no foreign key to look up for each.
CREATE TABLE entry (
    task  TEXT   NOT NULL,
    seq   BIGINT NOT NULL,
    sort  TEXT   NOT NULL CHECK (sort IN ('log', 'step', 'state')),
    event TEXT   NOT NULL,                   -- JSON
    PRIMARY KEY (task, seq)
) /* WITHOUT ROWID */;

CREATE TABLE platform (
    server     TEXT   NOT NULL REFERENCES server (name),
    name       TEXT   NOT NULL,
    profile    TEXT   NOT NULL,
    source     TEXT   NOT NULL,
    condition  TEXT   NOT NULL CHECK (condition IN ('pending', 'ready', 'removing', 'failed')),
    version    TEXT,
    path       TEXT,
    task       TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (server, name)
) /* WITHOUT ROWID */;
CREATE INDEX platform_by_task ON platform (task);           -- such a task is not pruned

CREATE TABLE site (
    host       TEXT   NOT NULL PRIMARY KEY,
    server     TEXT   NOT NULL REFERENCES server (name),
    profile    TEXT   NOT NULL,
    platform   TEXT,
    aliases    TEXT   NOT NULL,              -- JSON
    options    TEXT   NOT NULL,              -- JSON
    condition  TEXT   NOT NULL CHECK (condition IN ('pending', 'ready', 'removing', 'failed')),
    url        TEXT,
    task       TEXT   NOT NULL,
    created_at BIGINT NOT NULL
) /* WITHOUT ROWID */;
CREATE INDEX site_by_server ON site (server, host);
CREATE INDEX site_by_task   ON site (task);                 -- such a task is not pruned

-- Every name that a site answers to, over all servers; the key is what makes two sites impossible.
CREATE TABLE site_name (
    name TEXT NOT NULL PRIMARY KEY,
    host TEXT NOT NULL REFERENCES site (host)
) /* WITHOUT ROWID */;
CREATE INDEX site_name_by_host ON site_name (host);

-- Who changed what, and what came that should not have come.
CREATE TABLE audit (
    id      TEXT   NOT NULL PRIMARY KEY,     -- UUIDv7
    at      BIGINT NOT NULL,
    actor   TEXT   NOT NULL,
    action  TEXT   NOT NULL,
    subject TEXT   NOT NULL,
    detail  TEXT   NOT NULL
) /* WITHOUT ROWID */;

-- What pruning has removed so far; one row. The id is the fence: a report about a task that is not there and
-- not later than this one is merely late.
CREATE TABLE pruned (
    id      BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    up_to   TEXT   NOT NULL,
    at      BIGINT,
    tasks   BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    audit   BIGINT NOT NULL
) /* WITHOUT ROWID */;
INSERT INTO pruned (id, up_to, tasks, entries, audit) VALUES (1, '00000000-0000-0000-0000-000000000000', 0, 0, 0);
