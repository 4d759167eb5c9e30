//! The whole-system harness: real binaries, a real broker, real databases and web servers.
//!
//! [`stack`] finds what `deploy/test` has started; [`hub`] and [`worker`] run the programs under test as
//! the services' own user; [`world`] takes snapshots of everything that a task could leave behind;
//! [`faults`] kills a worker at every numbered point, or makes every step fail, and judges what is left;
//! [`scenario`] is the list of tasks that have to bear it.

pub mod faults;
pub mod hub;
pub mod proxy;
pub mod scenario;
pub mod stack;
pub mod wait;
pub mod worker;
pub mod world;
