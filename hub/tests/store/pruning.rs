//! What is old leaves the store, and nothing else does.

use kolga_hub::config::Retention;
use kolga_hub::janitor::Janitor;
use kolga_hub::store::cancel::Cancel;
use kolga_hub::store::prune::{Prune, Pruned, What};
use kolga_hub::store::published::Fate;
use kolga_hub::store::read::{Filter, Found, Held};
use kolga_hub::store::retry::Retry;
use kolga_hub::store::{Store, StoreError};
use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};
use kolga_protocol::message::{Level, LogLines, ReportBody};
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::{Output, Params, ping, site_install};
use tokio_util::sync::CancellationToken;

use crate::database::{
    Database, a_ping, because, event, make, make_many, numbered, publish, report, run_of, success,
    take, task, tell,
};

use crate::operations::{advance, chosen, end, items, pause, start_of, started};

const DAY: i64 = 86_400_000;

/// Nothing has a bound but what a scenario bounds.
const ALL: Retention = Retention {
    tasks_days: 0,
    tasks_most: 0,
    logs_days: 0,
    logs_most: 0,
    audit_days: 0,
    audit_most: 0,
};

fn in_days(days: i64) -> UnixMillis {
    UnixMillis::now().plus_millis(days * DAY)
}

/// A sweep as a hub makes it that has just started, so many days from now.
async fn sweep(store: &Store, keep: Retention, days: i64) -> Held {
    let mut janitor = Janitor::new(store.clone(), keep, CancellationToken::new());
    let shows = janitor.shows();
    janitor
        .sweep(in_days(days))
        .await
        .expect("the store is swept");
    let swept = shows.borrow().clone();
    assert_eq!(swept.error, None);
    assert_eq!(
        swept.held,
        store.held().await.expect("counted"),
        "it counts right"
    );
    swept.gone
}

fn line(number: usize) -> ReportBody {
    ReportBody::Log(LogLines {
        level: Level::Output,
        step: None,
        text: format!("line {number}"),
    })
}

fn pong() -> ReportBody {
    success(&Output::Ping(ping::Output {
        worker_version: "1".to_owned(),
        at_micros: 0,
    }))
}

/// So many tasks that have ended well, each with so many lines of log and three entries besides.
async fn ended(store: &Store, count: u32, lines: usize) -> Vec<TaskId> {
    let made = make_many(store, a_ping(), count).await;
    publish(store, take(store).await, &Fate::Confirmed).await;
    let mut reports = Vec::new();
    for &id in &made {
        let mut bodies = vec![event(Event::Accepted), event(Event::Started)];
        bodies.extend((0..lines).map(line));
        bodies.push(pong());
        reports.extend(numbered(Run::new(id, Attempt::FIRST), bodies));
    }
    tell(store, reports).await;
    made
}

async fn listed(store: &Store) -> Vec<TaskId> {
    let filter = Filter {
        limit: 1000,
        ..Filter::default()
    };
    let tasks = store.tasks(&filter).await.expect("listed");
    let mut ids: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
    ids.reverse();
    ids
}

async fn entries(store: &Store, id: TaskId) -> usize {
    store.entries(id, 0, 10_000).await.expect("read").len()
}

pub async fn an_operation_is_forgotten_when_all_its_tasks_are_gone(store: &Store) {
    let everywhere = || start_of("ping", chosen(serde_json::json!({"all": true})));
    let first = started(store, everywhere()).await;
    advance(store).await;
    let open = items(store, first, None).await;
    let tasks: Vec<TaskId> = open.iter().filter_map(|item| item.task).collect();
    end(store, tasks[0], pong()).await;
    let waits = started(store, everywhere()).await;
    pause(store, waits).await.expect("it runs");
    // One of its tasks has not ended.
    sweep(
        store,
        Retention {
            tasks_days: 1,
            ..ALL
        },
        2,
    )
    .await;
    assert_eq!(listed(store).await, [tasks[1]]);
    assert!(store.operation(first).await.expect("read").is_some());
    end(store, tasks[1], pong()).await;
    ended(store, 1, 0).await;
    sweep(
        store,
        Retention {
            tasks_days: 1,
            ..ALL
        },
        2,
    )
    .await;
    assert_eq!(listed(store).await, []);
    assert!(store.operation(first).await.expect("read").is_none());
    assert!(items(store, first, None).await.is_empty());
    // What is not over stays, however old it is.
    assert!(store.operation(waits).await.expect("read").is_some());
}

