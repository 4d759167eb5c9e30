//! Moves whose hub or spokes die in their middle, and that somebody cancels: the site is on one of the two servers, whole, and
//! never on both.

use std::time::Duration;

use kolga_tests::hub::{Settings, TASK};
use kolga_tests::wait::{HUB, until, until_every};
use serde_json::{Value, json};

use super::scene::{FROM, HEALTHY, Scene, TO};

/// How long it may take until somebody is killed who is to be.
const FIRED: Duration = Duration::from_secs(60);

fn patient() -> Settings {
    Settings {
        attempts: 3,
        ..Settings::default()
    }
}

/// Where a PHP site is told to be by chance: the other of the two.
fn other(server: &str) -> &'static str {
    if server == FROM { TO } else { FROM }
}

/// Kills the hub at a point in each stage, again and again, until the move is over; how often.
async fn kill_hub(scene: &mut Scene, path: &str, point: &str) -> usize {
    let (mut fired, mut done) = (0, 0);
    loop {
        scene.hand.give(&format!("kill@{point}"));
        let died = until(
            "the hub is killed, or the move is over",
            FIRED,
            async || {
                if scene.hub.was_killed() {
                    return Some(true);
                }
                let (_, shown) = scene.hub.try_request("GET", path, None).await?;
                (shown["state"] == "finished").then_some(false)
            },
        )
        .await;
        scene.hand.calm();
        if !died {
            return fired;
        }
        fired += 1;
        scene.hub.start_again().await;
        let succeeded = |shown: &Value| shown["counts"]["succeeded"].as_u64().expect("a number");
        let now = succeeded(&scene.hub.get(path).await);
        assert!(now >= done, "it goes on from where it was");
        done = now;
        // So that it comes further each time, and does not only die where it died.
        until_every(HUB, "the next stage", TASK, async || {
            let shown = scene.hub.get(path).await;
            (shown["state"] == "finished" || succeeded(&shown) > done).then_some(())
        })
        .await;
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn whatever_is_killed_or_cancelled_in_the_middle_of_a_move_the_site_is_on_one_server_whole() {
    let mut scene = Scene::new(patient()).await;
    let hosts = ["one.kolga.test", "two.kolga.test", "three.kolga.test"];
    let installed = hosts.map(|host| scene.install(FROM, host, "php", None));
    futures_util::future::join_all(installed).await;
    let [host, ..] = hosts;
    // The hub, before the next stage is durable.
    let path = scene.asks(host, TO).await;
    let fired = kill_hub(&mut scene, &path, "move:marked").await;
    println!("the hub was killed {fired} times");
    assert!(fired >= 2, "only {fired} times");
    let over = scene.over(&path).await;
    assert_eq!(over["counts"]["succeeded"], 5, "{over:#}");
    scene.is_only_on(TO, host, HEALTHY).await;

    // And back, with a worker that is killed in each stage that does something.
    let path = scene.asks(host, FROM).await;
    let points = [
        (1, "applied:swap_entry"),
        (0, "restic:restored"),
        (1, "applied:trash_site"),
    ];
    // What one stage passes, a later one may pass too: the order is given when the stage before has ended.
    for (stage, (at, point)) in points.into_iter().enumerate() {
        scene.hands[at].give(&format!("kill@{point}"));
        until(&format!("killed at {point}"), FIRED, async || {
            scene.workers[at].was_killed().then_some(())
        })
        .await;
        scene.hands[at].calm();
        scene.start_again(at).await;
        println!(
            "killed at {point}, in stage {} of those that act",
            stage + 1
        );
    }
    let over = scene.over(&path).await;
    assert_eq!(over["counts"]["succeeded"], 5, "{over:#}");
    scene.is_only_on(FROM, host, HEALTHY).await;

    cancelled(&scene, hosts).await;
    held_by_itself(&scene, host).await;
    give_up(&mut scene, host).await;
    scene.end().await;
}

/// Somebody cancels three moves at once, one in each of these stages: whatever comes of it must be right.
async fn cancelled(scene: &Scene, hosts: [&str; 3]) {
    let wanted = ["target", "hold", "receive"];
    let cancelled = hosts
        .into_iter()
        .zip(wanted)
        .map(|(host, wanted)| async move {
            let path = scene.asks(host, TO).await;
            // The stage is open, and what it is about has begun or not.
            until_every(HUB, &format!("{wanted} is open"), TASK, async || {
                let shown = scene.hub.get(&path).await;
                let past = shown["stage"] == "release" || shown["finished_at"].is_number();
                (shown["stage"] == wanted || past).then_some(())
            })
            .await;
            let cancel = format!("{path}/cancel");
            let (status, told) = scene.hub.request("POST", &cancel, Some(&json!({}))).await;
            let past = told["error"]["code"] == "operation_past"
                || told["error"]["code"] == "operation_over";
            assert!(status == 200 || past, "{told}");
            let over = scene.over(&path).await;
            let moved = scene.stages(&path).await[3]["state"] == "succeeded";
            let on = if moved { TO } else { FROM };
            scene.is_only_on(on, host, HEALTHY).await;
            println!("cancelled in {wanted}: {}", over["reason"]);
            moved
        });
    let moved = futures_util::future::join_all(cancelled).await;
    let back = moved.iter().filter(|moved| !**moved).count();
    assert!(back >= 2, "{back} of 3 were taken back");
}

/// A site that was held by itself, and what nobody may do meanwhile.
async fn held_by_itself(scene: &Scene, host: &str) {
    let on = server_of(scene, host).await;
    let hold = scene.on_site(host, "site.hold", json!({})).await;
    assert_eq!(hold["state"], "succeeded", "{hold:#}");
    let path = format!("/v1/sites/{host}/tasks");
    for kind in ["site.verify", "site.disable"] {
        let wish = json!({"kind": kind, "params": {}});
        let (_, told) = scene.hub.request("POST", &path, Some(&wish)).await;
        assert_eq!(told["error"]["code"], "site_held", "{told}");
    }
    for changed in [true, false] {
        let released = scene.on_site(host, "site.release", json!({})).await;
        assert_eq!(released["output"]["changed"], changed, "{released:#}");
    }
    scene.is_only_on(&on, host, HEALTHY).await;
}

async fn server_of(scene: &Scene, host: &str) -> String {
    let site = scene.site(host).await;
    site["server"].as_str().expect("a name").to_owned()
}

/// The hub is started again, and counts a server as silent after so many seconds.
async fn has_patience(scene: &mut Scene, seconds: u32) {
    scene.hub.kill();
    scene.hub.set_silent_seconds(seconds);
    scene.hub.start_again().await;
}

/// The server that was to have the site is gone: in its middle; and past its point of no return, so that it has the site when
/// it turns out not to be gone for good.
async fn give_up(scene: &mut Scene, host: &str) {
    let on = server_of(scene, host).await;
    let (to, at) = (other(&on), usize::from(on == FROM));
    for (point, late) in [("restic:restored", false), ("finish:clear_stage", true)] {
        if late {
            has_patience(scene, 60).await;
        }
        scene.hands[at].give(&format!("kill@{point}"));
        let path = scene.asks(host, to).await;
        until(&format!("killed at {point}"), FIRED, async || {
            scene.workers[at].was_killed().then_some(())
        })
        .await;
        scene.hands[at].calm();
        // From here on two seconds without a word are long.
        has_patience(scene, 2).await;
        let cancel = format!("{path}/cancel");
        let gone = json!({"target_is_gone": true});
        until_every(HUB, "the server counts as silent", FIRED, async || {
            let (status, told) = scene.hub.request("POST", &cancel, Some(&gone)).await;
            assert!(
                status == 200 || told["error"]["code"] == "server_answers",
                "{told}"
            );
            (status == 200).then_some(())
        })
        .await;
        let over = scene.over(&path).await;
        assert_eq!(over["state"], "cancelled", "{over:#}");
        let (status, page) = scene.visitor(&on).get(host, "/").await.expect("it");
        assert!(status == 200 && page.contains(HEALTHY), "{status} {page}");

        scene.start_again(at).await;
        let stages = scene.stages(&path).await;
        let task = stages[3]["reason"].as_str().expect("it says which");
        let task = task.rsplit(' ').next().expect("an id");
        let ended = scene.hub.ended(task).await;
        assert_eq!(ended["state"] == "succeeded", late, "{ended:#}");
        until_every(HUB, "nothing of it is there", TASK, async || {
            let left = scene.folder(to, host).exists() || scene.entry(to, host).is_some();
            let tasks = scene.hub.get("/v1/tasks?limit=5").await;
            let mut tasks = tasks["items"].as_array().expect("a list").iter();
            (!left && tasks.all(|task| task["finished"] == true)).then_some(())
        })
        .await;
        scene.is_only_on(&on, host, HEALTHY).await;
        println!("given up when it was killed at {point}: the site is on {on}");
    }
}
