//! Quoting, and the whole service over the test stack's server.

mod mending;

use proptest::prelude::*;

use sqlx::mysql::MySqlConnectOptions;

use super::*;
use crate::files::Dir;
use crate::profile::Tables;
use crate::testing::stack_config;

proptest! {
    #[test]
    fn a_literal_reads_back_as_what_it_was(text in "(?s).{0,40}|[\\x00'\\\\\"]{0,12}") {
        prop_assert_eq!(read_literal(&literal(&text)), Some(text));
    }

    #[test]
    fn an_identifier_never_ends_early(name in "[a-z][a-z0-9_]{0,30}[a-z0-9]") {
        let name: DatabaseName = name.parse().expect("a name");
        let quoted = identifier(&name);
        prop_assert_eq!(quoted.matches('`').count(), 2);
        let pattern = grant_pattern(&name);
        prop_assert_eq!(pattern.matches("\\_").count(), name.as_str().matches('_').count());
        prop_assert_eq!(pattern.replace("\\_", "_"), quoted);
    }
}

/// The server's reading of a literal (MariaDB, "String Literals"): the reverse of what is under test.
fn read_literal(quoted: &str) -> Option<String> {
    let mut chars = quoted.strip_prefix('\'')?.strip_suffix('\'')?.chars();
    let mut text = String::new();
    while let Some(c) = chars.next() {
        match c {
            '\'' if chars.next() == Some('\'') => text.push('\''),
            '\'' => return None,
            '\\' => match chars.next()? {
                '0' => text.push('\0'),
                c @ ('\\' | '\'') => text.push(c),
                _ => return None,
            },
            _ => text.push(c),
        }
    }
    Some(text)
}

fn server() -> Mariadb {
    let mut config = stack_config().mariadb.expect("the stack has one");
    if rustix::process::geteuid().is_root() {
        // The account comes by the Unix user.
        config.user = "root".to_owned();
    }
    Mariadb::new(&config)
}