pub async fn old_tasks_go_whole_and_what_is_not_over_stays(store: &Store) {
    let queued = make(store, a_ping()).await;
    let held = take(store).await;
    let old = ended(store, 300, 1).await;
    let stuck = make(store, a_ping()).await;
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, stuck).await;
    let bodies = vec![
        event(Event::Accepted),
        event(Event::Started),
        event(Event::RollingBack),
        because(Event::Stuck, "the database is away"),
    ];
    tell(store, numbered(run, bodies)).await;
    // Interrupted, and waiting for its next attempt.
    let waits = make(store, a_ping()).await;
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, waits).await;
    tell(
        store,
        numbered(run, vec![because(Event::Interrupted, "stopped")]),
    )
    .await;
    // Over, but its worker is still to be told something.
    let told = make(store, a_ping()).await;
    publish(store, take(store).await, &Fate::Confirmed).await;
    let cancel = Cancel {
        task: told,
        requested_by: "test".to_owned(),
    };
    store.write(cancel).await.expect("asked for");
    let run = run_of(store, told).await;
    tell(
        store,
        numbered(run, vec![event(Event::Accepted), event(Event::Started)]),
    )
    .await;
    tell(store, vec![report(run, 3, pong())]).await;
    // The last that was done to a site.
    let host = "blog.example.org";
    let install = Params::SiteInstall(site_install::Params {
        site: host.parse().expect("a host name"),
        aliases: Vec::new(),
        profile: "static".parse().expect("a profile"),
        platform: None,
        options: std::collections::BTreeMap::new(),
    });
    let of_a_site = make(store, install).await;
    let items = take(store).await;
    let (cancels, tasks): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| item.run.task == told);
    assert_eq!(cancels.len(), 1);
    publish(store, tasks, &Fate::Confirmed).await;
    let run = run_of(store, of_a_site).await;
    tell(
        store,
        numbered(
            run,
            vec![event(Event::Accepted), because(Event::Failed, "no disk")],
        ),
    )
    .await;

    let keep = Retention {
        tasks_days: 30,
        logs_days: 30,
        ..ALL
    };
    assert_eq!(
        sweep(store, keep.clone(), 29).await,
        Held::default(),
        "too early"
    );
    let gone = sweep(store, keep.clone(), 31).await;
    assert_eq!(
        gone,
        Held {
            tasks: 300,
            entries: 300 * 4,
            audit: 0
        }
    );
    assert_eq!(
        listed(store).await,
        [queued, stuck, waits, told, of_a_site],
        "what is not over stays"
    );
    for id in [stuck, waits, told, of_a_site] {
        assert!(!task(store, id).await.log_pruned);
        assert!(entries(store, id).await > 0, "with its log");
    }
    assert!(store.task_detail(old[0]).await.expect("read").is_none());
    assert_eq!(
        store.find_task(&old[0].to_string()).await.expect("read"),
        Found::None
    );
    // What held one back is done with.
    publish(store, held, &Fate::Confirmed).await;
    publish(store, cancels, &Fate::Confirmed).await;
    assert_eq!(sweep(store, keep, 31).await.tasks, 1);
    assert_eq!(listed(store).await, [queued, stuck, waits, of_a_site]);
    let so_far = store.pruned().await.expect("read");
    assert_eq!(so_far.tasks, 301);
    assert!(so_far.at.is_some());
}

