//! Operations: the set is fixed, the limits hold, every item gets its task once, whatever happens in between.

use std::collections::{BTreeMap, BTreeSet};

use kolga_hub::selector::Selector;
use kolga_hub::store::labels::{Labelled, SetLabels};
use kolga_hub::store::operations::advance::Advance;
use kolga_hub::store::operations::start::{Start, Started, Work};
use kolga_hub::store::operations::steer::{CancelOperation, Pause, ResumeOperation};
use kolga_hub::store::published::Fate;
use kolga_hub::store::retry::Retry;
use kolga_hub::store::servers::AddServer;
use kolga_hub::store::{Store, StoreError};
use kolga_hub::wire::{Item, ItemState, Operation, OperationId, OperationState};
use kolga_protocol::id::TaskId;
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::{Output, Params, ping, site_delete, site_disable, site_install};
use serde_json::json;

use crate::database::{
    Database, because, event, make_on, numbered, publish, run_of, server, success, take, task,
    tell_from,
};

/// A selector, as a request has it.
pub fn chosen(selector: serde_json::Value) -> Selector {
    serde_json::from_value(selector).expect("a selector")
}

pub fn start_of(kind: &str, select: Selector) -> Start {
    Start {
        work: Work::new(kind, serde_json::Map::new(), None).expect("a kind for operations"),
        select,
        parallel: 4,
        per_server: None,
        stop_after: 0,
        dry_run: false,
        requested_by: "test".to_owned(),
    }
}

pub async fn started(store: &Store, start: Start) -> OperationId {
    let Started { id, .. } = store.start(start).await.expect("it is started");
    id.expect("it is no dry run")
}

/// What the mover does.
pub async fn advance(store: &Store) {
    while store.write(Advance).await.expect("it goes on") {}
}

pub async fn shown(store: &Store, id: OperationId) -> Operation {
    let found = store.operation(id).await.expect("read");
    found.expect("it is there")
}

pub async fn items(store: &Store, id: OperationId, state: Option<ItemState>) -> Vec<Item> {
    let found = store.operation_items(id, state, 0, 1000).await;
    found.expect("read")
}

fn host(number: usize) -> String {
    format!("site{number:03}.example.org")
}

/// A site that is there.
pub async fn a_site(store: &Store, on: &str, host: &str) {
    let params = Params::SiteInstall(site_install::Params {
        site: host.parse().expect("a host name"),
        aliases: Vec::new(),
        profile: "static".parse().expect("a profile"),
        platform: None,
        options: BTreeMap::new(),
    });
    let made = make_on(store, on, params).await;
    let output = Output::SiteInstall(site_install::Output {
        url: format!("http://{host}/"),
        path: format!("/srv/{host}"),
        database: None,
        admin_user: None,
        secret_file: None,
    });
    end(store, made, success(&output)).await;
}

/// The task ends like this, if it has not ended.
pub async fn end(store: &Store, id: TaskId, last: kolga_protocol::message::ReportBody) {
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, id).await;
    let on = task(store, id).await.server;
    let way = vec![event(Event::Accepted), event(Event::Started), last];
    tell_from(store, on.as_str(), numbered(run, way)).await;
}

fn disabled() -> kolga_protocol::message::ReportBody {
    success(&Output::SiteDisable(site_disable::Output {
        url: String::new(),
        changed: true,
    }))
}

fn pong() -> kolga_protocol::message::ReportBody {
    success(&Output::Ping(ping::Output {
        worker_version: "1".to_owned(),
        at_micros: 0,
    }))
}

async fn fails(store: &Store, id: TaskId) {
    end(store, id, because(Event::Failed, "the disk is full")).await;
}

fn task_of(item: &Item) -> TaskId {
    item.task.expect("it has a task")
}

