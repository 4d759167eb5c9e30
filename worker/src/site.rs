//! A site: all that steps have to know of one, put together and refused where it makes no sense before
//! anything is touched. One that is to be made comes from a task's parameters, one that is there from the
//! spoke's registry.
//!
//! Made by the recipes in [`crate::tasks`]; read by their steps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::names::{
    DATABASE_OPTION, DatabaseName, Engine, HostName, OptionName, OptionValue, PlatformName,
    SiteAlias,
};
use kolga_protocol::naming::{Https, Names};
use kolga_protocol::task::site_install::Params;

use crate::files::user_id;
use crate::layout;
use crate::pools::{self, Pool};
use crate::profile::template::{PlainPath, PublicFile};
use crate::profile::{Profile, WebAccess};
use crate::registry::{Registry, SiteEntry};
use crate::services::php::Php;
use crate::spoke::Spoke;
use crate::web::Web;

/// The site.
#[derive(Debug)]
pub struct Site {
    /// Its identity.
    pub host: HostName,
    /// Its other names.
    pub names: Names,
    /// How it answers over HTTPS.
    pub https: Https,
    /// What it is to be like.
    pub profile: Profile,
    /// Whose code it uses.
    pub platform: Option<PlatformName>,
    /// The operator's choices, with the profile's defaults.
    pub options: BTreeMap<OptionName, OptionValue>,
    /// Its database, and the user of the same name.
    pub database: Option<DatabaseName>,
    /// In which server that is.
    pub engine: Engine,
    /// Whether its pages are its own and none of its profile's.
    pub imported: bool,
    /// The pool that is its alone, where it is to have one; found by step `open_pool` for a site that is to be made.
    pub own_pool: Option<OnceLock<Pool>>,
    /// Its address, without a slash at the end.
    pub url: String,
    /// Its folder.
    pub folder: PathBuf,
    code: Option<PathBuf>,
}

impl Site {
    /// What these parameters ask for, on this spoke.
    ///
    /// # Errors
    /// When the profile, the platform or the options do not go together, or a name is taken.
    pub fn new(params: &Params, spoke: &Spoke, run: Run) -> anyhow::Result<Self> {
        let profile = spoke.profiles.get(&params.profile)?.clone();
        let (engine, options) = chosen(&profile, &params.options)?;
        let code = needed_code(spoke, params.platform.as_ref(), &profile)?;
        need_services(spoke, &profile, engine)?;
        refuse_taken_names(&spoke.registry, &params.site, &params.aliases)?;
        let database = match profile.manifest.needs.database.any() {
            true => Some(free_database(spoke, &params.site, run)?),
            false => None,
        };
        let (own, options) = wanted_pool(&options, &profile)?;
        if own {
            spoke.need_pools()?;
        }
        Ok(Self {
            options: complete_options(&profile, &params.site, &options, own)?,
            own_pool: own.then(OnceLock::new),
            engine,
            host: params.site.clone(),
            names: Names {
                aliases: params.aliases.clone(),
                ..Names::default()
            },
            https: Https::Off,
            imported: false,
            platform: params.platform.clone(),
            database,
            url: layout::url(&spoke.config, &params.site),
            folder: layout::site(&spoke.config, &params.site),
            code,
            profile,
        })
    }

    /// The site that the registry tells of, as its profile of today wants it.
    ///
    /// # Errors
    /// When its profile or its platform is not there any more, or a service that it needs is not configured.
    pub fn installed(entry: &SiteEntry, spoke: &Spoke) -> anyhow::Result<Self> {
        let profile = spoke.profiles.get(&entry.profile)?.clone();
        let code = needed_code(spoke, entry.platform.as_ref(), &profile)?;
        need_services(spoke, &profile, entry.engine)?;
        let names = entry.names();
        let (own, options) = wanted_pool(&entry.options, &profile)?;
        let own_pool = match &entry.pool {
            Some(user) => Some(OnceLock::from(spoke.need_pools()?.get(user)?)),
            // One that comes from elsewhere finds its pool here.
            None => own.then(OnceLock::new),
        };
        anyhow::ensure!(
            own == own_pool.is_some(),
            "the option {} of {} is not what the spoke's book says of its pool",
            pools::OPTION,
            entry.host
        );
        Ok(Self {
            options: complete_options(&profile, &entry.host, &options, own)?,
            own_pool,
            engine: entry.engine,
            url: url(spoke, entry.https, names.main(&entry.host))?,
            host: entry.host.clone(),
            names,
            https: entry.https,
            imported: entry.imported,
            platform: entry.platform.clone(),
            database: entry.database.clone(),
            folder: layout::site(&spoke.config, &entry.host),
            code,
            profile,
        })
    }

