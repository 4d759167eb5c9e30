//! What recipes start.

use serde_json::json;

use super::scene::*;

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_floods_forks_or_never_ends_is_bounded_and_nothing_of_it_stays() {
    let sh = |script: &str, more: &str| {
        format!(
            "[[steps]]\nname = \"a\"\ndo = [\"/bin/sh\", \"-c\", \"{script}\"]\nnothing_to_undo = true\n{more}\n"
        )
    };
    let fork = "for i in 1 2 3 4 5 6 7 8 9; do setsid sleep 300 & done";
    let scene = Scene::new(&[
        ("flood", &sh("yes 0123456789012345678901234567890123456789 | head -c 20000000", "")),
        ("fork", &sh(fork, "")),
        ("endless", &sh(&format!("{fork}; sleep 300"), "timeout_seconds = 2")),
        ("slow", &sh("mkdir WORK/lock && sleep 0.3 && rmdir WORK/lock", "")),
        // Each of two waits until the other is there too.
        ("meet", &format!("parallel = true\n{}", sh("touch WORK/$$; for i in $(seq 300); do [ $(ls WORK | wc -l) -lt 2 ] || exit 0; sleep 0.1; done; exit 1", ""))),
    ])
    .await;
    let before = scene.world().await;
    let task = scene.ask("flood", json!({})).await;
    scene.hub.succeeds(&task).await;
    let mut bytes = 0;
    let mut after = String::new();
    loop {
        let page = scene
            .hub
            .get(&format!("/v1/tasks/{task}/log?limit=1000{after}"))
            .await;
        let items = page["items"].as_array().expect("a list").clone();
        bytes += items
            .iter()
            .map(|item| item["text"].as_str().map_or(0, str::len))
            .sum::<usize>();
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    println!("of a flood of 20000000 bytes the log keeps {bytes}");
    assert!((100_000..4 * 1024 * 1024).contains(&bytes), "{bytes}");
    let shown = scene.run("fork", json!({})).await;
    assert_eq!(shown["state"], "succeeded", "{shown:#}");
    scene.nothing_differs("forks", &before).await;
    let shown = scene.run("endless", json!({})).await;
    assert!(
        said(&shown).contains("took longer than the 2 s"),
        "{shown:#}"
    );
    scene.nothing_differs("endless", &before).await;
    // Alone unless it says otherwise: two at once would not get the lock both.
    for (recipe, what) in [("slow", "one by one"), ("meet", "side by side")] {
        let tasks = [
            scene.ask(recipe, json!({})).await,
            scene.ask(recipe, json!({})).await,
        ];
        for task in tasks {
            let shown = scene.hub.ended(&task).await;
            assert_eq!(shown["state"], "succeeded", "{what}: {shown:#}");
        }
    }
    // Cancelled in the middle.
    let task = scene.ask("endless", json!({})).await;
    scene.hub.reaches(&task, "running").await;
    scene
        .hub
        .post(&format!("/v1/tasks/{task}/cancel"), &json!({}))
        .await;
    let shown = scene.hub.ended(&task).await;
    assert!(
        ["cancelled", "failed"].contains(&shown["state"].as_str().expect("a state")),
        "{shown:#}"
    );
    scene.end().await;
}
