//! The HTTP API: one list of routes. Turns requests into calls of `app`, and what comes back into JSON.
//!
//! Every request needs the token, but for `health`; is bounded in size and, but for the live stream, in
//! time; and is answered with JSON whatever goes wrong.

mod error;
mod events;
mod extract;
mod guard;
mod metrics;
mod objects;
mod operations;
mod servers;
mod tasks;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tokio_util::sync::CancellationToken;

use crate::app::App;

pub use token::Token;

/// The longest body of a request, in bytes.
const BODY: usize = 1024 * 1024;

/// What every handler is given.
#[derive(Clone)]
pub struct Api {
    app: Arc<App>,
    token: Arc<Token>,
    stop: CancellationToken,
}

/// The API over `app`. Live streams end when `stop` fires.
pub fn router(app: Arc<App>, token: Token, stop: CancellationToken) -> Router {
    let api = Api {
        app,
        token: Arc::new(token),
        stop,
    };
    let bounded = Router::new()
        .route("/v1/doctor", get(servers::doctor))
        .route("/v1/metrics", get(metrics::metrics))
        .route("/v1/servers", get(servers::list).post(servers::add))
        .route(
            "/v1/servers/{name}",
            get(servers::show).delete(servers::remove),
        )
        .route("/v1/servers/{name}/verify", post(servers::verify))
        .route("/v1/servers/{name}/ping", post(servers::ping))
        .route("/v1/servers/{name}/inventory", post(servers::inventory))
        .route("/v1/servers/{name}/recipes", post(servers::recipes))
        .route(
            "/v1/servers/{name}/recipes/{recipe}",
            post(servers::run_recipe),
        )
        .route("/v1/tasks/{id}/inventory", get(servers::inventory_of))
        .route(
            "/v1/platforms",
            get(objects::platforms).post(objects::add_platform),
        )
        .route("/v1/platforms/locks", post(objects::lock_platforms))
        .route(
            "/v1/platforms/{server}/{name}",
            get(objects::platform).delete(objects::delete_platform),
        )
        .route(
            "/v1/platforms/{server}/{name}/verify",
            post(objects::verify_platform),
        )
        .route(
            "/v1/platforms/{server}/{name}/lock",
            post(objects::lock_platform).delete(objects::unlock_platform),
        )
        .route(
            "/v1/platforms/{server}/{name}/labels",
            post(objects::label_platform),
        )
        .route("/v1/sites", get(objects::sites).post(objects::add_site))
        .route(
            "/v1/sites/{host}",
            get(objects::site).delete(objects::delete_site),
        )
        .route("/v1/sites/{host}/tasks", post(objects::site_task))
        .route("/v1/sites/{host}/move", post(operations::move_site))
        .route("/v1/sites/{host}/import", post(objects::import_site))
        .route("/v1/sites/{host}/hand_over", post(objects::hand_over_site))
        .route(
            "/v1/sites/{host}/lock",
            post(objects::lock_site).delete(objects::unlock_site),
        )
        .route("/v1/servers/{name}/labels", post(servers::label))
        .route("/v1/sites/{host}/labels", post(objects::label))
        .route(
            "/v1/operations",
            get(operations::list).post(operations::start),
        )
        .route("/v1/operations/{id}", get(operations::show))
        .route("/v1/operations/{id}/items", get(operations::items))
        .route("/v1/operations/{id}/pause", post(operations::pause))
        .route("/v1/operations/{id}/resume", post(operations::resume))
        .route("/v1/operations/{id}/cancel", post(operations::cancel))
        .route("/v1/tasks", get(tasks::list).post(tasks::create))
        .route("/v1/tasks/{id}", get(tasks::show))
        .route("/v1/tasks/{id}/log", get(tasks::log))
        .route("/v1/tasks/{id}/cancel", post(tasks::cancel))
        .route("/v1/tasks/{id}/retry", post(tasks::retry))
        .layer(from_fn(guard::in_time));
    let streams = Router::new()
        .route("/v1/tasks/{id}/events", get(events::stream))
        .route("/v1/operations/{id}/events", get(operations::stream));
    let guarded = bounded
        .merge(streams)
        .layer(from_fn_with_state(api.clone(), guard::with_token));
    Router::new()
        .route("/v1/health", get(servers::health))
        .merge(guarded)
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(api)
}
