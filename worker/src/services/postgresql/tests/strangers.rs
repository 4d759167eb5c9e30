//! A database that is not of Kolga's making: looked into without a trace, copied row for row, and refused with all that is in
//! the way of that.

use super::*;
use crate::services::database::{Account, Service, Spot};

const PASSWORD: &str = "s3cr3t'\"\\ #;$x`%&<";

struct Stranger {
    named: String,
    account: Account,
    administrator: PgConnection,
}

impl Stranger {
    /// An account and a database of its own, with things in it.
    async fn new(server: &Postgresql, text: &str) -> Self {
        let named = format!("stranger_{text}_{}", std::process::id());
        let mut administrator = administrator().await;
        for statement in [
            format!(
                "CREATE ROLE {named} LOGIN PASSWORD {}",
                literal(PASSWORD).expect("a text")
            ),
            format!("CREATE DATABASE {named} OWNER {named}"),
        ] {
            run(&mut administrator, &statement).await.expect(&statement);
        }
        let account = Account::new(named.clone(), named.clone(), PASSWORD.to_owned());
        let stranger = Self {
            named,
            account: account.expect("an account"),
            administrator,
        };
        let mut inside = stranger.inside(server).await;
        for thing in THINGS {
            let made = run(&mut inside, thing).await;
            made.unwrap_or_else(|error| panic!("{thing}: {error}"));
        }
        stranger
    }

    /// As its account.
    async fn inside(&self, server: &Postgresql) -> PgConnection {
        let options = server.server.site_options().username(&self.named);
        let options = options.password(PASSWORD).database(&self.named);
        connect_as(&options).await.expect("let in")
    }

    /// As the server's administrator.
    async fn as_administrator(&self, statements: &[&str]) {
        let url = administrators_url(&self.named.parse().expect("a name"));
        let mut inside = PgConnection::connect(&url).await.expect("let in");
        for statement in statements {
            run(&mut inside, statement).await.expect(statement);
        }
    }