    /// The same site with a pool of its own, which step `open_pool` finds, or with the one that sites share.
    ///
    /// # Errors
    /// When it runs no PHP.
    pub fn with_own_pool(mut self, own: bool) -> anyhow::Result<Self> {
        let name: OptionName = pools::OPTION.parse()?;
        self.options.remove(&name);
        if own {
            self.options.insert(name, pools::OWN.parse()?);
        }
        wanted_pool(&self.options, &self.profile)?;
        self.own_pool = own.then(OnceLock::new);
        Ok(self)
    }

    /// The name that visitors are sent to.
    #[must_use]
    pub fn main(&self) -> &HostName {
        self.names.main(&self.host)
    }

    /// Where the settings lie, for a profile that has some.
    #[must_use]
    pub fn settings_path(&self) -> Option<PathBuf> {
        let settings = self.profile.manifest.settings.as_ref()?;
        Some(self.folder.join(&settings.path))
    }

    /// The pool that is its alone; `None` where it shares one.
    ///
    /// # Errors
    /// When it is to have one and has none yet: nothing may fall back to the one that others share.
    pub fn pool(&self) -> anyhow::Result<Option<&Pool>> {
        let Some(own) = &self.own_pool else {
            return Ok(None);
        };
        let pool = own.get();
        pool.with_context(|| format!("{} has no pool yet", self.host))
            .map(Some)
    }

    /// Who gets at its files besides the worker.
    ///
    /// # Errors
    /// When there is no such user, or it has no pool yet.
    pub fn web(&self, spoke: &Spoke) -> anyhow::Result<Web> {
        let nginx = user_id(&spoke.config.sites.web_user)?;
        let php = match self.pool()? {
            Some(pool) => pool.uid,
            None if self.profile.manifest.needs.php => user_id(spoke.config.php_user())?,
            None => nginx,
        };
        Ok(Web { nginx, php })
    }

    /// PHP with the php-fpm that runs the site's; `None` where the spoke has none.
    ///
    /// # Errors
    /// When it has no pool yet.
    pub fn php(&self, spoke: &Spoke) -> anyhow::Result<Option<Php>> {
        let pool = self.pool()?;
        let php = spoke.php.as_ref();
        Ok(php.map(|php| match pool {
            Some(pool) => php.at(&pool.socket),
            None => php.clone(),
        }))
    }

    /// The folders below its own in which PHP may write.
    #[must_use]
    pub fn written_by_web(&self) -> Vec<PathBuf> {
        let directories = self.profile.manifest.directories.iter();
        let written = directories.filter(|directory| directory.web == WebAccess::Write);
        written
            .map(|directory| PathBuf::from(directory.path.as_str()))
            .collect()
    }

    /// The platform's code.
    #[must_use]
    pub fn code(&self) -> Option<&std::path::Path> {
        self.code.as_deref()
    }

    /// What files without secrets may speak of.
    ///
    /// # Errors
    /// When a path of the configuration cannot stand in a configuration file.
    pub fn public_values(&self) -> anyhow::Result<PublicFile> {
        Ok(PublicFile {
            host: self.main().clone(),
            url: self.url.clone(),
            site: PlainPath::new(&self.folder)?,
            platform: self.code().map(PlainPath::new).transpose()?,
            options: self.options.clone(),
        })
    }
}

/// The first line of a vhost that the run `owner` wrote.
#[must_use]
pub fn vhost_mark(owner: &str) -> String {
    format!("{VHOST_MARK}{owner}. Changes are lost.\n")
}

/// How the first line of every vhost of ours begins.
pub const VHOST_MARK: &str = "# Written by Kolga in task ";

/// Whether a site is to have a pool of its own, and the options that are its profile's.
fn wanted_pool(
    options: &BTreeMap<OptionName, OptionValue>,
    profile: &Profile,
) -> anyhow::Result<(bool, BTreeMap<OptionName, OptionValue>)> {
    let (own, rest) = pools::wish(options)?;
    anyhow::ensure!(
        !own || profile.manifest.needs.php,
        "sites of profile {} run no PHP: there is nothing to have a pool of its own for",
        profile.manifest.name
    );
    Ok((own, rest))
}

