//! Hub and broker together: what goes out, what comes in, and what must not.

mod spoke;

use kolga_hub::store::cancel::Cancel;
use kolga_protocol::envelope::Message;
use kolga_protocol::id::Attempt;
use kolga_protocol::message::{Answer, Asked, Control, Reports};
use kolga_protocol::state::{Event, State};
use kolga_protocol::topology::REPORTS_EXCHANGE;
use spoke::{Spoke, World, name, reports};
use uuid::Uuid;

const WHOLE: [Event; 3] = [Event::Accepted, Event::Started, Event::Succeeded];

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_task_goes_out_and_its_end_comes_back() {
    let world = World::new().await;
    world.add("web1").await;
    let mut spoke = Spoke::new("web1");
    let id = world.make_ping("web1").await;
    let message = spoke.task(id).await;
    assert_eq!(message.server, name("web1"));
    assert_eq!(message.payload.kind, "ping");
    world.until(id, |task| task.state == State::Sent).await;
    spoke.tell(message.run, &WHOLE).await;
    let ended = world.until(id, |task| task.finished).await;
    assert_eq!(ended.state, State::Succeeded);
    spoke.end();
    world.end().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_forged_or_unreadable_changes_nothing_and_holds_nothing_up() {
    let world = World::new().await;
    world.add("web1").await;
    world.add("web2").await;
    let mut spoke = Spoke::new("web1");
    let stranger = Spoke::new("web2");
    let id = world.make_ping("web1").await;
    let run = spoke.task(id).await.run;
    for bytes in [
        Vec::new(),
        b"KG".to_vec(),
        vec![0xff; 4096],
        b"KG\x01\x00\x07reports".to_vec(),
    ] {
        stranger
            .publish(REPORTS_EXCHANGE, Reports::KIND, bytes)
            .await;
    }
    let end = [Event::Accepted, Event::Failed];
    // In web1's name, by web2; and in its own name about web1's task.
    stranger.send(&reports(name("web1"), run, &end)).await;
    stranger.tell(run, &end).await;
    spoke.tell(run, &WHOLE).await;
    let ended = world.until(id, |task| task.finished).await;
    assert_eq!(ended.state, State::Succeeded);
    spoke.end();
    stranger.end();
    world.end().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_queue_that_is_missing_is_declared_and_what_waited_is_sent() {
    let world = World::new().await;
    // In the store alone, so that nobody has declared its queues.
    let server = format!("missing-{}", std::process::id());
    world.add(&server).await;
    let id = world.make_ping(&server).await;
    let sent = world.until(id, |task| task.state == State::Sent).await;
    assert_eq!(sent.waiting, None);
    world.end().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_cancel_reaches_the_worker_that_has_the_task() {
    let world = World::new().await;
    world.add("web1").await;
    let mut spoke = Spoke::new("web1");
    let id = world.make_ping("web1").await;
    let run = spoke.task(id).await.run;
    spoke.tell(run, &[Event::Accepted, Event::Started]).await;
    world.until(id, |task| task.state == State::Running).await;
    let cancel = Cancel {
        task: id,
        requested_by: "an operator".to_owned(),
    };
    world.hub().store.write(cancel).await.expect("it runs");
    let wanted =
        |control: &Control| matches!(control, Control::Cancel { run: of, .. } if *of == run);
    spoke.control(wanted).await;
    let all = [
        Event::Accepted,
        Event::Started,
        Event::RollingBack,
        Event::Cancelled,
    ];
    spoke.tell(run, &all).await;
    let ended = world.until(id, |task| task.finished).await;
    assert_eq!(ended.state, State::Cancelled);
    spoke.end();
    world.end().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_reported_while_the_hub_is_away_is_taken_when_it_is_back() {
    let mut world = World::new().await;
    world.add("web1").await;
    let mut spoke = Spoke::new("web1");
    let id = world.make_ping("web1").await;
    let run = spoke.task(id).await.run;
    world.until(id, |task| task.state == State::Sent).await;
    world.stop().await;
    spoke.tell(run, &WHOLE).await;
    world.start().await;
    let ended = world.until(id, |task| task.finished).await;
    assert_eq!(ended.state, State::Succeeded);
    spoke.end();
    world.end().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_task_that_a_rebuilt_worker_does_not_know_gets_a_new_attempt() {
    let world = World::new().await;
    world.add("web1").await;
    let mut spoke = Spoke::new("web1");
    spoke.beat(Uuid::from_u128(1)).await;
    let id = world.make_ping("web1").await;
    let run = spoke.task(id).await.run;
    spoke.tell(run, &[Event::Accepted, Event::Started]).await;
    world.until(id, |task| task.state == State::Running).await;
    let rebuilt = Uuid::from_u128(2);
    spoke.beat(rebuilt).await;
    let asked = Asked {
        run,
        state: State::Running,
    };
    let wanted =
        |control: &Control| matches!(control, Control::Query { runs } if runs.contains(&asked));
    spoke.control(wanted).await;
    let answer = Answer {
        server: name("web1"),
        journal: rebuilt,
        unknown: vec![asked],
    };
    spoke.send(&answer).await;
    let again = spoke.task(id).await;
    assert_eq!(again.run.attempt, Attempt(2));
    spoke.tell(again.run, &WHOLE).await;
    let ended = world.until(id, |task| task.finished).await;
    assert_eq!((ended.state, ended.attempt), (State::Succeeded, Attempt(2)));
    spoke.end();
    world.end().await;
}
