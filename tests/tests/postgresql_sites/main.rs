//! Sites whose data are in PostgreSQL, over the whole system: every task that works on a database works on theirs, row for
//! row; neighbours in the same server, and what bears the very name that a task wants, are as they were; and a tenant's
//! account gets into no database but its own.

mod functions;
mod life;
mod mending;
mod over_tls;
mod refused;
mod remote;
mod scene;
mod wiki;
