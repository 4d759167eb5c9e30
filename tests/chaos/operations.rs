//! Operations in the load, pings and probes of every server, some of them paused and resumed, some cancelled; and what
//! must hold of them at the end: an item has one task, a task is of one item, and the numbers are those of the items.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::api::{Answer, Api};
use crate::checks::{Check, Looked};
use crate::random::Random;

/// States in which nothing more happens by itself.
const AT_REST: [&str; 3] = ["finished", "paused", "cancelled"];

/// Starts one after the other, until it is told to stop.
pub async fn come_and_go(api: Api, mut random: Random, stop: CancellationToken) {
    let pause = async |from, to, random: &mut Random| {
        let pause = random.millis(from, to);
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    };
    while !stop.is_cancelled() {
        pause(1000, 4000, &mut random).await;
        let kind = match random.percent(20) {
            true => "server.verify",
            false => "ping",
        };
        let wish = json!({
            "kind": kind, "select": {"on": ["web*"]}, "parallel": 1 + random.below(3), "stop_after": random.below(2),
        });
        let Answer::Done(made) = api.post("/v1/operations", &wish).await else {
            continue;
        };
        let Some(id) = made["operation"]["id"].as_str() else {
            continue;
        };
        let path = |what| format!("/v1/operations/{id}/{what}");
        match random.below(4) {
            0 => {
                pause(0, 500, &mut random).await;
                drop(api.post(&path("pause"), &json!({})).await);
                pause(0, 1000, &mut random).await;
                drop(api.post(&path("resume"), &json!({})).await);
            }
            1 => {
                pause(0, 500, &mut random).await;
                let how = json!({"let_finish": random.percent(50)});
                drop(api.post(&path("cancel"), &how).await);
            }
            _ => {}
        }
    }
}

/// Those that go on.
pub async fn unfinished(api: &Api) -> Vec<Value> {
    let all = api.all("/v1/operations").await.into_iter();
    all.filter(|one| !AT_REST.contains(&one["state"].as_str().unwrap_or_default()))
        .collect()
}

/// Looks at all of them, beside all tasks by id.
pub async fn check(api: &Api, tasks: &BTreeMap<String, Value>, looked: &mut Looked) -> Check {
    let mut made: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (id, task) in tasks {
        if let Some(operation) = task["operation"].as_str() {
            made.entry(operation).or_default().insert(id);
        }
    }
    let mut against = Vec::new();
    for operation in api.all("/v1/operations").await {
        looked.operations += 1;
        let id = operation["id"].as_str().unwrap_or_default();
        let page = api.find(&format!("/v1/operations/{id}/items")).await;
        let page = page.unwrap_or_default();
        let items = page["items"].as_array().map_or(&[][..], Vec::as_slice);
        looked.items += items.len();
        let mine: Vec<&str> = items
            .iter()
            .filter_map(|item| item["task"].as_str())
            .collect();
        let once: BTreeSet<&str> = mine.iter().copied().collect();
        let of_it = made.remove(id).unwrap_or_default();
        // One that was paused has both servers look again, and what has come late goes by a task of its own.
        let right = match operation["kind"] == "site.move" {
            true => once.is_subset(&of_it),
            false => once == of_it,
        };
        if once.len() != mine.len() || !right {
            against.push(format!("{id}: tasks {of_it:?}, items have {mine:?}"));
        }
        for (state, count) in operation["counts"].as_object().into_iter().flatten() {
            let name = match state.as_str() {
                "open" => "made",
                other => other,
            };
            let number = items.iter().filter(|item| item["state"] == name).count();
            if state != "total" && *count != number {
                against.push(format!(
                    "{id}: {count} {state} by the numbers, {number} by the items"
                ));
            }
        }
        for item in items {
            let Some(task) = item["task"].as_str().and_then(|task| tasks.get(task)) else {
                continue;
            };
            if (item["state"] == "succeeded") != (task["state"] == "succeeded") {
                against.push(format!(
                    "{id}: an item is {}, its task {}",
                    item["state"], task["state"]
                ));
            }
        }
    }
    against.extend(
        made.keys()
            .map(|id| format!("{id}: has tasks, and is not there")),
    );
    Check {
        name: "operations whose tasks are not one for each item",
        against,
    }
}
