//! Final step `forget_platform`: the platform's entry in the spoke's book. The last of all, so that what is not
//! finished can still be found there.

use kolga_protocol::names::PlatformName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::step::FinalStep;

/// Forgets a platform.
pub struct ForgetPlatform {
    /// Which.
    pub platform: PlatformName,
    /// The run that built it.
    pub owner: String,
}

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    platform: PlatformName,
    owner: String,
}

impl FinalStep for ForgetPlatform {
    const NAME: &'static str = "forget_platform";
    type Record = Record;

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record {
            platform: self.platform.clone(),
            owner: self.owner.clone(),
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let shelf = &cx.spoke.registry.platforms;
        shelf.remove_of(&record.platform, &record.owner)
    }
}
