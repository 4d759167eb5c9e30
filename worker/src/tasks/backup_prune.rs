//! `backup.prune`: the backups that a policy does not keep are forgotten, past the point of no return; or only named. The
//! policy judges each site by itself, and what is forgotten is the very list that it gave.

use std::collections::BTreeMap;

use kolga_protocol::names::HostName;
use kolga_protocol::task::backup_list::Backup;
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
    let mut gone = outdated(all, policy);
    let ids: Vec<String> = gone.iter().map(|backup| backup.id.clone()).collect();
    gone.truncate(MOST);
    let output = backup_prune::Output {
        dry_run: params.dry_run,
        kept: u32::try_from(there - ids.len())?,
        gone: u32::try_from(ids.len())?,
        removed: gone,
    };
    let plan = Plan::new(move || Ok(Output::BackupPrune(output)));
    if params.dry_run || ids.is_empty() {
        return Ok(plan);
    }
    Ok(plan.finally(ForgetSnapshots { ids, wholly: false }))
}

/// Those that are not kept, the newest first.
fn outdated(all: Vec<Backup>, policy: Policy) -> Vec<Backup> {
    let mut sites: BTreeMap<HostName, Vec<Backup>> = BTreeMap::new();
    for backup in all {
        sites.entry(backup.site.clone()).or_default().push(backup);
    }
    let mut gone = Vec::new();
    for mut backups in sites.into_values() {
        backups.sort_by_key(newest_first);
        let times: Vec<_> = backups.iter().map(|backup| backup.at).collect();
        let kept = policy.kept(&times);
        let judged = backups.into_iter().zip(kept);
        gone.extend(judged.filter(|(_, kept)| !kept).map(|(backup, _)| backup));
    }
    gone.sort_by_key(newest_first);
    gone
}

fn newest_first(backup: &Backup) -> std::cmp::Reverse<(i64, String)> {
    std::cmp::Reverse((backup.at.0, backup.id.clone()))
}

#[cfg(test)]
mod tests {
    use kolga_protocol::id::UnixMillis;

    use super::*;

    #[test]
    fn each_site_is_judged_by_itself_and_what_goes_is_named_the_newest_first() {
        let backup = |id: &str, site: &str, day: i64| Backup {
            id: id.to_owned(),
            site: site.parse().expect("a host"),
            at: UnixMillis(day * 86_400_000),
        };
        let all = vec![
            backup("1", "a.test", 1),
            backup("2", "b.test", 1),
            backup("3", "a.test", 2),
            backup("4", "a.test", 3),
            backup("5", "b.test", 9),
        ];
        let policy = Policy {
            daily: 1,
            weekly: 0,
            monthly: 0,
        };
        let gone = outdated(all, policy);
        let gone: Vec<&str> = gone.iter().map(|backup| &*backup.id).collect();
        assert_eq!(gone, ["3", "2", "1"]);
    }
}
