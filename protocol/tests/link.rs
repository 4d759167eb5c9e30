//! The link over a real broker: what is confirmed, what is returned, what comes back after a cut.

use std::time::Duration;

use kolga_protocol::link::{
    Address, Aside, Consumer, LinkConfig, Outgoing, PublishError, Publisher, declare, queue_depth,
};
use kolga_protocol::names::ServerName;
use kolga_protocol::topology::{self, Declaration, QueueType};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);

fn stack() -> serde_json::Value {
    let path = std::env::var("KOLGA_TEST_STACK").expect("KOLGA_TEST_STACK: run deploy/test");
    let text = std::fs::read_to_string(path).expect("the stack's description can be read");
    serde_json::from_str(&text).expect("the stack's description is JSON")
}

fn text<'a>(stack: &'a serde_json::Value, pointer: &str) -> &'a str {
    stack
        .pointer(pointer)
        .and_then(|v| v.as_str())
        .expect(pointer)
}

fn hub() -> LinkConfig {
    LinkConfig::new(text(&stack(), "/amqp_hub_url"), "link tests").expect("a URL")
}

async fn fresh_queue(queue_type: QueueType) -> String {
    let name = format!("test.{}", Uuid::now_v7());
    let queue = Declaration::Queue {
        name: name.clone(),
        queue_type,
    };
    declare(&hub(), &[queue])
        .await
        .expect("the hub may declare");
    name
}

fn to(queue: &str, number: usize) -> Outgoing {
    Outgoing {
        to: Address::Queue(queue.to_owned()),
        message_id: number.to_string(),
        kind: "test",
        body: number.to_be_bytes().to_vec(),
        persistent: true,
    }
}

