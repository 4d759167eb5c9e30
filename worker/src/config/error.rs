//! What is wrong with the file: that it cannot be read, is not TOML, or makes no sense.

use std::path::PathBuf;

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
