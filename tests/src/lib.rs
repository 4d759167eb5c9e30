//! The whole-system harness: real binaries, a real broker, real databases and web servers.
//!
//! [`stack`] finds what `deploy/test` has started, and [`cell`] gives one of several away; [`hub`] and [`worker`] run the programs under test as
//! the services' own user; [`world`] takes snapshots of everything that a task could leave behind;
//! [`scenario`] is the list of tasks that have to bear every fault; [`breaker`] kills hub and worker at every
//! named point and makes every step and undo fail, by [`orders`], among [`neighbours`] that must not be
//! harmed, on [`small_disks`], and judges what is left. [`furnish`] is a site with something of everything in it,
//! [`swapper`] a tenant who swaps folders for links, [`wiretap`] somebody between a site and its database, [`landlock`] a kernel that confines nothing. [`model`] needs none
//! of that: it plays random faults over the real store
//! and journals.

pub mod breaker;
pub mod cell;
pub mod certificate;
pub mod cheap_key;
pub mod furnish;
pub mod hub;
pub mod landlock;
pub mod model;
pub mod neighbours;
pub mod orders;
pub mod proxy;
pub mod scenario;
pub mod small_disks;
pub mod spent;
pub mod stack;
pub mod swapper;
pub mod wait;
pub mod wiretap;
pub mod worker;
pub mod world;
