//! `site.backup`: when backups can be reached, the database and a manifest in a folder of the worker's own, then all of it
//! with the site's files as one snapshot, then a look at what was kept. Nothing of the site changes.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use kolga_protocol::task::{Output, site_backup};

use crate::cx::Cx;
use crate::plan::Plan;
use crate::site::Site;
use crate::steps::check_snapshot::CheckSnapshot;
use crate::steps::clear_stage::ClearStage;
use crate::steps::make_snapshot::{Kept, MakeSnapshot};
use crate::steps::open_repository::OpenRepository;
use crate::steps::stage_backup::StageBackup;

pub(super) fn plan(params: &site_backup::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let began = Instant::now();
    let host = &params.site;
    let entry = cx.spoke.registry.sites.load(host)?;
    let entry = entry.with_context(|| format!("there is no site {host} on this spoke"))?;
    cx.spoke.need_backups()?;
    let site = Arc::new(Site::installed(&entry, &cx.spoke)?);
    let kept: Arc<Kept> = Arc::default();
    let told = Arc::clone(&kept);
    let plan = Plan::new(move || {
        let id = told.id.get().context("nothing was read back")?;
        let made = told.made.get().context("nothing was kept")?;
        Ok(Output::SiteBackup(site_backup::Output {
            backup: id.clone(),
            files: made.files,
            bytes: made.bytes,
            bytes_added: made.bytes_added,
            database_bytes: told.dump.get().map(|dump| dump.bytes),
            milliseconds: u64::try_from(began.elapsed().as_millis())?,
        }))
    });
    Ok(keep(plan, &site, &kept).finally(ClearStage))
}

/// The steps of a backup, for any task that makes one first: it has to end with [`ClearStage`].
pub(super) fn keep(plan: Plan, site: &Arc<Site>, kept: &Arc<Kept>) -> Plan {
    plan.step(OpenRepository(Arc::clone(kept)))
        .step(StageBackup {
            site: Arc::clone(site),
            kept: Arc::clone(kept),
        })
        .step(MakeSnapshot {
            site: Arc::clone(site),
            kept: Arc::clone(kept),
        })
        .step(CheckSnapshot(Arc::clone(kept)))
}
