//! The programs that steps drive: nginx, MariaDB, PostgreSQL, PHP, composer, git, restic. Each speaks to its program in one
//! way only, and says in its errors what an operator can do.
//!
//! [`crate::spoke`] opens them from the configuration; steps and [`crate::check`] use them.

pub mod composer;
pub mod database;
mod fastcgi;
pub mod git;
pub mod mariadb;
pub mod nginx;
pub mod php;
pub mod postgresql;
pub mod restic;
pub mod tls;
