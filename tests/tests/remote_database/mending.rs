//! What `site.verify` mends of a site's user in MariaDB, on another machine and on its own.

use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::{clear, maria};
use serde_json::json;
use sqlx::AssertSqlSafe;

use super::{on_site, users};

/// What an administrator may have done to a site's user, and what of it is told.
const DISTURBED: &[(&[&str], &[&str])] = &[
    (
        &["ALTER USER {k} IDENTIFIED VIA unix_socket"],
        &["password of the database user"],
    ),
    (&["ALTER USER {k} ACCOUNT LOCK"], &["database user"]),
    (
        &[
            "ALTER USER {k} IDENTIFIED BY 'another' ACCOUNT LOCK",
            "REVOKE SELECT ON {on} FROM {k}",
        ],
        &[
            "rights of the database user",
            "password of the database user",
        ],
    ),
    (&["DROP USER {k}"], &["database user"]),
];

/// Whatever somebody does to the user of this site of a plain PHP is mended, and what may be somebody else's is not touched.
pub(super) async fn are_mended(hub: &Hub, stack: &Stack, host: &str) {
    let all = users(stack).await;
    let named = format!("k_{}_", host.replace('.', "_"));
    let own = all.iter().find(|(user, _)| user.starts_with(&named));
    let (database, from) = own.expect("it has one");
    let (user, on) = (
        format!("`{database}`@`{from}`"),
        format!("`{}`.*", database.replace('_', "\\_")),
    );
    let mut root = maria(stack).await;
    let mut run = async |statement: &str| {
        let statement = statement.replace("{k}", &user).replace("{on}", &on);
        let done = sqlx::raw_sql(AssertSqlSafe(statement.clone()));
        done.execute(&mut root).await.expect(&statement);
    };
    let standing = async || {
        let mut root = maria(stack).await;
        let mut lines = Vec::new();
        for asked in ["SHOW CREATE USER", "SHOW GRANTS FOR"] {
            let asked = AssertSqlSafe(format!("{asked} {user}"));
            let told = sqlx::query_scalar::<_, String>(asked);
            lines.extend(told.fetch_all(&mut root).await.expect("told"));
        }
        lines
    };
    let verify = async || on_site(hub, host, "site.verify", json!({})).await;
    let nothing = json!([]);
    let (whole, others) = (standing().await, users(stack).await);
    for (statements, wanted) in DISTURBED {
        for statement in *statements {
            run(statement).await;
        }
        let verified = verify().await;
        let changes = verified["changes"].as_array().expect("a list").iter();
        let changes: Vec<&str> = changes
            .filter_map(|change| change["what"].as_str())
            .collect();
        assert_eq!(changes, *wanted, "{statements:?}: {verified:#}");
        assert_eq!(
            verified["problems"], nothing,
            "{statements:?}: {verified:#}"
        );
        // The password is the site's again, and nothing that was kept for going back is left.
        assert_eq!(standing().await, whole, "{statements:?}");
        assert_eq!(users(stack).await, others, "{statements:?}");
    }

    // One who has rights elsewhere may be somebody else.
    run("ALTER USER {k} IDENTIFIED BY 'theirs'").await;
    run("GRANT SELECT ON mysql.* TO {k}").await;
    let before = standing().await;
    let task = json!({"kind": "site.verify", "params": {}});
    let task = Request::post(&format!("/v1/sites/{host}/tasks"), task);
    let ended = hub.ended(&hub.ask(&task).await).await;
    let log = hub.log(ended["id"].as_str().expect("an id")).await;
    let told = format!("{log:?}");
    assert!(
        ended["state"] == "failed" && told.contains("that would be the site's with it"),
        "{ended:#} {told}"
    );
    assert_eq!(standing().await, before);
    run("REVOKE SELECT ON mysql.* FROM {k}").await;
    verify().await;
    assert_eq!(standing().await, whole);
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_sites_user_in_the_servers_own_mariadb_is_mended_and_nobody_elses_is() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
    let host = "mended.kolga.test";
    hub.succeeds(&hub.install(SERVER, host, "php", None).await)
        .await;
    are_mended(&hub, &stack, host).await;
    hub.succeeds(&hub.delete(host).await).await;
    assert_eq!(users(&stack).await, []);
    worker.stop().await;
}
