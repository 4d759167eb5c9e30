//! Platforms in the hub's list: kept while sites use them, locked against new ones.

use kolga_hub::store::create::Create;
use kolga_hub::store::platforms::LockPlatform;
use kolga_hub::store::{Store, StoreError};
use kolga_hub::wire::{Condition, Platform};
use kolga_protocol::id::TaskId;
use kolga_protocol::message::ReportBody;
use kolga_protocol::names::PlatformName;
use kolga_protocol::state::Event;
use kolga_protocol::task::{
    Output, Params, platform_build, platform_delete, site_delete, site_install,
};

use kolga_hub::store::published::Fate;

use crate::database::{
    because, event, make, numbered, publish, run_of, server, success, take, tell,
};

fn wp() -> PlatformName {
    "wp".parse().expect("a name")
}

async fn end(store: &Store, id: TaskId, last: ReportBody) {
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, id).await;
    let way = vec![event(Event::Accepted), event(Event::Started), last];
    tell(store, numbered(run, way)).await;
}

async fn built(store: &Store) {
    let id = make(
        store,
        Params::PlatformBuild(platform_build::Params {
            platform: wp(),
            profile: "wordpress".parse().expect("a profile"),
            source: "/usr/share/wordpress".parse().expect("a path"),
            composer: false,
        }),
    )
    .await;
    let output = Output::PlatformBuild(platform_build::Output {
        path: "/srv/platforms/wp".to_owned(),
        version: Some("6.1".to_owned()),
        files: 1,
        bytes: 1,
        packages: None,
    });
    end(store, id, success(&output)).await;
}

fn a_site() -> Params {
    Params::SiteInstall(site_install::Params {
        site: "blog.example.org".parse().expect("a host"),
        aliases: Vec::new(),
        profile: "wordpress".parse().expect("a profile"),
        platform: Some(wp()),
        options: std::collections::BTreeMap::new(),
    })
}

fn delete() -> Params {
    Params::PlatformDelete(platform_delete::Params { platform: wp() })
}

async fn platform(store: &Store) -> Option<Platform> {
    let platform = store.platform(&server("web1"), &wp()).await;
    platform.expect("read")
}

/// Why it is refused, as people read it.
async fn refused(store: &Store, params: Params) -> (&'static str, String) {
    let create = Create {
        server: server("web1"),
        params,
        count: 1,
        requested_by: "test".to_owned(),
    };
    match store.write(create).await {
        Err(StoreError::Refused(refusal)) => (refusal.code, refusal.message),
        other => panic!("not refused: {other:?}"),
    }
}

pub async fn a_platform_stays_while_a_site_uses_it_and_is_gone_when_deleted(store: &Store) {
    built(store).await;
    let install = make(store, a_site()).await;
    let (code, why) = refused(store, delete()).await;
    assert_eq!(code, "platform_in_use");
    assert!(why.ends_with(": blog.example.org"), "{why}");
    // What failed uses nothing.
    end(store, install, because(Event::Failed, "no disk")).await;

    let first = make(store, delete()).await;
    let condition = platform(store).await.map(|platform| platform.condition);
    assert_eq!(condition, Some(Condition::Removing));
    assert_eq!(refused(store, delete()).await.0, "platform_busy");
    assert_eq!(refused(store, a_site()).await.0, "platform_unknown");
    end(store, first, because(Event::Failed, "a link leads there")).await;
    let condition = platform(store).await.map(|platform| platform.condition);
    assert_eq!(condition, Some(Condition::Ready));

    let second = make(store, delete()).await;
    let path = "/srv/platforms/wp".to_owned();
    let output = Output::PlatformDelete(platform_delete::Output { path });
    end(store, second, success(&output)).await;
    assert_eq!(platform(store).await, None);
    assert_eq!(refused(store, delete()).await.0, "platform_unknown");
    built(store).await;
}

pub async fn a_locked_platform_takes_no_new_sites_and_keeps_those_it_has(store: &Store) {
    built(store).await;
    let first = make(store, a_site()).await;
    let lock = LockPlatform {
        server: server("web1"),
        name: wp(),
        locked: true,
        reason: "use the new one".to_owned(),
        requested_by: "anna".to_owned(),
    };
    store.write(lock.clone()).await.expect("it is there");
    let locked = platform(store).await.and_then(|platform| platform.locked);
    let locked = locked.expect("it is locked");
    assert_eq!(locked.to_string(), "locked by anna: use the new one");
    end(store, first, because(Event::Failed, "no disk")).await;

    let (code, why) = refused(store, a_site()).await;
    assert_eq!(code, "platform_locked");
    assert!(why.ends_with("locked by anna: use the new one"), "{why}");
    let unlock = LockPlatform {
        locked: false,
        ..lock.clone()
    };
    store.write(unlock).await.expect("it is there");
    assert_eq!(
        platform(store).await.and_then(|platform| platform.locked),
        None
    );
    let second = make(store, a_site()).await;
    let output = Output::SiteInstall(site_install::Output {
        url: "http://blog.example.org/".to_owned(),
        path: "/srv/sites/blog.example.org".to_owned(),
        database: None,
        admin_user: None,
        secret_file: None,
    });
    end(store, second, success(&output)).await;
    // A lock is in the way of nothing else.
    store.write(lock.clone()).await.expect("it is there");
    let site = "blog.example.org".parse().expect("a host");
    make(
        store,
        Params::SiteDelete(site_delete::Params {
            site,
            no_backup: true,
        }),
    )
    .await;

    let nobody = LockPlatform {
        name: "other".parse().expect("a name"),
        ..lock
    };
    let unknown = store.write(nobody).await.expect_err("there is none");
    assert!(
        unknown.to_string().contains("no platform other"),
        "{unknown}"
    );
}
