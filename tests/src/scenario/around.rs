//! What is done around the tries of a scenario: the world is made ready once, and again after each that did all it should.

use kolga_protocol::task::Kind;
use serde_json::json;

use super::{
    SERVER, Scenario, backups, certificates, drift, foreign, platform, platform_name, recipes,
    trash,
};
use crate::hub::Hub;
use crate::stack::Stack;
use crate::world;

impl Scenario {
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

    pub(super) async fn install(self, hub: &Hub) {
        let task = hub.ask(&self.installation()).await;
        hub.succeeds(&task).await;
    }

    pub(super) async fn delete(self, hub: &Hub) {
        let task = hub.ask(&self.deletion(false)).await;
        hub.succeeds(&task).await;
    }

    /// The hub knows nothing of the site any more.
    pub(super) async fn hand_over(self, hub: &Hub) {
        let path = format!("/v1/sites/{}/hand_over", self.host());
        hub.post(&path, &json!({})).await;
    }

    pub(super) async fn on_the_site(self, hub: &Hub, kind: Kind) {
        let task = hub.ask(&self.site_task(kind, json!({}))).await;
        hub.succeeds(&task).await;
    }

    pub(super) async fn change_names(self, hub: &Hub, other: bool) {
        let change = self.site_task(Kind::SiteNames, self.other_names(other));
        let task = hub.ask(&change).await;
        hub.succeeds(&task).await;
    }

    /// What nobody has used.
    pub(super) fn forget_login(self, stack: &Stack) {
        let folder = stack.spoke(SERVER, "sites_root").join(self.host());
        let open = std::fs::read_dir(folder.join("login")).expect("a folder");
        let open: Vec<_> = open.flatten().map(|entry| entry.path()).collect();
        assert_eq!(open.len(), 1, "{open:?}");
        std::fs::remove_file(&open[0]).expect("removed");
    }
}
