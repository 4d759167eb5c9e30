//! What a task bears while it runs: signals, cancels, a broker or a hub that goes and comes back.

use std::time::Duration;

use kolga_tests::hub::{Hub, Settings, broker};
use kolga_tests::scenario::{SERVER, platform};
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
use kolga_tests::worker::{Orders, Worker, command};
use kolga_tests::world::{World, clear};
use rustix::process::Signal;
use serde_json::json;

const HOST: &str = "blog.kolga.test";
const STOPPED: Duration = Duration::from_secs(60);

struct System {
    stack: Stack,
    hub: Hub,
}

impl System {
    async fn start(settings: Settings) -> Self {
        let stack = Stack::load();
        clear(&stack, SERVER).await;
        let hub = Hub::with_servers(&stack, &settings, &[SERVER]).await;
        Self { stack, hub }
    }

    async fn worker(&self) -> Worker {
        Worker::start(&self.stack, SERVER, &Orders::default()).await
    }

    async fn world(&self) -> World {
        World::of(&self.stack, SERVER, &[HOST]).await
    }

    /// A platform, and the folders that the first site of all makes and that stay.
    async fn primed(&self) {
        platform(&self.hub).await;
        let task = self.hub.install(SERVER, HOST, "static", None).await;
        self.hub.succeeds(&task).await;
        let task = self.hub.delete(HOST).await;
        self.hub.succeeds(&task).await;
    }

    async fn wordpress(&self) -> String {
        self.hub
            .install(SERVER, HOST, "wordpress", Some("wp"))
            .await
    }

    /// Waits until the hub has heard that a task is at this step.
    async fn is_at(&self, task: &str, step: &str) {
        until(&format!("task {task} is at {step}"), STOPPED, async || {
            let shown = self.hub.show(task).await;
            assert_ne!(shown["finished"], true, "too late: {shown:#}");
            (shown["step"]["name"] == step).then_some(())
        })
        .await;
    }
}

