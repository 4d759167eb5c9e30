//! A history of tasks that ended within the last twenty days, as the store would have written it.

use anyhow::Context;
use kolga_protocol::id::UnixMillis;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};

/// Twenty days for a million tasks.
const STEP: i64 = 1728;
const DAYS: i64 = 20 * 86_400_000;
/// Tasks in one transaction.
const CHUNK: u32 = 50_000;

/// A database that fills.
pub struct Fill {
    connection: AnyConnection,
    sqlite: bool,
    began: i64,
    tasks: u32,
}

impl Fill {
    /// The servers and the sites; no task yet.
    pub async fn new(url: &str, sites: u32) -> anyhow::Result<Self> {
        let connection = AnyConnection::connect(url).await.context("the database")?;
        let mut fill = Self {
            connection,
            sqlite: url.starts_with("sqlite:"),
            began: UnixMillis::now().0 - DAYS - 7_200_000,
            tasks: 0,
        };
        fill.run("INSERT INTO server (name, created_at) VALUES ('web0', 0), ('web1', 0), ('web2', 0), ('web3', 0), \
                  ('web4', 0), ('web5', 0), ('web6', 0), ('web7', 0), ('web8', 0), ('web9', 0)")
            .await?;
        let numbers = numbers(0, sites);
        fill.run(&format!(
            "{numbers} INSERT INTO site (host, server, profile, platform, aliases, options, condition, url, task, \
             created_at)
             SELECT 'blog' || CAST(i AS TEXT) || '.example.org', 'web' || CAST(i % 10 AS TEXT), 'wordpress', 'wp',
                    '[\"www.blog' || CAST(i AS TEXT) || '.example.org\"]', '{{\"title\":\"My blog\"}}', 'ready',
                    'http://blog' || CAST(i AS TEXT) || '.example.org/', '00000000-0000-7000-8000-000000000000', 0
               FROM n"
        ))
        .await?;
        fill.run("INSERT INTO site_name (name, host) SELECT host, host FROM site")
            .await?;
        fill.run("INSERT INTO site_name (name, host) SELECT 'www.' || host, host FROM site")
            .await?;
        Ok(fill)
    }

    /// Adds tasks until there are so many. Others that were made meanwhile come on top.
    pub async fn up_to(&mut self, tasks: u32) -> anyhow::Result<()> {
        while self.tasks < tasks {
            let to = tasks.min(self.tasks + CHUNK);
            self.chunk(self.tasks, to).await?;
            self.tasks = to;
        }
        // As PostgreSQL does by itself after a while. The hub takes none of SQLite.
        if !self.sqlite {
            self.run("VACUUM ANALYZE").await?;
        }
        Ok(())
    }

    async fn chunk(&mut self, from: u32, to: u32) -> anyhow::Result<()> {
        let at = format!("({} + i * {STEP})", self.began);
        let hex = if self.sqlite {
            format!("printf('%012x', {at})")
        } else {
            format!("lpad(to_hex(CAST({at} AS BIGINT)), 12, '0')")
        };
        let numbers = numbers(from, to);
        let id = format!(
            "substr({hex}, 1, 8) || '-' || substr({hex}, 9, 4) || '-7000-8000-' || CAST(100000000000 + i AS TEXT)"
        );
        // Of a hundred tasks one has failed; a third are about a site.
        let statements = [
            format!(
                "{numbers} INSERT INTO task (id, server, kind, params, object, requested_by, created_at, attempt, tries,
                        state, entries, step, output, failure, finished_at)
                 SELECT {id}, 'web' || CAST(i % 10 AS TEXT),
                        CASE WHEN i % 3 = 0 THEN 'site.install' ELSE 'ping' END,
                        '{{\"site\":\"blog.example.org\",\"profile\":\"wordpress\",\"platform\":\"wp\",\"aliases\":[]}}',
                        CASE WHEN i % 3 = 0 THEN 'site:blog' || CAST(i % 10000 AS TEXT) || '.example.org' END,
                        'operator', {at}, 1, 1, CASE WHEN i % 100 = 7 THEN 'failed' ELSE 'succeeded' END, 4,
                        '{{\"seq\":3,\"attempt\":1,\"at\":1764100000000,\"name\":\"check_site\",\"position\":8,\"total\":9,\"phase\":\"applied\"}}',
                        CASE WHEN i % 100 <> 7 THEN '{{\"url\":\"http://blog.example.org/\",\"path\":\"/srv/kolga/sites/blog.example.org\"}}' END,
                        CASE WHEN i % 100 = 7 THEN '{{\"step\":\"create_database\",\"message\":\"the database server cannot be reached\",\"left_behind\":[]}}' END,
                        {at} + 900
                   FROM n"
            ),
            format!(
                "{numbers} INSERT INTO attempt (task, attempt, state, created_at, started_at, ended_at, last_seq)
                 SELECT {id}, 1, CASE WHEN i % 100 = 7 THEN 'failed' ELSE 'succeeded' END, {at}, {at} + 100, {at} + 900, 4
                   FROM n"
            ),
            format!(
                "{numbers} INSERT INTO entry (task, seq, sort, event)
                 SELECT {id}, e.seq, CASE WHEN e.seq = 2 THEN 'log' WHEN e.seq = 3 THEN 'step' ELSE 'state' END,
                        CASE WHEN e.seq = 2
                             THEN '{{\"type\":\"log\",\"seq\":2,\"attempt\":1,\"at\":1764100000000,\"level\":\"output\",\"step\":\"run_installer\",\"text\":\"Success: WordPress installed successfully.\\nSuccess: Rewrite structure set.\"}}'
                             WHEN e.seq = 3
                             THEN '{{\"type\":\"step\",\"seq\":3,\"attempt\":1,\"at\":1764100000000,\"name\":\"check_site\",\"position\":8,\"total\":9,\"phase\":\"applied\"}}'
                             ELSE '{{\"type\":\"state\",\"seq\":' || CAST(e.seq AS TEXT) || ',\"attempt\":1,\"at\":1764100000000,\"state\":\"running\",\"finished\":false,\"retry_at\":null,\"failure\":null}}' END
                   FROM n CROSS JOIN (SELECT 1 AS seq UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4) e
                  ORDER BY i, e.seq"
            ),
        ];
        for statement in statements {
            self.run(&statement).await?;
        }
        Ok(())
    }

    /// What the database takes on the disk.
    pub async fn mib(&mut self) -> anyhow::Result<u64> {
        let sql = if self.sqlite {
            "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        } else {
            "SELECT pg_database_size(current_database())"
        };
        let bytes: i64 = sqlx::query_scalar(sql)
            .fetch_one(&mut self.connection)
            .await?;
        Ok(bytes.unsigned_abs() / 1024 / 1024)
    }

    async fn run(&mut self, sql: &str) -> anyhow::Result<()> {
        let done = self.connection.execute(AssertSqlSafe(sql.to_owned())).await;
        done.with_context(|| sql.chars().take(200).collect::<String>())?;
        Ok(())
    }
}

/// The rows `i` from one number to before another.
fn numbers(from: u32, to: u32) -> String {
    format!(
        "WITH RECURSIVE n (i) AS (SELECT CAST({from} AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < {to} - 1)"
    )
}
