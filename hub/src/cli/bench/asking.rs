//! Asking for pings, and looking what became of them.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use kolga_protocol::id::TaskId;
use kolga_protocol::names::ServerName;
use kolga_protocol::state::State;
use kolga_protocol::task::Kind;
use serde_json::{Value, json};

use crate::cli::client::Client;
use crate::cli::trouble::Trouble;
use crate::wire::{NewTask, NewTasks, Page, Task};

/// Requests under way at once. The hub gathers what comes together into one commit.
pub(super) const AT_ONCE: usize = 16;

/// Asks a server for pings.
pub(super) async fn pings(
    client: &Client,
    server: &ServerName,
    count: u32,
) -> Result<Vec<TaskId>, Trouble> {
    tasks(client, server, Kind::Ping.as_str(), json!({}), count).await
}

/// Asks a server for tasks of any kind.
pub(super) async fn tasks(
    client: &Client,
    server: &ServerName,
    kind: &str,
    params: Value,
    count: u32,
) -> Result<Vec<TaskId>, Trouble> {
    let wish = NewTask {
        server: server.clone(),
        kind: kind.to_owned(),
        params,
        count: Some(count),
    };
    Ok(client.post::<_, NewTasks>("/v1/tasks", &wish).await?.tasks)
}

/// Asks each server for so many pings.
pub(super) async fn everybody(
    client: &Client,
    servers: &[ServerName],
    count: u32,
) -> Result<BTreeSet<TaskId>, Trouble> {
    let asked: Vec<Vec<TaskId>> = stream::iter(servers)
        .map(|server| pings(client, server, count))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(asked.into_iter().flatten().collect())
}

/// What became of tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    /// How many have finished.
    pub finished: u32,
    /// How many of those did what they should.
    pub succeeded: u32,
}

/// Looks for them in the list of tasks.
pub(super) async fn ends(client: &Client, asked: &BTreeSet<TaskId>) -> Result<Ends, Trouble> {
    let mut query = vec![("limit", "1000".to_owned())];
    let mut ends = Ends::default();
    // Newest first: from the end of the list to the first of ours.
    loop {
        let page: Page<Task> = client.get("/v1/tasks", &query).await?;
        for task in page.items.iter().filter(|task| asked.contains(&task.id)) {
            ends.finished += u32::from(task.finished);
            ends.succeeded += u32::from(task.state == State::Succeeded);
        }
        let oldest = page.items.last().map(|task| task.id);
        match page.next {
            Some(next) if oldest.as_ref() > asked.first() => {
                query.truncate(1);
                query.push(("before", next));
            }
            _ => return Ok(ends),
        }
    }
}
