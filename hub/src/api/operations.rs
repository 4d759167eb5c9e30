//! `/v1/operations`: started, listed, shown with their items, steered, and followed over server-sent events. The
//! stream tells the operation as it stands whenever a commit has changed it, the last of several at once; it ends
//! when nothing more happens by itself.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::stream::unfold;
use serde::Deserialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Api;
use super::error::ApiError;
use super::extract::{Asked, Body, Who, bounded, name};
use crate::app::App;
use crate::store::StoreError;
use crate::wire::{self, ItemState, OperationId};

/// Operations in one page unless asked otherwise, and at most.
const OPERATIONS: (u32, u32) = (50, 1000);
/// Items in one page unless asked otherwise, and at most.
const ITEMS: (u32, u32) = (1000, 1000);
/// How often a quiet stream shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Between two events of one stream: a fast operation would otherwise tell each of its tasks.
const PACE: Duration = Duration::from_millis(50);

pub(super) async fn start(
    State(api): State<Api>,
    Who(who): Who,
    Body(new): Body<wire::NewOperation>,
) -> Result<Response, ApiError> {
    let started = api.app.start_operation(new, &who).await?;
    let Some(id) = started.id else {
        let targets = started.targets;
        return Ok(Json(wire::Targets { targets }).into_response());
    };
    let operation = api.app.operation(id).await?;
    let answer = Json(wire::OperationAnswer { operation });
    Ok((StatusCode::CREATED, answer).into_response())
}

pub(super) async fn move_site(
    State(api): State<Api>,
    Path(host): Path<String>,
    Who(who): Who,
    Body(new): Body<wire::NewMove>,
) -> Result<(StatusCode, Json<wire::OperationAnswer>), ApiError> {
    let operation = api.app.move_site(name(&host)?, new, &who).await?;
    let answer = Json(wire::OperationAnswer { operation });
    Ok((StatusCode::CREATED, answer))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    before: Option<String>,
    limit: Option<u32>,
}

pub(super) async fn list(
    State(api): State<Api>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<wire::Page<wire::Operation>>, ApiError> {
    let limit = bounded(wanted.limit, OPERATIONS);
    let before = wanted.before.as_deref().map(name).transpose()?;
    let items = api.app.store.operations(before, limit).await?;
    Ok(Json(wire::Page::of(items, limit, |operation| {
        operation.id.to_string()
    })))
}

pub(super) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<wire::Operation>, ApiError> {
    let id = api.app.find_operation(&id).await?;
    Ok(Json(api.app.operation(id).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    state: Option<String>,
    #[serde(default)]
    after: u64,
    limit: Option<u32>,
}

pub(super) async fn items(
    State(api): State<Api>,
    Path(id): Path<String>,
    Asked(part): Asked<Part>,
) -> Result<Json<wire::Page<wire::Item>>, ApiError> {
    let id = api.app.find_operation(&id).await?;
    let limit = bounded(part.limit, ITEMS);
    let state: Option<ItemState> = part.state.as_deref().map(name).transpose()?;
    let store = &api.app.store;
    let items = store.operation_items(id, state, part.after, limit).await?;
    Ok(Json(wire::Page::of(items, limit, |item| {
        item.place.to_string()
    })))
}

pub(super) async fn pause(
    State(api): State<Api>,
    Path(id): Path<String>,
    Who(who): Who,
) -> Result<Json<wire::OperationAnswer>, ApiError> {
    let id = api.app.find_operation(&id).await?;
    let operation = api.app.pause(id, &who).await?;
    Ok(Json(wire::OperationAnswer { operation }))
}

pub(super) async fn resume(
    State(api): State<Api>,
    Path(id): Path<String>,
    Who(who): Who,
    Body(how): Body<wire::Resume>,
) -> Result<Json<wire::OperationAnswer>, ApiError> {
    let id = api.app.find_operation(&id).await?;
    let operation = api.app.resume(id, how.retry_failed, &who).await?;
    Ok(Json(wire::OperationAnswer { operation }))
}

pub(super) async fn cancel(
    State(api): State<Api>,
    Path(id): Path<String>,
    Who(who): Who,
    Body(how): Body<wire::CancelOperation>,
) -> Result<Json<wire::OperationAnswer>, ApiError> {
    let id = api.app.find_operation(&id).await?;
    let operation = api.app.cancel_operation(id, how, &who).await?;
    Ok(Json(wire::OperationAnswer { operation }))
}

pub(super) async fn stream(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let id = api.app.find_operation(&id).await?;
    let tail = Tail {
        woken: api.app.store.signals().watch_operation(id),
        app: api.app,
        stop: api.stop,
        id,
        told: None,
    };
    let events = unfold(tail, |mut tail| async move {
        match tail.next().await {
            Ok(Some(event)) => Some((Ok(event), tail)),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, operation = %tail.id, "a live stream ended early");
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
    id: OperationId,
    told: Option<wire::Operation>,
}

impl Tail {
    async fn next(&mut self) -> Result<Option<Event>, StoreError> {
        loop {
            if let Some(told) = &self.told {
                if told.state.is_at_rest() {
                    return Ok(None);
                }
                tokio::select! {
                    changed = self.woken.changed() => if changed.is_err() { return Ok(None) },
                    () = self.stop.cancelled() => return Ok(None),
                }
                tokio::time::sleep(PACE).await;
            }
            self.woken.borrow_and_update();
            let Some(operation) = self.app.store.operation(self.id).await? else {
                return Ok(None);
            };
            if self.told.as_ref() == Some(&operation) {
                continue;
            }
            let data = serde_json::to_string(&operation).unwrap_or_default();
            self.told = Some(operation);
            return Ok(Some(Event::default().event("operation").data(data)));
        }
    }
}
