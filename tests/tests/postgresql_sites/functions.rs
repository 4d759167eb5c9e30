//! A server that lacks functions of deploy/postgresql.sql, or has them as another release brought them: it is told by
//! `kolga-worker check` and by `server.verify`, with the command that mends it; what needs a function that is not there is refused
//! before anything is touched; and that very command puts them there again.

use std::process::Command;

use kolga_tests::hub::Request;
use kolga_tests::scenario::SERVER;
use kolga_tests::worker::command;
use serde_json::{Value, json};

use super::scene::Scene;

/// Runs what the check says, at the test's end at the latest: other tests need the functions, too.
struct Administrator {
    url: String,
    account: String,
}

impl Administrator {
    fn runs_the_file(&self) {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/postgresql.sql");
        // The stack has another account besides, for servers elsewhere: what was dropped was granted to it, too.
        for account in [&*self.account, "kolga-remote"] {
            let done = Command::new("/usr/bin/psql")
                .args(["--no-psqlrc", "--quiet", "-d", &self.url, "-v"])
                .arg(format!("account={account}"))
                .args(["-f", file])
                .output()
                .expect("psql runs");
            assert!(done.status.success(), "{done:?}");
        }
    }
}

impl Drop for Administrator {
    fn drop(&mut self) {
        self.runs_the_file();
    }
}

impl Scene {
    /// What is wrong, by the spoke's own command.
    fn wrong(&self) -> Vec<(String, String)> {
        let told = command(&self.stack, SERVER, &["check", "--json"]);
        let checks: Vec<Value> = serde_json::from_slice(&told.stdout)
            .unwrap_or_else(|error| panic!("{error}: {told:?}"));
        let failed = checks.iter().filter(|check| check["passed"] == false);
        let text = |check: &Value, key: &str| check[key].as_str().expect("a text").to_owned();
        failed
            .map(|check| (text(check, "name"), text(check, "detail")))
            .collect()
    }

    /// Why it was refused before its first step.
    fn refused(ended: &Value) -> String {
        assert_eq!(ended["state"], "failed", "{ended:#}");
        let failure = &ended["failure"];
        assert_eq!(failure["step"], Value::Null, "{failure:#}");
        failure["message"].as_str().expect("why").to_owned()
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn functions_that_are_missing_or_of_another_release_are_told_and_what_needs_one_is_refused_untouched()
 {
    let scene = Scene::new(|stack| stack).await;
    let config = std::fs::read_to_string(scene.stack.spoke(SERVER, "config")).expect("text");
    let config: toml::Table = config.parse().expect("TOML");
    let account = config["postgresql"]["user"].as_str().expect("an account");
    let administrator = Administrator {
        url: scene.url("postgres"),
        account: account.to_owned(),
    };
    let remedy = format!("psql -d postgres -v account={account} -f deploy/postgresql.sql");
    let (host, other) = ("whole.kolga.test", "other.kolga.test");
    let database = scene.install(host, "php").await;
    assert_eq!(scene.wrong(), []);
    let whole = (scene.all().await, scene.standing(&database).await);
    let task = async |kind: &str| {
        let body = json!({"kind": kind, "params": {}});
        let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
        scene.hub.ended(&scene.hub.ask(&request).await).await
    };

    // One of another release is told, and used.
    scene
        .run(
            "kolga_roles",
            "CREATE OR REPLACE FUNCTION kolga.let_in(name text, may boolean) RETURNS boolean
             LANGUAGE sql AS 'SELECT false'",
        )
        .await;
    let wrong = scene.wrong();
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
    assert_eq!(wrong[0].0, "PostgreSQL functions");
    let why = &wrong[0].1;
    assert!(
        why.starts_with("let_in in") && why.contains(&remedy),
        "{why}"
    );

    let mut refused = 0;
    let mut lacks = async |function: &str, ended: &Value| {
        let why = Scene::refused(ended);
        assert!(why.contains(function) && why.contains(&remedy), "{why}");
        assert_eq!((scene.all().await, scene.standing(&database).await), whole);
        refused += 1;
        println!("{why}");
    };
    scene
        .run(
            "kolga_roles",
            "DROP FUNCTION kolga.make_role(text, text, text)",
        )
        .await;
    let ended = scene
        .asked(other, "php", json!({"database": "postgresql"}))
        .await;
    lacks("kolga.make_role", &ended).await;
    assert!(!scene.stack.spoke(SERVER, "sites_root").join(other).exists());

    for function in ["drop_role(text, text)", "let_in(text, boolean)"] {
        scene
            .run("kolga_roles", &format!("DROP FUNCTION kolga.{function}"))
            .await;
    }
    lacks("PostgreSQL lacks", &task("site.delete").await).await;
    assert_eq!(scene.page(host, "/").await.0, 200, "it is there still");

    scene
        .run("kolga_roles", "DROP FUNCTION kolga.unmend(text, text)")
        .await;
    scene
        .run("postgres", &format!("ALTER ROLE {database} NOLOGIN"))
        .await;
    let locked = scene.standing(&database).await;
    let why = Scene::refused(&task("site.verify").await);
    assert!(
        why.contains("kolga.unmend") && why.contains(&remedy),
        "{why}"
    );
    assert_eq!(scene.standing(&database).await, locked);
    println!("{why}");

    let missing = ["make_role", "drop_role", "let_in", "unmend"];
    let wrong = scene.wrong();
    assert_eq!(wrong.len(), 1, "{wrong:#?}");
    let verified = scene.hub.task(SERVER, "server.verify", json!({})).await;
    let verified = scene.hub.ended(&verified).await;
    assert_eq!(verified["state"], "failed", "{verified:#}");
    let told = verified["failure"]["message"].as_str().expect("why");
    for why in [&*wrong[0].1, told] {
        assert!(
            missing.iter().all(|it| why.contains(it)) && why.contains(&remedy),
            "{why}"
        );
    }
    println!("{told}; {} tasks were refused", refused + 1);

    administrator.runs_the_file();
    assert_eq!(scene.wrong(), []);
    let mended = scene.on_site(host, "site.verify", json!({})).await;
    assert_eq!(mended["problems"], json!([]), "{mended:#}");
    scene.end(&[host]).await;
}
