//! Names of sites: no two sites have one in common, whatever tasks ask for them at once, and the hub's record follows
//! what the site's server says at the end.

use std::collections::BTreeSet;

use kolga_hub::store::create::Create;
use kolga_hub::store::published::Fate;
use kolga_hub::store::{Store, StoreError};
use kolga_protocol::id::TaskId;
use kolga_protocol::message::ReportBody;
use kolga_protocol::names::{HostName, SiteAlias};
use kolga_protocol::naming::Names;
use kolga_protocol::state::Event;
use kolga_protocol::task::{Output, Params, site_install, site_names};

use crate::database::{
    because, event, make, numbered, publish, run_of, server, success, take, tell,
};
use crate::ending::{code, retry};

fn host(name: &str) -> HostName {
    name.parse().expect("a host")
}

fn aliases(names: &[&str]) -> Vec<SiteAlias> {
    let names = names.iter().map(|name| name.parse().expect("a name"));
    names.collect()
}

fn install(name: &str, other: &[&str]) -> Params {
    Params::SiteInstall(site_install::Params {
        site: host(name),
        aliases: aliases(other),
        profile: "static".parse().expect("a profile"),
        platform: None,
        options: [].into(),
    })
}

async fn installed(store: &Store, name: &str, other: &[&str]) {
    let id = make(store, install(name, other)).await;
    let output = Output::SiteInstall(site_install::Output {
        url: format!("http://{name}/"),
        path: format!("/srv/{name}"),
        database: None,
        admin_user: None,
        secret_file: None,
    });
    end(store, id, success(&output)).await;
}

/// A change: names to serve, to lead to the main one, to go, and the main one.
pub fn change(
    name: &str,
    [serve, redirect, remove]: [&[&str]; 3],
    main: Option<&str>,
) -> site_names::Params {
    site_names::Params {
        site: host(name),
        serve: aliases(serve),
        redirect: aliases(redirect),
        remove: aliases(remove),
        main: main.map(host),
    }
}

async fn end(store: &Store, id: TaskId, last: ReportBody) {
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, id).await;
    let way = vec![event(Event::Accepted), event(Event::Started), last];
    tell(store, numbered(run, way)).await;
}

/// What the server says that came of it.
pub fn done(names: &Names, params: &site_names::Params) -> Output {
    let names = names.after(params).expect("right");
    Output::SiteNames(site_names::Output {
        url: format!("http://{}/", names.main(&params.site)),
        names,
        changed: true,
    })
}

async fn names(store: &Store, name: &str) -> Names {
    let site = store.site(&host(name)).await.expect("read").expect("there");
    Names {
        main: site.main,
        aliases: site.aliases,
        redirects: site.redirects,
    }
}

async fn asked(store: &Store, params: Params) -> Result<(), StoreError> {
    let create = Create {
        server: server("web1"),
        params,
        count: 1,
        requested_by: "test".to_owned(),
    };
    store.write(create).await.map(drop)
}

async fn is_taken(store: &Store, name: &str) -> bool {
    match asked(store, install(name, &[])).await {
        Ok(()) => false,
        Err(StoreError::Refused(refusal)) => {
            assert_eq!(refusal.code, "site_exists", "{name}");
            true
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

pub async fn names_follow_what_the_server_says_and_those_given_up_are_free(store: &Store) {
    installed(store, "example.org", &["b.org"]).await;
    let change = change(
        "example.org",
        [&["c.org"], &["d.org"], &["b.org"]],
        Some("www.example.org"),
    );
    let before = names(store, "example.org").await;
    let id = make(store, Params::SiteNames(change.clone())).await;
    assert_eq!(names(store, "example.org").await, before, "not yet");
    for name in ["b.org", "c.org", "d.org", "www.example.org"] {
        assert!(is_taken(store, name).await, "{name}, old or new");
    }
    end(store, id, success(&done(&before, &change))).await;
    let site = store.site(&host("example.org")).await.expect("read");
    assert_eq!(
        site.and_then(|site| site.url).as_deref(),
        Some("http://www.example.org/")
    );
    let now = names(store, "example.org").await;
    assert_eq!(now.main, Some(host("www.example.org")));
    assert_eq!(now.aliases, aliases(&["c.org"]));
    assert_eq!(now.redirects, aliases(&["d.org"]));
    for name in ["c.org", "d.org", "www.example.org", "example.org"] {
        assert!(is_taken(store, name).await, "{name}");
    }
    assert!(!is_taken(store, "b.org").await, "it was given up");
}

pub async fn a_change_that_comes_to_nothing_gives_back_what_it_took(store: &Store) {
    installed(store, "example.org", &["b.org"]).await;
    let change = change("example.org", [&["c.org"], &[], &["b.org"]], None);
    let id = make(store, Params::SiteNames(change.clone())).await;
    end(store, id, because(Event::Failed, "nginx is away")).await;
    assert_eq!(
        names(store, "example.org").await.aliases,
        aliases(&["b.org"])
    );
    assert!(is_taken(store, "b.org").await, "it has it still");
    retry(store, id).await.expect("nobody has it");
    assert!(is_taken(store, "c.org").await, "it wants it again");
    end(store, id, because(Event::Cancelled, "not wanted")).await;
    assert!(!is_taken(store, "c.org").await, "it was given back");
    assert_eq!(code(retry(store, id).await), "site_exists");
}

pub async fn a_name_is_taken_once_however_it_is_asked_for(store: &Store) {
    installed(store, "a.org", &["*.wild.org"]).await;
    installed(store, "b.org", &["x.deep.sub.org"]).await;
    for (name, why) in [
        ("a.org", "another's own"),
        ("*.wild.org", "another's wildcard"),
        ("www.wild.org", "held by a wildcard"),
        ("a.b.wild.org", "held by it further down"),
        ("*.b.wild.org", "a wildcard below a wildcard"),
    ] {
        let change = change("b.org", [&[name], &[], &[]], None);
        let refused = asked(store, Params::SiteNames(change)).await;
        assert_eq!(code(refused), "site_exists", "{name} is {why}");
        let refused = asked(store, install("new.test", &[name])).await;
        assert_eq!(code(refused), "site_exists", "{name} is {why}");
    }
    for name in ["*.deep.sub.org", "*.sub.org"] {
        let change = change("a.org", [&[], &[name], &[]], None);
        let refused = asked(store, Params::SiteNames(change)).await;
        assert_eq!(code(refused), "site_exists", "{name} would hold another's");
    }
    // A site's own wildcard may hold its own names, and what is next to a wildcard is free.
    let change = change("b.org", [&["*.sub.org"], &["wild.org"], &[]], None);
    asked(store, Params::SiteNames(change))
        .await
        .expect("nobody has any of it");
}

pub async fn names_are_changed_by_one_task_at_a_time_and_sensibly(store: &Store) {
    installed(store, "example.org", &[]).await;
    let wrong = change("example.org", [&[], &[], &["b.org"]], None);
    let refused = asked(store, Params::SiteNames(wrong)).await;
    assert_eq!(code(refused), "bad_names");
    let first = change("example.org", [&["b.org"], &[], &[]], None);
    let id = make(store, Params::SiteNames(first.clone())).await;
    let second = change("example.org", [&["c.org"], &[], &[]], None);
    let refused = asked(store, Params::SiteNames(second.clone())).await;
    assert_eq!(code(refused), "names_busy");
    end(store, id, success(&done(&Names::default(), &first))).await;
    make(store, Params::SiteNames(second)).await;
    let there: BTreeSet<SiteAlias> = names(store, "example.org").await.all(&host("example.org"));
    assert!(there.contains(&aliases(&["b.org"])[0]));
}
