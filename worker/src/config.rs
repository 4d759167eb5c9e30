//! The worker's configuration: one TOML file, read and checked whole before anything starts, and again
//! at every SIGHUP. Environment variables are read by [`crate::cli`] alone: where this file lies, how much
//! is logged, and a test's orders.
//!
//! [`crate::cli`] loads it; [`crate::spoke`] is made from it.

mod backups;
mod composer;
mod error;
mod limits;
mod mariadb;
mod php;
mod postgresql;
mod sites;
mod web;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kolga_protocol::names::ServerName;
use serde::Deserialize;

pub use backups::{Backups, Sftp};
pub use composer::Composer;
pub use error::ConfigError;
pub use limits::{Cgroups, Gates, Limits, Process};
pub use mariadb::{Mariadb, RemoteMariadb};
pub use php::{Php, Pools};
pub use postgresql::{Postgresql, RemotePostgresql};
pub use sites::{Cron, Profiles, Recipes, Sites, Trash};
pub use web::{Nginx, Pages, Tls};

/// Where the configuration lies unless `--config` or `KOLGA_WORKER_CONFIG` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/kolga/worker.toml";

/// One TOML file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name by which the hub knows this spoke.
    pub server: ServerName,
    /// Journal, status socket, secrets, registry. The worker's own, mode 0700.
    pub state_dir: PathBuf,
    /// The way to the hub.
    pub broker: Broker,
    /// How much at once, and for how long.
    #[serde(default)]
    pub limits: Limits,
    /// How children run.
    #[serde(default)]
    pub process: Process,
    /// When heavy tasks wait for the machine.
    #[serde(default)]
    pub gates: Gates,
    /// Where sites and platforms lie.
    pub sites: Sites,
    /// Where kinds of sites are described, besides the built-in ones.
    #[serde(default)]
    pub profiles: Profiles,
    /// What the hub may have run here besides tasks.
    #[serde(default)]
    pub recipes: Recipes,
    /// What visitors see where there is no site to see.
    #[serde(default)]
    pub pages: Pages,
    /// How long what is not needed any more is kept.
    #[serde(default)]
    pub trash: Trash,
    /// What sites do at regular times.
    #[serde(default)]
    pub cron: Cron,
    /// The web server.
    pub nginx: Nginx,
    /// HTTPS, when sites may have it.
    pub tls: Option<Tls>,
    /// PHP, when sites may need it.
    pub php: Option<Php>,
    /// composer, when platforms may have packages of its.
    pub composer: Option<Composer>,
    /// Pools that sites can have to themselves, when there are some.
    pub pools: Option<Pools>,
    /// The database server, when sites may need one.
    pub mariadb: Option<Mariadb>,
    /// Another one, when sites may choose it.
    pub postgresql: Option<Postgresql>,
    /// Where backups go, when there are to be some.
    pub backups: Option<Backups>,
}

/// The broker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// `amqp://kolga-<server>:<password>@host:port/vhost`. The file must not be readable by others.
    pub url: String,
}