/// All options of a site, its pool's among them.
fn complete_options(
    profile: &Profile,
    host: &HostName,
    given: &BTreeMap<OptionName, OptionValue>,
    own: bool,
) -> anyhow::Result<BTreeMap<OptionName, OptionValue>> {
    let mut options = profile.complete_options(host, given)?;
    if own {
        options.insert(pools::OPTION.parse()?, pools::OWN.parse()?);
    }
    Ok(options)
}

/// What a site calls itself.
fn url(spoke: &Spoke, https: Https, main: &HostName) -> anyhow::Result<String> {
    Ok(match https {
        Https::Off | Https::On => layout::url(&spoke.config, main),
        Https::Redirect => layout::https_url(spoke.need_tls()?.config(), main),
    })
}

/// The code of the platform that the profile needs; `None` where it needs none.
fn needed_code(
    spoke: &Spoke,
    platform: Option<&PlatformName>,
    profile: &Profile,
) -> anyhow::Result<Option<PathBuf>> {
    let name = &profile.manifest.name;
    match platform {
        Some(platform) if profile.manifest.needs.platform => {
            code_of(spoke, platform, profile).map(Some)
        }
        Some(platform) => {
            anyhow::bail!("sites of profile {name} use no platform: leave {platform} out")
        }
        None if profile.manifest.needs.platform => anyhow::bail!(
            "sites of profile {name} need a platform: build one with platform.build, then name it"
        ),
        None => Ok(None),
    }
}

/// The name for a new site's database: the site's own, or another one while that lies in the trash.
///
/// # Errors
/// When the trash cannot be looked at.
pub fn free_database(spoke: &Spoke, host: &HostName, run: Run) -> anyhow::Result<DatabaseName> {
    let name = DatabaseName::for_site(host);
    match spoke.trash.holds_database(&name)? {
        true => Ok(DatabaseName::beside(host, run)),
        false => Ok(name),
    }
}

fn need_services(spoke: &Spoke, profile: &Profile, engine: Engine) -> anyhow::Result<()> {
    let needs = profile.manifest.needs;
    if needs.php {
        spoke.need_php()?;
    }
    if needs.database.any() {
        anyhow::ensure!(
            needs.database.has(engine),
            "sites of profile {} have their data in {}, not in {}",
            profile.manifest.name,
            needs.database,
            engine.title()
        );
        let other = needs.database.all().find(|it| spoke.database(*it).is_ok());
        spoke.database(engine).with_context(|| match other {
            Some(other) => format!(
                "the site would have its data in {}; {DATABASE_OPTION}={other} puts them into this spoke's {}",
                engine.title(),
                other.title()
            ),
            None => "the site needs a database".to_owned(),
        })?;
    }
    Ok(())
}

/// In which server a new site is to have its data, and what its options are besides: the one that was asked for by the
/// option `database`, or the first that its profile takes. What this spoke has plays no part in it, so that the same options
/// mean the same on each, and whoever has the options knows the server.
///
/// # Errors
/// When that is asked for which its profile does not take.
pub fn chosen(
    profile: &Profile,
    given: &BTreeMap<OptionName, OptionValue>,
) -> anyhow::Result<(Engine, BTreeMap<OptionName, OptionValue>)> {
    let (name, needs) = (&profile.manifest.name, profile.manifest.needs.database);
    let is_choice = |option: &OptionName| option.as_str() == DATABASE_OPTION;
    if !needs.any() {
        // What a profile without a database calls so is its own.
        let is_own = profile.manifest.options.keys().any(is_choice);
        anyhow::ensure!(
            is_own || !given.keys().any(is_choice),
            "sites of profile {name} have no database: leave `{DATABASE_OPTION}` out"
        );
        return Ok((Engine::default(), given.clone()));
    }
    let asked = given.iter().find(|(option, _)| is_choice(option));
    let options = given.iter().filter(|(option, _)| !is_choice(option));
    let options = options.map(|(option, value)| (option.clone(), value.clone()));
    let engine = match asked {
        Some((_, value)) => {
            let engine: Engine = value.as_str().parse().map_err(anyhow::Error::msg)?;
            anyhow::ensure!(
                needs.has(engine),
                "sites of profile {name} have their data in {needs} and nowhere else: leave {DATABASE_OPTION}={engine} out"
            );
            engine
        }
        None => needs.all().next().unwrap_or_default(),
    };
    Ok((engine, options.collect()))
}

