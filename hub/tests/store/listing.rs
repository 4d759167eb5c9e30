//! Questions to the store.

use kolga_hub::store::Store;
use kolga_hub::store::create::Create;
use kolga_hub::store::published::Fate;
use kolga_hub::store::read::{Filter, Found};
use kolga_protocol::id::TaskId;
use kolga_protocol::message::{LOG_TEXT_BYTES, Level, LogLines, ReportBody};
use kolga_protocol::names::ServerName;
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::{Params, platform_build, server_verify, site_install};

use crate::database::{
    a_ping, because, event, make, make_many, numbered, publish, run_of, server, take, tell,
};

pub async fn pages_of_tasks_meet_without_gap_or_overlap(store: &Store) {
    let mut made = make_many(store, a_ping(), 25).await;
    made.reverse();
    let mut seen = Vec::new();
    let mut filter = Filter {
        limit: 10,
        ..Filter::default()
    };
    loop {
        let page = store.tasks(&filter).await.expect("read");
        seen.extend(page.iter().map(|task| task.id));
        if page.len() < 10 {
            break;
        }
        filter.before = seen.last().copied();
    }
    assert_eq!(seen, made);
}

pub async fn tasks_are_found_by_server_state_and_object(store: &Store) {
    let pings = make_many(store, a_ping(), 3).await;
    let verify = make(
        store,
        Params::ServerVerify(server_verify::Params::default()),
    )
    .await;
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, pings[1]).await;
    tell(store, numbered(run, vec![event(Event::Accepted)])).await;
    let ids = async |filter: Filter| -> Vec<_> {
        let filter = Filter {
            limit: 10,
            ..filter
        };
        let tasks = store.tasks(&filter).await.expect("read");
        tasks.into_iter().map(|task| task.id).collect()
    };
    let accepted = Filter {
        state: Some(State::Accepted),
        server: Some(server("web1")),
        ..Filter::default()
    };
    assert_eq!(ids(accepted).await, [pings[1]]);
    let of_server = Filter {
        object: Some("server".to_owned()),
        ..Filter::default()
    };
    assert_eq!(ids(of_server).await, [verify]);
    let elsewhere = Filter {
        server: Some(server("web2")),
        ..Filter::default()
    };
    assert!(ids(elsewhere).await.is_empty());
    let servers = store.servers(None, 10).await.expect("read");
    assert_eq!(servers[0].open_tasks, 4);
    assert_eq!(servers[1].open_tasks, 0);
}

pub async fn a_task_is_found_by_either_end_of_its_id(store: &Store) {
    let ids = make_many(store, a_ping(), 2).await;
    let text = ids[0].to_string();
    let found = async |part: &str| store.find_task(part).await.expect("read");
    assert_eq!(found(&text).await, Found::One(ids[0]));
    assert_eq!(found(&text.to_uppercase()).await, Found::One(ids[0]));
    assert_eq!(found(&text[24..]).await, Found::One(ids[0]));
    assert_eq!(found(&text[..4]).await, Found::Several);
    for nothing in ["", "%", "zz", "' OR 1=1"] {
        assert_eq!(found(nothing).await, Found::None, "{nothing}");
    }
}

pub async fn a_log_is_read_by_pages(store: &Store) {
    let id = make(store, a_ping()).await;
    let run = run_of(store, id).await;
    let mut bodies = vec![event(Event::Accepted)];
    bodies.extend((0..250).map(|number| {
        ReportBody::Log(LogLines {
            level: Level::Output,
            step: None,
            text: format!("line {number}"),
        })
    }));
    tell(store, numbered(run, bodies)).await;
    let lines = pages(store, id, 100).await.concat();
    let expected: Vec<String> = (0..250).map(|number| format!("line {number}")).collect();
    assert_eq!(lines, expected);
}

pub async fn a_page_of_a_log_is_bounded_in_bytes_too(store: &Store) {
    let id = make(store, a_ping()).await;
    let run = run_of(store, id).await;
    let mut bodies = vec![event(Event::Accepted)];
    bodies.extend((0..100).map(|_| {
        ReportBody::Log(LogLines {
            level: Level::Output,
            step: None,
            text: "x".repeat(LOG_TEXT_BYTES),
        })
    }));
    tell(store, numbered(run, bodies)).await;
    let pages = pages(store, id, 1000).await;
    assert_eq!(pages.concat().len(), 100);
    assert_eq!(pages.len(), 4, "of about 1 MiB each");
    let entries = store.entries(id, 0, 1000).await.expect("read");
    assert!(entries.len() < 40, "{}", entries.len());
}

/// The texts of a whole log, by page.
async fn pages(store: &Store, id: TaskId, limit: u32) -> Vec<Vec<String>> {
    let mut after = 0;
    let mut pages = Vec::new();
    loop {
        let (page, more) = store.log(id, after, limit).await.expect("read");
        after = page.last().map_or(after, |entry| entry.seq);
        pages.push(page.into_iter().map(|entry| entry.text).collect());
        if !more {
            return pages;
        }
    }
}

