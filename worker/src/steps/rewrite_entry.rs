//! Step `rewrite_entry`: the spoke's book says something else of a site that it holds.
//!
//! Undo needs both entries: the old one comes back where the book says what this step wrote.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::registry::SiteEntry;
use crate::step::{Step, UndoError};

/// Changes a site's entry.
pub struct RewriteEntry(pub SiteEntry);

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    before: SiteEntry,
    after: SiteEntry,
}

impl Step for RewriteEntry {
    const NAME: &'static str = "rewrite_entry";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let host = &self.0.host;
        let before = cx.spoke.registry.sites.load(host)?;
        Ok(Record {
            before: before.with_context(|| format!("there is no site {host} on this spoke"))?,
            after: self.0.clone(),
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        if record.before == record.after {
            return Ok(());
        }
        cx.spoke.registry.sites.replace(&record.after)
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let shelf = &cx.spoke.registry.sites;
        let undone = match shelf.load(&record.after.host) {
            Ok(Some(there)) if there == record.after && record.before != record.after => {
                shelf.replace(&record.before)
            }
            Ok(_) => shelf.remove_half_written(&record.after.host),
            Err(error) => Err(error),
        };
        undone.map_err(|error| {
            UndoError::leaves(format!("the registry's site {}", record.after.host), error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::register_site::RegisterSite;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_and_when_it_ran_whole() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let register = RegisterSite(site(&cx));
        let record = Step::inspect(&register, &cx).await.expect("free");
        Step::apply(&register, &cx, &record).await.expect("noted");
        let sites = cx.spoke.registry.sites.clone();
        let before = sites.list().expect("read").remove(0);

        let mut after = before.clone();
        after.enabled = false;
        let step = RewriteEntry(after.clone());
        let record = Step::inspect(&step, &cx).await.expect("there");
        let there = || sites.load(&before.host).expect("read").expect("there");
        RewriteEntry::undo(&cx, &record).await.expect("never ran");
        assert_eq!(there(), before);
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert_eq!(there(), after);
        RewriteEntry::undo(&cx, &record).await.expect("ran whole");
        RewriteEntry::undo(&cx, &record).await.expect("twice");
        assert_eq!(there(), before);
    }

    #[tokio::test]
    async fn a_site_that_is_not_there_is_refused() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let register = RegisterSite(site(&cx));
        let record = Step::inspect(&register, &cx).await.expect("free");
        Step::apply(&register, &cx, &record).await.expect("noted");
        let entry = cx.spoke.registry.sites.list().expect("read").remove(0);
        cx.spoke.registry.sites.remove(&entry.host).expect("gone");
        assert!(Step::inspect(&RewriteEntry(entry), &cx).await.is_err());
    }
}
