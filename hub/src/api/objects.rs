//! `/v1/platforms`, `/v1/sites`.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::Api;
use super::error::ApiError;
use super::extract::{Body, Who, name};
use crate::wire;

pub(super) async fn platforms(
    State(api): State<Api>,
) -> Result<Json<wire::Page<wire::Platform>>, ApiError> {
    Ok(Json(wire::Page::whole(api.app.store.platforms().await?)))
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

pub(super) async fn sites(
    State(api): State<Api>,
) -> Result<Json<wire::Page<wire::Site>>, ApiError> {
    Ok(Json(wire::Page::whole(api.app.store.sites().await?)))
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

pub(super) async fn delete_site(
    State(api): State<Api>,
    Path(host): Path<String>,
    Who(who): Who,
) -> Result<Json<wire::TaskAnswer>, ApiError> {
    let task = api.app.delete_site(&name(&host)?, &who).await?;
    Ok(Json(wire::TaskAnswer { task }))
}
