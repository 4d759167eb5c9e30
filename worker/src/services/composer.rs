//! composer, as one platform's build uses it: exactly the packages that the code's own `composer.lock` names, into the
//! folder in which the platform is being built.
//!
//! The code is somebody's, and so are the packages, so composer is told as little of what they say as it can do with. It
//! gets copies of `composer.json` and `composer.lock` with what installing needs and nothing else ([`manifest`],
//! [`lock`]): no scripts, no place to clone from, nobody to notify, no word on how to use the network; and every package
//! comes from where the spoke's operator lets it come from. It never resolves: what has no lock is refused. It is confined
//! ([`Confinement`]) to the code, a folder of its own beside it that goes with the build, and those of the sources that
//! are folders. Plugins run only where the operator says so.

mod lock;
mod manifest;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::config;
use crate::cx::Cx;
use crate::files::Dir;
use crate::process::Confinement;
use crate::services::php::Php;

/// composer's own folder, in the platform's.
const FOLDER: &str = "composer";
const MANIFEST: &str = "composer.json";
const LOCK: &str = "composer.lock";
/// No project has a longer one.
const LONGEST: u64 = 16 * 1024 * 1024;
/// As long as many packages over a slow line may take.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Packages that are about to be installed.
pub struct Composer {
    config: config::Composer,
    php: Php,
    platform: Dir,
    code: Dir,
    own: Dir,
    /// How many there are.
    pub packages: u64,
    plugins: bool,
}

/// That composer is there at all.
///
/// # Errors
/// When it is not, and what to do.
pub fn installed(config: &config::Composer) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.program.exists(),
        "{} is not there: install composer on this server, or name it in [composer] of the worker's configuration",
        config.program.display()
    );
    Ok(())
}

impl Composer {
    /// Reads what the code wants, refuses what it may not have, and writes what composer is told.
    ///
    /// # Errors
    /// When there is no lock, it cannot be read, or it names what may not be installed here: all of it at once.
    pub fn prepare(cx: &Cx, platform: &Dir, code: &Dir) -> anyhow::Result<Self> {
        let config = cx.spoke.need_composer()?.clone();
        let read = |name: &str| {
            let text = code.read(name, LONGEST)?;
            text.with_context(|| {
                format!(
                    "the code has no {name}, which says what to install: run composer where it is written and add \
                     both composer.json and composer.lock, or build without --composer"
                )
            })
        };
        let manifest = manifest::read(&read(MANIFEST)?).context(MANIFEST)?;
        let there = code.path().join(&manifest.vendor).join("composer");
        anyhow::ensure!(
            std::fs::symlink_metadata(&there).is_err(),
            "the code has packages in {} already: leave them out of it, or build without --composer",
            manifest.vendor
        );
        let locked = lock::read(&read(LOCK)?, &config).context(LOCK)?;
        locked.tell(&cx.log, config.plugins);
        let own = platform.make_dir(FOLDER, 0o700)?;
        own.write_atomically(MANIFEST, &manifest.text, 0o400)?;
        own.write_atomically(LOCK, &locked.text, 0o400)?;
        for name in ["home", "tmp"] {
            own.make_dir(name, 0o700)?;
        }
        Ok(Self {
            php: cx.spoke.need_php()?.clone(),
            platform: platform.clone(),
            code: code.clone(),
            own,
            packages: locked.packages,
            plugins: config.plugins,
            config,
        })
    }

    /// Installs them.
    ///
    /// # Errors
    /// When one cannot be had, is not what its checksum says, or does not go with the others or with PHP.
    pub async fn install(&self, cx: &Cx) -> anyhow::Result<()> {
        let own = |name: &str| self.own.path().join(name);
        let mut command = self
            .php
            .command()
            .arg("-f")
            .arg(&self.config.program)
            .args(["--", "install", "--no-dev", "--prefer-dist", "--no-scripts"])
            .args([
                "--no-interaction",
                "--no-progress",
                "--no-ansi",
                "--no-cache",
            ]);
        if !self.plugins {
            command = command.arg("--no-plugins");
        }
        let done = command
            .dir(self.code.path())
            .env("HOME", own("home"))
            .env("TMPDIR", own("tmp"))
            .env("COMPOSER_HOME", own("home"))
            .env("COMPOSER", own(MANIFEST))
            // Whether plugins run is said above, and not by which user this is.
            .env("COMPOSER_ALLOW_SUPERUSER", "1")
            // It would ask git, and git what the code says of it.
            .env("COMPOSER_ROOT_VERSION", "1.0.0+no-version-set")
            .env("GIT_DIR", own("no-repository"))
            // What lies in the code is copied like all else, so that a package is a package.
            .env("COMPOSER_MIRROR_PATH_REPOS", "1")
            .confined(self.confinement())
            .speaks_on_stderr()
            .time_limit(PATIENCE)
            .run(cx)
            .await;
        done.context(
            "composer has not installed the packages; its own lines above say which, and why",
        )
    }

    fn confinement(&self) -> Confinement {
        let mut read: Vec<PathBuf> = self.config.folders().map(Into::into).collect();
        // PHP's settings, and the two programs where they are not the system's.
        read.push("/etc/php".into());
        // Where a package brings a program, composer asks whether this is Windows, and ends when it cannot be told.
        read.push("/proc/version".into());
        read.push(self.config.program.clone());
        read.push(self.php.binary().to_owned());
        Confinement {
            read,
            write: vec![self.code.path().to_owned(), self.own.path().to_owned()],
        }
    }

    /// Removes all but what was made of it.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn remove(&self) -> anyhow::Result<()> {
        self.platform.remove_tree(FOLDER)
    }
}