pub async fn the_set_of_an_operation_is_fixed_when_it_is_made(store: &Store) {
    for (on, number) in [("web1", 1), ("web1", 2), ("web2", 3), ("web2", 4)] {
        a_site(store, on, &host(number)).await;
    }
    for number in [1, 4] {
        let set = SetLabels {
            of: Labelled::Site(host(number).parse().expect("a host name")),
            changes: vec!["env=test".parse().expect("a label")],
            requested_by: "test".to_owned(),
        };
        store.write(set).await.expect("labelled");
    }
    for (select, wanted) in [
        (json!({"all": true}), &[1, 2, 3, 4][..]),
        (json!({"all": true, "on": ["web1"]}), &[1, 2]),
        (json!({"on": ["w?b2", "web9*"]}), &[3, 4]),
        (json!({"labels": ["env=test"]}), &[1, 4]),
        (json!({"labels": ["env!=test"], "on": ["web2"]}), &[3]),
        (json!({"labels": ["!env"], "profile": "static"}), &[2, 3]),
        (json!({"sites": [host(4), host(2), host(4)]}), &[2, 4]),
    ] {
        let mut start = start_of("site.disable", chosen(select.clone()));
        start.dry_run = true;
        let targets = store.start(start).await.expect("chosen").targets;
        let hosts = targets.iter().filter_map(|target| target.site.as_ref());
        let hosts: Vec<String> = hosts.map(ToString::to_string).collect();
        let wanted: Vec<String> = wanted.iter().map(|&number| host(number)).collect();
        assert_eq!(hosts, wanted, "{select}");
    }
    for (select, code) in [
        (json!({"on": ["web9"]}), "server_unknown"),
        (json!({"on": ["web9*"]}), "nothing_selected"),
        (json!({"platform": "none"}), "nothing_selected"),
        (json!({"sites": [host(1), host(9)]}), "site_unknown"),
        (json!({}), "bad_selector"),
    ] {
        let refused = store.start(start_of("site.disable", chosen(select))).await;
        let Err(StoreError::Refused(refusal)) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(refusal.code, code, "{refusal}");
    }
    let id = started(
        store,
        start_of("site.disable", chosen(json!({"all": true}))),
    )
    .await;
    // What comes later is not meant; what goes is told.
    a_site(store, "web1", &host(5)).await;
    let goes = site_delete::Params {
        site: host(3).parse().expect("a host name"),
        no_backup: true,
    };
    let gone = make_on(store, "web2", Params::SiteDelete(goes)).await;
    let deleted = Output::SiteDelete(site_delete::Output {
        path: String::new(),
        database: None,
        backup: None,
    });
    end(store, gone, success(&deleted)).await;
    advance(store).await;
    let counts = shown(store, id).await.counts;
    assert_eq!((counts.total, counts.open, counts.skipped), (4, 3, 1));
    let skipped = items(store, id, Some(ItemState::Skipped)).await;
    assert_eq!(
        skipped[0].site.as_ref().map(ToString::to_string),
        Some(host(3))
    );
    let reason = skipped[0].reason.as_deref().unwrap_or_default();
    assert!(reason.contains("there is no site"), "{reason}");
    for item in items(store, id, Some(ItemState::Made)).await {
        assert_eq!(task(store, task_of(&item)).await.operation, Some(id));
        end(store, task_of(&item), disabled()).await;
    }
    let over = shown(store, id).await;
    assert_eq!(
        (over.state, over.counts.succeeded),
        (OperationState::Finished, 3)
    );
    assert!(over.finished_at.is_some());
}

pub async fn no_more_are_open_than_the_limits_say_and_the_emptiest_server_is_next(store: &Store) {
    for number in 0..6 {
        a_site(
            store,
            if number < 4 { "web1" } else { "web2" },
            &host(number),
        )
        .await;
    }
    let mut start = start_of("site.disable", chosen(json!({"all": true})));
    (start.parallel, start.per_server) = (3, Some(2));
    let id = started(store, start).await;
    let mut most = 0;
    loop {
        advance(store).await;
        let open = items(store, id, Some(ItemState::Made)).await;
        assert_eq!(open.len() as u64, shown(store, id).await.counts.open);
        most = most.max(open.len());
        assert!(open.len() <= 3);
        let on = |name: &str| {
            open.iter()
                .filter(|item| item.server.as_str() == name)
                .count()
        };
        assert!(on("web1") <= 2 && on("web2") <= 2, "{open:?}");
        // Nobody of web2 has to wait behind the four of web1.
        let waits = items(store, id, Some(ItemState::Waiting)).await;
        assert!(on("web2") > 0 || waits.iter().all(|item| item.server.as_str() == "web1"));
        let Some(first) = open.first() else { break };
        end(store, task_of(first), disabled()).await;
    }
    assert_eq!(most, 3, "the limit was reached");
    assert_eq!(shown(store, id).await.state, OperationState::Finished);
}

