//! `/v1/tasks/{id}/events`: a task's entries as they come, over server-sent events. The stream reads the
//! store and is only woken by commits, so it can neither miss nor repeat one; it ends when the task is
//! finished.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use kolga_protocol::id::{TaskId, UnixMillis};
use kolga_protocol::state::State as TaskState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Api;
use super::error::ApiError;
use crate::app::App;
use crate::store::StoreError;
use crate::wire;

/// Entries read at once.
const PIECE: u32 = 500;
/// How often a quiet stream shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(super) async fn stream(
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let task = api.app.find(&id).await?;
    let after = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let tail = Tail {
        woken: api.app.store.signals().watch(task),
        app: api.app,
        stop: api.stop,
        task,
        after,
        read: VecDeque::new(),
        told: None,
    };
    let events = unfold(tail, |mut tail| async move {
        match tail.next().await {
            Ok(Some(event)) => Some((Ok(event), tail)),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, task = %tail.task, "a live stream ended early");
                None
            }
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Tail {
    app: Arc<App>,
    woken: watch::Receiver<u64>,
    stop: CancellationToken,
    task: TaskId,
    after: i64,
    read: VecDeque<Event>,
    /// The state told last that has no entry of its own.
    told: Option<TaskState>,
}

impl Tail {
    async fn next(&mut self) -> Result<Option<Event>, StoreError> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Ok(Some(event));
            }
            self.woken.borrow_and_update();
            // First the task, then its entries: what ends the one is then among the other.
            let Some(task) = self.app.store.task(self.task).await? else {
                return Ok(None);
            };
            let entries = self.app.store.entries(self.task, self.after, PIECE).await?;
            for entry in entries {
                self.after = entry.seq;
                self.read.push_back(
                    Event::default()
                        .event(entry.sort)
                        .id(entry.seq.to_string())
                        .data(entry.event),
                );
            }
            if !self.read.is_empty() {
                continue;
            }
            if task.finished {
                return Ok(None);
            }
            if let Some(event) = self.before_the_worker(&task) {
                return Ok(Some(event));
            }
            tokio::select! {
                changed = self.woken.changed() => if changed.is_err() { return Ok(None) },
                () = self.stop.cancelled() => return Ok(None),
            }
        }
    }

    /// Queued and sent are not stored as entries, since nearly every task is past them before anybody
    /// looks.
    fn before_the_worker(&mut self, task: &wire::Task) -> Option<Event> {
        let early = matches!(task.state, TaskState::Queued | TaskState::Sent);
        if !early || self.told == Some(task.state) {
            return None;
        }
        self.told = Some(task.state);
        let event = wire::Event::State(wire::StateEntry {
            seq: self.after,
            attempt: task.attempt,
            at: UnixMillis::now(),
            state: task.state,
            finished: false,
            retry_at: None,
            failure: None,
        });
        let data = serde_json::to_string(&event).ok()?;
        Some(
            Event::default()
                .event(event.name())
                .id(self.after.to_string())
                .data(data),
        )
    }
}
