//! Every task that must bear every fault, and what kind of site or platform it works on. [`every`] tells which there are,
//! [`around`] makes the world ready for one, [`ask`] asks for it, and [`own`] says what it may change.

mod around;
mod ask;
pub(crate) mod backups;
pub mod brought;
pub mod certificates;
mod drift;
mod every;
pub mod foreign;
mod held;
mod moving;
mod own;
mod platform;
mod recipes;
pub mod trash;

use std::sync::LazyLock;

use kolga_protocol::names::DatabaseName;
use kolga_protocol::task::Kind;
use kolga_worker::profile::Profiles;

pub use platform::{
    NEWER_MEDIAWIKI, NEWER_PLUGIN, PLUGIN, SPARE, build_platform as platform,
    build_wiki_platform as wiki_platform, newer_mediawiki, newer_wordpress, platform_name,
};

/// A PHP site whose database is not in the server in which it would be without a choice.
pub const ON_POSTGRESQL: &str = "php-postgresql";

/// Where scenarios run.
pub const SERVER: &str = "web1";

/// One type of task, on one profile where it works with one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What is asked for.
    pub kind: Kind,
    /// Of what sort the site or the platform is: a profile's name, or [`ON_POSTGRESQL`].
    pub profile: Option<&'static str>,
}

impl Scenario {
    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> String {
        match self.profile {
            Some(profile) => format!("{} {profile}", self.kind),
            None => self.kind.to_string(),
        }
    }

    /// The host that it works on; one that is not there for what works on none.
    #[must_use]
    pub fn host(self) -> String {
        format!("{}.kolga.test", self.profile.unwrap_or("none"))
    }

    /// Whether its site has its database in PostgreSQL.
    #[must_use]
    pub fn is_on_postgresql(self) -> bool {
        self.profile == Some(ON_POSTGRESQL)
    }

    /// The database that the site has.
    #[must_use]
    pub fn database(self) -> Option<String> {
        let wanted = self.is_a_site()
            && self
                .profile
                .is_some_and(|profile| needs(profile).database.any());
        let host = self.host().parse().expect("a host");
        wanted.then(|| DatabaseName::for_site(&host).to_string())
    }

    /// Whether its site is made of what Kolga has not made.
    #[must_use]
    pub fn copies_a_stranger(self) -> bool {
        self.kind == Kind::SiteImport && self.profile != Some("php")
    }

    /// Whether the spoke keeps what it needs no more: only where that is what is tried. Of the sites that are deleted
    /// one goes there, files and database; the others are destroyed.
    #[must_use]
    pub fn keeps_trash(self) -> bool {
        match self.kind {
            Kind::TrashRestore | Kind::TrashEmpty => true,
            Kind::SiteDelete => self.profile == Some("php"),
            _ => false,
        }
    }

    /// Whether there has to be a backup of its site.
    pub(super) fn needs_a_backup(self) -> bool {
        let looks = [
            Kind::SiteRestore,
            Kind::SiteReceive,
            Kind::BackupVerify,
            Kind::BackupExtract,
        ];
        looks.contains(&self.kind) || self.removes_backups()
    }

    pub(super) fn removes_backups(self) -> bool {
        matches!(self.kind, Kind::BackupDelete | Kind::BackupPrune)
    }

    /// Whether it works on a site of its own.
    #[must_use]
    pub fn is_a_site(self) -> bool {
        self.profile.is_some() && !self.is_a_platform()
    }

    pub(super) fn is_a_platform(self) -> bool {
        let kinds = [
            Kind::PlatformBuild,
            Kind::PlatformVerify,
            Kind::PlatformDelete,
        ];
        kinds.contains(&self.kind)
    }

    /// Whether its site has a pool of php-fpm to itself: where that is taken, given back, and kept for what is in the
    /// trash. All else is tried with sites that share one.
    pub(super) fn has_its_own_pool(self) -> bool {
        let kinds = [
            Kind::SiteInstall,
            Kind::SiteDelete,
            Kind::TrashRestore,
            Kind::TrashEmpty,
        ];
        self.profile == Some("php") && kinds.contains(&self.kind)
    }

    /// One is enough: each try starts restic twice, which derives its key anew.
    pub(super) fn is_deletion_with_backup(self) -> bool {
        self.kind == Kind::SiteDelete && self.profile == Some("static")
    }

    /// Whether its site or platform is of a sort that has platforms: their code is much, and takes long to install.
    #[must_use]
    pub fn is_on_a_platform(self) -> bool {
        self.profile.is_some_and(|profile| needs(profile).platform)
    }

    pub(super) fn platform(self) -> Option<&'static str> {
        let profile = self.profile?;
        let wanted = needs(profile).platform;
        wanted.then(|| platform::shared(profile))
    }
}

/// The built-in profiles whose code every machine can have.
fn tried_profiles() -> Vec<&'static str> {
    let all = kolga_worker::profile::built_in_names().into_iter();
    all.filter(|name| !brought::is_brought(name)).collect()
}

/// The built-in profiles.
static PROFILES: LazyLock<Profiles> = LazyLock::new(|| Profiles::load(&[]));

/// A command that the profile offers.
fn command(profile: &str) -> Option<String> {
    let profile = PROFILES.get(&profile.parse().expect("a name"));
    let commands = &profile.expect("a built-in profile").manifest.commands;
    commands.keys().next().map(ToString::to_string)
}

/// The profile itself.
fn plain(profile: &str) -> &str {
    profile.strip_suffix("-postgresql").unwrap_or(profile)
}

/// What the profile itself says that its sites need.
fn needs(profile: &str) -> kolga_worker::profile::manifest::Needs {
    let name = plain(profile).parse().expect("a profile's name");
    PROFILES
        .get(&name)
        .expect("a built-in profile")
        .manifest
        .needs
}
