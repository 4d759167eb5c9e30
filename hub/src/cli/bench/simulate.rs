//! Simulated servers: made known to the hub, run in this process on a runtime of their own, and removed again
//! however the measurement ends.

use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use kolga_protocol::link::LinkConfig;
use kolga_protocol::names::ServerName;
use reqwest::Method;

use super::progress::Progress;
use super::simulated::{Spoke, VERSION};
use crate::cli::client::Client;
use crate::cli::screen::Screen;
use crate::cli::trouble::Trouble;
use crate::wire::{NewServer, RemovedServer, Server};

/// Servers that are added, connected or removed at once: a broker lets nobody in faster for being asked by
/// thousands.
const AT_ONCE: usize = 16;
/// How long one may take to be let in.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long what is under way may take to end before its server is removed.
const LAST_TASKS: Duration = Duration::from_secs(20);
const GLANCE: Duration = Duration::from_millis(200);
/// Open files that one of them takes, and those of everything else.
const FILES: (u64, u64) = (4, 200);

/// All of them.
pub(super) struct Simulation {
    link: LinkConfig,
    /// Its threads are not those that measure.
    runtime: Option<tokio::runtime::Runtime>,
    names: Vec<ServerName>,
    spokes: Vec<Spoke>,
}

impl Simulation {
    /// None yet. `file` holds the broker's URL, as `deploy/bench-users` prints it.
    pub(super) fn new(file: &Path) -> Result<Self, Trouble> {
        let usage = |problem: String| Trouble::Usage {
            message: format!("the broker's URL in {} {problem}", file.display()),
            hint: "Make the users and the file with: deploy/bench-users 10 > FILE".to_owned(),
        };
        let text = std::fs::read_to_string(file)
            .map_err(|error| usage(format!("cannot be read: {error}")))?;
        let link = LinkConfig::new(text.trim(), "kolga bench")
            .map_err(|error| usage(format!("is none: {error}")))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("simulated")
            .enable_all()
            .build()?;
        Ok(Self {
            link,
            runtime: Some(runtime),
            names: Vec::new(),
            spokes: Vec::new(),
        })
    }

    /// As many as there are.
    pub(super) fn names(&self) -> &[ServerName] {
        &self.names
    }

    /// Makes it so many; how long it took until the new ones were connected, the hub knowing them.
    pub(super) async fn grow(
        &mut self,
        client: &Client,
        screen: &Screen,
        count: usize,
    ) -> Result<Duration, Trouble> {
        allow_files(count as u64)?;
        screen.note(&format!("{count} simulated servers …"));
        let mut progress = Progress::new(screen, count as u64, "servers are known to the hub");
        let mut added = stream::iter((self.names.len() + 1..=count).map(|number| async move {
            let name: ServerName = format!("sim-{number}").parse().map_err(bad_name)?;
            add(client, &name).await?;
            Ok::<_, Trouble>((number, name))
        }))
        .buffer_unordered(AT_ONCE);
        let mut fresh = Vec::new();
        while let Some(one) = added.next().await {
            // Also when another cannot be added: it has to be removed.
            match one {
                Ok(one) => fresh.push(one),
                Err(trouble) => {
                    self.names.extend(fresh.into_iter().map(|(_, name)| name));
                    return Err(trouble);
                }
            }
            progress.tell((self.names.len() + fresh.len()) as u64);
        }
        drop(added);
        fresh.sort_unstable_by_key(|(number, _)| *number);
        let fresh: Vec<ServerName> = fresh.into_iter().map(|(_, name)| name).collect();
        self.names.extend(fresh.iter().cloned());

        let Some(runtime) = &self.runtime else {
            return Ok(Duration::ZERO);
        };
        let mut progress = Progress::new(screen, count as u64, "servers are connected");
        let began = Instant::now();
        let (link, mut connected) = (&self.link, self.spokes.len());
        let mut spokes = stream::iter(fresh.into_iter().map(|server| async move {
            let entered = runtime.enter();
            let mut spoke = Spoke::start(server, link);
            drop(entered);
            let up = spoke.connected(PATIENCE).await;
            (spoke, up)
        }))
        .buffer_unordered(AT_ONCE);
        while let Some((spoke, up)) = spokes.next().await {
            if let Err(reason) = up {
                return Err(Trouble::Usage {
                    message: format!("simulated server {} has no link: {reason}", spoke.server),
                    hint: format!("Has the broker its user? deploy/bench-users {count} > FILE"),
                });
            }
            self.spokes.push(spoke);
            connected += 1;
            progress.tell(connected as u64);
        }
        Ok(began.elapsed())
    }

