//! A recipe of several steps is broken at each of them.

use std::path::Path;

use kolga_tests::scenario::SERVER;
use kolga_tests::worker::{Worker, command};
use serde_json::json;

use super::scene::*;

/// Moves a folder aside, makes another of its name, puts a file there, and in the end destroys the old one.
const RENEW: &str = r#"
[[steps]]
name = "aside"
do = ["/usr/bin/mv", "-T", "--", "WORK/data", "WORK/old-{{ run }}"]
check = ["/usr/bin/test", "-e", "WORK/old-{{ run }}"]
undo = ["/usr/bin/find", "WORK", "-maxdepth", "1", "-name", "old-{{ run }}", "-exec", "/usr/bin/mv", "-n", "-T", "--", "{}", "WORK/data", ";"]
[[steps]]
name = "fresh"
do = ["/usr/bin/mkdir", "--", "WORK/data"]
undo = ["/usr/bin/find", "WORK", "-maxdepth", "1", "-name", "data", "-type", "d", "-empty", "-delete"]
[[steps]]
name = "fill"
do = ["/usr/bin/dd", "of=WORK/data/{{ run }}", "conv=excl", "status=none"]
stdin = "new"
undo = ["/usr/bin/rm", "-f", "--", "WORK/data/{{ run }}"]
[[steps]]
name = "destroy"
do = ["/usr/bin/rm", "-rf", "--", "WORK/old-{{ run }}"]
final = true
"#;

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn failing_or_killed_at_each_step_and_again_while_it_is_undone_a_recipe_leaves_nothing() {
    let mut scene = Scene::new(&[("renew", RENEW)]).await;
    scene.old_data();
    let before = scene.world().await;
    let (mut failed, mut killed) = (0, 0);
    for step in ["aside", "fresh", "fill"] {
        for place in ["do", "did"] {
            let order = format!("fail@recipe_{place}:{step},twice@undo");
            scene.hand.give(&order);
            let shown = scene.run("renew", json!({})).await;
            assert_eq!(shown["state"], "failed", "{order}: {shown:#}");
            failed += scene.hand.failed();
            scene.nothing_differs(&order, &before).await;
        }
    }
    // Before a step is done, after it, and then again after that was undone.
    for (first, second) in [
        ("kill@intended:run_recipe_step#2", None),
        ("kill@recipe_did:aside", Some("kill@recipe_undid:aside")),
        ("kill@recipe_did:fresh", Some("kill@recipe_undid:fresh")),
        ("kill@recipe_did:fill", Some("kill@recipe_undid:fill")),
        ("kill@recipe_did:fill", Some("kill@recipe_undid:aside")),
    ] {
        scene.hand.give(first);
        let task = scene.ask("renew", json!({})).await;
        scene.dies(first).await;
        killed += 1;
        if let Some(second) = second {
            scene.hand.give(second);
            scene.worker = Worker::spawn(&scene.stack, SERVER, &scene.hand.orders());
            scene.dies(second).await;
            killed += 1;
        }
        scene.hand.calm();
        scene.start().await;
        let shown = scene.hub.ended(&task).await;
        assert_eq!(
            shown["state"], "interrupted",
            "{first} {second:?}: {shown:#}"
        );
        let what = format!("{first} {second:?}");
        scene.nothing_differs(&what, &before).await;
    }
    // An undo that fails: stuck, and nothing else of it happens until somebody says so.
    scene
        .hand
        .give("fail@recipe_did:fill,fail@recipe_undo:fresh");
    let task = scene.ask("renew", json!({})).await;
    let shown = scene.hub.reaches(&task, "stuck").await;
    let left = &shown["failure"]["left_behind"][0];
    assert_eq!(left, "whatever step fresh of recipe renew did", "{shown:#}");
    assert!(scene.hand.failed() > 1, "never fired");
    scene.hand.calm();
    let told = command(&scene.stack, SERVER, &["journal", "retry-undo", &task]);
    assert!(told.status.success(), "{told:?}");
    assert_eq!(scene.hub.ended(&task).await["state"], "failed");
    scene.nothing_differs("a failing undo", &before).await;
    // Past the point of no return it only goes forward.
    let order = "kill@recipe_did:destroy";
    scene.hand.give(order);
    let task = scene.ask("renew", json!({})).await;
    scene.dies(order).await;
    killed += 1;
    scene.hand.calm();
    scene.start().await;
    let shown = scene.hub.succeeds(&task).await;
    assert_eq!(shown["output"]["steps"][2]["outcome"], "done", "{shown:#}");
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&scene.work), ["data"], "the old one is destroyed");
    assert_eq!(
        names(&scene.work.join("data")).len(),
        1,
        "the new one is there"
    );
    println!("steps failed {failed} times, the worker was killed {killed} times");
    assert!(failed >= 6, "{failed}");
    scene.end().await;
}
