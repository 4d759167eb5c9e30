//! Platforms and sites: what there should be, and the tasks that bring it about.

use kolga_protocol::names::{HostName, PlatformName, ServerName};
use kolga_protocol::task::{
    Params, platform_build, platform_delete, platform_verify, site_delete, site_import,
    site_install,
};

use super::{App, unknown};
use crate::store::StoreError;
use crate::store::adopting::HandOver;
use crate::store::locks::SetSiteLock;
use crate::store::objects::{Forget, unknown_site};
use crate::store::operations::locking::LockPlatforms;
use crate::store::platforms::{ForgetPlatform, LockPlatform};
use crate::wire::{
    Condition, NewImport, NewLock, NewLocks, NewPlatform, NewSite, NewSiteTask, Platform,
    PlatformAnswer, Site, SiteAnswer, Target, Task,
};

impl App {
    /// Builds a platform.
    ///
    /// # Errors
    /// [`StoreError`]: something is in the way, or the database failed.
    pub async fn add_platform(
        &self,
        new: NewPlatform,
        who: &str,
    ) -> Result<PlatformAnswer, StoreError> {
        let params = Params::PlatformBuild(platform_build::Params {
            platform: new.name.clone(),
            profile: new.profile,
            source: new.source,
            composer: new.composer,
        });
        let task = self.make_one(new.server.clone(), params, who).await?;
        let platform = self.platform(&new.server, &new.name).await?;
        Ok(PlatformAnswer { platform, task })
    }

    /// One platform.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, or the database failed.
    pub async fn platform(
        &self,
        server: &ServerName,
        name: &PlatformName,
    ) -> Result<Platform, StoreError> {
        self.store
            .platform(server, name)
            .await?
            .ok_or_else(|| unknown(&format!("platform {name} on server {server}")))
    }

    /// Deletes a platform that no site uses. One that was never built only leaves the list; the answer is then
    /// the task that did not build it.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, busy or in use, or the database failed.
    pub async fn delete_platform(
        &self,
        server: &ServerName,
        name: &PlatformName,
        who: &str,
    ) -> Result<Task, StoreError> {
        let platform = self.platform(server, name).await?;
        if let (Condition::Failed, Some(task)) = (platform.condition, platform.task) {
            let forget = ForgetPlatform {
                server: server.clone(),
                name: name.clone(),
                task,
                requested_by: who.to_owned(),
            };
            self.store.write(forget).await?;
            return self.task(task).await;
        }
        let platform = name.clone();
        let params = Params::PlatformDelete(platform_delete::Params { platform });
        self.make_one(server.clone(), params, who).await
    }

    /// Has a server look at a platform.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there or busy, or the database failed.
    pub async fn verify_platform(
        &self,
        server: ServerName,
        platform: PlatformName,
        who: &str,
    ) -> Result<Task, StoreError> {
        let params = Params::PlatformVerify(platform_verify::Params { platform });
        self.make_one(server, params, who).await
    }

    /// Locks a platform against new sites; without a lock, takes it off.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, or the database failed.
    pub async fn lock_platform(
        &self,
        server: &ServerName,
        name: &PlatformName,
        lock: Option<NewLock>,
        who: &str,
    ) -> Result<Platform, StoreError> {
        let locked = lock.is_some();
        let reason = lock.and_then(|lock| lock.reason);
        let change = LockPlatform {
            server: server.clone(),
            name: name.clone(),
            locked,
            reason: reason.map(String::from).unwrap_or_default(),
            requested_by: who.to_owned(),
        };
        self.store.write(change).await?;
        self.platform(server, name).await
    }

    /// Locks the platforms that a selector means, or takes their locks off; which they are.
    ///
    /// # Errors
    /// [`StoreError`]: the selector is wrong, nothing is meant, or the database failed.
    pub async fn lock_platforms(
        &self,
        new: NewLocks,
        who: &str,
    ) -> Result<Vec<Target>, StoreError> {
        let change = LockPlatforms {
            select: new.select,
            locked: new.locked,
            reason: new.reason.map(String::from).unwrap_or_default(),
            dry_run: new.dry_run,
            requested_by: who.to_owned(),
        };
        self.store.write(change).await
    }

