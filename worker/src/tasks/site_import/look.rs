//! Everything about a folder that is none of Kolga's, looked at from outside before a site is made of it: which application
//! it is, its database, its files, its address, and whether there is room and a place for the site. Nothing is run, and what
//! is in the way is told all at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use kolga_protocol::id::UnixMillis;
use kolga_protocol::names::{
    DATABASE_OPTION, Engine, HostName, OptionName, OptionValue, SpokePath,
};
use kolga_protocol::naming::Https;
use kolga_protocol::task::site_import::Params;

use crate::code::version::is_older;
use crate::cx::Cx;
use crate::files::{Taken, Weighed, blocking};
use crate::import::{self, Source, recognise, rules_of};
use crate::layout;
use crate::pools::OPTION;
use crate::profile::Profile;
use crate::profile::manifest::{ForeignSettings, Import};
use crate::registry::{PlatformEntry, SiteEntry};
use crate::room::{self, Need};
use crate::script::Former;
use crate::services::database::{Account, Spot};
use crate::site::{Site, chosen, free_database, refuse_taken_names};
use crate::steps::reserve_site::refuse_taken_places;

/// What was found, and what is to be made of it.
pub(super) struct Found {
    pub(super) from: SpokePath,
    pub(super) profile: Profile,
    pub(super) platform: Option<PlatformEntry>,
    pub(super) version: Option<String>,
    pub(super) weighed: Taken,
    pub(super) database: Database,
    pub(super) entry: SiteEntry,
    pub(super) site: Arc<Site>,
    /// Why the site stays switched off.
    pub(super) off: Option<String>,
}

/// Of the source.
#[derive(Default)]
pub(super) struct Database {
    /// In which server it is, and the site's is to be.
    pub(super) engine: Engine,
    pub(super) account: Option<Account>,
    pub(super) bytes: u64,
    /// Where the application in it believes to be.
    pub(super) address: Option<Former>,
    /// Why its settings say that the site must not be seen yet.
    pub(super) off: Option<String>,
    pub(super) remarks: Vec<String>,
}

/// Everything that there is to know, or everything that is in the way.
pub(super) async fn look(params: &Params, from: &SpokePath, cx: &Cx) -> anyhow::Result<Found> {
    let (host, spoke) = (&params.site, &cx.spoke);
    let source = Source::open(&spoke.config, from)?;
    let profile = recognise(&spoke.profiles, params.profile.as_ref(), &source)?.clone();
    let rules = rules_of(&profile)?.clone();
    let mut problems = Vec::new();
    let version = import::version(&source, &profile)?;
    let platform = note(
        platform(params, &profile, version.as_deref(), cx),
        &mut problems,
    );
    let (chosen, asked) = chosen(&profile, &params.options)?;
    let (database, defaults, options) = match &rules.settings {
        Some(settings) => database(&source, settings, chosen, cx, &mut problems).await?,
        None => {
            let found = Database {
                engine: chosen,
                ..Database::default()
            };
            (found, Options::new(), Options::new())
        }
    };
    let is_said = |name: &OptionName| name.as_str() == DATABASE_OPTION;
    if database.engine != chosen && params.options.keys().any(is_said) {
        problems.push(format!(
            "its data are in {}, and are only taken over into such a one: leave {DATABASE_OPTION}={chosen} out",
            database.engine.title()
        ));
    }
    let weighed = weigh(&source, &rules, cx).await?;
    problems.extend(weighed.problems);
    let weighed = weighed.taken;
    let needs_database = profile.manifest.needs.database.any();
    let off = match (
        params.disabled,
        database.off.as_ref().or(rules.stays_off.as_ref()),
    ) {
        (_, Some(why)) => Some(why.clone()),
        (true, None) => Some("it was asked for so".to_owned()),
        (false, None) => None,
    };
    let mut all = defaults;
    all.extend(asked);
    all.extend(options);
    if all.keys().any(|name| name.as_str() == OPTION) {
        problems.push(format!(
            "a site shares a pool when it is imported: leave the option {OPTION} out"
        ));
    }
    let entry = SiteEntry {
        host: host.clone(),
        owner: cx.run.to_string(),
        profile: profile.manifest.name.clone(),
        platform: params.platform.clone(),
        database: match needs_database {
            true => Some(free_database(spoke, host, cx.run)?),
            false => None,
        },
        engine: database.engine,
        aliases: Vec::new(),
        main: None,
        redirects: Vec::new(),
        https: Https::Off,
        options: all,
        enabled: off.is_none(),
        imported: true,
        pool: None,
        held: None,
        path: layout::site(&spoke.config, host),
        installed_at: UnixMillis::now(),
    };
    note(
        refuse_taken_names(&spoke.registry, host, &[]),
        &mut problems,
    );
    if off.is_none() {
        note(refuse_served(host, cx).await, &mut problems);
    }
    note(room(host, weighed, &database, cx).await, &mut problems);
    // What is wrong with the platform has been told.
    let is_whole = platform.is_some();
    let site = is_whole.then(|| Site::installed(&entry, spoke));
    let mut site = site.and_then(|site| note(site, &mut problems));
    if let Some(site) = &mut site {
        // What only an installer is told is no secret of a site that nobody installs.
        let manifest = &mut site.profile.manifest;
        let installer = manifest.installer.iter().flat_map(|it| &it.secrets);
        let installer: Vec<_> = installer.cloned().collect();
        manifest.secrets.retain(|name, _| !installer.contains(name));
        note(refuse_taken_places(site, cx).await, &mut problems);
    }
    anyhow::ensure!(
        problems.is_empty(),
        "{from} cannot become the site {host}: {}",
        problems.join("; ")
    );
    Ok(Found {
        from: from.clone(),
        version,
        platform: platform.flatten(),
        weighed,
        database,
        site: Arc::new(site.context("nothing is in the way, and yet there is no site")?),
        entry,
        off,
        profile,
    })
}

