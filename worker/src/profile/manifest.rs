//! What a `profile.toml` may say. Names, paths and modes are types, so that the parser itself points to
//! the line that is wrong; what spans several lines is checked by `super::load`.

mod import;

use std::collections::BTreeMap;

use kolga_protocol::names::{CommandName, OptionName, ProfileName};
use serde::Deserialize;

use super::engines::Engines;
use super::place::{Mode, Pattern, Place};
use super::tables::Tables;
use crate::cron::Every;
pub use import::{
    CopyRule, ForeignAddress, ForeignDatabase, ForeignEngine, ForeignPrefix, ForeignSettings,
    Import, KeepOff, Loads, Others,
};

/// One kind of site.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its name, which is also its folder's.
    pub name: ProfileName,
    /// One line for people.
    pub description: String,
    /// What a site of this kind cannot do without.
    #[serde(default)]
    pub needs: Needs,
    /// Whether its scripts, where they run as the worker's user, can open nothing but the site's folder, its platform
    /// and the system's programs.
    #[serde(default)]
    pub confined: bool,
    /// What its platforms must look like.
    pub platform: Option<Platform>,
    /// What an operator may choose for a site.
    #[serde(default)]
    pub options: BTreeMap<OptionName, OptionRule>,
    /// Secrets that are made for each site, with their lengths. The database's password is made besides.
    #[serde(default)]
    pub secrets: BTreeMap<OptionName, SecretLength>,
    /// Folders below the site's own, each after its parent.
    #[serde(default)]
    pub directories: Vec<Directory>,
    /// Links below the site's folder, to what is in the platform.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Files of the site that hold no secret.
    #[serde(default)]
    pub files: Vec<SiteFile>,
    /// The file that holds the database's account and other secrets.
    pub settings: Option<SettingsFile>,
    /// The application's own installer.
    pub installer: Option<Script>,
    /// What of the site's data has to be told of another name.
    pub relocate: Option<Script>,
    /// What of a copy's data has to be made its own: passwords, sessions.
    #[serde(rename = "clone")]
    pub copied: Option<Script>,
    /// Which of the commands brings a site's data to what another platform's code wants.
    pub update: Option<CommandName>,
    /// What is to be done at regular times.
    pub cron: Option<Cron>,
    /// Maintenance, by name.
    #[serde(default)]
    pub commands: BTreeMap<CommandName, Command>,
    /// The account that may administer a site.
    pub admin: Option<Admin>,
    /// How that account is let in by a link.
    pub login: Option<Login>,
    /// How a site that Kolga has not made becomes one of this kind.
    pub import: Option<Import>,
    /// What a backup leaves out.
    #[serde(default)]
    pub backup: Backup,
    /// How nginx serves a site.
    pub vhost: Vhost,
    /// How to see that a site works.
    pub healthy: Healthy,
}

/// What a backup leaves out, besides the settings, which hold secrets and are made anew.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// Files and folders below the site's own, such as caches.
    pub exclude: Vec<Place>,
    /// Tables of which a copy of the database holds no rows: what the application makes anew by itself.
    pub without_rows: Vec<Tables>,
}

/// What a site needs besides a folder and nginx.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Needs {
    /// Code that it shares with other sites.
    pub platform: bool,
    /// PHP.
    pub php: bool,
    /// A database and a database user, in one of these: `true` is MariaDB.
    pub database: Engines,
}

/// A platform's code.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// Files that must be there.
    pub index: Vec<Place>,
    /// Where its version stands.
    pub version: Option<VersionRule>,
    /// What is not taken over from the source.
    #[serde(default)]
    pub leave_out: Vec<Place>,
    /// Folders outside the source that links in it may lead to; what they lead to is copied.
    #[serde(default)]
    pub follow: Vec<std::path::PathBuf>,
    /// Files of the profile that are put over the source's.
    #[serde(default)]
    pub overlay: Vec<Overlay>,
    /// How to find what is installed in it.
    #[serde(default)]
    pub parts: Vec<PartRule>,
}

