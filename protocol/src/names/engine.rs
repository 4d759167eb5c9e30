//! Which database server a site has its data in.

use serde::{Deserialize, Serialize};

/// The option of a site by which it is asked for, where its profile leaves the choice.
pub const DATABASE_OPTION: &str = "database";

/// A database server. As text `mariadb` or `postgresql`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// MariaDB, and MySQL. What records of before there was a choice mean.
    #[default]
    Mariadb,
    /// PostgreSQL.
    Postgresql,
}

impl Engine {
    /// All of them, the one first that a site gets where both are as good.
    pub const ALL: [Self; 2] = [Self::Mariadb, Self::Postgresql];

    /// Its name: of the option's value, and of the table in the worker's configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mariadb => "mariadb",
            Self::Postgresql => "postgresql",
        }
    }

    /// Its name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Mariadb => "MariaDB",
            Self::Postgresql => "PostgreSQL",
        }
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|engine| engine.as_str() == text);
        found.ok_or_else(|| format!("a database is mariadb or postgresql, and not {text:?}"))
    }
}
