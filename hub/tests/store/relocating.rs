//! Sites that move to another server: which stage follows which, whose the site is meanwhile and then, and what nobody can
//! do to it on the way.

use kolga_hub::store::cancel::Cancel;
use kolga_hub::store::create::Create;
use kolga_hub::store::locks::SetSiteLock;
use kolga_hub::store::operations::relocate::StartMove;
use kolga_hub::store::operations::steer::{CancelOperation, Pause, ResumeOperation};
use kolga_hub::store::published::Fate;
use kolga_hub::store::read::Filter;
use kolga_hub::store::retry::Retry;
use kolga_hub::store::{Store, StoreError};
use kolga_hub::wire::{Condition, Item, ItemState, Operation, OperationId, OperationState, Stage};
use kolga_protocol::id::TaskId;
use kolga_protocol::message::{Failure, ReportBody, StateReport};
use kolga_protocol::names::Engine;
use kolga_protocol::naming::{Https, Names};
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::{
    Output, Params, platform_build, site_hold, site_receive, site_release, site_verify,
};

use crate::database::{because, make_on, publish, server, success, take, task};
use crate::moving::{host, installed, site};
use crate::operations::{a_site, end, items, shown};

fn offer() -> Box<site_hold::Offer> {
    Box::new(site_hold::Offer {
        repository: "7f".repeat(32),
        profile: "static".parse().expect("a profile"),
        platform: None,
        version: None,
        names: Names::default(),
        https: Https::Off,
        options: std::collections::BTreeMap::new(),
        enabled: true,
        imported: false,
        snippet: false,
        secrets: true,
        url: "http://a.org".to_owned(),
        folder: "/srv/a.org".to_owned(),
        code: None,
        uid: 7,
        bytes: 1,
        engine: Engine::default(),
        database_bytes: None,
    })
}

fn held(check: bool) -> ReportBody {
    success(&Output::SiteHold(site_hold::Output {
        offer: offer(),
        backup: (!check).then(|| "4b3feb53".repeat(8)),
        files: 1,
        bytes: 1,
        sealed: (!check).then(|| "0b".repeat(60).try_into().expect("digits")),
        milliseconds: 1,
    }))
}

fn received(name: &str, check: bool) -> ReportBody {
    success(&Output::SiteReceive(site_receive::Output {
        url: format!("http://{name}:8080/"),
        path: format!("/srv/{name}"),
        platform: None,
        version: None,
        database: None,
        names: Names::default(),
        https: Https::Off,
        enabled: true,
        files: 1,
        bytes: 1,
        seal: check.then(|| "0a".repeat(32).try_into().expect("a key")),
        secret_file: None,
        milliseconds: 1,
    }))
}

fn released(changed: bool) -> ReportBody {
    success(&Output::SiteRelease(site_release::Output {
        url: None,
        path: "/srv/a.org".to_owned(),
        database: None,
        changed,
    }))
}

/// What the task of a stage gives when it succeeds.
fn well(stage: Stage, name: &str) -> ReportBody {
    match stage {
        Stage::Source => held(true),
        Stage::Target => received(name, true),
        Stage::Hold => held(false),
        Stage::Receive => received(name, false),
        Stage::Release => released(true),
    }
}

fn a_move(name: &str) -> StartMove {
    StartMove {
        host: host(name),
        to: server("web2"),
        platform: None,
        requested_by: "test".to_owned(),
    }
}

async fn started(store: &Store, name: &str) -> OperationId {
    a_site(store, "web1", name).await;
    store.write(a_move(name)).await.expect("it is started")
}

/// The stage that is open, and its task.
async fn open(store: &Store, id: OperationId) -> (Stage, TaskId) {
    let open: Vec<Item> = items(store, id, Some(ItemState::Made)).await;
    assert_eq!(open.len(), 1, "{open:#?}");
    let shown = shown(store, id).await;
    assert_eq!(shown.stage, open[0].stage);
    (open[0].stage.expect("a stage"), open[0].task.expect("made"))
}