/// How to find plugins, themes and the like in a platform: each file that fits is one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRule {
    /// What they are: a word for people.
    pub kind: OptionName,
    /// Where the file that tells of one lies. What the first `*` stands for is its name.
    pub files: Pattern,
    /// What such a file holds; any file is one without.
    pub having: Option<String>,
    /// How to read its version out of that file.
    pub version: Between,
}

/// What stands between two texts, on one line.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Between {
    /// What stands before it.
    pub after: String,
    /// What stands behind it; it goes on to the end of the line without.
    #[serde(default)]
    pub before: String,
}

impl Between {
    /// The version that such a text tells; `None` when it tells none that is short and plain.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<String> {
        let line = text.split_once(&self.after)?.1.lines().next()?;
        let version = match self.before.as_str() {
            "" => line.trim(),
            before => line.split_once(before)?.0,
        };
        let plain = (1..=64).contains(&version.len())
            && version
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._+~-".contains(&b));
        plain.then(|| version.to_owned())
    }
}

/// How to read the application's version out of a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRule {
    /// The file, in the platform.
    pub file: Place,
    /// What stands before the version.
    pub after: String,
    /// What stands behind it.
    pub before: String,
}

impl VersionRule {
    /// The version that such a file tells; `None` when it tells none that is short and plain.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<String> {
        let between = Between {
            after: self.after.clone(),
            before: self.before.clone(),
        };
        between.read(text)
    }
}

/// A file of the profile that every platform gets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// Where, in the platform.
    pub path: Place,
    /// Which file of the profile.
    pub file: Place,
}

/// An option.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionRule {
    /// One line for people.
    pub description: String,
    /// What it is when nothing is given; may speak of `{{ host }}`.
    pub default: Option<String>,
    /// Whether there is no site without it.
    #[serde(default)]
    pub required: bool,
}

/// How many characters a secret has: letters and digits, so about six bits each.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "usize")]
pub struct SecretLength(pub usize);

impl Manifest {
    /// Every script, with a text that stands on its line.
    pub(super) fn scripts(&self) -> impl Iterator<Item = (String, &Script)> {
        let installer = self.installer.iter();
        let installer = installer.map(|script| ("[installer]".to_owned(), script));
        let commands = self.commands.iter();
        let commands =
            commands.map(|(name, command)| (format!("[commands.{name}]"), &command.script));
        let cron = self
            .cron
            .iter()
            .map(|cron| ("[cron]".to_owned(), &cron.script));
        let relocate = self.relocate.iter();
        let relocate = relocate.map(|script| ("[relocate]".to_owned(), script));
        let copied = self.copied.iter();
        let copied = copied.map(|script| ("[clone]".to_owned(), script));
        let all = installer.chain(commands).chain(cron);
        all.chain(relocate).chain(copied)
    }
}

impl TryFrom<usize> for SecretLength {
    type Error = String;

    fn try_from(length: usize) -> Result<Self, String> {
        if (16..=256).contains(&length) {
            Ok(Self(length))
        } else {
            Err("a secret has 16 to 256 characters".to_owned())
        }
    }
}

/// What the web server's user may do in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebAccess {
    /// Nothing.
    None,
    /// Read what is in it.
    Read,
    /// Put things into it.
    Write,
}

/// A folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Where, below the site's folder.
    pub path: Place,
    /// Its mode.
    pub mode: Mode,
    /// What the web server's user may do there.
    pub web: WebAccess,
}

/// A link from a site to its platform.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where, below the site's folder.
    pub path: Place,
    /// To what, in the platform.
    pub to: Place,
    /// Instead of one link, one for each thing in the platform's folder, put into the site's.
    #[serde(default)]
    pub each: bool,
    /// Whether it may be missing in the platform.
    #[serde(default)]
    pub optional: bool,
}