/// One task in each state, as reports bring it there.
pub async fn one_in_each_state(store: &Store) -> Vec<(State, TaskId)> {
    use Event::*;
    let ways: [(State, &[Event]); 10] = [
        (State::Sent, &[]),
        (State::Accepted, &[Accepted]),
        (State::Running, &[Accepted, Started]),
        (State::RollingBack, &[Accepted, Started, RollingBack]),
        (State::Stuck, &[Accepted, Started, RollingBack, Stuck]),
        (State::Succeeded, &[Accepted, Started, Succeeded]),
        (State::Failed, &[Accepted, Started, Failed]),
        (State::Cancelled, &[Accepted, Cancelled]),
        (State::Interrupted, &[Accepted, Started, Interrupted]),
        (State::Rejected, &[Rejected]),
    ];
    let mut made = Vec::new();
    for (state, events) in ways {
        let id = make(store, a_ping()).await;
        publish(store, take(store).await, &Fate::Confirmed).await;
        let run = run_of(store, id).await;
        let bodies = events.iter().map(|&one| because(one, "as a test wants"));
        tell(store, numbered(run, bodies.collect())).await;
        made.push((state, id));
    }
    made.push((State::Queued, make(store, a_ping()).await));
    made
}

pub async fn tasks_are_found_in_every_state(store: &Store) {
    let made = one_in_each_state(store).await;
    assert_eq!(made.len(), State::ALL.len());
    for server in [None, Some(server("web1"))] {
        for &(state, id) in &made {
            let filter = Filter {
                state: Some(state),
                server: server.clone(),
                limit: 10,
                ..Filter::default()
            };
            let found = store.tasks(&filter).await.expect("read");
            let found: Vec<_> = found.iter().map(|task| (task.state, task.id)).collect();
            assert_eq!(found, [(state, id)]);
        }
    }
}

pub async fn pages_of_sites_meet_without_gap_or_overlap(store: &Store) {
    let mut expected = Vec::new();
    for number in 0..25 {
        let name = format!("site{number:02}.example.org");
        let create = Create {
            server: server(if number % 5 == 0 { "web2" } else { "web1" }),
            params: install(&name),
            count: 1,
            requested_by: "test".to_owned(),
        };
        store.write(create).await.expect("its name is free");
        expected.push(name);
    }
    let hosts = async |only: Option<ServerName>| {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = store.sites(only.as_ref(), after.as_ref(), 10);
            let page = page.await.expect("read");
            seen.extend(page.iter().map(|site| site.host.to_string()));
            if page.len() < 10 {
                return seen;
            }
            after = page.last().map(|site| site.host.clone());
        }
    };
    assert_eq!(hosts(None).await, expected);
    let of_web2: Vec<_> = expected.iter().step_by(5).cloned().collect();
    assert_eq!(hosts(Some(server("web2"))).await, of_web2);
}

fn install(name: &str) -> Params {
    Params::SiteInstall(site_install::Params {
        site: name.parse().expect("a host name"),
        aliases: Vec::new(),
        profile: "static".parse().expect("a profile"),
        platform: None,
        options: std::collections::BTreeMap::new(),
    })
}

pub async fn pages_of_platforms_and_servers_meet_without_gap_or_overlap(store: &Store) {
    let mut expected = Vec::new();
    for on in ["web1", "web2"] {
        for number in 0..7 {
            let name = format!("p{number}");
            let params = Params::PlatformBuild(platform_build::Params {
                platform: name.parse().expect("a platform"),
                profile: "static".parse().expect("a profile"),
                source: "/srv/source".parse().expect("a path"),
                composer: false,
            });
            let create = Create {
                server: server(on),
                params,
                count: 1,
                requested_by: "test".to_owned(),
            };
            store.write(create).await.expect("its name is free");
            expected.push(format!("{on}/{name}"));
        }
    }
    let places = async |only: Option<ServerName>| {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = store.platforms(only.as_ref(), after.as_ref(), 5);
            let page = page.await.expect("read");
            seen.extend(page.iter().map(|it| format!("{}/{}", it.server, it.name)));
            if page.len() < 5 {
                return seen;
            }
            after = page.last().map(|it| (it.server.clone(), it.name.clone()));
        }
    };
    assert_eq!(places(None).await, expected);
    assert_eq!(places(Some(server("web2"))).await, expected[7..]);

    let names = async |after: Option<ServerName>| -> Vec<String> {
        let page = store.servers(after.as_ref(), 1).await.expect("read");
        page.iter().map(|server| server.name.to_string()).collect()
    };
    assert_eq!(names(None).await, ["web1"]);
    assert_eq!(names(Some(server("web1"))).await, ["web2"]);
    assert!(names(Some(server("web2"))).await.is_empty());
}
