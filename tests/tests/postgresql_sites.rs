//! Sites whose data are in PostgreSQL, over the whole system: every task that works on a database works on theirs, row for
//! row; neighbours in the same server, and what bears the very name that a task wants, are as they were; and a tenant's
//! account gets into no database but its own.

use std::process::Command;

use kolga_protocol::names::DatabaseName;
use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::scenario::{self, SERVER, newer_mediawiki};
use kolga_tests::stack::Stack;
use kolga_tests::worker::{Orders, Worker, command};
use kolga_tests::world::{clear, postgresql};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

struct Scene {
    stack: Stack,
    hub: Hub,
    worker: Worker,
}

impl Scene {
    async fn new(change: impl FnOnce(Stack) -> Stack) -> Self {
        let stack = Stack::load();
        clear(&stack, SERVER).await;
        let stack = change(stack);
        let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
        let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
        Self { stack, hub, worker }
    }

    /// Asks for a site, with these options.
    async fn asked(&self, host: &str, profile: &str, options: Value) -> Value {
        let platform = (profile == "mediawiki").then_some("mw");
        let site = json!({
            "host": host, "server": SERVER, "profile": profile, "platform": platform, "aliases": [],
            "options": options,
        });
        let task = self.hub.ask(&Request::post("/v1/sites", site)).await;
        self.hub.ended(&task).await
    }

    /// Installs one whose data are in PostgreSQL; its database.
    async fn install(&self, host: &str, profile: &str) -> String {
        let ended = self
            .asked(host, profile, json!({"database": "postgresql"}))
            .await;
        assert_eq!(ended["state"], "succeeded", "{ended:#}");
        let database = ended["output"]["database"].as_str();
        database.expect("a database").to_owned()
    }

    async fn on_site(&self, host: &str, kind: &str, params: Value) -> Value {
        let body = json!({"kind": kind, "params": params});
        let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
        let task = self.hub.ask(&request).await;
        self.hub.succeeds(&task).await["output"].clone()
    }

