//! What hub and worker agree on, and nothing else.
//!
//! Read in this order: [`names`] are the strings that may reach a path, a config file, an SQL
//! identifier or an argv, and [`naming`] what a site is called by them; [`task`] is the list of task types with their parameters and results;
//! [`state`] judges which event may follow which state; [`message`] is what crosses the broker;
//! [`envelope`] is the only place where bytes become types; [`topology`] names the queues; and
//! [`link`] is the only place that knows the broker's client library.
//!
//! Apart from [`link`], and [`journald`], by which both write their logs, this crate does no I/O; [`fault`], for tests, is
//! empty in what is shipped.

pub mod envelope;
pub mod fault;
pub mod id;
pub mod journald;
pub mod link;
pub mod message;
pub mod names;
pub mod naming;
pub mod object;
pub mod rhythm;
pub mod seal;
pub mod state;
pub mod task;
pub mod topology;
