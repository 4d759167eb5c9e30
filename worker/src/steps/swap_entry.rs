//! Step `swap_entry`: the spoke's book says something else of a site, has it under another name, or has one that it
//! had not.
//!
//! Undo needs both entries: what this step wrote goes, what it removed comes back.

use kolga_protocol::fault;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::registry::SiteEntry;
use crate::site::refuse_taken_names_but;
use crate::step::{Step, UndoError};

/// Puts one entry in the place of another.
pub struct SwapEntry {
    /// What the book says now; nothing when it does not know the site.
    pub before: Option<SiteEntry>,
    /// What it is to say.
    pub after: SiteEntry,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    before: Option<SiteEntry>,
    after: SiteEntry,
}

impl Step for SwapEntry {
    const NAME: &'static str = "swap_entry";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let sites = &cx.spoke.registry.sites;
        if let Some(before) = &self.before {
            anyhow::ensure!(
                sites.load(&before.host)?.as_ref() == Some(before),
                "the book says something else of {} than when the task began",
                before.host
            );
        }
        let after = &self.after;
        let names = |entry: &SiteEntry| (entry.host.clone(), entry.names().others());
        // Names that stay are its own: there is no need to read every other entry.
        if self.before.as_ref().map(names) != Some(names(after)) {
            let but = self.before.as_ref().map(|before| &before.host);
            let (host, others) = names(after);
            refuse_taken_names_but(&cx.spoke.registry, &host, &others, but)?;
        }
        Ok(Record {
            before: self.before.clone(),
            after: after.clone(),
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let sites = &cx.spoke.registry.sites;
        match &record.before {
            Some(before) if before == &record.after => Ok(()),
            Some(before) if before.host == record.after.host => sites.replace(&record.after),
            Some(before) => {
                sites.save(&record.after)?;
                fault::point("swap_entry:saved");
                sites.remove(&before.host)
            }
            None => sites.save(&record.after),
        }
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        back(cx, record).map_err(|error| {
            UndoError::leaves(format!("the registry's site {}", record.after.host), error)
        })
    }
}

fn back(cx: &Cx, record: &Record) -> anyhow::Result<()> {
    let sites = &cx.spoke.registry.sites;
    let after = &record.after;
    if let Some(before) = &record.before
        && before.host != after.host
    {
        if sites.load(&before.host)?.is_none() {
            sites.save(before)?;
        }
        sites.remove_half_written(&before.host)?;
    }
    match &record.before {
        Some(before) if before == after => Ok(()),
        _ if sites.load(&after.host)?.as_ref() != Some(after) => {
            sites.remove_half_written(&after.host)
        }
        Some(before) if before.host == after.host => sites.replace(before),
        _ => sites.remove(&after.host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    fn entry(host: &str) -> SiteEntry {
        let entry = serde_json::json!({
            "host": host, "owner": "a run", "profile": "static", "path": "/srv/x", "installed_at": 1,
        });
        serde_json::from_value(entry).expect("an entry")
    }

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_ran_by_half_and_ran_whole() {
        for (before, after) in [
            (Some("a.test"), "b.test"),
            (Some("a.test"), "a.test"),
            (None, "b.test"),
        ] {
            let scratch = Scratch::new();
            let cx = site_context(&scratch);
            let sites = cx.spoke.registry.sites.clone();
            let before = before.map(entry);
            let mut after = entry(after);
            after.enabled = false;
            before
                .iter()
                .for_each(|entry| sites.save(entry).expect("saved"));
            let was = sites.list().expect("read");
            let step = SwapEntry {
                before: before.clone(),
                after: after.clone(),
            };
            let record = Step::inspect(&step, &cx).await.expect("nothing in the way");
            SwapEntry::undo(&cx, &record).await.expect("never ran");
            assert_eq!(sites.list().expect("read"), was);
            if before.as_ref().is_none_or(|entry| entry.host != after.host) {
                sites.save(&after).expect("by half");
                SwapEntry::undo(&cx, &record).await.expect("ran by half");
                assert_eq!(sites.list().expect("read"), was);
            }
            Step::apply(&step, &cx, &record).await.expect("whole");
            assert_eq!(sites.list().expect("read"), std::slice::from_ref(&after));
            SwapEntry::undo(&cx, &record).await.expect("ran whole");
            SwapEntry::undo(&cx, &record).await.expect("twice");
            assert_eq!(sites.list().expect("read"), was);
        }
    }

    #[tokio::test]
    async fn a_name_that_another_site_has_is_refused() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let sites = &cx.spoke.registry.sites;
        sites.save(&entry("a.test")).expect("saved");
        sites.save(&entry("b.test")).expect("saved");
        let step = SwapEntry {
            before: Some(entry("a.test")),
            after: entry("b.test"),
        };
        assert!(Step::inspect(&step, &cx).await.is_err());
    }
}
