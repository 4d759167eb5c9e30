//! Every statement of the store finds its rows by an index wherever a table can become large, on both
//! databases. The statements are those that are run when [`crate::drive`] asks for everything; that it leaves none
//! out is checked against the source. SQLite is asked for its plan; the hub never gathers its statistics, so
//! plans do not depend on what is stored. PostgreSQL tells by auto_explain how many rows each part of a plan
//! has touched, over a filled store with statistics.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row};

use crate::database::Database;
use crate::{drive, fill, recorder, sources};

/// What may read more than it gives, and why that is right.
const ALLOWED: [(&str, &str); 19] = [
    (
        "WHERE site_name.name LIKE $1",
        "for a wildcard that somebody asks for: a row a name, never history",
    ),
    (
        "SELECT id FROM (SELECT id FROM operation ORDER BY id DESC LIMIT $1) AS newest",
        "the 1,000 newest at most, however many there are",
    ),
    (
        "SELECT id FROM operation WHERE total = 0",
        "once, at the start",
    ),
    (
        "SELECT id FROM operation WHERE state = 'running'",
        "those that run, by the index of just that; never history",
    ),
    (
        "WHERE operation.state = 'running' AND operation.kind = 'site.move'",
        "the same, when a stage of a move ends",
    ),
    (
        "SELECT host, server, profile, platform, labels FROM site WHERE condition = 'ready'",
        "all sites, when an operation is made: labels and patterns are judged for each",
    ),
    (
        "SELECT server, name, profile, labels FROM platform WHERE condition = 'ready'",
        "all platforms, when an operation over them is made: labels and patterns are judged for each",
    ),
    (
        "DELETE FROM server WHERE name = $1",
        "now and then; no message in the outbox may be for it, and those are what waits, never history",
    ),
    ("SELECT count(*) FROM task", "counted once, at the start"),
    ("SELECT count(*) FROM entry", "counted once, at the start"),
    ("SELECT count(*) FROM audit", "counted once, at the start"),
    (
        "SELECT count(*) FROM outbox",
        "for the doctor: what waits, never history",
    ),
    (
        "SELECT server, min(blocked) AS reason FROM outbox",
        "for the doctor: what waits, by the index of just that",
    ),
    (
        "AS tasks FROM task WHERE finished_at IS NULL GROUP BY state",
        "for the metrics: what is open, by the index of just that; never history",
    ),
    (
        "UPDATE outbox SET maybe_sent = 1 WHERE maybe_sent = 0",
        "once, at the start",
    ),
    (
        "SELECT id FROM (SELECT id FROM task ORDER BY id DESC LIMIT $1) AS newest",
        "the 20,000 newest at most, however many there are",
    ),
    (
        "FROM server s CROSS JOIN task t JOIN attempt a",
        "what is open, by the index of just that; never history",
    ),
    (
        "a.attempt = t.attempt ORDER BY t.id DESC LIMIT",
        "along the key, until the page is full",
    ),
    (
        "a.attempt = t.attempt WHERE t.state = $1 ORDER BY t.id DESC LIMIT",
        "along the key, until the page is full: those that succeeded, as most do",
    ),
];

/// The same, where only PostgreSQL tells so much.
const ALLOWED_BY_NUMBER: [(&str, &str); 1] = [(
    "WHERE o.seq > $1 AND o.blocked IS NULL ORDER BY o.seq LIMIT",
    "past what is blocked: only for a server without a queue, which is declared within seconds, and only after \
     the relay has gone back to the beginning",
)];

fn allowed_by_number(statement: &str) -> bool {
    let mut parts = ALLOWED_BY_NUMBER.iter();
    allowed(statement).is_some() || parts.any(|(part, _)| statement.contains(part))
}

fn allowed(statement: &str) -> Option<usize> {
    ALLOWED
        .iter()
        .position(|(part, _)| statement.contains(part))
}

/// As much of a statement as tells which it is: those over many rows are long.
fn short(statement: &str) -> String {
    let cut = |text: &str, most| text.chars().take(most).collect::<String>();
    match statement.split_once("VALUES") {
        Some((head, _)) => format!("{head}VALUES …"),
        None => cut(statement, 400),
    }
}

