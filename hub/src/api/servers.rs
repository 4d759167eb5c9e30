//! `/v1/health`, `/v1/doctor`, `/v1/servers`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::Api;
use super::error::ApiError;
use super::extract::{Asked, Body, Part, Who, name};
use crate::wire;

pub(super) async fn health() -> Json<wire::Health> {
    Json(wire::Health {
        status: "ok".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

pub(super) async fn doctor(State(api): State<Api>) -> Result<Json<wire::Doctor>, ApiError> {
    Ok(Json(api.app.doctor().await?))
}

pub(super) async fn list(
    State(api): State<Api>,
    Asked(part): Asked<Part>,
) -> Result<Json<wire::Page<wire::Server>>, ApiError> {
    if part.server.is_some() {
        let message = "servers cannot be narrowed down by server: ask for /v1/servers/NAME";
        return Err(ApiError::bad_request("bad_query", message));
    }
    let after = part.after.as_deref().map(name).transpose()?;
    let items = api.app.servers(after.as_ref(), part.limit()).await?;
    Ok(Json(wire::Page::of(items, part.limit(), |server| {
        server.name.to_string()
    })))
}

pub(super) async fn add(
    State(api): State<Api>,
    Who(who): Who,
    Body(new): Body<wire::NewServer>,
) -> Result<(StatusCode, Json<wire::Server>), ApiError> {
    let server = api.app.add_server(new.name, &who).await?;
    Ok((StatusCode::CREATED, Json(server)))
}

pub(super) async fn show(
    State(api): State<Api>,
    Path(server): Path<String>,
) -> Result<Json<wire::Server>, ApiError> {
    Ok(Json(api.app.server(&name(&server)?).await?))
}

pub(super) async fn remove(
    State(api): State<Api>,
    Path(server): Path<String>,
    Who(who): Who,
) -> Result<Json<wire::RemovedServer>, ApiError> {
    Ok(Json(api.app.remove_server(name(&server)?, &who).await?))
}

pub(super) async fn verify(
    State(api): State<Api>,
    Path(server): Path<String>,
    Who(who): Who,
) -> Result<(StatusCode, Json<wire::TaskAnswer>), ApiError> {
    let task = api.app.verify(name(&server)?, &who).await?;
    Ok((StatusCode::CREATED, Json(wire::TaskAnswer { task })))
}

pub(super) async fn inventory(
    State(api): State<Api>,
    Path(server): Path<String>,
    Who(who): Who,
) -> Result<(StatusCode, Json<wire::TaskAnswer>), ApiError> {
    let task = api.app.take_inventory(name(&server)?, &who).await?;
    Ok((StatusCode::CREATED, Json(wire::TaskAnswer { task })))
}

pub(super) async fn recipes(
    State(api): State<Api>,
    Path(server): Path<String>,
    Who(who): Who,
) -> Result<(StatusCode, Json<wire::TaskAnswer>), ApiError> {
    let task = api.app.list_recipes(name(&server)?, &who).await?;
    Ok((StatusCode::CREATED, Json(wire::TaskAnswer { task })))
}

pub(super) async fn run_recipe(
    State(api): State<Api>,
    Path((server, recipe)): Path<(String, String)>,
    Who(who): Who,
    Body(new): Body<wire::NewRecipeRun>,
) -> Result<(StatusCode, Json<wire::TaskAnswer>), ApiError> {
    let (server, recipe) = (name(&server)?, name(&recipe)?);
    let task = api.app.run_recipe(server, recipe, new, &who).await?;
    Ok((StatusCode::CREATED, Json(wire::TaskAnswer { task })))
}

/// What came of such a task, beside the hub's own lists.
pub(super) async fn inventory_of(
    State(api): State<Api>,
    Path(task): Path<String>,
) -> Result<Json<wire::Inventory>, ApiError> {
    let task = api.app.find(&task).await?;
    Ok(Json(api.app.inventory(task).await?))
}

/// `POST /v1/servers/{name}/ping`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pings {
    #[serde(default = "one")]
    count: u32,
}

fn one() -> u32 {
    1
}

pub(super) async fn ping(
    State(api): State<Api>,
    Path(server): Path<String>,
    Who(who): Who,
    Body(pings): Body<Pings>,
) -> Result<(StatusCode, Json<wire::NewTasks>), ApiError> {
    let tasks = api.app.ping(name(&server)?, pings.count, &who).await?;
    Ok((StatusCode::CREATED, Json(wire::NewTasks { tasks })))
}

pub(super) async fn label(
    State(api): State<Api>,
    Path(server): Path<String>,
    Who(who): Who,
    Body(new): Body<wire::NewLabels>,
) -> Result<Json<wire::Server>, ApiError> {
    let server = name(&server)?;
    Ok(Json(
        api.app.label_server(&server, new.changes, &who).await?,
    ))
}
