//! The hub: it holds what should exist, sends tasks to the spokes, and takes their reports.
//!
//! ```text
//! api ─► app ─► store ─► relay ─► broker ─► spoke ─► broker ─► inbox ─► store ─► api (JSON, live stream)
//! ```
//!
//! [`serve`] wires the daemon; [`sweeper`] looks after tasks of which nothing is heard, [`mover`] after operations
//! over many servers or sites, [`janitor`] after what is old; [`wire`] is what the API and the command line have in common.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod heartbeats;
pub mod inbox;
pub mod janitor;
pub mod mover;
pub mod presence;
pub mod relay;
pub mod selector;
pub mod serve;
pub mod store;
pub mod sweeper;
pub mod topology;
pub mod usage;
pub mod wire;
