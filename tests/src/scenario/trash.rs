//! What lies in a spoke's trash, for the scenarios that bring it back or destroy it.

use serde_json::{Value, json};

use crate::hub::Request;
use crate::scenario::SERVER;
use crate::stack::Stack;

/// The one item that is there, as the worker notes it.
fn item(stack: &Stack) -> Value {
    let folder = stack.spoke(SERVER, "state_dir").join("trash");
    let mut items: Vec<Value> = std::fs::read_dir(folder)
        .expect("there is a trash")
        .map(|entry| entry.expect("read").path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| std::fs::read(path).expect("an item"))
        .map(|bytes| serde_json::from_slice(&bytes).expect("JSON"))
        .collect();
    assert_eq!(items.len(), 1, "{items:#?}");
    items.remove(0)
}

fn task(kind: &str, params: Value) -> Request {
    let body = json!({"server": SERVER, "kind": kind, "params": params});
    Request::post("/v1/tasks", body)
}

/// Asks for the item to be brought back.
///
/// # Panics
/// When not exactly one is there.
#[must_use]
pub fn restore(stack: &Stack) -> Request {
    let item = item(stack);
    let entry = &item["entry"];
    let site = json!({
        "site": entry["host"], "profile": entry["profile"], "platform": entry["platform"],
        "aliases": entry["aliases"], "options": entry["options"],
    });
    task(
        "trash.restore",
        json!({"item": item["run"]["task"], "site": site}),
    )
}

/// Asks for the item to be destroyed.
///
/// # Panics
/// When not exactly one is there.
#[must_use]
pub fn empty(stack: &Stack) -> Request {
    task("trash.empty", json!({"item": item(stack)["run"]["task"]}))
}