    /// Removes all of them: first their tasks end, then they do, then the hub forgets them.
    pub(super) async fn end(mut self, client: &Client, screen: &Screen) -> Result<(), Trouble> {
        if !self.names.is_empty() {
            screen.note("The simulated servers are removed …");
        }
        self.let_tasks_end(client).await?;
        let spokes = std::mem::take(&mut self.spokes);
        let ended = futures_util::future::join_all(spokes.into_iter().map(Spoke::end));
        // The broker sees that they are gone also from one that does not say good-bye.
        drop(tokio::time::timeout(PATIENCE, ended).await);
        let mut progress = Progress::new(screen, self.names.len() as u64, "servers are removed");
        let mut removed = stream::iter(self.names.iter().map(|name| async move {
            let path = format!("/v1/servers/{name}");
            let answer = client.act::<RemovedServer>(Method::DELETE, &path).await;
            answer.map_err(|trouble| (name, trouble))
        }))
        .buffer_unordered(AT_ONCE);
        let mut stay = None;
        let mut count = 0;
        while let Some(answer) = removed.next().await {
            match answer {
                Ok(_) => count += 1,
                Err((name, trouble)) => {
                    screen.note(&format!("{name} stays: {trouble}"));
                    stay = Some(trouble);
                }
            }
            progress.tell(count);
        }
        drop(removed);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        stay.map_or(Ok(()), Err)
    }

    async fn let_tasks_end(&self, client: &Client) -> Result<(), Trouble> {
        let give_up = Instant::now() + LAST_TASKS;
        let mut open: Vec<&ServerName> = self.names.iter().collect();
        while !open.is_empty() && Instant::now() < give_up {
            let looks = stream::iter(open.into_iter().map(|name| async move {
                let path = format!("/v1/servers/{name}");
                let server: Server = client.get(&path, &[]).await?;
                Ok::<_, Trouble>((server.open_tasks > 0).then_some(name))
            }));
            let looks: Vec<Option<&ServerName>> =
                looks.buffer_unordered(AT_ONCE).try_collect().await?;
            open = looks.into_iter().flatten().collect();
            if !open.is_empty() {
                tokio::time::sleep(GLANCE).await;
            }
        }
        Ok(())
    }
}

/// Makes a server known; one that an earlier run left behind is as good, a real one is not.
async fn add(client: &Client, name: &ServerName) -> Result<(), Trouble> {
    let new = NewServer { name: name.clone() };
    let trouble = match client.post::<_, Server>("/v1/servers", &new).await {
        Ok(_) => return Ok(()),
        Err(trouble) => trouble,
    };
    if !matches!(&trouble, Trouble::Refused { error } if error.code == "server_exists") {
        return Err(trouble);
    }
    let there: Server = client.get(&format!("/v1/servers/{name}"), &[]).await?;
    if there.worker.is_none_or(|worker| worker.version == VERSION) {
        return Ok(());
    }
    Err(Trouble::Usage {
        message: format!("{name} is a real server, whose name simulated ones would take"),
        hint: "Measure on an installation without such a server.".to_owned(),
    })
}

/// Lets this process open as many files as the system lets it.
fn allow_files(servers: u64) -> Result<(), Trouble> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let (each, others) = FILES;
    let needed = servers * each + others;
    let limits = getrlimit(Resource::Nofile);
    if limits.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limits.maximum.is_some_and(|maximum| maximum < needed) {
        return Err(Trouble::Usage {
            message: format!("{servers} simulated servers need {needed} open files"),
            hint: format!("Allow them: ulimit -Hn {needed}, as root"),
        });
    }
    let more = Rlimit {
        current: limits.maximum,
        maximum: limits.maximum,
    };
    setrlimit(Resource::Nofile, more).map_err(std::io::Error::from)?;
    Ok(())
}

fn bad_name(error: impl std::fmt::Display) -> Trouble {
    Trouble::Io(std::io::Error::other(error.to_string()))
}
