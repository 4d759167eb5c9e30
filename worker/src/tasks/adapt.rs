//! What tasks have in common by which a site's data comes under other code or another name: the profile's own scripts tell
//! the data so, in this order. The code's comes first, since the others run in it.

use std::sync::Arc;

use crate::plan::Plan;
use crate::profile::manifest::{Manifest, Script};
use crate::script::Former;
use crate::site::Site;
use crate::steps::run_upgrade::RunUpgrade;

/// What is not as the data knows it.
pub(super) struct Change {
    /// The code is another than it was made with, or may be.
    pub code: bool,
    /// How the site was called, where it has another name.
    pub former: Option<Former>,
    /// It is a second one, and what lets somebody into the first must not let them into this one.
    pub copied: bool,
}

/// The scripts in their order, each with how the site was called before, if it is told.
pub(super) fn scripts(
    manifest: &Manifest,
    change: Change,
) -> impl Iterator<Item = (Script, Option<Former>)> {
    let update = manifest.update.as_ref();
    let update = update.and_then(|name| manifest.commands.get(name));
    let update = update.filter(|_| change.code);
    let relocate = manifest.relocate.clone().zip(change.former);
    let copied = manifest.copied.clone().filter(|_| change.copied);
    let scripts = [
        update.map(|command| (command.script.clone(), None)),
        relocate.map(|(script, former)| (script, Some(former))),
        copied.map(|script| (script, None)),
    ];
    scripts.into_iter().flatten()
}

/// Adds the steps; `site` is what it is to be.
pub(super) fn adapt(plan: Plan, site: &Arc<Site>, change: Change) -> Plan {
    scripts(&site.profile.manifest, change).fold(plan, |plan, (script, from)| {
        plan.step(RunUpgrade {
            site: Arc::clone(site),
            script,
            from,
        })
    })
}
