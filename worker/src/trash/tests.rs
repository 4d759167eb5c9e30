//! The trash on a scratch folder: what is kept, what goes by age, what is never touched.

use std::sync::Arc;

use kolga_protocol::id::Attempt;

use super::*;
use crate::layout;
use crate::steps::testing::site_context;
use crate::testing::Scratch;

fn item(host: &str, at: i64) -> Item {
    let entry = serde_json::json!({
        "host": host, "owner": "the installing run", "profile": "static",
        "path": format!("/srv/{host}"), "installed_at": 1,
    });
    Item {
        run: Run::new(TaskId::generate(), Attempt::FIRST),
        why: "site.delete".to_owned(),
        at: UnixMillis(at),
        entry: serde_json::from_value(entry).expect("an entry"),
        folder: true,
        bytes: 0,
    }
}

#[tokio::test]
async fn what_is_old_enough_is_destroyed_and_nothing_else() {
    let scratch = Scratch::new();
    let cx = site_context(&scratch);
    let trash = cx.spoke.trash.clone();
    let (old, young, begun) = (item("a.test", 0), item("b.test", DAY), item("c.test", DAY));
    let folders = layout::trash(&cx.spoke.config).expect("made");
    for item in [&old, &young, &begun] {
        trash.keep(item).expect("kept");
        folders
            .make_owned_dir(item.run.to_string(), 0o700, &item.entry.owner)
            .expect("a folder");
    }
    assert!(trash.take(begun.run, true).expect("taken").is_some());
    let now = UnixMillis(14 * DAY + 1);
    sweep::once(&Arc::clone(&cx.spoke), now).await;
    assert_eq!(trash.list().expect("read"), std::slice::from_ref(&young));
    let left = folders.names().expect("read");
    assert_eq!(left, [young.run.to_string().as_str()]);
    assert!(trash.begun().expect("read").is_empty());
}

#[test]
fn an_item_is_had_by_one_at_a_time() {
    let scratch = Scratch::new();
    let trash = Trash::new(scratch.path());
    let item = item("a.test", 1);
    trash.keep(&item).expect("kept");
    assert_eq!(
        trash.take(item.run, false).expect("taken"),
        Some(item.clone())
    );
    assert_eq!(
        trash.take(item.run, true).expect("looked"),
        None,
        "it is being brought back"
    );
    assert!(trash.find(item.run.task).is_err());
    trash.give_back(item.run).expect("given back");
    trash.give_back(item.run).expect("twice");
    assert_eq!(trash.find(item.run.task).expect("listed").run, item.run);
}

#[tokio::test]
async fn a_folder_of_the_trash_that_nobody_noted_is_left_alone() {
    let scratch = Scratch::new();
    let cx = site_context(&scratch);
    let folders = layout::trash(&cx.spoke.config).expect("made");
    folders.make_dir("somebodys", 0o700).expect("a folder");
    sweep::once(&Arc::clone(&cx.spoke), UnixMillis(i64::MAX)).await;
    assert_eq!(folders.names().expect("read"), ["somebodys"]);
}
