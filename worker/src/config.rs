//! The worker's configuration: one TOML file, read and checked whole before anything starts, and again
//! at every SIGHUP. Environment variables are read by [`crate::cli`] alone: where this file lies, how much
//! is logged, and a test's orders.
//!
//! [`crate::cli`] loads it; [`crate::spoke`] is made from it.

mod backups;
mod composer;
mod mariadb;
mod postgresql;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use kolga_protocol::names::ServerName;
use serde::Deserialize;

pub use backups::{Backups, Sftp};
pub use composer::Composer;
pub use mariadb::{Mariadb, RemoteMariadb};
pub use postgresql::{Postgresql, RemotePostgresql};

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

/// Bounds.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Heavy tasks at once.
    pub heavy: usize,
    /// Light tasks at once.
    pub light: usize,
    /// Accepted tasks that may wait; the worker takes no more while so many do.
    pub backlog: usize,
    /// Seconds that running tasks get to finish after the first TERM.
    pub grace_seconds: u64,
    /// Seconds that a task may take before it is stopped and rolled back.
    pub task_timeout_seconds: u64,
    /// Seconds for which an undo, or a final step, that fails is tried again before the task is stuck: as
    /// long as a database server may be away.
    pub undo_patience_seconds: u64,
    /// Bytes of log kept of the head of one task; of what comes after it the last are kept, as many but no
    /// more than 1 MiB.
    pub log_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            heavy: 2,
            light: 16,
            backlog: 1000,
            grace_seconds: 60,
            task_timeout_seconds: 7200,
            undo_patience_seconds: 60,
            log_bytes: 1024 * 1024,
        }
    }
}

/// How every child runs: scheduled, and held together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Process {
    /// CPU niceness of children and of the worker's own work on files, 0 to 19.
    pub nice: i32,
    /// Whether the children's disk access gives way to everybody else's.
    pub io_idle: bool,
    /// Whether each command gets a cgroup of its own.
    pub cgroups: Cgroups,
}

/// Whether each command gets a cgroup of its own. Taken at start; a reload does not change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cgroups {
    /// Where the worker may make some; by process groups elsewhere.
    Auto,
    /// By process groups.
    Off,
    /// The worker does not start without.
    Require,
}

/// When heavy tasks wait. They never fail for it, and 0 turns a gate off.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gates {
    /// The load average over one minute, for each processor, above which heavy tasks wait.
    pub load_per_cpu: f64,
    /// The part of the time that something waited for memory (`some avg10` in `/proc/pressure/memory`), in
    /// percent, above which heavy tasks wait. Off where the kernel does not measure it.
    pub memory_pressure_percent: f64,
    /// Free disk where sites lie, in MiB, below which those tasks wait that take up more of it.
    pub disk_free_mib: u64,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            load_per_cpu: 5.0,
            memory_pressure_percent: 40.0,
            disk_free_mib: 512,
        }
    }
}

impl Default for Process {
    fn default() -> Self {
        Self {
            nice: 10,
            io_idle: true,
            cgroups: Cgroups::Auto,
        }
    }
}

/// Folders of sites.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sites {
    /// One folder a site, named by its host.
    pub root: PathBuf,
    /// One folder a platform.
    pub platforms: PathBuf,
    /// Platforms are built only from what lies below one of these.
    #[serde(default)]
    pub platform_sources: Vec<PathBuf>,
    /// Sites that Kolga has not made are imported only from what lies below one of these. Nothing is without.
    #[serde(default)]
    pub import_from: Vec<PathBuf>,
    /// Platforms are fetched by git only from addresses that begin with one of these, such as
    /// `https://git.example.org/shops/`.
    #[serde(default)]
    pub git_sources: Vec<String>,
    /// The user as whom nginx reads sites, and the php-fpm that they share unless `php.user` says another.
    #[serde(default = "www_data")]
    pub web_user: String,
}

/// Kinds of sites.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profiles {
    /// Folders with one folder a profile. A later one wins over an earlier and over the built-in.
    pub directories: Vec<PathBuf>,
}

/// Recipes of the operator's.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipes {
    /// Folders with one file a recipe, `NAME.toml`. Nobody but root and the worker's user may write there.
    pub directories: Vec<PathBuf>,
    /// As whom steps of recipes may run besides the worker's own user; sudoers has to allow it too.
    pub users: Vec<String>,
}

/// Pages of the operator's own, which nginx must be able to read, in place of the built-in ones.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pages {
    /// Instead of a site that is disabled: an HTML file.
    pub disabled: Option<PathBuf>,
    /// Instead of a site that a task is working on: an HTML file.
    pub maintenance: Option<PathBuf>,
}

/// What was a site's: the folder and the database of one that was deleted, the database of one that moved.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trash {
    /// Days after which the worker destroys it by itself. With 0 nothing is kept: the task itself destroys it.
    pub keep_days: u32,
}

impl Default for Trash {
    fn default() -> Self {
        Self { keep_days: 14 }
    }
}

/// What the profiles of sites have done at regular times.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cron {
    /// Whether the worker does it.
    pub enabled: bool,
}

