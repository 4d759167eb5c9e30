//! Final step `forget_site`: the site's secrets and its entry in the spoke's book. The last of all, so
//! that what is not finished can still be found there.

use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::step::FinalStep;
use kolga_protocol::fault;

/// Forgets a site.
pub struct ForgetSite {
    /// Which.
    pub host: HostName,
    /// The run that installed it.
    pub owner: String,
}

/// What finishing needs.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    owner: String,
}

impl FinalStep for ForgetSite {
    const NAME: &'static str = "forget_site";
    type Record = Record;

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record {
            host: self.host.clone(),
            owner: self.owner.clone(),
        })
    }

    async fn finish(cx: &Cx, record: &Record) -> anyhow::Result<()> {
        cx.spoke.secrets.remove_of(&record.host, &record.owner)?;
        fault::point("forget_site:secrets");
        cx.spoke
            .registry
            .sites
            .remove_of(&record.host, &record.owner)
    }
}
