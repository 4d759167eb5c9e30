//! Quoting, and the whole service over the test stack's server.

mod attack;
mod mending;
mod strangers;

use proptest::prelude::*;

use super::*;
use crate::files::Dir;
use crate::testing::stack_config;

proptest! {
    #[test]
    fn a_literal_ends_where_it_should(text in "(?s)[^\\x00]{0,40}|['\\\\\"]{0,12}") {
        let quoted = literal(&text).expect("no NUL");
        // Between its quotes only a doubled one means anything (PostgreSQL manual, "String Constants").
        let inside = quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        let inside = inside.expect("quotes");
        prop_assert!(!inside.replace("''", "").contains('\''));
        prop_assert_eq!(inside.replace("''", "'"), text);
    }

    #[test]
    fn an_identifier_never_ends_early(name in "[a-z][a-z0-9_]{0,30}[a-z0-9]") {
        let name: DatabaseName = name.parse().expect("a name");
        prop_assert_eq!(identifier(&name).matches('"').count(), 2);
    }

    #[test]
    fn a_line_of_passwords_and_a_connection_string_are_read_as_they_were(
        password in "[^\\x00\\r\\n]{0,30}|[:\\\\' ]{0,12}",
    ) {
        let line = quote::pass_line("k_x", &password).expect("one line");
        let told = line.strip_prefix("*:*:*:k_x:").and_then(|rest| rest.strip_suffix('\n'));
        prop_assert_eq!(unescaped(told.expect("a line"), ":"), Some(password.clone()));
        let told = quote::value(&password);
        let told = told.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        prop_assert_eq!(unescaped(told.expect("quotes"), "'"), Some(password));
    }
}

/// What libpq reads out of it; nothing where it would end before.
fn unescaped(text: &str, ends: &str) -> Option<String> {
    let (mut read, mut letters) = (String::new(), text.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => read.push(letters.next()?),
            letter if ends.contains(letter) => return None,
            letter => read.push(letter),
        }
    }
    Some(read)
}

#[test]
fn what_no_text_of_the_servers_can_hold_is_refused() {
    assert!(literal("a\0b").is_err());
    assert!(quote::pass_line("k_x", "two\nlines").is_err());
}

fn server() -> Postgresql {
    Postgresql::new(&stack_config().postgresql.expect("the stack has one"))
}

/// How the server's administrator gets at a database.
fn administrators_url(database: &DatabaseName) -> String {
    let path = std::env::var_os("KOLGA_TEST_STACK").expect("KOLGA_TEST_STACK names a stack.json");
    let text = std::fs::read(path).expect("the stack is described");
    let stack: serde_json::Value = serde_json::from_slice(&text).expect("as JSON");
    let url = stack["postgres_url"].as_str().expect("a URL");
    let (server, _) = url.rsplit_once('/').expect("a database at the end");
    format!("{server}/{database}")
}

/// A connection as the server's administrator.
async fn administrator() -> PgConnection {
    let url = administrators_url(&HOME.parse().expect("a name"));
    PgConnection::connect(&url).await.expect("let in")
}

fn name(text: &str) -> DatabaseName {
    format!("k_{text}_{}", std::process::id())
        .parse()
        .expect("a name")
}

async fn made(server: &Postgresql, name: &DatabaseName, owner: &str) -> Secret {
    let password = Secret::generate(32).expect("made");
    let user = server.create_user(name, &password, owner).await;
    user.expect("made");
    server.create_database(name, owner).await.expect("made");
    password
}

async fn dropped(server: &Postgresql, name: &DatabaseName, owner: &str) {
    assert!(server.drop_database_of(name, owner).await.expect("asked"));
    server
        .drop_user_of(name, Some(owner))
        .await
        .expect("dropped");
    assert!(!server.has_user(name).await.expect("asked"));
}

