//! The broker loop with nothing around it: the yardstick of `deploy/bench`.
//!
//! A task is published with a confirm, consumed, answered by a result that is published with a confirm, and
//! acked after that; the result is consumed and acked. Persistent messages of 512 bytes, quorum queues, a
//! connection for each direction of each side, as Kolga has them. No store, no journal: no system that goes
//! this way can be faster. It speaks to the broker's library itself and not through `link/`, so that the
//! yardstick does not move when the link does.
//!
//! Run by `deploy/bench`, which names the broker in `PEERS_AMQP`:
//! `bare_loop throughput COUNT` or `bare_loop latency COUNT`; the figures go to standard output as JSON.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    PublisherConfirm,
};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Messages on their way to the broker and not yet confirmed.
const WINDOW: usize = 256;
/// Messages that the broker hands out and that are not yet acked.
const PREFETCH: u16 = 200;
/// Bytes in a message.
const BODY: [u8; 512] = [b'k'; 512];
const TASKS: &str = "bare.tasks";
const RESULTS: &str = "bare.results";
/// Loops before the clock starts.
const WARM_UP: usize = 200;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "give throughput or latency, and how many";
    let [what, count] = arguments.as_slice() else {
        return Err(usage.into());
    };
    let count: usize = count.parse()?;
    let url = std::env::var("PEERS_AMQP").map_err(|_| "PEERS_AMQP names the broker")?;
    for queue in [TASKS, RESULTS] {
        clear(&url, queue).await?;
    }
    let (seen, begun) = mpsc::unbounded_channel();
    let answering = tokio::spawn(answer(
        consume(&url, TASKS).await?,
        Publisher::open(&url, RESULTS).await?,
        seen,
    ));
    let mut asker = Asker {
        tasks: Publisher::open(&url, TASKS).await?,
        results: consume(&url, RESULTS).await?,
        begun,
    };
    asker.all(WARM_UP).await?;
    let figures = match what.as_str() {
        "throughput" => asker.throughput(count).await?,
        "latency" => asker.latency(count).await?,
        _ => return Err(usage.into()),
    };
    answering.abort();
    println!("{figures}");
    Ok(())
}

/// Who asks, and waits for the results.
struct Asker {
    tasks: Publisher,
    results: (Channel, Consumer),
    begun: mpsc::UnboundedReceiver<Instant>,
}

impl Asker {
    async fn all(&mut self, count: usize) -> Result<(), Error> {
        let (confirms, waiting) = mpsc::unbounded_channel();
        let confirmed = async {
            let mut waiting = waiting;
            while let Some((confirm, permit)) = waiting.recv().await {
                sure(confirm).await?;
                drop::<OwnedSemaphorePermit>(permit);
            }
            Ok::<_, Error>(())
        };
        let asked = async {
            for _ in 0..count {
                confirms.send(self.tasks.publish().await?)?;
            }
            drop(confirms);
            Ok(())
        };
        let (channel, stream) = &mut self.results;
        let heard = async {
            let mut chunks = stream.ready_chunks(usize::from(PREFETCH));
            let mut heard = 0;
            while heard < count {
                let chunk = chunks.next().await.ok_or("the results end")?;
                let mut newest = 0;
                for delivery in chunk {
                    newest = delivery?.delivery_tag;
                    heard += 1;
                }
                ack(channel, newest).await?;
            }
            Ok(())
        };
        tokio::try_join!(asked, confirmed, heard)?;
        // As many as have been asked; kept for the figures of latency only.
        while self.begun.try_recv().is_ok() {}
        Ok(())
    }

    async fn throughput(&mut self, count: usize) -> Result<Value, Error> {
        let began = Instant::now();
        self.all(count).await?;
        let seconds = began.elapsed().as_secs_f64();
        let rate = f64::from(u32::try_from(count)?) / seconds;
        Ok(json!({ "tasks": count, "seconds": seconds, "tasks_per_second": rate }))
    }

