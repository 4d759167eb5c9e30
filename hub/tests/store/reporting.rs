//! From the broker to the store: the inbox.

use kolga_hub::store::Store;
use kolga_hub::store::published::Fate;
use kolga_hub::store::retry::RetryDue;
use kolga_protocol::id::Attempt;
use kolga_protocol::message::{LOG_TEXT_BYTES, Level, LogLines, ReportBody, StepPhase, StepReport};
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::{Output, ping};

use crate::database::{
    a_ping, because, event, make, numbered, publish, report, run_of, success, take, task, tell,
    tell_from,
};

fn line(text: &str) -> ReportBody {
    ReportBody::Log(LogLines {
        level: Level::Output,
        step: Some("greet".to_owned()),
        text: text.to_owned(),
    })
}

fn step(phase: StepPhase) -> ReportBody {
    ReportBody::Step(StepReport {
        name: "greet".to_owned(),
        position: 1,
        total: 1,
        phase,
    })
}

fn pong() -> Output {
    Output::Ping(ping::Output {
        worker_version: "1.2.3".to_owned(),
        at_micros: 7,
    })
}

pub async fn reports_move_a_task_to_its_end(store: &Store) {
    let id = make(store, a_ping()).await;
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, id).await;
    let bodies = vec![
        event(Event::Accepted),
        event(Event::Started),
        step(StepPhase::Applying),
        line("hello"),
        step(StepPhase::Applied),
        success(&pong()),
    ];
    tell(store, numbered(run, bodies)).await;
    let detail = store
        .task_detail(id)
        .await
        .expect("read")
        .expect("it is there");
    assert_eq!(detail.task.state, State::Succeeded);
    assert!(detail.task.finished);
    assert!(detail.task.started_at.is_some() && detail.task.ended_at.is_some());
    assert_eq!(
        detail.output,
        Some(serde_json::json!({"worker_version": "1.2.3", "at_micros": 7}))
    );
    assert_eq!(detail.attempts.len(), 1);
    assert_eq!(detail.attempts[0].steps.len(), 2);
    let newest = detail.task.step.expect("the newest step");
    assert_eq!(newest.phase, StepPhase::Applied);
    let log = store.log(id, 0, 10).await.expect("read").0;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].text, "hello");
    let entries = store.entries(id, 0, 100).await.expect("read");
    let sorts: Vec<&str> = entries.iter().map(|entry| entry.sort.as_str()).collect();
    assert_eq!(sorts, ["state", "state", "step", "log", "step", "state"]);
}

pub async fn a_report_told_twice_counts_once(store: &Store) {
    let id = make(store, a_ping()).await;
    let run = run_of(store, id).await;
    let first = numbered(
        run,
        vec![event(Event::Accepted), event(Event::Started), line("once")],
    );
    tell(store, first.clone()).await;
    let mut again = first.clone();
    again.extend(first);
    again.push(report(run, 4, success(&pong())));
    again.push(report(run, 4, success(&pong())));
    tell(store, again.clone()).await;
    tell(store, again).await;
    assert_eq!(store.log(id, 0, 10).await.expect("read").0.len(), 1);
    assert_eq!(store.entries(id, 0, 10).await.expect("read").len(), 4);
    assert_eq!(task(store, id).await.state, State::Succeeded);
}

pub async fn reports_of_an_older_attempt_are_ignored(store: &Store) {
    let id = make(store, a_ping()).await;
    let old = run_of(store, id).await;
    tell(
        store,
        numbered(
            old,
            vec![because(Event::Interrupted, "the worker was stopped")],
        ),
    )
    .await;
    store
        .write(RetryDue)
        .await
        .expect("the next attempt is made");
    assert_eq!(task(store, id).await.attempt, Attempt(2));
    let late = vec![
        report(old, 2, line("late")),
        report(old, 3, success(&pong())),
    ];
    tell(store, late).await;
    let now = task(store, id).await;
    assert_eq!(now.state, State::Queued);
    assert!(store.log(id, 0, 10).await.expect("read").0.is_empty());
}

pub async fn reports_of_another_servers_task_are_refused(store: &Store) {
    let id = make(store, a_ping()).await;
    let run = run_of(store, id).await;
    tell_from(
        store,
        "web2",
        numbered(run, vec![event(Event::Accepted), success(&pong())]),
    )
    .await;
    assert_eq!(task(store, id).await.state, State::Queued);
    let entries = store.entries(id, 0, 10).await.expect("read");
    assert!(entries.is_empty(), "{entries:?}");
}

pub async fn a_gap_between_reports_is_shown_in_the_log(store: &Store) {
    let id = make(store, a_ping()).await;
    let run = run_of(store, id).await;
    tell(store, vec![report(run, 1, event(Event::Accepted))]).await;
    tell(store, vec![report(run, 5, success(&pong()))]).await;
    assert_eq!(task(store, id).await.state, State::Succeeded);
    let log = store.log(id, 0, 10).await.expect("read").0;
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].level, Level::Warn);
    assert!(log[0].text.starts_with("3 reports"), "{}", log[0].text);
}

pub async fn what_no_database_likes_in_a_log_line_is_kept(store: &Store) {
    let id = make(store, a_ping()).await;
    let run = run_of(store, id).await;
    let nasty = "NUL \0, quote ', \u{1b}[31m, \u{202e}, \u{1f980}, \\u0000";
    let bodies = vec![
        event(Event::Accepted),
        line(nasty),
        because(Event::Failed, nasty),
    ];
    tell(store, numbered(run, bodies)).await;
    let log = store.log(id, 0, 10).await.expect("read").0;
    assert_eq!(log[0].text, nasty);
    let failure = task(store, id).await.failure.expect("it failed");
    assert_eq!(failure.message, nasty);
}

pub async fn what_is_longer_than_a_report_may_be_is_cut(store: &Store) {
    let id = make(store, a_ping()).await;
    let run = run_of(store, id).await;
    let long = "\u{1f980}".repeat(LOG_TEXT_BYTES);
    tell(
        store,
        numbered(run, vec![event(Event::Accepted), line(&long)]),
    )
    .await;
    let log = store.log(id, 0, 10).await.expect("read").0;
    assert_eq!(log[0].text.len(), LOG_TEXT_BYTES);
}

pub async fn whoever_watches_a_task_is_woken_by_its_reports(store: &Store) {
    let id = make(store, a_ping()).await;
    let other = make(store, a_ping()).await;
    let mut watched = store.signals().watch(id);
    let run = run_of(store, other).await;
    tell(store, numbered(run, vec![event(Event::Accepted)])).await;
    assert!(!watched.has_changed().expect("the store is open"));
    let run = run_of(store, id).await;
    tell(store, numbered(run, vec![event(Event::Accepted)])).await;
    watched.changed().await.expect("the store is open");
}
