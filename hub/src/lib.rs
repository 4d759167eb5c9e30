//! Hub.

pub mod wire;