/// Goes on until this stage is open; its task.
async fn until(store: &Store, id: OperationId, name: &str, wanted: Stage) -> TaskId {
    loop {
        let (stage, task) = open(store, id).await;
        if stage == wanted {
            return task;
        }
        end(store, task, well(stage, name)).await;
    }
}

async fn params(store: &Store, id: TaskId) -> Params {
    let task = task(store, id).await;
    let detail = store.task_detail(id).await.expect("read").expect("there");
    Params::from_json(&task.kind, detail.params).expect("they are right")
}

fn cancel(id: OperationId, target_is_gone: bool) -> CancelOperation {
    CancelOperation {
        operation: id,
        let_finish: false,
        target_is_gone,
        requested_by: "test".to_owned(),
    }
}

fn pause(operation: OperationId) -> Pause {
    Pause {
        operation,
        requested_by: "test".to_owned(),
    }
}

fn resume(operation: OperationId, retry_failed: bool) -> ResumeOperation {
    ResumeOperation {
        operation,
        retry_failed,
        requested_by: "test".to_owned(),
    }
}

fn lock(name: &str, locked: bool) -> SetSiteLock {
    SetSiteLock {
        host: host(name),
        locked,
        reason: "an audit".to_owned(),
        requested_by: "test".to_owned(),
    }
}

/// Nothing of it is open, and nobody else can do anything with the site.
async fn rests(store: &Store, id: OperationId, name: &str) -> Operation {
    assert!(
        items(store, id, Some(ItemState::Made)).await.is_empty(),
        "nothing is open"
    );
    let there = site(store, name).await.expect("there");
    assert_eq!(
        (there.server, there.condition),
        (server("web1"), Condition::Pending)
    );
    for params in [verify(name), release(name, None)] {
        assert_eq!(refused(store, "web1", params).await, "site_busy");
    }
    assert_eq!(code(store.write(a_move(name)).await), "site_busy");
    shown(store, id).await
}

/// It is where it was, and anything can be done with it.
async fn is_free(store: &Store, name: &str) {
    let there = site(store, name).await.expect("there");
    assert_eq!(
        (there.server, there.condition),
        (server("web1"), Condition::Ready)
    );
    make_on(store, "web1", verify(name)).await;
}

