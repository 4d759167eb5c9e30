//! Sites that move from one server to another, over the whole system.

mod broken;
mod pooled;
mod refused;
mod scene;
mod whole;
