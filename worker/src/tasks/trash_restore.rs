//! `trash.restore`: a site that was deleted comes back as it was. Everything is moved, nothing is copied; the
//! item leaves the trash past the point of no return.

use std::sync::Arc;

use kolga_protocol::task::{Output, trash_restore};

use super::trash_list::wish_for;
use crate::cx::Cx;
use crate::face::Face;
use crate::plan::Plan;
use crate::site::{Site, refuse_taken_names};
use crate::steps::check_site::CheckSite;
use crate::steps::forget_item::ForgetItem;
use crate::steps::swap_entry::SwapEntry;
use crate::steps::swap_vhost::SwapVhost;
use crate::steps::unlock_database_user::UnlockDatabaseUser;
use crate::steps::untrash_site::UntrashSite;

pub(super) fn plan(params: &trash_restore::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let item = cx.spoke.trash.find(params.item)?;
    let entry = item.entry.clone();
    let host = &entry.host;
    anyhow::ensure!(
        wish_for(&entry) == params.site,
        "task {} has put another site into the trash, or one with other names: see `kolga trash list`",
        params.item
    );
    anyhow::ensure!(
        item.folder,
        "only the old database of {host} is in the trash, not its folder: bring it back by hand, from {}",
        entry
            .database
            .as_ref()
            .map_or("nowhere", |name| name.as_str())
    );
    refuse_taken_names(&cx.spoke.registry, host, &entry.names().others())?;
    let site = Arc::new(Site::installed(&entry, &cx.spoke)?);
    let output = trash_restore::Output {
        url: format!("{}/", site.url),
        path: site.folder.display().to_string(),
        database: entry.database.as_ref().map(ToString::to_string),
        enabled: entry.enabled,
        names: entry.names(),
        https: entry.https,
    };
    let run = item.run;
    let mut plan = Plan::new(move || Ok(Output::TrashRestore(output))).step(UntrashSite(item));
    if let Some(name) = &entry.database {
        plan = plan.step(UnlockDatabaseUser {
            name: name.clone(),
            owner: entry.owner.clone(),
            engine: entry.engine,
        });
    }
    plan = plan.step(SwapVhost {
        site: Arc::clone(&site),
        face: Face::when(entry.enabled),
    });
    if entry.enabled {
        plan = plan.step(CheckSite(site));
    }
    Ok(plan
        .step(SwapEntry {
            before: None,
            after: entry,
        })
        .finally(ForgetItem(run)))
}
