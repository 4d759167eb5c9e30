//! Sites whose data are in PostgreSQL, over the whole system: every task that works on a database works on theirs, row for
//! row; neighbours in the same server, and what bears the very name that a task wants, are as they were; and a tenant's
//! account gets into no database but its own.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use kolga_protocol::names::DatabaseName;
use kolga_protocol::seal::Opener;
use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::scenario::{self, SERVER, foreign, newer_mediawiki};
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
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
        let dumped = Command::new("/usr/lib/postgresql/15/bin/pg_dump")
            .args(["--inserts", "--no-owner", "--no-privileges"])
            .arg(format!("--dbname={}", self.url(database)))
            .output()
            .expect("pg_dump runs");
        assert!(dumped.status.success(), "{dumped:?}");
        let text = String::from_utf8(dumped.stdout).expect("text");
        // Another word at each dump, for psql.
        let lines = text.lines().filter(|line| !line.contains("restrict "));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// A database as the server's administrator gets at it.
    fn url(&self, database: &str) -> String {
        let url = self.stack.text("/postgres_url");
        let (server, _) = url.rsplit_once('/').expect("a database at the end");
        format!("{server}/{database}")
    }

    /// Sums over a wiki's tables that visits do not change.
    async fn pages(&self, database: &str) -> Vec<String> {
        let mut server = postgresql(&self.stack, database).await;
        let mut sums = Vec::new();
        for table in [
            "page",
            "revision",
            "slots",
            "content",
            "text",
            "\"user\"",
            "site_stats",
            "logging",
            "updatelog",
        ] {
            let asked = format!(
                "SELECT concat_ws(' ', '{table}', count(*), md5(string_agg(t::text, '|' ORDER BY t::text)))
                   FROM mediawiki.{table} t"
            );
            let sum = sqlx::query_scalar(AssertSqlSafe(asked)).fetch_one(&mut server);
            sums.push(sum.await.unwrap_or_else(|error| panic!("{table}: {error}")));
        }
        sums
    }

    /// Follows a link that logs the administrator in, as its page does; the cookies that come of it.
    async fn log_in(&self, host: &str) -> String {
        let opener = Opener::generate();
        let seal = String::from(opener.key());
        let told = self
            .on_site(host, "site.login", json!({"seal": seal}))
            .await;
        let sealed = told["sealed"].as_str().expect("digits").to_owned();
        let token = opener.open(&sealed.try_into().expect("sealed"));
        let token = token.expect("it is for us");
        let port = self.stack.http_port(SERVER);
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let answer = client
            .build()
            .expect("a client")
            .post(format!("http://127.0.0.1:{port}/kolga_login.php"))
            .header("host", format!("{host}:{port}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={token}"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 302);
        let set = answer.headers().get_all("set-cookie").iter();
        let cookies = set.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
        cookies.collect::<Vec<_>>().join("; ")
    }

    /// Runs the profile's regular work as the worker does, which would else be waited for for minutes.
    fn cron(&self, host: &str) {
        let site = self.stack.spoke(SERVER, "sites_root").join(host);
        let input = json!({
            "platform": self.stack.spoke(SERVER, "platforms").join("next/code"),
            "settings": site.join("private/settings.php"),
        });
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../worker/profiles/mediawiki/commands/cron.php"
        );
        let script = std::fs::read(script).expect("the profile's");
        let place = self
            .stack
            .spoke(SERVER, "state_dir")
            .join("cron-by-hand.php");
        std::fs::write(&place, script).expect("written");
        self.stack.give(&place);
        let user = self.stack.text("/user");
        let mut child = Command::new("/usr/bin/setpriv")
            .args([
                "--reuid",
                user,
                "--regid",
                user,
                "--init-groups",
                "/usr/bin/php",
            ])
            .arg(&place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("php runs");
        let mut pipe = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut pipe, input.to_string().as_bytes()).expect("it reads");
        drop(pipe);
        let said = child.wait_with_output().expect("it ends");
        assert!(said.status.success(), "{said:?}");
        std::fs::remove_file(place).expect("removed");
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
        self.page_as(host, path, "").await
    }

    async fn page_as(&self, host: &str, path: &str, cookies: &str) -> (u16, String) {
        let port = self.stack.http_port(SERVER);
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let asked = client
            .build()
            .expect("a client")
            .get(format!("http://127.0.0.1:{port}{path}"))
            .header("host", format!("{host}:{port}"))
            .header("cookie", cookies)
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
    for part in ["PostgreSQL account", "pg_dump of version"] {
        assert!(said.contains(part), "{said}");
    }

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
async fn a_wiki_in_postgresql_does_all_that_one_in_mariadb_does() {
    let scene = Scene::new(|stack| {
        let imports = foreign::imports(&stack);
        std::fs::create_dir_all(&imports).expect("a folder");
        let imports = imports.display().to_string();
        stack.with_setting(SERVER, "sites", "import_from", vec![imports].into())
    })
    .await;
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
    let cookies = scene.log_in(host).await;
    let (status, page) = scene
        .page_as(host, "/index.php?title=Special:Preferences", &cookies)
        .await;
    assert!(
        status == 200 && page.contains("mw-input-wpusername"),
        "{status} {page}"
    );
    let jobs = async |database: &str| -> i64 {
        let mut server = postgresql(&scene.stack, database).await;
        let asked = sqlx::query_scalar("SELECT count(*) FROM mediawiki.job");
        asked.fetch_one(&mut server).await.expect("a number")
    };
    assert!(jobs(&second).await > 0, "what the edit has put off");
    scene.cron(host);
    assert_eq!(jobs(&second).await, 0);

    let filled = scene.pages(&second).await;
    let backup = scene.on_site(host, "site.backup", json!({})).await;
    let damage = "DELETE FROM mediawiki.page; DELETE FROM mediawiki.revision; DROP TABLE mediawiki.site_stats";
    scene.run(&second, damage).await;
    let (_, page) = scene.page(host, "/wiki/Note").await;
    assert!(!page.contains("Six times seven"), "{page}");
    let restored = scene
        .on_site(host, "site.restore", json!({"backup": backup["backup"]}))
        .await;
    let third = restored["database"].as_str().expect("one");
    assert_eq!(scene.pages(third).await, filled);
    let (status, page) = scene.page(host, "/wiki/Note").await;
    assert!(
        status == 200 && page.contains("Six times seven"),
        "{status} {page}"
    );
    scene.on_site(host, "site.verify", json!({})).await;
    becomes_a_site(&scene, third).await;
    scene.end(&[host, "copy.kolga.test"]).await;
}

/// Another wiki that Kolga has not made, with the rows of this one, is taken over by copy, or refused with all that is in the
/// way; it stays what it was.
async fn becomes_a_site(scene: &Scene, of: &str) {
    const PASSWORD: &str = "s3cr3t'\"\\ #;$x`%&<";
    let (host, named) = ("taken.kolga.test", "stranger_wiki");
    let folder = foreign::imports(&scene.stack).join("wiki");
    let code = scene.stack.spoke(SERVER, "platforms").join("mw/code");
    for file in [
        "index.php",
        "load.php",
        "includes/Setup.php",
        "includes/Defines.php",
        "maintenance/install.php",
        "skins/Vector/skin.json",
    ] {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::copy(code.join(file), path).expect("MediaWiki's");
    }
    std::fs::create_dir_all(folder.join("images/a/ab")).expect("folders");
    std::fs::write(folder.join("images/a/ab/Boat.png"), "a boat").expect("a file");
    let quoted = PASSWORD.replace('\'', "''");
    let role = format!("CREATE ROLE {named} LOGIN PASSWORD '{quoted}'");
    scene.run("postgres", &role).await;
    let made = format!("CREATE DATABASE {named} OWNER {named}");
    scene.run("postgres", &made).await;
    let rows = format!("SET SESSION AUTHORIZATION {named};\n{}", scene.rows(of));
    let file = foreign::imports(&scene.stack).join("rows.sql");
    std::fs::write(&file, rows).expect("a file");
    let filled = Command::new("/usr/bin/psql")
        .args(["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-d"])
        .arg(scene.url(named))
        .arg("-f")
        .arg(&file)
        .output()
        .expect("psql runs");
    assert!(filled.status.success(), "{filled:?}");
    std::fs::remove_file(file).expect("removed");
    let settings = |more: &str| {
        let quoted = PASSWORD.replace('\\', "\\\\").replace('\'', "\\'");
        let url: reqwest::Url = scene.url(named).parse().expect("a URL");
        let port = url.port().expect("a port");
        let text = format!(
            "<?php\n$wgSitename = 'The old harbour';\n$wgLanguageCode = 'en';\n$wgDBtype = 'postgres';\n\
             $wgDBserver = 'localhost';\n$wgDBport = '{port}';\n$wgDBname = '{named}';\n$wgDBuser = '{named}';\n\
             $wgDBpassword = '{quoted}';\n$wgDBmwschema = 'mediawiki';\n{more}"
        );
        std::fs::write(folder.join("LocalSettings.php"), text).expect("a file");
    };
    let import = async |options: Value| {
        let body =
            json!({"server": SERVER, "from": folder, "platform": "next", "options": options});
        let asked = Request::post(&format!("/v1/sites/{host}/import"), body);
        scene.hub.ended(&scene.hub.ask(&asked).await).await
    };
    let before = (scene.rows(named), scene.standing(named).await);
    settings("$wgDBprefix = 'x_';\n$wgUploadDirectory = '/srv/files';\n");
    let locked =
        "CREATE TABLE mediawiki.locked (id INT); REVOKE ALL ON mediawiki.locked FROM PUBLIC";
    scene.run(named, locked).await;
    let refused = import(json!({"database": "mariadb"})).await;
    let told = refused["failure"]["message"].as_str().unwrap_or_default();
    for wanted in [
        "may not read mediawiki.locked",
        "$wgDBprefix to \"x_\", and in PostgreSQL",
        "$wgUploadDirectory",
        "leave database=mariadb out",
    ] {
        assert!(told.contains(wanted), "{wanted}: {refused:#}");
    }
    assert_eq!(
        refused["failure"]["step"],
        Value::Null,
        "before its first step"
    );
    scene.run(named, "DROP TABLE mediawiki.locked").await;
    settings("$wgDBport = '1';\n");
    let refused = import(json!({})).await;
    let told = refused["failure"]["message"].as_str().unwrap_or_default();
    assert!(told.contains("$wgDBport"), "{refused:#}");

    settings("");
    let made = import(json!({})).await;
    assert_eq!(made["state"], "succeeded", "{made:#}");
    let options = &made["output"]["options"];
    assert_eq!(
        (&options["database"], &options["title"]),
        (&json!("postgresql"), &json!("The old harbour"))
    );
    let database = made["output"]["database"].as_str().expect("one");
    assert_eq!(scene.pages(database).await, scene.pages(named).await);
    let (status, page) = scene.page(host, "/wiki/Note").await;
    assert!(
        status == 200 && page.contains("Six times seven") && page.contains("The old harbour"),
        "{status} {page}"
    );
    assert_eq!(
        scene.page(host, "/images/a/ab/Boat.png").await,
        (200, "a boat".to_owned())
    );
    let verified = scene.on_site(host, "site.verify", json!({})).await;
    assert_eq!(verified["changes"], json!([]), "{verified:#}");
    assert_eq!((scene.rows(named), scene.standing(named).await), before);
    scene.hub.succeeds(&scene.hub.delete(host).await).await;
    for statement in [
        format!("DROP DATABASE {named}"),
        format!("DROP ROLE {named}"),
    ] {
        scene.run("postgres", &statement).await;
    }
    std::fs::remove_dir_all(folder).expect("removed");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_role_that_is_gone_another_password_and_a_right_that_was_taken_are_mended_and_nobody_elses_are()
 {
    let scene = Scene::new(|stack| stack).await;
    let host = "mended.kolga.test";
    let database = scene.install(host, "php").await;
    let mut own = scene.way(host).connect().await.expect("let in");
    own.execute(FILLING).await.expect("filled");
    drop(own);
    let (filled, whole) = (scene.rows(&database), scene.standing(&database).await);
    let verify = async || scene.on_site(host, "site.verify", json!({})).await;
    let changed = |verified: &Value| -> Vec<String> {
        let changes = verified["changes"].as_array().expect("a list").iter();
        let what = changes.map(|change| change["what"].as_str().expect("a text").to_owned());
        what.collect()
    };
    for (statement, wanted) in [
        (
            "ALTER ROLE {k} PASSWORD 'another'",
            "password of the database user",
        ),
        ("ALTER ROLE {k} NOLOGIN", "database user"),
        (
            "REVOKE CONNECT ON DATABASE {k} FROM {k}",
            "rights of the database user",
        ),
        (
            "GRANT CONNECT ON DATABASE {k} TO PUBLIC",
            "rights of the database user",
        ),
        (
            "ALTER DATABASE {k} OWNER TO CURRENT_USER",
            "rights of the database user",
        ),
    ] {
        scene
            .run("postgres", &statement.replace("{k}", &database))
            .await;
        let verified = verify().await;
        assert_eq!(changed(&verified), [wanted], "{statement}: {verified:#}");
        assert_eq!(verified["problems"], json!([]), "{statement}: {verified:#}");
        scene.way(host).connect().await.expect("let in again");
        let (now, ..) = scene.standing(&database).await;
        let plain = |text: &str| text.split(" SCRAM").next().map(str::to_owned);
        assert_eq!(plain(&now), plain(&whole.0), "{statement}");
    }

    // Who drops a role has to give what it owns to somebody.
    for statement in ["REASSIGN OWNED BY {k} TO CURRENT_USER", "DROP OWNED BY {k}"] {
        scene
            .run(&database, &statement.replace("{k}", &database))
            .await;
    }
    let drop_role = format!("DROP OWNED BY {database}; DROP ROLE {database}");
    scene.run("kolga_roles", &drop_role).await;
    let verified = verify().await;
    assert_eq!(changed(&verified), ["database user"], "{verified:#}");
    let mut own = scene.way(host).connect().await.expect("let in again");
    assert!(
        own.execute("SELECT * FROM notes").await.is_err(),
        "it is another's"
    );
    drop(own);
    let verified = verify().await;
    let told = verified["problems"].to_string();
    assert!(
        changed(&verified).is_empty() && told.contains("postgresql-own.sql"),
        "{verified:#}"
    );
    let given = Command::new("/usr/bin/psql")
        .args(["--no-psqlrc", "-v"])
        .arg(format!("account={}", scene.stack.text("/user")))
        .args([
            "-f",
            concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/postgresql-own.sql"),
            "-d",
        ])
        .arg(scene.url(&database))
        .output()
        .expect("psql runs");
    assert!(given.status.success(), "{given:?}");
    let verified = verify().await;
    assert_eq!(
        (&verified["changes"], &verified["problems"]),
        (&json!([]), &json!([])),
        "{verified:#}"
    );
    let mut own = scene.way(host).connect().await.expect("let in");
    own.execute("SELECT * FROM notes")
        .await
        .expect("its own again");
    drop(own);
    assert_eq!(scene.rows(&database), filled);

    // One of the same name that is somebody else's is none to be mended.
    let named = |text: &str| text.replace("{k}", &database);
    scene
        .run(
            "postgres",
            &named("CREATE ROLE stranger_owner; ALTER DATABASE {k} OWNER TO stranger_owner"),
        )
        .await;
    let before = scene.standing(&database).await;
    let task = json!({"kind": "site.verify", "params": {}});
    let task = Request::post(&format!("/v1/sites/{host}/tasks"), task);
    let ended = scene.hub.ended(&scene.hub.ask(&task).await).await;
    let told = format!(
        "{:?}",
        scene.hub.log(ended["id"].as_str().expect("an id")).await
    );
    assert!(told.contains("who is no administrator"), "{ended:#} {told}");
    assert_eq!(scene.standing(&database).await, before);
    scene
        .run(
            "postgres",
            &named("ALTER DATABASE {k} OWNER TO {k}; DROP ROLE stranger_owner"),
        )
        .await;
    scene.end(&[host]).await;
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

/// The server's pg_hba.conf, for as long as this is there.
struct Lines {
    stack: Stack,
    file: PathBuf,
    was: String,
}

impl Lines {
    fn new(stack: &Stack) -> Self {
        let file = PathBuf::from(stack.text("/dir")).join("postgres/data/pg_hba.conf");
        let was = std::fs::read_to_string(&file).expect("read");
        Self {
            stack: stack.clone(),
            file,
            was,
        }
    }

    /// By a rename, since the server may read them at any moment.
    fn write(&self, lines: &str) {
        let aside = self.file.with_extension("new");
        std::fs::write(&aside, lines).expect("written");
        self.stack.give(&aside);
        std::fs::rename(aside, &self.file).expect("in its place");
    }

    /// Those of docs/OPERATIONS.md for a spoke at this address, and for the test itself.
    async fn put(&self, spoke: &str) {
        self.write(&format!(
            "local all all reject\nhost all kolga 127.0.0.1/32 scram-sha-256\n\
             host all kolga-remote 127.0.0.1/32 scram-sha-256\nhost sameuser +kolga-remote_sites {spoke} scram-sha-256\n"
        ));
        self.read_anew().await;
    }

    async fn read_anew(&self) {
        let mut server = postgresql(&self.stack, "postgres").await;
        let asked = "SELECT pg_reload_conf()";
        server.execute(asked).await.expect("it reads its lines");
    }

    /// Those that were there, which let the site in.
    async fn back(self, site: &PgConnectOptions) {
        self.write(&self.was);
        self.read_anew().await;
        until(
            "the lines are as before",
            Duration::from_secs(10),
            async || site.connect().await.ok().map(drop),
        )
        .await;
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.write(&self.was);
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_postgresql_on_another_machine_serves_the_sites_of_its_own_spoke_and_of_no_other() {
    let scene = Scene::new(|stack| stack.with_remote_database(SERVER)).await;
    let lines = Lines::new(&scene.stack);
    lines.put("127.0.0.1/32").await;
    let check = || {
        let checked = command(&scene.stack, SERVER, &["check"]);
        String::from_utf8_lossy(&checked.stdout).into_owned()
    };
    let account = |said: &str| -> String {
        let line = said
            .lines()
            .find(|line| line.contains("PostgreSQL account"));
        line.expect("it tells of it").to_owned()
    };
    let said = account(&check());
    assert!(said.contains("may make databases and users"), "{said}");
    let (host, new) = ("far.kolga.test", "further.kolga.test");
    let first = scene.install(host, "php").await;
    let mut own = scene.way(host).connect().await.expect("let in");
    own.execute(FILLING).await.expect("filled");
    drop(own);
    let filled = scene.rows(&first);
    scene.on_site(host, "site.backup", json!({})).await;
    let moved = scene
        .on_site(host, "site.migrate", json!({"host": new}))
        .await;
    let second = moved["database"].as_str().expect("one");
    assert_eq!(scene.rows(second), filled);
    let lost = format!("ALTER ROLE {second} PASSWORD 'another'");
    scene.run("postgres", &lost).await;
    let verified = scene.on_site(new, "site.verify", json!({})).await;
    let changed = &verified["changes"][0]["what"];
    assert_eq!(changed, "password of the database user", "{verified:#}");

    // What is kept of a password cannot be told from another's, and it is let in to its own and nowhere else.
    let (standing, ..) = scene.standing(second).await;
    assert!(standing.contains("SCRAM-SHA-256$"), "{standing}");
    let no_line = async |way: PgConnectOptions| {
        let refused = way.connect().await.expect_err("no line lets it in");
        let refused = refused.to_string();
        assert!(refused.contains("no pg_hba.conf entry"), "{refused}");
    };
    no_line(scene.way(new).database("postgres")).await;
    // A site of a spoke that is elsewhere.
    let other = "k_of_another_spoke";
    let named = |text: &str| {
        text.replace("{k}", other)
            .replace("{user}", scene.stack.text("/user"))
    };
    scene
        .run(
            "postgres",
            &named("CREATE ROLE {k} LOGIN PASSWORD 'mine' IN ROLE \"{user}_sites\""),
        )
        .await;
    scene
        .run("postgres", &named("CREATE DATABASE {k} OWNER {k}"))
        .await;
    let theirs = scene.way(new).username(other).password("mine");
    no_line(theirs.database(other)).await;
    for statement in ["DROP DATABASE {k}", "DROP ROLE {k}"] {
        scene.run("postgres", &named(statement)).await;
    }

    // The lines are for another address than the spoke's: it is said, and nothing is changed for that.
    lines.put("10.9.9.9/32").await;
    until("the lines are read", Duration::from_secs(10), async || {
        scene.way(new).connect().await.is_err().then_some(())
    })
    .await;
    let said = account(&check());
    assert!(said.contains("needs a line for the group"), "{said}");
    let before = scene.standing(second).await;
    let task = json!({"kind": "site.verify", "params": {}});
    let task = Request::post(&format!("/v1/sites/{new}/tasks"), task);
    let task = scene.hub.ask(&task).await;
    assert_eq!(scene.hub.ended(&task).await["state"], "failed");
    let told = scene.hub.log(&task).await.join("\n");
    assert!(told.contains("its pg_hba.conf needs a line"), "{told}");
    assert_eq!(scene.standing(second).await, before);
    lines.back(&scene.way(new)).await;
    scene.end(&[new]).await;
}
