//! `/v1/platforms`, `/v1/sites`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use kolga_protocol::names::{PlatformName, ServerName};
use serde::Deserialize;

use super::Api;
use super::error::ApiError;
use super::extract::{Asked, Body, Part, Who, name};
use crate::wire;

pub(super) async fn platforms(
    State(api): State<Api>,
    Asked(part): Asked<Part>,
) -> Result<Json<wire::Page<wire::Platform>>, ApiError> {
    let server = part.server.as_deref().map(name).transpose()?;
    let after = part.after.as_deref().map(place).transpose()?;
    let platforms = &api.app.store;
    let items = platforms
        .platforms(server.as_ref(), after.as_ref(), part.limit())
        .await?;
    Ok(Json(wire::Page::of(items, part.limit(), |platform| {
        format!("{}/{}", platform.server, platform.name)
    })))
}

/// A platform's place in the list: its server and its name.
fn place(text: &str) -> Result<(ServerName, PlatformName), ApiError> {
    let Some((server, platform)) = text.split_once('/') else {
        return Err(ApiError::bad_request(
            "bad_name",
            "after must be SERVER/NAME, as `next` gave it",
        ));
    };
    Ok((name(server)?, name(platform)?))
}

pub(super) async fn platform(
    State(api): State<Api>,
    Path((server, platform)): Path<(String, String)>,
) -> Result<Json<wire::Platform>, ApiError> {
    let (server, platform) = (name(&server)?, name(&platform)?);
    Ok(Json(api.app.platform(&server, &platform).await?))
}

pub(super) async fn add_platform(
    State(api): State<Api>,
    Who(who): Who,
    Body(new): Body<wire::NewPlatform>,
) -> Result<(StatusCode, Json<wire::PlatformAnswer>), ApiError> {
    Ok((
        StatusCode::CREATED,
        Json(api.app.add_platform(new, &who).await?),
    ))
}

pub(super) async fn delete_platform(
    State(api): State<Api>,
    Path((server, platform)): Path<(String, String)>,
    Who(who): Who,
) -> Result<Json<wire::TaskAnswer>, ApiError> {
    let (server, platform) = (name(&server)?, name(&platform)?);
    let task = api.app.delete_platform(&server, &platform, &who).await?;
    Ok(Json(wire::TaskAnswer { task }))
}

pub(super) async fn verify_platform(
    State(api): State<Api>,
    Path((server, platform)): Path<(String, String)>,
    Who(who): Who,
) -> Result<(StatusCode, Json<wire::TaskAnswer>), ApiError> {
    let (server, platform) = (name(&server)?, name(&platform)?);
    let task = api.app.verify_platform(server, platform, &who).await?;
    Ok((StatusCode::CREATED, Json(wire::TaskAnswer { task })))
}

pub(super) async fn lock_platform(
    State(api): State<Api>,
    Path((server, platform)): Path<(String, String)>,
    Who(who): Who,
    Body(lock): Body<wire::NewLock>,
) -> Result<Json<wire::Platform>, ApiError> {
    let (server, platform) = (name(&server)?, name(&platform)?);
    let locked = api.app.lock_platform(&server, &platform, Some(lock), &who);
    Ok(Json(locked.await?))
}

pub(super) async fn lock_platforms(
    State(api): State<Api>,
    Who(who): Who,
    Body(new): Body<wire::NewLocks>,
) -> Result<Json<wire::Targets>, ApiError> {
    let targets = api.app.lock_platforms(new, &who).await?;
    Ok(Json(wire::Targets { targets }))
}

pub(super) async fn unlock_platform(
    State(api): State<Api>,
    Path((server, platform)): Path<(String, String)>,
    Who(who): Who,
) -> Result<Json<wire::Platform>, ApiError> {
    let (server, platform) = (name(&server)?, name(&platform)?);
    let unlocked = api.app.lock_platform(&server, &platform, None, &who);
    Ok(Json(unlocked.await?))
}

