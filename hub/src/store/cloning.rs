//! What `site.clone` means for the hub's list: the copy has a row, and its name, from the moment at which the task is made;
//! the site that it is made of stays as it is.
//!
//! [`super::objects`] asks here when a task is made, [`super::settle`] when it is finished.

use kolga_protocol::id::TaskId;
use kolga_protocol::names::{PlatformName, ServerName};
use kolga_protocol::state::State;
use kolga_protocol::task::site_clone::{Output, Params};
use kolga_protocol::task::site_install;
use sqlx::{AnyConnection, Row};

use super::moving::takes_it;
use super::objects::{claim_site, ready_site};
use super::settle::{set_platform, settle_new};
use super::tx::{Outcome, Refusal, Tx};

/// A copy of a site is about to be made.
pub(super) async fn claim(
    tx: &mut Tx<'_>,
    server: &ServerName,
    params: &Params,
    task: TaskId,
) -> Result<Outcome<()>, sqlx::Error> {
    let host = &params.site;
    if *host == params.to {
        return Ok(Err(Refusal::conflict(
            "site_exists",
            format!("{host} is the name of the site itself"),
            "give the copy another name".to_owned(),
        )));
    }
    if let Err(refusal) = ready_site(tx, server, host).await? {
        return Ok(Err(refusal));
    }
    let row = sqlx::query("SELECT profile, platform, options FROM site WHERE host = $1")
        .bind(host.as_str())
        .fetch_one(&mut *tx.connection)
        .await?;
    let wrong = |column: &str| sqlx::Error::Decode(format!("site.{column} cannot be read").into());
    let (profile, options): (String, String) = (row.try_get("profile")?, row.try_get("options")?);
    let platform: Option<PlatformName> = match (&params.platform, row.try_get("platform")?) {
        (Some(wanted), _) => Some(wanted.clone()),
        (None, None) => None,
        (None, Some::<String>(name)) => Some(name.parse().map_err(|_| wrong("platform"))?),
    };
    if let Some(platform) = &platform
        && let Err(refusal) = takes_it(tx, server, platform, host, &profile).await?
    {
        return Ok(Err(refusal));
    }
    let like = site_install::Params {
        site: params.to.clone(),
        aliases: Vec::new(),
        profile: profile.parse().map_err(|_| wrong("profile"))?,
        platform,
        options: serde_json::from_str(&options).map_err(|_| wrong("options"))?,
    };
    claim_site(tx, server, &like, task).await
}

/// The task has ended: the copy is there, or its name is free again.
pub(super) async fn settle(
    connection: &mut AnyConnection,
    server: &str,
    params: &Params,
    task: TaskId,
    end: State,
    output: Option<&Output>,
) -> Result<(), sqlx::Error> {
    let url = output.map(|output| output.url.clone());
    settle_new(connection, &params.to, task, end, url).await?;
    match output {
        // A site that was restored while this one waited may have come to another platform.
        Some(output) => {
            set_platform(connection, server, &params.to, output.platform.as_ref()).await
        }
        None => Ok(()),
    }
}