/// Tables that stay small: a row each for a server or for the whole hub.
const SMALL: [&str; 3] = ["server", "pruned", "s"];

fn nothing_is_forgotten(run: &BTreeSet<String>) {
    let forgotten: Vec<String> = sources::statements()
        .iter()
        .filter(|written| !run.iter().any(|statement| written.is_in(statement)))
        .map(|written| format!("{}: {}", written.file.display(), written.pieces.join(" … ")))
        .collect();
    assert!(
        forgotten.is_empty(),
        "tests/store/drive.rs must run these too, so that their plans are looked at:\n{}",
        forgotten.join("\n")
    );
}

/// What statements make for themselves out of rows that they found by an index.
const MADE: [&str; 6] = ["v", "held", "newest", "due", "ahead", "doubtful"];

/// The plan of each statement: its lines.
async fn sqlite_plans(
    connection: &mut AnyConnection,
    statements: &BTreeSet<String>,
) -> BTreeMap<String, Vec<String>> {
    let mut plans = BTreeMap::new();
    for statement in statements {
        let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = connection.fetch_all(sql).await;
        let rows = rows.unwrap_or_else(|error| panic!("{statement}: {error}"));
        let lines = rows.iter().map(|row| row.get::<String, _>("detail"));
        plans.insert(statement.clone(), lines.collect());
    }
    plans
}

/// Lines of a plan that read a whole table, or gather rows to sort them.
fn sqlite_findings(plans: &BTreeMap<String, Vec<String>>) -> BTreeMap<&str, &str> {
    let mut findings = BTreeMap::new();
    for (statement, lines) in plans {
        for line in lines {
            let whole = line.strip_prefix("SCAN ").is_some_and(|what| {
                let name = what.split(' ').next().unwrap_or(what);
                let made = what.contains("CONSTANT ROW")
                    || what.contains("VALUES CLAUSE")
                    || MADE.contains(&name);
                !made && !SMALL.contains(&name)
            });
            if whole || line.starts_with("USE TEMP B-TREE FOR ORDER BY") {
                findings.insert(statement.as_str(), line.as_str());
            }
        }
    }
    findings
}

#[tokio::test]
async fn sqlite_finds_everything_by_an_index_and_needs_each_of_them() {
    recorder::start();
    let database = Database::sqlite().await;
    drive::everything(&database.store).await;
    let statements = recorder::statements();
    nothing_is_forgotten(&statements);
    let mut connection = AnyConnection::connect(database.url())
        .await
        .expect("a second connection");
    let plans = sqlite_plans(&mut connection, &statements).await;
    let findings = sqlite_findings(&plans);
    let bad: Vec<_> = findings
        .iter()
        .filter(|(statement, _)| allowed(statement).is_none())
        .map(|(statement, line)| (short(statement), line))
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    for (place, (part, why)) in ALLOWED.iter().enumerate() {
        assert!(
            findings.keys().any(|one| allowed(one) == Some(place)),
            "{part} needs no leave any more ({why})"
        );
    }

    // Each index is in some plan, and where it is missing somebody notices.
    let indexes = connection
        .fetch_all(
            "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name",
        )
        .await
        .expect("listed");
    let mut noticed = Vec::new();
    for index in indexes.iter().map(|row| row.get::<String, _>("name")) {
        let name = format!(" {index} ");
        let used = plans.values().flatten().any(|line| {
            let line = format!("{line} ").replace('(', " (");
            line.contains(&name)
        });
        assert!(used, "no statement uses {index}");
        let mut without = connection.begin().await.expect("a transaction");
        without
            .execute(AssertSqlSafe(format!("DROP INDEX {index}")))
            .await
            .expect("it is there");
        let plans = sqlite_plans(&mut without, &statements).await;
        let missed = sqlite_findings(&plans)
            .keys()
            .filter(|one| !findings.contains_key(*one))
            .count();
        println!("without {index}: {missed} statements read a whole table or sort it");
        if missed > 0 {
            noticed.push(index);
        }
        without.rollback().await.expect("it is back");
    }
    // The others only make narrower what another index or a leave finds as well.
    let expected = [
        "attempt_due",
        "operation_item_by_task",
        "operation_server_ready",
        "outbox_blocked",
        "platform_by_task",
        "site_by_task",
        "site_name_by_host",
        "task_by_object",
        "task_by_operation",
        "task_by_server",
        "task_retry",
        "task_trouble",
    ];
    for index in expected {
        assert!(
            noticed.iter().any(|one| one == index),
            "nobody misses {index}: {noticed:?}"
        );
    }
    connection.close().await.expect("closed");
    database.end().await;
}

