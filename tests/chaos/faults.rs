//! The faults: each is caused, lasts a moment, and is taken away again, and each says how often it really
//! happened, by what was seen of it and not by what was ordered.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use kolga_tests::proxy::{Proxy, Way};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::children;
use crate::databases::{self, Lock};
use crate::disk;
use crate::random::Random;
use crate::service::Service;
use crate::system::{Disk, SPOKES, System};

/// Whose connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Hub,
    Worker,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    WorkerKilled,
    WorkerToldToEnd,
    ChildKilled,
    ChildToldToEnd,
    HubKilled,
    HubToldToEnd,
    BrokerKilled,
    BrokerRestarted,
    Cut(Side),
    HalfOpen(Side),
    Slow(Side),
    MemoryAlarm,
    ConsumerTimeout,
    TasksQueueDeleted,
    ReportsQueueDeleted,
    StoreLocked,
    StoreAway,
    MariadbAway,
    DiskFull(Disk),
    ClockAhead,
    ClockBack,
}

/// How far a clock is moved.
const TEN_MINUTES: i64 = 600;

impl Fault {
    /// Every fault that there is for this system.
    pub fn all(system: &System) -> Vec<Self> {
        use Side::{Hub, Worker};
        let mut all = vec![
            Self::WorkerKilled,
            Self::WorkerToldToEnd,
            Self::ChildKilled,
            Self::ChildToldToEnd,
            Self::HubKilled,
            Self::HubToldToEnd,
            Self::BrokerKilled,
            Self::BrokerRestarted,
            Self::Cut(Hub),
            Self::Cut(Worker),
            Self::HalfOpen(Hub),
            Self::HalfOpen(Worker),
            Self::Slow(Hub),
            Self::Slow(Worker),
            Self::MemoryAlarm,
            Self::ConsumerTimeout,
            Self::TasksQueueDeleted,
            Self::ReportsQueueDeleted,
            Self::StoreLocked,
            Self::MariadbAway,
            Self::DiskFull(Disk::Journal),
            Self::DiskFull(Disk::Sites),
            Self::ClockAhead,
            Self::ClockBack,
        ];
        match system.postgres {
            Some(_) => all.push(Self::StoreAway),
            // With PostgreSQL the hub writes nothing on its disk.
            None => all.push(Self::DiskFull(Disk::Hub)),
        }
        all
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::WorkerKilled => "worker: SIGKILL",
            Self::WorkerToldToEnd => "worker: SIGTERM twice",
            Self::ChildKilled => "child of a worker: SIGKILL",
            Self::ChildToldToEnd => "child of a worker: SIGTERM",
            Self::HubKilled => "hub, relay and all: SIGKILL",
            Self::HubToldToEnd => "hub: SIGTERM",
            Self::BrokerKilled => "broker: SIGKILL",
            Self::BrokerRestarted => "broker: restarted",
            Self::Cut(Side::Hub) => "hub's connections: cut",
            Self::Cut(Side::Worker) => "worker's connections: cut",
            Self::HalfOpen(Side::Hub) => "hub's connections: half-open",
            Self::HalfOpen(Side::Worker) => "worker's connections: half-open",
            Self::Slow(Side::Hub) => "hub's connections: a byte a second",
            Self::Slow(Side::Worker) => "worker's connections: a byte a second",
            Self::MemoryAlarm => "broker: memory alarm",
            Self::ConsumerTimeout => "broker: consumer timeout",
            Self::TasksQueueDeleted => "queue of tasks deleted",
            Self::ReportsQueueDeleted => "queue of reports deleted",
            Self::StoreLocked => "hub's database: locked",
            Self::StoreAway => "hub's PostgreSQL: away",
            Self::MariadbAway => "MariaDB: away",
            Self::DiskFull(Disk::Journal) => "disk full: journal",
            Self::DiskFull(Disk::Sites) => "disk full: sites",
            Self::DiskFull(Disk::Hub) => "disk full: hub",
            Self::ClockAhead => "clock: ten minutes ahead",
            Self::ClockBack => "clock: ten minutes back",
        }
    }

    /// Causes it, and takes it away again; how often it was seen to happen.
    pub async fn fire(self, system: &System, random: &mut Random) -> anyhow::Result<u64> {
        let moment = random.millis(2500, 5000);
        let server = random.pick(&SPOKES).copied().unwrap_or(SPOKES[0]);
        let spoke = system.spoke(server);
        let proxy = |side| match side {
            Side::Hub => &system.hub_proxy,
            Side::Worker => &spoke.proxy,
        };
        match self {
            Self::WorkerKilled => strike(&spoke.service, Signal::KILL).await,
            Self::WorkerToldToEnd => strike(&spoke.service, Signal::TERM).await,
            Self::ChildKilled => children::strike(system, Signal::KILL).await,
            Self::ChildToldToEnd => children::strike(system, Signal::TERM).await,
            Self::HubKilled => strike(&system.hub, Signal::KILL).await,
            Self::HubToldToEnd => strike(&system.hub, Signal::TERM).await,
            Self::BrokerKilled => {
                // RabbitMQ 3.10 writes down where a quorum queue keeps its log when it finds the time. Killed
                // before that, it cannot start one that was declared anew ("recover: … enoent"), and no
                // client can mend it.
                let expression = "[dets:sync(Table) || Table <- dets:all()].";
                system.script("rabbitmqctl", &["eval", expression]).await?;
                restart(system, "rabbitmq", "KILL", Duration::ZERO).await
            }
            Self::BrokerRestarted => restart(system, "rabbitmq", "TERM", Duration::ZERO).await,
            Self::Cut(side) => Ok(proxy(side).cut()),
            Self::HalfOpen(side) => half_open(proxy(side), moment).await,
            Self::Slow(side) => slow(proxy(side), moment).await,
            Self::MemoryAlarm => memory_alarm(system, moment).await,
            Self::ConsumerTimeout => consumer_timeout(system).await,
            Self::TasksQueueDeleted => delete_queue(system, &format!("tasks.{server}")).await,
            Self::ReportsQueueDeleted => delete_queue(system, "hub.reports").await,
            Self::StoreLocked => {
                // SQLite itself waits for ten seconds: both what that bears and what it does not.
                let longest = if random.percent(30) { 12_000 } else { 6000 };
                let lock = Lock::take(system).await?;
                sleep(random.millis(2000, longest)).await;
                lock.release().await?;
                Ok(1)
            }
            Self::StoreAway => restart(system, "postgres", "INT", moment).await,
            Self::MariadbAway => {
                let fired = restart(system, "mariadb", "TERM", moment).await?;
                databases::mariadb_answers(system).await?;
                Ok(fired)
            }
            Self::DiskFull(which) => disk::fill(&system.disk(which), moment).await,
            Self::ClockAhead => clock(system, TEN_MINUTES).await,
            Self::ClockBack => clock(system, -TEN_MINUTES).await,
        }
    }
}