pub(super) async fn label_platform(
    State(api): State<Api>,
    Path((server, platform)): Path<(String, String)>,
    Who(who): Who,
    Body(new): Body<wire::NewLabels>,
) -> Result<Json<wire::Platform>, ApiError> {
    let (server, platform) = (name(&server)?, name(&platform)?);
    let labelled = api
        .app
        .label_platform(&server, &platform, new.changes, &who);
    Ok(Json(labelled.await?))
}

pub(super) async fn sites(
    State(api): State<Api>,
    Asked(part): Asked<Part>,
) -> Result<Json<wire::Page<wire::Site>>, ApiError> {
    let server = part.server.as_deref().map(name).transpose()?;
    let after = part.after.as_deref().map(name).transpose()?;
    let sites = &api.app.store;
    let items = sites
        .sites(server.as_ref(), after.as_ref(), part.limit())
        .await?;
    Ok(Json(wire::Page::of(items, part.limit(), |site| {
        site.host.to_string()
    })))
}

pub(super) async fn site(
    State(api): State<Api>,
    Path(host): Path<String>,
) -> Result<Json<wire::Site>, ApiError> {
    Ok(Json(api.app.site(&name(&host)?).await?))
}

pub(super) async fn add_site(
    State(api): State<Api>,
    Who(who): Who,
    Body(new): Body<wire::NewSite>,
) -> Result<(StatusCode, Json<wire::SiteAnswer>), ApiError> {
    Ok((
        StatusCode::CREATED,
        Json(api.app.add_site(new, &who).await?),
    ))
}

/// How a site is to be deleted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Deletion {
    #[serde(default)]
    no_backup: bool,
}

pub(super) async fn delete_site(
    State(api): State<Api>,
    Path(host): Path<String>,
    Asked(deletion): Asked<Deletion>,
    Who(who): Who,
) -> Result<Json<wire::TaskAnswer>, ApiError> {
    let (host, no_backup) = (name(&host)?, deletion.no_backup);
    let task = api.app.delete_site(&host, no_backup, &who).await?;
    Ok(Json(wire::TaskAnswer { task }))
}

pub(super) async fn lock_site(
    State(api): State<Api>,
    Path(host): Path<String>,
    Who(who): Who,
    Body(lock): Body<wire::NewLock>,
) -> Result<Json<wire::Site>, ApiError> {
    let lock = Some(lock);
    Ok(Json(api.app.lock_site(&name(&host)?, lock, &who).await?))
}

pub(super) async fn unlock_site(
    State(api): State<Api>,
    Path(host): Path<String>,
    Who(who): Who,
) -> Result<Json<wire::Site>, ApiError> {
    Ok(Json(api.app.lock_site(&name(&host)?, None, &who).await?))
}

pub(super) async fn site_task(
    State(api): State<Api>,
    Path(host): Path<String>,
    Who(who): Who,
    Body(new): Body<wire::NewSiteTask>,
) -> Result<(StatusCode, Json<wire::TaskAnswer>), ApiError> {
    let task = api.app.site_task(&name(&host)?, new, &who).await?;
    Ok((StatusCode::CREATED, Json(wire::TaskAnswer { task })))
}

pub(super) async fn import_site(
    State(api): State<Api>,
    Path(host): Path<String>,
    Who(who): Who,
    Body(new): Body<wire::NewImport>,
) -> Result<(StatusCode, Json<wire::TaskAnswer>), ApiError> {
    let task = api.app.import_site(name(&host)?, new, &who).await?;
    Ok((StatusCode::CREATED, Json(wire::TaskAnswer { task })))
}

pub(super) async fn hand_over_site(
    State(api): State<Api>,
    Path(host): Path<String>,
    Who(who): Who,
) -> Result<Json<wire::Site>, ApiError> {
    Ok(Json(api.app.hand_over_site(&name(&host)?, &who).await?))
}

pub(super) async fn label(
    State(api): State<Api>,
    Path(host): Path<String>,
    Who(who): Who,
    Body(new): Body<wire::NewLabels>,
) -> Result<Json<wire::Site>, ApiError> {
    let site = api.app.label_site(&name(&host)?, new.changes, &who).await?;
    Ok(Json(site))
}
