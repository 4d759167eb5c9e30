//! How tasks end, and what follows from it.

use kolga_hub::store::cancel::Cancel;
use kolga_hub::store::create::Create;
use kolga_hub::store::doubt::{CheckDue, Unknown};
use kolga_hub::store::outbox::Sort;
use kolga_hub::store::published::Fate;
use kolga_hub::store::reports::TakeReports;
use kolga_hub::store::retry::{Retry, RetryDue};
use kolga_hub::store::servers::{Heard, Journal};
use kolga_hub::store::{Store, StoreError};
use kolga_hub::wire::Condition;
use kolga_protocol::id::{Attempt, TaskId, UnixMillis};
use kolga_protocol::message::Reports;
use kolga_protocol::names::HostName;
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::{Output, Params, site_delete, site_install};
use uuid::Uuid;

use crate::database::{
    a_ping, asked, because, event, make, numbered, publish, report, run_of, server, success, take,
    task, tell,
};

async fn interrupt(store: &Store, id: TaskId) {
    let run = run_of(store, id).await;
    let bodies = vec![
        event(Event::Accepted),
        event(Event::Started),
        because(Event::Interrupted, "stopped"),
    ];
    tell(store, numbered(run, bodies)).await;
}

async fn cancel(store: &Store, task: TaskId) -> Result<(), StoreError> {
    let requested_by = "test".to_owned();
    store.write(Cancel { task, requested_by }).await
}

pub async fn retry(store: &Store, task: TaskId) -> Result<(), StoreError> {
    let requested_by = "test".to_owned();
    store.write(Retry { task, requested_by }).await
}

pub fn code(result: Result<(), StoreError>) -> &'static str {
    match result {
        Err(StoreError::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

pub async fn an_interrupted_task_gets_a_new_attempt_until_there_were_enough(store: &Store) {
    let id = make(store, a_ping()).await;
    for attempt in 1..=2 {
        publish(store, take(store).await, &Fate::Confirmed).await;
        interrupt(store, id).await;
        let waits = task(store, id).await;
        assert_eq!(waits.state, State::Interrupted);
        assert!(!waits.finished);
        assert!(waits.retry_at.is_some());
        store
            .write(RetryDue)
            .await
            .expect("the next attempt is made");
        let next = task(store, id).await;
        assert_eq!(next.state, State::Queued);
        assert_eq!(next.attempt, Attempt(attempt + 1));
        assert_eq!(next.retry_at, None);
    }
    let items = take(store).await;
    assert_eq!(items[0].run.attempt, Attempt(3));
    publish(store, items, &Fate::Confirmed).await;
    interrupt(store, id).await;
    let given_up = task(store, id).await;
    assert!(given_up.finished);
    assert_eq!(given_up.state, State::Interrupted);
    let detail = store.task_detail(id).await.expect("read").expect("there");
    assert_eq!(detail.attempts.len(), 3);
    retry(store, id).await.expect("a person may go on");
    assert_eq!(task(store, id).await.attempt, Attempt(4));
}

pub async fn a_cancelled_task_gets_no_new_attempt(store: &Store) {
    let id = make(store, a_ping()).await;
    publish(store, take(store).await, &Fate::Confirmed).await;
    interrupt(store, id).await;
    cancel(store, id)
        .await
        .expect("it waits for its next attempt");
    let ended = task(store, id).await;
    assert!(ended.finished && ended.retry_at.is_none());
    assert_eq!(store.write(RetryDue).await.expect("looked"), None);
    assert_eq!(task(store, id).await.attempt, Attempt(1));
    assert_eq!(code(cancel(store, id).await), "task_finished");
}

pub async fn a_task_that_nobody_has_is_cancelled_at_once(store: &Store) {
    let id = make(store, a_ping()).await;
    cancel(store, id).await.expect("it is queued");
    let ended = task(store, id).await;
    assert_eq!(ended.state, State::Cancelled);
    assert!(ended.finished);
    assert!(take(store).await.is_empty(), "its message is gone");
}

pub async fn a_task_that_the_relay_holds_is_cancelled_by_a_message(store: &Store) {
    let id = make(store, a_ping()).await;
    let held = take(store).await;
    cancel(store, id).await.expect("it is queued");
    let asked = task(store, id).await;
    assert_eq!(asked.state, State::Queued);
    assert!(asked.cancel_requested);
    publish(store, held, &Fate::Confirmed).await;
    let items = take(store).await;
    assert_eq!(items.len(), 1);
    assert!(matches!(items[0].sort, Sort::Cancel));
    publish(store, items, &Fate::Confirmed).await;
    cancel(store, id).await.expect("asking twice is no mistake");
    let run = run_of(store, id).await;
    tell(
        store,
        numbered(run, vec![because(Event::Cancelled, "by test")]),
    )
    .await;
    let ended = task(store, id).await;
    assert_eq!(ended.state, State::Cancelled);
    assert!(ended.finished);
}

pub async fn a_failed_task_waits_for_a_retry(store: &Store) {
    let id = make(store, a_ping()).await;
    assert_eq!(code(retry(store, id).await), "task_not_retryable");
    let run = run_of(store, id).await;
    tell(
        store,
        numbered(
            run,
            vec![event(Event::Accepted), because(Event::Failed, "it broke")],
        ),
    )
    .await;
    let failed = task(store, id).await;
    assert!(failed.finished);
    assert_eq!(failed.failure.expect("the reason").message, "it broke");
    assert_eq!(store.write(RetryDue).await.expect("looked"), None);
    publish(store, take(store).await, &Fate::Confirmed).await;
    retry(store, id).await.expect("it failed");
    let again = task(store, id).await;
    assert_eq!((again.state, again.attempt), (State::Queued, Attempt(2)));
    assert_eq!(again.failure, None);
    assert_eq!(take(store).await.len(), 1);
}

fn host(name: &str) -> HostName {
    name.parse().expect("a host name")
}

fn install(name: &str, aliases: &[&str]) -> Params {
    Params::SiteInstall(site_install::Params {
        site: host(name),
        aliases: aliases
            .iter()
            .map(|alias| alias.parse().expect("an alias"))
            .collect(),
        profile: "static".parse().expect("a profile"),
        platform: None,
        options: std::collections::BTreeMap::new(),
    })
}

fn installed(name: &str) -> Output {
    Output::SiteInstall(site_install::Output {
        url: format!("http://{name}/"),
        path: format!("/srv/{name}"),
        database: None,
        admin_user: None,
        secret_file: None,
    })
}

async fn finish(store: &Store, id: TaskId, last: kolga_protocol::message::ReportBody) {
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, id).await;
    tell(
        store,
        numbered(
            run,
            vec![event(Event::Accepted), event(Event::Started), last],
        ),
    )
    .await;
}

async fn condition(store: &Store, name: &str) -> Option<Condition> {
    let site = store.site(&host(name)).await.expect("read");
    site.map(|site| site.condition)
}

async fn refused(store: &Store, params: Params) -> &'static str {
    let create = Create {
        server: server("web2"),
        params,
        count: 1,
        requested_by: "test".to_owned(),
    };
    code(store.write(create).await.map(drop))
}

