//! Sites that are taken over, over the whole system.

mod adopting;
mod copying;
mod wiki;
