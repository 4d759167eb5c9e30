//! A site: all that steps have to know of one, put together and refused where it makes no sense before
//! anything is touched. One that is to be made comes from a task's parameters, one that is there from the
//! spoke's registry.
//!
//! Made by the recipes in [`crate::tasks`], of what [`wanted`] makes of a task's choices; read by their steps. Whether its
//! names are free is [`taken`]'s to say.

mod taken;
mod wanted;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::names::{
    DatabaseName, Engine, HostName, OptionName, OptionValue, PlatformName,
};
use kolga_protocol::naming::{Https, Names};
use kolga_protocol::task::site_install::Params;

use crate::files::user_id;
use crate::layout;
use crate::pools::{self, Pool};
use crate::profile::template::{PlainPath, PublicFile};
use crate::profile::{Profile, WebAccess};
use crate::registry::SiteEntry;
use crate::services::php::Php;
use crate::spoke::Spoke;
use crate::web::Web;

pub use taken::{refuse_taken_names, refuse_taken_names_but};
pub use wanted::{chosen, free_database};
use wanted::{complete_options, need_services, needed_code, refuse_in_the_clear, wanted_pool};

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
        refuse_in_the_clear(spoke, &profile, engine)?;
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

/// What a site calls itself.
fn url(spoke: &Spoke, https: Https, main: &HostName) -> anyhow::Result<String> {
    Ok(match https {
        Https::Off | Https::On => layout::url(&spoke.config, main),
        Https::Redirect => layout::https_url(spoke.need_tls()?.config(), main),
    })
}
