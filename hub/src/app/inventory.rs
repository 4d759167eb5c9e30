//! What a spoke has told of itself, beside what the hub's lists say: where the two differ, and where the spoke's own
//! book and its disk do. Nothing is ever changed for it.

use std::collections::BTreeMap;

use kolga_protocol::id::TaskId;
use kolga_protocol::names::ServerName;
use kolga_protocol::task::server_inventory::Output;
use kolga_protocol::task::{Kind, server_inventory};

use super::App;
use crate::store::{Refusal, StoreError};
use crate::wire::{Condition, Difference, Inventory, Platform, Site};

/// As many as a page holds.
const PAGE: u32 = 1000;

impl App {
    /// The result of a `server.inventory`, compared with the lists of now.
    ///
    /// # Errors
    /// [`StoreError`]: there is no such task, it is of another kind or has no result, or the database failed.
    pub async fn inventory(&self, id: TaskId) -> Result<Inventory, StoreError> {
        let detail = self.task_detail(id).await?;
        let found = detail
            .output
            .filter(|_| detail.task.kind == Kind::ServerInventory.as_str())
            .and_then(|output| serde_json::from_value::<Output>(output).ok());
        let Some(found) = found else {
            return Err(Refusal::conflict(
                "no_inventory",
                format!(
                    "task {id} has no inventory: it is another kind of task, or did not succeed"
                ),
                "ask for one with `kolga server inventory SERVER`".to_owned(),
            )
            .into());
        };
        let server = detail.task.server;
        let mut differences = own_differences(&found);
        differences.extend(self.differences(&server, &found).await?);
        differences.sort_by(|a, b| (&a.what, &a.name).cmp(&(&b.what, &b.name)));
        Ok(Inventory {
            server,
            task: id,
            at: detail.task.ended_at,
            found,
            differences,
        })
    }

    async fn differences(
        &self,
        server: &ServerName,
        found: &Output,
    ) -> Result<Vec<Difference>, StoreError> {
        let mut platforms: BTreeMap<String, Platform> = BTreeMap::new();
        loop {
            let after = platforms.values().next_back();
            let after = after.map(|last| (server.clone(), last.name.clone()));
            let page = self
                .store
                .platforms(Some(server), after.as_ref(), PAGE)
                .await?;
            let full = page.len() >= PAGE as usize;
            platforms.extend(page.into_iter().map(|one| (one.name.to_string(), one)));
            if !full {
                break;
            }
        }
        let mut sites: BTreeMap<String, Site> = BTreeMap::new();
        loop {
            let after = sites.values().next_back().map(|last| last.host.clone());
            let page = self.store.sites(Some(server), after.as_ref(), PAGE).await?;
            let full = page.len() >= PAGE as usize;
            sites.extend(page.into_iter().map(|one| (one.host.to_string(), one)));
            if !full {
                break;
            }
        }
        let mut told = compare_platforms(&platforms, &found.platforms);
        told.extend(compare_sites(&sites, &found.sites));
        Ok(told)
    }
}

fn difference(what: &str, name: &str, said: impl Into<String>) -> Difference {
    Difference {
        what: what.to_owned(),
        name: name.to_owned(),
        difference: said.into(),
    }
}

/// Where the spoke's book and its disk differ.
fn own_differences(found: &Output) -> Vec<Difference> {
    let mut told = Vec::new();
    for platform in &found.platforms {
        match (platform.in_book, platform.has_folder) {
            (true, false) => {
                told.push(difference("platform", &platform.name, "its folder is gone"))
            }
            (false, _) => told.push(difference(
                "platform",
                &platform.name,
                "a folder that the server's book does not tell of",
            )),
            (true, true) => {}
        }
    }
    for site in &found.sites {
        if site.in_book {
            if !site.has_folder {
                told.push(difference("site", &site.host, "its folder is gone"));
            }
            if !site.has_vhost {
                told.push(difference("site", &site.host, "its vhost is gone"));
            }
            continue;
        }
        let what = match (site.has_folder, site.has_vhost) {
            (true, true) => "a folder and a vhost",
            (true, false) => "a folder",
            (false, _) => "a vhost",
        };
        let said = format!("{what} that the server's book does not tell of");
        told.push(difference("site", &site.host, said));
    }
    let strays = found.strays.iter();
    told.extend(strays.map(|path| difference("stray", path, "is neither a platform nor a site")));
    told
}

fn compare_platforms(
    listed: &BTreeMap<String, Platform>,
    found: &[server_inventory::Platform],
) -> Vec<Difference> {
    let mut told = Vec::new();
    let in_book: BTreeMap<&str, _> = found
        .iter()
        .filter(|platform| platform.in_book)
        .map(|platform| (platform.name.as_str(), platform))
        .collect();
    for (name, platform) in listed {
        match in_book.get(name.as_str()) {
            None if platform.condition == Condition::Ready => {
                told.push(difference(
                    "platform",
                    name,
                    "the hub lists it, the server's book does not",
                ));
            }
            Some(there) if there.profile.as_deref() != Some(platform.profile.as_str()) => {
                let there = there.profile.as_deref().unwrap_or_default();
                let said = format!(
                    "for {} by the hub's list, for {there} by the server's book",
                    platform.profile
                );
                told.push(difference("platform", name, said));
            }
            _ => {}
        }
    }
    for name in in_book.keys() {
        if is_unknown(listed.get(*name).map(|platform| platform.condition)) {
            told.push(difference(
                "platform",
                name,
                "the server's book tells of it, the hub's list does not",
            ));
        }
    }
    told
}

