//! The hub and one spoke of a test, over the stack's real broker. The spoke speaks the protocol itself, so
//! that a test can say exactly what it says and when.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kolga_hub::config::{Broker, Config, Retention, Store, Tasks};
use kolga_hub::serve::Hub;
use kolga_hub::store::create::Create;
use kolga_hub::store::servers::AddServer;
use kolga_hub::wire::Task;
use kolga_protocol::envelope::{self, Message, seal};
use kolga_protocol::id::{Run, TaskId, UnixMillis};
use kolga_protocol::link::{Address, Consumer, LinkConfig, Outgoing, Publisher};
use kolga_protocol::message::{
    Heartbeat, Mood, Report, ReportBody, Reports, StateReport, TaskMessage,
};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::Event;
use kolga_protocol::task::{Params, ping};
use kolga_protocol::topology::{
    HEARTBEATS_EXCHANGE, QueueType, REPORTS_EXCHANGE, control_queue, tasks_queue,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Nothing here takes long; what never comes is a failure, not a hang.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn stack() -> serde_json::Value {
    let path = std::env::var("KOLGA_TEST_STACK").expect("KOLGA_TEST_STACK: run deploy/test");
    let text = std::fs::read_to_string(path).expect("the stack's description can be read");
    serde_json::from_str(&text).expect("it is JSON")
}

pub struct World {
    folder: PathBuf,
    hub: Option<Hub>,
}

impl World {
    pub async fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("kolga-broker-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).expect("a folder for a test");
        let mut world = Self { folder, hub: None };
        world.start().await;
        world
    }

    pub async fn start(&mut self) {
        let url = stack()["amqp_hub_url"].as_str().expect("a URL").to_owned();
        let config = Config {
            state_dir: self.folder.clone(),
            listen: ([127, 0, 0, 1], 0).into(),
            store: Store::default(),
            broker: Broker {
                url,
                queue_type: QueueType::Quorum,
            },
            tasks: Tasks {
                retry_seconds: 1,
                ..Tasks::default()
            },
            retention: Retention::default(),
        };
        self.hub = Some(Hub::start(config).await.expect("the hub starts"));
    }

    pub async fn stop(&mut self) {
        if let Some(hub) = self.hub.take() {
            hub.stop().await;
        }
    }

    pub async fn end(mut self) {
        self.stop().await;
        std::fs::remove_dir_all(&self.folder).expect("the folder goes");
    }

    pub fn hub(&self) -> &Hub {
        self.hub.as_ref().expect("the hub runs")
    }

    pub async fn add(&self, server: &str) {
        let add = AddServer {
            name: name(server),
            requested_by: "test".to_owned(),
        };
        self.hub()
            .store
            .write(add)
            .await
            .expect("a server is added");
    }

    pub async fn make_ping(&self, server: &str) -> TaskId {
        let create = Create {
            server: name(server),
            params: Params::Ping(ping::Params::default()),
            count: 1,
            requested_by: "test".to_owned(),
        };
        self.hub()
            .store
            .write(create)
            .await
            .expect("a task is made")[0]
    }

    /// The task, as soon as it is as wanted.
    pub async fn until(&self, id: TaskId, wanted: impl Fn(&Task) -> bool) -> Task {
        let store = &self.hub().store;
        let mut changed = store.signals().watch(id);
        let seen = async {
            loop {
                let task = store.task(id).await.expect("read").expect("there");
                if wanted(&task) {
                    return task;
                }
                changed.changed().await.expect("the store is open");
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("in time")
    }
}

pub fn name(server: &str) -> ServerName {
    server.parse().expect("a server's name")
}

pub struct Spoke {
    server: ServerName,
    publisher: Publisher,
    tasks: Consumer,
    control: Consumer,
    stop: CancellationToken,
}

impl Spoke {
    pub fn new(server: &str) -> Self {
        let url = stack()["spokes"][server]["amqp_url"]
            .as_str()
            .expect("a URL")
            .to_owned();
        let link = LinkConfig::new(&url, "a spoke of a test").expect("a URL");
        let stop = CancellationToken::new();
        let server = name(server);
        let consume =
            |queue, purpose| Consumer::start(link.purpose(purpose), queue, 256, stop.clone());
        Self {
            tasks: consume(tasks_queue(&server), "tasks"),
            control: consume(control_queue(&server), "control"),
            publisher: Publisher::start(link.purpose("reports"), stop.clone()),
            server,
            stop,
        }
    }

    /// The first message about this task; what other tests left in the queue is acked away.
    pub async fn task(&mut self, id: TaskId) -> TaskMessage {
        next(&mut self.tasks, |message: &TaskMessage| {
            message.run.task == id
        })
        .await
    }

    /// The first control message that is wanted.
    pub async fn control<M: Message>(&mut self, wanted: impl Fn(&M) -> bool) -> M {
        next(&mut self.control, wanted).await
    }

    pub async fn publish(&self, exchange: &str, kind: &'static str, body: Vec<u8>) {
        let message = Outgoing {
            to: Address::Exchange {
                name: exchange.to_owned(),
                key: self.server.to_string(),
            },
            message_id: Uuid::now_v7().to_string(),
            kind,
            body,
            persistent: true,
        };
        let outcomes = self.publisher.publish(vec![message]).await;
        assert_eq!(outcomes, [Ok(())], "the broker takes it");
    }

    pub async fn send<M: Message>(&self, message: &M) {
        self.publish(REPORTS_EXCHANGE, M::KIND, seal(message)).await;
    }

    /// Reports these events of an attempt, numbered from 1.
    pub async fn tell(&self, run: Run, events: &[Event]) {
        self.send(&reports(self.server.clone(), run, events)).await;
    }

    pub async fn beat(&self, journal: Uuid) {
        let heartbeat = Heartbeat {
            server: self.server.clone(),
            journal,
            at: UnixMillis::now(),
            version: "1.2.3".to_owned(),
            mood: Mood::Consuming,
            running: 1,
            waiting: 0,
            stuck: 0,
            spooled: 0,
            load_milli: 0,
            disk_free: 0,
            deferring: None,
        };
        let body = seal(&heartbeat);
        self.publish(HEARTBEATS_EXCHANGE, Heartbeat::KIND, body)
            .await;
    }

    pub fn end(self) {
        self.stop.cancel();
    }
}

pub fn reports(server: ServerName, run: Run, events: &[Event]) -> Reports {
    let report = |(seq, event): (u64, &Event)| Report {
        run,
        seq,
        at: UnixMillis::now(),
        body: ReportBody::State(StateReport::bare(*event)),
    };
    Reports {
        server,
        journal: Uuid::nil(),
        items: (1..).zip(events).map(report).collect(),
    }
}

async fn next<M: Message>(consumer: &mut Consumer, wanted: impl Fn(&M) -> bool) -> M {
    let found = async {
        loop {
            let deliveries = consumer.next_batch(1).await.expect("it is not stopped");
            let delivery = deliveries
                .into_iter()
                .next()
                .expect("a batch is never empty");
            consumer.ack(vec![delivery.tag]);
            if let Ok(message) = envelope::open::<M>(&delivery.body)
                && wanted(&message)
            {
                return message;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found)
        .await
        .expect("in time")
}
