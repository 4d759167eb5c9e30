//! Makes `worker/tests/fixtures/journal-1.sql`: a journal of the first format with an attempt in every
//! state that recovery can find. `tests/fixture.rs` says what a later release must make of it.
//!
//! Once a release has written this format, the file never changes again. Until then:
//! `cargo run -p kolga-worker --example journal_fixture`

mod dump;

use std::path::Path;

use kolga_protocol::id::{Attempt, Run, UnixMillis};
use kolga_protocol::message::{Failure, Level, LogLines, ReportBody, TaskMessage};
use kolga_protocol::names::HostName;
use kolga_protocol::state::Event;
use kolga_protocol::task::{Output, Params, ping, site_delete, site_install};
use kolga_worker::journal::{Cause, Change, Entry, Incoming, Journal, Place, Reader, StepRow};
use serde_json::json;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("kolga-fixture-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let file = folder.join("journal.sqlite");
    let (journal, writer) = Journal::open(&file, &"web1".parse()?).await?;
    let scenario = Scenario { journal };
    scenario.ended().await?;
    scenario.forget_what_was_sent(&file).await?;
    scenario.cancelled_before_it_came().await?;
    scenario.open().await?;
    scenario.rolling_back().await?;
    scenario.stuck().await?;
    scenario.committed().await?;
    scenario.waiting().await?;
    drop(scenario);
    writer.await?;
    let to = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/journal-1.sql");
    let about =
        "A journal of format 1, made by `cargo run -p kolga-worker --example journal_fixture`.";
    dump::dump(&file, Path::new(to), about).await?;
    std::fs::remove_dir_all(&folder)?;
    println!("{to}");
    Ok(())
}

struct Scenario {
    journal: Journal,
}

impl Scenario {
    async fn ended(&self) -> anyhow::Result<()> {
        let run = run(1);
        self.accept(run, pings()).await?;
        self.enter(run, vec![Change::Started, ended(Some(pong()))])
            .await
    }

    async fn forget_what_was_sent(&self, file: &Path) -> anyhow::Result<()> {
        let rows = Reader::open(file).await?.spool(0, 1).await?;
        self.journal.sent(rows.iter().map(|row| row.id).collect());
        Ok(())
    }

    async fn cancelled_before_it_came(&self) -> anyhow::Result<()> {
        Ok(self.journal.cancel_unseen(run(2)).await?)
    }

    /// The worker died while the second step ran.
    async fn open(&self) -> anyhow::Result<()> {
        let (run, host) = (run(3), "open.example.org");
        self.accept(run, installs(host)).await?;
        self.enter(run, vec![Change::Started]).await?;
        self.enter(
            run,
            vec![Change::Intent(step(run, host, 1, "reserve_site"))],
        )
        .await?;
        let said = Change::Report(ReportBody::Log(LogLines {
            level: Level::Output,
            step: Some("reserve_site".to_owned()),
            text: "one line\nand another".to_owned(),
        }));
        let done = Change::Done(place(1, "reserve_site"));
        let next = Change::Intent(step(run, host, 2, "make_site_folders"));
        self.enter(run, vec![said, done, next]).await
    }

    /// It died while an error was being undone.
    async fn rolling_back(&self) -> anyhow::Result<()> {
        let (run, host) = (run(4), "back.example.org");
        self.accept(run, installs(host)).await?;
        let cause = Cause {
            event: Event::Failed,
            failure: failure("the disk was full", &[]),
        };
        for changes in [
            vec![
                Change::Started,
                Change::Intent(step(run, host, 1, "reserve_site")),
            ],
            vec![
                Change::Done(place(1, "reserve_site")),
                Change::Intent(step(run, host, 2, "make_site_folders")),
            ],
            vec![Change::RollingBack(cause)],
            vec![Change::Undone(place(2, "make_site_folders"))],
        ] {
            self.enter(run, changes).await?;
        }
        Ok(())
    }

