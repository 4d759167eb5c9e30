//! A site that is to be made: all that its steps have to know, put together and refused where it makes no
//! sense before anything is touched.
//!
//! Made by `tasks::site_install`; read by the steps of its recipe.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context as _;
use kolga_protocol::names::{
    DatabaseName, HostName, OptionName, OptionValue, PlatformName, SiteAlias,
};
use kolga_protocol::task::site_install::Params;

use crate::layout;
use crate::profile::Profile;
use crate::profile::template::{self, Listen, PlainPath, PublicFile, Vhost};
use crate::registry::Registry;
use crate::spoke::Spoke;

/// The site.
#[derive(Debug)]
pub struct NewSite {
    /// Its identity.
    pub host: HostName,
    /// Its other names.
    pub aliases: Vec<SiteAlias>,
    /// What it is to be like.
    pub profile: Profile,
    /// Whose code it uses.
    pub platform: Option<PlatformName>,
    /// The operator's choices, with the profile's defaults.
    pub options: BTreeMap<OptionName, OptionValue>,
    /// Its database, and the user of the same name.
    pub database: Option<DatabaseName>,
    /// Its address.
    pub url: String,
    /// Its folder.
    pub folder: PathBuf,
    code: Option<PathBuf>,
}

impl NewSite {
    /// What these parameters ask for, on this spoke.
    ///
    /// # Errors
    /// When the profile, the platform or the options do not go together, or a name is taken.
    pub fn new(params: &Params, spoke: &Spoke) -> anyhow::Result<Self> {
        let profile = spoke.profiles.get(&params.profile)?.clone();
        let needs = profile.manifest.needs;
        let code = match &params.platform {
            Some(platform) if needs.platform => Some(code_of(spoke, platform, &profile)?),
            Some(platform) => anyhow::bail!(
                "sites of profile {} use no platform: leave {platform} out",
                params.profile
            ),
            None if needs.platform => anyhow::bail!(
                "sites of profile {} need a platform: build one with platform.build, then name it",
                params.profile
            ),
            None => None,
        };
        if needs.php {
            spoke.need_php()?;
        }
        if needs.database {
            spoke.need_mariadb()?;
        }
        refuse_taken_names(&spoke.registry, &params.site, &params.aliases)?;
        Ok(Self {
            options: profile.complete_options(&params.site, &params.options)?,
            host: params.site.clone(),
            aliases: params.aliases.clone(),
            platform: params.platform.clone(),
            database: needs.database.then(|| DatabaseName::for_site(&params.site)),
            url: layout::url(&spoke.config, &params.site),
            folder: layout::site(&spoke.config, &params.site),
            code,
            profile,
        })
    }

    /// Where the settings lie, for a profile that has some.
    #[must_use]
    pub fn settings_path(&self) -> Option<PathBuf> {
        let settings = self.profile.manifest.settings.as_ref()?;
        Some(self.folder.join(&settings.path))
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
            host: self.host.clone(),
            url: self.url.clone(),
            site: PlainPath::new(&self.folder)?,
            platform: self.code().map(PlainPath::new).transpose()?,
            options: self.options.clone(),
        })
    }

    /// The text that makes nginx serve it, below a line that says whose it is.
    ///
    /// # Errors
    /// When the profile's template is not right.
    pub fn vhost_text(&self, spoke: &Spoke, owner: &str) -> anyhow::Result<String> {
        let place = &self.profile.manifest.vhost.template;
        let fpm_socket = spoke.php.as_ref().map(|php| php.fpm_socket());
        let values = Vhost {
            host: self.host.clone(),
            aliases: self.aliases.clone(),
            listen: Listen::on(&spoke.config.nginx.listen, spoke.config.nginx.port),
            site: PlainPath::new(&self.folder)?,
            platform: self.code().map(PlainPath::new).transpose()?,
            settings: self
                .settings_path()
                .as_deref()
                .map(PlainPath::new)
                .transpose()?,
            fpm_socket: fpm_socket.map(PlainPath::new).transpose()?,
        };
        let text = template::vhost(place.as_str(), self.profile.text(place)?, &values)?;
        Ok(format!("{}{text}", vhost_mark(owner)))
    }
}

/// The first line of a vhost that the run `owner` wrote.
#[must_use]
pub fn vhost_mark(owner: &str) -> String {
    format!("{VHOST_MARK}{owner}. Changes are lost.\n")
}

/// How the first line of every vhost of ours begins.
pub const VHOST_MARK: &str = "# Written by Kolga in task ";

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

/// Refuses names that a site of this spoke answers to already.
///
/// # Errors
/// Names the name and the site.
pub fn refuse_taken_names(
    registry: &Registry,
    host: &HostName,
    aliases: &[SiteAlias],
) -> anyhow::Result<()> {
    let mut wanted = BTreeSet::from([SiteAlias::from(host.clone())]);
    for alias in aliases {
        anyhow::ensure!(
            wanted.insert(alias.clone()),
            "{alias} is named twice: once is enough"
        );
    }
    for site in registry.sites.list()? {
        anyhow::ensure!(
            site.host != *host,
            "there is a site {host} on this spoke already: delete it first"
        );
        let taken = std::iter::once(SiteAlias::from(site.host.clone())).chain(site.aliases);
        for name in taken {
            anyhow::ensure!(
                !wanted.contains(&name),
                "{name} is a name of the site {} already: choose another, or delete that site",
                site.host
            );
        }
    }
    Ok(())
}
