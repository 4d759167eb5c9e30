//! What goes wrong, as JSON: a code, a sentence, and what to do.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::store::{Refusal, RefusalKind, StoreError};
use crate::wire;

/// An answer that is not a success.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    error: wire::Error,
}

impl ApiError {
    pub(super) fn new(
        status: StatusCode,
        code: &str,
        message: impl Into<String>,
        hint: Option<&str>,
    ) -> Self {
        Self {
            status,
            error: wire::Error {
                code: code.to_owned(),
                message: message.into(),
                hint: hint.map(str::to_owned),
            },
        }
    }

    /// The request itself is wrong.
    pub(super) fn bad_request(code: &str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message, None)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind {
            RefusalKind::NotFound => StatusCode::NOT_FOUND,
            RefusalKind::Conflict => StatusCode::CONFLICT,
            RefusalKind::Invalid => StatusCode::BAD_REQUEST,
        };
        let hint = refusal.hint.as_deref();
        Self::new(status, refusal.code, refusal.message, hint)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) => refusal.into(),
            StoreError::Stopped => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "the hub is stopping",
                Some("try again when it runs again"),
            ),
            StoreError::Database(_) | StoreError::Corrupt { .. } => {
                tracing::error!(%error, "a request failed");
                let hint = "the hub's log says more; nothing was changed";
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "store_failed",
                    error.to_string(),
                    Some(hint),
                )
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = wire::ErrorBody { error: self.error };
        (self.status, Json(body)).into_response()
    }
}

/// No route has this path.
pub(super) async fn no_such_path() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "no_such_path",
        "the API has no such path",
        Some("paths begin with /v1"),
    )
}

/// The path has no such method.
pub(super) async fn no_such_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no_such_method",
        "the API does not know this method for this path",
        None,
    )
}
