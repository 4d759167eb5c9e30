//! Everything that the store can be asked to do, done once or so: for [`crate::plans`], which looks at how the
//! databases do it. What is asked is judged elsewhere; here it only has to be asked.

use std::sync::Arc;

use kolga_hub::store::Store;
use kolga_hub::store::cancel::Cancel;
use kolga_hub::store::doubt::{CheckDue, NextCheck, Unknown};
use kolga_hub::store::labels::{Labelled, SetLabels};
use kolga_hub::store::locks::SetSiteLock;
use kolga_hub::store::objects::Forget;
use kolga_hub::store::operations::preparing::RemoveHalf;
use kolga_hub::store::operations::prune::PruneOperations;
use kolga_hub::store::operations::steer::{CancelOperation, Pause, ResumeOperation};
use kolga_hub::store::platforms::{ForgetPlatform, LockPlatform};
use kolga_hub::store::prune::{Prune, PruneAudit, What};
use kolga_hub::store::published::{Fate, Published, Unblock};
use kolga_hub::store::read::Filter;
use kolga_hub::store::reports::TakeReports;
use kolga_hub::store::retry::{Retry, RetryDue};
use kolga_hub::store::servers::{AddServer, Heard, RemoveServer};
use kolga_hub::wire::ItemState;
use kolga_protocol::id::{Attempt, Run, TaskId, UnixMillis};
use kolga_protocol::message::{Level, LogLines, ReportBody, StepPhase, StepReport};
use kolga_protocol::names::{HostName, PlatformName};
use kolga_protocol::naming::{Https, Names};
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::{
    Output, Params, ping, platform_build, platform_delete, platform_verify, site_delete,
    site_disable, site_https, site_install, site_restore, site_verify, trash_restore,
};

use crate::database::{
    a_ping, asked, because, event, make, make_many, numbered, publish, run_of, server, success,
    take, tell,
};
use crate::listing::one_in_each_state;
use crate::naming;
use crate::operations::{a_site, advance, chosen, end as end_of, items, start_of, started};

/// Asks for everything.
pub async fn everything(store: &Store) {
    servers(store).await;
    tasks(store).await;
    objects(store).await;
    let old = operations(store).await;
    doubt(store).await;
    pruning(store, old).await;
    questions(store).await;
}

async fn servers(store: &Store) {
    let add = AddServer {
        name: server("web3"),
        requested_by: "test".to_owned(),
    };
    store.write(add).await.expect("it is new");
    for (name, journal) in [("web3", "a"), ("web3", "a"), ("web3", "b"), ("web9", "a")] {
        let heard = Heard {
            server: server(name),
            at: UnixMillis::now(),
            journal: journal.to_owned(),
            worker:
                "{\"version\":\"1\",\"mood\":\"consuming\",\"running\":0,\"waiting\":0,\"stuck\":0,\
                     \"spooled\":0,\"load_milli\":0,\"disk_free\":0}"
                    .to_owned(),
        };
        store.write(heard).await.expect("a heartbeat");
    }
    let remove = RemoveServer {
        name: server("web3"),
        requested_by: "test".to_owned(),
    };
    store.write(remove).await.expect("nothing is on it");
}

async fn tasks(store: &Store) {
    let made = one_in_each_state(store).await;
    for (state, id) in made {
        let requested_by = "test".to_owned();
        match state {
            State::Failed => {
                let retry = Retry {
                    task: id,
                    requested_by,
                };
                store.write(retry).await.expect("it failed");
            }
            State::Running | State::Queued => {
                let cancel = Cancel {
                    task: id,
                    requested_by,
                };
                store.write(cancel).await.expect("it is not over");
            }
            _ => {}
        }
    }
    store.write(RetryDue).await.expect("one was interrupted");
    publish(store, take(store).await, &Fate::Confirmed).await;

    // Enough for statements of all sizes, and each fate of a message.
    let many = make_many(store, a_ping(), 149).await;
    let mut items = take(store).await;
    let rest = items.split_off(4);
    let fates = [
        Fate::Blocked("no queue".to_owned()),
        Fate::Unsure,
        Fate::Unreadable("of a later release".to_owned()),
        Fate::Confirmed,
    ];
    let results = Arc::new(items.into_iter().zip(fates).collect());
    store.write(Published { results }).await.expect("noted");
    publish(store, rest, &Fate::Confirmed).await;
    let unblock = Unblock {
        server: server("web1"),
    };
    store.write(unblock).await.expect("one was blocked");
    publish(store, take(store).await, &Fate::Confirmed).await;
    let mut reports = Vec::new();
    for &id in &many[4..] {
        reports.extend(numbered(Run::new(id, Attempt::FIRST), a_whole_way()));
    }
    tell(store, reports).await;
    let refused = TakeReports {
        batches: Vec::new(),
        refused: vec![("nobody".to_owned(), "not readable".to_owned())],
    };
    store.write(refused).await.expect("noted");
}