fn code_of(spoke: &Spoke, platform: &PlatformName, profile: &Profile) -> anyhow::Result<PathBuf> {
    let entry = spoke.registry.platforms.load(platform)?.with_context(|| {
        format!("there is no platform {platform} on this spoke: build it with platform.build")
    })?;
    let name = &profile.manifest.name;
    anyhow::ensure!(
        entry.profile == *name,
        "platform {platform} is for sites of profile {}, not {name}",
        entry.profile
    );
    Ok(layout::code(&spoke.config, platform))
}

/// Refuses names that a site of this spoke answers to already, and wildcards that would hold some of its.
///
/// # Errors
/// Names the name and the site.
pub fn refuse_taken_names(
    registry: &Registry,
    host: &HostName,
    aliases: &[SiteAlias],
) -> anyhow::Result<()> {
    refuse_taken_names_but(registry, host, aliases, None)
}

/// The same for a site that is to have them in place of the names that it has.
///
/// # Errors
/// Names the name and the site.
pub fn refuse_taken_names_but(
    registry: &Registry,
    host: &HostName,
    aliases: &[SiteAlias],
    but: Option<&HostName>,
) -> anyhow::Result<()> {
    let mut wanted = BTreeSet::from([SiteAlias::from(host.clone())]);
    for alias in aliases {
        anyhow::ensure!(
            wanted.insert(alias.clone()),
            "{alias} is named twice: once is enough"
        );
    }
    let overlapping = |name: &SiteAlias| wanted.iter().find(|wanted| wanted.overlaps(name));
    let sites = registry.sites.list()?.into_iter();
    for site in sites.filter(|site| Some(&site.host) != but) {
        anyhow::ensure!(
            site.host != *host,
            "there is a site {host} on this spoke already: delete it first"
        );
        for name in site.names().all(&site.host) {
            let Some(wanted) = overlapping(&name) else {
                continue;
            };
            anyhow::ensure!(
                *wanted != name,
                "{name} is a name of the site {} already: choose another, or delete that site",
                site.host
            );
            anyhow::bail!(
                "{wanted} overlaps with {name}, which is a name of the site {}: choose another",
                site.host
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::testing::{self, Scratch};

    #[test]
    fn a_database_is_that_which_is_asked_for_or_the_first_that_the_profile_takes() {
        let scratch = Scratch::new();
        let postgresql = config::Postgresql {
            socket: Some("/p".into()),
            port: 5432,
            remote: None,
            user: "kolga".into(),
        };
        let mut configured = testing::config(scratch.path());
        configured.postgresql = Some(postgresql);
        let spoke = testing::context(configured).0.spoke;
        let choose = |profile: &str, value: Option<&str>| {
            let profile = spoke.profiles.get(&profile.parse().expect("a name"));
            let given = value.map(|value| {
                let name = DATABASE_OPTION.parse().expect("a name");
                (name, value.parse().expect("a value"))
            });
            let given = given.into_iter().collect();
            let chosen = chosen(profile.expect("built in"), &given);
            chosen.map(|(engine, options)| {
                assert!(options.is_empty(), "it is no option of the profile's");
                engine
            })
        };
        for (profile, value, wanted) in [
            ("php", None, Engine::Mariadb),
            ("php", Some("mariadb"), Engine::Mariadb),
            ("php", Some("postgresql"), Engine::Postgresql),
            ("wordpress", None, Engine::Mariadb),
        ] {
            let engine = choose(profile, value).expect("a choice");
            assert_eq!(engine, wanted, "{profile} {value:?}");
        }
        for (profile, value, why) in [
            ("static", "mariadb", "have no database"),
            ("wordpress", "postgresql", "in MariaDB and nowhere else"),
            ("php", "oracle", "mariadb or postgresql"),
        ] {
            let error = choose(profile, Some(value)).expect_err("no choice");
            assert!(error.to_string().contains(why), "{error}");
        }
        // Where the server is not there that it would be, the other is named.
        let php = spoke.profiles.get(&"php".parse().expect("a name"));
        let mut php = php.expect("built in").clone();
        php.manifest.needs.php = false;
        let error = need_services(&spoke, &php, Engine::Mariadb).expect_err("no MariaDB");
        let error = format!("{error:#}");
        assert!(
            error.contains("database=postgresql") && error.contains("no [mariadb]"),
            "{error}"
        );
        need_services(&spoke, &php, Engine::Postgresql).expect("it is there");
    }
}
