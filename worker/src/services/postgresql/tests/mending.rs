//! What becomes of a site's role and database that somebody has changed: all of it is seen, mended, and what it was again when
//! that is undone; and what belongs to somebody else is left alone.

use std::process::Command;

use super::*;

/// What an administrator may have done, each with what is seen of it.
const DISTURBED: &[(&str, &[&str])] = &[
    ("another password", &["ALTER ROLE {k} PASSWORD 'another'"]),
    ("no password", &["ALTER ROLE {k} PASSWORD NULL"]),
    (
        "a password that has run out",
        &["ALTER ROLE {k} VALID UNTIL '2020-01-01'"],
    ),
    ("kept out", &["ALTER ROLE {k} NOLOGIN"]),
    (
        "not let in to its own",
        &["REVOKE CONNECT ON DATABASE {k} FROM {k}"],
    ),
    (
        "everybody let in",
        &["GRANT CONNECT, TEMPORARY ON DATABASE {k} TO PUBLIC"],
    ),
    (
        "another owner",
        &["ALTER DATABASE {k} OWNER TO CURRENT_USER"],
    ),
    (
        "another owner who lets it in",
        &[
            "ALTER DATABASE {k} OWNER TO CURRENT_USER",
            "GRANT CONNECT ON DATABASE {k} TO {k}",
        ],
    ),
    (
        "all of that",
        &[
            "ALTER ROLE {k} NOLOGIN PASSWORD 'another' VALID UNTIL '2020-01-01'",
            "COMMENT ON ROLE {k} IS NULL",
            "REVOKE {sites} FROM {k}",
            "REVOKE CREATE ON DATABASE {k} FROM {k}",
            "ALTER DATABASE {k} OWNER TO CURRENT_USER",
            "GRANT CONNECT ON DATABASE {k} TO PUBLIC",
        ],
    ),
    ("no role at all", DROPPED),
];

const DROPPED: &[&str] = &[
    "ALTER DATABASE {k} OWNER TO CURRENT_USER",
    "DROP OWNED BY {k}",
    "DROP ROLE {k}",
];

/// Whatever a server knows of a role and its database.
async fn standing(administrator: &mut PgConnection, name: &DatabaseName) -> Vec<String> {
    let asked = "SELECT concat_ws(' ', 'database of', pg_get_userbyid(datdba), datacl, shobj_description(oid, 'pg_database'))
                   FROM pg_database WHERE datname = $1
                  UNION ALL
                 SELECT concat_ws(' ', 'role', rolcanlogin, rolpassword, rolvaliduntil, rolconnlimit, rolsuper,
                                  shobj_description(oid, 'pg_authid')) FROM pg_authid WHERE rolname = $1
                  UNION ALL
                 SELECT concat_ws(' ', 'member', pg_get_userbyid(roleid), pg_get_userbyid(member)) FROM pg_auth_members
                  WHERE $1 IN (pg_get_userbyid(roleid), pg_get_userbyid(member))
                  ORDER BY 1";
    let rows = sqlx::query_scalar(asked).bind(name.as_str());
    rows.fetch_all(administrator).await.expect("asked")
}