    async fn end(mut self) {
        for statement in [
            format!("DROP DATABASE {} WITH (FORCE)", self.named),
            format!("DROP ROLE {}", self.named),
        ] {
            run(&mut self.administrator, &statement)
                .await
                .expect(&statement);
        }
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_strangers_database_is_looked_into_and_copied_with_its_own_account_into_one_of_a_sites() {
    let scratch = crate::testing::Scratch::new();
    let cx = crate::steps::testing::site_context(&scratch);
    let folder = Dir::open(&scratch.path().join("state")).expect("a folder");
    let (server, to) = (server(), name("copy"));
    let stranger = Stranger::new(&server, "whole").await;
    let service = Service::Postgresql(&server);
    let port = server.server.site_place().1.to_string();
    service
        .is_meant_by("localhost", &port)
        .await
        .expect("it is here");
    let inside = service.look_into(&stranger.account).await.expect("looked");
    assert!(inside.bytes > 1_000_000, "{}", inside.bytes);
    for table in ["t", "v", "log", "odd\n\\! touch /tmp/kolga-owned\n"] {
        assert!(
            inside.tables.iter().any(|name| name == table),
            "{:?}",
            inside.tables
        );
    }
    assert_eq!((inside.problems, inside.remarks), (Vec::new(), Vec::new()));
    let spot = Spot {
        table: "t",
        key: "id",
        is: "1",
        value: "text",
    };
    let text = service
        .text_at(&stranger.account, spot)
        .await
        .expect("asked");
    assert!(text.is_some_and(|text| text.starts_with("two\nlines")));
    let none = Spot { is: "2", ..spot };
    assert_eq!(
        service
            .text_at(&stranger.account, none)
            .await
            .expect("asked"),
        None
    );

    let password = made(&server, &to, "run-1").await;
    let dumped = service
        .dump_as(&cx, &stranger.account, &folder, "in.sql")
        .await;
    assert!(dumped.expect("dumped").bytes > 1000);
    server
        .import(&cx, &to, &password, &folder, "in.sql")
        .await
        .expect("imported");
    let asked = "SELECT md5(string_agg(t::text, '|')) || (SELECT count(*) FROM its_own.log) || md5(lo_get(4711)) FROM public.t t";
    let mut sums: Vec<String> = Vec::new();
    let site = connect_as(&server.for_site(&to, &password))
        .await
        .expect("let in");
    for mut connection in [stranger.inside(&server).await, site] {
        let sum = sqlx::query_scalar(asked).fetch_one(&mut connection).await;
        sums.push(sum.expect("a sum"));
        connection.close().await.expect("closed");
    }
    assert_eq!(sums[0], sums[1]);
    assert_eq!(server.of_others(&to).await.expect("asked"), Some(0));
    dropped(&server, &to, "run-1").await;
    stranger.end().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn all_that_keeps_a_strangers_database_from_being_copied_is_told_at_once() {
    let server = server();
    let stranger = Stranger::new(&server, "odd").await;
    stranger
        .as_administrator(&[
            "CREATE TABLE public.locked (id INT)",
            "CREATE SEQUENCE public.counted",
            "CREATE SCHEMA shut",
            "CREATE TABLE shut.away (id INT)",
            "CREATE TABLE public.by_row (id INT)",
            "ALTER TABLE public.by_row ENABLE ROW LEVEL SECURITY",
            &format!("GRANT SELECT ON public.by_row TO {}", stranger.named),
            "CREATE EXTENSION pageinspect SCHEMA public",
            "CREATE FUNCTION public.native() RETURNS trigger LANGUAGE internal AS 'suppress_redundant_updates_trigger'",
            "CREATE FUNCTION public.heard() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$",
            "CREATE EVENT TRIGGER hears ON ddl_command_end EXECUTE FUNCTION public.heard()",
            "CREATE PUBLICATION everything FOR ALL TABLES",
            &format!("ALTER ROLE {} SET statement_timeout = '10min'", stranger.named),
            "GRANT SELECT ON public.t TO \"kolga-remote\"",
        ])
        .await;
    let inside = server.look_into(&stranger.account).await.expect("looked");
    let told = inside.problems.join("; ");
    for wanted in [
        "may not read public.counted, public.locked, shut.away",
        "row-level security) of public.by_row",
        "extensions pageinspect",
        "functions public.native()",
        "event triggers hears",
        "publications of all tables everything",
    ] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    assert!(
        !told.contains("pg_trgm"),
        "that one a site's role can make: {told}"
    );
    let told = inside.remarks.join("; ");
    for wanted in ["statement_timeout=10min", "kolga-remote"] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    stranger
        .as_administrator(&["DROP PUBLICATION everything", "DROP EVENT TRIGGER hears"])
        .await;
    let named = stranger.named.clone();
    for (account, said) in [
        (
            (named.clone(), named.clone(), "wrong".to_owned()),
            "does not let its user",
        ),
        (
            (
                named.clone(),
                "nobody_at_all".to_owned(),
                PASSWORD.to_owned(),
            ),
            "does not let its user",
        ),
        (
            ("not_there_at_all".to_owned(), named, PASSWORD.to_owned()),
            "no database not_there_at_all",
        ),
    ] {
        let account = Account::new(account.0, account.1, account.2).expect("an account");
        let refused = server.look_into(&account).await.expect_err("not let in");
        let refused = format!("{refused:#}");
        assert!(
            refused.contains(said) && !refused.contains("s3cr3t"),
            "{refused}"
        );
    }
    stranger.end().await;
}

#[test]
fn a_server_is_known_by_what_applications_call_it() {
    let here = Postgresql::new(&config::Postgresql {
        socket: Some("/run/postgresql".into()),
        port: 5433,
        remote: None,
        user: "kolga".into(),
    });
    let there = Postgresql::new(&config::Postgresql {
        socket: None,
        port: 5432,
        remote: Some(config::RemotePostgresql {
            address: "10.0.0.2:5432".parse().expect("an address"),
            password_file: "/nonexistent".into(),
            ca_file: None,
        }),
        user: "kolga".into(),
    });
    for (host, port) in [
        ("", "5433"),
        ("localhost", "5433"),
        ("127.0.0.1", "5433"),
        ("::1", "5433"),
        ("[::1]:5433", ""),
        ("localhost:5433", ""),
        ("/run/postgresql", "5433"),
    ] {
        here.is_meant_by(host, port)
            .unwrap_or_else(|error| panic!("{host} {port}: {error}"));
        let refused = there
            .is_meant_by(host, port)
            .expect_err("it is there")
            .to_string();
        assert!(refused.contains("not on this spoke's"), "{refused}");
    }
    for (host, port) in [
        ("localhost", ""),
        ("localhost", "5432"),
        ("10.0.0.2", "5432"),
        ("/tmp", "5433"),
        ("example.org", "5433"),
        ("localhost:5432", "5433"),
    ] {
        assert!(here.is_meant_by(host, port).is_err(), "{host} {port}");
    }
    for (host, port) in [
        ("10.0.0.2", ""),
        ("10.0.0.2", "5432"),
        ("10.0.0.2:5432", ""),
    ] {
        there
            .is_meant_by(host, port)
            .unwrap_or_else(|error| panic!("{host} {port}: {error}"));
    }
}
