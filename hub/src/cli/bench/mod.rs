//! `kolga bench`: how fast tasks go the whole durable way, and how long one takes when nothing else
//! runs. It asks as every client asks and hears as every client hears, over the API and its streams.

mod figures;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use kolga_protocol::id::TaskId;
use kolga_protocol::names::ServerName;
use kolga_protocol::state::State;
use kolga_protocol::task::Kind;
use serde_json::json;

use figures::{Figures, Latency};

use super::client::Client;
use super::events::Events;
use super::page::Pages;
use super::screen::Screen;
use super::trouble::Trouble;
use crate::wire::{self, Doctor, Event, NewTask, NewTasks, Page, Presence, Server, Task};

/// Tasks to a request. Larger ones make the hub's transactions long without making it faster.
const BATCH: u32 = 100;
/// Tasks that go before the clock starts, so that connections and caches are as they are in use.
const WARM_UP: u32 = 20;
/// How often the servers are asked whether the last tasks have ended.
const GLANCE: Duration = Duration::from_millis(5);

/// `kolga bench`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kolga bench                                 all servers that are online
  kolga bench --tasks 20000 --servers web1,web2 --window 1000 --json

The tasks are pings: they are stored by the hub, confirmed by the broker, journaled by the worker,
reported, and stored again, like any other task, and do nothing in between. They stay in the list
of tasks.")]
pub(super) struct Args {
    /// How many tasks, for the figure of tasks per second
    #[arg(long, value_name = "N", default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tasks: u32,
    /// To which servers, in turn; all that are online where left out
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    servers: Vec<ServerName>,
    /// At most about so many tasks under way at once; all of them where left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    window: Option<u32>,
    /// How many tasks one at a time, for the figures of latency
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    single: u32,
}

impl Args {
    pub(super) async fn run(self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        let doctor: Doctor = client.get("/v1/doctor", &[]).await?;
        let servers = self.servers(client).await?;
        for server in &servers {
            let ids = ask(client, server, WARM_UP).await?;
            end_of(client, &ids).await?;
        }
        let (tasks, took, succeeded) = self.throughput(client, screen, &servers).await?;
        let latency = self.latency(client, screen, &servers[0]).await?;
        let seconds = took.as_secs_f64();
        let figures = Figures {
            version: doctor.version,
            database: doctor.database,
            broker: doctor.broker,
            servers,
            tasks,
            succeeded,
            window: self.window,
            seconds,
            tasks_per_second: f64::from(tasks) / seconds,
            latency,
        };
        figures.show(screen)?;
        if succeeded == tasks {
            Ok(())
        } else {
            Err(Trouble::TaskFailed)
        }
    }

    async fn servers(&self, client: &Client) -> Result<Vec<ServerName>, Trouble> {
        if !self.servers.is_empty() {
            return Ok(self.servers.clone());
        }
        let mut online: Vec<ServerName> = Vec::new();
        let mut pages = Pages::new(client, "/v1/servers", "after", Vec::new());
        while let Some(page) = pages.next::<Server>().await? {
            let servers = page.items.into_iter();
            online.extend(
                servers
                    .filter(|server| server.presence == Presence::Online)
                    .map(|server| server.name),
            );
        }
        if online.is_empty() {
            let error = wire::Error {
                code: "no_server_online".to_owned(),
                message: "no server is online, so nobody would answer a ping".to_owned(),
                hint: Some("See what is wrong with them: kolga doctor".to_owned()),
            };
            return Err(Trouble::Refused { error });
        }
        Ok(online)
    }

