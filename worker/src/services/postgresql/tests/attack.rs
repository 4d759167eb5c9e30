//! Names, texts and passwords of whatever letters, against a real server: what is quoted arrives as it was and ends where it
//! should, and what is no name of a site's is refused by the administrator's functions.

use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::services::database::Account;

/// Letters that mean something somewhere: to SQL, to libpq, to a file of passwords, to regular expressions, to a terminal.
const ODD: &str = "[a-c'\"\\\\$;:%{}()\\-/*?#&|<>=, \t_\u{e9}\u{df}\u{130}\u{202e}\u{1f4a3}\u{feff}\u{2019}\u{ff07}]";

struct Letters(TestRunner);

impl Letters {
    fn new() -> Self {
        let mut seed = [0_u8; 32];
        getrandom::fill(&mut seed).expect("random");
        println!("seed {seed:?}");
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        Self(TestRunner::new_with_rng(Config::default(), rng))
    }

    /// Something that this describes.
    fn of(&mut self, described: &str) -> String {
        let strategy = proptest::string::string_regex(described).expect("a description");
        let tree = strategy.new_tree(&mut self.0).expect("made");
        tree.current()
    }

    /// Odd ones, so many at most; sometimes with a whole statement in them.
    fn odd(&mut self, most: usize) -> String {
        let mut text = self.of(&format!("{ODD}{{1,{}}}", most.min(20)));
        if text.len().is_multiple_of(3) {
            text.push_str("'; DROP ROLE \"x\" -- $$");
        }
        while text.len() > most {
            text.pop();
        }
        text
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn texts_and_names_of_any_letters_arrive_as_they_were() {
    let (server, mut letters) = (server(), Letters::new());
    let mut connection = server.connect().await.expect("let in");
    for _ in 0..200 {
        let text = match letters.of("[ab]") == "a" {
            true => letters.odd(200),
            false => letters.of("(?s)[^\\x00]{0,60}"),
        };
        let asked = format!("SELECT {}", literal(&text).expect("no NUL"));
        let told: String = sqlx::raw_sql(AssertSqlSafe(asked))
            .fetch_one(&mut connection)
            .await
            .and_then(|row| sqlx::Row::try_get(&row, 0))
            .unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(told, text);

        let named = letters.odd(63);
        let quoted = quote::foreign_identifier(&named).expect("a name");
        let asked = format!("SELECT 1 AS {quoted}");
        let row = sqlx::raw_sql(AssertSqlSafe(asked)).fetch_one(&mut connection);
        let row = row
            .await
            .unwrap_or_else(|error| panic!("{named:?}: {error}"));
        let told = sqlx::Column::name(&sqlx::Row::columns(&row)[0]).to_owned();
        assert_eq!(told, named, "neither cut nor changed");
    }
    let (most, too_long) = ("\u{e9}".repeat(31) + "x", "\u{e9}".repeat(32));
    assert!(quote::foreign_identifier(&most).is_ok() && most.len() == 63);
    for none in [too_long.as_str(), "", "a\0b"] {
        assert!(quote::foreign_identifier(none).is_err(), "{none:?}");
    }
}

/// Roles and databases, all of them.
async fn all(administrator: &mut PgConnection) -> Vec<String> {
    let asked = "SELECT 'role ' || rolname || coalesce(rolpassword, '') || rolcanlogin || coalesce(
                        shobj_description(oid, 'pg_authid'), '') FROM pg_authid
                  UNION ALL SELECT 'database ' || datname FROM pg_database ORDER BY 1";
    let names = sqlx::query_scalar(asked).fetch_all(administrator).await;
    names.expect("asked")
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn no_name_or_password_talks_the_administrators_functions_into_anything() {
    let (server, own, mut letters) = (server(), name("attacked"), Letters::new());
    let mut administrator = administrator().await;
    let password = made(&server, &own, "run-1").await;
    let verifier = scram::verifier(&password).expect("made");
    let before = all(&mut administrator).await;
    let mut account = server.connect().await.expect("let in");
    let long = format!("k_{}", "x".repeat(31));
    let mut names: Vec<String> = [
        "",
        "k_",
        "K_x",
        "k-x",
        "k_x\n",
        "\nk_x",
        "k_x y",
        "k_\u{e9}",
        "k_\u{131}",
        "k_x;",
        "postgres",
        "kolga",
        "kolga_sites",
        "pg_signal_backend",
        "k_\"",
        "k_'",
        "public",
        "none",
        &long,
    ]
    .map(str::to_owned)
    .into();
    names.extend((0..60).map(|_| format!("k_{}'", letters.odd(40))));
    for name in &names {
        for call in [
            "SELECT kolga.make_role($1, $2, 'mine')",
            "SELECT kolga.mend($1, $2, 'mine', 'run')",
        ] {
            let done = sqlx::query(call).bind(name).bind(&verifier);
            assert!(done.execute(&mut account).await.is_err(), "{call} {name:?}");
        }
        for call in [
            "SELECT kolga.unmend($1, 'run')",
            "SELECT kolga.let_in($1, false)",
            "SELECT kolga.drop_role($1, NULL)",
        ] {
            let done: bool = sqlx::query_scalar(call)
                .bind(name)
                .fetch_one(&mut account)
                .await
                .unwrap_or_else(|error| panic!("{call} {name:?}: {error}"));
            assert!(!done, "{call} {name:?}");
        }
    }
    // Of a password, whatever it is, nothing but a verifier is taken; and of a mark, whatever it is, all.
    for _ in 0..40 {
        let odd = letters.odd(60);
        for (call, name) in [
            ("SELECT kolga.make_role($1, $2, '')", "k_never_made"),
            ("SELECT kolga.mend($1, $2, 'run-1', 'run')", own.as_str()),
        ] {
            let done = sqlx::query(call).bind(name).bind(&odd);
            assert!(done.execute(&mut account).await.is_err(), "{call} {odd:?}");
        }
    }
    assert_eq!(
        all(&mut administrator).await,
        before,
        "nothing came of any of it"
    );
    let marked = self::name("marked");
    for _ in 0..20 {
        let mark = letters.odd(200);
        let made = server.create_user(&marked, &password, &mark).await;
        made.expect("made");
        let told: String = sqlx::query_scalar(
            "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = $1",
        )
        .bind(marked.as_str())
        .fetch_one(&mut account)
        .await
        .expect("asked");
        assert_eq!(told, mark);
        server.create_database(&marked, &mark).await.expect("made");
        assert_eq!(
            server.comment_of(&marked).await.expect("asked"),
            Some(mark.clone())
        );
        dropped(&server, &marked, &mark).await;
    }
    dropped(&server, &own, "run-1").await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn users_and_passwords_of_any_letters_get_in_by_every_way_and_no_other_does() {
    let scratch = crate::testing::Scratch::new();
    let cx = crate::steps::testing::site_context(&scratch);
    let folder = Dir::open(&scratch.path().join("state")).expect("a folder");
    let (server, mut letters) = (server(), Letters::new());
    let mut administrator = administrator().await;
    let database = format!("stranger-$_{}", std::process::id());
    let quoted = quote::foreign_identifier(&database).expect("a name");
    for number in 0..8 {
        let user = letters
            .odd(63)
            .replace(['\t', ',', '=', '\u{202e}', '\u{1f4a3}'], " ");
        // Letters that no name of whoever logs in may have (RFC 4013) are refused before anything is asked.
        // Others have several spellings, of which each end takes another (RFC 4013).
        let password = letters.of("[!-~]{1,30}|[:\\\\'\" ]{1,12}");
        let role = quote::foreign_identifier(&user).expect("a name");
        for statement in [
            format!(
                "CREATE ROLE {role} LOGIN PASSWORD {}",
                literal(&password).expect("a text")
            ),
            format!("CREATE DATABASE {quoted} OWNER {role}"),
        ] {
            run(&mut administrator, &statement).await.expect(&statement);
        }
        let account = |password: &str| {
            Account::new(database.clone(), user.clone(), password.to_owned()).expect("an account")
        };
        let right = account(&password);
        let inside = server.look_into(&right).await;
        let inside = inside.unwrap_or_else(|error| panic!("{user:?} {password:?}: {error:#}"));
        assert_eq!(inside.problems, Vec::<String>::new());
        // libpq reads both in its own way.
        let file = format!("{number}.sql");
        let dumped = server.dump_as(&cx, &right, &folder, &file).await;
        dumped.unwrap_or_else(|error| panic!("{user:?} {password:?}: {error:#}"));
        let wrong = account(&format!("{password}x"));
        let refused = server
            .look_into(&wrong)
            .await
            .expect_err("another password");
        assert!(
            format!("{refused:#}").contains("does not let"),
            "{refused:#}"
        );
        for statement in [
            format!("DROP DATABASE {quoted}"),
            format!("DROP ROLE {role}"),
        ] {
            run(&mut administrator, &statement).await.expect(&statement);
        }
    }
    for (database, user, said) in [
        // The server would cut it, and let another in.
        ("d".repeat(64), "u".to_owned(), "63 bytes"),
        ("d".to_owned(), "u".repeat(64), "63 bytes"),
        // They would end a part of what is said at a login.
        (
            "d".to_owned(),
            "u,r=x".to_owned(),
            "a comma or an equals sign",
        ),
    ] {
        let account = Account::new(database, user, "p".to_owned()).expect("an account");
        let refused = server.look_into(&account).await.expect_err("refused");
        assert!(format!("{refused:#}").contains(said), "{refused:#}");
    }
}
