//! What operations are over besides sites and servers, and what is refused for all that is chosen, at once.

use kolga_hub::store::labels::{Labelled, SetLabels};
use kolga_hub::store::operations::locking::LockPlatforms;
use kolga_hub::store::operations::preparing::RemoveHalf;
use kolga_hub::store::operations::start::{Start, Work};
use kolga_hub::store::platforms::LockPlatform;
use kolga_hub::store::servers::AddServer;
use kolga_hub::store::{Refusal, Store, StoreError};
use kolga_hub::wire::{ItemState, OperationState};
use kolga_protocol::names::PlatformName;
use kolga_protocol::task::{Output, Params, platform_delete};
use serde_json::json;

use crate::database::{make, server, success};
use crate::moving::{built, end};
use crate::operations::{a_site, advance, chosen, items, shown, start_of, started};

fn platform(name: &str) -> PlatformName {
    name.parse().expect("a platform")
}

/// Sites are to come to a platform.
fn migrate(to: &str, select: serde_json::Value) -> Start {
    let params = [("platform".to_owned(), json!(to))].into_iter().collect();
    Start {
        work: Work::new("site.migrate", params, None).expect("a kind for operations"),
        ..start_of("site.verify", chosen(select))
    }
}

async fn refused(store: &Store, start: Start) -> Refusal {
    match store.start(start).await {
        Err(StoreError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

pub async fn a_target_that_none_of_the_chosen_can_have_is_refused_at_once(store: &Store) {
    for (on, host) in [("web1", "a.test"), ("web2", "b.test"), ("web2", "c.test")] {
        a_site(store, on, host).await;
    }
    for (name, profile) in [("two", "static"), ("wiki", "mediawiki"), ("old", "static")] {
        built(store, name, profile).await;
    }
    let lock = LockPlatform {
        server: server("web1"),
        name: platform("old"),
        locked: true,
        reason: "use two".to_owned(),
        requested_by: "anna".to_owned(),
    };
    store.write(lock).await.expect("it is there");
    let everywhere = || json!({"all": true});
    for (to, select, code, says) in [
        ("typo", everywhere(), "platform_unknown", "web1, web2"),
        (
            "typo",
            json!({"sites": ["a.test"]}),
            "platform_unknown",
            "server web1 has no platform",
        ),
        (
            "two",
            json!({"on": ["web2"]}),
            "platform_unknown",
            "server web2 has no platform",
        ),
        (
            "wiki",
            everywhere(),
            "other_profile",
            "profile mediawiki, and a.test is one of static",
        ),
        ("old", everywhere(), "platform_locked", "use two"),
    ] {
        for dry_run in [true, false] {
            let start = Start {
                dry_run,
                ..migrate(to, select.clone())
            };
            let refusal = refused(store, start).await;
            assert_eq!(refusal.code, code, "{refusal}");
            assert!(refusal.to_string().contains(says), "{refusal}");
        }
    }
    assert_eq!(store.operations(None, 100).await.expect("read"), []);

    // Where some can have it, the others are skipped, each with its reason.
    let id = started(store, migrate("two", everywhere())).await;
    advance(store).await;
    let counts = shown(store, id).await.counts;
    assert_eq!((counts.open, counts.skipped), (1, 2));
    let skipped = items(store, id, Some(ItemState::Skipped)).await;
    let reason = skipped[0].reason.as_deref().unwrap_or_default();
    assert!(
        reason.contains("server web2 has no platform two"),
        "{reason}"
    );
}

pub async fn an_operation_over_platforms_makes_a_task_for_each_that_is_there_still(store: &Store) {
    for (name, profile) in [("one", "static"), ("two", "static"), ("wiki", "mediawiki")] {
        built(store, name, profile).await;
    }
    let set = SetLabels {
        of: Labelled::Platform(server("web1"), platform("two")),
        changes: vec!["state=old".parse().expect("a label")],
        requested_by: "test".to_owned(),
    };
    store.write(set.clone()).await.expect("it is there");
    let found = store.platform(&server("web1"), &platform("two")).await;
    let found = found.expect("read").expect("there");
    assert_eq!(found.labels["state"], "old");
    let nowhere = SetLabels {
        of: Labelled::Platform(server("web2"), platform("two")),
        ..set
    };
    let nowhere = store
        .write(nowhere)
        .await
        .map_err(|error| error.to_string());
    assert!(nowhere.is_err_and(|error| error.contains("web2 has no platform two")));

    for (select, wanted) in [
        (json!({"all": true}), &["one", "two", "wiki"][..]),
        (
            json!({"on": ["web*"], "profile": "static"}),
            &["one", "two"],
        ),
        (json!({"platform": "wiki"}), &["wiki"]),
        (json!({"labels": ["state=old"]}), &["two"]),
        (json!({"labels": ["!state"], "all": true}), &["one", "wiki"]),
    ] {
        let start = Start {
            dry_run: true,
            ..start_of("platform.verify", chosen(select.clone()))
        };
        let targets = store.start(start).await.expect("chosen").targets;
        let names = targets.iter().filter_map(|target| target.platform.as_ref());
        let names: Vec<&str> = names.map(|name| name.as_str()).collect();
        assert_eq!(names, wanted, "{select}");
    }
    for (select, code) in [
        (json!({"platform": "typo"}), "nothing_selected"),
        (json!({"sites": ["a.test"]}), "bad_selector"),
    ] {
        let refusal = refused(store, start_of("platform.verify", chosen(select))).await;
        assert_eq!(refusal.code, code, "{refusal}");
    }
    let named = [("platform".to_owned(), json!("one"))]
        .into_iter()
        .collect();
    let named = Work::new("platform.verify", named, None).expect_err("it names them itself");
    assert!(named.message.contains("for one platform"), "{named}");

    let id = started(
        store,
        start_of("platform.delete", chosen(json!({"all": true}))),
    )
    .await;
    // What goes meanwhile is told.
    let gone = Params::PlatformDelete(platform_delete::Params {
        platform: platform("one"),
    });
    let deleted = success(&Output::PlatformDelete(platform_delete::Output {
        path: "/srv".to_owned(),
    }));
    end(store, make(store, gone).await, deleted.clone()).await;
    advance(store).await;
    let counts = shown(store, id).await.counts;
    assert_eq!((counts.total, counts.open, counts.skipped), (3, 2, 1));
    let skipped = items(store, id, Some(ItemState::Skipped)).await;
    assert_eq!(skipped[0].platform, Some(platform("one")));
    for item in items(store, id, Some(ItemState::Made)).await {
        end(store, item.task.expect("made"), deleted.clone()).await;
    }
    let over = shown(store, id).await;
    assert_eq!(over.state, OperationState::Finished);
    assert_eq!(over.counts.succeeded, 2);
}

pub async fn platforms_that_are_chosen_are_locked_and_unlocked_and_no_others(store: &Store) {
    for (name, profile) in [("one", "static"), ("two", "static"), ("wiki", "mediawiki")] {
        built(store, name, profile).await;
    }
    let change = |select: serde_json::Value, locked: bool, dry_run: bool| LockPlatforms {
        select: chosen(select),
        locked,
        reason: "use three".to_owned(),
        dry_run,
        requested_by: "anna".to_owned(),
    };
    let locked = async || {
        let all = store.platforms(None, None, 100).await.expect("read");
        let locked = all.into_iter().filter_map(|platform| {
            let lock = platform.locked?;
            assert_eq!((&*lock.by, &*lock.reason), ("anna", "use three"));
            Some(platform.name.to_string())
        });
        locked.collect::<Vec<_>>()
    };
    let meant = |targets: Vec<kolga_hub::wire::Target>| {
        let names = targets.into_iter().filter_map(|target| target.platform);
        names.map(|name| name.to_string()).collect::<Vec<_>>()
    };
    let of_static = || json!({"profile": "static", "on": ["web*"]});
    let told = store.write(change(of_static(), true, true)).await;
    assert_eq!(meant(told.expect("chosen")), ["one", "two"]);
    assert_eq!(locked().await, [""; 0], "it only told");
    let done = store.write(change(of_static(), true, false)).await;
    assert_eq!(meant(done.expect("locked")), ["one", "two"]);
    assert_eq!(locked().await, ["one", "two"]);
    let done = store.write(change(json!({"platform": "one"}), false, false));
    assert_eq!(meant(done.await.expect("unlocked")), ["one"]);
    assert_eq!(locked().await, ["two"]);
    for (select, code) in [
        (json!({"platform": "typo"}), "nothing_selected"),
        (json!({"on": ["web9"]}), "server_unknown"),
        (json!({}), "bad_selector"),
    ] {
        match store.write(change(select, true, false)).await {
            Err(StoreError::Refused(refusal)) => assert_eq!(refusal.code, code, "{refusal}"),
            other => panic!("not refused: {other:?}"),
        }
    }
    assert_eq!(locked().await, ["two"]);
}

/// Over so many servers that it is written in several pieces, in the middle of which the hub dies.
pub async fn an_operation_is_whole_or_not_there(store: &Store) {
    let added = (0..3000).map(|number| {
        store.write(AddServer {
            name: server(&format!("n{number}")),
            requested_by: "test".to_owned(),
        })
    });
    for added in futures_util::future::join_all(added).await {
        added.expect("added");
    }
    let start = || start_of("ping", chosen(json!({"on": ["n*"]})));
    let rows = || store.counters().read().rows;
    let before = rows();
    {
        let starting = store.start(start());
        tokio::pin!(starting);
        while rows() == before {
            tokio::select! {
                biased;
                _ = &mut starting => panic!("it was whole at once"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    assert_eq!(store.operations(None, 100).await.expect("read"), []);
    advance(store).await;
    let mut pieces = 0;
    while store.write(RemoveHalf).await.expect("removed") {
        pieces += 1;
    }
    assert!(pieces > 1, "{pieces} pieces");
    let id = started(store, start()).await;
    assert!(!store.write(RemoveHalf).await.expect("looked"));
    advance(store).await;
    let counts = shown(store, id).await.counts;
    assert_eq!((counts.total, counts.open, counts.waiting), (3000, 4, 2996));
}