/// Adds what is wrong to what is in the way.
fn note<T>(result: anyhow::Result<T>, problems: &mut Vec<String>) -> Option<T> {
    result
        .map_err(|error| problems.push(format!("{error:#}")))
        .ok()
}

async fn weigh(source: &Source, rules: &Import, cx: &Cx) -> anyhow::Result<Weighed> {
    let (source, rules, stop) = (source.clone(), rules.clone(), cx.stop.clone());
    blocking(move || source.weigh(&rules, &stop)).await
}

/// The platform that was named, when it fits.
fn platform(
    params: &Params,
    profile: &Profile,
    version: Option<&str>,
    cx: &Cx,
) -> anyhow::Result<Option<PlatformEntry>> {
    let name = &profile.manifest.name;
    let platforms = &cx.spoke.registry.platforms;
    let is_old = |entry: &PlatformEntry| match (&entry.version, version) {
        (Some(there), Some(here)) => is_older(there, here),
        _ => false,
    };
    let Some(wanted) = &params.platform else {
        if !profile.manifest.needs.platform {
            return Ok(None);
        }
        let fitting: Vec<String> = platforms
            .list()?
            .into_iter()
            .filter(|entry| entry.profile == *name && !is_old(entry))
            .map(|entry| match entry.version {
                Some(version) => format!("{} ({version})", entry.name),
                None => entry.name.to_string(),
            })
            .collect();
        let least = version.map_or_else(String::new, |version| {
            format!(" of version {version} or later")
        });
        anyhow::ensure!(
            !fitting.is_empty(),
            "it needs a platform of profile {name}{least}, and there is none here: build one"
        );
        anyhow::bail!(
            "it needs a platform, and none was named: here are {}",
            fitting.join(", ")
        );
    };
    anyhow::ensure!(
        profile.manifest.needs.platform,
        "sites of profile {name} use no platform: leave {wanted} out"
    );
    let entry = platforms.load(wanted)?;
    let entry = entry.with_context(|| format!("there is no platform {wanted} on this spoke"))?;
    anyhow::ensure!(
        entry.profile == *name,
        "platform {wanted} is for sites of profile {}, not {name}",
        entry.profile
    );
    anyhow::ensure!(
        !is_old(&entry),
        "platform {wanted} has version {}, which is older than {}: its data would not be understood",
        entry.version.as_deref().unwrap_or_default(),
        version.unwrap_or_default()
    );
    Ok(Some(entry))
}

