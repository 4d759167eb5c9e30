//! What stands before every handler: the token, and a limit of time.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::error::ApiError;

/// How long a request may take. Its work goes on if it has been handed to the store.
const LIMIT: Duration = Duration::from_secs(30);

/// Lets through who knows the token.
pub(super) async fn with_token(State(api): State<Api>, request: Request, next: Next) -> Response {
    if given(request.headers()).is_some_and(|given| api.token.is(given)) {
        return next.run(request).await;
    }
    ApiError::new(
        StatusCode::UNAUTHORIZED,
        "no_token",
        "the request has no token, or a wrong one",
        Some("send `Authorization: Bearer` and what is in the hub's file api-token"),
    )
    .into_response()
}

fn given(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Ends what takes too long.
pub(super) async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(
            StatusCode::GATEWAY_TIMEOUT,
            "too_slow",
            format!("the hub had no answer within {} seconds", LIMIT.as_secs()),
            Some("look whether it was done before you ask again; `kolga doctor` may say why"),
        )
        .into_response(),
    }
}
