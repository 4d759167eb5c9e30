//! Step `scan_platform`: whether a platform is what was built, which version it is, and what is installed in it.
//!
//! It only looks, so undo has nothing to do.

use std::sync::{Arc, Mutex};

use kolga_protocol::names::PlatformName;
use kolga_protocol::task::platform_verify::{MOST_NAMES, Output};

use crate::code::listing::{Drift, Listing};
use crate::code::{missing, parts, version};
use crate::cx::{Cx, Stop};
use crate::files::{Dir, blocking};
use crate::layout;
use crate::profile::Profile;
use crate::step::{Step, UndoError};

/// Looks at a platform.
pub struct ScanPlatform {
    /// Which.
    pub platform: PlatformName,
    /// What it should be.
    pub profile: Profile,
    /// Where the recipe learns what was found.
    pub found: Arc<Mutex<Option<Output>>>,
}

impl Step for ScanPlatform {
    const NAME: &'static str = "scan_platform";
    type Record = ();

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let folder = layout::platforms(&cx.spoke.config)?.dir(self.platform.as_str())?;
        let (profile, stop) = (self.profile.clone(), cx.stop.clone());
        let found = blocking(move || scan(&folder, &profile, &stop)).await?;
        if !found.compared {
            cx.log.warn(
                "it was built by a release that made no list of its files: what has changed since cannot be told",
            );
        }
        for line in &found.drift {
            cx.log.warn(line);
        }
        for path in &found.missing {
            cx.log
                .warn(format!("missing {path}, which the profile wants"));
        }
        *self.found.lock().expect("nobody panics while holding it") = Some(found);
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}

fn scan(folder: &Dir, profile: &Profile, stop: &Stop) -> anyhow::Result<Output> {
    let code = folder.dir(layout::CODE)?;
    let now = Listing::of(&code, stop)?;
    let then = Listing::load(folder)?;
    let drift = then.as_ref().map(|then| now.since(then));
    let compared = drift.is_some();
    let drift = drift.unwrap_or_default();
    let (files, bytes) = now.totals();
    let rules = profile.manifest.platform.as_ref();
    let lacks = rules.map(|rules| missing(&code, rules)).unwrap_or_default();
    Ok(Output {
        path: folder.path().display().to_string(),
        profile: profile.manifest.name.to_string(),
        version: match rules {
            Some(rules) => version(&code, rules)?,
            None => None,
        },
        files,
        bytes,
        compared,
        added: drift.added.len() as u64,
        removed: drift.removed.len() as u64,
        changed: drift.changed.len() as u64,
        drift: names(&drift),
        missing: lacks.into_iter().map(str::to_owned).collect(),
        modes_mended: 0,
        foreign: 0,
        installed: match rules {
            Some(rules) => parts::find(code.path(), &rules.parts, stop)?,
            None => Vec::new(),
        },
    })
}

fn names(drift: &Drift) -> Vec<String> {
    let of = |what: &'static str, paths: &[String]| {
        let paths = paths.to_vec();
        paths.into_iter().map(move |path| format!("{what} {path}"))
    };
    of("changed", &drift.changed)
        .chain(of("added", &drift.added))
        .chain(of("removed", &drift.removed))
        .take(MOST_NAMES)
        .collect()
}
