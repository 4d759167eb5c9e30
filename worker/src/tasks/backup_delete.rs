//! `backup.delete`: one backup of a site is forgotten for good, past the point of no return. The last one of a site goes only
//! when that was said: whoever has none any more should not learn it later.

use anyhow::Context as _;
use kolga_protocol::task::{Output, backup_delete};

use crate::cx::Cx;
use crate::plan::Plan;
use crate::steps::forget_snapshots::ForgetSnapshots;

pub(super) async fn plan(params: &backup_delete::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let backup_delete::Params { site, backup, last } = params;
    let restic = cx.spoke.need_backups()?;
    let all = restic.backups(cx, Some(site)).await?;
    let is_last = all.len() == 1;
    let mut meant = all
        .into_iter()
        .filter(|found| found.id.starts_with(backup.as_str()));
    let found = meant
        .next()
        .with_context(|| format!("there is no backup {backup} of {site} here"))?;
    anyhow::ensure!(
        meant.next().is_none(),
        "several backups of {site} begin with {backup}: give more of its name"
    );
    anyhow::ensure!(
        *last || !is_last,
        "{backup} is the only backup of {site}: make another first, or say that the last one may go, too: --last"
    );
    let ids = vec![found.id.clone()];
    let removed = vec![found];
    let output = backup_delete::Output { removed, owed: 0 };
    let plan = Plan::new(move || Ok(Output::BackupDelete(output)));
    Ok(plan.finally(ForgetSnapshots { ids, wholly: true }))
}