pub async fn a_log_goes_before_its_task_and_the_task_says_so(store: &Store) {
    // More than one piece, in one task and over many.
    let long = ended(store, 1, 1300).await[0];
    let short = ended(store, 200, 2).await;
    let keep = Retention {
        logs_days: 10,
        tasks_days: 20,
        ..ALL
    };
    let gone = sweep(store, keep.clone(), 11).await;
    assert_eq!((gone.tasks, gone.entries), (0, 1303 + 200 * 5));
    for id in [long, short[0], short[199]] {
        let left = store
            .task_detail(id)
            .await
            .expect("read")
            .expect("still there");
        assert!(left.task.log_pruned);
        assert_eq!(left.task.state, State::Succeeded);
        assert!(left.output.is_some() && left.attempts.len() == 1);
        assert!(store.log(id, 0, 10).await.expect("read").0.is_empty());
        assert_eq!(entries(store, id).await, 0);
    }
    assert_eq!(
        sweep(store, keep.clone(), 12).await,
        Held::default(),
        "nothing is left to do"
    );
    assert_eq!(sweep(store, keep, 21).await.tasks, 201);
    assert!(listed(store).await.is_empty());
}

pub async fn of_more_than_may_be_kept_the_oldest_go(store: &Store) {
    let made = ended(store, 30, 2).await;
    let open = make(store, a_ping()).await;
    let keep = Retention {
        tasks_most: 11,
        ..ALL
    };
    assert_eq!(sweep(store, keep, 1).await.tasks, 20);
    let mut left = made[20..].to_vec();
    left.push(open);
    assert_eq!(listed(store).await, left);

    let keep = Retention {
        logs_most: 20,
        ..ALL
    };
    // In whole pieces, which here means all of them; never fewer than are too many.
    assert!(sweep(store, keep, 1).await.entries >= 30);
    assert_eq!(listed(store).await, left);
}

pub async fn what_ended_a_moment_ago_stays_whatever_the_numbers_say(store: &Store) {
    let made = ended(store, 20, 2).await;
    let keep = Retention {
        tasks_most: 1,
        logs_most: 1,
        ..ALL
    };
    assert_eq!(sweep(store, keep, 0).await, Held::default());
    assert_eq!(listed(store).await, made);
}

pub async fn what_is_to_be_kept_for_ever_is(store: &Store) {
    let made = ended(store, 20, 2).await;
    assert_eq!(sweep(store, ALL, 30_000).await, Held::default());
    assert_eq!(listed(store).await, made);
}

pub async fn a_late_report_of_a_pruned_task_changes_nothing_and_is_no_mistake(store: &Store) {
    let made = ended(store, 2, 1).await;
    let keep = Retention {
        tasks_days: 1,
        ..ALL
    };
    assert_eq!(sweep(store, keep, 2).await.tasks, 2);
    let before = store.held().await.expect("counted");
    for &id in &made {
        let run = Run::new(id, Attempt::FIRST);
        // Sent again, and one that never arrived before.
        tell(
            store,
            numbered(run, vec![event(Event::Accepted), line(1), pong()]),
        )
        .await;
        tell(store, vec![report(run, 9, line(9))]).await;
    }
    assert_eq!(store.held().await.expect("counted"), before);
    assert!(listed(store).await.is_empty(), "nothing comes back");
    // What was never there is one still.
    let never = Run::new(TaskId::generate(), Attempt::FIRST);
    tell(store, vec![report(never, 1, event(Event::Accepted))]).await;
    let after = store.held().await.expect("counted");
    assert_eq!(after.audit, before.audit + 1);
}

pub async fn what_is_tried_again_while_the_janitor_looks_stays(store: &Store) {
    let id = make(store, a_ping()).await;
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, id).await;
    tell(
        store,
        numbered(
            run,
            vec![event(Event::Accepted), because(Event::Failed, "it broke")],
        ),
    )
    .await;
    let ended_by = in_days(1);
    let first = TaskId::earliest(UnixMillis(0));
    let old = store.old_tasks(first, ended_by, 10).await.expect("read");
    assert_eq!(old, [id]);
    let retry = Retry {
        task: id,
        requested_by: "test".to_owned(),
    };
    store.write(retry).await.expect("it failed");
    for what in [What::Logs, What::Tasks] {
        let piece = Prune {
            what,
            tasks: old.clone(),
            ended_by,
        };
        let pruned = store.write(piece).await.expect("looked at again");
        let nothing = Pruned {
            done: 1,
            ..Pruned::default()
        };
        assert_eq!(pruned, nothing);
    }
    assert_eq!(task(store, id).await.state, State::Queued);
    assert_eq!(entries(store, id).await, 2);
}

