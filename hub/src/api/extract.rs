//! What handlers are given, parsed: bodies, names in paths, queries, and who asks. Every mistake becomes
//! an [`ApiError`] that says where it is.

use std::convert::Infallible;
use std::str::FromStr;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A body of JSON.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(body_error(&rejection)),
        }
    }
}

fn body_error(rejection: &JsonRejection) -> ApiError {
    let hint = match rejection.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Some("send `Content-Type: application/json`"),
        StatusCode::PAYLOAD_TOO_LARGE => Some("a body may have 1 MiB at most"),
        _ => None,
    };
    let status = match rejection.status() {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        other => other,
    };
    ApiError::new(status, "bad_request", rejection.body_text(), hint)
}

/// What follows the question mark.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Query::<T>::from_request_parts(parts, state)
            .await
            .map(|Query(asked)| Self(asked))
            .map_err(|rejection: QueryRejection| {
                ApiError::bad_request("bad_query", rejection.body_text())
            })
    }
}

/// Which part of a list of objects.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub(super) server: Option<String>,
    pub(super) after: Option<String>,
    limit: Option<u32>,
}

impl Part {
    /// Objects in one page.
    pub(super) fn limit(&self) -> u32 {
        bounded(self.limit, (1000, 1000))
    }
}

/// What was asked for, within what is usual and the most.
pub(super) fn bounded(asked: Option<u32>, (usual, most): (u32, u32)) -> u32 {
    asked.unwrap_or(usual).clamp(1, most)
}

/// A name in a path.
pub(super) fn name<T>(text: &str) -> Result<T, ApiError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| ApiError::bad_request("bad_name", error.to_string()))
}

/// Who asks, for people to read: the header `Kolga-User`, which whoever has the token may fill as he likes.
pub(super) struct Who(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let named = parts
            .headers
            .get("kolga-user")
            .and_then(|value| value.to_str().ok())
            .map(|text| {
                text.chars()
                    .filter(|c| c.is_ascii_graphic())
                    .take(64)
                    .collect()
            })
            .filter(|text: &String| !text.is_empty());
        Ok(Self(named.unwrap_or_else(|| "api".to_owned())))
    }
}
