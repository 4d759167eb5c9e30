//! Step `register_site`: the spoke's book gets an entry, and the site counts as complete.
//!
//! Undo needs the host and the run that the entry names as its owner.

use std::sync::Arc;

use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::registry::SiteEntry;
use crate::site::{Site, refuse_taken_names};
use crate::step::{Step, UndoError};

/// Notes a site.
pub struct RegisterSite {
    /// Which.
    pub site: Arc<Site>,
    /// Whether visitors get it.
    pub enabled: bool,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    run: Run,
}

impl Step for RegisterSite {
    const NAME: &'static str = "register_site";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        // Again: another installation may have taken an alias meanwhile, which no lock covers.
        refuse_taken_names(
            &cx.spoke.registry,
            &self.site.host,
            &self.site.names.others(),
        )?;
        Ok(Record {
            host: self.site.host.clone(),
            run: cx.run,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let site = &self.site;
        cx.spoke.registry.sites.save(&SiteEntry {
            host: record.host.clone(),
            owner: record.run.to_string(),
            profile: site.profile.manifest.name.clone(),
            platform: site.platform.clone(),
            database: site.database.clone(),
            engine: site.engine,
            aliases: site.names.aliases.clone(),
            main: site.names.main.clone(),
            redirects: site.names.redirects.clone(),
            https: site.https,
            options: site.options.clone(),
            enabled: self.enabled,
            imported: site.imported,
            pool: site.pool()?.map(|pool| pool.user.clone()),
            held: None,
            path: site.folder.clone(),
            installed_at: UnixMillis::now(),
        })
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let shelf = &cx.spoke.registry.sites;
        shelf
            .remove_of(&record.host, &record.run.to_string())
            .map_err(|error| {
                UndoError::leaves(format!("the registry's site {}", record.host), error)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_and_when_it_ran_whole() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let step = RegisterSite {
            site: site(&cx),
            enabled: true,
        };
        let record = Step::inspect(&step, &cx).await.expect("free");
        RegisterSite::undo(&cx, &record).await.expect("never ran");
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert!(
            Step::inspect(&step, &cx).await.is_err(),
            "its name is taken now"
        );
        RegisterSite::undo(&cx, &record).await.expect("ran whole");
        RegisterSite::undo(&cx, &record).await.expect("twice");
        assert!(cx.spoke.registry.sites.list().expect("read").is_empty());
    }
}