pub async fn records_of_who_did_what_go_by_age_and_number(store: &Store) {
    for id in make_many(store, a_ping(), 30).await {
        let cancel = Cancel {
            task: id,
            requested_by: "test".to_owned(),
        };
        store.write(cancel).await.expect("it is queued");
    }
    // Two more: the servers were added.
    assert_eq!(store.held().await.expect("counted").audit, 32);
    let keep = Retention {
        audit_most: 20,
        ..ALL
    };
    assert_eq!(sweep(store, keep, 0).await.audit, 12);
    let keep = Retention {
        audit_days: 2,
        ..ALL
    };
    assert_eq!(sweep(store, keep.clone(), 1).await.audit, 0);
    assert_eq!(sweep(store, keep, 3).await.audit, 20);
}

/// Killed between two pieces: each is a transaction of its own, so what is on disk after the first is all
/// that a killed hub leaves.
pub async fn a_hub_that_dies_between_two_pieces_goes_on_with_the_rest(database: Database) {
    let id = ended(&database.store, 1, 1300).await[0];
    let piece = Prune {
        what: What::Tasks,
        tasks: vec![id],
        ended_by: in_days(1),
    };
    let pruned = database
        .store
        .write(piece)
        .await
        .expect("a piece of its log goes");
    assert_eq!((pruned.done, pruned.tasks), (0, 0));
    assert!((1..1303).contains(&pruned.entries), "{pruned:?}");
    let database = database.reopen().await;
    let store = &database.store;
    assert!(
        task(store, id).await.log_pruned,
        "what is left does not pass for all"
    );
    let (left, _) = store.log(id, 0, 10_000).await.expect("read");
    assert_eq!(left.last().expect("the end is there").text, "line 1299");
    assert!(left.len() < 1300);
    let keep = Retention {
        tasks_days: 1,
        ..ALL
    };
    assert_eq!(sweep(store, keep, 2).await.tasks, 1);
    assert_eq!(store.held().await.expect("counted").entries, 0);

    // The fence outlives the hub too.
    let database = database.reopen().await;
    let before = database.store.held().await.expect("counted");
    let run = Run::new(id, Attempt::FIRST);
    tell(&database.store, vec![report(run, 9, line(9))]).await;
    assert_eq!(database.store.held().await.expect("counted"), before);
    database.end().await;
}

#[tokio::test]
async fn sqlite_uses_the_space_of_what_is_gone_again() {
    let database = Database::sqlite().await;
    let keep = Retention {
        tasks_days: 1,
        ..ALL
    };
    let mut sizes = Vec::new();
    for _ in 0..8 {
        ended(&database.store, 400, 10).await;
        assert_eq!(sweep(&database.store, keep.clone(), 2).await.tasks, 400);
        sizes.push(database.sqlite_bytes());
    }
    assert!(
        sizes[7] <= sizes[4] + sizes[4] / 20,
        "the file grows with history: {sizes:?}"
    );
    database.end().await;
}

pub async fn a_stopped_janitor_stops_between_two_pieces(store: &Store) {
    ended(store, 600, 1).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let keep = Retention {
        tasks_days: 1,
        ..ALL
    };
    let mut janitor = Janitor::new(store.clone(), keep, stop);
    let stopped = janitor.sweep(in_days(2)).await;
    assert!(matches!(stopped, Err(StoreError::Stopped)));
    let left = store.held().await.expect("counted").tasks;
    assert!((1..600).contains(&left), "{left} are left after one piece");
}
