//! A PostgreSQL on another machine, with lines of pg_hba.conf for each web server.

use kolga_tests::hub::Request;
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
use kolga_tests::worker::command;
use kolga_tests::world::postgresql;
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};
use std::path::PathBuf;
use std::time::Duration;

use super::scene::{FILLING, Scene};

/// The server's pg_hba.conf, for as long as this is there.
pub struct Lines {
    stack: Stack,
    file: PathBuf,
    was: String,
}

impl Lines {
    pub fn new(stack: &Stack) -> Self {
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
        self.put_for("host", spoke).await;
    }

    /// The same for connections of this sort: `host`, or `hostssl` for those over TLS alone.
    pub async fn put_for(&self, sort: &str, spoke: &str) {
        self.write(&format!(
            "local all all reject\nhost all kolga 127.0.0.1/32 scram-sha-256\n\
             {sort} all kolga-remote 127.0.0.1/32 scram-sha-256\n{sort} sameuser +kolga-remote_sites {spoke} scram-sha-256\n"
        ));
        self.read_anew().await;
    }

    async fn read_anew(&self) {
        let mut server = postgresql(&self.stack, "postgres").await;
        let asked = "SELECT pg_reload_conf()";
        server.execute(asked).await.expect("it reads its lines");
    }

    /// Those that were there, which let the site in.
    pub async fn back(self, site: &PgConnectOptions) {
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