pub async fn an_operation_stops_after_so_many_failures_and_goes_on_when_resumed(store: &Store) {
    for number in 0..8 {
        a_site(store, "web1", &host(number)).await;
    }
    let mut start = start_of("site.disable", chosen(json!({"all": true})));
    (start.parallel, start.stop_after) = (2, 2);
    let id = started(store, start).await;
    for _ in 0..2 {
        advance(store).await;
        let open = items(store, id, Some(ItemState::Made)).await;
        assert_eq!(open.len(), 2);
        fails(store, task_of(&open[0])).await;
    }
    advance(store).await;
    let stopping = shown(store, id).await;
    assert_eq!(stopping.state, OperationState::Stopping);
    assert_eq!((stopping.counts.open, stopping.counts.waiting), (1, 5));
    let reason = stopping.reason.expect("a reason");
    assert!(reason.contains("2 tasks did not succeed"), "{reason}");
    let last = items(store, id, Some(ItemState::Made)).await;
    end(store, task_of(&last[0]), disabled()).await;
    advance(store).await;
    let paused = shown(store, id).await;
    assert_eq!(
        (paused.state, paused.counts.waiting),
        (OperationState::Paused, 5)
    );
    let failed = items(store, id, Some(ItemState::Failed)).await;
    assert_eq!(failed.len(), 2);
    assert_eq!(failed[0].reason.as_deref(), Some("the disk is full"));

    // Resumed, it bears two more failures; and what has failed goes again when that is said.
    resume(store, id, false).await.expect("it is paused");
    assert_eq!(shown(store, id).await.state, OperationState::Running);
    advance(store).await;
    let open = items(store, id, Some(ItemState::Made)).await;
    fails(store, task_of(&open[0])).await;
    advance(store).await;
    assert_eq!(shown(store, id).await.state, OperationState::Running);
    pause(store, id).await.expect("it runs");
    resume(store, id, true).await.expect("it stops");
    assert_eq!(shown(store, id).await.counts.failed, 0);
    loop {
        advance(store).await;
        let open = items(store, id, Some(ItemState::Made)).await;
        let Some(first) = open.first() else { break };
        end(store, task_of(first), disabled()).await;
    }
    let over = shown(store, id).await;
    assert_eq!(
        (over.state, over.counts.succeeded),
        (OperationState::Finished, 8)
    );
    assert_eq!(over.reason, None);
    let nothing = resume(store, id, true).await;
    assert!(
        matches!(nothing, Err(StoreError::Refused(refusal)) if refusal.code == "operation_nothing_waits")
    );
}

async fn resume(
    store: &Store,
    operation: OperationId,
    retry_failed: bool,
) -> Result<(), StoreError> {
    let resume = ResumeOperation {
        operation,
        retry_failed,
        requested_by: "test".to_owned(),
    };
    store.write(resume).await
}

pub async fn pause(store: &Store, operation: OperationId) -> Result<(), StoreError> {
    let requested_by = "test".to_owned();
    store
        .write(Pause {
            operation,
            requested_by,
        })
        .await
}

async fn cancel(store: &Store, operation: OperationId, let_finish: bool) -> Result<(), StoreError> {
    let cancel = CancelOperation {
        operation,
        let_finish,
        target_is_gone: false,
        requested_by: "test".to_owned(),
    };
    store.write(cancel).await
}

