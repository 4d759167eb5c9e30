//! The control socket: how `kolga-worker status`, `pause`, `resume` and `journal retry-undo|abandon` reach
//! the running worker. JSON, one line each way, over a Unix socket that only the worker's own user (and
//! root) may use.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::task::backup_list::Pruned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cron::pruning;
use crate::intake::IntakeStatus;
use crate::journal::Reader;
use crate::run::{Runner, RunnerStatus};
use crate::services::restic;

/// The longest request, in bytes.
const REQUEST: u64 = 64 * 1024;

/// What can be asked of a running worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Request {
    /// What it does.
    Status,
    /// Take no tasks.
    Pause,
    /// Take tasks again.
    Resume,
    /// Try a stuck attempt's undo again.
    RetryUndo {
        /// `<task uuid>.<attempt>`.
        run: String,
    },
    /// Give a stuck attempt up.
    Abandon {
        /// `<task uuid>.<attempt>`.
        run: String,
        /// Why, for the hub's record.
        comment: String,
    },
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Response {
    /// Done.
    Done,
    /// Refused, and why.
    Refused {
        /// A sentence.
        reason: String,
    },
    /// To [`Request::Status`].
    Status(Box<Status>),
}

/// What a running worker shows.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Its spoke.
    pub server: String,
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// `consuming`, `full`, `paused` or `draining`.
    pub mood: kolga_protocol::message::Mood,
    /// The connection to the broker.
    pub link: String,
    /// How children are held together.
    pub supervision: String,
    /// Why none can be confined to some folders; nothing where they can.
    #[serde(default)]
    pub unconfined: Option<String>,
    /// Batches of reports that the broker has not confirmed.
    pub spooled: i64,
    /// What has not ended.
    pub runner: RunnerStatus,
    /// What became of it when backups were pruned by themselves last.
    #[serde(default)]
    pub pruned: Option<Pruned>,
    /// Backups that do not count, and go when their host can be asked.
    #[serde(default)]
    pub owed: usize,
}

/// What the socket answers from.
pub struct Controls {
    /// The spoke's name.
    pub server: String,
    /// How children are held together, for a person.
    pub supervision: String,
    /// Why none can be confined.
    pub unconfined: Option<String>,
    /// Who runs tasks.
    pub runner: Runner,
    /// What intake does.
    pub intake: watch::Receiver<IntakeStatus>,
    /// Whether an operator wants it to take nothing.
    pub pause: watch::Sender<bool>,
    /// For the size of the spool.
    pub reader: Reader,
    /// The worker's own folder.
    pub state_dir: PathBuf,
}

/// Listens. A socket that a dead worker left is replaced; the lock on the state directory has told that no
/// other worker lives.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("cannot replace {}", path.display()));
    }
    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    // Its directory is the worker's alone (0700), so there is no moment at which others could connect.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
        .with_context(|| format!("cannot protect {}", path.display()))?;
    Ok(listener)
}

/// Answers until `stop` fires, one request at a time.
pub async fn serve(listener: UnixListener, mut controls: Controls, stop: CancellationToken) {
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the control socket cannot accept");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let limit = std::time::Duration::from_secs(10);
        match tokio::time::timeout(limit, answer(stream, &mut controls)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(error = format!("{error:#}"), "control socket"),
            Err(_) => tracing::warn!("a client of the control socket was too slow"),
        }
    }
}

async fn answer(stream: UnixStream, controls: &mut Controls) -> anyhow::Result<()> {
    let peer = stream.peer_cred().context("cannot tell who asks")?;
    let mine = rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        peer.uid() == mine || peer.uid() == 0,
        "user {} may not control this worker",
        peer.uid()
    );
    let (reading, mut writing) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reading.take(REQUEST))
        .read_line(&mut line)
        .await?;
    let response = match serde_json::from_str(&line) {
        Ok(request) => controls.obey(request).await,
        Err(error) => Response::Refused {
            reason: format!("the request cannot be read: {error}"),
        },
    };
    let mut text = serde_json::to_vec(&response)?;
    text.push(b'\n');
    writing.write_all(&text).await?;
    Ok(())
}

impl Controls {
    async fn obey(&mut self, request: Request) -> Response {
        match request {
            Request::Status => match self.status().await {
                Ok(status) => Response::Status(Box::new(status)),
                Err(error) => Response::Refused {
                    reason: format!("{error:#}"),
                },
            },
            Request::Pause => {
                self.pause.send_replace(true);
                Response::Done
            }
            Request::Resume => {
                self.pause.send_replace(false);
                Response::Done
            }
            Request::RetryUndo { run } => match parse(&run) {
                Ok(run) => verdict(self.runner.retry_undo(run).await),
                Err(reason) => Response::Refused { reason },
            },
            Request::Abandon { run, comment } => match parse(&run) {
                Ok(run) => verdict(self.runner.abandon(run, comment).await),
                Err(reason) => Response::Refused { reason },
            },
        }
    }

    async fn status(&mut self) -> anyhow::Result<Status> {
        let intake = self.intake.borrow().clone();
        Ok(Status {
            server: self.server.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            mood: intake.mood,
            link: intake.link.to_string(),
            supervision: self.supervision.clone(),
            unconfined: self.unconfined.clone(),
            spooled: self.reader.overview().await?.spooled,
            runner: self.runner.status().await,
            pruned: pruning::last(&self.state_dir)?,
            owed: restic::owed_anywhere(&self.state_dir)?,
        })
    }
}

fn parse(run: &str) -> Result<Run, String> {
    run.parse().map_err(|error| format!("{run}: {error}"))
}

fn verdict(verdict: Result<(), String>) -> Response {
    match verdict {
        Ok(()) => Response::Done,
        Err(reason) => Response::Refused { reason },
    }
}

/// Asks the worker whose socket this is. `None` when none runs.
///
/// # Errors
/// When the socket may not be used, or the answer is no answer.
pub async fn ask(path: &Path, request: &Request) -> anyhow::Result<Option<Response>> {
    use std::io::ErrorKind::{ConnectionRefused, NotFound};
    let stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), NotFound | ConnectionRefused) => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| {
                format!(
                    "cannot use {}: run this as the worker's user",
                    path.display()
                )
            });
        }
    };
    let (reading, mut writing) = stream.into_split();
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    writing.write_all(&text).await?;
    let mut line = String::new();
    BufReader::new(reading).read_line(&mut line).await?;
    serde_json::from_str(&line)
        .map(Some)
        .context("the worker's answer cannot be read: are worker and command of one release?")
}
