//! The live stream of a task.

use std::time::Duration;

use futures_util::StreamExt;
use kolga_hub::wire::Event;
use kolga_protocol::state::State;
use reqwest::{Method, Response};
use serde_json::json;

use crate::hub::TestHub;

/// Nothing here takes long; a stream that never ends is a failure, not a hang.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads the stream up to its end, or up to the first event that is `wanted`.
async fn read(response: Response, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
    let mut text = String::new();
    let mut events: Vec<Event> = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(bytes) = tokio::time::timeout(PATIENCE, stream.next())
        .await
        .expect("in time")
    {
        text.push_str(std::str::from_utf8(&bytes.expect("the stream goes on")).expect("text"));
        events = text
            .split("\n\n")
            .flat_map(|message| {
                message
                    .lines()
                    .filter_map(|line| line.strip_prefix("data: "))
            })
            .filter_map(|data| serde_json::from_str(data).ok())
            .collect();
        if events.iter().any(&wanted) {
            break;
        }
    }
    events
}

fn states(events: &[Event]) -> Vec<(State, bool)> {
    let state = |event: &Event| match event {
        Event::State(entry) => Some((entry.state, entry.finished)),
        _ => None,
    };
    events.iter().filter_map(state).collect()
}

#[tokio::test]
async fn a_live_stream_tells_what_happens_and_ends_with_the_task() {
    let hub = TestHub::start().await;
    hub.post("/v1/servers", json!({"name": "web1"})).await;
    let made = hub
        .post("/v1/tasks", json!({"server": "web1", "kind": "ping"}))
        .await;
    let id = made["tasks"][0].as_str().expect("an id").to_owned();
    let path = format!("/v1/tasks/{id}/events");
    let stream = hub
        .request(Method::GET, &path)
        .send()
        .await
        .expect("answered");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let cancel = format!("/v1/tasks/{id}/cancel");
    let (events, _) = tokio::join!(read(stream, |_| false), hub.post(&cancel, json!({})),);
    let told = states(&events);
    assert_eq!(told.last(), Some(&(State::Cancelled, true)));
    let early = &told[..told.len() - 1];
    assert!(
        early.iter().all(|state| *state == (State::Queued, false)),
        "{told:?}"
    );

    // Who comes late is told the same end, and who has heard it already is told nothing.
    let late = hub
        .request(Method::GET, &path)
        .send()
        .await
        .expect("answered");
    assert_eq!(
        states(&read(late, |_| false).await),
        [(State::Cancelled, true)]
    );
    let last = events.last().expect("there were some").seq().to_string();
    let after = hub
        .request(Method::GET, &path)
        .header("last-event-id", last);
    let after = after.send().await.expect("answered");
    assert!(read(after, |_| false).await.is_empty());
    hub.end().await;
}

#[tokio::test]
async fn a_live_stream_does_not_keep_the_hub_from_stopping() {
    let hub = TestHub::start().await;
    hub.post("/v1/servers", json!({"name": "web1"})).await;
    let made = hub
        .post("/v1/tasks", json!({"server": "web1", "kind": "ping"}))
        .await;
    let id = made["tasks"][0].as_str().expect("an id").to_owned();
    let path = format!("/v1/tasks/{id}/events");
    let stream = hub
        .request(Method::GET, &path)
        .send()
        .await
        .expect("answered");
    let stopped = async {
        tokio::time::timeout(PATIENCE, hub.end())
            .await
            .expect("in time")
    };
    let (events, ()) = tokio::join!(read(stream, |_| false), stopped);
    assert_eq!(states(&events), [(State::Queued, false)]);
}
