//! What these tests share: a system, and the server of databases as it is seen from beside.

use kolga_protocol::seal::Opener;
use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::{clear, postgresql};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor as _};
use std::process::{Command, Stdio};

pub struct Scene {
    pub stack: Stack,
    pub hub: Hub,
    pub worker: Worker,
}

impl Scene {
    pub async fn new(change: impl FnOnce(Stack) -> Stack) -> Self {
        let stack = Stack::load();
        clear(&stack, SERVER).await;
        let stack = change(stack);
        let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
        let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
        Self { stack, hub, worker }
    }

    /// Asks for a site, with these options.
    pub async fn asked(&self, host: &str, profile: &str, options: Value) -> Value {
        let platform = (profile == "mediawiki").then_some("mw");
        let site = json!({
            "host": host, "server": SERVER, "profile": profile, "platform": platform, "aliases": [],
            "options": options,
        });
        let task = self.hub.ask(&Request::post("/v1/sites", site)).await;
        self.hub.ended(&task).await
    }

    /// Installs one whose data are in PostgreSQL; its database.
    pub async fn install(&self, host: &str, profile: &str) -> String {
        let ended = self
            .asked(host, profile, json!({"database": "postgresql"}))
            .await;
        assert_eq!(ended["state"], "succeeded", "{ended:#}");
        let database = ended["output"]["database"].as_str();
        database.expect("a database").to_owned()
    }

    pub async fn on_site(&self, host: &str, kind: &str, params: Value) -> Value {
        let body = json!({"kind": kind, "params": params});
        let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
        let task = self.hub.ask(&request).await;
        self.hub.succeeds(&task).await["output"].clone()
    }

    pub async fn run(&self, database: &str, statement: &str) {
        let mut server = postgresql(&self.stack, database).await;
        let done = server.execute(AssertSqlSafe(statement.to_owned())).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Every row, table, view, function and trigger, as text.
    pub fn rows(&self, database: &str) -> String {
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
    pub fn url(&self, database: &str) -> String {
        let url = self.stack.text("/postgres_url");
        let (server, _) = url.rsplit_once('/').expect("a database at the end");
        format!("{server}/{database}")
    }

    /// Sums over a wiki's tables that visits do not change.
    pub async fn pages(&self, database: &str) -> Vec<String> {
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
    pub async fn log_in(&self, host: &str) -> String {
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
    pub fn cron(&self, host: &str) {
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
    pub async fn standing(&self, database: &str) -> (String, Option<String>, Option<String>) {
        let mut server = postgresql(&self.stack, "postgres").await;
        let asked = "SELECT concat_ws(' ', pg_get_userbyid(d.datdba), d.datacl, r.rolcanlogin, r.rolpassword),
                            shobj_description(d.oid, 'pg_database'), shobj_description(r.oid, 'pg_authid')
                       FROM pg_database d JOIN pg_authid r ON r.rolname = d.datname WHERE d.datname = $1";
        let row = sqlx::query_as(asked).bind(database).fetch_one(&mut server);
        row.await.expect("both are there")
    }

    /// Databases and roles of sites.
    pub async fn all(&self) -> Vec<String> {
        let asked = "SELECT 'database ' || datname AS name FROM pg_database WHERE datname LIKE 'k\\_%'
                      UNION ALL SELECT 'role ' || rolname FROM pg_roles WHERE rolname LIKE 'k\\_%' ORDER BY name";
        let mut server = postgresql(&self.stack, "postgres").await;
        let names = sqlx::query_scalar(asked).fetch_all(&mut server).await;
        names.expect("a list")
    }

    pub async fn page(&self, host: &str, path: &str) -> (u16, String) {
        self.page_as(host, path, "").await
    }

    pub async fn page_as(&self, host: &str, path: &str, cookies: &str) -> (u16, String) {
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
    pub fn way(&self, host: &str) -> PgConnectOptions {
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

    pub async fn end(self, hosts: &[&str]) {
        for host in hosts {
            self.hub.succeeds(&self.hub.delete(host).await).await;
        }
        assert_eq!(self.all().await, Vec::<String>::new(), "nothing is left");
        self.worker.stop().await;
    }
}

/// What an application has: types of every sort, something that reacts, and letters that mean something elsewhere.
pub const FILLING: &str = "
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
