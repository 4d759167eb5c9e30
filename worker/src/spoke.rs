//! Everything on this machine that steps may use, opened once at start and anew at every reload.

use kolga_protocol::names::Engine;

use crate::config::{self, Config};
use crate::files::user_id;
use crate::pools::Pools;
use crate::process::Supervision;
use crate::profile::Profiles;
use crate::recipe::Recipes;
use crate::registry::Registry;
use crate::secrets::Secrets;
use crate::services::database::Service;
use crate::services::mariadb::Mariadb;
use crate::services::nginx::Nginx;
use crate::services::php::Php;
use crate::services::postgresql::Postgresql;
use crate::services::restic::Restic;
use crate::services::tls::Tls;
use crate::trash::Trash;

/// The spoke: its configuration, its services, its folders, its profiles.
pub struct Spoke {
    /// What the operator wrote.
    pub config: Config,
    /// The web server.
    pub nginx: Nginx,
    /// The database server, where the configuration names one.
    pub mariadb: Option<Mariadb>,
    /// The other one, where it names that.
    pub postgresql: Option<Postgresql>,
    /// Certificates, where the configuration says of HTTPS.
    pub tls: Option<Tls>,
    /// PHP, where the configuration names it.
    pub php: Option<Php>,
    /// Pools that sites can have to themselves, where the configuration names some.
    pub pools: Option<Pools>,
    /// Backups, where the configuration says where they go.
    pub backups: Option<Restic>,
    /// What sites have to hide.
    pub secrets: Secrets,
    /// What the spoke holds.
    pub registry: Registry,
    /// What was a site's, and is kept for a while.
    pub trash: Trash,
    /// What kinds of sites it can make.
    pub profiles: Profiles,
    /// What the operator lets the hub have run besides.
    pub recipes: Recipes,
    /// How commands are started and held together.
    pub supervision: Supervision,
}

impl Spoke {
    /// Opens it all. Nothing is started or connected; what is wrong with a service shows when it is used,
    /// and in `kolga-worker check`. At a reload, `previous` is the one whose tasks may still be running.
    ///
    /// # Errors
    /// None yet that the configuration's own checks let through.
    pub async fn open(config: Config, previous: Option<&Self>) -> anyhow::Result<Self> {
        Ok(Self {
            nginx: Nginx::new(&config.nginx, previous.map(|previous| &previous.nginx)),
            mariadb: config.mariadb.as_ref().map(Mariadb::new),
            postgresql: config.postgresql.as_ref().map(Postgresql::new),
            tls: config.tls.as_ref().map(Tls::new),
            php: config.php.as_ref().map(Php::new),
            pools: config
                .pools
                .as_ref()
                .map(|pools| Pools::new(pools, &config.state_dir)),
            backups: config.backups.as_ref().map(|backups| {
                Restic::new(
                    backups,
                    previous.and_then(|previous| previous.backups.as_ref()),
                )
            }),
            secrets: Secrets::new(&config.state_dir),
            registry: Registry::new(&config.state_dir),
            trash: Trash::new(&config.state_dir),
            profiles: Profiles::load(&config.profiles.directories),
            recipes: Recipes::load(&config.recipes),
            supervision: previous.map_or_else(Supervision::plain, |it| it.supervision.clone()),
            config,
        })
    }

    /// The same, with its commands held together in this way.
    #[must_use]
    pub fn supervised(self, supervision: Supervision) -> Self {
        Self {
            supervision,
            ..self
        }
    }

    /// MariaDB, for a task that cannot do without.
    ///
    /// # Errors
    /// When the configuration names none.
    pub fn need_mariadb(&self) -> anyhow::Result<&Mariadb> {
        self.mariadb.as_ref().ok_or_else(|| missing("mariadb"))
    }

    /// The database server of a site that has its data in such a one.
    ///
    /// # Errors
    /// When the configuration names none.
    pub fn database(&self, engine: Engine) -> anyhow::Result<Service<'_>> {
        let mut all = self.databases();
        let found = all.find(|service| service.engine() == engine);
        found.ok_or_else(|| missing(engine.as_str()))
    }

    /// All database servers that the configuration names, the one first that a site gets where both are as good.
    pub fn databases(&self) -> impl Iterator<Item = Service<'_>> {
        let mariadb = self.mariadb.iter().map(Service::Mariadb);
        mariadb.chain(self.postgresql.iter().map(Service::Postgresql))
    }

    /// Backups, for a task that cannot do without.
    ///
    /// # Errors
    /// When the configuration says of none.
    pub fn need_backups(&self) -> anyhow::Result<&Restic> {
        self.backups.as_ref().ok_or_else(|| missing("backups"))
    }

    /// Certificates, for a task that cannot do without.
    ///
    /// # Errors
    /// When the configuration says nothing of HTTPS.
    pub fn need_tls(&self) -> anyhow::Result<&Tls> {
        self.tls.as_ref().ok_or_else(|| missing("tls"))
    }

    /// composer's settings, for a task that cannot do without.
    ///
    /// # Errors
    /// When the configuration says of none.
    pub fn need_composer(&self) -> anyhow::Result<&config::Composer> {
        let composer = self.config.composer.as_ref();
        composer.ok_or_else(|| missing("composer"))
    }

    /// Pools, for a task that cannot do without.
    ///
    /// # Errors
    /// When the configuration names none.
    pub fn need_pools(&self) -> anyhow::Result<&Pools> {
        self.pools.as_ref().ok_or_else(|| missing("pools"))
    }

    /// The PHP whose php-fpm runs scripts as the user of this number; `None` where there is none such.
    #[must_use]
    pub fn php_of(&self, user: u32) -> Option<Php> {
        let php = self.php.as_ref()?;
        if user_id(self.config.php_user()).ok() == Some(user) {
            return Some(php.clone());
        }
        let pools = self.pools.as_ref()?;
        let mut pools = pools.names().iter().filter_map(|name| pools.get(name).ok());
        let pool = pools.find(|pool| pool.uid == user)?;
        Some(php.at(&pool.socket))
    }

    /// PHP, for a task that cannot do without.
    ///
    /// # Errors
    /// When the configuration does not name it.
    pub fn need_php(&self) -> anyhow::Result<&Php> {
        self.php.as_ref().ok_or_else(|| missing("php"))
    }
}

fn missing(table: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "this spoke has no [{table}]: add it to the worker's configuration, then reload the worker"
    )
}
