//! A PHP script of a profile, run for one site: it lies in the site's folder while it runs, gets the site's
//! particulars as JSON over stdin, secrets among them, and what it says goes to the task's log. It runs the site's code, so
//! where the site has a pool of its own it runs as that pool's user, and can do no more than that code can do anyway.
//!
//! Used by the steps `run_installer`, `run_command` and `run_upgrade` and by [`crate::cron`]; the child and all that it leaves
//! running is [`crate::process`]'s.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::fault;
use kolga_protocol::names::{HostName, OptionName, OptionValue};
use serde::Serialize;

use crate::cx::Cx;
use crate::files::Dir;
use crate::layout;
use crate::process::Confinement;
use crate::profile::manifest::Script;
use crate::services::database::Service;
use crate::services::php::Php;
use crate::site::Site;
use crate::spoke::Spoke;
use crate::step::UndoError;

/// What a script reads from its stdin, as JSON.
#[derive(Serialize)]
struct Input<'a> {
    host: &'a str,
    url: &'a str,
    site: String,
    platform: Option<String>,
    settings: Option<String>,
    options: &'a BTreeMap<OptionName, OptionValue>,
    secrets: BTreeMap<&'a OptionName, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a Former>,
}

/// How a site was called that has another name now.
#[derive(Clone, Debug, Serialize)]
pub struct Former {
    /// Its name.
    pub host: HostName,
    /// Its address, without a slash at the end.
    pub url: String,
    /// Its folder.
    pub site: PathBuf,
}

/// Runs it, under this name in the site's folder, which nothing serves.
///
/// # Errors
/// When it does not end with success, or the task should stop; the file may be there still.
pub async fn run(cx: &Cx, site: &Site, script: &Script, name: &str) -> anyhow::Result<()> {
    run_from(cx, site, script, name, None).await
}

/// The same for a script that is told how the site was called before.
///
/// # Errors
/// As [`run`].
pub async fn run_from(
    cx: &Cx,
    site: &Site,
    script: &Script,
    name: &str,
    from: Option<&Former>,
) -> anyhow::Result<()> {
    let folder = folder(cx, site)?;
    let text = site.profile.file(&script.script)?;
    let (pool, php) = (site.pool()?, cx.spoke.need_php()?);
    let mut command = match pool {
        None => {
            folder.write_new(name, text, 0o400)?;
            php.command()
        }
        Some(pool) => {
            anyhow::ensure!(
                cx.spoke.supervision.has_cgroups(),
                "a script of {} would run as {}, and without a cgroup for each command the worker could not end it: set \
                 Delegate=yes in its systemd unit",
                site.host,
                pool.user
            );
            folder.write_new(name, text, 0o440)?;
            folder.let_in(name, pool.uid)?;
            php.command_of(pool)
        }
    };
    // What connects without naming an authority takes this one, and for what is not the database those of the system.
    let service = site
        .database
        .as_ref()
        .map(|_| cx.spoke.database(site.engine));
    let service = service.transpose()?;
    let authority = service.as_ref().and_then(Service::authority);
    if let Some(authority) = authority {
        command = command
            .arg("-d")
            .arg(format!("openssl.cafile={}", authority.to_text()))
            .args(["-d", "openssl.capath=/etc/ssl/certs"]);
    }
    for (key, value) in &script.php_settings {
        command = command.arg("-d").arg(format!("{key}={value}"));
    }
    if is_confined(site, pool.is_some()) {
        let mut confinement = confinement(site, php);
        let file = authority.map(|it| it.file.to_owned());
        confinement.read.extend(file);
        command = command.confined(confinement);
    }
    fault::point("script:start");
    command
        // Without -f, PHP could take its stdin for the script, and print it.
        .arg("-f")
        .arg(folder.path().join(name))
        .stdin(input(cx, site, script, from)?)
        .time_limit(Duration::from_secs(script.timeout_seconds))
        .run(cx)
        .await?;
    fault::point("script:ran");
    folder.remove_file(name)
}

/// Refuses where the scripts of such a site have to be confined and cannot be.
///
/// # Errors
/// What to do.
pub fn ready(cx: &Cx, site: &Site) -> anyhow::Result<()> {
    // One that is to have a pool may get it by a step before.
    if !is_confined(site, site.own_pool.is_some()) {
        return Ok(());
    }
    let possible = cx.spoke.supervision.need_confinement();
    possible.with_context(|| {
        let profile = &site.profile.manifest.name;
        format!("scripts of profile {profile} are run confined, or in a pool of the site's own, or not at all")
    })
}

/// As a pool's user it can do no more than that may.
fn is_confined(site: &Site, own_pool: bool) -> bool {
    site.profile.manifest.confined && !own_pool
}

/// Removes what a run that broke off has left.
///
/// # Errors
/// When it cannot be removed.
pub fn clean(spoke: &Spoke, host: &HostName, name: &str) -> anyhow::Result<()> {
    let sites = layout::sites(&spoke.config)?;
    match sites.kind(host.as_str())? {
        Some(_) => sites.dir(host.as_str())?.remove_file(name),
        None => Ok(()),
    }
}

/// Refuses when a file of the script's name is in the site's folder already.
///
/// # Errors
/// Names it.
pub fn free(cx: &Cx, site: &Site, name: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        folder(cx, site)?.kind(name)?.is_none(),
        "{} is there already: move it away",
        site.folder.join(name).display()
    );
    Ok(())
}

/// What an undo of a step that ran a script does: [`clean`].
///
/// # Errors
/// Names what is left.
pub fn undo(cx: &Cx, host: &HostName, name: &str) -> Result<(), UndoError> {
    clean(&cx.spoke, host, name).map_err(|error| {
        let left = layout::site(&cx.spoke.config, host).join(name);
        UndoError::leaves(left.display().to_string(), error)
    })
}

/// What PHP has made in the site's folder may be a link to anywhere, and applications follow such links, also when they
/// empty their caches.
fn confinement(site: &Site, php: &Php) -> Confinement {
    let mut read: Vec<PathBuf> = site.code().map(Path::to_owned).into_iter().collect();
    read.push("/etc/php".into());
    read.push(php.binary().to_owned());
    Confinement {
        read,
        write: vec![site.folder.clone()],
    }
}

fn folder(cx: &Cx, site: &Site) -> anyhow::Result<Dir> {
    layout::sites(&cx.spoke.config)?.dir(site.host.as_str())
}

fn input(cx: &Cx, site: &Site, script: &Script, from: Option<&Former>) -> anyhow::Result<Vec<u8>> {
    let kept = cx.spoke.secrets.load(&site.host)?;
    let kept = kept.context("the site's secrets are gone")?;
    let wanted = script.secrets.iter();
    let secrets = wanted
        .map(|name| {
            let secret = kept.values.get(name);
            let secret = secret.with_context(|| format!("the site has no secret {name}"))?;
            Ok((name, secret.expose()))
        })
        .collect::<anyhow::Result<_>>()?;
    let shown = |path: &Path| path.display().to_string();
    Ok(serde_json::to_vec(&Input {
        host: site.main().as_str(),
        url: &site.url,
        site: shown(&site.folder),
        platform: site.code().map(shown),
        settings: site.settings_path().as_deref().map(shown),
        options: &site.options,
        secrets,
        from,
    })?)
}