fn a_whole_way() -> Vec<ReportBody> {
    vec![
        event(Event::Accepted),
        event(Event::Started),
        ReportBody::Step(StepReport {
            name: "greet".to_owned(),
            position: 1,
            total: 1,
            phase: StepPhase::Applied,
        }),
        ReportBody::Log(LogLines {
            level: Level::Output,
            step: None,
            text: "hello".to_owned(),
        }),
        event(Event::Succeeded),
    ]
}

fn host(name: &str) -> HostName {
    name.parse().expect("a host name")
}

fn install(name: &str) -> Params {
    Params::SiteInstall(site_install::Params {
        site: host(name),
        aliases: vec![format!("www.{name}").parse().expect("an alias")],
        profile: "static".parse().expect("a profile"),
        platform: Some("shared".parse().expect("a platform")),
        options: std::collections::BTreeMap::new(),
    })
}

async fn end(store: &Store, id: TaskId, last: ReportBody) {
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

async fn objects(store: &Store) {
    crate::moving::every_way(store).await;
    crate::adopting::every_way(store).await;
    crate::cloning::every_way(store).await;
    crate::relocating::every_way(store).await;
    let shared: PlatformName = "shared".parse().expect("a platform");
    let task = make(store, build(&shared)).await;
    end(store, task, success(&built(&shared))).await;
    let name = "plans.example.org";
    // Not installed, tried again in its place, deleted in vain, deleted.
    let first = make(store, install(name)).await;
    end(store, first, because(Event::Failed, "no disk")).await;
    let second = make(store, install(name)).await;
    let installed = Output::SiteInstall(site_install::Output {
        url: format!("http://{name}/"),
        path: format!("/srv/{name}"),
        database: None,
        admin_user: None,
        secret_file: None,
    });
    end(store, second, success(&installed)).await;
    let url = format!("http://{name}/");
    let disable = make(
        store,
        Params::SiteDisable(site_disable::Params { site: host(name) }),
    )
    .await;
    let disabled = Output::SiteDisable(site_disable::Output { url, changed: true });
    end(store, disable, success(&disabled)).await;
    let verify = Params::SiteVerify(site_verify::Params { site: host(name) });
    let verify = make(store, verify).await;
    let verified = Output::SiteVerify(site_verify::Output {
        url: format!("http://{name}/"),
        changes: Vec::new(),
        problems: Vec::new(),
        entry: site_verify::Entry {
            profile: "static".parse().expect("a profile"),
            platform: None,
            database: None,
            names: Names::default(),
            https: Https::Off,
            enabled: true,
        },
    });
    end(store, verify, success(&verified)).await;
    let change = naming::change(name, [&["*.a.org"], &[], &[&format!("www.{name}")]], None);
    let named = make(store, Params::SiteNames(change.clone())).await;
    let had = naming::change(name, [&[&format!("www.{name}")], &[], &[]], None);
    let had = Names::default().after(&had).expect("right");
    end(store, named, success(&naming::done(&had, &change))).await;
    let https = Params::SiteHttps(site_https::Params {
        site: host(name),
        https: Https::On,
    });
    let https = make(store, https).await;
    let answers = Output::SiteHttps(site_https::Output {
        url: format!("http://{name}/"),
        https: Https::On,
        changed: true,
        names: Vec::new(),
        until: None,
    });
    end(store, https, success(&answers)).await;
    let site = store.site(&host(name)).await.expect("read");
    assert_eq!(site.map(|site| site.https), Some(Https::On));
    let wanted = site_restore::Params {
        site: host(name),
        backup: "4b3feb53".parse().expect("a backup"),
    };
    let restore = make(store, Params::SiteRestore(wanted)).await;
    let restored = Output::SiteRestore(site_restore::Output {
        url: format!("http://{name}/"),
        path: format!("/srv/{name}"),
        backup: "4b3feb53".to_owned(),
        files: 1,
        bytes: 1,
        platform: Some("shared".parse().expect("a platform")),
        database: None,
        database_bytes: None,
        former: None,
        milliseconds: 1,
    });
    end(store, restore, success(&restored)).await;
    for locked in [true, false] {
        let lock = SetSiteLock {
            host: host(name),
            locked,
            reason: "an audit".to_owned(),
            requested_by: "test".to_owned(),
        };
        store.write(lock).await.expect("it is there");
    }
    let delete = Params::SiteDelete(site_delete::Params {
        site: host(name),
        no_backup: true,
    });
    let third = make(store, delete.clone()).await;
    end(store, third, because(Event::Failed, "nginx is away")).await;
    let fourth = make(store, delete.clone()).await;
    let deleted = Output::SiteDelete(site_delete::Output {
        path: format!("/srv/{name}"),
        database: None,
        backup: None,
    });
    end(store, fourth, success(&deleted)).await;
    let wish = match install(name) {
        Params::SiteInstall(wish) => wish,
        _ => panic!("another kind of task"),
    };
    let restore = make(
        store,
        Params::TrashRestore(trash_restore::Params {
            item: fourth,
            site: wish,
        }),
    )
    .await;
    let restored = Output::TrashRestore(trash_restore::Output {
        url: format!("http://{name}/"),
        path: format!("/srv/{name}"),
        database: None,
        enabled: false,
        names: Names::default(),
        https: Https::Off,
    });
    end(store, restore, success(&restored)).await;
    let fifth = make(store, delete).await;
    end(store, fifth, success(&deleted)).await;
    let name = "never.example.org";
    let never = make(store, install(name)).await;
    end(store, never, because(Event::Failed, "no disk")).await;
    let forget = Forget {
        host: host(name),
        task: never,
        requested_by: "test".to_owned(),
    };
    store.write(forget).await.expect("it was never installed");
    platforms(store).await;
}

/// The platform that no site uses any more: locked, deleted in vain, deleted; and one that was never built.
async fn platforms(store: &Store) {
    let web1 = server("web1");
    let shared: PlatformName = "shared".parse().expect("a platform");
    for locked in [true, false] {
        let lock = LockPlatform {
            server: web1.clone(),
            name: shared.clone(),
            locked,
            reason: "old".to_owned(),
            requested_by: "test".to_owned(),
        };
        store.write(lock).await.expect("it is there");
    }
    let verify = Params::PlatformVerify(platform_verify::Params {
        platform: shared.clone(),
    });
    let verified = make(store, verify).await;
    let found = Output::PlatformVerify(platform_verify::Output {
        path: "/srv/shared".to_owned(),
        profile: "static".to_owned(),
        version: Some("2".to_owned()),
        files: 1,
        bytes: 1,
        compared: true,
        added: 0,
        removed: 0,
        changed: 0,
        drift: Vec::new(),
        missing: Vec::new(),
        modes_mended: 0,
        foreign: 0,
        installed: Vec::new(),
    });
    end(store, verified, success(&found)).await;
    let row = store.platform(&web1, &shared).await.expect("read");
    assert_eq!(row.and_then(|row| row.version).as_deref(), Some("2"));
    let delete = Params::PlatformDelete(platform_delete::Params { platform: shared });
    let first = make(store, delete.clone()).await;
    end(store, first, because(Event::Failed, "a link leads there")).await;
    let second = make(store, delete).await;
    let path = "/srv/shared".to_owned();
    let deleted = Output::PlatformDelete(platform_delete::Output { path });
    end(store, second, success(&deleted)).await;
    let name: PlatformName = "never".parse().expect("a platform");
    let never = make(store, build(&name)).await;
    end(store, never, because(Event::Failed, "no disk")).await;
    let forget = ForgetPlatform {
        server: web1,
        name,
        task: never,
        requested_by: "test".to_owned(),
    };
    store.write(forget).await.expect("it was never built");
}

fn built(name: &PlatformName) -> Output {
    Output::PlatformBuild(platform_build::Output {
        path: format!("/srv/{name}"),
        version: None,
        files: 1,
        bytes: 1,
        packages: None,
    })
}

fn build(name: &PlatformName) -> Params {
    Params::PlatformBuild(platform_build::Params {
        platform: name.clone(),
        profile: "static".parse().expect("a profile"),
        source: "/srv/source".parse().expect("a path"),
        composer: false,
    })
}

/// Over sites and over servers, stopped, resumed and cancelled, one of them old enough to go.
async fn operations(store: &Store) -> TaskId {
    for number in 0..4 {
        a_site(store, "web1", &format!("op{number}.example.org")).await;
    }
    let label = |of| SetLabels {
        of,
        changes: vec!["plans=yes".parse().expect("a label")],
        requested_by: "test".to_owned(),
    };
    let one = host("op1.example.org");
    let platform: PlatformName = "labelled".parse().expect("a platform");
    let task = make(store, build(&platform)).await;
    end(store, task, success(&built(&platform))).await;
    for of in [
        Labelled::Site(one),
        Labelled::Platform(server("web1"), platform),
        Labelled::Server(server("web1")),
    ] {
        store.write(label(of)).await.expect("labelled");
    }
    let one = serde_json::json!({"platform": "labelled"});
    let verify = start_of("platform.verify", chosen(one));
    let of_platforms = started(store, verify).await;
    assert!(!store.write(RemoveHalf).await.expect("looked"));
    let stop = CancelOperation {
        operation: of_platforms,
        let_finish: true,
        target_is_gone: false,
        requested_by: "test".to_owned(),
    };
    store.write(stop).await.expect("no task was made");
    let pings = || start_of("ping", chosen(serde_json::json!({"labels": ["plans=yes"]})));
    let old = started(store, pings()).await;
    advance(store).await;
    let item = items(store, old, Some(ItemState::Made)).await.remove(0);
    let ended = item.task.expect("made");
    let pong = Output::Ping(ping::Output {
        worker_version: "1".to_owned(),
        at_micros: 0,
    });
    end_of(store, ended, success(&pong)).await;
    let sites = ["op0.example.org", "op1.example.org", "op2.example.org"];
    let mut start = start_of("site.disable", chosen(serde_json::json!({"sites": sites})));
    start.parallel = 1;
    let id = started(store, start).await;
    advance(store).await;
    let item = items(store, id, Some(ItemState::Made)).await.remove(0);
    let failed = item.task.expect("made");
    end_of(store, failed, because(Event::Failed, "no disk")).await;
    advance(store).await;
    let requested_by = || "test".to_owned();
    let pause = Pause {
        operation: id,
        requested_by: requested_by(),
    };
    store.write(pause).await.expect("it runs");
    let retry = Retry {
        task: failed,
        requested_by: requested_by(),
    };
    store.write(retry).await.expect("it failed");
    end_of(store, failed, because(Event::Failed, "no disk")).await;
    let resume = ResumeOperation {
        operation: id,
        retry_failed: true,
        requested_by: requested_by(),
    };
    store.write(resume).await.expect("it stops");
    let cancel = CancelOperation {
        operation: id,
        let_finish: false,
        target_is_gone: false,
        requested_by: requested_by(),
    };
    store.write(cancel).await.expect("it runs");
    let mut all = start_of("site.disable", chosen(serde_json::json!({"all": true})));
    all.dry_run = true;
    store.start(all).await.expect("only asked");
    store.operations(None, 100).await.expect("read");
    let text = id.to_string();
    for part in [&text[..18], &text[24..]] {
        store.find_operations(part).await.expect("read");
    }
    ended
}

async fn doubt(store: &Store) {
    let doubtful = make_many(store, a_ping(), 2).await;
    publish(store, take(store).await, &Fate::Confirmed).await;
    let runs: Vec<Run> = doubtful
        .iter()
        .map(|&id| Run::new(id, Attempt::FIRST))
        .collect();
    tell(store, numbered(runs[0], vec![event(Event::Accepted)])).await;
    store
        .write(CheckDue { most: 500 })
        .await
        .expect("looked at");
    let next = store.write(NextCheck).await.expect("looked");
    assert!(next.is_some(), "two are in doubt");
    let unknown = Unknown {
        server: server("web1"),
        runs: vec![asked(runs[0], State::Accepted), asked(runs[1], State::Sent)],
        queue_is_empty: true,
    };
    store.write(unknown).await.expect("noted");
    publish(store, take(store).await, &Fate::Confirmed).await;
}

async fn pruning(store: &Store, of_operation: TaskId) {
    let long = make(store, a_ping()).await;
    let mut bodies = vec![event(Event::Accepted)];
    bodies.extend((0..300).map(|_| a_whole_way()[3].clone()));
    bodies.push(event(Event::Succeeded));
    publish(store, take(store).await, &Fate::Confirmed).await;
    tell(store, numbered(run_of(store, long).await, bodies)).await;
    let (first, now) = (TaskId::earliest(UnixMillis(0)), UnixMillis::now());
    let ended_by = now.plus_millis(1000);
    let old = store.old_tasks(first, ended_by, 40).await.expect("read");
    let logs = store.old_logs(first, ended_by, 40).await.expect("read");
    for (what, tasks) in [
        (What::Logs, vec![long]),
        (What::Logs, logs.tasks),
        (What::Tasks, old),
        (What::Tasks, vec![of_operation]),
    ] {
        let piece = Prune {
            what,
            tasks,
            ended_by,
        };
        store.write(piece).await.expect("a piece");
    }
    // The items of the oldest operation, and then its servers and itself.
    for _ in 0..2 {
        assert!(store.write(PruneOperations).await.expect("a piece"));
    }
    let audit = PruneAudit {
        before: ended_by,
        most: 3,
    };
    assert_eq!(store.write(audit).await.expect("a piece"), 3);
}

async fn questions(store: &Store) {
    // One that pruning has left alone.
    let id = make(store, a_ping()).await;
    for server in [None, Some(server("web1"))] {
        for state in [
            None,
            Some(State::Queued),
            Some(State::Stuck),
            Some(State::Succeeded),
        ] {
            for object in [None, Some("site:plans.example.org".to_owned())] {
                for before in [None, Some(TaskId::generate())] {
                    let filter = Filter {
                        server: server.clone(),
                        state,
                        object: object.clone(),
                        before,
                        limit: 50,
                    };
                    store.tasks(&filter).await.expect("read");
                }
            }
        }
    }
    let text = id.to_string();
    for part in [&text, &text[..18], &text[24..]] {
        store.find_task(part).await.expect("read");
    }
    store.task_detail(id).await.expect("read");
    store.log(id, 0, 100).await.expect("read");
    store.entries(id, 0, 100).await.expect("read");
    let (web1, wp) = (server("web1"), "wp".parse().expect("a platform"));
    store.servers(None, 100).await.expect("read");
    store.server(&web1).await.expect("read");
    store.server_names().await.expect("read");
    store.blocked_servers().await.expect("read");
    store.totals().await.expect("read");
    store.seen().await.expect("read");
    store.open_by_state().await.expect("read");
    let place = (web1.clone(), "a".parse().expect("a platform"));
    store
        .platforms(None, Some(&place), 100)
        .await
        .expect("read");
    store.platforms(Some(&web1), None, 100).await.expect("read");
    store.platform(&web1, &wp).await.expect("read");
    let a = host("a.example.org");
    store.sites(None, Some(&a), 100).await.expect("read");
    store.sites(Some(&web1), None, 100).await.expect("read");
    store.site(&a).await.expect("read");
    store.held().await.expect("read");
    store.pruned().await.expect("read");
}
