//! Hub.

pub mod cli;
pub mod wire;