/// A file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteFile {
    /// Where, below the site's folder.
    pub path: Place,
    /// From which template of the profile.
    pub template: Place,
    /// Its mode. The web server's user may read it.
    pub mode: Mode,
}

/// The file with secrets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingsFile {
    /// Where, below the site's folder; outside of what nginx serves.
    pub path: Place,
    /// From which template of the profile.
    pub template: Place,
    /// Its mode; nothing for others. The web server's user may read it.
    pub mode: Mode,
}

/// A PHP script that gets the site's particulars as JSON on stdin and exits with 0 when all is well.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The script.
    pub script: Place,
    /// Which of the secrets it is told.
    #[serde(default)]
    pub secrets: Vec<OptionName>,
    /// How long it may take.
    pub timeout_seconds: u64,
    /// `php -d key=value`.
    #[serde(default)]
    pub php_settings: BTreeMap<OptionName, String>,
}

/// Maintenance that an operator may ask for by name. What it does to the site's data cannot be taken back.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "CommandTable")]
pub struct Command {
    /// One line for people.
    pub description: String,
    /// What it is.
    pub script: Script,
}

/// The same as it is written: one table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandTable {
    description: String,
    script: Place,
    #[serde(default)]
    secrets: Vec<OptionName>,
    timeout_seconds: u64,
    #[serde(default)]
    php_settings: BTreeMap<OptionName, String>,
}

impl From<CommandTable> for Command {
    fn from(table: CommandTable) -> Self {
        Self {
            description: table.description,
            script: Script {
                script: table.script,
                secrets: table.secrets,
                timeout_seconds: table.timeout_seconds,
                php_settings: table.php_settings,
            },
        }
    }
}

/// What is to be done at regular times, while the site is enabled.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "CronTable")]
pub struct Cron {
    /// How often.
    pub every: Every,
    /// What.
    pub script: Script,
}

/// The same as it is written: one table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CronTable {
    every: Every,
    script: Place,
    #[serde(default)]
    secrets: Vec<OptionName>,
    timeout_seconds: u64,
    #[serde(default)]
    php_settings: BTreeMap<OptionName, String>,
}

impl From<CronTable> for Cron {
    fn from(table: CronTable) -> Self {
        Self {
            every: table.every,
            script: Script {
                script: table.script,
                secrets: table.secrets,
                timeout_seconds: table.timeout_seconds,
                php_settings: table.php_settings,
            },
        }
    }
}

/// Who may administer a site.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The option that holds the account's name.
    pub user_option: OptionName,
}

/// A page that takes the token of a link, and where a site keeps what is open.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The page, in the platform: one of the profile's overlay.
    pub page: Place,
    /// The folder, right below the site's own, which nothing serves.
    pub folder: Place,
}

/// nginx's part.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vhost {
    /// The template of one or more `server` blocks.
    pub template: Place,
}

/// A request that a working site answers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Healthy {
    /// What to ask for, from `/`.
    pub path: String,
    /// With which status it answers.
    pub status: u16,
    /// What the answer holds.
    pub text: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_what_stands_between_two_texts() {
        let rule = VersionRule {
            file: "version.php".parse().expect("a place"),
            after: "$wp_version = '".into(),
            before: "'".into(),
        };
        let told = |text: &str| rule.read(text);
        assert_eq!(
            told("<?php\n$wp_version = '6.1.9';\n").as_deref(),
            Some("6.1.9")
        );
        assert_eq!(told("$wp_version = '6.1\n9';"), None);
        assert_eq!(told("$wp_version = '<b>';"), None);
        assert_eq!(told("nothing"), None);
    }

    #[test]
    fn the_example_that_people_copy_is_right() {
        let text = include_str!("../../profiles/README.md");
        let example = text.split("```toml\n").nth(2).expect("the second block");
        let example = example.split("```").next().expect("its end");
        let manifest: Manifest = toml::from_str(example).expect("it is read");
        assert_eq!(manifest.name.as_str(), "shop");
    }
}
