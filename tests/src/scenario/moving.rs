//! Sites that move: to another platform where there is one, to another name where not, and back again. And copies of
//! sites, which have another name too.

use serde_json::{Value, json};

use super::{Scenario, brought, platform};
use crate::hub::{Hub, Request};
use kolga_protocol::names::DatabaseName;
use kolga_protocol::task::Kind;

impl Scenario {
    /// The name that its site is to get, or a copy of it; nothing where there is no other.
    #[must_use]
    pub fn new_host(self) -> Option<String> {
        let below = match self.kind {
            Kind::SiteMigrate if self.platform().is_none() => "renamed",
            Kind::SiteClone => "copy",
            _ => return None,
        };
        Some(format!("{below}.{}", self.host()))
    }

    /// The database that a copy of its site is to have.
    #[must_use]
    pub fn new_database(self) -> Option<String> {
        let new = self.new_host().filter(|_| self.kind == Kind::SiteClone)?;
        let host = new.parse().expect("a host");
        self.database()
            .map(|_| DatabaseName::for_site(&host).to_string())
    }

    /// How the names of all databases begin that its site, or the copy, gets in the course of time, in grants too.
    pub(super) fn database_stems(self) -> Vec<String> {
        let own = (self.kind == Kind::SiteMigrate).then(|| self.host());
        let hosts = [own, self.new_host()].into_iter().flatten();
        let stems = hosts.map(|host| {
            let name = DatabaseName::for_site(&host.parse().expect("a host"));
            let (stem, _) = name.as_str().rsplit_once('_').expect("digits at the end");
            format!("{stem}_")
        });
        stems
            .flat_map(|stem| [stem.replace('_', "\\_"), stem])
            .collect()
    }

    pub(super) fn move_there(self) -> Request {
        match self.new_host() {
            Some(new) => migration(&self.host(), json!({"host": new})),
            None => migration(&self.host(), json!({"platform": platform::NEXT})),
        }
    }

    pub(super) fn copy(self) -> Request {
        self.site_task(self.kind, json!({"to": self.new_host()}))
    }

    pub(super) async fn delete_copy(self, hub: &Hub) {
        let task = hub.delete(&self.new_host().expect("a name")).await;
        hub.succeeds(&task).await;
    }

    /// The site is what it was before. From newer code no way leads back, so it is another of the same name then.
    pub(super) async fn move_back(self, hub: &Hub) {
        if self.profile.is_some_and(brought::is_brought) && brought::is_newer() {
            self.delete(hub).await;
            self.install(hub).await;
            return;
        }
        let back = match self.new_host() {
            Some(new) => migration(&new, json!({"host": self.host()})),
            None => migration(&self.host(), json!({"platform": self.platform()})),
        };
        let task = hub.ask(&back).await;
        hub.succeeds(&task).await;
    }
}

fn migration(host: &str, params: Value) -> Request {
    let body = json!({"kind": Kind::SiteMigrate.as_str(), "params": params});
    Request::post(&format!("/v1/sites/{host}/tasks"), body)
}