impl Default for Cron {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// nginx, and how the worker may test and reload it. Every command is an argv; none goes to a shell.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nginx {
    /// Our one file that the operator's `http` block includes; it includes `sites_dir/*.conf`.
    pub include: PathBuf,
    /// One file a site.
    pub sites_dir: PathBuf,
    /// A whole configuration that the worker writes around one new site's file, to test it aside.
    pub staged: PathBuf,
    /// Tests the live configuration.
    pub test: Vec<String>,
    /// Tests the staged one.
    pub test_staged: Vec<String>,
    /// Makes nginx read its configuration anew.
    pub reload: Vec<String>,
    /// Where nginx writes the number of its main process, by which it is seen when a reload has come to its end.
    #[serde(default = "nginx_pid_file")]
    pub pid_file: PathBuf,
    /// The port that sites listen on.
    #[serde(default = "http_port")]
    pub port: u16,
    /// The addresses that sites listen on; all of this machine's, at `port`, when there is none here.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// A folder of the operator's with lines for nginx that single sites get besides: `<host>.conf`. Nobody but
    /// root and the worker's user may write there.
    pub snippets: Option<PathBuf>,
    /// Where the worker itself reaches nginx, to check a site.
    pub check_address: SocketAddr,
}

/// HTTPS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A folder with one a site, `<host>/fullchain.pem` and `<host>/privkey.pem`. Nobody but root and the worker's
    /// user may write there; nginx's user must be able to read it, keys too.
    pub certificates: PathBuf,
    /// The port that sites listen on.
    #[serde(default = "https_port")]
    pub port: u16,
    /// The addresses that sites listen on; all of this machine's, at `port`, when there is none here.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// Where the worker itself reaches nginx over TLS, to check a site.
    pub check_address: SocketAddr,
    /// Days before the end of a certificate from which on `site.verify` tells of it.
    #[serde(default = "warn_days")]
    pub warn_days: u32,
    /// A folder out of which each site serves what certificate authorities ask for below
    /// `/.well-known/acme-challenge/`.
    pub challenges: Option<PathBuf>,
}

/// PHP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Php {
    /// The command line interpreter.
    #[serde(default = "php_binary")]
    pub binary: PathBuf,
    /// The socket of the php-fpm that sites share; Debian's of the newest version when none is named.
    pub fpm_socket: Option<PathBuf>,
    /// As whom that one runs; as `sites.web_user`, like nginx, when nobody is named.
    pub user: Option<String>,
}

/// Pools that sites can have to themselves: php-fpms with a user each, which root has made. See `crate::pools`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pools {
    /// Holds of each `<user>.sock` and `<user>/tmp`. Nobody but root may write there.
    pub folder: PathBuf,
    /// Their users.
    pub users: Vec<String>,
}

impl Pools {
    /// What makes no sense, beside a web server of this user and PHP that sites share of that one.
    fn problems(&self, web_user: &str, php_user: &str) -> Vec<String> {
        let mut problems = Vec::new();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        let is_user = |name: &String| {
            name.len() <= 32
                && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
                && name.bytes().all(plain)
        };
        if !self.users.iter().all(is_user) {
            problems.push("pools.users must be names of users: a-z, 0-9, - and _".into());
        }
        for (number, user) in self.users.iter().enumerate() {
            if self.users[..number].contains(user)
                || [web_user, php_user, "root"].contains(&user.as_str())
            {
                problems.push(format!(
                    "pools.users: {user} has something else to do already"
                ));
            }
        }
        // Or every site that shares a pool could read what nginx may read of the others.
        if web_user == php_user {
            problems.push(
                "pools are worth something only where the php-fpm that sites share has another user than nginx: see \
                 php.user"
                    .into(),
            );
        }
        problems
    }
}

fn www_data() -> String {
    "www-data".to_owned()
}

fn nginx_pid_file() -> PathBuf {
    "/run/nginx.pid".into()
}

fn http_port() -> u16 {
    80
}

fn https_port() -> u16 {
    443
}

fn warn_days() -> u32 {
    14
}

fn php_binary() -> PathBuf {
    PathBuf::from("/usr/bin/php")
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: create it, or name another with --config")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("the configuration {path} is not right")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: toml::de::Error,
    },
    /// It can be read but makes no sense.
    #[error("the configuration {path} is not right: {}", .problems.join("; "))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All that is wrong, not only the first.
        problems: Vec<String>,
    },
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
            problems.extend(mariadb.problems());
        }
        if let Some(postgresql) = &self.postgresql {
            let socket = postgresql.socket.as_ref();
            folders.extend(socket.map(|it| ("postgresql.socket", it)));
            let remote = postgresql.remote.as_ref();
            folders.extend(remote.map(|it| ("postgresql.remote.password_file", &it.password_file)));
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
        if !self.recipes.directories.iter().all(|it| it.is_absolute()) {
            problems.push("recipes.directories must be absolute paths".into());
        }
        if !self.sites.import_from.iter().all(|it| it.is_absolute()) {
            problems.push("sites.import_from must be absolute paths".into());
        }
        let is_user = |name: &String| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            !name.is_empty() && !name.starts_with('-') && name.bytes().all(plain)
        };
        if !self.recipes.users.iter().all(is_user) {
            problems.push("recipes.users must be names of users".into());
        }
        for (name, argv) in [
            ("nginx.test", &self.nginx.test),
            ("nginx.test_staged", &self.nginx.test_staged),
            ("nginx.reload", &self.nginx.reload),
        ] {
            if !argv.first().is_some_and(|program| program.starts_with('/')) {
                problems.push(format!(
                    "{name} must begin with the absolute path of a program"
                ));
            }
        }
        if self.limits.heavy == 0 || self.limits.light == 0 || self.limits.backlog == 0 {
            problems
                .push("limits.heavy, limits.light and limits.backlog must be at least 1".into());
        }
        if !(0..=19).contains(&self.process.nice) {
            problems.push("process.nice must be between 0 and 19".into());
        }
        for (name, value) in [
            ("gates.load_per_cpu", self.gates.load_per_cpu),
            (
                "gates.memory_pressure_percent",
                self.gates.memory_pressure_percent,
            ),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                problems.push(format!("{name} must be 0 (off) or more"));
            }
        }
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