    async fn latency(&mut self, count: usize) -> Result<Value, Error> {
        let (mut started, mut finished) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let began = Instant::now();
            let (confirm, permit) = self.tasks.publish().await?;
            let (channel, stream) = &mut self.results;
            let result = stream.next().await.ok_or("the results end")??;
            finished.push(began.elapsed());
            ack(channel, result.delivery_tag).await?;
            sure(confirm).await?;
            drop(permit);
            let seen = self.begun.recv().await.ok_or("nobody answers any more")?;
            started.push(seen.saturating_duration_since(began));
        }
        Ok(json!({ "latency": {
            "samples": count,
            "started_ms": spread(started),
            "finished_ms": spread(finished),
        }}))
    }
}

/// The other side: a result for each task; the task is acked when the broker has the result.
async fn answer(
    tasks: (Channel, Consumer),
    results: Publisher,
    seen: mpsc::UnboundedSender<Instant>,
) -> Result<(), Error> {
    let (channel, mut stream) = tasks;
    let (confirms, mut waiting) = mpsc::unbounded_channel();
    let acking = async {
        let mut ready: Vec<((PublisherConfirm, OwnedSemaphorePermit), u64)> = Vec::new();
        while waiting.recv_many(&mut ready, usize::from(PREFETCH)).await > 0 {
            let mut newest = 0;
            for ((confirm, permit), tag) in ready.drain(..) {
                sure(confirm).await?;
                drop(permit);
                newest = tag;
            }
            ack(&channel, newest).await?;
        }
        Ok::<_, Error>(())
    };
    let answering = async {
        while let Some(delivery) = stream.next().await {
            seen.send(Instant::now())?;
            let tag = delivery?.delivery_tag;
            confirms.send((results.publish().await?, tag))?;
        }
        Err::<(), Error>("the tasks end".into())
    };
    tokio::try_join!(acking, answering)?;
    Ok(())
}

/// Publishes into one queue, at most [`WINDOW`] messages unconfirmed.
struct Publisher {
    channel: Channel,
    queue: &'static str,
    window: std::sync::Arc<Semaphore>,
}

impl Publisher {
    async fn open(url: &str, queue: &'static str) -> Result<Self, Error> {
        let channel = channel(url).await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        Ok(Self {
            channel,
            queue,
            window: std::sync::Arc::new(Semaphore::new(WINDOW)),
        })
    }

    async fn publish(&self) -> Result<(PublisherConfirm, OwnedSemaphorePermit), Error> {
        const PERSISTENT: u8 = 2;
        let permit = self.window.clone().acquire_owned().await?;
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let confirm = self
            .channel
            .basic_publish("".into(), self.queue.into(), options, &BODY, properties)
            .await?;
        Ok((confirm, permit))
    }
}

async fn sure(confirm: PublisherConfirm) -> Result<(), Error> {
    match confirm.await? {
        Confirmation::Ack(None) => Ok(()),
        other => Err(format!("the broker did not keep a message: {other:?}").into()),
    }
}

async fn ack(channel: &Channel, newest: u64) -> Result<(), Error> {
    let all_before = BasicAckOptions { multiple: true };
    Ok(channel.basic_ack(newest, all_before).await?)
}

async fn channel(url: &str) -> Result<Channel, Error> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    Ok(connection.create_channel().await?)
}

async fn clear(url: &str, queue: &str) -> Result<(), Error> {
    let channel = channel(url).await?;
    let mut quorum = FieldTable::default();
    quorum.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    channel
        .queue_declare(queue.into(), QueueDeclareOptions::durable(), quorum)
        .await?;
    channel
        .queue_purge(queue.into(), QueuePurgeOptions::default())
        .await?;
    Ok(())
}

async fn consume(url: &str, queue: &str) -> Result<(Channel, Consumer), Error> {
    let channel = channel(url).await?;
    channel
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    let consumer = channel
        .basic_consume(
            queue.into(),
            "bare".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await?;
    Ok((channel, consumer))
}

/// By nearest rank, in milliseconds, as `kolga bench` tells it.
fn spread(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let rank = |per_mille: usize| {
        let at = (times.len() * per_mille).div_ceil(1000).saturating_sub(1);
        let time = times.get(at).copied().unwrap_or_default();
        (time.as_secs_f64() * 1e6).round() / 1e3
    };
    json!({ "p50": rank(500), "p99": rank(990), "p999": rank(999), "max": rank(1000) })
}
