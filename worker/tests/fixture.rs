//! A journal that the first format's release left behind, `fixtures/journal-1.sql`: this release opens it, rolls
//! back or finishes what it finds, and reports it all. `examples/journal_fixture.rs` says how it was made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kolga_protocol::envelope;
use kolga_protocol::id::{Attempt, Run, UnixMillis};
use kolga_protocol::message::{Report, ReportBody, Reports, StateReport, TaskMessage};
use kolga_protocol::names::HostName;
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::{Output, Params, ping};
use kolga_worker::config::Config;
use kolga_worker::journal::{Incoming, Journal, Reader, Taken};
use kolga_worker::layout;
use kolga_worker::registry::SiteEntry;
use kolga_worker::run::Runner;
use kolga_worker::secrets::SiteSecrets;
use kolga_worker::spoke::Spoke;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _};

/// What a red test means before the first release.
const CHANGED: &str = "it opens; was the schema changed? Until the first release: cargo run -p kolga-worker --example journal_fixture";

const ENDED: u8 = 1;
const CANCELLED_UNSEEN: u8 = 2;
const OPEN: u8 = 3;
const ROLLING_BACK: u8 = 4;
const STUCK: u8 = 5;
const COMMITTED: u8 = 6;
const WAITING: u8 = 7;

fn run(number: u8) -> Run {
    let id = format!("01890a5d-ac96-774b-bcce-b302099a80{number:02x}");
    Run::new(id.parse().expect("an id"), Attempt::FIRST)
}

fn name(host: &str) -> HostName {
    host.parse().expect("a name")
}

/// A folder with the journal of the fixture; gone when dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Folder {
    async fn new() -> Self {
        let path = std::env::temp_dir().join(format!("kolga-fixture-{}", uuid::Uuid::now_v7()));
        for folder in ["state", "sites", "platforms", "vhosts"] {
            std::fs::create_dir_all(path.join(folder)).expect("a folder");
        }
        let folder = Self(path);
        let mut database = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(folder.journal())
            .create_if_missing(true)
            .connect()
            .await
            .expect("a database");
        let sql = include_str!("fixtures/journal-1.sql");
        database.execute(AssertSqlSafe(sql)).await.expect("loaded");
        folder
    }

    fn journal(&self) -> PathBuf {
        self.0.join("state/journal.sqlite")
    }

    fn config(&self) -> Config {
        let root = self.0.display();
        toml::from_str(&format!(
            r#"
            server = "web1"
            state_dir = "{root}/state"
            [broker]
            url = "amqp://kolga-web1:x@127.0.0.1/kolga"
            [sites]
            root = "{root}/sites"
            platforms = "{root}/platforms"
            [nginx]
            include = "{root}/kolga.conf"
            sites_dir = "{root}/vhosts"
            staged = "{root}/staged.conf"
            test = ["/bin/true"]
            test_staged = ["/bin/true"]
            reload = ["/bin/true"]
            check_address = "127.0.0.1:80"
            "#
        ))
        .expect("a configuration")
    }
}

async fn open(path: &Path) -> Journal {
    let server = "web1".parse().expect("a name");
    Journal::open(path, &server).await.expect(CHANGED).0
}

async fn reports(path: &Path) -> Vec<Report> {
    let mut reader = Reader::open(path).await.expect("a reader");
    let rows = reader.spool(0, 10_000).await.expect("rows");
    rows.iter()
        .flat_map(|row| {
            envelope::open::<Reports>(&row.body)
                .expect("the bytes of that release")
                .items
        })
        .collect()
}

