//! One recipe a task type: which steps, in which order. The list is [`plan`], and the compiler asks it for
//! every type that the protocol knows.
//!
//! Called by the executor ([`crate::run`]), which carries the plan out.

mod ping;

use kolga_protocol::task::Params;

use crate::cx::Cx;
use crate::plan::Plan;

/// What to do for these parameters. Only looks; an error here means that nothing was touched.
///
/// # Errors
/// When it is plain from the start that the task cannot be done, and why.
pub async fn plan(params: &Params, cx: &Cx) -> anyhow::Result<Plan> {
    match params {
        Params::Ping(_) => Ok(ping::plan()),
        Params::ServerVerify(_)
        | Params::PlatformBuild(_)
        | Params::SiteInstall(_)
        | Params::SiteDelete(_) => {
            anyhow::bail!(
                "{} is not carried out by spoke {}",
                params.kind(),
                cx.spoke.config.server
            )
        }
    }
}