async fn disturb(administrator: &mut PgConnection, name: &DatabaseName, statements: &[&str]) {
    for statement in statements {
        let sites = identifier_of(&format!("{}_sites", server().user));
        let statement = statement.replace("{k}", &identifier(name));
        let statement = statement.replace("{sites}", &sites);
        let done = run(administrator, &statement).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

fn identifier_of(name: &str) -> String {
    quote::foreign_identifier(name).expect("a name")
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn whatever_somebody_changed_is_seen_mended_and_comes_back_when_that_is_undone() {
    let (server, name, mark) = (server(), name("mended"), "the run that made it");
    let password = made(&server, &name, mark).await;
    let mut administrator = administrator().await;
    for (what, statements) in DISTURBED {
        let whole = standing(&mut administrator, &name).await;
        disturb(&mut administrator, &name, statements).await;
        let found = standing(&mut administrator, &name).await;
        assert_ne!(found, whole, "{what}");
        let rights = server.rights(&name).await.expect("asked");
        let door = server.way_in(&name, &password).await.expect("asked");
        let is_seen = rights.is_none_or(|rights| !rights.on_its_own) || door != Door::Open;
        assert!(is_seen, "{what}: {door:?}");
        let why = server.why_not_mend(&name, mark).await.expect("asked");
        assert_eq!(why, None, "{what}");

        let mended = async |run: &str| {
            let mended = server.mend(&name, Some(&password), mark, run).await;
            mended.unwrap_or_else(|error| panic!("{what}: {error:#}"));
            let rights = server.rights(&name).await.expect("asked").expect("there");
            assert!(
                rights.on_its_own && rights.elsewhere.is_empty(),
                "{what}: {rights:?}"
            );
            let door = server.way_in(&name, &password).await.expect("asked");
            assert_eq!(door, Door::Open, "{what}");
        };
        mended("a run").await;
        let mend_of_another = server.unmend(&name, "another run").await;
        mend_of_another.expect("nothing to do");
        assert_eq!(
            server.way_in(&name, &password).await.expect("asked"),
            Door::Open
        );
        for _ in 0..2 {
            server.unmend(&name, "a run").await.expect("undone");
            assert_eq!(standing(&mut administrator, &name).await, found, "{what}");
        }
        // That it was undone does not keep it from being mended.
        mended("a later run").await;
    }
    println!("mended and undone: {} ways", DISTURBED.len());
    dropped(&server, &name, mark).await;
    for table in ["made", "mended"] {
        let left = format!("SELECT count(*) FROM kolga.{table} WHERE role = $1");
        let left: i64 = sqlx::query_scalar(AssertSqlSafe(left))
            .bind(name.as_str())
            .fetch_one(&mut administrator)
            .await
            .expect("asked");
        assert_eq!(left, 0, "{table} forgets what is gone");
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_not_the_sites_own_is_told_and_not_taken_neither_by_its_account_nor_by_another() {
    let (server, own, mark) = (server(), name("taken"), "the run that made it");
    let password = made(&server, &own, mark).await;
    let stranger = identifier_of(&format!("stranger_{}", std::process::id()));
    let mut administrator = administrator().await;
    run(&mut administrator, &format!("CREATE ROLE {stranger}"))
        .await
        .expect("made");
    let of_stranger = format!("ALTER DATABASE {{k}} OWNER TO {stranger}");
    let back = "ALTER DATABASE {k} OWNER TO {k}";
    for (what, statements, after, said) in [
        (
            "a database that belongs to somebody",
            &[of_stranger.as_str()][..],
            &[back][..],
            "no administrator",
        ),
        (
            "a database with another mark",
            &[
                "ALTER DATABASE {k} OWNER TO CURRENT_USER",
                "COMMENT ON DATABASE {k} IS 'mine'",
            ],
            &[back, "COMMENT ON DATABASE {k} IS 'the run that made it'"],
            "its comment is not",
        ),
        (
            "a role that is not the account's",
            &["REVOKE {k} FROM {account}"],
            &["GRANT {k} TO {account}"],
            "was not made for",
        ),
    ] {
        let account = identifier_of(&server.user);
        let now = |list: &[&str]| -> Vec<String> {
            let all = list.iter();
            all.map(|text| text.replace("{account}", &account))
                .collect()
        };
        let (statements, after) = (now(statements), now(after));
        let borrowed: Vec<&str> = statements.iter().map(String::as_str).collect();
        disturb(&mut administrator, &own, &borrowed).await;
        let before = standing(&mut administrator, &own).await;
        let why = server.why_not_mend(&own, mark).await.expect("asked");
        assert!(
            why.as_ref().is_some_and(|why| why.contains(said)),
            "{what}: {why:?}"
        );
        let mended = server.mend(&own, Some(&password), mark, "a run").await;
        assert!(mended.is_err(), "{what}");
        assert_eq!(standing(&mut administrator, &own).await, before, "{what}");
        let borrowed: Vec<&str> = after.iter().map(String::as_str).collect();
        disturb(&mut administrator, &own, &borrowed).await;
    }

    // Where the role is gone, only the account that had it gets it again.
    disturb(&mut administrator, &own, DROPPED).await;
    let before = standing(&mut administrator, &own).await;
    run(
        &mut administrator,
        "SET SESSION AUTHORIZATION \"kolga-remote\"",
    )
    .await
    .expect("another spoke's account");
    let verifier = literal(&scram::verifier(&password).expect("made")).expect("a text");
    let asked = |function: &str| match function {
        "make_role" => format!("SELECT kolga.make_role('{own}', {verifier}, 'mine')"),
        _ => format!("SELECT kolga.mend('{own}', {verifier}, 'the run that made it', 'a run')"),
    };
    for function in ["make_role", "mend"] {
        let done = run(&mut administrator, &asked(function)).await;
        assert!(done.is_err(), "{function}");
    }
    for table in ["made", "mended"] {
        let read = format!("TABLE kolga.{table}");
        assert!(run(&mut administrator, &read).await.is_err(), "{read}");
    }
    run(&mut administrator, "RESET SESSION AUTHORIZATION")
        .await
        .expect("as before");
    assert_eq!(standing(&mut administrator, &own).await, before);
    let mended = server.mend(&own, Some(&password), mark, "a run").await;
    mended.expect("its own");
    dropped(&server, &own, mark).await;

    // A database of an administrator's own, of a name that no role was made for.
    let theirs = name("admins");
    disturb(&mut administrator, &theirs, &["CREATE DATABASE {k}"]).await;
    assert!(server.create_user(&theirs, &password, mark).await.is_err());
    assert!(
        server
            .why_not_mend(&theirs, "")
            .await
            .expect("asked")
            .is_some()
    );
    disturb(&mut administrator, &theirs, &["DROP DATABASE {k}"]).await;
    run(&mut administrator, &format!("DROP ROLE {stranger}"))
        .await
        .expect("dropped");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_in_a_database_comes_back_to_its_role_by_the_administrators_script() {
    let (server, name, mark) = (server(), name("inside"), "run-9");
    let password = made(&server, &name, mark).await;
    let mut site = connect_as(&server.for_site(&name, &password))
        .await
        .expect("let in");
    for thing in THINGS.iter().chain(MORE) {
        let made = run(&mut site, thing).await;
        made.unwrap_or_else(|error| panic!("{thing}: {error}"));
    }
    site.close().await.expect("closed");
    assert_eq!(server.of_others(&name).await.expect("asked"), Some(0));

    // An administrator takes it all, and the role is gone.
    let url = administrators_url(&name);
    let mut inside = PgConnection::connect(&url).await.expect("let in");
    disturb(
        &mut inside,
        &name,
        &["REASSIGN OWNED BY {k} TO CURRENT_USER", "DROP OWNED BY {k}"],
    )
    .await;
    inside.close().await.expect("closed");
    let mut administrator = administrator().await;
    disturb(
        &mut administrator,
        &name,
        &["DROP OWNED BY {k}", "DROP ROLE {k}"],
    )
    .await;
    let mended = server.mend(&name, Some(&password), mark, "a run").await;
    mended.expect("mended");
    let count = server.of_others(&name).await.expect("asked");
    assert!(count.is_some_and(|count| count > 12), "{count:?}");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/postgresql-own.sql");
    let given = |url: &str| {
        let done = Command::new("/usr/bin/psql")
            .args(["--no-psqlrc", "--quiet", "-v"])
            .arg(format!("account={}", server.user))
            .args(["-f", script, "-d", url])
            .output();
        done.expect("psql runs")
    };
    let done = given(&url);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(server.of_others(&name).await.expect("asked"), Some(0));
    let rights = server.rights(&name).await.expect("asked").expect("there");
    assert!(rights.on_its_own, "{rights:?}");
    let mut site = connect_as(&server.for_site(&name, &password))
        .await
        .expect("let in");
    for statement in [
        "UPDATE public.t SET text = ''",
        "DROP TYPE its_own.mood",
        "SELECT lo_unlink(4711)",
    ] {
        run(&mut site, statement).await.expect(statement);
    }
    site.close().await.expect("closed");
    dropped(&server, &name, mark).await;
    let other = given(&administrators_url(&"postgres".parse().expect("a name")));
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(
        !other.status.success() && said.contains("no database of a site"),
        "{said}"
    );
}

/// Things of other sorts.
const MORE: &[&str] = &[
    "CREATE TYPE its_own.mood AS ENUM ('well')",
    "CREATE DOMAIN its_own.small AS INT CHECK (VALUE < 10)",
    "CREATE TYPE its_own.pair AS (a INT, b INT)",
    "CREATE TYPE its_own.span AS RANGE (SUBTYPE = INT)",
    "CREATE SEQUENCE its_own.numbers",
    "CREATE TABLE its_own.identity (id INT GENERATED ALWAYS AS IDENTITY, other BIGSERIAL, PRIMARY KEY (id))",
    "CREATE TABLE its_own.parts (id INT) PARTITION BY RANGE (id)",
    "CREATE TABLE its_own.part PARTITION OF its_own.parts FOR VALUES FROM (0) TO (10)",
    "CREATE MATERIALIZED VIEW its_own.seen AS SELECT 1 AS one",
    "CREATE PROCEDURE its_own.\"do it\"(INOUT a INT) LANGUAGE sql AS 'SELECT a'",
    "CREATE AGGREGATE its_own.total(INT) (SFUNC = int4pl, STYPE = INT)",
    "CREATE OPERATOR its_own.=== (LEFTARG = INT, RIGHTARG = INT, FUNCTION = int4eq)",
    "CREATE TEXT SEARCH CONFIGURATION its_own.words (COPY = simple)",
    "CREATE TEXT SEARCH DICTIONARY its_own.dictionary (TEMPLATE = simple)",
    "CREATE COLLATION its_own.bytes (LOCALE = 'C')",
    "CREATE TABLE its_own.both (a INT, b INT)",
    "CREATE STATISTICS its_own.together ON a, b FROM its_own.both",
];