fn compare_sites(
    listed: &BTreeMap<String, Site>,
    found: &[server_inventory::Site],
) -> Vec<Difference> {
    let mut told = Vec::new();
    let in_book: BTreeMap<&str, _> = found
        .iter()
        .filter(|site| site.in_book)
        .map(|site| (site.host.as_str(), site))
        .collect();
    for (host, site) in listed {
        let Some(there) = in_book.get(host.as_str()) else {
            if site.condition == Condition::Ready {
                told.push(difference(
                    "site",
                    host,
                    "the hub lists it, the server's book does not",
                ));
            }
            continue;
        };
        let pairs = [
            (
                "profile",
                Some(site.profile.as_str()),
                there.profile.as_deref(),
            ),
            (
                "platform",
                site.platform.as_ref().map(|platform| platform.as_str()),
                there.platform.as_deref(),
            ),
        ];
        for (what, hub, book) in pairs {
            if hub != book {
                let (hub, book) = (hub.unwrap_or("none"), book.unwrap_or("none"));
                let said = format!("{what} {hub} by the hub's list, {book} by the server's book");
                told.push(difference("site", host, said));
            }
        }
        if site.condition == Condition::Ready && there.enabled == Some(!site.enabled) {
            let word = |enabled| if enabled { "enabled" } else { "disabled" };
            let said = format!(
                "{} by the hub's list, {} by the server's book",
                word(site.enabled),
                word(!site.enabled)
            );
            told.push(difference("site", host, said));
        }
    }
    for host in in_book.keys() {
        if is_unknown(listed.get(*host).map(|site| site.condition)) {
            told.push(difference(
                "site",
                host,
                "the server's book tells of it, the hub's list does not: `kolga site import` takes it over",
            ));
        }
    }
    told
}

/// What failed is not there, as far as the hub knows.
fn is_unknown(condition: Option<Condition>) -> bool {
    matches!(condition, None | Some(Condition::Failed))
}

#[cfg(test)]
mod tests {
    use kolga_protocol::id::UnixMillis;

    use super::*;

    fn listed(host: &str, condition: Condition) -> (String, Site) {
        let site = serde_json::json!({
            "host": host, "server": "web1", "profile": "static", "platform": null, "aliases": [], "options": {},
            "condition": condition, "enabled": true, "url": null, "task": null, "created_at": UnixMillis(0),
        });
        (
            host.to_owned(),
            serde_json::from_value(site).expect("a site"),
        )
    }

    fn found(host: &str, in_book: bool, has_folder: bool) -> server_inventory::Site {
        server_inventory::Site {
            host: host.to_owned(),
            profile: in_book.then(|| "static".to_owned()),
            platform: None,
            enabled: in_book.then_some(true),
            in_book,
            has_folder,
            has_vhost: in_book,
        }
    }

    #[test]
    fn differences_are_told_in_both_directions_and_what_is_on_its_way_is_none() {
        let hub = [
            listed("both.example.org", Condition::Ready),
            listed("hub.example.org", Condition::Ready),
            listed("soon.example.org", Condition::Pending),
            listed("failed.example.org", Condition::Failed),
        ]
        .into();
        let mut off = found("both.example.org", true, true);
        off.enabled = Some(false);
        let spoke = [
            off,
            found("book.example.org", true, true),
            found("failed.example.org", true, true),
            found("folder.example.org", false, true),
        ];
        let told: Vec<_> = compare_sites(&hub, &spoke)
            .into_iter()
            .map(|told| format!("{} {}", told.name, told.difference))
            .collect();
        assert_eq!(
            told,
            [
                "both.example.org enabled by the hub's list, disabled by the server's book",
                "hub.example.org the hub lists it, the server's book does not",
                "book.example.org the server's book tells of it, the hub's list does not: `kolga site import` takes it over",
                "failed.example.org the server's book tells of it, the hub's list does not: `kolga site import` takes it over",
            ]
        );
        let own = own_differences(&Output {
            programs: Vec::new(),
            disks: Vec::new(),
            platforms: Vec::new(),
            sites: vec![
                found("folder.example.org", false, true),
                found("gone.example.org", true, false),
            ],
            strays: vec!["/srv/sites/x y".to_owned()],
        });
        let own: Vec<_> = own.iter().map(|told| told.difference.as_str()).collect();
        assert_eq!(
            own,
            [
                "a folder that the server's book does not tell of",
                "its folder is gone",
                "is neither a platform nor a site",
            ]
        );
    }
}
