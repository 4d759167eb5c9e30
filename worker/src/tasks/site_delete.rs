//! `site.delete`: a backup that was read back, unless none is wanted; then off the web, into the trash. Where the operator
//! keeps no trash, after the point of no return off the disk and out of the database server. Until then everything comes
//! back, and the backup that was made on the way is forgotten.

use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::task::{Kind, Output, site_delete};

use crate::cx::Cx;
use crate::layout;
use crate::plan::Plan;
use crate::registry::SiteEntry;
use crate::site::Site;
use crate::step::Step;
use crate::steps::clear_stage::ClearStage;
use crate::steps::forget_site::ForgetSite;
use crate::steps::make_snapshot::Kept;
use crate::steps::trash_site::TrashSite;
use crate::steps::unpublish_vhost::UnpublishVhost;
use crate::trash::{Discarded, discard};

use super::site_backup;

pub(super) async fn plan(params: &site_delete::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let host = &params.site;
    let site = cx.spoke.registry.sites.load(host)?;
    let entry = site.with_context(|| format!("there is no site {host} on this spoke"))?;
    let path = layout::site(&cx.spoke.config, host).display().to_string();
    let database = entry.database.as_ref().map(ToString::to_string);
    let owner = entry.owner.clone();
    let unpublish = UnpublishVhost(host.clone());
    let trash = TrashSite {
        host: host.clone(),
        owner: owner.clone(),
    };
    let kept = Arc::new(Kept {
        unless: Some(format!(
            "{host} is as it was: no backup of it could be made. Mend what is wrong with that, or delete it without one: \
             --no-backup"
        )),
        ..Kept::default()
    });
    let told = Arc::clone(&kept);
    let mut plan = Plan::new(move || {
        Ok(Output::SiteDelete(site_delete::Output {
            path,
            database,
            backup: told.id.get().cloned(),
        }))
    });
    if !params.no_backup {
        // What will not go is not backed up either.
        Step::inspect(&unpublish, cx).await?;
        Step::inspect(&trash, cx).await?;
        own_database(&entry, cx).await?;
        kept.explain(cx.spoke.need_backups().map(drop))?;
        let site = kept.explain(Site::installed(&entry, &cx.spoke))?;
        plan = site_backup::keep(plan, &Arc::new(site), &kept);
    }
    let discarded = Discarded {
        entry,
        folder: true,
        secrets: true,
        why: Kind::SiteDelete.as_str(),
    };
    let mut plan = discard(plan.step(unpublish).step(trash), cx, discarded);
    if !params.no_backup {
        plan = plan.finally(ClearStage);
    }
    Ok(plan.finally(ForgetSite {
        host: host.clone(),
        owner,
    }))
}

/// Refuses when the site's database is somebody else's by now.
async fn own_database(entry: &SiteEntry, cx: &Cx) -> anyhow::Result<()> {
    let Some(name) = &entry.database else {
        return Ok(());
    };
    let comment = cx.spoke.database(entry.engine)?.comment_of(name).await?;
    anyhow::ensure!(
        comment.is_none_or(|comment| comment == entry.owner),
        "the database {name} is another than the one of this site"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    #[tokio::test]
    async fn where_backups_have_no_place_it_is_refused_unless_none_is_wanted() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let entry: SiteEntry = serde_json::from_value(serde_json::json!({
            "host": "www.example.org", "owner": "an earlier run", "profile": "static",
            "path": scratch.path().join("sites/www.example.org"), "installed_at": 1,
        }))
        .expect("an entry");
        cx.spoke.registry.sites.save(&entry).expect("saved");
        let mut params = site_delete::Params {
            site: entry.host.clone(),
            no_backup: false,
        };
        let refused = plan(&params, &cx).await.err().expect("no [backups]");
        let refused = format!("{refused:#}");
        assert!(refused.contains("--no-backup"), "{refused}");
        assert!(refused.contains("[backups]"), "{refused}");
        params.no_backup = true;
        let planned = plan(&params, &cx).await.expect("none is wanted");
        let steps: Vec<&str> = planned.steps.iter().map(|step| step.name()).collect();
        assert_eq!(steps, ["unpublish_vhost", "trash_site"]);
    }
}
