//! Copies of sites: what the hub's list says of them, and of the sites that they are made of, meanwhile and then.

use kolga_hub::store::Store;
use kolga_hub::store::locks::SetSiteLock;
use kolga_hub::wire::{Condition, Site};
use kolga_protocol::message::ReportBody;
use kolga_protocol::state::Event;
use kolga_protocol::task::{Output, Params, site_clone};

use crate::database::{because, make, success};
use crate::moving::{built, end, host, install, installed, refused, site};

fn clone(name: &str, to: &str, platform: Option<&str>) -> Params {
    Params::SiteClone(site_clone::Params {
        site: host(name),
        to: host(to),
        platform: platform.map(|name| name.parse().expect("a name")),
    })
}

fn cloned(name: &str, platform: &str) -> ReportBody {
    success(&Output::SiteClone(site_clone::Output {
        url: format!("http://{name}/"),
        path: format!("/srv/{name}"),
        platform: Some(platform.parse().expect("a name")),
        version: None,
        files: 1,
        bytes: 1,
        database: None,
        database_bytes: None,
        admin_user: None,
        secret_file: None,
        milliseconds: 1,
    }))
}

/// Asks for each of its statements; leaves a site `copy.example.org` and the one that it was made of.
pub async fn every_way(store: &Store) {
    built(store, "cloning", "wordpress").await;
    installed(store, "original.example.org", "cloning").await;
    let wanted = clone("original.example.org", "copy.example.org", None);
    let failed = make(store, wanted.clone()).await;
    end(store, failed, because(Event::Failed, "no disk")).await;
    let made = make(store, wanted).await;
    end(store, made, cloned("copy.example.org", "cloning")).await;
}

pub async fn a_copy_has_a_row_of_its_own_and_the_site_stays_as_it_is(store: &Store) {
    built(store, "one", "wordpress").await;
    built(store, "two", "wordpress").await;
    installed(store, "a.org", "one").await;
    let before = site(store, "a.org").await.expect("there");
    // One that could not be installed is in nobody's way.
    let failed = make(store, install("b.org", "one")).await;
    end(store, failed, because(Event::Failed, "no disk")).await;
    let id = make(store, clone("a.org", "b.org", Some("two"))).await;
    let meanwhile = site(store, "b.org").await.expect("there");
    assert_eq!(meanwhile.condition, Condition::Pending);
    assert_eq!(meanwhile.task, Some(id));
    assert_eq!(site(store, "a.org").await.as_ref(), Some(&before));
    assert_eq!(refused(store, install("b.org", "one")).await, "site_exists");
    let other = clone("b.org", "c.org", None);
    assert_eq!(refused(store, other).await, "site_busy");
    end(store, id, cloned("b.org", "two")).await;

    assert_eq!(site(store, "a.org").await.as_ref(), Some(&before));
    let copy = site(store, "b.org").await.expect("there");
    let wanted = Site {
        host: host("b.org"),
        condition: Condition::Ready,
        platform: Some("two".parse().expect("a name")),
        url: Some("http://b.org/".to_owned()),
        aliases: Vec::new(),
        task: Some(id),
        created_at: copy.created_at,
        ..before
    };
    assert_eq!(copy, wanted, "none of its other names");
    // Two at once of one site, and each has an end of its own.
    let ids = [
        make(store, clone("a.org", "c.org", None)).await,
        make(store, clone("a.org", "d.org", None)).await,
    ];
    end(store, ids[0], cloned("c.org", "one")).await;
    end(store, ids[1], because(Event::Failed, "no disk")).await;
    let condition = |site: Option<Site>| site.map(|site| site.condition);
    assert_eq!(
        condition(site(store, "c.org").await),
        Some(Condition::Ready)
    );
    assert_eq!(
        condition(site(store, "d.org").await),
        Some(Condition::Failed)
    );
    installed(store, "d.org", "one").await;
}

pub async fn a_locked_site_is_copied_and_what_cannot_be_is_refused(store: &Store) {
    built(store, "one", "wordpress").await;
    built(store, "wiki", "mediawiki").await;
    installed(store, "a.org", "one").await;
    installed(store, "b.org", "one").await;
    for (from, to, platform, code) in [
        ("c.org", "d.org", None, "site_unknown"),
        ("a.org", "a.org", None, "site_exists"),
        ("a.org", "b.org", None, "site_exists"),
        ("a.org", "www.b.org", None, "site_exists"),
        ("a.org", "c.org", Some("nowhere"), "platform_unknown"),
        ("a.org", "c.org", Some("wiki"), "other_profile"),
    ] {
        let told = refused(store, clone(from, to, platform)).await;
        assert_eq!(told, code, "{from} {to} {platform:?}");
    }
    let lock = SetSiteLock {
        host: host("a.org"),
        locked: true,
        reason: "an audit".to_owned(),
        requested_by: "test".to_owned(),
    };
    store.write(lock).await.expect("locked");
    let id = make(store, clone("a.org", "c.org", None)).await;
    end(store, id, cloned("c.org", "one")).await;
    let copy = site(store, "c.org").await.expect("there");
    assert_eq!((copy.condition, copy.locked), (Condition::Ready, None));
}
