//! Numbered points at which a test kills the worker or makes a step fail.
//!
//! Only with the feature `faults`, which nothing that is shipped has: without it every call here is
//! empty. A point stands before and after every durable write and every effect. The order comes from the
//! environment (read in [`crate::cli`]):
//!
//! - `kill@N`: SIGKILL to oneself at the Nth point; `kill@NAME`: at the points of that name.
//! - `fail@NAME`: the operation of that name returns an error, such as `fail@apply:create_database`.
//! - `twice@undo`: every undo runs twice.
//!
//! Every point that is passed is appended to the file named by the trace, so that a test can tell what
//! really fired.

#[cfg(feature = "faults")]
mod armed;
#[cfg(feature = "faults")]
pub use armed::{arm, fail, point, twice};

/// Passes a point.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn point(_name: &str) {}

/// Fails when a test wants this operation to fail.
///
/// # Errors
/// Never, in what is shipped.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn fail(_name: &str) -> anyhow::Result<()> {
    Ok(())
}

/// Whether a test wants this done twice.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn twice(_name: &str) -> bool {
    false
}
