//! `backup.prune`: the backups that a policy does not keep are forgotten, past the point of no return; or only named. The
//! policy judges each site by itself, and what is forgotten is the very list that it gave.

use kolga_protocol::task::{Output, backup_prune};

use crate::cx::Cx;
use crate::plan::Plan;
use crate::services::restic::policy::Policy;
use crate::steps::forget_snapshots::ForgetSnapshots;

/// Backups in one answer, so that it stays far below the longest message.
const MOST: usize = 1000;

pub(super) async fn plan(params: &backup_prune::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let restic = cx.spoke.need_backups()?;
    let usual = restic.policy();
    let policy = Policy {
        daily: params.daily.unwrap_or(usual.daily),
        weekly: params.weekly.unwrap_or(usual.weekly),
        monthly: params.monthly.unwrap_or(usual.monthly),
    };
    let all = restic.backups(cx, params.site.as_ref()).await?;
    let there = all.len();
    let mut gone = policy.outdated(all);
    let ids: Vec<String> = gone.iter().map(|backup| backup.id.clone()).collect();
    gone.truncate(MOST);
    let output = backup_prune::Output {
        dry_run: params.dry_run,
        kept: u32::try_from(there - ids.len())?,
        gone: u32::try_from(ids.len())?,
        removed: gone,
        owed: 0,
    };
    let plan = Plan::new(move || Ok(Output::BackupPrune(output)));
    if params.dry_run || ids.is_empty() {
        return Ok(plan);
    }
    Ok(plan.finally(ForgetSnapshots { ids, wholly: false }))
}
