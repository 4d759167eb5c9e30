//! Numbered points at which a test kills hub or worker, or makes a step fail.
//!
//! Only with the feature `faults`, which nothing that is shipped has: without it every call here is
//! empty. A point stands before and after every durable write, every effect, every publish, every ack and
//! every undo. The orders come from the environment, which each program reads where it reads its command
//! line (`KOLGA_FAULTS`, with commas between them):
//!
//! - `kill@N`: SIGKILL to oneself at the Nth point; `kill@NAME`: at the first point of that name;
//!   `kill@NAME#K`: when it is passed for the Kth time.
//! - `fail@NAME`: the operation of that name returns an error, such as `fail@apply:create_database`.
//! - `fill@NAME@FOLDER`: where the operation of that name would fail by the order before this, the disk that the
//!   folder is on is filled to its last byte, and what comes then comes.
//! - `twice@undo`: every undo runs twice.
//!
//! Or they are `@FILE`: a file that holds them and is read again at every point, so that one process can be
//! given new orders; whenever it says something else, counting begins anew.
//!
//! Every point that is passed is appended to a file (`KOLGA_FAULT_TRACE`), so that a test can tell what
//! really fired.

#[cfg(feature = "faults")]
mod armed;
#[cfg(feature = "faults")]
pub use armed::{arm, fail, point, twice};

/// The error of an operation that a test made fail.
#[derive(Debug, thiserror::Error)]
#[error("a test made {0} fail")]
pub struct Ordered(pub String);

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
pub fn fail(_name: &str) -> Result<(), Ordered> {
    Ok(())
}

/// Whether a test wants this done twice.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn twice(_name: &str) -> bool {
    false
}
