//! A PostgreSQL on another machine, with lines of pg_hba.conf for each web server, over TLS and with somebody in between.

use kolga_tests::hub::Request;
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
use kolga_tests::world::{clear, offer_tls, postgresql};
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};
use std::path::PathBuf;
use std::time::Duration;

use super::over_tls::{SAID, checked, reached, tapped};
use super::scene::{FILLING, Scene};

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
             hostssl all kolga-remote 127.0.0.1/32 scram-sha-256\nhostssl sameuser +kolga-remote_sites {spoke} scram-sha-256\n"
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
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    offer_tls(&stack, false).await;
    let (right, other) = (stack.authority(), stack.other_authority());
    let clear_way = tapped(&stack);
    let said = checked(&reached(&stack, &clear_way, None));
    assert!(said.contains("may make databases and users"), "{said}");
    let words = [SAID[0], SAID[1], SAID[3], SAID[5]];
    assert_eq!(clear_way.heard(&words), words, "it is able to hear");
    let between = tapped(&stack);
    let said = checked(&reached(&stack, &between, Some(&right)));
    assert!(said.contains("does not support TLS"), "{said}");
    offer_tls(&stack, true).await;
    let said = checked(&reached(&stack, &between, Some(&other)));
    let words = format!("signed by no authority in {}", other.display());
    assert!(said.contains(&words), "{said}");

    let scene = Scene::new(|stack| reached(&stack, &between, Some(&right))).await;
    let lines = Lines::new(&scene.stack);
    lines.put("127.0.0.1/32").await;
    let check = || checked(&scene.stack);
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
    let kept = scene.on_site(host, "site.backup", json!({})).await;
    let backup = json!({"backup": kept["backup"]});
    let restored = scene.on_site(host, "site.restore", backup).await;
    assert_eq!(
        scene.rows(restored["database"].as_str().expect("one")),
        filled
    );
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

    // The server offers TLS, and somebody takes that out of what it says.
    between.strip(true);
    let (status, body) = scene.page(new, "/").await;
    assert!(status >= 500 && between.stripped() == 1, "{status}: {body}");
    let said = checked(&scene.stack);
    assert!(said.contains("takes TLS out"), "{said}");
    between.strip(false);
    let (status, body) = scene.page(new, "/").await;
    assert_eq!(status, 200, "{body}");

    // The lines are for another address than the spoke's: it is said, and nothing is changed for that. The site is switched
    // off, or the task would wait for its page for long.
    scene.on_site(new, "site.disable", json!({})).await;
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
    let ended = scene.hub.ended(&task).await;
    assert_eq!(ended["output"]["changes"], json!([]), "{ended:#}");
    let told = scene.hub.log(&task).await.join("\n");
    assert!(told.contains("its pg_hba.conf needs a line"), "{told}");
    assert_eq!(scene.standing(second).await, before);
    lines.back(&scene.way(new)).await;
    scene.end(&[new]).await;
    offer_tls(&stack, false).await;
    let (bytes, stripped) = (between.bytes(), between.stripped());
    println!("{bytes} bytes went by, {stripped} requests for TLS were answered with no");
    assert!(bytes > 100_000, "all went this way");
    assert_eq!(between.heard(&SAID), [""; 0], "in the clear");
}