async fn strike(service: &Service, signal: Signal) -> anyhow::Result<u64> {
    Ok(u64::from(service.strike(signal).await?))
}

/// Takes a service away for a moment.
async fn restart(
    system: &System,
    service: &str,
    signal: &str,
    away: Duration,
) -> anyhow::Result<u64> {
    system.script("stop", &[service, signal]).await?;
    sleep(away).await;
    system.script("up", &[]).await?;
    Ok(1)
}

async fn half_open(proxy: &Proxy, moment: Duration) -> anyhow::Result<u64> {
    let before = proxy.swallowed();
    proxy.set(Way::HalfOpen);
    sleep(moment).await;
    proxy.set(Way::Open);
    Ok(u64::from(proxy.swallowed() > before))
}

async fn slow(proxy: &Proxy, moment: Duration) -> anyhow::Result<u64> {
    let before = proxy.crawled();
    proxy.set(Way::Slow);
    sleep(moment).await;
    proxy.set(Way::Open);
    Ok(u64::from(proxy.crawled() > before))
}

/// How often the broker's log says this.
fn said(system: &System, what: &str) -> usize {
    system.broker_log().matches(what).count()
}

async fn memory_alarm(system: &System, moment: Duration) -> anyhow::Result<u64> {
    const SET: &str = "memory resource limit alarm set";
    let before = said(system, SET);
    let watermark = async |value: &str| {
        let arguments = ["set_vm_memory_high_watermark", value];
        system.script("rabbitmqctl", &arguments).await
    };
    watermark("0.00001").await?;
    sleep(moment).await;
    watermark("0.4").await?;
    Ok(u64::from(said(system, SET) > before))
}

/// Takes effect for channels that are opened after it was set, so connections are cut before and after.
async fn consumer_timeout(system: &System) -> anyhow::Result<u64> {
    const TIMED_OUT: &str = "timed out waiting";
    let before = said(system, TIMED_OUT);
    let set = async |timeout: &str, tick: &str| {
        let expression = format!(
            "application:set_env(rabbit, consumer_timeout, {timeout}), \
             application:set_env(rabbit, channel_tick_interval, {tick})."
        );
        system.script("rabbitmqctl", &["eval", &expression]).await?;
        system.hub_proxy.cut();
        anyhow::Ok(())
    };
    set("1000", "500").await?;
    // The inbox is back, has deliveries in its hands, and cannot commit them.
    let mut fired = false;
    for _ in 0..3 {
        sleep(Duration::from_secs(2)).await;
        let lock = Lock::take(system).await?;
        let began = Instant::now();
        while !fired && began.elapsed() < Duration::from_secs(7) {
            sleep(Duration::from_millis(100)).await;
            fired = said(system, TIMED_OUT) > before;
        }
        lock.release().await?;
        if fired {
            break;
        }
    }
    set("1800000", "60000").await?;
    Ok(u64::from(fired))
}

async fn delete_queue(system: &System, queue: &str) -> anyhow::Result<u64> {
    let connection = system.broker().await?;
    let channel = connection.create_channel().await?;
    let deleted = channel
        .queue_delete(queue.into(), lapin::options::QueueDeleteOptions::default())
        .await;
    drop(connection.close(200, "done".into()).await);
    deleted.with_context(|| format!("queue {queue} cannot be deleted"))?;
    Ok(1)
}

/// Moves the clock and back. Seen by what the hub notes as the time of something that happens now.
async fn clock(system: &System, seconds: i64) -> anyhow::Result<u64> {
    system.set_clock(seconds)?;
    let began = Instant::now();
    let mut moved = false;
    while !moved && began.elapsed() < Duration::from_secs(15) {
        sleep(Duration::from_millis(500)).await;
        let task = system.api.ping(SPOKES[0]).await;
        let shown = system.api.find(&format!("/v1/tasks/{task}")).await;
        let noted = shown.and_then(|task| task["created_at"].as_i64());
        let noted = noted.context("a task says when it was made")?;
        let off = noted / 1000 - now()?;
        moved = off.signum() == seconds.signum() && off.abs() > TEN_MINUTES / 2;
    }
    // Long enough for what looks at clocks every few seconds.
    sleep(Duration::from_secs(3)).await;
    system.set_clock(0)?;
    Ok(u64::from(moved))
}

fn now() -> anyhow::Result<i64> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let seconds = i64::try_from(since.as_secs())?;
    ensure!(seconds > 0, "this machine has no time");
    Ok(seconds)
}
