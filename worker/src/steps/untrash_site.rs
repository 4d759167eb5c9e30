//! Step `untrash_site`: a site's folder and secrets come back from the trash, each by a move. The item is taken
//! out of the list first, so that nobody destroys it meanwhile.
//!
//! Undo needs the host, the run that had put it there and the one that had made the site: what is back and
//! that one's goes to the trash again.

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::layout;
use crate::step::{Step, UndoError};
use crate::trash::Item;

/// Takes a site out of the trash.
pub struct UntrashSite(pub Item);

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    item: Run,
    owner: String,
}

impl Step for UntrashSite {
    const NAME: &'static str = "untrash_site";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let host = &self.0.entry.host;
        let sites = layout::sites(&cx.spoke.config)?;
        let trash = layout::trash(&cx.spoke.config)?;
        let owner = trash.owner_of(self.0.run.to_string())?;
        anyhow::ensure!(
            owner.as_ref() == Some(&self.0.entry.owner),
            "the folder of {host} is not in the trash"
        );
        let mut taken = Vec::new();
        if sites.kind(host.as_str())?.is_some() {
            taken.push(layout::site(&cx.spoke.config, host).display().to_string());
        }
        if cx.spoke.secrets.path(host).exists() {
            taken.push(cx.spoke.secrets.path(host).display().to_string());
        }
        if cx.spoke.nginx.vhost(host)?.is_some() {
            taken.push(cx.spoke.nginx.vhost_path(host).display().to_string());
        }
        anyhow::ensure!(
            taken.is_empty(),
            "there already, and not made by this task: {}; move it away or remove it",
            taken.join(", ")
        );
        Ok(Record {
            host: host.clone(),
            item: self.0.run,
            owner: self.0.entry.owner.clone(),
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let trash = &cx.spoke.trash;
        let item = trash.take(record.item, false)?;
        item.context("it is in the trash no more")?;
        fault::point("untrash_site:taken");
        let (folders, sites) = (
            layout::trash(&cx.spoke.config)?,
            layout::sites(&cx.spoke.config)?,
        );
        folders.move_to(record.item.to_string(), &sites, record.host.as_str())?;
        fault::point("untrash_site:folder");
        trash.give_secrets_back(&cx.spoke.secrets, &record.host, record.item)?;
        cx.log.info(format!("{} is out of the trash", record.host));
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        back(cx, record).map_err(|error| {
            let left = layout::site(&cx.spoke.config, &record.host);
            UndoError::leaves(format!("{}, out of the trash", left.display()), error)
        })
    }
}

fn back(cx: &Cx, record: &Record) -> anyhow::Result<()> {
    let trash = &cx.spoke.trash;
    let sites = layout::sites(&cx.spoke.config)?;
    let (folders, name) = (layout::trash(&cx.spoke.config)?, record.item.to_string());
    // Never ran: whatever is at the site's places is somebody else's.
    if folders.kind(&name)?.is_none() {
        trash.keep_secrets(&cx.spoke.secrets, &record.host, &record.owner, record.item)?;
        if sites.owner_of(record.host.as_str())?.as_ref() == Some(&record.owner) {
            sites.move_to(record.host.as_str(), &folders, &name)?;
        }
    }
    trash.give_back(record.item)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SiteSecrets;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    fn scene(scratch: &Scratch) -> (Cx, UntrashSite) {
        let cx = site_context(scratch);
        let item: Item = serde_json::from_value(serde_json::json!({
            "run": cx.run, "why": "site.delete", "at": 1, "folder": true,
            "entry": {"host": "www.example.org", "owner": "a run", "profile": "static", "path": "/srv/x", "installed_at": 1},
        }))
        .expect("an item");
        let (host, owner) = (&item.entry.host, &item.entry.owner);
        let folders = layout::trash(&cx.spoke.config).expect("made");
        folders
            .make_owned_dir(item.run.to_string(), 0o700, owner)
            .expect("a folder");
        let secrets = SiteSecrets {
            owner: owner.clone(),
            database_password: None,
            values: Default::default(),
        };
        cx.spoke.secrets.save(host, &secrets).expect("saved");
        let trash = &cx.spoke.trash;
        trash
            .keep_secrets(&cx.spoke.secrets, host, owner, item.run)
            .expect("moved");
        trash.keep(&item).expect("kept");
        (cx, UntrashSite(item))
    }

    fn all(scratch: &Scratch) -> Vec<String> {
        let mut found = Vec::new();
        for folder in ["sites", "sites/.trash", "state/trash", "state/secrets"] {
            for entry in std::fs::read_dir(scratch.path().join(folder))
                .into_iter()
                .flatten()
            {
                let name = entry.expect("read").file_name();
                found.push(format!("{folder}/{}", name.display()));
            }
        }
        found.sort();
        found
    }

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_ran_by_half_and_ran_whole() {
        let scratch = Scratch::new();
        let (cx, step) = scene(&scratch);
        let before = all(&scratch);
        let record = Step::inspect(&step, &cx).await.expect("free");
        UntrashSite::undo(&cx, &record).await.expect("never ran");
        assert_eq!(all(&scratch), before);
        cx.spoke.trash.take(step.0.run, false).expect("by half");
        UntrashSite::undo(&cx, &record).await.expect("ran by half");
        assert_eq!(all(&scratch), before);
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert!(scratch.path().join("sites/www.example.org").exists());
        assert!(cx.spoke.secrets.path(&step.0.entry.host).exists());
        assert!(cx.spoke.trash.list().expect("read").is_empty());
        UntrashSite::undo(&cx, &record).await.expect("ran whole");
        UntrashSite::undo(&cx, &record).await.expect("twice");
        assert_eq!(all(&scratch), before);
    }

    #[tokio::test]
    async fn a_folder_that_has_its_name_by_now_is_refused_and_survives_an_undo() {
        let scratch = Scratch::new();
        let (cx, step) = scene(&scratch);
        let record = Step::inspect(&step, &cx).await.expect("free");
        let planted = scratch.path().join("sites/www.example.org");
        std::fs::create_dir(&planted).expect("planted");
        assert!(Step::inspect(&step, &cx).await.is_err());
        assert!(Step::apply(&step, &cx, &record).await.is_err());
        UntrashSite::undo(&cx, &record).await.expect("undone");
        assert!(planted.exists());
        assert_eq!(
            cx.spoke.trash.list().expect("read"),
            std::slice::from_ref(&step.0)
        );
    }
}
