//! Sites that have a pool of php-fpm to themselves, over the whole system.

mod apart;
mod handed_on;
mod rights;
mod scene;
mod scripts;