async fn take(consumer: &mut Consumer, count: usize) -> Vec<usize> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let batch = timeout(PATIENCE, consumer.next_batch(100))
            .await
            .expect("messages come in time")
            .expect("the consumer runs");
        consumer.ack(batch.iter().map(|delivery| delivery.tag).collect());
        for delivery in batch {
            assert_eq!(delivery.user_id.as_deref(), Some(hub().user()));
            let id = delivery.message_id.expect("an id");
            taken.push(id.parse().expect("a number"));
        }
    }
    taken
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_published_is_confirmed_and_comes_in_order() {
    for queue_type in [QueueType::Quorum, QueueType::Classic] {
        let stop = CancellationToken::new();
        let queue = fresh_queue(queue_type).await;
        let publisher = Publisher::start(hub(), stop.clone());
        let sent = publisher
            .publish((0..1000).map(|n| to(&queue, n)).collect())
            .await;
        assert!(
            sent.len() == 1000 && sent.iter().all(Result::is_ok),
            "{sent:?}"
        );
        let mut consumer = Consumer::start(hub(), queue, 64, stop.clone());
        assert_eq!(
            take(&mut consumer, 1000).await,
            (0..1000).collect::<Vec<_>>()
        );
        stop.cancel();
        assert!(
            consumer.next_batch(1).await.is_none(),
            "a stopped consumer ends"
        );
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_message_that_no_queue_takes_is_told_apart_from_its_neighbours() {
    let stop = CancellationToken::new();
    let queue = fresh_queue(QueueType::Quorum).await;
    let publisher = Publisher::start(hub(), stop.clone());
    let mut returned = 0;
    for round in 0..20 {
        let batch: Vec<Outgoing> = (0..100)
            .map(|n| match n % 7 == round % 7 {
                true => to("no.such.queue", n),
                false => to(&queue, n),
            })
            .collect();
        let outcomes = publisher.publish(batch).await;
        for (n, outcome) in outcomes.into_iter().enumerate() {
            let wanted = match n % 7 == round % 7 {
                true => Err(PublishError::Unroutable),
                false => Ok(()),
            };
            assert_eq!(outcome, wanted, "message {n} of round {round}");
            returned += usize::from(wanted.is_err());
        }
    }
    println!("messages that came back: {returned}");
    assert!(returned > 200);
    stop.cancel();
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_was_not_acked_comes_again_on_a_new_connection() {
    let queue = fresh_queue(QueueType::Quorum).await;
    let stop = CancellationToken::new();
    let publisher = Publisher::start(hub(), stop.clone());
    drop(
        publisher
            .publish((0..10).map(|n| to(&queue, n)).collect())
            .await,
    );
    let first_stop = CancellationToken::new();
    let mut first = Consumer::start(hub(), queue.clone(), 10, first_stop.clone());
    let mut held = Vec::new();
    while held.len() < 10 {
        held.extend(first.next_batch(10).await.expect("messages"));
    }
    // Every other one: no single frame can ack these.
    first.ack(
        held.iter()
            .step_by(2)
            .map(|delivery| delivery.tag)
            .collect(),
    );
    let mut state = first.state();
    assert!(state.borrow_and_update().is_up());
    wait_for_depth(&queue, 0).await;
    first_stop.cancel();
    let mut second = Consumer::start(hub(), queue.clone(), 10, stop.clone());
    // An ack that belongs to another connection is ignored.
    second.ack(held.iter().map(|delivery| delivery.tag).collect());
    assert_eq!(take(&mut second, 5).await, [1, 3, 5, 7, 9]);
    stop.cancel();
}

async fn wait_for_depth(queue: &str, depth: u32) {
    let reached = async {
        while queue_depth(&hub(), queue)
            .await
            .expect("the broker answers")
            != Some(depth)
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect("the queue settles");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_paused_consumer_gets_no_more_than_it_had_asked_for_and_all_after_resuming() {
    let stop = CancellationToken::new();
    let queue = fresh_queue(QueueType::Quorum).await;
    let publisher = Publisher::start(hub(), stop.clone());
    let mut consumer = Consumer::start(hub(), queue.clone(), 10, stop.clone());
    drop(
        publisher
            .publish((0..5).map(|n| to(&queue, n)).collect())
            .await,
    );
    assert_eq!(take(&mut consumer, 5).await.len(), 5);
    let many = (5..105).map(|n| to(&queue, n)).collect();
    assert!(publisher.publish(many).await.iter().all(Result::is_ok));
    consumer.pause();
    let mut taken = Vec::new();
    // What it had asked for comes, ten at most. Acking it, which the broker hears after the pause, brings no more.
    while let Ok(batch) = timeout(Duration::from_millis(500), consumer.next_batch(100)).await {
        let batch = batch.expect("it runs");
        taken.extend(batch.iter().map(|d| d.message_id.clone().expect("an id")));
        consumer.ack(batch.iter().map(|d| d.tag).collect());
    }
    assert!(taken.len() <= 10, "{} came while paused", taken.len());
    consumer.resume();
    let rest = take(&mut consumer, 100 - taken.len()).await;
    assert_eq!(rest.last(), Some(&104));
    stop.cancel();
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_queue_deleted_under_a_consumer_is_a_fault_and_it_comes_back() {
    let stop = CancellationToken::new();
    let queue = fresh_queue(QueueType::Classic).await;
    let mut consumer = Consumer::start(hub(), queue.clone(), 10, stop.clone());
    let mut state = consumer.state();
    timeout(PATIENCE, state.wait_for(|s| s.is_up()))
        .await
        .expect("up")
        .expect("alive");
    delete(&queue).await;
    timeout(PATIENCE, state.wait_for(|s| !s.is_up()))
        .await
        .expect("seen")
        .expect("alive");
    let again = Declaration::Queue {
        name: queue.clone(),
        queue_type: QueueType::Classic,
    };
    declare(&hub(), &[again])
        .await
        .expect("the hub may declare");
    let publisher = Publisher::start(hub(), stop.clone());
    assert_eq!(publisher.publish(vec![to(&queue, 1)]).await, [Ok(())]);
    assert_eq!(take(&mut consumer, 1).await, [1]);
    stop.cancel();
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_taken_aside_never_holds_up_the_queue_and_its_loss_is_seen() {
    const ROOM: usize = 8;
    let stop = CancellationToken::new();
    let queue = fresh_queue(QueueType::Quorum).await;
    let beside = fresh_queue(QueueType::Classic).await;
    let publisher = Publisher::start(hub(), stop.clone());
    let (aside, mut beats) = Aside::new(hub(), beside.clone(), ROOM);
    let mut consumer = Consumer::start_with(hub(), queue.clone(), 10, aside, stop.clone());
    let mut state = consumer.state();
    let up = timeout(PATIENCE, state.wait_for(|s| s.is_up())).await;
    up.expect("up").expect("alive");

    // Nobody reads them, and there are far more than there is room for.
    let many = (0..1000).map(|n| to(&beside, n)).collect();
    assert!(publisher.publish(many).await.iter().all(Result::is_ok));
    wait_for_depth(&beside, 0).await;
    assert_eq!(publisher.publish(vec![to(&queue, 1)]).await, [Ok(())]);
    assert_eq!(take(&mut consumer, 1).await, [1]);
    let kept = beats.len();
    println!("of 1000 messages aside that nobody read, {kept} wait and the others are dropped");
    assert_eq!(kept, ROOM);
    while !beats.is_empty() {
        beats.recv().await.expect("it runs");
    }

    delete(&beside).await;
    let down = timeout(PATIENCE, state.wait_for(|s| !s.is_up())).await;
    println!("{}", *down.expect("seen").expect("alive"));
    let again = Declaration::Queue {
        name: beside.clone(),
        queue_type: QueueType::Classic,
    };
    let declared = declare(&hub(), &[again]).await;
    declared.expect("the hub may declare");
    assert_eq!(publisher.publish(vec![to(&beside, 2)]).await, [Ok(())]);
    let beat = timeout(PATIENCE, beats.recv()).await;
    let beat = beat.expect("it comes").expect("it runs");
    assert_eq!(beat.message_id.as_deref(), Some("2"));
    stop.cancel();
}

async fn delete(queue: &str) {
    let url = stack();
    let connection = lapin::Connection::connect(text(&url, "/amqp_hub_url"), Default::default())
        .await
        .expect("the broker");
    let channel = connection.create_channel().await.expect("a channel");
    channel
        .queue_delete(queue.into(), Default::default())
        .await
        .expect("the hub may delete");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_spoke_can_use_its_own_queues_and_exchanges_and_nothing_else() {
    let stack = stack();
    let spoke = LinkConfig::new(text(&stack, "/spokes/web1/amqp_url"), "a spoke").expect("a URL");
    let web1: ServerName = "web1".parse().expect("a name");
    let web2: ServerName = "web2".parse().expect("a name");
    let mut all = topology::hub(QueueType::Quorum);
    all.extend(topology::server(&web1, QueueType::Quorum));
    all.extend(topology::server(&web2, QueueType::Quorum));
    declare(&hub(), &all).await.expect("the hub may declare");

    let own = Declaration::Queue {
        name: "mine".to_owned(),
        queue_type: QueueType::Classic,
    };
    assert!(
        declare(&spoke, &[own]).await.is_err(),
        "a spoke declares nothing"
    );

    let exchange = |name: &str, key: &str| Outgoing {
        to: Address::Exchange {
            name: name.to_owned(),
            key: key.to_owned(),
        },
        ..to("", 1)
    };
    let try_one = async |message: Outgoing| {
        let stop = CancellationToken::new();
        let publisher = Publisher::start(spoke.clone(), stop.clone());
        let outcome = publisher.publish(vec![message]).await.remove(0);
        stop.cancel();
        outcome
    };
    assert_eq!(
        try_one(exchange(topology::HEARTBEATS_EXCHANGE, "web1")).await,
        Ok(())
    );
    for forbidden in [
        exchange(topology::HEARTBEATS_EXCHANGE, "web2"),
        exchange(topology::REPORTS_EXCHANGE, "web2"),
        to(&topology::tasks_queue(&web1), 1),
        to(&topology::tasks_queue(&web2), 1),
    ] {
        let outcome = try_one(forbidden.clone()).await;
        assert!(
            matches!(outcome, Err(PublishError::Lost(_))),
            "{forbidden:?}: {outcome:?}"
        );
    }
    let stop = CancellationToken::new();
    for (queue, may) in [
        (topology::tasks_queue(&web2), false),
        (topology::REPORTS_QUEUE.to_owned(), false),
        (topology::control_queue(&web1), true),
    ] {
        let consumer = Consumer::start(spoke.clone(), queue.clone(), 1, stop.clone());
        let mut state = consumer.state();
        let settled =
            state.wait_for(|state| state.is_up() || state.to_string().contains("ACCESS_REFUSED"));
        let settled = timeout(PATIENCE, settled)
            .await
            .expect("in time")
            .expect("alive")
            .is_up();
        assert_eq!(settled, may, "consuming {queue}");
    }
    stop.cancel();
}

#[tokio::test]
async fn publishing_waits_for_a_broker_and_ends_when_stopped() {
    // Port 9 (discard) has nobody behind it.
    let nobody = LinkConfig::new("amqp://user:pw@127.0.0.1:9/kolga", "nobody").expect("a URL");
    let stop = CancellationToken::new();
    let publisher = Publisher::start(nobody, stop.clone());
    let waiting = publisher.publish(vec![to("queue", 1)]);
    tokio::pin!(waiting);
    assert!(
        timeout(Duration::from_millis(300), &mut waiting)
            .await
            .is_err()
    );
    assert!(!publisher.state().borrow().is_up());
    stop.cancel();
    assert_eq!(waiting.await, [Err(PublishError::Stopped)]);
}

#[test]
fn a_url_that_cannot_be_read_is_refused_without_showing_its_password() {
    for url in [
        "http://u:hunter2@h/",
        "amqp://u:hunter2@host:notaport/v",
        "",
    ] {
        let error = LinkConfig::new(url, "x").expect_err("refused").to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
