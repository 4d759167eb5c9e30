//! What `site.verify` mends of a site's role, password and rights.

use kolga_tests::hub::Request;
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Executor as _};
use std::process::Command;

use super::scene::{FILLING, Scene};

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