impl Config {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`ConfigError`] names the file and everything that is wrong in it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let config: Self = toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source,
        })?;
        let problems = config.problems();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(ConfigError::Invalid {
                path: path.to_owned(),
                problems,
            })
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut folders = BTreeMap::from([
            ("state_dir", &self.state_dir),
            ("sites.root", &self.sites.root),
            ("sites.platforms", &self.sites.platforms),
            ("nginx.include", &self.nginx.include),
            ("nginx.sites_dir", &self.nginx.sites_dir),
            ("nginx.staged", &self.nginx.staged),
        ]);
        for (name, page) in [
            ("nginx.snippets", &self.nginx.snippets),
            ("pages.disabled", &self.pages.disabled),
            ("pages.maintenance", &self.pages.maintenance),
        ] {
            folders.extend(page.as_ref().map(|page| (name, page)));
        }
        if let Some(tls) = &self.tls {
            folders.insert("tls.certificates", &tls.certificates);
            folders.extend(tls.challenges.as_ref().map(|it| ("tls.challenges", it)));
        }
        if let Some(mariadb) = &self.mariadb {
            folders.extend(mariadb.socket.as_ref().map(|it| ("mariadb.socket", it)));
            let remote = mariadb.remote.as_ref();
            folders.extend(remote.map(|it| ("mariadb.remote.password_file", &it.password_file)));
            let authority = remote.and_then(|it| it.ca_file.as_ref());
            folders.extend(authority.map(|it| ("mariadb.remote.ca_file", it)));
            problems.extend(mariadb.problems());
        }
        if let Some(postgresql) = &self.postgresql {
            let socket = postgresql.socket.as_ref();
            folders.extend(socket.map(|it| ("postgresql.socket", it)));
            let remote = postgresql.remote.as_ref();
            folders.extend(remote.map(|it| ("postgresql.remote.password_file", &it.password_file)));
            let authority = remote.and_then(|it| it.ca_file.as_ref());
            folders.extend(authority.map(|it| ("postgresql.remote.ca_file", it)));
            problems.extend(postgresql.problems());
        }
        if let Some(php) = &self.php {
            folders.insert("php.binary", &php.binary);
            folders.extend(php.fpm_socket.as_ref().map(|it| ("php.fpm_socket", it)));
        }
        if let Some(composer) = &self.composer {
            folders.insert("composer.program", &composer.program);
            problems.extend(composer.problems());
        }
        if let Some(pools) = &self.pools {
            folders.insert("pools.folder", &pools.folder);
            problems.extend(pools.problems(&self.sites.web_user, self.php_user()));
            if self.php.is_none() {
                problems.push("pools are of PHP's: add a [php]".into());
            }
        }
        if let Some(backups) = &self.backups {
            folders.insert("backups.password_file", &backups.password_file);
            let environment = backups.environment_file.as_ref();
            folders.extend(environment.map(|it| ("backups.environment_file", it)));
            let extract_to = backups.extract_to.as_ref();
            folders.extend(extract_to.map(|it| ("backups.extract_to", it)));
            folders.extend(backups.ssh_key.as_ref().map(|it| ("backups.ssh_key", it)));
            let hosts = backups.ssh_known_hosts.as_ref();
            folders.extend(hosts.map(|it| ("backups.ssh_known_hosts", it)));
            let authorities = backups.ca_file.as_ref();
            folders.extend(authorities.map(|it| ("backups.ca_file", it)));
            problems.extend(backups.problems());
        }
        for (name, path) in folders {
            // These reach configuration files of nginx, so they are as plain as names are.
            let plain = path.to_str().is_some_and(|text| {
                text.starts_with('/')
                    && text
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b))
                    && !text.split('/').any(|part| part == "..")
            });
            if !plain {
                problems.push(format!(
                    "{name} must be an absolute path of letters, digits and / . _ -"
                ));
            }
        }
        problems.extend(self.sites.problems());
        problems.extend(self.recipes.problems());
        problems.extend(self.nginx.problems());
        problems.extend(self.limits.problems());
        problems.extend(self.process.problems());
        problems.extend(self.gates.problems());
        if !self.broker.url.starts_with("amqp://") {
            problems.push("broker.url must begin with amqp://".into());
        }
        problems
    }

    /// As whom the php-fpm runs that sites share.
    #[must_use]
    pub fn php_user(&self) -> &str {
        let named = self.php.as_ref().and_then(|php| php.user.as_deref());
        named.unwrap_or(&self.sites.web_user)
    }

    /// The journal's file.
    #[must_use]
    pub fn journal_path(&self) -> PathBuf {
        self.state_dir.join("journal.sqlite")
    }

    /// The socket that `status`, `pause` and `journal` speak to.
    #[must_use]
    pub fn control_socket(&self) -> PathBuf {
        self.state_dir.join("control.sock")
    }
}