fn nothing_differs(before: &World, after: &World) {
    let left = before.difference(after);
    assert!(left.is_empty(), "left behind:\n{}", left.join("\n"));
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn two_term_signals_in_the_middle_of_the_wordpress_installer_roll_it_back() {
    let system = System::start(Settings::default()).await;
    let mut worker = system.worker().await;
    system.primed().await;
    let before = system.world().await;
    let task = system.wordpress().await;
    system.is_at(&task, "run_installer").await;
    worker.signal(Signal::TERM);
    // Two signals of one sort that come at once are one.
    until("the first is heard", STOPPED, async || {
        (worker.status()?["mood"] == "draining").then_some(())
    })
    .await;
    worker.signal(Signal::TERM);
    let status = worker.end(STOPPED).await;
    assert!(status.success(), "{status}");
    // Nobody else could have told the hub: the reports left before the worker did.
    let shown = system.hub.ended(&task).await;
    assert_eq!(shown["state"], "interrupted", "{shown:#}");
    // A worker that has ended has nothing open.
    let kept = |name: &str| !name.starts_with("descriptor ");
    nothing_differs(&before.only(kept), &system.world().await.only(kept));
    let told = command(&system.stack, SERVER, &["status"]);
    assert_eq!(told.status.code(), Some(3));
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn one_term_signal_lets_the_running_task_finish_and_takes_no_other() {
    let system = System::start(Settings::default()).await;
    let mut worker = system.worker().await;
    platform(&system.hub).await;
    let task = system.wordpress().await;
    system.is_at(&task, "run_installer").await;
    worker.signal(Signal::TERM);
    let late = system.hub.task(SERVER, "ping", json!({})).await;
    assert!(worker.end(STOPPED).await.success());
    system.hub.succeeds(&task).await;
    assert_ne!(system.hub.show(&late).await["finished"], true);
    let worker = system.worker().await;
    system.hub.succeeds(&late).await;
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_cancel_rolls_a_running_task_back_and_drops_a_waiting_one() {
    let system = System::start(Settings::default()).await;
    let worker = system.worker().await;
    system.primed().await;
    let before = system.world().await;
    let mut tasks = vec![system.wordpress().await];
    // Two heavy tasks run at once, so the third has to wait.
    for host in ["two.kolga.test", "three.kolga.test"] {
        let task = system.hub.install(SERVER, host, "wordpress", Some("wp"));
        tasks.push(task.await);
    }
    system.is_at(&tasks[0], "run_installer").await;
    assert_eq!(
        system.hub.reaches(&tasks[2], "accepted").await["step"],
        json!(null)
    );
    for id in tasks.iter().rev() {
        let path = format!("/v1/tasks/{id}/cancel");
        system.hub.post(&path, &json!({})).await;
        assert_eq!(system.hub.ended(id).await["state"], "cancelled");
    }
    nothing_differs(&before, &system.world().await);
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn hup_reads_the_configuration_anew_without_dropping_a_task() {
    let system = System::start(Settings::default()).await;
    let worker = system.worker().await;
    platform(&system.hub).await;
    let task = system.wordpress().await;
    system.is_at(&task, "run_installer").await;
    worker.signal(Signal::HUP);
    system.hub.succeeds(&task).await;
    let ping = system.hub.task(SERVER, "ping", json!({})).await;
    system.hub.succeeds(&ping).await;
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_broker_that_is_restarted_during_a_task_loses_nothing() {
    let system = System::start(Settings::default()).await;
    let worker = system.worker().await;
    platform(&system.hub).await;
    let task = system.wordpress().await;
    system.is_at(&task, "run_installer").await;
    system.stack.stop_service("rabbitmq");
    // Asked for while the broker is away.
    let late = system.hub.task(SERVER, "ping", json!({})).await;
    system.stack.up();
    for id in [&task, &late] {
        let shown = system.hub.succeeds(id).await;
        assert_eq!(shown["attempt"], 1, "it ran once: {shown:#}");
    }
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_hub_that_is_killed_during_a_task_learns_of_its_end_when_it_is_back() {
    let mut system = System::start(Settings::default()).await;
    let worker = system.worker().await;
    platform(&system.hub).await;
    let task = system.wordpress().await;
    system.is_at(&task, "run_installer").await;
    system.hub.kill();
    // The task ends while nobody listens.
    until("the worker has nothing left to do", STOPPED, async || {
        let status = worker.status()?;
        let idle = status["runner"]["counts"]["running"] == 0 && status["spooled"] == 0;
        idle.then_some(())
    })
    .await;
    system.hub.start_again().await;
    let shown = system.hub.succeeds(&task).await;
    assert_eq!(shown["attempt"], 1, "it ran once: {shown:#}");
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn an_interrupted_task_gets_a_new_attempt_by_itself_and_a_failed_one_waits() {
    let settings = Settings {
        attempts: 3,
        ..Settings::default()
    };
    let system = System::start(settings).await;
    let orders = Orders {
        faults: Some("kill@applied:create_database".to_owned()),
        ..Orders::default()
    };
    let calm = system.worker().await;
    platform(&system.hub).await;
    calm.stop().await;
    let mut worker = Worker::start(&system.stack, SERVER, &orders).await;
    let task = system.wordpress().await;
    worker.end(STOPPED).await;
    assert!(worker.was_killed());
    let calm = system.worker().await;
    let shown = system.hub.succeeds(&task).await;
    assert_eq!(shown["attempt"], 2, "{shown:#}");
    assert_eq!(shown["attempts"][0]["state"], "interrupted");
    calm.stop().await;
    let orders = Orders {
        faults: Some("fail@apply:write_site_files".to_owned()),
        ..Orders::default()
    };
    let worker = Worker::start(&system.stack, SERVER, &orders).await;
    let failed = system
        .hub
        .install(SERVER, "plain.kolga.test", "static", None)
        .await;
    let shown = system.hub.ended(&failed).await;
    assert_eq!(
        (&shown["state"], &shown["attempt"]),
        (&json!("failed"), &json!(1)),
        "{shown:#}"
    );
    worker.stop().await;
    let calm = system.worker().await;
    system
        .hub
        .post(&format!("/v1/tasks/{failed}/retry"), &json!({}))
        .await;
    let shown = system.hub.succeeds(&failed).await;
    assert_eq!(shown["attempt"], 2);
    calm.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_task_for_a_server_that_is_away_says_what_it_waits_for() {
    let settings = Settings {
        silent_seconds: 2,
        ..Settings::default()
    };
    let system = System::start(settings).await;
    let worker = system.worker().await;
    let ping = system.hub.task(SERVER, "ping", json!({})).await;
    system.hub.succeeds(&ping).await;
    worker.kill().await;
    let waiting = system.hub.task(SERVER, "ping", json!({})).await;
    until("the hub says why", STOPPED, async || {
        let shown = system.hub.show(&waiting).await;
        shown["waiting"]
            .as_str()
            .filter(|why| why.contains(SERVER))
            .map(str::to_owned)
    })
    .await;
    let worker = system.worker().await;
    system.hub.succeeds(&waiting).await;
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_stuck_task_that_is_abandoned_names_what_it_left_and_frees_its_object() {
    let system = System::start(Settings::default()).await;
    let orders = Orders {
        faults: Some("fail@applied:register_site,fail@undo:publish_vhost".to_owned()),
        ..Orders::default()
    };
    let worker = Worker::start(&system.stack, SERVER, &orders).await;
    let task = system.hub.install(SERVER, HOST, "static", None).await;
    system.hub.reaches(&task, "stuck").await;
    // It can neither be cancelled nor pass for something else meanwhile.
    let path = format!("/v1/tasks/{task}/cancel");
    drop(system.hub.request("POST", &path, Some(&json!({}))).await);
    assert_eq!(system.hub.show(&task).await["state"], "stuck");
    let arguments = ["journal", "abandon", &task, "--comment", "seen to by hand"];
    let told = command(&system.stack, SERVER, &arguments);
    assert!(told.status.success(), "{told:?}");
    let shown = system.hub.ended(&task).await;
    assert_eq!(shown["state"], "failed", "{shown:#}");
    let failure = shown["failure"].to_string();
    assert!(
        failure.contains("seen to by hand") && failure.contains("publish_vhost"),
        "{failure}"
    );
    // Nothing of it is known to the worker any more, and it says so.
    let again = command(&system.stack, SERVER, &arguments);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn queues_deleted_under_their_consumers_are_declared_again_and_tasks_go_on() {
    let settings = Settings {
        // Longer than between two heartbeats: who is silent is not asked.
        silent_seconds: 25,
        ..Settings::default()
    };
    let system = System::start(settings).await;
    let worker = system.worker().await;
    let first = system.hub.task(SERVER, "ping", json!({})).await;
    system.hub.succeeds(&first).await;
    let connection = broker(&system.stack).await;
    let mut deleted = 0;
    for queue in [
        "hub.reports",
        "hub.heartbeats",
        "tasks.web1",
        "control.web1",
    ] {
        let channel = connection.create_channel().await.expect("a channel");
        let options = lapin::options::QueueDeleteOptions::default();
        let told = channel.queue_delete(queue.into(), options).await;
        told.expect("the hub may delete its queues");
        deleted += 1;
        let task = system.hub.task(SERVER, "ping", json!({})).await;
        system.hub.succeeds(&task).await;
    }
    println!("queues deleted: {deleted}");
    worker.stop().await;
}
