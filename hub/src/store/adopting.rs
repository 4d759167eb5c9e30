//! What `site.import` means for the hub's list, and its counterpart: a site that leaves the list and stays where it is.
//!
//! The name is the site's from the moment at which the task is made. What the site is, its server says at the end; of its
//! other names it gets here those that no other site has, and what else differs is noted as a verified site's drift is.
//!
//! [`super::objects`] asks here when a task is made, [`super::settle`] when it is finished.

use kolga_protocol::id::TaskId;
use kolga_protocol::names::{HostName, ServerName, SiteAlias};
use kolga_protocol::naming::Names;
use kolga_protocol::task::site_import::{Output, Params, Platform};
use kolga_protocol::task::{self, site_delete, site_install, site_verify};
use sqlx::AnyConnection;

use super::locks::refuse_locked;
use super::objects::{claim_site, ready_site, remove_site};
use super::rows::json;
use super::settle::{set_face, set_https, waits_for};
use super::tx::{Operation, Outcome, Tx};
use super::verified;
use super::{names, platforms};

/// Of which kind a site is until its server has said so.
const UNKNOWN: &str = "unknown";

/// A site is about to come into the list.
pub(super) async fn claim(
    tx: &mut Tx<'_>,
    server: &ServerName,
    params: &Params,
    task: TaskId,
) -> Result<Outcome<()>, sqlx::Error> {
    let host = &params.site;
    if let Some(platform) = &params.platform
        && let Err(refusal) = platforms::takes_sites(tx, server, platform).await?
    {
        return Ok(Err(refusal));
    }
    if params.check {
        return names::free(tx.connection, [SiteAlias::from(host.clone())], None).await;
    }
    let profile = match &params.profile {
        Some(profile) => Ok(profile.clone()),
        None => UNKNOWN.parse(),
    };
    let unknown = site_install::Params {
        site: host.clone(),
        aliases: Vec::new(),
        profile: profile.map_err(|_| sqlx::Error::Decode("a profile's name".into()))?,
        platform: params.platform.clone(),
        options: params.options.clone(),
    };
    claim_site(tx, server, &unknown, task).await
}

/// The task has ended: the site is in the list as what its server says, or no more.
pub(super) async fn settle(
    connection: &mut AnyConnection,
    server: &str,
    params: &Params,
    task: TaskId,
    output: Option<&Output>,
) -> Result<(), sqlx::Error> {
    let host = &params.site;
    if params.check || !waits_for(connection, host, task).await? {
        return Ok(());
    }
    let Some(found) = output else {
        return remove_site(connection, host).await;
    };
    sqlx::query(
        "UPDATE site SET condition = 'ready', url = $2, profile = $3, platform = $4, options = $5
          WHERE host = $1",
    )
    .bind(host.as_str())
    .bind(found.url.as_str())
    .bind(found.profile.as_str())
    .bind(found.platform.as_ref().map(|it| it.name.to_string()))
    .bind(json(&found.options).unwrap_or_default())
    .execute(&mut *connection)
    .await?;
    set_face(connection, server, host, found.enabled).await?;
    set_https(connection, server, host, found.https).await?;
    let free = free_of(connection, host, &found.names).await?;
    names::note(connection, host, &free).await?;
    if let Some(platform) = &found.platform {
        adopt_platform(connection, server, platform, task).await?;
    }
    let seen = site_verify::Output {
        url: found.url.clone(),
        changes: Vec::new(),
        problems: found.problems.clone(),
        entry: site_verify::Entry {
            profile: found.profile.clone(),
            platform: found.platform.as_ref().map(|it| it.name.clone()),
            database: found.database.clone(),
            names: found.names.clone(),
            https: found.https,
            enabled: found.enabled,
        },
    };
    verified::note(connection, server, host, task, &seen).await
}

/// Those of its names that no other site in the list has.
async fn free_of(
    connection: &mut AnyConnection,
    host: &HostName,
    all: &Names,
) -> Result<Names, sqlx::Error> {
    let mut free = Names::default();
    for (list, names) in [
        (&mut free.aliases, &all.aliases),
        (&mut free.redirects, &all.redirects),
    ] {
        for name in names {
            let one = [name.clone()];
            if names::free(&mut *connection, one, Some(host))
                .await?
                .is_ok()
            {
                list.push(name.clone());
            }
        }
    }
    if let Some(main) = &all.main {
        let one = [SiteAlias::from(main.clone())];
        let is_free = names::free(&mut *connection, one, Some(host))
            .await?
            .is_ok();
        free.main = is_free.then(|| main.clone());
    }
    Ok(free)
}

/// A platform comes into the list with its first site.
async fn adopt_platform(
    connection: &mut AnyConnection,
    server: &str,
    found: &Platform,
    task: TaskId,
) -> Result<(), sqlx::Error> {
    // Entries of older releases do not tell where the code came from: then it is where it lies.
    let source = found.source.as_ref().map(ToString::to_string);
    sqlx::query(
        "INSERT INTO platform (server, name, profile, source, condition, version, path, task, created_at)
         VALUES ($1, $2, $3, $4, 'ready', $5, $6, $7, $8)
             ON CONFLICT (server, name) DO UPDATE
            SET profile = excluded.profile, source = excluded.source, condition = 'ready',
                version = excluded.version, path = excluded.path, task = excluded.task
          WHERE platform.condition = 'failed'",
    )
    .bind(server)
    .bind(found.name.as_str())
    .bind(found.profile.as_str())
    .bind(source.unwrap_or_else(|| found.path.clone()))
    .bind(found.version.clone())
    .bind(found.path.as_str())
    .bind(task.to_string())
    .bind(kolga_protocol::id::UnixMillis::now().0)
    .execute(connection)
    .await?;
    Ok(())
}

/// A site leaves the list and stays on its server as it is.
#[derive(Clone, Debug)]
pub struct HandOver {
    /// Where it is.
    pub server: ServerName,
    /// Which.
    pub host: HostName,
    /// Who.
    pub requested_by: String,
}

impl Operation for HandOver {
    type Answer = ();

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<Outcome<()>, sqlx::Error> {
        let site = self.host.clone();
        // What keeps it from being deleted keeps it in the list.
        let deletion = task::Params::SiteDelete(site_delete::Params {
            site,
            no_backup: true,
        });
        if let Err(refusal) = refuse_locked(tx.connection, &deletion).await? {
            return Ok(Err(refusal));
        }
        if let Err(refusal) = ready_site(tx, &self.server, &self.host).await? {
            return Ok(Err(refusal));
        }
        remove_site(tx.connection, &self.host).await?;
        tx.audit(&self.requested_by, "site.hand_over", self.host.as_str(), "")
            .await?;
        Ok(Ok(()))
    }
}