pub async fn a_site_is_ready_when_installed_and_gone_when_deleted(store: &Store) {
    let name = "blog.example.org";
    let id = make(store, install(name, &[])).await;
    assert_eq!(condition(store, name).await, Some(Condition::Pending));
    finish(store, id, success(&installed(name))).await;
    let site = store.site(&host(name)).await.expect("read").expect("there");
    assert_eq!(site.condition, Condition::Ready);
    assert_eq!(site.url.as_deref(), Some("http://blog.example.org/"));

    let delete = Params::SiteDelete(site_delete::Params {
        site: host(name),
        no_backup: true,
    });
    let first = make(store, delete.clone()).await;
    assert_eq!(condition(store, name).await, Some(Condition::Removing));
    finish(store, first, because(Event::Failed, "nginx is away")).await;
    assert_eq!(condition(store, name).await, Some(Condition::Ready));

    let second = make(store, delete).await;
    let output = Output::SiteDelete(site_delete::Output {
        path: format!("/srv/{name}"),
        database: None,
        backup: None,
    });
    finish(store, second, success(&output)).await;
    assert_eq!(condition(store, name).await, None);
    make(store, install(name, &[])).await;
}

pub async fn a_failed_installation_frees_the_names(store: &Store) {
    let name = "shop.example.org";
    let id = make(store, install(name, &["www.shop.example.org"])).await;
    finish(store, id, because(Event::Failed, "no disk")).await;
    assert_eq!(condition(store, name).await, Some(Condition::Failed));
    make(store, install("www.shop.example.org", &[])).await;
    assert_eq!(
        refused(store, install(name, &["www.shop.example.org"])).await,
        "site_exists"
    );
    assert_eq!(code(retry(store, id).await), "site_exists");
    let again = make(store, install(name, &[])).await;
    finish(store, again, success(&installed(name))).await;
    assert_eq!(condition(store, name).await, Some(Condition::Ready));
}

