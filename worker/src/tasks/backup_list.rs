//! `backup.list`: what the repository holds of this spoke's sites. Only looks.

use kolga_protocol::id::UnixMillis;
use kolga_protocol::task::{Output, backup_list};

use crate::cron::pruning;
use crate::cx::Cx;
use crate::plan::Plan;

/// Backups in one answer, so that it stays far below the longest message.
const MOST: usize = 1000;

pub(super) async fn plan(params: &backup_list::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let restic = cx.spoke.need_backups()?;
    let mut all = restic.backups(cx, params.site.as_ref()).await?;
    all.sort_by_key(|backup| std::cmp::Reverse(backup.at));
    let more = u32::try_from(all.len().saturating_sub(MOST))?;
    all.truncate(MOST);
    let config = &cx.spoke.config;
    let owed = u32::try_from(restic.owed(&config.state_dir)?.len())?;
    let pruned = pruning::last(&config.state_dir)?;
    let prunes_at = pruning::next(config, UnixMillis::now().0.unsigned_abs() / 1000);
    let prunes_at = prunes_at.map(|at| UnixMillis(at.cast_signed() * 1000));
    Ok(Plan::new(move || {
        Ok(Output::BackupList(backup_list::Output {
            backups: all,
            more,
            pruned,
            prunes_at,
            owed,
        }))
    }))
}
