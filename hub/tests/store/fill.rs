//! A history for one test: enough rows that reading a whole table is never what a planner wants.

use sqlx::{AnyConnection, Executor};

/// Tasks that are over.
pub const ENDED: u32 = 20_000;
/// Tasks that wait for servers without a queue, each with a message that cannot be sent.
pub const WAITING: u32 = 2000;

/// The same in both databases. Each begins with a comment, so that [`crate::recorder`] leaves them out.
const STATEMENTS: [&str; 14] = [
    "/* fill */ WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 49)
     INSERT INTO server (name, created_at) SELECT 'old' || CAST(i AS TEXT), 0 FROM n",
    "/* fill */ WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
     INSERT INTO task (id, server, kind, params, object, requested_by, created_at, attempt, tries, state,
                       entries, finished_at)
     SELECT '01900000-0000-7000-8000-' || CAST(100000000000 + i AS TEXT), 'old' || CAST(i % 50 AS TEXT), 'ping',
            '{}', CASE WHEN i % 3 = 0 THEN 'site:host' || CAST(i % 5000 AS TEXT) || '.example.org' END, 'fill',
            1700000000000 + i, 1, 1, CASE WHEN i % 400 = 0 THEN 'failed' ELSE 'succeeded' END, 3, 1700000000000 + i
       FROM n",
    "/* fill */ WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999)
     INSERT INTO task (id, server, kind, params, requested_by, created_at, attempt, tries, state, waiting)
     SELECT '01900000-0000-7000-8000-' || CAST(200000000000 + i AS TEXT), 'old' || CAST(i % 50 AS TEXT), 'ping', '{}', 'fill',
            1700000000000 + i, 1, 1, 'queued', 'no queue'
       FROM n",
    "/* fill */ INSERT INTO attempt (task, attempt, state, created_at, ended_at)
     SELECT id, 1, state, created_at, finished_at FROM task WHERE requested_by = 'fill'",
    "/* fill */ INSERT INTO entry (task, seq, sort, event)
     SELECT t.id, v.i, CASE WHEN v.i = 2 THEN 'log' ELSE 'state' END, '{}'
       FROM task t, (SELECT 1 AS i UNION ALL SELECT 2 UNION ALL SELECT 3) v
      WHERE t.requested_by = 'fill' AND t.finished_at IS NOT NULL",
    "/* fill */ INSERT INTO outbox (seq, server, task, attempt, sort, requested_by, blocked)
     SELECT 1000000 + created_at - 1700000000000, server, id, 1, 'task', 'fill', 'no queue'
       FROM task WHERE state = 'queued'",
    "/* fill */ WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999)
     INSERT INTO site (host, server, profile, aliases, options, condition, task, created_at)
     SELECT 'host' || CAST(i AS TEXT) || '.example.org', 'old' || CAST(i % 50 AS TEXT), 'static', '[]', '{}', 'ready',
            '01900000-0000-7000-8000-' || CAST(100000015000 + i AS TEXT), 0
       FROM n",
    "/* fill */ INSERT INTO site_name (name, host) SELECT host, host FROM site",
    "/* fill */ WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999)
     INSERT INTO platform (server, name, profile, source, condition, task, created_at)
     SELECT 'old' || CAST(i % 50 AS TEXT), 'p' || CAST(i AS TEXT), 'static', '/srv', 'ready', 'none', 0 FROM n",
    // Operations whose tasks are all there yet: ten of those that are over belong to each. Ids of the time to come, as
    // seen from any task that is pruned.
    "/* fill */ WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1999)
     INSERT INTO operation (id, kind, params, selector, requested_by, created_at, parallel, stop_after, state, total,
                            waiting, open, succeeded, failed, cancelled, skipped, finished_at)
     SELECT 'f1900000-0000-7000-8000-' || CAST(100000000000 + i AS TEXT), 'ping', '{}', '{\"all\":true}', 'fill', 0, 4, 0,
            'finished', 10, 0, 0, 10, 0, 0, 0, 1 FROM n",
    "/* fill */ INSERT INTO operation_server (operation, server, waiting, open)
     SELECT id, 'old1', 0, 0 FROM operation WHERE requested_by = 'fill'",
    "/* fill */ WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 19999)
     INSERT INTO operation_item (operation, place, server, state, task)
     SELECT 'f1900000-0000-7000-8000-' || CAST(100000000000 + i / 10 AS TEXT), 1 + i % 10, 'old1', 'succeeded',
            '01900000-0000-7000-8000-' || CAST(100000000000 + i AS TEXT) FROM n",
    "/* fill */ UPDATE task SET operation = (SELECT i.operation FROM operation_item i WHERE i.task = task.id)
      WHERE requested_by = 'fill' AND finished_at IS NOT NULL",
    "/* fill */ WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999)
     INSERT INTO audit (id, at, actor, action, subject, detail)
     SELECT '01900000-0000-7000-8000-' || CAST(100000000000 + i AS TEXT), 0, 'fill', 'fill', 'fill', '' FROM n",
];

/// Writes it, past the store.
pub async fn history(connection: &mut AnyConnection) {
    for statement in STATEMENTS {
        connection
            .execute(statement)
            .await
            .expect("a history is written");
    }
    connection
        .execute("ANALYZE")
        .await
        .expect("its statistics are taken");
}
