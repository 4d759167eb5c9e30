//! What the hub notes of a site beside what was asked for: locks, and what it was found to be.

use kolga_hub::store::create::Create;
use kolga_hub::store::locks::SetSiteLock;
use kolga_hub::store::published::Fate;
use kolga_hub::store::{Store, StoreError};
use kolga_hub::wire::Drift;
use kolga_protocol::id::TaskId;
use kolga_protocol::message::ReportBody;
use kolga_protocol::names::HostName;
use kolga_protocol::naming::{Https, Names};
use kolga_protocol::state::Event;
use kolga_protocol::task::{
    Output, Params, site_delete, site_disable, site_install, site_login, site_run, site_verify,
};

use crate::database::{
    because, event, make, numbered, publish, run_of, server, success, take, tell,
};

fn host() -> HostName {
    "www.example.org".parse().expect("a host")
}

async fn end(store: &Store, id: TaskId, last: ReportBody) {
    publish(store, take(store).await, &Fate::Confirmed).await;
    let run = run_of(store, id).await;
    let way = vec![event(Event::Accepted), event(Event::Started), last];
    tell(store, numbered(run, way)).await;
}

async fn installed(store: &Store) {
    let params = Params::SiteInstall(site_install::Params {
        site: host(),
        aliases: vec!["b.example.org".parse().expect("an alias")],
        profile: "static".parse().expect("a profile"),
        platform: None,
        options: [].into(),
    });
    let id = make(store, params).await;
    let output = Output::SiteInstall(site_install::Output {
        url: "http://www.example.org/".to_owned(),
        path: "/srv/www.example.org".to_owned(),
        database: None,
        admin_user: None,
        secret_file: None,
    });
    end(store, id, success(&output)).await;
}

fn verify() -> Params {
    Params::SiteVerify(site_verify::Params { site: host() })
}

fn found(enabled: bool, alias: &str) -> Output {
    Output::SiteVerify(site_verify::Output {
        url: "http://www.example.org/".to_owned(),
        changes: vec![site_verify::Change {
            what: "vhost".to_owned(),
            from: None,
            to: Some("the site".to_owned()),
        }],
        problems: vec!["docroot is no folder".to_owned()],
        entry: site_verify::Entry {
            profile: "static".parse().expect("a profile"),
            platform: None,
            database: Some("k_www".parse().expect("a database")),
            names: Names {
                aliases: vec![alias.parse().expect("an alias")],
                ..Names::default()
            },
            https: Https::Off,
            enabled,
        },
    })
}

pub async fn what_a_site_was_found_to_be_is_kept_with_where_the_records_differ(store: &Store) {
    installed(store).await;
    let id = make(store, verify()).await;
    end(store, id, success(&found(false, "c.example.org"))).await;
    let site = store.site(&host()).await.expect("read").expect("there");
    let verified = site.verified.expect("it was");
    let drift = |what: &str, hub: &str, spoke: &str| Drift {
        what: what.to_owned(),
        hub: hub.to_owned(),
        spoke: spoke.to_owned(),
    };
    assert_eq!(
        verified.drift,
        [
            drift("aliases", "b.example.org", "c.example.org"),
            drift("enabled", "true", "false"),
        ]
    );
    assert_eq!((verified.task, verified.changes), (id, 1));
    assert_eq!(verified.problems, ["docroot is no folder"]);
    assert!(site.enabled, "the hub's record stays as it was");
    assert_eq!(site.aliases[0].as_str(), "b.example.org");

    let failed = make(store, verify()).await;
    end(store, failed, because(Event::Failed, "nginx is away")).await;
    let site = store.site(&host()).await.expect("read").expect("there");
    assert_eq!(
        site.verified.map(|found| found.task),
        Some(id),
        "it found nothing"
    );
    let again = make(store, verify()).await;
    end(store, again, success(&found(true, "b.example.org"))).await;
    let site = store.site(&host()).await.expect("read").expect("there");
    assert_eq!(site.verified.expect("it was").drift, []);
}

pub async fn a_locked_site_is_changed_by_no_task_and_verified_all_the_same(store: &Store) {
    installed(store).await;
    let lock = |locked| SetSiteLock {
        host: host(),
        locked,
        reason: "an audit".to_owned(),
        requested_by: "ada".to_owned(),
    };
    store.write(lock(true)).await.expect("locked");
    let changes = [
        Params::SiteDelete(site_delete::Params {
            site: host(),
            no_backup: true,
        }),
        Params::SiteDisable(site_disable::Params { site: host() }),
        Params::SiteRun(site_run::Params {
            site: host(),
            command: Some("cache_clear".parse().expect("a name")),
        }),
        Params::SiteLogin(site_login::Params {
            site: host(),
            seal: "0a".repeat(32).try_into().expect("a key"),
        }),
    ];
    for params in changes.clone() {
        let kind = params.kind();
        let create = Create {
            server: server("web1"),
            params,
            count: 1,
            requested_by: "test".to_owned(),
        };
        match store.write(create).await {
            Err(StoreError::Refused(refusal)) => {
                assert_eq!(refusal.code, "site_locked", "{kind}");
                assert!(refusal.message.contains("by ada: an audit"), "{refusal}");
            }
            other => panic!("{kind}: {other:?}"),
        }
    }
    make(store, verify()).await;
    let list = Params::SiteRun(site_run::Params {
        site: host(),
        command: None,
    });
    make(store, list).await;
    store.write(lock(false)).await.expect("unlocked");
    for params in changes.into_iter().skip(1) {
        make(store, params).await;
    }
}
