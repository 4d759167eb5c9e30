//! Sites that come to another platform or get another name: what the hub's list says meanwhile and then.

use kolga_hub::store::create::Create;
use kolga_hub::store::platforms::LockPlatform;
use kolga_hub::store::published::Fate;
use kolga_hub::store::{Store, StoreError};
use kolga_hub::wire::{Condition, Site};
use kolga_protocol::id::TaskId;
use kolga_protocol::message::ReportBody;
use kolga_protocol::names::HostName;
use kolga_protocol::state::Event;
use kolga_protocol::task::{Output, Params, platform_build, site_install, site_migrate};

use crate::database::{
    because, event, make, numbered, publish, run_of, server, success, take, tell,
};

pub fn host(name: &str) -> HostName {
    name.parse().expect("a host")
}

pub async fn end(store: &Store, id: TaskId, last: ReportBody) {
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, id).await;
    let way = vec![event(Event::Accepted), event(Event::Started), last];
    tell(store, numbered(run, way)).await;
}

pub async fn built(store: &Store, name: &str, profile: &str) {
    let params = Params::PlatformBuild(platform_build::Params {
        platform: name.parse().expect("a name"),
        profile: profile.parse().expect("a profile"),
        source: "/usr/share/code".parse().expect("a path"),
        composer: false,
    });
    let output = Output::PlatformBuild(platform_build::Output {
        path: format!("/srv/{name}"),
        version: None,
        files: 1,
        bytes: 1,
        packages: None,
    });
    end(store, make(store, params).await, success(&output)).await;
}

pub fn install(name: &str, platform: &str) -> Params {
    Params::SiteInstall(site_install::Params {
        site: host(name),
        aliases: vec![format!("www.{name}").parse().expect("an alias")],
        profile: "wordpress".parse().expect("a profile"),
        platform: Some(platform.parse().expect("a name")),
        options: std::collections::BTreeMap::new(),
    })
}

pub async fn installed(store: &Store, name: &str, platform: &str) {
    let output = Output::SiteInstall(site_install::Output {
        url: format!("http://{name}/"),
        path: format!("/srv/{name}"),
        database: None,
        admin_user: None,
        secret_file: None,
    });
    end(
        store,
        make(store, install(name, platform)).await,
        success(&output),
    )
    .await;
}

fn migrate(name: &str, platform: Option<&str>, to: Option<&str>) -> Params {
    Params::SiteMigrate(site_migrate::Params {
        site: host(name),
        platform: platform.map(|name| name.parse().expect("a name")),
        host: to.map(host),
        keep_name: true,
    })
}

fn moved(name: &str) -> ReportBody {
    success(&Output::SiteMigrate(site_migrate::Output {
        url: format!("http://{name}/"),
        path: format!("/srv/{name}"),
        platform: None,
        version: None,
        database: None,
        database_bytes: None,
        milliseconds: 1,
    }))
}

pub async fn site(store: &Store, name: &str) -> Option<Site> {
    store.site(&host(name)).await.expect("read")
}

/// Why it is refused.
pub async fn refused(store: &Store, params: Params) -> &'static str {
    let create = Create {
        server: server("web1"),
        params,
        count: 1,
        requested_by: "test".to_owned(),
    };
    match store.write(create).await {
        Err(StoreError::Refused(refusal)) => refusal.code,
        other => panic!("not refused: {other:?}"),
    }
}

/// Asks for each of its statements; leaves a site `moved.example.org`.
pub async fn every_way(store: &Store) {
    built(store, "one", "wordpress").await;
    built(store, "two", "wordpress").await;
    installed(store, "moves.example.org", "one").await;
    let first = migrate("moves.example.org", Some("two"), Some("moved.example.org"));
    end(
        store,
        make(store, first.clone()).await,
        because(Event::Failed, "no disk"),
    )
    .await;
    end(store, make(store, first).await, moved("moved.example.org")).await;
}