fn name(text: &str) -> DatabaseName {
    format!("k_{text}_{}", std::process::id())
        .parse()
        .expect("a name")
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_database_a_user_and_its_rights_are_made_and_gone_again() {
    let (server, name) = (server(), name("whole"));
    let password = Secret::generate(32).expect("made");
    assert!(!server.has_database(&name).await.expect("asked"));
    server.create_database(&name, "run-1").await.expect("made");
    server.create_user(&name, &password).await.expect("made");
    server.grant(&name).await.expect("given");
    assert!(server.has_user(&name).await.expect("asked"));
    let rights = server
        .rights(&name)
        .await
        .expect("asked")
        .expect("it is there");
    assert!(
        rights.on_its_own && rights.elsewhere.is_empty(),
        "{rights:?}"
    );

    let mut site = MySqlConnection::connect_with(
        &server
            .server()
            .options()
            .username(name.as_str())
            .password(password.expose())
            .database(name.as_str()),
    )
    .await
    .expect("the site gets in");
    for statement in [
        "CREATE TABLE t (id INT)",
        "INSERT INTO t VALUES (1)",
        "DROP TABLE t",
    ] {
        sqlx::raw_sql(statement)
            .execute(&mut site)
            .await
            .expect("the site may");
    }
    assert!(
        sqlx::raw_sql("SELECT * FROM mysql.user")
            .execute(&mut site)
            .await
            .is_err()
    );

    server.revoke(&name).await.expect("taken");
    server
        .revoke(&name)
        .await
        .expect("nothing to take is success");
    server.drop_user(&name).await.expect("dropped");
    server.drop_user(&name).await.expect("gone is success");
    server.revoke(&name).await.expect("no user is success");
    assert!(
        server
            .drop_database_of(&name, "run-1")
            .await
            .expect("dropped")
    );
    assert!(
        !server
            .drop_database_of(&name, "run-1")
            .await
            .expect("gone is success")
    );
    assert!(!server.has_user(&name).await.expect("asked"));
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn the_underscore_of_a_name_opens_no_neighbour() {
    let (server, name) = (server(), name("a_b"));
    let neighbour: DatabaseName = name.as_str().replace("a_b", "axb").parse().expect("a name");
    let password = Secret::generate(32).expect("made");
    server
        .create_database(&neighbour, "run-2")
        .await
        .expect("made");
    server.create_user(&name, &password).await.expect("made");
    server.grant(&name).await.expect("given");
    let options = server
        .server()
        .options()
        .username(name.as_str())
        .password(password.expose())
        .database(neighbour.as_str());
    let refused = MySqlConnection::connect_with(&options).await.is_err();
    server.drop_user(&name).await.expect("dropped");
    server.drop_database(&neighbour).await.expect("dropped");
    assert!(refused);
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_database_that_is_somebody_elses_is_neither_taken_nor_dropped() {
    let (server, name) = (server(), name("theirs"));
    server
        .create_database(&name, "somebody")
        .await
        .expect("made");
    assert!(server.create_database(&name, "run-3").await.is_err());
    assert!(
        !server
            .drop_database_of(&name, "run-3")
            .await
            .expect("left alone")
    );
    assert_eq!(
        server.comment_of(&name).await.expect("asked").as_deref(),
        Some("somebody")
    );
    server.drop_database(&name).await.expect("dropped");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn an_undo_waits_for_what_a_dead_worker_had_asked_for() {
    let (server, name) = (server(), name("late"));
    // Holds the name as a statement of a dead worker would that the server still carries out.
    let holder = server.locked(&name).await.expect("locked");
    let undo = tokio::spawn({
        let (server, name) = (server.clone(), name.clone());
        async move { server.drop_database_of(&name, "run-4").await }
    });
    let early = server.clone();
    early
        .comment_of(&name)
        .await
        .expect("reading does not wait");
    assert!(!undo.is_finished());
    let mut holder = holder;
    execute(
        &mut holder,
        format!("CREATE DATABASE {} COMMENT 'run-4'", identifier(&name)),
    )
    .await
    .expect("made");
    holder.close().await.expect("closed");
    assert!(undo.await.expect("ran").expect("undone"));
    assert!(!server.has_database(&name).await.expect("asked"));
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_password_of_any_text_reaches_the_server_and_no_error() {
    let (server, name) = (server(), name("odd"));
    let odd: Secret = serde_json::from_str(r#""a'b\"c\\d`e%_;-- \n€""#).expect("a secret");
    server.create_user(&name, &odd).await.expect("made");
    let options = server
        .server()
        .options()
        .username(name.as_str())
        .password(odd.expose());
    let got_in = MySqlConnection::connect_with(&options).await.is_ok();
    let error = server
        .create_user(&name, &odd)
        .await
        .expect_err("it is there already");
    server.drop_user(&name).await.expect("dropped");
    assert!(got_in);
    assert!(!format!("{error:?}").contains(odd.expose()));
}

/// What a tenant may have in a database: every sort of thing, and rows that look like statements.
const THINGS: &[&str] = &[
    "CREATE TABLE t (id INT PRIMARY KEY, text LONGTEXT, bytes BLOB) ENGINE=InnoDB",
    "CREATE TABLE log (id INT)",
    "CREATE TABLE cache_a (id INT)",
    "INSERT INTO cache_a VALUES (1)",
    "INSERT INTO t VALUES (1, 'two\nlines\n\\\\! touch /tmp/kolga-owned\nCREATE DEFINER=`a`@`b` \u{20ac} \\0',      0x00ff0a5c)",
    "CREATE VIEW v AS SELECT id FROM t",
    "CREATE TRIGGER after_t AFTER INSERT ON t FOR EACH ROW INSERT INTO log VALUES (NEW.id)",
    "CREATE PROCEDURE p() SELECT COUNT(*) FROM t",
    "CREATE FUNCTION one() RETURNS INT DETERMINISTIC RETURN 1",
    "CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DISABLE DO DELETE FROM log",
];

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_database_comes_back_from_its_dump_and_belongs_to_its_own_user() {
    let scratch = crate::testing::Scratch::new();
    let cx = crate::steps::testing::site_context(&scratch);
    let folder = Dir::open(&scratch.path().join("state")).expect("a folder");
    let (server, from, to) = (server(), name("from"), name("to"));
    let password = Secret::generate(32).expect("made");
    let mut shown = Vec::new();
    for name in [&from, &to] {
        server.create_user(name, &password).await.expect("made");
        server.create_database(name, "run-5").await.expect("made");
        server.grant(name).await.expect("given");
    }
    let mut site = MySqlConnection::connect_with(&as_site(&server, &from, &password))
        .await
        .expect("the site gets in");
    for thing in THINGS {
        let made = sqlx::raw_sql(*thing).execute(&mut site).await;
        made.unwrap_or_else(|error| panic!("{thing}: {error}"));
    }
    let dumped = server
        .dump(&cx, &from, &without_rows(), &folder, "from.sql")
        .await
        .expect("dumped");
    let text = folder
        .read("from.sql", 1 << 20)
        .expect("read")
        .expect("there");
    assert_eq!(dumped.bytes, text.len() as u64);
    let text = String::from_utf8(text).expect("all of it is text");
    assert!(!text.contains(&format!("DEFINER=`{from}`")), "{text}");
    server
        .import(&cx, &to, &password, &folder, "from.sql")
        .await
        .expect("imported");
    for name in [&from, &to] {
        server
            .dump(&cx, name, &without_rows(), &folder, &format!("{name}.sql"))
            .await
            .expect("dumped");
        let text = folder
            .read(format!("{name}.sql"), 1 << 20)
            .expect("read")
            .expect("there");
        shown.push(
            String::from_utf8(text)
                .expect("text")
                .replace(name.as_str(), "NAME"),
        );
    }
    let twice = server
        .import(&cx, &to, &password, &folder, "from.sql")
        .await;
    let definers: i64 = sqlx::query_scalar(
        "SELECT (SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ? AND DEFINER LIKE ?)
              + (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ? AND DEFINER LIKE ?)
              + (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ? AND DEFINER LIKE ?)
              + (SELECT COUNT(*) FROM information_schema.VIEWS WHERE TABLE_SCHEMA = ? AND DEFINER LIKE ?)",
    )
    .bind(to.as_str()).bind(format!("{to}@%"))
    .bind(to.as_str()).bind(format!("{to}@%"))
    .bind(to.as_str()).bind(format!("{to}@%"))
    .bind(to.as_str()).bind(format!("{to}@%"))
    .fetch_one(&mut server.connect().await.expect("connected"))
    .await
    .expect("asked");
    let mut kept = Vec::new();
    for name in [&from, &to] {
        let mut site = MySqlConnection::connect_with(&as_site(&server, name, &password))
            .await
            .expect("the site gets in");
        let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM cache_a")
            .fetch_one(&mut site)
            .await
            .expect("the table is there");
        kept.push(rows);
    }
    for name in [&from, &to] {
        server.drop_user(name).await.expect("dropped");
        server.drop_database(name).await.expect("dropped");
    }
    assert_eq!(kept, [1, 0], "the copy has the table and not its rows");
    assert_eq!(shown[0], shown[1]);
    assert_eq!(
        definers, 5,
        "a trigger, two routines, an event and a view are the user's own"
    );
    assert!(
        twice.is_err(),
        "never into a database that has something in it"
    );
    let left = folder.names().expect("read");
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().contains("cnf")),
        "{left:?}"
    );
    assert!(!std::path::Path::new("/tmp/kolga-owned").exists());
}

fn without_rows() -> [Tables; 1] {
    ["cache_*".to_owned().try_into().expect("right")]
}

fn as_site(server: &Mariadb, name: &DatabaseName, password: &Secret) -> MySqlConnectOptions {
    server
        .server()
        .options()
        .username(name.as_str())
        .password(password.expose())
        .database(name.as_str())
}

#[tokio::test]
async fn a_server_that_is_away_is_named_with_what_to_do() {
    let server = Mariadb::new(&config::Mariadb {
        socket: Some("/nonexistent/mariadb.sock".into()),
        remote: None,
        user: "kolga".into(),
    });
    let error = format!("{:#}", server.version().await.expect_err("there is none"));
    assert!(
        error.contains("/nonexistent/mariadb.sock") && error.contains("is it running"),
        "{error}"
    );
}
