//! The worker of a spoke.
//!