pub async fn a_name_belongs_to_one_site_only(store: &Store) {
    make(store, install("a.example.org", &["*.a.example.org"])).await;
    assert_eq!(
        refused(store, install("a.example.org", &[])).await,
        "site_exists"
    );
    assert_eq!(
        refused(store, install("b.example.org", &["a.example.org"])).await,
        "site_exists"
    );
    assert_eq!(
        refused(store, install("b.example.org", &["*.a.example.org"])).await,
        "site_exists"
    );
    assert_eq!(condition(store, "b.example.org").await, None);
}

pub async fn an_attempt_that_a_new_journal_does_not_know_is_interrupted(store: &Store) {
    let id = make(store, a_ping()).await;
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, id).await;
    tell(
        store,
        numbered(run, vec![event(Event::Accepted), event(Event::Started)]),
    )
    .await;
    // It was asked when it was only sent: the answer says nothing about what was accepted since.
    let unknown = |state| Unknown {
        server: server("web1"),
        runs: vec![asked(run, state)],
        queue_is_empty: true,
    };
    store.write(unknown(State::Sent)).await.expect("noted");
    assert_eq!(task(store, id).await.state, State::Running);
    store.write(unknown(State::Running)).await.expect("noted");
    let interrupted = task(store, id).await;
    assert_eq!(interrupted.state, State::Interrupted);
    assert!(interrupted.retry_at.is_some());
}

/// Its machine was rebuilt, and the new journal has it because it was cancelled: numbers begin again there.
pub async fn an_attempt_that_another_journal_tells_of_is_interrupted(store: &Store) {
    let id = make(store, a_ping()).await;
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, id).await;
    tell(
        store,
        numbered(run, vec![event(Event::Accepted), event(Event::Started)]),
    )
    .await;
    let cancel = Cancel {
        task: id,
        requested_by: "test".to_owned(),
    };
    store.write(cancel).await.expect("asked to cancel");
    let batch = Reports {
        server: server("web1"),
        journal: Uuid::max(),
        items: numbered(run, vec![because(Event::Cancelled, "before it came")]),
    };
    let take = TakeReports {
        batches: vec![batch],
        refused: Vec::new(),
    };
    store.write(take).await.expect("reports are taken");
    let ended = task(store, id).await;
    assert_eq!(ended.state, State::Interrupted);
    assert!(ended.finished, "nobody wants a further attempt");
    let failure = ended.failure.expect("a reason");
    assert!(failure.message.contains("a new one"), "{failure:?}");
}

/// Stuck, tried again by an operator, and ended; the news that it was tried again was lost.
pub async fn an_end_is_taken_though_the_news_before_it_was_lost(store: &Store) {
    let id = make(store, a_ping()).await;
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, id).await;
    tell(store, vec![report(run, 3, because(Event::Stuck, "a lock"))]).await;
    assert_eq!(task(store, id).await.state, State::Stuck);
    tell(
        store,
        vec![report(run, 5, because(Event::Cancelled, "undone at last"))],
    )
    .await;
    assert_eq!(task(store, id).await.state, State::Cancelled);
}

pub async fn a_message_that_was_lost_is_sent_again(store: &Store) {
    let id = make(store, a_ping()).await;
    publish(store, take(store).await, &Fate::Confirmed).await;
    let doubtful = store.write(CheckDue { most: 10 }).await.expect("looked");
    assert_eq!(doubtful.len(), 1);
    assert_eq!(doubtful[0].state, State::Sent);
    let unknown = |queue_is_empty| Unknown {
        server: server("web1"),
        runs: vec![asked(doubtful[0].run, State::Sent)],
        queue_is_empty,
    };
    store.write(unknown(false)).await.expect("noted");
    assert!(take(store).await.is_empty(), "it may still be in the queue");
    store.write(unknown(true)).await.expect("noted");
    let again = take(store).await;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].run, doubtful[0].run, "the same attempt");
    publish(store, again, &Fate::Confirmed).await;
    assert_eq!(task(store, id).await.state, State::Sent);
}

pub async fn a_new_journal_puts_everything_of_its_server_in_doubt(store: &Store) {
    let heard = |journal: &str| Heard {
        server: server("web1"),
        at: UnixMillis::now(),
        journal: journal.to_owned(),
        worker: "{}".to_owned(),
    };
    assert_eq!(
        store.write(heard("one")).await.expect("noted"),
        Journal::Same
    );
    assert_eq!(
        store.write(heard("one")).await.expect("noted"),
        Journal::Same
    );
    assert_eq!(
        store.write(heard("two")).await.expect("noted"),
        Journal::Changed
    );
    let stranger = Heard {
        server: server("web9"),
        ..heard("one")
    };
    assert_eq!(
        store.write(stranger).await.expect("noted"),
        Journal::UnknownServer
    );
}