fn code<T: std::fmt::Debug>(result: Result<T, StoreError>) -> &'static str {
    match result {
        Err(StoreError::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

async fn refused(store: &Store, on: &str, params: Params) -> &'static str {
    let create = Create {
        server: server(on),
        params,
        count: 1,
        requested_by: "test".to_owned(),
    };
    code(store.write(create).await)
}

fn verify(name: &str) -> Params {
    Params::SiteVerify(site_verify::Params { site: host(name) })
}

fn release(name: &str, to: Option<&str>) -> Params {
    Params::SiteRelease(site_release::Params {
        site: host(name),
        to: to.map(server),
        unheld: false,
    })
}

/// Asks for each of its statements.
pub async fn every_way(store: &Store) {
    let id = started(store, "goes.example.org").await;
    let task = until(store, id, "goes.example.org", Stage::Release).await;
    end(store, task, released(true)).await;
    let id = started(store, "stays.example.org").await;
    let task = until(store, id, "stays.example.org", Stage::Target).await;
    refused(store, "web1", verify("stays.example.org")).await;
    end(store, task, because(Event::Failed, "no disk")).await;
    store
        .write(a_move("stays.example.org"))
        .await
        .map(drop)
        .expect("free again");
    let id = started(store, "back.example.org").await;
    let task = until(store, id, "back.example.org", Stage::Receive).await;
    store.write(cancel(id, true)).await.expect("it waits");
    end(store, task, received("back.example.org", false)).await;
    let (_, task) = open(store, id).await;
    end(store, task, released(true)).await;
    with_a_platform(store).await;
    let mut ids = Vec::new();
    for name in [
        "turn1.example.org",
        "turn2.example.org",
        "turn3.example.org",
    ] {
        ids.push(looked(store, name).await);
    }
    refused(store, "web1", release("turn3.example.org", None)).await;
    store.write(pause(ids[2])).await.expect("it waits");
    store
        .write(resume(ids[2], false))
        .await
        .expect("it is paused");
    store.write(cancel(ids[2], false)).await.expect("it runs");
    for id in &ids[..2] {
        let (_, task) = open(store, *id).await;
        end(store, task, because(Event::Failed, "no disk")).await;
    }
    // What says nothing that can be read.
    let id = started(store, "silent.example.org").await;
    let task = until(store, id, "silent.example.org", Stage::Source).await;
    end(
        store,
        task,
        ReportBody::State(StateReport::bare(Event::Succeeded)),
    )
    .await;
    for (name, to) in [
        ("alone.example.org", None),
        ("other.example.org", Some("web2")),
    ] {
        a_site(store, "web1", name).await;
        let hold = Params::SiteHold(site_hold::Params {
            site: host(name),
            to: None,
            check: false,
            seal: None,
        });
        let task = make_on(store, "web1", hold).await;
        end(store, task, held(false)).await;
        let on = if to.is_some() { "web2" } else { "web1" };
        let task = make_on(store, on, release(name, to)).await;
        end(store, task, released(true)).await;
    }
    let mut receive = site_receive::Params {
        site: host("new.example.org"),
        from: server("web1"),
        offer: offer(),
        platform: None,
        backup: None,
        sealed: None,
    };
    let look = make_on(store, "web2", Params::SiteReceive(receive.clone())).await;
    end(store, look, received("new.example.org", true)).await;
    receive.backup = Some("4b3feb53".repeat(8).parse().expect("a backup"));
    let task = make_on(store, "web2", Params::SiteReceive(receive)).await;
    end(store, task, received("new.example.org", false)).await;
}

/// A site whose platform both servers have.
async fn with_a_platform(store: &Store) {
    for on in ["web1", "web2"] {
        let params = Params::PlatformBuild(platform_build::Params {
            platform: "both".parse().expect("a name"),
            profile: "wordpress".parse().expect("a profile"),
            source: "/usr/share/code".parse().expect("a path"),
            composer: false,
        });
        let output = Output::PlatformBuild(platform_build::Output {
            path: "/srv/both".to_owned(),
            version: None,
            files: 1,
            bytes: 1,
            packages: None,
        });
        let task = make_on(store, on, params).await;
        end(store, task, success(&output)).await;
    }
    installed(store, "code.example.org", "both").await;
    store
        .write(a_move("code.example.org"))
        .await
        .expect("it is started");
}

pub async fn a_site_is_the_other_servers_when_it_has_answered_there(store: &Store) {
    let id = started(store, "a.org").await;
    let before = site(store, "a.org").await.expect("there");
    let mut seen = Vec::new();
    loop {
        let (stage, made) = open(store, id).await;
        let on = site(store, "a.org").await.expect("there");
        let wanted = if stage == Stage::Release {
            "web2"
        } else {
            "web1"
        };
        assert_eq!(on.server, server(wanted), "{stage:?}");
        let runs = task(store, made).await;
        let at = matches!(stage, Stage::Target | Stage::Receive);
        assert_eq!(runs.server, server(if at { "web2" } else { "web1" }));
        if stage != Stage::Release {
            assert_eq!((on.condition, on.task), (Condition::Pending, Some(made)));
            assert_eq!(refused(store, "web1", verify("a.org")).await, "site_busy");
        }
        // What was said before is told to who is next.
        match params(store, made).await {
            Params::SiteHold(hold) => {
                assert_eq!(hold.check, stage == Stage::Source);
                assert_eq!(hold.seal.is_some(), stage == Stage::Hold);
            }
            Params::SiteReceive(receive) => {
                assert_eq!(receive.offer, offer());
                assert_eq!(receive.backup.is_some(), stage == Stage::Receive);
                assert_eq!(receive.sealed.is_some(), stage == Stage::Receive);
            }
            Params::SiteRelease(release) => assert_eq!(release.to, Some(server("web2"))),
            other => panic!("{other:?}"),
        }
        seen.push(stage);
        end(store, made, well(stage, "a.org")).await;
        if stage == Stage::Release {
            break;
        }
    }
    assert_eq!(seen, Stage::ALL);
    let over = shown(store, id).await;
    assert_eq!(over.state, OperationState::Finished);
    assert_eq!((over.counts.succeeded, over.stage), (5, None));
    assert_eq!(over.reason.as_deref(), Some("the site is on web2"));
    let after = site(store, "a.org").await.expect("there");
    assert_eq!(
        (after.server, after.condition),
        (server("web2"), Condition::Ready)
    );
    assert_eq!(after.url.as_deref(), Some("http://a.org:8080/"));
    assert_eq!(
        (after.aliases, after.labels, after.created_at),
        (before.aliases, before.labels, before.created_at)
    );
    make_on(store, "web2", verify("a.org")).await;
}

/// How a move ends in which the task of this stage ends like this.
async fn ends(store: &Store, name: &str, at: Stage, last: ReportBody) -> Operation {
    let id = started(store, name).await;
    let task = until(store, id, name, at).await;
    end(store, task, last).await;
    let open = items(store, id, Some(ItemState::Made)).await;
    if let [item] = open.as_slice() {
        assert_eq!(item.stage, Some(Stage::Release));
        let task = item.task.expect("made");
        assert!(matches!(params(store, task).await, Params::SiteRelease(it) if it.to.is_none()));
        end(store, task, released(true)).await;
    }
    shown(store, id).await
}

pub async fn whatever_ends_a_move_early_the_site_is_where_it_was(store: &Store) {
    for (number, at) in Stage::ALL[..4].iter().enumerate() {
        for (sort, last) in [
            because(Event::Failed, "no disk"),
            because(Event::Cancelled, "by somebody"),
        ]
        .into_iter()
        .enumerate()
        {
            let name = format!("s{number}-{sort}.org");
            let over = ends(store, &name, *at, last).await;
            assert_eq!(over.state, OperationState::Finished, "{over:#?}");
            assert_eq!(
                over.reason.as_deref(),
                Some("the site is on web1 as it was")
            );
            assert_eq!(over.counts.waiting + over.counts.open, 0);
            let site = site(store, &name).await.expect("there");
            assert_eq!(
                (site.server, site.condition),
                (server("web1"), Condition::Ready)
            );
            make_on(store, "web1", verify(&name)).await;
        }
    }
}

pub async fn a_move_that_is_cancelled_goes_back_unless_the_site_has_arrived(store: &Store) {
    let stages = Stage::ALL
        .into_iter()
        .flat_map(|at| [(at, false), (at, true)]);
    for (number, (at, sent)) in stages.enumerate() {
        let name = format!("c{number}.org");
        let id = started(store, &name).await;
        let task = until(store, id, &name, at).await;
        if sent {
            // So that its server may do it before it hears of that.
            publish(store, take(store).await, &Fate::Confirmed).await;
        }
        let told = store.write(cancel(id, false)).await;
        if at == Stage::Release {
            assert_eq!(code(told), "operation_past");
            let stop = Cancel {
                task,
                requested_by: "test".to_owned(),
            };
            assert_eq!(code(store.write(stop).await), "task_goes_on");
            end(store, task, released(true)).await;
            assert_eq!(shown(store, id).await.counts.succeeded, 5);
            continue;
        }
        told.expect("it is taken");
        // It may have been too late for the task itself.
        let state = crate::database::task(store, task).await.state;
        assert_eq!(state == State::Cancelled, !sent);
        if state != State::Cancelled {
            end(store, task, well(at, &name)).await;
        }
        let open = items(store, id, Some(ItemState::Made)).await;
        for item in &open {
            end(store, item.task.expect("made"), released(true)).await;
        }
        let over = shown(store, id).await;
        let arrived = state != State::Cancelled && at == Stage::Receive;
        let site = site(store, &name).await.expect("there");
        assert_eq!(site.condition, Condition::Ready, "{at:?} {over:#?}");
        assert_eq!(site.server, server(if arrived { "web2" } else { "web1" }));
        let wanted = if arrived {
            OperationState::Finished
        } else {
            OperationState::Cancelled
        };
        assert_eq!(over.state, wanted, "{at:?} {over:#?}");
    }
}

pub async fn a_server_that_is_given_up_loses_a_site_that_it_has_made_after_all(store: &Store) {
    let id = started(store, "a.org").await;
    let before = until(store, id, "a.org", Stage::Hold).await;
    assert_eq!(
        code(store.write(cancel(id, true)).await),
        "operation_not_there"
    );
    end(store, before, held(false)).await;
    let task = until(store, id, "a.org", Stage::Receive).await;
    // The server has it, so that it cannot be taken back.
    publish(store, take(store).await, &Fate::Confirmed).await;
    store.write(cancel(id, true)).await.expect("it waits");
    let (stage, back) = open(store, id).await;
    assert_eq!(stage, Stage::Release);
    end(store, back, released(true)).await;
    let over = shown(store, id).await;
    assert_eq!(over.state, OperationState::Cancelled);
    let there = site(store, "a.org").await.expect("there");
    assert_eq!(
        (&there.server, there.condition),
        (&server("web1"), Condition::Ready)
    );

    end(store, task, received("a.org", false)).await;
    assert_eq!(shown(store, id).await, over, "the operation is what it was");
    let newest = Filter {
        server: Some(server("web2")),
        state: None,
        object: None,
        before: None,
        limit: 1,
    };
    let newest = store.tasks(&newest).await.expect("read").remove(0);
    let Params::SiteRelease(release) = params(store, newest.id).await else {
        panic!("{newest:?}");
    };
    assert!(release.unheld && release.to == Some(server("web1")));
    end(store, newest.id, released(true)).await;
    let still = site(store, "a.org").await.expect("there");
    assert_eq!(still, there);
}

pub async fn nobody_is_put_in_doubt_about_where_a_site_is(store: &Store) {
    // Where a person has abandoned what was stuck, a person says what follows.
    let id = started(store, "a.org").await;
    let task = until(store, id, "a.org", Stage::Receive).await;
    let abandoned = Failure {
        step: Some("clear_stage".to_owned()),
        message: "abandoned".to_owned(),
        left_behind: vec!["a vhost".to_owned()],
    };
    let abandoned = StateReport::because(Event::Failed, abandoned);
    end(store, task, ReportBody::State(abandoned)).await;
    let over = shown(store, id).await;
    assert_eq!(over.state, OperationState::Finished);
    let reason = over.reason.expect("it says why");
    assert!(reason.contains("kolga site release a.org"), "{reason}");
    assert_eq!(refused(store, "web1", verify("a.org")).await, "site_busy");
    let back = make_on(store, "web1", release("a.org", None)).await;
    end(store, back, released(true)).await;
    make_on(store, "web1", verify("a.org")).await;

    // Neither a stage of it nor all of it is asked for again but as a move.
    for task in [task] {
        let retry = Retry {
            task,
            requested_by: "test".to_owned(),
        };
        assert_eq!(code(store.write(retry).await), "task_not_retryable");
    }
    let id = started(store, "b.org").await;
    let again = resume(id, true);
    assert_eq!(code(store.write(again).await), "operation_goes_on");
    assert_eq!(code(store.write(a_move("b.org")).await), "site_busy");
    // It comes back nowhere while it is on its way, and goes nowhere where it is.
    assert_eq!(
        refused(store, "web1", release("b.org", None)).await,
        "site_busy"
    );
    assert_eq!(
        refused(store, "web2", release("b.org", None)).await,
        "wrong_server"
    );
    assert_eq!(
        refused(store, "web1", release("b.org", Some("web2"))).await,
        "wrong_server"
    );

    // What could not be brought back is tried again.
    let task = until(store, id, "b.org", Stage::Receive).await;
    end(store, task, because(Event::Failed, "no disk")).await;
    let (_, task) = open(store, id).await;
    end(store, task, because(Event::Failed, "nginx is away")).await;
    let over = shown(store, id).await;
    assert!(
        over.reason
            .is_some_and(|reason| reason.contains("kolga task retry"))
    );
    let retry = Retry {
        task,
        requested_by: "test".to_owned(),
    };
    store.write(retry).await.expect("it failed");
    end(store, task, released(true)).await;
    assert_eq!(
        shown(store, id).await.reason.as_deref(),
        Some("the site is on web1 as it was")
    );
    make_on(store, "web1", verify("b.org")).await;
}

pub async fn what_the_hub_knows_to_be_in_the_way_of_a_move_is_told_at_once(store: &Store) {
    a_site(store, "web1", "a.org").await;
    let wrong = |change: fn(&mut StartMove)| {
        let mut wish = a_move("a.org");
        change(&mut wish);
        wish
    };
    for (wish, wanted) in [
        (wrong(|it| it.host = host("no.org")), "site_unknown"),
        (wrong(|it| it.to = server("web9")), "server_unknown"),
        (wrong(|it| it.to = server("web1")), "nothing_to_do"),
        (wrong(|it| it.platform = "wp".parse().ok()), "bad_platform"),
    ] {
        let shown = format!("{wish:?}");
        assert_eq!(code(store.write(wish).await), wanted, "{shown}");
    }
    store.write(lock("a.org", true)).await.expect("locked");
    assert_eq!(code(store.write(a_move("a.org")).await), "site_locked");
    assert!(store.operations(None, 10).await.expect("read").is_empty());
    let site = site(store, "a.org").await.expect("there");
    assert_eq!(site.condition, Condition::Ready);
}

pub async fn a_move_is_paused_before_anything_is_touched_and_both_servers_look_anew(store: &Store) {
    let id = started(store, "a.org").await;
    let looks = until(store, id, "a.org", Stage::Source).await;
    store.write(pause(id)).await.expect("it looks");
    assert_eq!(shown(store, id).await.state, OperationState::Stopping);
    // Nobody is put off by a second thought.
    store.write(resume(id, false)).await.expect("it stops");
    assert_eq!(open(store, id).await, (Stage::Source, looks));
    for stage in [Stage::Source, Stage::Target] {
        let task = until(store, id, "a.org", stage).await;
        store.write(pause(id)).await.expect("it looks");
        end(store, task, well(stage, "a.org")).await;
        let paused = rests(store, id, "a.org").await;
        assert_eq!(paused.state, OperationState::Paused, "{paused:#?}");
        store.write(lock("a.org", true)).await.expect("locked");
        let told = store.write(resume(id, false)).await;
        assert_eq!(code(told), "site_locked");
        store.write(lock("a.org", false)).await.expect("unlocked");
        store.write(resume(id, false)).await.expect("it is paused");
        assert_eq!(open(store, id).await.0, Stage::Source, "it looks anew");
        let told = store.write(resume(id, false)).await;
        assert_eq!(code(told), "operation_nothing_waits");
    }
    // Behind the maintenance page it goes to its end, or back.
    for stage in [Stage::Hold, Stage::Receive, Stage::Release] {
        until(store, id, "a.org", stage).await;
        assert_eq!(code(store.write(pause(id)).await), "operation_goes_on");
    }
    let task = until(store, id, "a.org", Stage::Release).await;
    end(store, task, released(true)).await;
    let over = shown(store, id).await;
    assert_eq!(
        (over.state, over.counts.succeeded),
        (OperationState::Finished, 5)
    );
    assert_eq!(code(store.write(pause(id)).await), "operation_over");
    assert_eq!(code(store.write(resume(id, false)).await), "operation_over");

    // One that is cancelled while it is paused leaves the site to others, and so does one that fails.
    let id = started(store, "b.org").await;
    let task = until(store, id, "b.org", Stage::Target).await;
    store.write(pause(id)).await.expect("it looks");
    end(store, task, well(Stage::Target, "b.org")).await;
    rests(store, id, "b.org").await;
    store.write(cancel(id, false)).await.expect("it is paused");
    let over = shown(store, id).await;
    assert_eq!(
        (over.state, over.reason.as_deref()),
        (
            OperationState::Cancelled,
            Some("the site is on web1 as it was")
        )
    );
    is_free(store, "b.org").await;
    let id = started(store, "c.org").await;
    let task = until(store, id, "c.org", Stage::Target).await;
    store.write(pause(id)).await.expect("it looks");
    end(store, task, because(Event::Failed, "no disk")).await;
    assert_eq!(shown(store, id).await.state, OperationState::Finished);
    is_free(store, "c.org").await;
}

/// A move whose servers have both looked.
async fn looked(store: &Store, name: &str) -> OperationId {
    let id = started(store, name).await;
    let task = until(store, id, name, Stage::Target).await;
    end(store, task, well(Stage::Target, name)).await;
    id
}

pub async fn no_more_sites_are_held_for_one_server_than_are_made_there_at_once(store: &Store) {
    let first = looked(store, "a.org").await;
    let second = looked(store, "b.org").await;
    let mut waiting = Vec::new();
    for name in ["c.org", "d.org", "e.org", "f.org", "g.org"] {
        let id = looked(store, name).await;
        let waits = rests(store, id, name).await;
        assert_eq!(waits.state, OperationState::Running);
        let reason = waits.reason.expect("it says why");
        assert!(reason.contains("waits"), "{reason}");
        waiting.push((id, name));
    }
    let stands =
        async |&(id, name): &(OperationId, &str)| match items(store, id, Some(ItemState::Made))
            .await
            .as_slice()
        {
            [] => {
                rests(store, id, name).await;
                None
            }
            [one] => one.stage,
            more => panic!("{more:#?}"),
        };
    // What is made is no longer waited for; whether it is given up there is nobody's concern.
    let task = until(store, first, "a.org", Stage::Receive).await;
    assert_eq!(stands(&waiting[0]).await, None);
    end(store, task, well(Stage::Receive, "a.org")).await;
    assert_eq!(open(store, first).await.0, Stage::Release);
    assert_eq!(stands(&waiting[0]).await, Some(Stage::Hold));
    assert_eq!(stands(&waiting[1]).await, None);
    // One that fails, and one that is cancelled.
    let (_, task) = open(store, waiting[0].0).await;
    end(store, task, because(Event::Failed, "no disk")).await;
    assert_eq!(stands(&waiting[1]).await, Some(Stage::Hold));
    assert_eq!(stands(&waiting[2]).await, None);
    store.write(cancel(second, false)).await.expect("it runs");
    assert_eq!(stands(&waiting[2]).await, Some(Stage::Hold));
    assert_eq!(stands(&waiting[3]).await, None);
    // One that waits may be cancelled, and one whose site was locked meanwhile goes nowhere.
    store
        .write(cancel(waiting[3].0, false))
        .await
        .expect("it waits");
    is_free(store, waiting[3].1).await;
    store.write(lock(waiting[4].1, true)).await.expect("locked");
    let (_, task) = open(store, waiting[1].0).await;
    end(store, task, because(Event::Failed, "no disk")).await;
    let over = shown(store, waiting[4].0).await;
    assert_eq!(over.state, OperationState::Finished);
    let reason = over.reason.expect("it says why");
    assert!(reason.contains("locked"), "{reason}");
    is_free(store, waiting[4].1).await;
    // A target that is given up takes no turn either.
    let (_, task) = open(store, waiting[2].0).await;
    end(store, task, held(false)).await;
    let fourth = looked(store, "h.org").await;
    let fifth = (looked(store, "i.org").await, "i.org");
    assert_eq!(open(store, fourth).await.0, Stage::Hold);
    assert_eq!(stands(&fifth).await, None);
    publish(store, take(store).await, &Fate::Confirmed).await;
    store
        .write(cancel(waiting[2].0, true))
        .await
        .expect("it waits for it");
    assert_eq!(stands(&fifth).await, Some(Stage::Hold));
}