    async fn run(&self, database: &str, statement: &str) {
        let mut server = postgresql(&self.stack, database).await;
        let done = server.execute(AssertSqlSafe(statement.to_owned())).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Every row, table, view, function and trigger, as text.
    fn rows(&self, database: &str) -> String {
        let url = self.stack.text("/postgres_url");
        let (server, _) = url.rsplit_once('/').expect("a database at the end");
        let dumped = Command::new("/usr/lib/postgresql/15/bin/pg_dump")
            .args(["--inserts", "--no-owner", "--no-privileges"])
            .arg(format!("--dbname={server}/{database}"))
            .output()
            .expect("pg_dump runs");
        assert!(dumped.status.success(), "{dumped:?}");
        let text = String::from_utf8(dumped.stdout).expect("text");
        // Another word at each dump, for psql.
        let lines = text.lines().filter(|line| !line.contains("restrict "));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Whose a database and its role are, and who may get in.
    async fn standing(&self, database: &str) -> (String, Option<String>, Option<String>) {
        let mut server = postgresql(&self.stack, "postgres").await;
        let asked = "SELECT concat_ws(' ', pg_get_userbyid(d.datdba), d.datacl, r.rolcanlogin, r.rolpassword),
                            shobj_description(d.oid, 'pg_database'), shobj_description(r.oid, 'pg_authid')
                       FROM pg_database d JOIN pg_authid r ON r.rolname = d.datname WHERE d.datname = $1";
        let row = sqlx::query_as(asked).bind(database).fetch_one(&mut server);
        row.await.expect("both are there")
    }

    /// Databases and roles of sites.
    async fn all(&self) -> Vec<String> {
        let asked = "SELECT 'database ' || datname AS name FROM pg_database WHERE datname LIKE 'k\\_%'
                      UNION ALL SELECT 'role ' || rolname FROM pg_roles WHERE rolname LIKE 'k\\_%' ORDER BY name";
        let mut server = postgresql(&self.stack, "postgres").await;
        let names = sqlx::query_scalar(asked).fetch_all(&mut server).await;
        names.expect("a list")
    }

    async fn page(&self, host: &str, path: &str) -> (u16, String) {
        let port = self.stack.http_port(SERVER);
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let asked = client
            .build()
            .expect("a client")
            .get(format!("http://127.0.0.1:{port}{path}"))
            .header("host", format!("{host}:{port}"))
            .send();
        let answer = asked.await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.text().await.expect("text"))
    }

    /// The way that a site's settings tell, as the site itself would take it.
    fn way(&self, host: &str) -> PgConnectOptions {
        let settings = self.stack.spoke(SERVER, "sites_root").join(host);
        let settings = settings.join("private/settings.php");
        let code = "echo json_encode((require $argv[1])['database']);";
        let told = Command::new("/usr/bin/php")
            .args(["-n", "-r", code])
            .arg(settings)
            .output()
            .expect("php runs");
        let told: Value = serde_json::from_slice(&told.stdout).expect("JSON");
        let text = |name: &str| told[name].as_str().expect("a text");
        let port = told["port"].as_u64().expect("a port");
        assert_eq!(text("type"), "postgresql");
        PgConnectOptions::new_without_pgpass()
            .host(text("host"))
            .port(u16::try_from(port).expect("a port"))
            .username(text("user"))
            .password(text("password"))
            .database(text("name"))
    }

    async fn end(self, hosts: &[&str]) {
        for host in hosts {
            self.hub.succeeds(&self.hub.delete(host).await).await;
        }
        assert_eq!(self.all().await, Vec::<String>::new(), "nothing is left");
        self.worker.stop().await;
    }
}

/// What an application has: types of every sort, something that reacts, and letters that mean something elsewhere.
const FILLING: &str = "
    CREATE TABLE notes (id SERIAL PRIMARY KEY, text TEXT, bytes BYTEA, sum NUMERIC(20, 4), at TIMESTAMPTZ);
    INSERT INTO notes (text, bytes, sum, at)
    SELECT E'line\\none \\\\. \\\\! ''quoted'' \u{20ac} ' || n, decode(md5(n::text), 'hex'), n / 7.0, '2020-01-01'::date + n
      FROM generate_series(1, 500) n;
    CREATE VIEW late AS SELECT id FROM notes WHERE id > 400;
    CREATE SCHEMA more;
    CREATE TABLE more.log (id INT);
    CREATE FUNCTION more.note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO more.log VALUES (NEW.id); RETURN NEW; END $$;
    CREATE TRIGGER noted AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION more.note();
    INSERT INTO notes (text) VALUES ('noted');";

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_site_in_postgresql_goes_through_its_whole_life_and_its_neighbour_is_unharmed() {
    let scene =
        Scene::new(|stack| stack.with_setting(SERVER, "trash", "keep_days", 14.into())).await;
    let checked = command(&scene.stack, SERVER, &["check"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{said}");
    assert!(said.contains("PostgreSQL account"), "{said}");

    let (host, neighbour) = ("life.kolga.test", "neighbour.kolga.test");
    let first = scene.install(host, "php").await;
    let theirs = scene.install(neighbour, "php").await;
    for (host, database) in [(host, &first), (neighbour, &theirs)] {
        // As the site itself, with what its settings tell.
        let mut own = scene.way(host).connect().await.expect("let in");
        own.execute(FILLING).await.expect("filled");
        assert!(scene.rows(database).contains("CREATE TRIGGER noted"));
    }
    let untouched = (scene.rows(&theirs), scene.standing(&theirs).await);
    let refused = scene.way(host).database(&theirs).connect().await;
    let refused = refused.expect_err("another's database").to_string();
    assert!(
        refused.contains("permission denied for database"),
        "{refused}"
    );
    let filled = scene.rows(&first);

    // Out of a backup every row comes back.
    let backup = scene.on_site(host, "site.backup", json!({})).await;
    let backup = backup["backup"].as_str().expect("a backup").to_owned();
    let damage = "DROP TABLE notes CASCADE; CREATE TABLE since (id INT)";
    scene.run(&first, damage).await;
    let restored = scene
        .on_site(host, "site.restore", json!({"backup": backup}))
        .await;
    let second = restored["database"].as_str().expect("one").to_owned();
    assert!(
        second != first && scene.rows(&second) == filled,
        "every row"
    );
    println!(
        "{} lines of the database are as they were",
        filled.lines().count()
    );

    // A copy has all rows, and an account of its own.
    let copied = scene
        .on_site(host, "site.clone", json!({"to": "copy.kolga.test"}))
        .await;
    let copy = copied["database"].as_str().expect("one");
    assert_eq!(scene.rows(copy), filled);
    let refused = scene
        .way("copy.kolga.test")
        .database(&second)
        .connect()
        .await;
    assert!(
        refused.is_err(),
        "a copy does not get at what it was made of"
    );

    // Another name, on and off, looked through.
    let moved = scene
        .on_site(host, "site.migrate", json!({"host": "moved.kolga.test"}))
        .await;
    let host = "moved.kolga.test";
    let third = moved["database"].as_str().expect("one").to_owned();
    assert_eq!(scene.rows(&third), filled);
    scene.on_site(host, "site.disable", json!({})).await;
    scene.on_site(host, "site.enable", json!({})).await;
    let verified = scene.on_site(host, "site.verify", json!({})).await;
    assert_eq!(
        (&verified["changes"], &verified["problems"]),
        (&json!([]), &json!([])),
        "{verified:#}"
    );
    let (status, page) = scene.page(host, "/").await;
    assert!(
        status == 200 && page.contains("made by Kolga"),
        "{status} {page}"
    );

    // Into the trash, where nobody gets at it, and out of it.
    let way = scene.way(host);
    let deleted = scene.hub.delete(host).await;
    scene.hub.succeeds(&deleted).await;
    assert!(way.connect().await.is_err(), "it lies in the trash");
    let listed = scene.hub.task(SERVER, "trash.list", json!({})).await;
    let listed = scene.hub.succeeds(&listed).await;
    let items = listed["output"]["items"].as_array().expect("items");
    let item = items.iter().find(|item| item["id"] == *deleted);
    let item = item.expect("it is there");
    assert_eq!(item["site"]["options"]["database"], "postgresql");
    let back = json!({"item": deleted, "site": item["site"]});
    let back = scene.hub.task(SERVER, "trash.restore", back).await;
    scene.hub.succeeds(&back).await;
    assert_eq!(scene.rows(&third), filled);
    way.connect().await.expect("let in again");

    assert_eq!(
        (scene.rows(&theirs), scene.standing(&theirs).await),
        untouched,
        "the neighbour"
    );
    for host in [host, neighbour, "copy.kolga.test"] {
        scene.hub.succeeds(&scene.hub.delete(host).await).await;
    }
    let empty = scene
        .hub
        .task(SERVER, "trash.empty", json!({"older_than_days": 0}))
        .await;
    scene.hub.succeeds(&empty).await;
    scene.end(&[]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_wiki_in_postgresql_is_moved_to_newer_code_and_copied_with_its_pages() {
    let scene = Scene::new(|stack| stack).await;
    scenario::wiki_platform(&scene.hub, &scene.stack).await;
    let source = newer_mediawiki(&scene.stack);
    let built = scene.hub.build(SERVER, "next", "mediawiki", &source).await;
    scene.hub.succeeds(&built).await;
    let host = "wiki.kolga.test";
    let first = scene.install(host, "mediawiki").await;
    let port = scene.stack.http_port(SERVER);
    let edit = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{port}/api.php"))
        .header("host", format!("{host}:{port}"))
        .header("content-type", "application/x-www-form-urlencoded")
        // Whoever has not logged in has the token `+\`.
        .body("action=edit&format=json&title=Note&text=Six+times+seven.&token=%2B%5C");
    let edited = edit.send().await.expect("an answer");
    let edited = edited.text().await.expect("text");
    assert!(edited.contains("\"result\":\"Success\""), "{edited}");
    scene.run(&first, "DELETE FROM mediawiki.updatelog").await;

    let moved = scene
        .on_site(host, "site.migrate", json!({"platform": "next"}))
        .await;
    let second = moved["database"].as_str().expect("one").to_owned();
    let (status, page) = scene.page(host, "/wiki/Note").await;
    assert!(
        status == 200 && page.contains("Six times seven"),
        "{status} {page}"
    );
    let copied = scene
        .on_site(host, "site.clone", json!({"to": "copy.kolga.test"}))
        .await;
    let (status, page) = scene.page("copy.kolga.test", "/wiki/Note").await;
    assert!(
        status == 200 && page.contains("Six times seven"),
        "{status} {page}"
    );
    // Nobody's token is what it was, and the administrator has another password.
    let mut tokens = Vec::new();
    for database in [&*second, copied["database"].as_str().expect("one")] {
        let mut server = postgresql(&scene.stack, database).await;
        let asked =
            r#"SELECT user_name, user_token, user_password FROM mediawiki."user" ORDER BY user_id"#;
        let rows: Vec<(String, String, String)> = sqlx::query_as(asked)
            .fetch_all(&mut server)
            .await
            .expect("accounts");
        assert!(rows.iter().any(|(name, ..)| name == "Admin"), "{rows:?}");
        tokens.push(rows);
    }
    assert!(tokens[1].iter().all(|(_, token, _)| token.len() == 32));
    for (one, other) in tokens[0].iter().zip(&tokens[1]) {
        assert!(one.0 == other.0 && one.1 != other.1, "{one:?} {other:?}");
        assert!(one.0 != "Admin" || one.2 != other.2);
    }
    scene
        .on_site(host, "site.run", json!({"command": "update_database"}))
        .await;
    scene.on_site(host, "site.verify", json!({})).await;
    scene.end(&[host, "copy.kolga.test"]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_bears_the_name_of_a_sites_is_refused_and_stays_and_so_is_a_profile_that_takes_no_postgresql()
 {
    let scene = Scene::new(|stack| stack).await;
    let host = "named.kolga.test";
    let name = DatabaseName::for_site(&host.parse().expect("a host")).to_string();
    for (make, drop) in [
        (
            format!("CREATE ROLE \"{name}\" LOGIN PASSWORD 'mine'"),
            format!("DROP ROLE \"{name}\""),
        ),
        (
            format!("CREATE DATABASE \"{name}\""),
            format!("DROP DATABASE \"{name}\""),
        ),
    ] {
        scene.run("postgres", &make).await;
        let planted = scene.all().await;
        let ended = scene
            .asked(host, "php", json!({"database": "postgresql"}))
            .await;
        assert_eq!(ended["state"], "failed", "{ended:#}");
        let told = ended["failure"]["message"].as_str().unwrap_or_default();
        assert!(told.contains(&name), "{ended:#}");
        assert_eq!(scene.all().await, planted);
        scene.run("postgres", &drop).await;
    }
    for (profile, database, why) in [
        ("static", "postgresql", "have no database"),
        ("wordpress", "postgresql", "in MariaDB and nowhere else"),
        ("php", "oracle", "mariadb or postgresql"),
    ] {
        let ended = scene
            .asked(host, profile, json!({"database": database}))
            .await;
        assert_eq!(ended["state"], "failed", "{ended:#}");
        let failure = &ended["failure"];
        let told = failure["message"].as_str().unwrap_or_default();
        assert!(told.contains(why), "{profile}: {failure:#}");
        assert_eq!(failure["step"], Value::Null, "before its first step");
    }
    assert_eq!(scene.all().await, Vec::<String>::new());
    // Without a choice it is MariaDB.
    let ended = scene.asked(host, "php", json!({})).await;
    assert_eq!(ended["state"], "succeeded", "{ended:#}");
    assert_eq!(scene.all().await, Vec::<String>::new());
    scene.end(&[host]).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_postgresql_on_another_machine_serves_sites() {
    let scene = Scene::new(|stack| stack.with_remote_database(SERVER)).await;
    let checked = command(&scene.stack, SERVER, &["check"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.contains("PostgreSQL account"), "{said}");
    let (host, new) = ("far.kolga.test", "further.kolga.test");
    let first = scene.install(host, "php").await;
    let mut own = scene.way(host).connect().await.expect("let in");
    own.execute(FILLING).await.expect("filled");
    let filled = scene.rows(&first);
    scene.on_site(host, "site.backup", json!({})).await;
    let moved = scene
        .on_site(host, "site.migrate", json!({"host": new}))
        .await;
    let second = moved["database"].as_str().expect("one");
    assert_eq!(scene.rows(second), filled);
    scene.on_site(new, "site.verify", json!({})).await;
    scene.end(&[new]).await;
}
