//! Which scenarios there are: every type of task on every profile that it makes sense with, asked from the code, so that a
//! new type of task or a new profile cannot be forgotten; and how much of each is broken.

use kolga_protocol::task::Kind;

use super::{ON_POSTGRESQL, Scenario, brought, command, needs, tried_profiles};

impl Scenario {
    /// All of them: every type of task, on every built-in profile that it can be asked for with.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let of = |&kind: &Kind| {
            let profiles = Self::profiles(kind);
            profiles
                .into_iter()
                .map(move |profile| Self { kind, profile })
        };
        Kind::ALL.iter().flat_map(of).collect()
    }

    /// A type of task that is not here does not compile.
    pub(super) fn profiles(kind: Kind) -> Vec<Option<&'static str>> {
        let all = tried_profiles();
        // A MediaWiki's steps are a WordPress's, so it is enough to break what differs: its code and its installer.
        let built_in = all.iter().copied().filter(|&name| name != "mediawiki");
        let built_in: Vec<&str> = built_in.collect();
        match kind {
            Kind::Ping
            | Kind::ServerVerify
            | Kind::ServerInventory
            | Kind::ServerPrint
            | Kind::TrashList
            | Kind::RecipeList
            | Kind::BackupList => vec![None],
            // Of a site's sort it knows nothing.
            Kind::RecipeRun => vec![Some("static")],
            Kind::TrashRestore | Kind::TrashEmpty => vec![Some("static"), Some("php")],
            // One that goes to another name and one that goes to another platform, both with a database; without one there
            // are fewer of the same steps.
            // The first also with its database in another server.
            Kind::SiteMigrate => vec![Some("php"), Some(ON_POSTGRESQL), Some("wordpress")],
            // One step, and only with a page that takes a token.
            Kind::SiteLogin => vec![Some("wordpress")],
            // With a database, and with scripts on the copy of one.
            Kind::SiteClone => vec![Some("php"), Some("wordpress")],
            // With a database. That a site goes which has moved is tried as site.delete.
            Kind::SiteHold | Kind::SiteReceive | Kind::SiteRelease => vec![Some("php")],
            // One that Kolga has made, with a database; and three that it has not, two of them with a database.
            Kind::SiteImport => {
                vec![
                    Some("php"),
                    Some("static"),
                    Some("wordpress"),
                    Some("mediawiki"),
                ]
            }
            Kind::PlatformBuild => all
                .into_iter()
                .filter(|profile| needs(profile).platform)
                .map(Some)
                .collect(),
            Kind::PlatformVerify | Kind::PlatformDelete => built_in
                .into_iter()
                .filter(|profile| needs(profile).platform)
                .map(Some)
                .collect(),
            Kind::SiteRun => built_in
                .into_iter()
                .filter(|profile| command(profile).is_some())
                .map(Some)
                .collect(),
            // Each try derives restic's key anew, which takes a second; the steps of the others are among WordPress's.
            Kind::SiteRestore => vec![Some("wordpress")],
            // Of a site's sort they know nothing.
            Kind::BackupVerify | Kind::BackupDelete | Kind::BackupPrune | Kind::BackupExtract => {
                vec![Some("static")]
            }
            Kind::SiteInstall => all.into_iter().chain([ON_POSTGRESQL]).map(Some).collect(),
            Kind::SiteDelete => all.into_iter().map(Some).collect(),
            // One with settings that know the site's address, and one without.
            Kind::SiteNames => vec![Some("static"), Some("wordpress")],
            // The steps are those of site.names.
            Kind::SiteHttps => vec![Some("static")],
            // One with settings.
            Kind::SitePool => vec![Some("php")],
            // Also with an account in another server.
            Kind::SiteVerify => {
                let all = built_in.into_iter().chain([ON_POSTGRESQL]);
                all.map(Some).collect()
            }
            Kind::SiteEnable | Kind::SiteDisable | Kind::SiteBackup => {
                built_in.into_iter().map(Some).collect()
            }
        }
    }

    /// The steps by which it differs from the same task of another profile, where these are all that it differs in: its own
    /// scripts and texts, or another server of databases.
    #[must_use]
    pub fn differs_in(self) -> &'static [&'static str] {
        match (self.kind, self.profile) {
            (Kind::SiteClone | Kind::SiteImport, Some("wordpress"))
            | (Kind::SiteImport, Some("mediawiki")) => &["run_upgrade"],
            // What nginx is told of it is the profile's own text.
            (Kind::SiteEnable | Kind::SiteDisable, Some("wordpress")) => &["swap_vhost"],
            // As a WordPress, with folders of other names.
            (Kind::SiteDelete, Some("mediawiki")) => &["trash_site"],
            // As a plain PHP's, with links into a platform.
            (Kind::SiteVerify, Some("wordpress")) => &["mend_site"],
            (Kind::SiteVerify, Some(ON_POSTGRESQL)) => &["mend_database_user"],
            (Kind::SiteMigrate, Some(ON_POSTGRESQL)) => &[
                "close_database",
                "dump_database",
                "create_database_user",
                "create_database",
                "import_database",
                "drop_database",
                "drop_database_user",
            ],
            _ => &[],
        }
    }

    /// Whether its steps are to begin with a full disk: tasks that write, in a profile whose disks are small.
    #[must_use]
    pub fn meets_a_full_disk(self) -> bool {
        if self.profile.is_some_and(brought::is_brought) {
            // It would not fit.
            return false;
        }
        match self.kind {
            Kind::SiteInstall | Kind::SiteClone => self.profile == Some("php"),
            // One with another name, and one with another platform.
            Kind::SiteMigrate => self.profile != Some("static"),
            Kind::SiteBackup
            | Kind::SiteNames
            | Kind::SiteEnable
            | Kind::SiteDisable
            | Kind::SiteVerify
            | Kind::TrashRestore => self.profile == Some("static"),
            Kind::SiteRestore | Kind::PlatformBuild => self.profile == Some("wordpress"),
            Kind::SiteDelete => self.profile == Some("php"),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_task_and_every_built_in_profile_has_a_scenario() {
        let all = Scenario::all();
        for &kind in Kind::ALL {
            assert!(all.iter().any(|scenario| scenario.kind == kind), "{kind}");
        }
        for profile in tried_profiles() {
            for kind in [Kind::SiteInstall, Kind::SiteDelete] {
                let wanted = Scenario {
                    kind,
                    profile: Some(profile),
                };
                assert!(all.contains(&wanted), "{}", wanted.name());
            }
        }
    }
}
