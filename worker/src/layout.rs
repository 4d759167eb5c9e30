//! Where the things of sites and platforms lie, in one place: below the folders that the configuration
//! names, by names that are allow-lists. What nginx reads of a site is [`crate::services::nginx`]'s.
//!
//! ```text
//! <platforms>/<platform>/.kolga-owner      which run built it
//! <platforms>/<platform>/code/             the code that sites share
//! <platforms>/.<platform>.new-<run>/       the same while it is being built
//! <platforms>/.<platform>.gone-<run>/      the same while it is being deleted
//! <sites>/<host>/.kolga-owner              which run made it
//! <sites>/<host>/…                         what its profile wants
//! <state>/.backup-<run>/                  what a backup holds besides the folder
//! <sites>/.restored-<run>/                what a backup gives back, until it is in its place
//! <sites>/.trash/<run>/                    a site that the task <run> has deleted or is deleting
//! ```

use std::path::PathBuf;

use kolga_protocol::id::Run;
use kolga_protocol::names::{HostName, PlatformName};

use crate::config::{self, Config};
use crate::files::Dir;

/// The folder of a platform's code, in the platform's own.
pub const CODE: &str = "code";
/// The folder of sites that are deleted, among the sites: no host begins with a dot.
pub const TRASH: &str = ".trash";

/// The name of a platform's folder while it is being built.
#[must_use]
pub fn new_platform(platform: &PlatformName, run: Run) -> String {
    format!(".{platform}.new-{run}")
}

/// The name of a platform's folder while it is being deleted.
#[must_use]
pub fn gone_platform(platform: &PlatformName, run: Run) -> String {
    format!(".{platform}.gone-{run}")
}

/// The name of the folder of the worker's own in which a backup gathers what is not in the site's.
#[must_use]
pub fn backup_stage(run: Run) -> String {
    format!(".backup-{run}")
}

/// The name of the folder, among the sites, into which a backup is restored before it takes a site's place.
#[must_use]
pub fn restored(run: Run) -> String {
    format!(".restored-{run}")
}

/// A platform's folder.
#[must_use]
pub fn platform(config: &Config, platform: &PlatformName) -> PathBuf {
    config.sites.platforms.join(platform.as_str())
}

/// A platform's code.
#[must_use]
pub fn code(config: &Config, name: &PlatformName) -> PathBuf {
    platform(config, name).join(CODE)
}

/// A site's folder.
#[must_use]
pub fn site(config: &Config, host: &HostName) -> PathBuf {
    config.sites.root.join(host.as_str())
}

/// A site's address over HTTP, without a slash at the end.
#[must_use]
pub fn url(config: &Config, host: &HostName) -> String {
    match config.nginx.port {
        80 => format!("http://{host}"),
        port => format!("http://{host}:{port}"),
    }
}

/// The same over HTTPS.
#[must_use]
pub fn https_url(tls: &config::Tls, host: &HostName) -> String {
    match tls.port {
        443 => format!("https://{host}"),
        port => format!("https://{host}:{port}"),
    }
}

/// The folder of all sites.
///
/// # Errors
/// When it is not there.
pub fn sites(config: &Config) -> anyhow::Result<Dir> {
    Dir::open(&config.sites.root)
}

/// The folder of all platforms.
///
/// # Errors
/// When it is not there.
pub fn platforms(config: &Config) -> anyhow::Result<Dir> {
    Dir::open(&config.sites.platforms)
}

/// The trash. Passable, since php-fpm may have to help to empty it: see [`crate::discard`].
///
/// # Errors
/// When it can be neither opened nor made.
pub fn trash(config: &Config) -> anyhow::Result<Dir> {
    Dir::open_or_make(&config.sites.root.join(TRASH), 0o711)
}
