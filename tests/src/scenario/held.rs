//! Sites that are held, come back, or are made of what another server has held.

use serde_json::{Value, json};

use super::{SERVER, Scenario, backups};
use crate::hub::Hub;
use crate::stack::Stack;
use kolga_protocol::task::Kind;

impl Scenario {
    pub(super) async fn prepare_to_hold(self, hub: &Hub, stack: &Stack) {
        match self.kind {
            Kind::SiteHold => {
                // So that there is a repository, whose key costs nothing.
                self.on_the_site(hub, Kind::SiteBackup).await;
                backups::forget(stack);
            }
            Kind::SiteRelease => self.hold(hub, stack).await,
            // It is on no server, but in the backups.
            Kind::SiteReceive => self.delete(hub).await,
            _ => {}
        }
    }

    pub(super) async fn hold(self, hub: &Hub, stack: &Stack) {
        self.on_the_site(hub, Kind::SiteHold).await;
        backups::forget(stack);
    }

    pub(super) async fn release(self, hub: &Hub, stack: &Stack) {
        self.on_the_site(hub, Kind::SiteRelease).await;
        backups::forget(stack);
    }

    /// As if another server had held it whose sites lie elsewhere.
    pub(super) fn coming(self, stack: &Stack) -> Value {
        let offer = json!({
            "repository": "", "profile": self.profile, "platform": null, "version": null,
            "names": {}, "https": "off", "options": {}, "enabled": true, "imported": false, "snippet": false,
            "secrets": false, "url": format!("http://{}", self.host()),
            "folder": format!("/srv/kolga/sites/{}", self.host()), "code": null, "uid": stack.uid(),
            "bytes": 1_000, "database_bytes": 1_000,
        });
        json!({"site": self.host(), "from": SERVER, "offer": offer, "backup": backups::only(stack)})
    }
}