/// Rows that one part of a plan may touch: above what a page or a batch holds, far below any filled table.
const TOUCHED: f64 = 1000.0;

/// Parts of plans that read a whole table that can become large, or far more rows than were wanted.
fn postgres_findings(plans: &[Value]) -> BTreeMap<String, String> {
    let mut findings = BTreeMap::new();
    for plan in plans {
        let statement = recorder::plain(plan["Query Text"].as_str().unwrap_or_default());
        if statement.starts_with("/*") {
            continue;
        }
        let mut parts = vec![&plan["Plan"]];
        while let Some(part) = parts.pop() {
            parts.extend(part["Plans"].as_array().into_iter().flatten());
            let Some(table) = part["Relation Name"].as_str() else {
                continue;
            };
            let number = |name: &str| part[name].as_f64().unwrap_or(0.0);
            let each = number("Actual Rows")
                + number("Rows Removed by Filter")
                + number("Rows Removed by Join Filter")
                + number("Rows Removed by Index Recheck");
            let touched = each * number("Actual Loops");
            let node = part["Node Type"].as_str().unwrap_or_default();
            let whole = node == "Seq Scan" && number("Actual Loops") > 0.0;
            if !SMALL.contains(&table) && (whole || touched > TOUCHED) {
                let finding = format!("{node} on {table}: {touched} rows");
                findings.insert(short(&statement), finding);
            }
        }
    }
    findings
}

/// Asks for everything over a filled store; what was found, and how many plans were looked at.
async fn postgres_run(settings: &str, drop: &[&str]) -> BTreeMap<String, String> {
    let explain = [
        "session_preload_libraries]=auto_explain",
        "auto_explain.log_min_duration]=0",
        "auto_explain.log_analyze]=on",
        "auto_explain.log_timing]=off",
        "auto_explain.log_format]=json",
        "auto_explain.log_level]=notice",
    ]
    .map(|setting| format!("&options[{setting}"))
    .concat();
    let database = Database::postgres_with(&format!("{explain}{settings}")).await;
    let mut connection = AnyConnection::connect(database.url())
        .await
        .expect("a second connection");
    fill::history(&mut connection).await;
    for index in drop {
        let sql = format!("/* fill */ DROP INDEX {index}");
        connection
            .execute(AssertSqlSafe(sql))
            .await
            .expect("it is there");
    }
    connection.close().await.expect("closed");
    recorder::start();
    // What is asked at the start belongs to it.
    let database = database.reopen().await;
    drive::everything(&database.store).await;
    nothing_is_forgotten(&recorder::statements());
    let plans = recorder::plans();
    let number = plans.len();
    assert!(number >= recorder::statements().len(), "{number} plans");
    database.end().await;
    println!(
        "{number} plans looked at, {} rows in the store",
        fill::ENDED + fill::WAITING
    );
    postgres_findings(&plans)
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn postgres_finds_everything_by_an_index_with_plans_for_each_and_plans_for_all() {
    for settings in [
        "&options[plan_cache_mode]=force_custom_plan",
        "&options[plan_cache_mode]=force_generic_plan",
    ] {
        let mut findings = postgres_run(settings, &[]).await;
        findings.retain(|statement, _| !allowed_by_number(statement));
        assert!(findings.is_empty(), "{settings}: {findings:#?}");
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn postgres_without_an_index_is_noticed() {
    let dropped = ["task_by_object", "site_by_task", "attempt_due"];
    let findings = postgres_run("", &dropped).await;
    for table in ["task", "site", "attempt"] {
        let noticed = findings.iter().find(|(statement, finding)| {
            !allowed_by_number(statement) && finding.contains(&format!("on {table}:"))
        });
        println!("{table}: {noticed:?}");
        assert!(noticed.is_some(), "{table}: {findings:#?}");
    }
}