/// The changes of state that are told of one attempt.
fn told(reports: &[Report], number: u8) -> Vec<StateReport> {
    let of_it = reports.iter().filter(|report| report.run == run(number));
    of_it
        .filter_map(|report| match &report.body {
            ReportBody::State(state) => Some(state.clone()),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn every_attempt_of_an_old_journal_is_read_as_it_was() {
    let folder = Folder::new().await;
    let journal = open(&folder.journal()).await;
    let mut reader = Reader::open(&folder.journal()).await.expect("a reader");
    let live = reader.live().await.expect(CHANGED);
    let found: Vec<_> = live.iter().map(|task| (task.run, task.state)).collect();
    let wanted = [
        (run(OPEN), State::Running),
        (run(ROLLING_BACK), State::RollingBack),
        (run(STUCK), State::Stuck),
        (run(COMMITTED), State::Running),
        (run(WAITING), State::Accepted),
    ];
    assert_eq!(found, wanted);
    assert!(live[3].output.is_some() && live[..3].iter().all(|task| task.output.is_none()));
    let cause = live[1].cause.as_ref().expect("why it is rolled back");
    assert_eq!(cause.failure.message, "the disk was full");
    let steps = |at: usize| -> Vec<&str> {
        let steps = live[at].steps.iter();
        steps.map(|step| step.state.as_str()).collect()
    };
    assert_eq!(steps(0), ["done", "intent"]);
    assert_eq!(steps(1), ["done", "undone"]);
    assert_eq!(steps(3), ["finished", "final"]);

    // What comes again is known.
    for (number, wanted) in [
        (ENDED, Taken::AlreadyEnded),
        (CANCELLED_UNSEEN, Taken::AlreadyEnded),
        (OPEN, Taken::Known),
        (WAITING, Taken::Known),
    ] {
        let message = TaskMessage {
            run: run(number),
            server: "web1".parse().expect("a name"),
            issued_at: UnixMillis::now(),
            expires_at: None,
            requested_by: "a test".to_owned(),
            payload: Params::Ping(ping::Params {}).to_payload(),
        };
        let refusal = None;
        let taken = journal.accept(vec![Incoming { message, refusal }]).await;
        assert_eq!(taken.expect("judged"), [wanted], "{number}");
    }
    // The stored result of that release, said again by this one.
    let again = told(&reports(&folder.journal()).await, ENDED);
    let output = again.last().and_then(|last| last.output.as_ref());
    let output = Output::from_payload(output.expect("a result")).expect("it is read");
    assert!(matches!(output, Output::Ping(pong) if pong.worker_version == "0.1.0"));
}

#[tokio::test]
async fn a_spool_of_that_release_is_sent_on_without_a_gap() {
    let folder = Folder::new().await;
    let _journal = open(&folder.journal()).await;
    let reports = reports(&folder.journal()).await;
    let mut last: BTreeMap<Run, u64> = BTreeMap::new();
    for report in reports.iter().filter(|report| report.run != run(ENDED)) {
        let before = last.insert(report.run, report.seq).unwrap_or_default();
        assert_eq!(report.seq, before + 1, "{report:?}");
    }
    assert_eq!(
        last.len(),
        6,
        "all but the one whose first reports had left"
    );
    assert!(reports.iter().any(|report| matches!(
        &report.body,
        ReportBody::Log(lines) if lines.text == "one line\nand another"
    )));
}

#[tokio::test]
async fn what_that_release_left_unfinished_is_undone_or_finished_and_reported() {
    let folder = Folder::new().await;
    let config = folder.config();
    let spoke = Spoke::open(config.clone(), None).await.expect("a spoke");
    // What the steps of that release had made when it died, and what is not theirs.
    let secrets_of = |number: u8, host: &str| {
        let secrets = SiteSecrets {
            owner: run(number).to_string(),
            database_password: None,
            values: BTreeMap::new(),
        };
        spoke.secrets.save(&name(host), &secrets).expect("saved");
        spoke.secrets.path(&name(host))
    };
    let open_secrets = secrets_of(OPEN, "open.example.org");
    let back_secrets = secrets_of(ROLLING_BACK, "back.example.org");
    let stuck_secrets = secrets_of(STUCK, "stuck.example.org");
    let sites = layout::sites(&config).expect("there");
    let mine = run(OPEN).to_string();
    drop(
        sites
            .make_owned_dir("open.example.org", 0o700, &mine)
            .expect("made"),
    );
    // As an earlier release wrote it: what came later is missing.
    let entry: SiteEntry = serde_json::from_value(serde_json::json!({
        "host": "gone.example.org", "owner": "an earlier run", "profile": "static",
        "path": folder.0.join("sites/gone.example.org"), "installed_at": 1,
    }))
    .expect("an entry");
    spoke.registry.sites.save(&entry).expect("saved");
    let stranger = folder.0.join("sites/back.example.org");
    std::fs::create_dir(&stranger).expect("planted");

    let journal = open(&folder.journal()).await;
    let mut reader = Reader::open(&folder.journal()).await.expect("a reader");
    let live = reader.live().await.expect(CHANGED);
    let registry = spoke.registry.clone();
    let (runner, running) = Runner::start(Arc::new(spoke), journal);
    let mut counts = runner.counts();
    runner.recover(live).await;
    let settled = counts.wait_for(|now| now.running == 0 && now.waiting == 0);
    let settled = tokio::time::timeout(std::time::Duration::from_secs(60), settled);
    assert_eq!(settled.await.expect("it settles").expect("alive").stuck, 1);

    let reports = reports(&folder.journal()).await;
    let end = |number: u8| told(&reports, number).last().map(|last| last.event);
    assert_eq!(end(OPEN), Some(Event::Interrupted));
    assert_eq!(end(ROLLING_BACK), Some(Event::Failed));
    assert_eq!(end(STUCK), Some(Event::Stuck));
    assert_eq!(end(COMMITTED), Some(Event::Succeeded));
    assert_eq!(end(WAITING), Some(Event::Succeeded));
    assert!(!open_secrets.exists() && !folder.0.join("sites/open.example.org").exists());
    assert!(!back_secrets.exists() && stranger.exists());
    assert!(stuck_secrets.exists(), "that is the operator's");
    let gone = registry.sites.load(&name("gone.example.org"));
    assert!(
        gone.expect("read").is_none(),
        "the last final step was done"
    );

    // The operator decides, and then the journal has nothing left.
    runner.retry_undo(run(STUCK)).await.expect("it is stuck");
    let settled = counts.wait_for(|now| now.running == 0 && now.stuck == 0);
    let settled = tokio::time::timeout(std::time::Duration::from_secs(60), settled);
    drop(settled.await.expect("it settles").expect("alive"));
    assert!(!stuck_secrets.exists());
    runner.drain();
    running.await.expect("the runner ends in order");
    assert!(reader.live().await.expect("read").is_empty());
}
