//! How a scenario's task is asked for.

use kolga_protocol::task::Kind;
use serde_json::{Value, json};

use super::{
    SERVER, Scenario, backups, brought, command, foreign, plain, platform, platform_name, recipes,
    trash,
};
use crate::hub::Request;
use crate::stack::Stack;

impl Scenario {
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

    pub(super) fn site_task(self, kind: Kind, params: Value) -> Request {
        let body = json!({"kind": kind.as_str(), "params": params});
        Request::post(&format!("/v1/sites/{}/tasks", self.host()), body)
    }

    pub(super) fn installation(self) -> Request {
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

    pub(super) fn deletion(self, backup: bool) -> Request {
        let how = if backup { "" } else { "?no_backup=true" };
        Request::delete(&format!("/v1/sites/{}{how}", self.host()))
    }

    /// Names that it has not, and another main one; or those that it had.
    pub(super) fn other_names(self, other: bool) -> Value {
        let name = |below: &str| format!("{below}.{}", self.host());
        let (main, wild, leading) = (name("www"), name("*"), name("old"));
        match other {
            true => json!({"main": main, "serve": [wild], "redirect": [leading]}),
            false => json!({"main": self.host(), "remove": [main, wild, leading]}),
        }
    }
}
