//! `trash.empty`: one item, or all that is old enough, each a final step of its own.

use kolga_protocol::id::UnixMillis;
use kolga_protocol::task::{Output, trash_empty};

use crate::cx::Cx;
use crate::plan::Plan;
use crate::steps::empty_item::EmptyItem;

pub(super) fn plan(params: &trash_empty::Params, cx: &Cx) -> anyhow::Result<Plan> {
    let mut items = cx.spoke.trash.list()?;
    match (params.item, params.older_than_days) {
        (None, None) => anyhow::bail!("say which item, or how many days old what is to go must be"),
        (Some(task), _) => items = vec![cx.spoke.trash.find(task)?],
        (None, Some(_)) => {}
    }
    if let Some(days) = params.older_than_days {
        let now = UnixMillis::now();
        items.retain(|item| item.is_older_than(days, now));
    }
    let output = trash_empty::Output {
        items: u32::try_from(items.len())?,
        bytes: items.iter().map(|item| item.bytes).sum(),
    };
    let plan = Plan::new(move || Ok(Output::TrashEmpty(output)));
    Ok(items
        .into_iter()
        .fold(plan, |plan, item| plan.finally(EmptyItem(item.run))))
}