    /// How many tasks, how long they took, how many of them succeeded.
    async fn throughput(
        &self,
        client: &Client,
        screen: &Screen,
        servers: &[ServerName],
    ) -> Result<(u32, Duration, u32), Trouble> {
        let before = open_tasks(client, servers).await?;
        let window = self.window.unwrap_or(self.tasks);
        let batch = BATCH.min(window);
        let at_once = usize::try_from(window / batch).unwrap_or(usize::MAX);
        screen.note(&format!("{} tasks, {window} at once …", self.tasks));

        let sizes = (0..self.tasks.div_ceil(batch)).map(|n| batch.min(self.tasks - n * batch));
        let began = Instant::now();
        let batches: Vec<Vec<TaskId>> = stream::iter(sizes.zip(servers.iter().cycle()))
            .map(|(size, server)| async move {
                let ids = ask(client, server, size).await?;
                end_of(client, &ids).await?;
                Ok::<_, Trouble>(ids)
            })
            .buffer_unordered(at_once)
            .try_collect()
            .await?;
        // The last of a batch to be asked for need not be the last to end.
        while open_tasks(client, servers).await? > before {
            tokio::time::sleep(GLANCE).await;
        }
        let took = began.elapsed();

        let asked: BTreeSet<TaskId> = batches.into_iter().flatten().collect();
        let succeeded = count_succeeded(client, &asked).await?;
        Ok((self.tasks, took, succeeded))
    }

    async fn latency(
        &self,
        client: &Client,
        screen: &Screen,
        server: &ServerName,
    ) -> Result<Option<Latency>, Trouble> {
        if self.single == 0 {
            return Ok(None);
        }
        screen.note(&format!("{} tasks, one after the other …", self.single));
        let mut started = Vec::new();
        let mut finished = Vec::new();
        for _ in 0..self.single {
            let began = Instant::now();
            let ids = ask(client, server, 1).await?;
            let mut events = Events::open(client, ids[0]).await?;
            let mut runs = None;
            while let Some(event) = events.next().await? {
                let Event::State(entry) = event else { continue };
                // A task that is over at once may have been told as a start and an end in one.
                if entry.state == State::Running || entry.finished {
                    runs.get_or_insert_with(|| began.elapsed());
                }
                if entry.finished {
                    finished.push(began.elapsed());
                    break;
                }
            }
            started.extend(runs);
        }
        Ok(Some(Latency::of(started, finished)))
    }
}

async fn ask(client: &Client, server: &ServerName, count: u32) -> Result<Vec<TaskId>, Trouble> {
    let wish = NewTask {
        server: server.clone(),
        kind: Kind::Ping.as_str().to_owned(),
        params: json!({}),
        count: Some(count),
    };
    Ok(client.post::<_, NewTasks>("/v1/tasks", &wish).await?.tasks)
}

/// Hears when the last of these has ended.
async fn end_of(client: &Client, ids: &[TaskId]) -> Result<(), Trouble> {
    let Some(&last) = ids.last() else {
        return Ok(());
    };
    let mut events = Events::open(client, last).await?;
    while let Some(event) = events.next().await? {
        if matches!(event, Event::State(entry) if entry.finished) {
            break;
        }
    }
    Ok(())
}

async fn open_tasks(client: &Client, servers: &[ServerName]) -> Result<u64, Trouble> {
    let mut open = 0;
    for name in servers {
        let server: Server = client.get(&format!("/v1/servers/{name}"), &[]).await?;
        open += server.open_tasks;
    }
    Ok(open)
}

async fn count_succeeded(client: &Client, asked: &BTreeSet<TaskId>) -> Result<u32, Trouble> {
    let mut query = vec![("limit", "1000".to_owned())];
    let mut succeeded = 0;
    // Newest first: from the end of the list to the first of ours.
    loop {
        let page: Page<Task> = client.get("/v1/tasks", &query).await?;
        let ours = page.items.iter().filter(|task| asked.contains(&task.id));
        let good = ours.filter(|task| task.state == State::Succeeded).count();
        succeeded += u32::try_from(good).unwrap_or(u32::MAX);
        let oldest = page.items.last().map(|task| task.id);
        match page.next {
            Some(next) if oldest.as_ref() > asked.first() => {
                query.truncate(1);
                query.push(("before", next));
            }
            _ => return Ok(succeeded),
        }
    }
}