async fn run(connection: &mut PgConnection, statement: &str) -> Result<(), sqlx::Error> {
    execute(connection, statement.to_owned()).await
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_database_and_a_role_are_made_and_gone_again_and_a_tenant_gets_nowhere_else() {
    let (server, own, other) = (server(), name("whole"), name("other"));
    assert!(!server.has_database(&own).await.expect("asked"));
    let password = made(&server, &own, "run-1").await;
    made(&server, &other, "run-2").await;
    let rights = server.rights(&own).await.expect("asked").expect("there");
    assert!(
        rights.on_its_own && rights.elsewhere.is_empty(),
        "{rights:?}"
    );
    assert!(server.lets_in(&own, &password).await.expect("asked"));
    let wrong = Secret::generate(32).expect("made");
    assert!(!server.lets_in(&own, &wrong).await.expect("asked"));

    let mut site = connect_as(&server.for_site(&own, &password))
        .await
        .expect("the site gets in");
    for statement in [
        "CREATE TABLE public.t (id INT)",
        "INSERT INTO public.t VALUES (1)",
        "CREATE SCHEMA its_own",
        "DROP TABLE public.t",
    ] {
        run(&mut site, statement).await.expect("the site may");
    }
    let theirs = identifier(&other);
    for statement in [
        "SELECT * FROM pg_authid",
        "SELECT kolga.drop_role('k_x', NULL)",
        "CREATE DATABASE mine",
        "CREATE ROLE mine",
        &format!("ALTER ROLE {} CREATEDB", identifier(&own)),
        &format!("COMMENT ON ROLE {} IS 'run-2'", identifier(&own)),
        &format!("SET ROLE {theirs}"),
        &format!("DROP DATABASE {theirs}"),
        "COPY (SELECT 1) TO PROGRAM 'touch /tmp/kolga-owned'",
        "SELECT pg_read_file('/etc/hostname')",
    ] {
        assert!(run(&mut site, statement).await.is_err(), "{statement}");
    }
    drop(site);
    let across = server.for_site(&own, &password).database(other.as_str());
    let refused = connect_as(&across).await.expect_err("another's database");
    assert_eq!(
        code_of(&refused).as_deref(),
        Some("42501"),
        "it may not CONNECT: {refused}"
    );

    dropped(&server, &own, "run-1").await;
    dropped(&server, &other, "run-2").await;
    assert!(
        !server
            .drop_database_of(&own, "run-1")
            .await
            .expect("gone is success")
    );
    server
        .drop_user_of(&own, None)
        .await
        .expect("gone is success");
    server.lock_user(&own, true).await.expect("gone is success");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_somebody_elses_is_neither_taken_nor_dropped_and_the_workers_account_could_not() {
    let (server, name) = (server(), name("theirs"));
    let mut administrator = administrator().await;
    let named = identifier(&name);
    for statement in [
        format!("CREATE ROLE {named} LOGIN PASSWORD 'mine'"),
        format!("CREATE DATABASE {named} OWNER {named}"),
    ] {
        run(&mut administrator, &statement).await.expect("planted");
    }
    let password = Secret::generate(32).expect("made");
    let made = server.create_user(&name, &password, "run-3").await;
    assert!(made.is_err(), "it is there");
    assert!(server.create_database(&name, "run-3").await.is_err());
    assert_eq!(
        server.comment_of(&name).await.expect("asked").as_deref(),
        Some("")
    );
    assert!(
        !server
            .drop_database_of(&name, "run-3")
            .await
            .expect("left alone")
    );
    for owner in [Some("run-3"), None] {
        let left = server.drop_user_of(&name, owner).await;
        left.expect("left alone");
    }
    server.lock_user(&name, true).await.expect("left alone");
    assert!(!server.is_locked(&name).await.expect("asked"));
    assert!(
        server.close_to_user(&name).await.is_err(),
        "not ours to close"
    );
    let mut account = server.connect().await.expect("let in");
    for statement in [
        format!("DROP DATABASE {named}"),
        format!("ALTER DATABASE {named} OWNER TO CURRENT_USER"),
        format!("SET ROLE {named}"),
        format!("DROP ROLE {named}"),
        "SELECT kolga.make_role('postgres_2', 'SCRAM-SHA-256$4096:YQ==$YQ==:YQ==', '')".to_owned(),
        "SELECT kolga.make_role('k_x', 'a password', '')".to_owned(),
        "CREATE ROLE k_x".to_owned(),
        "GRANT pg_execute_server_program TO CURRENT_USER".to_owned(),
        "SET ROLE kolga".to_owned(),
    ] {
        assert!(run(&mut account, &statement).await.is_err(), "{statement}");
    }
    for statement in [
        format!("DROP DATABASE {named}"),
        format!("DROP ROLE {named}"),
    ] {
        run(&mut administrator, &statement)
            .await
            .expect("still there");
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_database_is_its_runs_from_the_first_moment() {
    let (server, name) = (server(), name("early"));
    let password = Secret::generate(32).expect("made");
    let user = server.create_user(&name, &password, "run-4").await;
    user.expect("made");
    // As far as a worker comes that dies right behind the first of three statements.
    let named = identifier(&name);
    let mut account = server.connect().await.expect("let in");
    let create = format!("CREATE DATABASE {named} OWNER {named} TEMPLATE template0");
    run(&mut account, &create).await.expect("made");
    assert!(
        !server
            .drop_database_of(&name, "run-5")
            .await
            .expect("not its")
    );
    dropped(&server, &name, "run-4").await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn an_undo_waits_for_what_a_dead_worker_had_asked_for() {
    let (server, name) = (server(), name("late"));
    let password = Secret::generate(32).expect("made");
    let user = server.create_user(&name, &password, "run-6").await;
    user.expect("made");
    // Holds the name as a statement of a dead worker would that the server still carries out.
    let mut holder = server.locked(&name).await.expect("locked");
    let undo = tokio::spawn({
        let (server, name) = (server.clone(), name.clone());
        async move { server.drop_database_of(&name, "run-6").await }
    });
    server
        .comment_of(&name)
        .await
        .expect("reading does not wait");
    assert!(!undo.is_finished());
    let named = identifier(&name);
    let create = format!("CREATE DATABASE {named} OWNER {named} TEMPLATE template0");
    run(&mut holder, &create).await.expect("made");
    holder.close().await.expect("closed");
    assert!(undo.await.expect("ran").expect("undone"));
    assert!(!server.has_database(&name).await.expect("asked"));
    server.drop_user_of(&name, None).await.expect("dropped");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn whoever_is_kept_out_has_no_connection_left_and_comes_back() {
    let (server, name) = (server(), name("closed"));
    let password = made(&server, &name, "run-7").await;
    let way = server.for_site(&name, &password);
    let mut open = connect_as(&way).await.expect("let in");
    assert_eq!(server.close_to_user(&name).await.expect("closed"), 1);
    assert!(run(&mut open, "SELECT 1").await.is_err(), "it was ended");
    assert!(!server.lets_in(&name, &password).await.expect("asked"));
    assert!(server.is_locked(&name).await.expect("asked"));
    server.lock_user(&name, false).await.expect("opened");
    assert!(server.lets_in(&name, &password).await.expect("asked"));
    dropped(&server, &name, "run-7").await;
}

/// What a tenant may have in a database: every sort of thing, and names and rows that look like commands of psql's.
const THINGS: &[&str] = &[
    "CREATE TABLE public.t (id SERIAL PRIMARY KEY, text TEXT NOT NULL, bytes BYTEA, at TIMESTAMPTZ DEFAULT now())",
    "INSERT INTO public.t (id, text, bytes, at) VALUES
     (1, E'two\nlines\n\\\\! touch /tmp/kolga-owned\n\\\\.\n\u{20ac}', '\\x00ff0a5c', '2020-01-01 00:00:00+00')",
    "CREATE TABLE public.\"odd\n\\! touch /tmp/kolga-owned\n\" (id INT REFERENCES public.t)",
    "CREATE VIEW public.v AS SELECT id FROM public.t",
    "CREATE SCHEMA its_own",
    "CREATE TABLE its_own.log (id INT)",
    "CREATE FUNCTION its_own.note() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN INSERT INTO its_own.log VALUES (NEW.id); RETURN NEW; END $$",
    "CREATE TRIGGER after_t AFTER INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION its_own.note()",
    "CREATE INDEX by_text ON public.t (lower(text))",
    "SELECT lo_from_bytea(4711, 'a large object')",
    "CREATE EXTENSION pg_trgm SCHEMA public",
];

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_database_comes_back_from_its_dump_and_belongs_to_its_own_role() {
    let scratch = crate::testing::Scratch::new();
    let cx = crate::steps::testing::site_context(&scratch);
    let folder = Dir::open(&scratch.path().join("state")).expect("a folder");
    let (server, from, to) = (server(), name("from"), name("to"));
    let password = made(&server, &from, "run-8").await;
    let other = made(&server, &to, "run-8").await;
    let mut site = connect_as(&server.for_site(&from, &password))
        .await
        .expect("the site gets in");
    let cache = [
        "CREATE TABLE public.cache_a (id INT)",
        "INSERT INTO public.cache_a VALUES (1)",
    ];
    for thing in THINGS.iter().copied().chain(cache) {
        let made = run(&mut site, thing).await;
        made.unwrap_or_else(|error| panic!("{thing}: {error}"));
    }
    // Also while the site is kept out.
    server.close_to_user(&from).await.expect("closed");
    let without_rows = ["cache_*".to_owned().try_into().expect("right")];
    let dumped = server
        .dump(&cx, &from, &without_rows, &folder, "from.sql")
        .await
        .expect("dumped");
    let text = folder
        .read("from.sql", 1 << 20)
        .expect("read")
        .expect("there");
    assert_eq!(dumped.bytes, text.len() as u64);
    server
        .import(&cx, &to, &other, &folder, "from.sql")
        .await
        .expect("imported");
    let twice = server.import(&cx, &to, &other, &folder, "from.sql").await;
    let mut inside = connect_as(&server.for_site(&to, &other))
        .await
        .expect("the site gets in");
    let row: (i32, String, Vec<u8>) = sqlx::query_as("SELECT id, text, bytes FROM public.t")
        .fetch_one(&mut inside)
        .await
        .expect("a row");
    let strangers: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname IN ('public', 'its_own') AND c.relowner <> current_user::regrole",
    )
    .fetch_one(&mut inside)
    .await
    .expect("asked");
    let cached: i64 = sqlx::query_scalar("SELECT count(*) FROM public.cache_a")
        .fetch_one(&mut inside)
        .await
        .expect("the table is there");
    let large: Vec<u8> = sqlx::query_scalar("SELECT lo_get(4711)")
        .fetch_one(&mut inside)
        .await
        .expect("a large object");
    inside.close().await.expect("closed");
    dropped(&server, &from, "run-8").await;
    dropped(&server, &to, "run-8").await;
    assert_eq!(row.0, 1);
    assert!(row.1.contains("\n\\.\n\u{20ac}"), "{:?}", row.1);
    assert_eq!(row.2, b"\x00\xff\n\\");
    assert_eq!(large, b"a large object");
    assert_eq!(cached, 0, "the copy has the table and not its rows");
    assert_eq!(strangers, 0, "all of it is the role's own");
    assert!(
        twice.is_err(),
        "never into a database that has something in it"
    );
    let left = folder.names().expect("read");
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().contains("pgpass")),
        "{left:?}"
    );
    assert!(!std::path::Path::new("/tmp/kolga-owned").exists());
}

#[tokio::test]
async fn a_server_that_is_away_is_named_with_what_to_do() {
    let server = Postgresql::new(&config::Postgresql {
        socket: Some("/nonexistent/postgresql".into()),
        port: 5432,
        remote: None,
        user: "kolga".into(),
    });
    let error = format!("{:#}", server.version().await.expect_err("there is none"));
    assert!(
        error.contains("/nonexistent/postgresql") && error.contains("is it running"),
        "{error}"
    );
}
