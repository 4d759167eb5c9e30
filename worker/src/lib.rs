//! The worker of a spoke. Follow a task by its data's way:
//!
//! [`intake`] takes it from the server's queue into the [`journal`] and acks; [`run`] schedules it, one at
//! a time per object, and executes its plan of steps, which [`tasks`] made, against the [`spoke`]'s
//! services; [`outgoing`] sends what was reported from the journal's spool to the hub.

pub mod aside;
pub mod check;
pub mod cli;
pub mod code;
pub mod config;
pub mod control;
pub mod cron;
pub mod cx;
pub mod discard;
pub mod face;
pub mod files;
pub mod import;
pub mod intake;
pub mod journal;
pub mod layout;
pub mod opcache;
pub mod outgoing;
pub mod plan;
pub mod pools;
pub mod process;
pub mod profile;
pub mod recipe;
pub mod registry;
pub mod relink;
pub mod room;
pub mod run;
pub mod script;
pub mod secrets;
pub mod services;
pub mod signals;
pub mod site;
pub mod spoke;
pub mod start;
pub mod step;
pub mod steps;
pub mod survey;
pub mod tasks;
pub mod trash;
pub mod unpack;
pub mod usage;
mod vhost;
pub mod watchdog;
pub mod web;

#[cfg(test)]
mod testing;
