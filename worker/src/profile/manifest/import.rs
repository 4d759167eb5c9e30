//! What a manifest says of a folder that Kolga has not made: `[import]`.
//!
//! [`crate::import`] does by it.

use std::collections::BTreeMap;

use kolga_protocol::names::{Engine, OptionName};
use serde::Deserialize;

use super::Place;

/// A folder that Kolga has not made, and how a site is made of it by copy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// Files by which it is known, besides the platform's.
    #[serde(default)]
    pub index: Vec<Place>,
    /// What of it is copied.
    pub copy: Vec<CopyRule>,
    /// What of that is left out, as paths in the folder.
    #[serde(default)]
    pub leave_out: Vec<Place>,
    /// What its own settings tell.
    pub settings: Option<ForeignSettings>,
    /// Why the site stays switched off until an operator has seen to it; it does not without.
    pub stays_off: Option<String>,
}

/// What is copied, and where to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyRule {
    /// A folder in it; all of it without.
    pub from: Option<Place>,
    /// One of the site's folders.
    pub to: Place,
}

/// Settings in PHP, which are read and never run. Names are constants as `DB_NAME`, or variables as `$table_prefix`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignSettings {
    /// The file.
    pub file: Place,
    /// What it calls the database's account.
    pub database: ForeignDatabase,
    /// How it says in which server that is; without, it is the profile's own or the one that an operator names.
    pub engine: Option<ForeignEngine>,
    /// What it calls the beginning of the tables' names, and the option that this is in a site.
    pub prefix: Option<ForeignPrefix>,
    /// Names that must not be set to anything but false.
    #[serde(default)]
    pub refuse: Vec<String>,
    /// Names that must be set to this, where they are set.
    #[serde(default)]
    pub only: BTreeMap<String, String>,
    /// Options of the profile's that it tells; what the operator says comes first.
    #[serde(default)]
    pub options: BTreeMap<OptionName, String>,
    /// Names of what cannot be taken over and without which the site must not be seen.
    pub keep_off: Option<KeepOff>,
    /// How they load code that cannot be taken over, and without which the site must not be seen.
    pub loads: Option<Loads>,
    /// How the names begin of what is told when it is set and not taken over.
    pub others: Option<Others>,
    /// Where in the database the application keeps its own address.
    pub address: Option<ForeignAddress>,
}

/// The names of what makes an account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignDatabase {
    /// Of the database.
    pub name: String,
    /// Of the user.
    pub user: String,
    /// Of its password.
    pub password: String,
    /// Of the host.
    pub host: String,
    /// Of the port of a PostgreSQL.
    pub port: Option<String>,
}

/// In which server a database is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignEngine {
    /// What that is called.
    pub name: String,
    /// What it is set to for MariaDB, where it is also when it is not set.
    pub mariadb: String,
    /// What it is set to for PostgreSQL.
    pub postgresql: String,
}

/// How tables' names begin.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignPrefix {
    /// What it is called in the settings.
    pub name: String,
    /// The profile's option for it.
    pub option: OptionName,
    /// What it is where the settings do not say; they must without.
    pub default: Option<String>,
    /// In this server alone there is such a beginning.
    pub only_in: Option<Engine>,
}

/// What decides who may see a site, say.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepOff {
    /// Where one of these is set, the site stays switched off.
    pub names: Vec<String>,
    /// What is told then, behind the names.
    pub why: String,
}

/// Code that the settings load, which may decide who may see a site. What they include counts, too.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loads {
    /// The functions that load something, each given its name or several.
    pub calls: Vec<String>,
    /// What the profile's own settings load, or what decides nothing.
    #[serde(default)]
    pub known: Vec<String>,
    /// The variable with the folder of the code, with which the names of files that are included may begin.
    pub base: Option<String>,
    /// What is told where something else is loaded, behind the names.
    pub why: String,
}

/// What is told when it is not taken over.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Others {
    /// How the names begin.
    pub begin: String,
    /// Those that are made anew, or mean nothing elsewhere.
    #[serde(default)]
    pub known: Vec<String>,
}

/// The row of a table in which an address stands.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignAddress {
    /// The table, without the beginning that all have.
    pub table: OptionName,
    /// The column that names the row.
    pub key: OptionName,
    /// What it says there.
    pub is: String,
    /// The column with the address.
    pub value: OptionName,
}