pub async fn a_cancelled_operation_makes_no_more_and_cancels_what_is_open(store: &Store) {
    for number in 0..6 {
        a_site(store, "web1", &host(number)).await;
    }
    let id = started(
        store,
        start_of("site.disable", chosen(json!({"all": true}))),
    )
    .await;
    advance(store).await;
    let open = items(store, id, Some(ItemState::Made)).await;
    // One is on its way already and can only be asked about; the others nobody has.
    let runs = task_of(&open[0]);
    let run = run_of(store, runs).await;
    let mut outbox = take(store).await;
    let sent = outbox
        .iter()
        .position(|item| item.run == run)
        .expect("it is to be sent");
    publish(store, vec![outbox.remove(sent)], &Fate::Confirmed).await;
    publish(store, outbox, &Fate::Blocked("no queue".to_owned())).await;
    cancel(store, id, false).await.expect("it runs");
    let cancelling = shown(store, id).await;
    assert_eq!(cancelling.state, OperationState::Cancelling);
    assert_eq!(
        (cancelling.counts.open, cancelling.counts.cancelled),
        (1, 5)
    );
    advance(store).await;
    assert_eq!(shown(store, id).await.counts.open, 1, "no more are made");
    assert!(task(store, runs).await.cancel_requested);
    assert!(resume(store, id, true).await.is_err());
    end(store, runs, event(Event::Cancelled)).await;
    let over = shown(store, id).await;
    assert_eq!(
        (over.state, over.counts.cancelled),
        (OperationState::Cancelled, 6)
    );
    assert!(
        over.reason
            .is_some_and(|reason| reason == "cancelled by test")
    );
    assert!(cancel(store, id, false).await.is_err());

    // Or those that are open may end.
    let id = started(
        store,
        start_of("site.disable", chosen(json!({"all": true}))),
    )
    .await;
    advance(store).await;
    cancel(store, id, true).await.expect("it runs");
    for item in items(store, id, Some(ItemState::Made)).await {
        assert!(!task(store, task_of(&item)).await.cancel_requested);
        end(store, task_of(&item), disabled()).await;
    }
    let over = shown(store, id).await;
    assert_eq!(over.state, OperationState::Cancelled);
    assert_eq!((over.counts.succeeded, over.counts.cancelled), (4, 2));
}

pub async fn a_task_that_is_tried_again_by_itself_opens_its_operation_again(store: &Store) {
    a_site(store, "web1", &host(1)).await;
    let id = started(
        store,
        start_of("site.disable", chosen(json!({"all": true}))),
    )
    .await;
    advance(store).await;
    let item = &items(store, id, None).await[0];
    fails(store, task_of(item)).await;
    assert_eq!(shown(store, id).await.state, OperationState::Finished);
    let retry = Retry {
        task: task_of(item),
        requested_by: "test".to_owned(),
    };
    store.write(retry).await.expect("it failed");
    let again = shown(store, id).await;
    assert_eq!(
        (again.state, again.counts.open),
        (OperationState::Running, 1)
    );
    assert_eq!(again.finished_at, None);
    end(store, task_of(item), disabled()).await;
    let over = shown(store, id).await;
    assert_eq!(
        (over.state, over.counts.succeeded),
        (OperationState::Finished, 1)
    );
}

