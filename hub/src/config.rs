//! The hub's configuration: one TOML file, read once at start and checked whole. The only file of the
//! hub that reads environment variables for the daemon.

mod retention;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use kolga_protocol::topology::QueueType;
use serde::Deserialize;

pub use retention::Retention;

/// Where the file lies unless somebody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/kolga/hub.toml";

/// Everything that `kolga serve` needs to know.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The hub's own folder: the API token and, by default, the database.
    #[serde(default = "state_dir")]
    pub state_dir: PathBuf,
    /// Where the API listens.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// The database.
    #[serde(default)]
    pub store: Store,
    /// The broker.
    pub broker: Broker,
    /// How tasks are looked after.
    #[serde(default)]
    pub tasks: Tasks,
    /// How long history is kept.
    #[serde(default)]
    pub retention: Retention,
}

/// The database.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `sqlite:` and a path, or `postgres://…`; `kolga.sqlite` in the state folder where left out.
    pub url: Option<String>,
}

/// The broker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// `amqp://user:password@host:port/vhost`. Holds a password: keep the file from others.
    pub url: String,
    /// How queues are kept.
    #[serde(default)]
    pub queue_type: QueueType,
}

/// How tasks are looked after.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tasks {
    /// Attempts at a task before the hub stops making new ones by itself.
    pub attempts: u32,
    /// Seconds before the second attempt; each further one waits twice as long.
    pub retry_seconds: u32,
    /// Seconds without a heartbeat after which a server counts as silent.
    pub silent_seconds: u32,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            attempts: 3,
            retry_seconds: 5,
            silent_seconds: 60,
        }
    }
}

fn state_dir() -> PathBuf {
    PathBuf::from("/var/lib/kolga")
}

fn listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7480))
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
    /// The file to read: the one named on the command line, else `KOLGA_HUB_CONFIG`, else
    /// [`DEFAULT_PATH`].
    #[must_use]
    pub fn path(named: Option<PathBuf>) -> PathBuf {
        named
            .or_else(|| std::env::var_os("KOLGA_HUB_CONFIG").map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from(DEFAULT_PATH))
    }

    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`ConfigError`] names the file and everything that is wrong in it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|source| ConfigError::Parse {
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
        if !self.state_dir.is_absolute() {
            problems.push("state_dir must be an absolute path".to_owned());
        }
        if let Some(url) = &self.store.url
            && !["sqlite:", "postgres://", "postgresql://"]
                .iter()
                .any(|scheme| url.starts_with(scheme))
        {
            problems.push("store.url must begin with sqlite: or postgres://".to_owned());
        }
        if !self.broker.url.starts_with("amqp://") {
            problems.push("broker.url must begin with amqp://".to_owned());
        }
        if !(1..=100).contains(&self.tasks.attempts) {
            problems.push("tasks.attempts must be between 1 and 100".to_owned());
        }
        if !(1..=3600).contains(&self.tasks.retry_seconds) {
            problems.push("tasks.retry_seconds must be between 1 and 3600".to_owned());
        }
        if !(2..=86_400).contains(&self.tasks.silent_seconds) {
            problems.push("tasks.silent_seconds must be between 2 and 86400".to_owned());
        }
        problems.extend(self.retention.problems());
        problems
    }

    /// Where the database is.
    #[must_use]
    pub fn store_url(&self) -> String {
        self.store
            .url
            .clone()
            .unwrap_or_else(|| format!("sqlite:{}", self.state_dir.join("kolga.sqlite").display()))
    }

    /// The file that holds the API's token.
    #[must_use]
    pub fn token_path(&self) -> PathBuf {
        self.state_dir.join("api-token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("hub.toml"))
    }

    #[test]
    fn a_broker_is_all_that_must_be_named() {
        let config = parse("[broker]\nurl = \"amqp://kolga-hub:x@127.0.0.1:5672/kolga\"")
            .expect("the rest has defaults");
        assert_eq!(config.store_url(), "sqlite:/var/lib/kolga/kolga.sqlite");
        assert_eq!(config.tasks.attempts, 3);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let error = parse(
            "state_dir = \"here\"\n[broker]\nurl = \"http://x\"\n[tasks]\nattempts = 0\n[retention]\nlogs_most = 1\n[store]\nurl = \"mysql://x\"",
        )
        .expect_err("five things are wrong")
        .to_string();
        for word in [
            "state_dir",
            "broker.url",
            "tasks.attempts",
            "retention.logs_most",
            "store.url",
        ] {
            assert!(error.contains(word), "{word} is missing in {error}");
        }
    }
}
