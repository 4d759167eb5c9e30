//! `/v1/tasks`: lists, one, its log, cancel, retry.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::Api;
use super::error::ApiError;
use super::extract::{Asked, Body, Who, bounded, name};
use crate::store::read::Filter;
use crate::wire;

/// Tasks in one page unless asked otherwise, and at most.
const TASKS: (u32, u32) = (50, 1000);
/// Entries of a log in one page unless asked otherwise, and at most.
const ENTRIES: (u32, u32) = (1000, 10_000);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    server: Option<String>,
    state: Option<String>,
    object: Option<String>,
    before: Option<String>,
    limit: Option<u32>,
}

pub(super) async fn list(
    State(api): State<Api>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<wire::Page<wire::Task>>, ApiError> {
    let limit = bounded(wanted.limit, TASKS);
    let filter = Filter {
        server: wanted.server.as_deref().map(name).transpose()?,
        state: wanted.state.as_deref().map(name).transpose()?,
        object: wanted.object,
        before: wanted.before.as_deref().map(name).transpose()?,
        limit,
    };
    let items = api.app.tasks(&filter).await?;
    Ok(Json(wire::Page::of(items, limit, |task| {
        task.id.to_string()
    })))
}

pub(super) async fn create(
    State(api): State<Api>,
    Who(who): Who,
    Body(new): Body<wire::NewTask>,
) -> Result<(StatusCode, Json<wire::NewTasks>), ApiError> {
    let tasks = api.app.create(new, &who).await?;
    Ok((StatusCode::CREATED, Json(wire::NewTasks { tasks })))
}

pub(super) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<wire::TaskDetail>, ApiError> {
    let task = api.app.find(&id).await?;
    Ok(Json(api.app.task_detail(task).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    #[serde(default)]
    after: i64,
    limit: Option<u32>,
}

pub(super) async fn log(
    State(api): State<Api>,
    Path(id): Path<String>,
    Asked(part): Asked<Part>,
) -> Result<Json<wire::Page<wire::LogEntry>>, ApiError> {
    let task = api.app.find(&id).await?;
    let limit = bounded(part.limit, ENTRIES);
    let (items, more) = api.app.store.log(task, part.after, limit).await?;
    let next = more
        .then(|| items.last().map(|entry| entry.seq.to_string()))
        .flatten();
    Ok(Json(wire::Page { items, next }))
}

pub(super) async fn cancel(
    State(api): State<Api>,
    Path(id): Path<String>,
    Who(who): Who,
) -> Result<Json<wire::TaskAnswer>, ApiError> {
    let task = api.app.find(&id).await?;
    let task = api.app.cancel(task, &who).await?;
    Ok(Json(wire::TaskAnswer { task }))
}

pub(super) async fn retry(
    State(api): State<Api>,
    Path(id): Path<String>,
    Who(who): Who,
) -> Result<Json<wire::TaskAnswer>, ApiError> {
    let task = api.app.find(&id).await?;
    let task = api.app.retry(task, &who).await?;
    Ok(Json(wire::TaskAnswer { task }))
}
