//! Step `register_platform`: the spoke's book gets an entry, and the platform counts as complete.
//!
//! Undo needs the name and the run that the entry names as its owner.

use std::sync::{Arc, OnceLock};

use kolga_protocol::id::{Run, UnixMillis};
use kolga_protocol::names::{PlatformName, PlatformSource, ProfileName};
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::layout;
use crate::registry::PlatformEntry;
use crate::step::{Step, UndoError};

/// Notes a platform.
pub struct RegisterPlatform {
    /// Which.
    pub platform: PlatformName,
    /// What it is.
    pub profile: ProfileName,
    /// Where its code came from.
    pub source: PlatformSource,
    /// What an earlier step found out.
    pub version: Arc<OnceLock<String>>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    platform: PlatformName,
    run: Run,
}

impl Step for RegisterPlatform {
    const NAME: &'static str = "register_platform";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        anyhow::ensure!(
            cx.spoke.registry.platforms.load(&self.platform)?.is_none(),
            "this spoke's registry has a platform {} already",
            self.platform
        );
        Ok(Record {
            platform: self.platform.clone(),
            run: cx.run,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        cx.spoke.registry.platforms.save(&PlatformEntry {
            name: record.platform.clone(),
            owner: record.run.to_string(),
            profile: self.profile.clone(),
            path: layout::platform(&cx.spoke.config, &record.platform),
            source: Some(self.source.clone()),
            version: self.version.get().cloned(),
            built_at: UnixMillis::now(),
        })
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let shelf = &cx.spoke.registry.platforms;
        shelf
            .remove_of(&record.platform, &record.run.to_string())
            .map_err(|error| {
                UndoError::leaves(
                    format!("the registry's platform {}", record.platform),
                    error,
                )
            })
    }
}
