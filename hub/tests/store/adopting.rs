//! Sites that come into the hub's list from their server, and that leave it and stay there.

use kolga_hub::store::adopting::HandOver;
use kolga_hub::store::create::Create;
use kolga_hub::store::locks::SetSiteLock;
use kolga_hub::store::published::Fate;
use kolga_hub::store::{Store, StoreError};
use kolga_hub::wire::{Condition, Drift, Site};
use kolga_protocol::id::TaskId;
use kolga_protocol::message::ReportBody;
use kolga_protocol::names::{HostName, SiteAlias};
use kolga_protocol::naming::{Https, Names};
use kolga_protocol::state::Event;
use kolga_protocol::task::{Output, Params, site_import, site_install};

use crate::database::{
    because, event, make, numbered, publish, run_of, server, success, take, tell,
};
use crate::ending::code;

fn host(name: &str) -> HostName {
    name.parse().expect("a host")
}

fn aliases(names: &[&str]) -> Vec<SiteAlias> {
    let names = names.iter().map(|name| name.parse().expect("a name"));
    names.collect()
}

fn import(name: &str, check: bool) -> Params {
    Params::SiteImport(site_import::Params {
        site: host(name),
        from: None,
        profile: None,
        platform: None,
        options: [].into(),
        disabled: false,
        check,
    })
}

/// What the server says of a site on the platform `adopted`.
fn found(name: &str, other: &[&str], checked: bool) -> ReportBody {
    success(&Output::SiteImport(site_import::Output {
        url: format!("http://{name}/"),
        path: format!("/srv/{name}"),
        profile: "wordpress".parse().expect("a profile"),
        platform: Some(Box::new(site_import::Platform {
            name: "adopted".parse().expect("a platform"),
            profile: "wordpress".parse().expect("a profile"),
            source: None,
            version: Some("6.1".to_owned()),
            path: "/srv/adopted".to_owned(),
        })),
        database: None,
        names: Names {
            aliases: aliases(other),
            ..Names::default()
        },
        options: [(
            "title".parse().expect("a name"),
            "A title".parse().expect("a value"),
        )]
        .into(),
        https: Https::On,
        enabled: false,
        checked,
        problems: vec!["its vhost is gone".to_owned()],
        source: None,
        plan: Vec::new(),
    }))
}

fn install(name: &str) -> Params {
    Params::SiteInstall(site_install::Params {
        site: host(name),
        aliases: Vec::new(),
        profile: "static".parse().expect("a profile"),
        platform: None,
        options: [].into(),
    })
}

async fn end(store: &Store, id: TaskId, last: ReportBody) {
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, id).await;
    let way = vec![event(Event::Accepted), event(Event::Started), last];
    tell(store, numbered(run, way)).await;
}

async fn site(store: &Store, name: &str) -> Option<Site> {
    store.site(&host(name)).await.expect("read")
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

async fn hand_over(store: &Store, name: &str) -> Result<(), StoreError> {
    let hand_over = HandOver {
        server: server("web1"),
        host: host(name),
        requested_by: "test".to_owned(),
    };
    store.write(hand_over).await
}

async fn lock(store: &Store, name: &str, locked: bool) {
    let lock = SetSiteLock {
        host: host(name),
        locked,
        reason: "an audit".to_owned(),
        requested_by: "test".to_owned(),
    };
    store.write(lock).await.expect("it is there");
}

/// Asks for each of its statements; leaves nothing but the platform `adopted`.
pub async fn every_way(store: &Store) {
    let name = "adopted.example.org";
    let id = make(store, import(name, false)).await;
    end(store, id, because(Event::Failed, "it is gone")).await;
    let id = make(store, import(name, false)).await;
    end(store, id, found(name, &["www.adopted.example.org"], false)).await;
    hand_over(store, name).await.expect("it is there");
}

pub async fn a_site_that_is_imported_is_what_its_server_says(store: &Store) {
    let name = "blog.example.org";
    let id = make(store, import(name, false)).await;
    let meanwhile = site(store, name).await.expect("its name is taken");
    assert_eq!(meanwhile.condition, Condition::Pending);
    assert_eq!(meanwhile.profile.as_str(), "unknown");
    assert_eq!(
        code(asked(store, install(name)).await),
        "site_exists",
        "nobody else gets the name meanwhile"
    );
    end(store, id, found(name, &["www.example.org"], false)).await;
    let now = site(store, name).await.expect("it is there");
    assert_eq!(now.condition, Condition::Ready);
    assert_eq!(now.profile.as_str(), "wordpress");
    assert_eq!(now.aliases, aliases(&["www.example.org"]));
    assert_eq!((now.https, now.enabled), (Https::On, false));
    assert_eq!(now.options.len(), 1);
    assert_eq!(now.url.as_deref(), Some("http://blog.example.org/"));
    let verified = now.verified.expect("it was looked at");
    assert_eq!(verified.problems, ["its vhost is gone"]);
    assert_eq!(verified.drift, []);
    let platform = "adopted".parse().expect("a name");
    let platform = store.platform(&server("web1"), &platform).await;
    let platform = platform.expect("read").expect("it came with its site");
    assert_eq!(platform.condition, Condition::Ready);
    assert_eq!(platform.source.as_str(), "/srv/adopted");
    assert_eq!(
        code(asked(store, import(name, false)).await),
        "site_exists",
        "what the hub knows is not imported"
    );
}

pub async fn an_import_that_comes_to_nothing_or_only_looks_leaves_nothing(store: &Store) {
    let name = "blog.example.org";
    let id = make(store, import(name, false)).await;
    end(store, id, because(Event::Failed, "its folder is gone")).await;
    assert!(site(store, name).await.is_none());
    let id = make(store, import(name, true)).await;
    assert!(site(store, name).await.is_none());
    end(store, id, found(name, &[], true)).await;
    assert!(site(store, name).await.is_none());
    asked(store, install(name)).await.expect("the name is free");
    assert_eq!(code(asked(store, import(name, true)).await), "site_exists");
}

pub async fn a_name_that_another_site_has_is_not_taken_from_it_and_told(store: &Store) {
    make(store, install("www.example.org")).await;
    let name = "blog.example.org";
    let id = make(store, import(name, false)).await;
    let names = ["b.example.org", "www.example.org"];
    end(store, id, found(name, &names, false)).await;
    let now = site(store, name).await.expect("it is there");
    assert_eq!(now.aliases, aliases(&["b.example.org"]));
    assert_eq!(
        now.verified.expect("looked at").drift,
        [Drift {
            what: "aliases".to_owned(),
            hub: "b.example.org".to_owned(),
            spoke: "b.example.org, www.example.org".to_owned(),
        }]
    );
}

pub async fn a_site_that_is_handed_over_is_free_to_be_imported_again(store: &Store) {
    let name = "blog.example.org";
    let id = make(store, import(name, false)).await;
    let busy = hand_over(store, name).await;
    assert_eq!(code(busy), "site_busy");
    end(store, id, found(name, &["www.example.org"], false)).await;
    lock(store, name, true).await;
    assert_eq!(code(hand_over(store, name).await), "site_locked");
    lock(store, name, false).await;
    hand_over(store, name).await.expect("nothing is in the way");
    assert!(site(store, name).await.is_none());
    asked(store, install("www.example.org"))
        .await
        .expect("its other name is free");
    make(store, import(name, false)).await;
}
