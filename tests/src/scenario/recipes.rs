//! The recipe that is broken everywhere: the shipped one that puts a page into a site, in two steps that can be undone
//! and a final one; and the one that takes it away again. `deploy/stack` offers both on every spoke.

use serde_json::{Value, json};

/// What is told the one; hostile, as far as it takes such things.
pub(super) fn notice() -> Value {
    json!({"recipe": "notice-on", "params": {"text": "Back at 5; $(id) `id` --help {{ run }}"}})
}

/// What is told the other.
pub(super) fn no_notice() -> Value {
    json!({"recipe": "notice-off", "params": {}})
}