    /// Installs a site.
    ///
    /// # Errors
    /// [`StoreError`]: something is in the way, or the database failed.
    pub async fn add_site(&self, new: NewSite, who: &str) -> Result<SiteAnswer, StoreError> {
        let params = Params::SiteInstall(site_install::Params {
            site: new.host.clone(),
            aliases: new.aliases,
            profile: new.profile,
            platform: new.platform,
            options: new.options,
        });
        let task = self.make_one(new.server, params, who).await?;
        let site = self.site(&new.host).await?;
        Ok(SiteAnswer { site, task })
    }

    /// One site.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, or the database failed.
    pub async fn site(&self, host: &HostName) -> Result<Site, StoreError> {
        self.store
            .site(host)
            .await?
            .ok_or_else(|| unknown_site(host).into())
    }

    /// Makes a task on a site that is there, wherever it is.
    ///
    /// # Errors
    /// [`StoreError`]: there is no such site, the kind is not one of a site, the parameters are wrong, or
    /// something is in the way.
    pub async fn site_task(
        &self,
        host: &HostName,
        new: NewSiteTask,
        who: &str,
    ) -> Result<Task, StoreError> {
        let site = self.site(host).await?;
        let mut params = new.params;
        params.insert("site".to_owned(), host.as_str().into());
        let params = super::tasks::read(&new.kind, params.into())?;
        self.make_one(site.server, params, who).await
    }

    /// Takes over a site that its server holds and the hub does not know.
    ///
    /// # Errors
    /// [`StoreError`]: the hub knows such a site, or the database failed.
    pub async fn import_site(
        &self,
        host: HostName,
        new: NewImport,
        who: &str,
    ) -> Result<Task, StoreError> {
        let params = Params::SiteImport(site_import::Params {
            site: host,
            from: new.from,
            profile: new.profile,
            platform: new.platform,
            options: new.options,
            disabled: new.disabled,
            check: new.check,
        });
        self.make_one(new.server, params, who).await
    }

    /// Takes a site off the hub's list; on its server it stays as it is. The site as it was in the list.
    ///
    /// # Errors
    /// [`StoreError`]: there is no such site, it is busy or locked, or the database failed.
    pub async fn hand_over_site(&self, host: &HostName, who: &str) -> Result<Site, StoreError> {
        let site = self.site(host).await?;
        let hand_over = HandOver {
            server: site.server.clone(),
            host: host.clone(),
            requested_by: who.to_owned(),
        };
        self.store.write(hand_over).await?;
        Ok(site)
    }

    /// Locks a site against tasks that change it; without a lock, takes it off.
    ///
    /// # Errors
    /// [`StoreError`]: there is no such site, or the database failed.
    pub async fn lock_site(
        &self,
        host: &HostName,
        lock: Option<NewLock>,
        who: &str,
    ) -> Result<Site, StoreError> {
        let locked = lock.is_some();
        let reason = lock.and_then(|lock| lock.reason);
        let lock = SetSiteLock {
            host: host.clone(),
            locked,
            reason: reason.map(|reason| reason.to_string()).unwrap_or_default(),
            requested_by: who.to_owned(),
        };
        self.store.write(lock).await?;
        self.site(host).await
    }

    /// Deletes a site, when a backup of it could be made, or without one. One that was never installed only leaves the
    /// list; the answer is then the task that did not install it.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there or busy, or the database failed.
    pub async fn delete_site(
        &self,
        host: &HostName,
        no_backup: bool,
        who: &str,
    ) -> Result<Task, StoreError> {
        let site = self.site(host).await?;
        if let (Condition::Failed, Some(task)) = (site.condition, site.task) {
            let forget = Forget {
                host: host.clone(),
                task,
                requested_by: who.to_owned(),
            };
            self.store.write(forget).await?;
            return self.task(task).await;
        }
        let params = Params::SiteDelete(site_delete::Params {
            site: host.clone(),
            no_backup,
        });
        self.make_one(site.server, params, who).await
    }
}
