//! `trash.list`: what is kept for a while. Only looks.

use kolga_protocol::task::{Output, site_install, trash_list};

use crate::cx::Cx;
use crate::plan::Plan;
use crate::registry::SiteEntry;
use crate::trash::Item;

/// Items in one answer, so that it stays far below the longest message.
const MOST: usize = 500;

pub(super) fn plan(cx: &Cx) -> anyhow::Result<Plan> {
    let all = cx.spoke.trash.list()?;
    let more = u32::try_from(all.len().saturating_sub(MOST))?;
    let items = all.into_iter().take(MOST).map(shown).collect();
    Ok(Plan::new(move || {
        Ok(Output::TrashList(trash_list::Output { items, more }))
    }))
}

fn shown(item: Item) -> trash_list::Item {
    trash_list::Item {
        id: item.run.task,
        why: item.why,
        at: item.at,
        database: item.entry.database.as_ref().map(ToString::to_string),
        site: wish_for(&item.entry),
        folder: item.folder,
        bytes: item.bytes,
    }
}

/// What would have to be asked for to have a site like this one, with all the names that it takes up.
pub(super) fn wish_for(entry: &SiteEntry) -> site_install::Params {
    site_install::Params {
        site: entry.host.clone(),
        aliases: entry.names().others(),
        profile: entry.profile.clone(),
        platform: entry.platform.clone(),
        options: entry.asked_options(),
    }
}