/// Numbers by a seed, which is printed.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let seed = std::env::var("KOLGA_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| getrandom::u64().expect("chance")) | 1;
        println!("KOLGA_TEST_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// Over many steps by chance, with the hub started again in between: the numbers are those of the items, the limits
/// hold, no task is lost and none is made twice, and in the end each item has one success.
pub async fn whatever_happens_every_item_has_one_task_that_succeeds(mut database: Database) {
    let mut chance = Chance::new();
    for number in 3..12 {
        let add = AddServer {
            name: server(&format!("web{number}")),
            requested_by: "test".to_owned(),
        };
        database.store.write(add).await.expect("added");
    }
    for number in 0..20 {
        let on = format!("web{}", 1 + number % 3);
        a_site(&database.store, &on, &host(number)).await;
    }
    let mut pings = start_of("ping", chosen(json!({"all": true})));
    (pings.parallel, pings.stop_after) = (3, 2);
    let mut sites = start_of("site.disable", chosen(json!({"on": ["web*"]})));
    (sites.parallel, sites.per_server) = (5, Some(2));
    let operations = [
        (started(&database.store, pings).await, pong as fn() -> _),
        (started(&database.store, sites).await, disabled as fn() -> _),
    ];
    let mut happened: BTreeMap<&str, u32> = BTreeMap::new();
    let mut tasks: BTreeSet<TaskId> = BTreeSet::new();
    for _ in 0..400 {
        let (id, good) = operations[usize::try_from(chance.below(2)).expect("small")];
        let store = &database.store;
        let open = items(store, id, Some(ItemState::Made)).await;
        let one = (!open.is_empty()).then(|| {
            task_of(&open[usize::try_from(chance.below(open.len() as u64)).expect("small")])
        });
        let what = match (chance.below(20), one) {
            (0..=5, _) => {
                advance(store).await;
                "advanced"
            }
            (6..=12, Some(one)) => {
                end(store, one, good()).await;
                "succeeded"
            }
            (13..=14, Some(one)) => {
                fails(store, one).await;
                "failed"
            }
            (15, _) => match pause(store, id).await {
                Ok(()) => "paused",
                Err(_) => "not paused",
            },
            (16..=17, _) => match resume(store, id, chance.below(2) == 0).await {
                Ok(()) => "resumed",
                Err(_) => "not resumed",
            },
            (18, _) => {
                let failed = items(store, id, Some(ItemState::Failed)).await;
                match failed.first() {
                    Some(item) => {
                        let retry = Retry {
                            task: task_of(item),
                            requested_by: "test".to_owned(),
                        };
                        store.write(retry).await.expect("it failed");
                        "tried again"
                    }
                    None => "nothing to try again",
                }
            }
            (19, _) => {
                database = database.reopen().await;
                "hub started again"
            }
            _ => "nothing open",
        };
        *happened.entry(what).or_default() += 1;
        for (id, _) in operations {
            look(&database.store, id, &mut tasks).await;
        }
    }
    println!("{happened:?}");
    for what in [
        "advanced",
        "succeeded",
        "failed",
        "resumed",
        "hub started again",
    ] {
        assert!(happened.contains_key(what), "{what} never happened");
    }
    for (id, good) in operations {
        let store = &database.store;
        drop(resume(store, id, true).await);
        loop {
            advance(store).await;
            let open = items(store, id, Some(ItemState::Made)).await;
            let Some(first) = open.first() else { break };
            end(store, task_of(first), good()).await;
        }
        let over = shown(store, id).await;
        assert_eq!(over.state, OperationState::Finished);
        assert_eq!(over.counts.succeeded, over.counts.total, "{over:?}");
        for item in items(store, id, None).await {
            let task = task(store, task_of(&item)).await;
            assert_eq!(task.state, State::Succeeded);
        }
    }
    database.end().await;
}

/// What must hold at any moment.
async fn look(store: &Store, id: OperationId, tasks: &mut BTreeSet<TaskId>) {
    let operation = shown(store, id).await;
    let all = items(store, id, None).await;
    let counts = operation.counts;
    let number = |state| all.iter().filter(|item| item.state == state).count() as u64;
    for (state, told) in [
        (ItemState::Waiting, counts.waiting),
        (ItemState::Made, counts.open),
        (ItemState::Succeeded, counts.succeeded),
        (ItemState::Failed, counts.failed),
        (ItemState::Cancelled, counts.cancelled),
        (ItemState::Skipped, counts.skipped),
    ] {
        assert_eq!(number(state), told, "{operation:?}");
    }
    assert_eq!(all.len() as u64, counts.total);
    // A task that is tried again by itself may come on top.
    let mut by_server: BTreeMap<&str, u64> = BTreeMap::new();
    for item in &all {
        let made = item.state == ItemState::Made;
        *by_server.entry(item.server.as_str()).or_default() += u64::from(made);
        if let Some(id) = item.task {
            tasks.insert(id);
            let task = task(store, id).await;
            assert_eq!(task.operation, Some(operation.id));
            assert_eq!(made, !task.finished, "{item:?} {task:?}");
        }
    }
    let mine = all.iter().filter_map(|item| item.task);
    assert_eq!(mine.clone().collect::<BTreeSet<_>>().len(), mine.count());
}
