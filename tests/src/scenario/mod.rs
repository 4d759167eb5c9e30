//! Every task that must bear every fault: asked from the code, so that a new type of task or a new profile
//! cannot be forgotten. How to make the world ready for one, how to ask for it, and how to tidy up after it.

pub(crate) mod backups;
pub mod brought;
pub mod certificates;
mod drift;
pub mod foreign;
mod held;
mod moving;
mod platform;
mod recipes;
pub mod trash;

use std::sync::LazyLock;

use kolga_protocol::names::DatabaseName;
use kolga_protocol::task::Kind;
use kolga_worker::profile::Profiles;
use serde_json::{Value, json};

use crate::hub::{Hub, Request};
use crate::stack::Stack;
use crate::world;

pub use platform::{
    NEWER_MEDIAWIKI, NEWER_PLUGIN, PLUGIN, SPARE, build_platform as platform,
    build_wiki_platform as wiki_platform, newer_mediawiki, newer_wordpress, platform_name,
};

/// At the end of a database's name: an underscore and ten of a hash.
const DIGITS: usize = 11;

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
    fn profiles(kind: Kind) -> Vec<Option<&'static str>> {
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

    /// Tells whether a thing in the world is this scenario's to change. A world has thousands of things, so
    /// what is looked for is put together once.
    pub fn owns(self) -> impl Fn(&str) -> bool {
        // One that a task makes a second database for has that one's name too, but for the digits at the end.
        let stem = |name: String| match self.kind {
            Kind::SiteRestore => name[..name.len() - DIGITS].to_owned(),
            _ => name,
        };
        let (host, database) = (self.host(), self.database().map(stem));
        let is_build = self.is_a_platform();
        let (keeps_trash, own_pool) = (self.keeps_trash(), self.has_its_own_pool());
        let makes = [Kind::SiteBackup, Kind::SiteHold];
        let is_backup = makes.contains(&self.kind) || self.is_deletion_with_backup();
        let is_backup = is_backup || self.removes_backups();
        let extracts = self.kind == Kind::BackupExtract;
        let stems = match self.kind {
            Kind::SiteMigrate | Kind::SiteClone => self.database_stems(),
            _ => Vec::new(),
        };
        // The site that is there is none of what a copy may change.
        let (host, database) = match (self.kind, self.new_host()) {
            (Kind::SiteClone, Some(new)) => (new, None),
            _ => (host, database),
        };
        // In grants the underscores of a database's name are escaped.
        let escaped = database.as_deref().map(|name| name.replace('_', "\\_"));
        move |name| {
            let named = |wanted: &Option<String>| wanted.as_ref().is_some_and(|w| name.contains(w));
            name.contains(&host)
                || named(&database)
                || named(&escaped)
                || stems.iter().any(|stem| name.contains(stem))
                || is_backup && name == backups::SNAPSHOTS
                || is_build && name.contains("/try")
                || extracts && name.contains(&format!("/{}", backups::EXTRACTED))
                || (own_pool || self.kind == Kind::SitePool) && name.contains("/state/pools/")
                || keeps_trash && (name.contains("/.trash") || name.contains("/trash/"))
        }
    }

    /// What has to be there once, before all tries.
    pub async fn prepare(self, hub: &Hub, stack: &Stack) {
        if matches!(self.kind, Kind::PlatformDelete | Kind::PlatformVerify) {
            platform::build(hub, stack, self.profile.expect("a profile")).await;
        }
        if self.is_a_site() && self.platform().is_some() {
            platform::for_sites(hub, stack, self.profile.expect("a profile")).await;
        }
        if self.kind == Kind::SiteMigrate && self.platform().is_some() {
            platform::next(hub, stack, self.profile.expect("a profile")).await;
        }
        if self.copies_a_stranger() && self.platform().is_some() {
            self.install(hub).await;
            let database = self.database().expect("it has one");
            match self.profile {
                Some("mediawiki") => foreign::put_mediawiki(stack, &database).await,
                _ => foreign::put_wordpress(stack, &database).await,
            }
            self.delete(hub).await;
        } else if self.copies_a_stranger() {
            foreign::put(stack);
        } else if self.is_a_site() && self.kind != Kind::SiteInstall {
            self.install(hub).await;
        }
        if self.kind == Kind::SiteImport && !self.copies_a_stranger() {
            self.hand_over(hub).await;
        }
        if self.kind == Kind::SiteHttps {
            certificates::put(stack, SERVER, &self.host());
        }
        if self.kind == Kind::SiteVerify {
            drift::disturb(self, stack).await;
        }
        if matches!(self.kind, Kind::TrashRestore | Kind::TrashEmpty) {
            self.delete(hub).await;
        }
        if self.kind == Kind::BackupPrune {
            self.on_the_site(hub, Kind::SiteBackup).await;
        }
        if self.needs_a_backup() {
            self.on_the_site(hub, Kind::SiteBackup).await;
            world::cheapen(stack, SERVER);
            backups::save(stack);
        }
        if self.kind == Kind::SiteEnable {
            self.on_the_site(hub, Kind::SiteDisable).await;
        }
        self.prepare_to_hold(hub, stack).await;
    }

    /// How to ask for it.
    #[must_use]
    pub fn request(self, stack: &Stack, number: usize) -> Request {
        let task = |params: Value| {
            let body = json!({"server": SERVER, "kind": self.kind.as_str(), "params": params});
            Request::post("/v1/tasks", body)
        };
        match self.kind {
            Kind::Ping
            | Kind::ServerVerify
            | Kind::ServerInventory
            | Kind::TrashList
            | Kind::RecipeList
            | Kind::BackupList => task(json!({})),
            Kind::RecipeRun => self.site_task(self.kind, recipes::notice()),
            Kind::SiteBackup => self.site_task(self.kind, json!({})),
            Kind::SiteNames => self.site_task(self.kind, self.other_names(true)),
            Kind::SiteHttps => self.site_task(self.kind, json!({"https": "redirect"})),
            Kind::SitePool => self.site_task(self.kind, json!({"own": true})),
            Kind::SiteRestore => self.site_task(self.kind, json!({"backup": backups::only(stack)})),
            Kind::BackupVerify => task(json!({"backup": backups::only(stack)})),
            Kind::BackupDelete => {
                task(json!({"site": self.host(), "backup": backups::only(stack), "last": true}))
            }
            Kind::BackupPrune => task(json!({"daily": 1, "weekly": 0, "monthly": 0})),
            Kind::BackupExtract => {
                task(json!({"backup": backups::only(stack), "folder": backups::FOLDER}))
            }
            Kind::TrashRestore => trash::restore(stack),
            Kind::TrashEmpty => trash::empty(stack),
            Kind::ServerPrint => task(json!({"lines": 50})),
            Kind::PlatformBuild => {
                let profile = self.profile.expect("a profile");
                // One profile's from a commit and with composer, so that both ways are broken.
                let (source, composer) = match profile {
                    "mediawiki" => (platform::commit(stack, profile), true),
                    _ => (platform::archive(stack, profile), false),
                };
                let name = platform_name(number);
                let body = json!({"name": name, "server": SERVER, "profile": self.profile, "source": source,
                    "composer": composer});
                Request::post("/v1/platforms", body)
            }
            Kind::PlatformVerify => platform::verification(),
            Kind::PlatformDelete => platform::deletion(),
            Kind::SiteMigrate => self.move_there(),
            Kind::SiteImport => {
                let path = format!("/v1/sites/{}/import", self.host());
                let from = self.copies_a_stranger().then(|| foreign::folder(stack));
                let platform = self.copies_a_stranger().then(|| self.platform()).flatten();
                Request::post(
                    &path,
                    json!({"server": SERVER, "from": from, "platform": platform}),
                )
            }
            Kind::SiteClone => self.copy(),
            Kind::SiteLogin => self.site_task(self.kind, json!({"seal": "0a".repeat(32)})),
            Kind::SiteHold | Kind::SiteRelease => self.site_task(self.kind, json!({})),
            Kind::SiteReceive => task(self.coming(stack)),
            Kind::SiteInstall => self.installation(),
            Kind::SiteDelete => self.deletion(self.is_deletion_with_backup()),
            Kind::SiteRun => {
                let command = self.profile.and_then(command);
                self.site_task(self.kind, json!({"command": command}))
            }
            Kind::SiteEnable | Kind::SiteDisable | Kind::SiteVerify => {
                self.site_task(self.kind, json!({}))
            }
        }
    }

    /// Makes the world ready for the next try after one that did all that it should.
    pub async fn after(self, hub: &Hub, stack: &Stack, number: usize) {
        match self.kind {
            Kind::Ping
            | Kind::ServerVerify
            | Kind::ServerInventory
            | Kind::ServerPrint
            | Kind::TrashList
            | Kind::RecipeList
            | Kind::BackupList => {}
            Kind::RecipeRun => {
                let task = self.site_task(self.kind, recipes::no_notice());
                let task = hub.ask(&task).await;
                hub.succeeds(&task).await;
            }
            Kind::SiteBackup => backups::forget(stack),
            Kind::BackupVerify => {}
            Kind::BackupDelete | Kind::BackupPrune => backups::put_back(stack),
            Kind::BackupExtract => backups::remove_extracted(stack),
            Kind::PlatformBuild => platform::remove(hub, &platform_name(number)).await,
            Kind::PlatformVerify => platform::disturb(stack),
            Kind::PlatformDelete => {
                platform::build(hub, stack, self.profile.expect("a profile")).await
            }
            Kind::TrashRestore => self.delete(hub).await,
            Kind::TrashEmpty => {
                self.install(hub).await;
                self.delete(hub).await;
            }
            Kind::SiteMigrate => self.move_back(hub).await,
            Kind::SiteImport if self.copies_a_stranger() => self.delete(hub).await,
            Kind::SiteImport => self.hand_over(hub).await,
            Kind::SiteClone => self.delete_copy(hub).await,
            Kind::SiteLogin => self.forget_login(stack),
            Kind::SiteHold => self.release(hub, stack).await,
            Kind::SiteRelease => self.hold(hub, stack).await,
            Kind::SiteReceive => self.delete(hub).await,
            Kind::SiteInstall => self.delete(hub).await,
            Kind::SiteDelete => {
                if self.keeps_trash() {
                    let task = hub.ask(&trash::empty(stack)).await;
                    hub.succeeds(&task).await;
                }
                if self.is_deletion_with_backup() {
                    backups::forget(stack);
                }
                self.install(hub).await;
            }
            Kind::SiteEnable => self.on_the_site(hub, Kind::SiteDisable).await,
            Kind::SiteDisable => self.on_the_site(hub, Kind::SiteEnable).await,
            Kind::SiteNames => self.change_names(hub, false).await,
            Kind::SitePool => {
                let back = self.site_task(self.kind, json!({"own": false}));
                let task = hub.ask(&back).await;
                hub.succeeds(&task).await;
            }
            Kind::SiteHttps => {
                let off = self.site_task(Kind::SiteHttps, json!({"https": "off"}));
                let task = hub.ask(&off).await;
                hub.succeeds(&task).await;
            }
            // It is as it was when it was backed up.
            Kind::SiteRun | Kind::SiteRestore => {}
            Kind::SiteVerify => drift::disturb(self, stack).await,
        }
    }

    async fn install(self, hub: &Hub) {
        let task = hub.ask(&self.installation()).await;
        hub.succeeds(&task).await;
    }

    async fn delete(self, hub: &Hub) {
        let task = hub.ask(&self.deletion(false)).await;
        hub.succeeds(&task).await;
    }

    /// Whether its site is made of what Kolga has not made.
    #[must_use]
    pub fn copies_a_stranger(self) -> bool {
        self.kind == Kind::SiteImport && self.profile != Some("php")
    }

    /// The hub knows nothing of the site any more.
    async fn hand_over(self, hub: &Hub) {
        let path = format!("/v1/sites/{}/hand_over", self.host());
        hub.post(&path, &json!({})).await;
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

    /// Whether there has to be a backup of its site.
    fn needs_a_backup(self) -> bool {
        let looks = [
            Kind::SiteRestore,
            Kind::SiteReceive,
            Kind::BackupVerify,
            Kind::BackupExtract,
        ];
        looks.contains(&self.kind) || self.removes_backups()
    }

    fn removes_backups(self) -> bool {
        matches!(self.kind, Kind::BackupDelete | Kind::BackupPrune)
    }

    async fn on_the_site(self, hub: &Hub, kind: Kind) {
        let task = hub.ask(&self.site_task(kind, json!({}))).await;
        hub.succeeds(&task).await;
    }

    /// Whether it works on a site of its own.
    #[must_use]
    pub fn is_a_site(self) -> bool {
        self.profile.is_some() && !self.is_a_platform()
    }

    fn is_a_platform(self) -> bool {
        let kinds = [
            Kind::PlatformBuild,
            Kind::PlatformVerify,
            Kind::PlatformDelete,
        ];
        kinds.contains(&self.kind)
    }

    /// Names that it has not, and another main one; or those that it had.
    fn other_names(self, other: bool) -> Value {
        let name = |below: &str| format!("{below}.{}", self.host());
        let (main, wild, leading) = (name("www"), name("*"), name("old"));
        match other {
            true => json!({"main": main, "serve": [wild], "redirect": [leading]}),
            false => json!({"main": self.host(), "remove": [main, wild, leading]}),
        }
    }

    async fn change_names(self, hub: &Hub, other: bool) {
        let change = self.site_task(Kind::SiteNames, self.other_names(other));
        let task = hub.ask(&change).await;
        hub.succeeds(&task).await;
    }

    /// What nobody has used.
    fn forget_login(self, stack: &Stack) {
        let folder = stack.spoke(SERVER, "sites_root").join(self.host());
        let open = std::fs::read_dir(folder.join("login")).expect("a folder");
        let open: Vec<_> = open.flatten().map(|entry| entry.path()).collect();
        assert_eq!(open.len(), 1, "{open:?}");
        std::fs::remove_file(&open[0]).expect("removed");
    }

    fn site_task(self, kind: Kind, params: Value) -> Request {
        let body = json!({"kind": kind.as_str(), "params": params});
        Request::post(&format!("/v1/sites/{}/tasks", self.host()), body)
    }

    fn installation(self) -> Request {
        let mut options = json!({});
        if self.has_its_own_pool() {
            options["pool"] = "own".into();
        }
        if self.is_on_postgresql() {
            options["database"] = "postgresql".into();
        }
        if self.profile.is_some_and(brought::is_brought) {
            // The steps are the same, and what Drupal does within one is much.
            options["install_profile"] = "minimal".into();
        }
        let body = json!({
            "host": self.host(), "server": SERVER, "profile": self.profile.map(plain),
            "platform": self.platform(), "aliases": [], "options": options,
        });
        Request::post("/v1/sites", body)
    }

    /// Whether its site has a pool of php-fpm to itself: where that is taken, given back, and kept for what is in the
    /// trash. All else is tried with sites that share one.
    fn has_its_own_pool(self) -> bool {
        let kinds = [
            Kind::SiteInstall,
            Kind::SiteDelete,
            Kind::TrashRestore,
            Kind::TrashEmpty,
        ];
        self.profile == Some("php") && kinds.contains(&self.kind)
    }

    fn deletion(self, backup: bool) -> Request {
        let how = if backup { "" } else { "?no_backup=true" };
        Request::delete(&format!("/v1/sites/{}{how}", self.host()))
    }

    /// One is enough: each try starts restic twice, which derives its key anew.
    fn is_deletion_with_backup(self) -> bool {
        self.kind == Kind::SiteDelete && self.profile == Some("static")
    }

    /// Whether its site or platform is of a sort that has platforms: their code is much, and takes long to install.
    #[must_use]
    pub fn is_on_a_platform(self) -> bool {
        self.profile.is_some_and(|profile| needs(profile).platform)
    }

    fn platform(self) -> Option<&'static str> {
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

    #[test]
    fn a_scenario_owns_its_own_things_and_no_neighbours() {
        let install = Scenario {
            kind: Kind::SiteInstall,
            profile: Some("php"),
        };
        let owns = install.owns();
        let database = install.database().expect("PHP sites have one");
        assert!(owns("file /s/php.kolga.test/docroot"));
        assert!(owns(&format!("table {database}.x")));
        let escaped = database.replace('_', "\\_");
        assert!(owns(&format!("grant GRANT ALL ON `{escaped}`.* TO x")));
        assert!(!owns("file /s/neighbour.kolga.test/docroot"));
        assert!(!owns("file /s"));
    }
}