    /// Its undo had failed, and nobody had decided yet.
    async fn stuck(&self) -> anyhow::Result<()> {
        let (run, host) = (run(5), "stuck.example.org");
        self.accept(run, installs(host)).await?;
        let cause = Cause {
            event: Event::Cancelled,
            failure: failure("anna cancelled it", &[]),
        };
        for changes in [
            vec![
                Change::Started,
                Change::Intent(step(run, host, 1, "reserve_site")),
            ],
            vec![Change::RollingBack(cause)],
            vec![Change::Stuck(failure(
                "could not be undone",
                &["the secrets"],
            ))],
        ] {
            self.enter(run, changes).await?;
        }
        Ok(())
    }

    /// It died past the point of no return, one final step before the end.
    async fn committed(&self) -> anyhow::Result<()> {
        let (run, host) = (run(6), "gone.example.org");
        let params = Params::SiteDelete(site_delete::Params {
            site: name(host),
            no_backup: true,
        });
        self.accept(run, params).await?;
        let finals = vec![
            StepRow {
                place: place(1, "empty_trash"),
                record: json!({ "run": run }),
            },
            StepRow {
                place: place(2, "forget_site"),
                record: json!({ "host": host, "owner": "an earlier run" }),
            },
        ];
        let output = Output::SiteDelete(site_delete::Output {
            path: format!("/var/lib/kolga/sites/{host}"),
            database: None,
            backup: None,
        })
        .to_payload();
        for changes in [
            vec![Change::Started],
            vec![Change::PointOfNoReturn { finals, output }],
            vec![Change::Finished(place(1, "empty_trash"))],
        ] {
            self.enter(run, changes).await?;
        }
        Ok(())
    }

    async fn waiting(&self) -> anyhow::Result<()> {
        self.accept(run(7), pings()).await
    }

    async fn accept(&self, run: Run, params: Params) -> anyhow::Result<()> {
        let message = TaskMessage {
            run,
            server: "web1".parse()?,
            issued_at: UnixMillis(1_700_000_000_000),
            expires_at: None,
            requested_by: "anna".to_owned(),
            payload: params.to_payload(),
        };
        let refusal = None;
        self.journal
            .accept(vec![Incoming { message, refusal }])
            .await?;
        Ok(())
    }

    async fn enter(&self, run: Run, changes: Vec<Change>) -> anyhow::Result<()> {
        Ok(self.journal.enter(Entry { run, changes }).durable().await?)
    }
}

/// The same attempts each time: `tests/fixture.rs` knows them by number.
fn run(number: u8) -> Run {
    let id = format!("01890a5d-ac96-774b-bcce-b302099a80{number:02x}");
    Run::new(id.parse().expect("an id"), Attempt::FIRST)
}

fn name(host: &str) -> HostName {
    host.parse().expect("a name")
}

fn pings() -> Params {
    Params::Ping(ping::Params {})
}

fn pong() -> kolga_protocol::task::Payload {
    Output::Ping(ping::Output {
        worker_version: "0.1.0".to_owned(),
        at_micros: 1_700_000_000_000_000,
    })
    .to_payload()
}

fn installs(host: &str) -> Params {
    Params::SiteInstall(site_install::Params {
        site: name(host),
        aliases: Vec::new(),
        profile: "static".parse().expect("a name"),
        platform: None,
        options: std::collections::BTreeMap::new(),
    })
}

fn place(position: u16, name: &str) -> Place {
    Place {
        position,
        total: 5,
        name: name.to_owned(),
    }
}

/// As those two steps write it.
fn step(run: Run, host: &str, position: u16, name: &str) -> StepRow {
    StepRow {
        place: place(position, name),
        record: json!({ "host": host, "run": run }),
    }
}

fn failure(message: &str, left_behind: &[&str]) -> Failure {
    Failure {
        step: None,
        message: message.to_owned(),
        left_behind: left_behind.iter().map(|&what| what.to_owned()).collect(),
    }
}

fn ended(output: Option<kolga_protocol::task::Payload>) -> Change {
    Change::Ended {
        event: Event::Succeeded,
        failure: None,
        output,
    }
}
