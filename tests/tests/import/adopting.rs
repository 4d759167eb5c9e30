//! A spoke comes to another hub: the new one takes over what lies there, and nothing on the spoke is changed by it.

use kolga_tests::hub::{Hub, Settings};
use kolga_tests::scenario::{self, SERVER};
use kolga_tests::stack::Stack;
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::{Watcher, World, clear};
use serde_json::{Value, json};

const BLOG: &str = "taken-over.kolga.test";
const PAGE: &str = "page.kolga.test";

async fn import(hub: &Hub, host: &str, check: bool) -> Value {
    let path = format!("/v1/sites/{host}/import");
    let body = json!({"server": SERVER, "check": check});
    let made = hub.post(&path, &body).await;
    let task = made["task"]["id"].as_str().expect("an id");
    hub.ended(task).await
}

/// Files, databases, users and answers, without what each run leaves in the worker's own book-keeping.
async fn world(stack: &Stack) -> World {
    let world = Watcher::new(stack, SERVER, &[BLOG, PAGE]).rest().await;
    let own = ["journal.sqlite", "process", "descriptor", "queue", "cgroup"];
    world.only(|name| !own.iter().any(|part| name.contains(part)))
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn another_hub_takes_over_what_lies_on_a_spoke_and_changes_nothing_there() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    // Sites' regular work would write in between.
    let stack = stack.with_setting(SERVER, "cron", "enabled", false.into());
    let first = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
    scenario::platform(&first).await;
    let task = first.install(SERVER, BLOG, "wordpress", Some("wp")).await;
    first.succeeds(&task).await;
    let task = first.install(SERVER, PAGE, "static", None).await;
    first.succeeds(&task).await;
    let names = json!({"site": PAGE, "redirect": ["old.page.kolga.test"]});
    first
        .succeeds(&first.task(SERVER, "site.names", names).await)
        .await;
    let off = json!({"site": PAGE});
    first
        .succeeds(&first.task(SERVER, "site.disable", off).await)
        .await;
    // It is gone, with all that it knew.
    drop(first);
    worker.rests().await;
    let before = world(&stack).await;
    assert!(before.len() > 100, "there is something to change");

    let second = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let inventory = second.task(SERVER, "server.inventory", json!({})).await;
    second.succeeds(&inventory).await;
    let told = second
        .get(&format!("/v1/tasks/{inventory}/inventory"))
        .await;
    let told = told["differences"].to_string();
    assert!(
        told.contains(BLOG) && told.contains("kolga site import"),
        "{told}"
    );

    let looked = import(&second, BLOG, true).await;
    assert_eq!(looked["output"]["checked"], true, "{looked:#}");
    let (status, _) = second
        .request("GET", &format!("/v1/sites/{BLOG}"), None)
        .await;
    assert_eq!(status, 404, "it was only looked at");
    for host in [BLOG, PAGE] {
        let imported = import(&second, host, false).await;
        assert_eq!(imported["state"], "succeeded", "{imported:#}");
        assert_eq!(imported["output"]["problems"], json!([]), "{imported:#}");
    }
    worker.rests().await;
    let changed = before.difference(&world(&stack).await);
    assert!(changed.is_empty(), "{changed:#?}");

    let blog = second.get(&format!("/v1/sites/{BLOG}")).await;
    assert_eq!(blog["platform"], "wp", "{blog:#}");
    assert_eq!(blog["condition"], "ready", "{blog:#}");
    let platform = second.get(&format!("/v1/platforms/{SERVER}/wp")).await;
    assert_eq!(platform["condition"], "ready", "{platform:#}");
    assert!(platform["version"].is_string(), "{platform:#}");
    let page = second.get(&format!("/v1/sites/{PAGE}")).await;
    assert_eq!(page["enabled"], false, "{page:#}");
    assert_eq!(
        page["redirects"],
        json!(["old.page.kolga.test"]),
        "{page:#}"
    );

    // They are its own now.
    let verified = second
        .task(SERVER, "site.verify", json!({"site": BLOG}))
        .await;
    let verified = second.succeeds(&verified).await;
    assert_eq!(verified["output"]["changes"], json!([]), "{verified:#}");
    for host in [BLOG, PAGE] {
        second.succeeds(&second.delete(host).await).await;
    }
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_not_the_site_of_the_book_is_told_all_at_once_and_not_taken_over() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
    let unknown = import(&hub, "nobody.kolga.test", false).await;
    assert_eq!(unknown["state"], "failed", "{unknown:#}");
    let task = hub.install(SERVER, BLOG, "php", None).await;
    hub.succeeds(&task).await;
    hub.post(&format!("/v1/sites/{BLOG}/hand_over"), &json!({}))
        .await;
    let state = stack.spoke(SERVER, "state_dir");
    let mark = stack
        .spoke(SERVER, "sites_root")
        .join(BLOG)
        .join(".kolga-owner");
    std::fs::write(&mark, "somebody else").expect("another mark");
    std::fs::remove_file(state.join("secrets").join(format!("{BLOG}.json"))).expect("it has some");
    let config = stack.spoke(SERVER, "config");
    let vhosts = config.parent().expect("a folder").join("conf/sites.d");
    let vhost = vhosts.join(format!("{BLOG}.conf"));
    std::fs::write(&vhost, "# mine\n").expect("another vhost");
    let before = world(&stack).await;
    for check in [true, false] {
        let failed = import(&hub, BLOG, check).await;
        assert_eq!(failed["state"], "failed", "{failed:#}");
        let said = failed["failure"]["message"].as_str().expect("a reason");
        for part in [
            "not the folder",
            "secrets are gone",
            "was not written by Kolga",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let (status, _) = hub.request("GET", &format!("/v1/sites/{BLOG}"), None).await;
        assert_eq!(status, 404);
    }
    worker.rests().await;
    let changed = before.difference(&world(&stack).await);
    assert!(changed.is_empty(), "{changed:#?}");
    worker.stop().await;
    clear(&stack, SERVER).await;
}
