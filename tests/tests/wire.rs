//! A worker alone with the broker, and a test in the hub's place: what comes twice, late, broken or for
//! somebody else.

use std::time::Duration;

use kolga_protocol::envelope;
use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};
use kolga_protocol::link::{
    Address, Consumer, LinkConfig, Outgoing, Publisher, declare, queue_depth,
};
use kolga_protocol::message::{Control, Report, ReportBody, Reports, TaskMessage};
use kolga_protocol::state::Event;
use kolga_protocol::task::{Params, Payload, ping, server_verify};
use kolga_protocol::topology::{self, QueueType};
use kolga_tests::hub::purge;
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::clear;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

/// The hub's place.
struct Place {
    stack: Stack,
    link: LinkConfig,
    publisher: Publisher,
    reports: Consumer,
    seen: Vec<Report>,
    stop: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Place {
    async fn take() -> Self {
        let stack = Stack::load();
        clear(&stack, SERVER).await;
        let link = LinkConfig::new(stack.text("/amqp_hub_url"), "a test").expect("a URL");
        let mut all = topology::hub(QueueType::Quorum);
        for server in ["web1", "web2"] {
            let server = server.parse().expect("a name");
            all.extend(topology::server(&server, QueueType::Quorum));
        }
        declare(&link, &all).await.expect("declared");
        purge(&stack).await;
        let stop = CancellationToken::new();
        Self {
            publisher: Publisher::start(link.purpose("publish"), stop.clone()),
            reports: Consumer::start(
                link.purpose("reports"),
                topology::REPORTS_QUEUE.to_owned(),
                100,
                stop.clone(),
            ),
            stack,
            link,
            seen: Vec::new(),
            stop,
        }
    }

    async fn send(&self, queue: &str, bodies: Vec<Vec<u8>>) {
        let batch = bodies
            .into_iter()
            .map(|body| Outgoing {
                to: Address::Queue(queue.to_owned()),
                message_id: uuid::Uuid::now_v7().to_string(),
                kind: "test",
                body,
                persistent: true,
            })
            .collect();
        for outcome in self.publisher.publish(batch).await {
            outcome.expect("the broker takes it");
        }
    }

    async fn send_tasks(&self, tasks: &[TaskMessage]) {
        self.send("tasks.web1", tasks.iter().map(envelope::seal).collect())
            .await;
    }

    /// Waits until the worker tells this of a run; every event that it told of it by then.
    async fn told(&mut self, run: Run, last: Event) -> Vec<Event> {
        loop {
            let events = self.events(run);
            if events.contains(&last) {
                return events;
            }
            let batch = tokio::time::timeout(PATIENCE, self.reports.next_batch(100))
                .await
                .unwrap_or_else(|_| panic!("{run} is not {last}; it was {events:?}"))
                .expect("reports");
            self.reports
                .ack(batch.iter().map(|delivery| delivery.tag).collect());
            for delivery in batch {
                if let Ok(reports) = envelope::open::<Reports>(&delivery.body) {
                    self.seen.extend(reports.items);
                }
            }
        }
    }

    fn events(&self, run: Run) -> Vec<Event> {
        let mine = self.seen.iter().filter(|report| report.run == run);
        mine.filter_map(|report| match &report.body {
            ReportBody::State(state) => Some(state.event),
            _ => None,
        })
        .collect()
    }

    fn reason(&self, run: Run) -> String {
        let mine = self.seen.iter().filter(|report| report.run == run);
        mine.filter_map(|report| match &report.body {
            ReportBody::State(state) => Some(state.failure.as_ref()?.message.clone()),
            _ => None,
        })
        .collect()
    }

    /// A ping that goes all the way: the worker lives.
    async fn the_worker_lives(&mut self) {
        let task = task(|_| {});
        self.send_tasks(std::slice::from_ref(&task)).await;
        self.told(task.run, Event::Succeeded).await;
    }
}

fn task(change: impl FnOnce(&mut TaskMessage)) -> TaskMessage {
    let mut task = TaskMessage {
        run: Run::new(TaskId::generate(), Attempt::FIRST),
        server: "web1".parse().expect("a name"),
        issued_at: UnixMillis::now(),
        expires_at: None,
        requested_by: "a test".to_owned(),
        payload: Params::Ping(ping::Params {}).to_payload(),
    };
    change(&mut task);
    task
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_task_delivered_twice_at_once_and_again_after_its_end_runs_once() {
    let mut place = Place::take().await;
    let worker = Worker::start(&place.stack, SERVER, &Orders::default()).await;
    let twin = task(|_| {});
    place
        .send_tasks(&[twin.clone(), twin.clone(), twin.clone()])
        .await;
    place.told(twin.run, Event::Succeeded).await;
    place.the_worker_lives().await;
    place.send_tasks(std::slice::from_ref(&twin)).await;
    place.the_worker_lives().await;
    // Its result holds the moment at which it was carried out: however often it is told, it is the same.
    let results: Vec<_> = place
        .seen
        .iter()
        .filter(|report| report.run == twin.run)
        .map(|report| &report.body)
        .collect();
    assert!(
        results.len() >= 2,
        "the stored result was sent again: {results:?}"
    );
    assert!(
        results.iter().all(|result| *result == results[0]),
        "carried out more than once: {results:?}"
    );
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_cannot_be_taken_is_rejected_with_a_reason_and_the_worker_lives() {
    let mut place = Place::take().await;
    let worker = Worker::start(&place.stack, SERVER, &Orders::default()).await;
    let newer = task(|_| {});
    place
        .send_tasks(&[TaskMessage {
            run: Run::new(newer.run.task, Attempt(2)),
            ..newer.clone()
        }])
        .await;
    let cases = [
        (newer, "attempt 2"),
        (task(|t| t.expires_at = Some(UnixMillis(1))), "expired"),
        (task(|t| t.payload.version = 77), "77"),
        (task(|t| t.payload.body = vec![0xff; 9]), "ping"),
        (
            task(|t| {
                t.payload = Payload {
                    kind: "site.fly".to_owned(),
                    version: 1,
                    body: Vec::new(),
                };
            }),
            "site.fly",
        ),
    ];
    for (bad, why) in cases {
        place.send_tasks(std::slice::from_ref(&bad)).await;
        assert_eq!(
            place.told(bad.run, Event::Rejected).await,
            [Event::Rejected]
        );
        let reason = place.reason(bad.run);
        assert!(reason.contains(why), "{reason:?} does not name {why}");
    }
    place.the_worker_lives().await;
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn bytes_that_are_no_task_are_put_aside_and_the_worker_lives() {
    let mut place = Place::take().await;
    let worker = Worker::start(&place.stack, SERVER, &Orders::default()).await;
    let good = envelope::seal(&task(|_| {}));
    let hostile = vec![
        Vec::new(),
        vec![0; 64],
        b"KG".to_vec(),
        good[..good.len() / 2].to_vec(),
        [good.clone(), vec![1]].concat(),
        vec![b'K'; 64 * 1024 * 1024],
        envelope::seal(&task(|t| t.server = "web2".parse().expect("a name"))),
        envelope::seal(&Control::Query { runs: Vec::new() }),
    ];
    let count = u32::try_from(hostile.len()).expect("few");
    for body in hostile {
        place.send("tasks.web1", vec![body]).await;
    }
    place
        .send("control.web1", vec![vec![0; 64], Vec::new()])
        .await;
    place.the_worker_lives().await;
    until("all are put aside", PATIENCE, async || {
        let depth = queue_depth(&place.link, topology::DEAD)
            .await
            .expect("the broker answers");
        (depth == Some(count)).then_some(())
    })
    .await;
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_cancel_that_overtakes_its_task_is_not_forgotten() {
    let mut place = Place::take().await;
    let worker = Worker::start(&place.stack, SERVER, &Orders::default()).await;
    let late = task(|_| {});
    let cancel = Control::Cancel {
        run: late.run,
        requested_by: "a test".to_owned(),
    };
    place
        .send("control.web1", vec![envelope::seal(&cancel)])
        .await;
    place.told(late.run, Event::Cancelled).await;
    place.send_tasks(std::slice::from_ref(&late)).await;
    place.the_worker_lives().await;
    assert!(!place.events(late.run).contains(&Event::Started));
    worker.stop().await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_thousand_tasks_while_the_worker_is_away_all_run_when_it_comes() {
    let mut place = Place::take().await;
    let tasks: Vec<TaskMessage> = (0..1000)
        .map(|number| {
            task(|t| {
                if number % 100 == 0 {
                    t.payload = Params::ServerVerify(server_verify::Params {}).to_payload();
                }
            })
        })
        .collect();
    place.send_tasks(&tasks).await;
    let worker = Worker::start(&place.stack, SERVER, &Orders::default()).await;
    for task in &tasks {
        // What has no step is told by its end alone.
        let (first, last) = match task.payload.kind.as_str() {
            "ping" => (Event::Succeeded, Event::Succeeded),
            _ => (Event::Accepted, Event::Started),
        };
        assert_eq!(place.told(task.run, last).await[0], first);
    }
    let seen = place.seen.clone();
    for task in &tasks {
        let numbers: Vec<u64> = seen
            .iter()
            .filter(|r| r.run == task.run)
            .map(|r| r.seq)
            .collect();
        let gapless = (1..).zip(&numbers).all(|(wanted, seq)| *seq == wanted);
        assert!(gapless, "{}: {numbers:?}", task.run);
    }
    worker.stop().await;
}
