//! The journal's promises: nothing twice, nothing lost, every report numbered without a gap.

use std::path::{Path, PathBuf};

use kolga_protocol::envelope;
use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};
use kolga_protocol::message::{
    Failure, Level, LogLines, Report, ReportBody, Reports, StepPhase, TaskMessage,
};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::{Output, Params, Payload, ping};
use kolga_worker::journal::{
    Cause, Change, Entry, Incoming, Journal, JournalError, Place, Reader, StepRow, Taken, TaskView,
};
use sqlx::{ConnectOptions as _, Executor as _};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("kolga-journal-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    fn journal(&self) -> PathBuf {
        self.0.join("journal.sqlite")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn web1() -> ServerName {
    "web1".parse().expect("a name")
}

async fn open(path: &Path) -> Journal {
    Journal::open(path, &web1()).await.expect("a journal").0
}

async fn reader(path: &Path) -> Reader {
    Reader::open(path).await.expect("a reader")
}

fn ping_task(run: Run) -> Incoming {
    Incoming {
        message: TaskMessage {
            run,
            server: web1(),
            issued_at: UnixMillis::now(),
            expires_at: None,
            requested_by: "a test".to_owned(),
            payload: Params::Ping(ping::Params {}).to_payload(),
        },
        refusal: None,
    }
}

fn new_run() -> Run {
    Run::new(TaskId::generate(), Attempt::FIRST)
}

fn output() -> Payload {
    Output::Ping(ping::Output {
        worker_version: "1".to_owned(),
        at_micros: 7,
    })
    .to_payload()
}

fn place(position: u16) -> Place {
    Place {
        position,
        total: 3,
        name: format!("step_{position}"),
    }
}

fn step(position: u16) -> StepRow {
    StepRow {
        place: place(position),
        record: serde_json::json!({"made": position}),
    }
}

async fn enter(journal: &Journal, run: Run, changes: Vec<Change>) -> Result<(), JournalError> {
    journal.enter(Entry { run, changes }).durable().await
}

async fn accept(journal: &Journal, run: Run) -> Taken {
    journal
        .accept(vec![ping_task(run)])
        .await
        .expect("accepted")[0]
}

fn ended(event: Event, output: Option<Payload>) -> Change {
    let failure = (event != Event::Succeeded).then(|| Failure::plain("died"));
    Change::Ended {
        event,
        failure,
        output,
    }
}

/// Everything in the spool, in order.
async fn reports(path: &Path) -> Vec<Report> {
    let rows = reader(path).await.spool(0, 10_000).await.expect("rows");
    rows.iter()
        .flat_map(|row| {
            envelope::open::<Reports>(&row.body)
                .expect("our own bytes")
                .items
        })
        .collect()
}

fn events(reports: &[Report], run: Run) -> Vec<Event> {
    reports
        .iter()
        .filter(|report| report.run == run)
        .filter_map(|report| match &report.body {
            ReportBody::State(state) => Some(state.event),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_task_delivered_twice_runs_once_and_one_that_ended_tells_its_result_again() {
    let folder = Folder::new();
    let journal = open(&folder.journal()).await;
    let run = new_run();
    assert_eq!(accept(&journal, run).await, Taken::Accepted);
    assert_eq!(accept(&journal, run).await, Taken::Known);
    let end = ended(Event::Succeeded, Some(output()));
    enter(&journal, run, vec![Change::Started, end])
        .await
        .expect("entered");
    assert_eq!(accept(&journal, run).await, Taken::AlreadyEnded);
    let told = events(&reports(&folder.journal()).await, run);
    let once = [Event::Accepted, Event::Started, Event::Succeeded];
    assert_eq!(told[..3], once);
    assert_eq!(told[3..], [Event::Succeeded]);
    // A question of the hub, which may have lost what it was told, is answered in the same way.
    journal.tell_again(vec![run, new_run()]);
    let live = new_run();
    assert_eq!(accept(&journal, live).await, Taken::Accepted);
    let told = events(&reports(&folder.journal()).await, run);
    assert_eq!(told[4..], [Event::Succeeded]);
    // In one delivery of both, too.
    let twin = new_run();
    let taken = journal
        .accept(vec![ping_task(twin), ping_task(twin)])
        .await
        .expect("accepted");
    assert_eq!(taken, [Taken::Accepted, Taken::Known]);
}

#[tokio::test]
async fn an_older_attempt_is_refused_and_a_newer_one_is_taken() {
    let folder = Folder::new();
    let journal = open(&folder.journal()).await;
    let first = new_run();
    let second = Run::new(first.task, first.attempt.next());
    assert_eq!(accept(&journal, second).await, Taken::Accepted);
    assert_eq!(accept(&journal, first).await, Taken::Rejected);
    let third = Run::new(first.task, second.attempt.next());
    assert_eq!(accept(&journal, third).await, Taken::Accepted);
    let told = events(&reports(&folder.journal()).await, first);
    assert_eq!(told, [Event::Rejected]);
}

#[tokio::test]
async fn what_was_cancelled_before_it_came_is_not_run_when_it_comes() {
    let folder = Folder::new();
    let journal = open(&folder.journal()).await;
    let run = new_run();
    journal.cancel_unseen(run).await.expect("noted");
    assert_eq!(accept(&journal, run).await, Taken::AlreadyEnded);
    let told = events(&reports(&folder.journal()).await, run);
    assert!(!told.is_empty() && told.iter().all(|event| *event == Event::Cancelled));
}

#[tokio::test]
async fn a_refused_task_is_told_with_its_reason_and_never_waits() {
    let folder = Folder::new();
    let journal = open(&folder.journal()).await;
    let mut incoming = ping_task(new_run());
    incoming.refusal = Some("no such kind".to_owned());
    let taken = journal.accept(vec![incoming]).await.expect("judged");
    assert_eq!(taken, [Taken::Rejected]);
    let told = reports(&folder.journal()).await;
    let ReportBody::State(state) = &told[0].body else {
        panic!("{told:?}")
    };
    let reason = state.failure.as_ref().map(|f| f.message.as_str());
    assert_eq!(reason, Some("no such kind"));
    let live = reader(&folder.journal()).await.live().await;
    assert!(live.expect("read").is_empty());
    // Twice in one delivery: what was refused has ended, and is no task that waits.
    let mut twin = ping_task(new_run());
    twin.refusal = Some("no such kind".to_owned());
    let taken = journal.accept(vec![twin.clone(), twin]).await;
    assert_eq!(
        taken.expect("judged"),
        [Taken::Rejected, Taken::AlreadyEnded]
    );
}

#[tokio::test]
async fn a_restart_finds_every_step_that_was_begun_and_numbers_on() {
    let folder = Folder::new();
    let run = new_run();
    let journal = open(&folder.journal()).await;
    accept(&journal, run).await;
    for changes in [
        vec![Change::Started],
        vec![Change::Intent(step(1))],
        vec![Change::Done(place(1)), Change::Intent(step(2))],
    ] {
        enter(&journal, run, changes).await.expect("entered");
    }
    drop(journal);
    let journal = open(&folder.journal()).await;
    let mut reader = reader(&folder.journal()).await;
    let live = reader.live().await.expect("read");
    assert_eq!(live.len(), 1);
    assert_eq!((live[0].run, live[0].state), (run, State::Running));
    let found: Vec<_> = live[0]
        .steps
        .iter()
        .map(|step| (step.row.record["made"].as_u64(), step.state.as_str()))
        .collect();
    assert_eq!(found, [(Some(1), "done"), (Some(2), "intent")]);
    let cause = Cause {
        event: Event::Interrupted,
        failure: Failure::plain("died"),
    };
    enter(&journal, run, vec![Change::RollingBack(cause.clone())])
        .await
        .expect("entered");
    assert_eq!(reader.live().await.expect("read")[0].cause, Some(cause));
    for changes in [
        vec![Change::Undone(place(2))],
        vec![Change::Undone(place(1))],
        vec![ended(Event::Interrupted, None)],
    ] {
        enter(&journal, run, changes).await.expect("entered");
    }
    assert!(reader.live().await.expect("read").is_empty());
    let steps: Vec<_> = reports(&folder.journal())
        .await
        .into_iter()
        .filter_map(|report| match report.body {
            ReportBody::Step(step) => Some((step.position, step.phase)),
            _ => None,
        })
        .collect();
    let wanted = [
        (1, StepPhase::Applying),
        (1, StepPhase::Applied),
        (2, StepPhase::Applying),
        (2, StepPhase::Undone),
        (1, StepPhase::Undone),
    ];
    assert_eq!(steps, wanted, "what was done to each step is told");
    // Nothing of an attempt that has ended stays but its own row, whenever its steps were begun.
    assert_eq!(step_rows(&folder.journal()).await, 0);
    let told = reports(&folder.journal()).await;
    let gapless = (1..)
        .zip(&told)
        .all(|(number, report)| report.seq == number);
    assert!(gapless, "no gap, no doubles: {told:?}");
}

async fn step_rows(path: &Path) -> i64 {
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .expect("a connection");
    let count = sqlx::query_scalar("SELECT count(*) FROM step");
    count.fetch_one(&mut connection).await.expect("read")
}

#[tokio::test]
async fn past_the_point_of_no_return_the_result_survives_a_restart() {
    let folder = Folder::new();
    let run = new_run();
    let journal = open(&folder.journal()).await;
    accept(&journal, run).await;
    let commit = Change::PointOfNoReturn {
        finals: vec![step(1), step(2)],
        output: output(),
    };
    for changes in [
        vec![Change::Started, commit],
        vec![Change::Finished(place(1))],
    ] {
        enter(&journal, run, changes).await.expect("entered");
    }
    drop(journal);
    let journal = open(&folder.journal()).await;
    let live = reader(&folder.journal()).await.live().await.expect("read");
    assert_eq!(live[0].output, Some(output()));
    let states: Vec<_> = live[0].steps.iter().map(|s| s.state.as_str()).collect();
    assert_eq!(states, ["finished", "final"]);
    enter(&journal, run, vec![ended(Event::Succeeded, None)])
        .await
        .expect("entered");
    let told = reports(&folder.journal()).await;
    let Some(ReportBody::State(state)) = told.last().map(|r| &r.body) else {
        panic!("{told:?}")
    };
    assert_eq!(state.output, Some(output()));
}

#[tokio::test]
async fn a_change_that_cannot_be_leaves_no_trace() {
    let folder = Folder::new();
    let journal = open(&folder.journal()).await;
    let run = new_run();
    accept(&journal, run).await;
    let before = reports(&folder.journal()).await;
    let line = LogLines {
        level: Level::Output,
        step: None,
        text: "never seen".to_owned(),
    };
    let nonsense = vec![
        Change::Report(ReportBody::Log(line)),
        ended(Event::Succeeded, None),
    ];
    let refused = enter(&journal, run, nonsense).await;
    assert!(matches!(refused, Err(JournalError::Illegal { .. })));
    assert_eq!(reports(&folder.journal()).await, before);
    let unknown = enter(&journal, new_run(), vec![Change::Started]).await;
    assert!(matches!(unknown, Err(JournalError::Illegal { .. })));
}

#[tokio::test]
async fn a_burst_shares_its_commits_and_keeps_its_order() {
    let folder = Folder::new();
    let journal = open(&folder.journal()).await;
    let runs: Vec<Run> = (0..300).map(|_| new_run()).collect();
    let incoming = runs.iter().map(|run| ping_task(*run)).collect();
    let taken = journal.accept(incoming).await.expect("accepted");
    assert!(taken.iter().all(|taken| *taken == Taken::Accepted));
    let commits: Vec<_> = runs
        .iter()
        .map(|&run| {
            let end = ended(Event::Succeeded, Some(output()));
            let changes = vec![Change::Started, end];
            journal.enter(Entry { run, changes })
        })
        .collect();
    for commit in commits {
        commit.durable().await.expect("entered");
    }
    let spool = reader(&folder.journal()).await.spool(0, 1000).await;
    let messages = spool.expect("rows").len();
    assert!(messages <= 20, "300 tasks made {messages} messages");
    let told = reports(&folder.journal()).await;
    for run in runs {
        let wanted = [Event::Accepted, Event::Started, Event::Succeeded];
        assert_eq!(events(&told, run), wanted);
    }
}

#[tokio::test]
async fn what_the_broker_confirmed_is_forgotten_and_its_number_never_used_again() {
    let folder = Folder::new();
    let journal = open(&folder.journal()).await;
    accept(&journal, new_run()).await;
    let mut reader = reader(&folder.journal()).await;
    let first = reader.spool(0, 10).await.expect("rows")[0].id;
    journal.sent(vec![first]);
    // Behind it in the writer's queue, so that it has been seen to.
    accept(&journal, new_run()).await;
    let rest = reader.spool(0, 10).await.expect("rows");
    assert!(rest.len() == 1 && rest[0].id > first);
}

#[tokio::test]
async fn the_journal_of_another_server_or_of_a_later_release_is_refused() {
    let folder = Folder::new();
    drop(open(&folder.journal()).await);
    let web2 = "web2".parse().expect("a name");
    let other = Journal::open(&folder.journal(), &web2).await.map(drop);
    assert!(matches!(other, Err(JournalError::OtherServer(name)) if name == "web1"));
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(folder.journal())
        .connect()
        .await
        .expect("a connection");
    connection
        .execute("PRAGMA user_version = 99")
        .await
        .expect("set");
    let later = Journal::open(&folder.journal(), &web1()).await.map(drop);
    assert!(matches!(later, Err(JournalError::Format(99))));
}

#[tokio::test]
async fn the_hubs_question_names_only_what_the_journal_does_not_hold() {
    let folder = Folder::new();
    let journal = open(&folder.journal()).await;
    let (known, unknown) = (new_run(), new_run());
    accept(&journal, known).await;
    let found = reader(&folder.journal())
        .await
        .unknown(vec![known, unknown])
        .await;
    assert_eq!(found.expect("read"), [unknown]);
}

#[tokio::test]
async fn what_an_operator_asks_for_is_shown_as_it_is_the_living_first() {
    let folder = Folder::new();
    let journal = open(&folder.journal()).await;
    let runs: Vec<Run> = (0..4).map(|_| new_run()).collect();
    for run in &runs {
        accept(&journal, *run).await;
    }
    let cause = Cause {
        event: Event::Interrupted,
        failure: Failure::plain("died"),
    };
    for (run, changes) in [
        (runs[0], vec![Change::Started, Change::Intent(step(1))]),
        (runs[0], vec![Change::RollingBack(cause)]),
        (
            runs[3],
            vec![Change::Started, ended(Event::Succeeded, Some(output()))],
        ),
    ] {
        enter(&journal, run, changes).await.expect("entered");
    }
    let mut reader = reader(&folder.journal()).await;
    let overview = reader.overview().await.expect("read");
    assert_eq!(overview.live, 3);
    let names = |views: &[TaskView]| {
        views
            .iter()
            .map(|view| view.run.clone())
            .collect::<Vec<_>>()
    };
    let wanted = [runs[2], runs[1], runs[0], runs[3]].map(|run| run.to_string());
    assert_eq!(names(&reader.list(10).await.expect("read")), wanted);
    assert_eq!(names(&reader.list(2).await.expect("read")), wanted[..2]);
    let found = reader.find(&runs[0].task.to_string()).await.expect("read");
    assert_eq!(names(&found), [runs[0].to_string()]);
    assert_eq!(
        (found[0].state.as_str(), found[0].kind.as_str()),
        ("rolling_back", "ping")
    );
    assert_eq!(found[0].cause.as_deref(), Some("died"));
    assert!(found[0].ended_at.is_none() && !found[0].past_no_return);
    let steps: Vec<_> = found[0]
        .steps
        .iter()
        .map(|step| (step.position, step.name.as_str(), step.state.as_str()))
        .collect();
    assert_eq!(steps, [(1, "step_1", "intent")]);
    assert!(reader.find("no such task").await.expect("read").is_empty());
    assert_eq!(
        reader.find("").await.expect("read").len(),
        4,
        "every one of them"
    );
}

#[tokio::test]
async fn what_is_confirmed_out_of_order_is_forgotten_and_nothing_between() {
    let folder = Folder::new();
    let journal = open(&folder.journal()).await;
    for _ in 0..6 {
        accept(&journal, new_run()).await;
    }
    let mut reader = reader(&folder.journal()).await;
    let all: Vec<i64> = ids(&mut reader).await;
    assert_eq!(all.len(), 6);
    journal.sent(vec![all[0], all[2], all[5], all[4]]);
    accept(&journal, new_run()).await;
    let rest = ids(&mut reader).await;
    assert_eq!(rest[..2], [all[1], all[3]]);
    assert_eq!(rest.len(), 3);
}

async fn ids(reader: &mut Reader) -> Vec<i64> {
    let rows = reader.spool(0, 100).await.expect("rows");
    rows.iter().map(|row| row.id).collect()
}

#[tokio::test]
async fn long_lines_become_messages_that_the_hub_takes_and_whoever_sends_them_is_woken() {
    const LINE: usize = 16 * 1024;
    let folder = Folder::new();
    let journal = open(&folder.journal()).await;
    let run = new_run();
    accept(&journal, run).await;
    // Until here somebody has been told.
    journal.spooled.notified().await;
    let lines = (0..100).map(|_| {
        Change::Report(ReportBody::Log(LogLines {
            level: Level::Output,
            step: None,
            text: "x".repeat(LINE),
        }))
    });
    enter(&journal, run, lines.collect())
        .await
        .expect("entered");
    let woken = journal.spooled.notified();
    let woken = tokio::time::timeout(std::time::Duration::from_secs(10), woken).await;
    woken.expect("whoever sends is told that there is something to send");
    let spool = reader(&folder.journal()).await.spool(0, 100).await;
    let longest = spool.expect("rows").iter().map(|row| row.body.len()).max();
    let longest = longest.expect("some");
    assert!(
        longest <= 256 * 1024 + LINE + 1024,
        "{longest} bytes in one message"
    );
    // What writes no report wakes nobody.
    journal.sent(vec![1]);
    journal.cancel_unseen(run).await.expect("known already");
    let idle = journal.spooled.notified();
    let idle = tokio::time::timeout(std::time::Duration::from_millis(200), idle).await;
    assert!(idle.is_err(), "woken for nothing");
}

#[tokio::test]
async fn of_what_has_ended_the_newest_hundred_thousand_stay_and_the_rest_goes_now_and_then() {
    let folder = Folder::new();
    let journal = open(&folder.journal()).await;
    let mut connection = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(folder.journal())
        .connect()
        .await
        .expect("a connection");
    connection
        .execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100100)
             INSERT INTO task (task, attempt, kind, state, last_seq, accepted_at, ended_at)
             SELECT CAST(printf('%016d', i) AS BLOB), 1, 'ping', 'failed', 1, i, i FROM n",
        )
        .await
        .expect("filled");
    let ended = async |connection: &mut sqlx::SqliteConnection| -> (i64, i64) {
        let asked = "SELECT count(*), min(ended_at) FROM task WHERE ended_at IS NOT NULL";
        let row = sqlx::query_as(asked).fetch_one(connection).await;
        row.expect("read")
    };
    let some = |count: usize| (0..count).map(|_| ping_task(new_run())).collect::<Vec<_>>();
    for count in [1000, 1000, 1000, 1000, 999] {
        journal.accept(some(count)).await.expect("accepted");
    }
    assert_eq!(
        ended(&mut connection).await,
        (100_100, 1),
        "not at every commit"
    );
    journal.accept(some(1)).await.expect("accepted");
    assert_eq!(
        ended(&mut connection).await,
        (100_000, 101),
        "the oldest went"
    );
}
