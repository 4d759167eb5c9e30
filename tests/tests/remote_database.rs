//! Sites whose database server is, as it seems to their spoke, on another machine: reached by address and password, not
//! over a socket. Everything that touches a database goes there, and a site's user is let in from its own spoke alone.

use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::scenario::{self, SERVER, wiki_platform};
use kolga_tests::stack::Stack;
use kolga_tests::worker::{Orders, Worker, command};
use kolga_tests::world::{clear, maria};
use serde_json::{Value, json};
use sqlx::Row as _;

async fn on_site(hub: &Hub, host: &str, kind: &str, params: Value) {
    let body = json!({"kind": kind, "params": params});
    let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
    hub.succeeds(&hub.ask(&request).await).await;
}

/// The users that sites have, each with the machine that it may come from.
async fn users(stack: &Stack) -> Vec<(String, String)> {
    let all = "SELECT user, host FROM mysql.user WHERE user LIKE 'k\\_%' ORDER BY user";
    let rows = sqlx::query(all).fetch_all(&mut maria(stack).await).await;
    let text = |row: &sqlx::mysql::MySqlRow, at| row.get_unchecked::<String, _>(at);
    let rows = rows.expect("a list");
    rows.iter()
        .map(|row| (text(row, 0), text(row, 1)))
        .collect()
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_database_on_another_machine_serves_sites_through_their_whole_life() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let stack = stack.with_remote_database(SERVER);
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
    let checked = command(&stack, SERVER, &["check"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.contains("may make databases and users"), "{said}");

    scenario::platform(&hub).await;
    wiki_platform(&hub, &stack).await;
    let sites = [
        ("php.kolga.test", "php", None),
        ("blog.kolga.test", "wordpress", Some("wp")),
        ("wiki.kolga.test", "mediawiki", Some("mw")),
    ];
    // Each answers over HTTP before its installation counts, and asks its database for that.
    for (host, profile, platform) in sites {
        hub.succeeds(&hub.install(SERVER, host, profile, platform).await)
            .await;
    }
    let made = users(&stack).await;
    assert_eq!(made.len(), sites.len(), "{made:?}");
    assert!(made.iter().all(|(_, from)| from == "127.0.0.1"), "{made:?}");

    on_site(&hub, "php.kolga.test", "site.verify", json!({})).await;
    on_site(&hub, "blog.kolga.test", "site.backup", json!({})).await;
    on_site(
        &hub,
        "blog.kolga.test",
        "site.clone",
        json!({"to": "copy.kolga.test"}),
    )
    .await;
    on_site(
        &hub,
        "copy.kolga.test",
        "site.migrate",
        json!({"host": "moved.kolga.test"}),
    )
    .await;
    let now = users(&stack).await;
    let is_of = |site: &str| now.iter().any(|(user, _)| user.starts_with(site));
    assert!(
        is_of("k_moved_kolga_test_") && !is_of("k_copy_kolga_test_"),
        "{now:?}"
    );

    for host in [
        "php.kolga.test",
        "blog.kolga.test",
        "wiki.kolga.test",
        "moved.kolga.test",
    ] {
        hub.succeeds(&hub.delete(host).await).await;
    }
    assert_eq!(users(&stack).await, []);
    worker.stop().await;
}