pub async fn a_site_that_moves_has_both_names_until_it_has_ended(store: &Store) {
    built(store, "one", "wordpress").await;
    built(store, "two", "wordpress").await;
    installed(store, "a.org", "one").await;
    // One that could not be installed is in nobody's way.
    let failed = make(store, install("b.org", "one")).await;
    end(store, failed, because(Event::Failed, "no disk")).await;
    let id = make(store, migrate("a.org", Some("two"), Some("b.org"))).await;
    let meanwhile = site(store, "a.org").await.expect("there");
    assert_eq!(meanwhile.condition, Condition::Pending);
    assert_eq!(meanwhile.platform.as_ref().map(AsRef::as_ref), Some("one"));
    for name in ["a.org", "b.org"] {
        assert_eq!(refused(store, install(name, "one")).await, "site_exists");
    }
    assert_eq!(
        refused(store, migrate("a.org", Some("two"), None)).await,
        "site_busy"
    );
    end(store, id, moved("b.org")).await;

    assert_eq!(site(store, "a.org").await, None);
    let now = site(store, "b.org").await.expect("there");
    assert_eq!(now.condition, Condition::Ready);
    assert_eq!(now.platform.as_ref().map(AsRef::as_ref), Some("two"));
    assert_eq!(now.url.as_deref(), Some("http://b.org/"));
    assert_eq!(now.profile.as_str(), "wordpress");
    // The old name was to stay, so it is still nobody else's.
    for name in ["a.org", "b.org"] {
        assert_eq!(refused(store, install(name, "one")).await, "site_exists");
    }
    // Back to the name that is its own already.
    let back = make(store, migrate("b.org", None, Some("a.org"))).await;
    end(store, back, moved("a.org")).await;
    let now = site(store, "a.org").await.expect("there");
    let aliases: Vec<String> = now.aliases.iter().map(ToString::to_string).collect();
    assert!(!aliases.contains(&"a.org".to_owned()), "{aliases:?}");
    assert_eq!(now.platform.as_ref().map(AsRef::as_ref), Some("two"));
}

pub async fn a_move_that_comes_to_nothing_gives_the_new_name_up_and_nothing_else(store: &Store) {
    built(store, "one", "wordpress").await;
    built(store, "two", "wordpress").await;
    installed(store, "a.org", "one").await;
    let before = site(store, "a.org").await.expect("there");
    let id = make(store, migrate("a.org", Some("two"), Some("b.org"))).await;
    end(store, id, because(Event::Failed, "no disk")).await;
    let after = site(store, "a.org").await.expect("there");
    let task = before.task;
    assert_eq!(Site { task, ..after }, before);
    installed(store, "b.org", "one").await;
    // A name of its own stays its own.
    let id = make(store, migrate("a.org", None, Some("www.a.org"))).await;
    end(store, id, because(Event::Failed, "no disk")).await;
    assert_eq!(
        refused(store, install("www.a.org", "one")).await,
        "site_exists"
    );
}

pub async fn what_no_site_can_move_to_is_refused(store: &Store) {
    built(store, "one", "wordpress").await;
    built(store, "two", "wordpress").await;
    built(store, "wiki", "mediawiki").await;
    installed(store, "a.org", "one").await;
    installed(store, "b.org", "one").await;
    let lock = LockPlatform {
        server: server("web1"),
        name: "two".parse().expect("a name"),
        locked: true,
        reason: "old".to_owned(),
        requested_by: "test".to_owned(),
    };
    store.write(lock).await.expect("locked");
    for (platform, to, code) in [
        (None, None, "nothing_to_do"),
        (Some("one"), None, "nothing_to_do"),
        (Some("one"), Some("a.org"), "nothing_to_do"),
        (Some("nowhere"), None, "platform_unknown"),
        (Some("two"), None, "platform_locked"),
        (Some("wiki"), None, "other_profile"),
        (None, Some("b.org"), "site_exists"),
        (None, Some("www.b.org"), "site_exists"),
    ] {
        let told = refused(store, migrate("a.org", platform, to)).await;
        assert_eq!(told, code, "{platform:?} {to:?}");
    }
    assert_eq!(
        refused(store, migrate("c.org", Some("one"), None)).await,
        "site_unknown"
    );
    let site = site(store, "a.org").await.expect("there");
    assert_eq!(site.condition, Condition::Ready, "nothing was touched");
}