type Options = BTreeMap<OptionName, OptionValue>;

/// What its settings tell of its database, and what is in that; options that an operator may say otherwise, and those that
/// he may not.
async fn database(
    source: &Source,
    rules: &ForeignSettings,
    chosen: Engine,
    cx: &Cx,
    problems: &mut Vec<String>,
) -> anyhow::Result<(Database, Options, Options)> {
    let told = import::told(source, rules, chosen);
    let engine = told.engine.unwrap_or(chosen);
    let mut found = Database {
        engine,
        off: told.off,
        remarks: told.remarks,
        ..Database::default()
    };
    let defaults = told.defaults.into_iter().collect();
    let options = told.options.into_iter().collect();
    problems.extend(told.problems);
    let Some(account) = told.account else {
        return Ok((found, defaults, options));
    };
    let Some(service) = note(cx.spoke.database(engine), problems) else {
        return Ok((found, defaults, options));
    };
    let is_meant = service.is_meant_by(&told.host, &told.port).await;
    if note(is_meant, problems).is_none() {
        return Ok((found, defaults, options));
    }
    let Some(inside) = note(service.look_into(&account).await, problems) else {
        return Ok((found, defaults, options));
    };
    problems.extend(inside.problems);
    found.remarks.extend(inside.remarks);
    found.bytes = inside.bytes;
    let others = inside
        .tables
        .iter()
        .filter(|name| !name.starts_with(&told.prefix));
    match others.count() {
        count if count == inside.tables.len() => problems.push(format!(
            "its database {} has no table whose name begins with {:?}",
            account.database, told.prefix
        )),
        0 => {}
        count => found.remarks.push(format!(
            "{count} tables of the database {} do not begin with {:?}: they are copied too",
            account.database, told.prefix
        )),
    }
    if let Some(rule) = &rules.address {
        let table = format!("{}{}", told.prefix, rule.table);
        let spot = Spot {
            table: &table,
            key: rule.key.as_str(),
            is: &rule.is,
            value: rule.value.as_str(),
        };
        let asked = service.text_at(&account, spot).await;
        let asked = asked.context("cannot look where it believes to be");
        let address = note(asked, problems).flatten();
        found.address = address.and_then(|text| note(former(&text, source), problems));
    }
    found.account = Some(account);
    Ok((found, defaults, options))
}

/// Out of an address as an application writes it.
fn former(text: &str, source: &Source) -> anyhow::Result<Former> {
    let wrong = || format!("its address {text:?} is none that could be changed");
    let url = reqwest::Url::parse(text).with_context(wrong)?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    anyhow::ensure!(is_plain, wrong());
    let host = url.host_str().and_then(|host| host.parse().ok());
    Ok(Former {
        host: host.with_context(wrong)?,
        url: text.trim_end_matches('/').to_owned(),
        site: source.dir.path().to_owned(),
    })
}

/// Somebody else's file makes nginx answer to that name.
async fn refuse_served(host: &HostName, cx: &Cx) -> anyhow::Result<()> {
    anyhow::ensure!(
        !cx.spoke.nginx.answers_to(cx, host).await?,
        "nginx answers to {host} already, by a file that is not Kolga's: take that away first, or import it \
         disabled and take that away before it is enabled"
    );
    Ok(())
}

async fn room(host: &HostName, weighed: Taken, database: &Database, cx: &Cx) -> anyhow::Result<()> {
    /// What a name takes besides what is in the file.
    const BLOCK: u64 = 4096;
    let config = &cx.spoke.config;
    let names = weighed.files + weighed.folders + weighed.links;
    let bytes = weighed.bytes.saturating_add(names.saturating_mul(BLOCK));
    let mut needs = vec![Need::new(&config.sites.root, bytes)?];
    if database.account.is_some() {
        needs.push(Need::new(&config.state_dir, database.bytes)?);
        let service = cx.spoke.database(database.engine)?;
        needs.extend(service.room_for(database.bytes).await?);
    }
    room::enough(&format!("importing {host}"), &needs)
}
