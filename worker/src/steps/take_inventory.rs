//! Step `take_inventory`: versions, disks, and the platforms and sites that the spoke's book or its disk tells of.
//!
//! It only looks, so undo has nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::names::{HostName, PlatformName};
use kolga_protocol::task::server_inventory::{Disk, MOST_STRAYS, Output, Platform, Program, Site};

use crate::config::Config;
use crate::cx::Cx;
use crate::files::{Dir, Kind, blocking};
use crate::process::Command;
use crate::registry::{PlatformEntry, SiteEntry};
use crate::step::{Step, UndoError};

/// How long a program may think about its own version.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fills `found` for the task's result.
#[derive(Default)]
pub struct TakeInventory {
    /// What was found.
    pub found: Arc<Mutex<Option<Output>>>,
}

impl Step for TakeInventory {
    const NAME: &'static str = "take_inventory";
    type Record = ();

    async fn inspect(&self, _cx: &Cx) -> anyhow::Result<()> {
        Ok(())
    }

    async fn apply(&self, cx: &Cx, (): &()) -> anyhow::Result<()> {
        let programs = programs(cx).await?;
        let spoke = Arc::clone(&cx.spoke);
        let found = blocking(move || {
            let registry = &spoke.registry;
            let (platforms, sites) = (registry.platforms.list()?, registry.sites.list()?);
            let mut strays = Vec::new();
            Ok(Output {
                programs,
                disks: disks(&spoke.config)?,
                platforms: platforms_of(&spoke.config, platforms, &mut strays)?,
                sites: sites_of(&spoke.config, sites, &mut strays)?,
                strays,
            })
        })
        .await?;
        cx.log.info(format!(
            "{} platforms, {} sites, {} strays",
            found.platforms.len(),
            found.sites.len(),
            found.strays.len()
        ));
        *self.found.lock().expect("nobody panics while holding it") = Some(found);
        Ok(())
    }

    async fn undo(_cx: &Cx, (): &()) -> Result<(), UndoError> {
        Ok(())
    }
}

async fn programs(cx: &Cx) -> anyhow::Result<Vec<Program>> {
    let mut found = vec![
        ask(cx, "nginx", Path::new("/usr/sbin/nginx"), &["-v"], "nginx/").await?,
        ask(
            cx,
            "git",
            Path::new("/usr/bin/git"),
            &["--version"],
            "git version ",
        )
        .await?,
        ask(
            cx,
            "restic",
            Path::new("/usr/bin/restic"),
            &["version"],
            "restic ",
        )
        .await?,
    ];
    if let Some(php) = &cx.spoke.php {
        found.push(ask(cx, "php", php.binary(), &["-n", "-v"], "PHP ").await?);
    }
    for service in cx.spoke.databases() {
        found.push(Program {
            name: service.engine().to_string(),
            version: service.version().await.ok(),
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The word that stands behind `mark` in what the program says of itself.
async fn ask(
    cx: &Cx,
    name: &str,
    program: &Path,
    words: &[&str],
    mark: &str,
) -> anyhow::Result<Program> {
    let mut version = None;
    if program.exists() {
        let asked = Command::new(program).args(words).time_limit(PATIENCE);
        let said = asked.capture(cx).await;
        cx.stop.check()?;
        version = said.ok().and_then(|said| {
            let text = [said.stdout, said.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            let rest = text.split_once(mark)?.1;
            rest.split_whitespace().next().map(str::to_owned)
        });
    }
    Ok(Program {
        name: name.to_owned(),
        version,
    })
}

fn disks(config: &Config) -> anyhow::Result<Vec<Disk>> {
    let mut seen = BTreeSet::new();
    let mut disks = Vec::new();
    for path in [
        &config.sites.root,
        &config.sites.platforms,
        &config.state_dir,
    ] {
        let context = || format!("cannot look at {}", path.display());
        let device = rustix::fs::stat(path).with_context(context)?.st_dev;
        if seen.insert(device) {
            let found = rustix::fs::statvfs(path).with_context(context)?;
            disks.push(Disk {
                path: path.display().to_string(),
                total: found.f_blocks.saturating_mul(found.f_frsize),
                free: found.f_bavail.saturating_mul(found.f_frsize),
            });
        }
    }
    Ok(disks)
}

fn platforms_of(
    config: &Config,
    entries: Vec<PlatformEntry>,
    strays: &mut Vec<String>,
) -> anyhow::Result<Vec<Platform>> {
    let mut found: BTreeMap<PlatformName, Platform> = BTreeMap::new();
    for entry in entries {
        let platform = Platform {
            name: entry.name.to_string(),
            profile: Some(entry.profile.to_string()),
            version: entry.version,
            in_book: true,
            has_folder: false,
        };
        found.insert(entry.name, platform);
    }
    for name in folders(&config.sites.platforms, strays)? {
        let platform = found.entry(name).or_insert_with_key(|name| Platform {
            name: name.to_string(),
            profile: None,
            version: None,
            in_book: false,
            has_folder: false,
        });
        platform.has_folder = true;
    }
    Ok(found.into_values().collect())
}

fn sites_of(
    config: &Config,
    entries: Vec<SiteEntry>,
    strays: &mut Vec<String>,
) -> anyhow::Result<Vec<Site>> {
    let unknown = |host: &HostName| Site {
        host: host.to_string(),
        profile: None,
        platform: None,
        enabled: None,
        in_book: false,
        has_folder: false,
        has_vhost: false,
    };
    let mut found: BTreeMap<HostName, Site> = BTreeMap::new();
    for entry in entries {
        let site = Site {
            profile: Some(entry.profile.to_string()),
            platform: entry.platform.map(|platform| platform.to_string()),
            enabled: Some(entry.enabled),
            in_book: true,
            ..unknown(&entry.host)
        };
        found.insert(entry.host, site);
    }
    for host in folders::<HostName>(&config.sites.root, strays)? {
        found.entry(host).or_insert_with_key(unknown).has_folder = true;
    }
    let vhosts = Dir::open(&config.nginx.sites_dir)?;
    for name in vhosts.names()? {
        let text = name.to_string_lossy();
        // What nginx does not read is nobody's site.
        let Some(host) = text
            .strip_suffix(".conf")
            .filter(|_| !text.starts_with('.'))
        else {
            continue;
        };
        match host.parse::<HostName>() {
            Ok(host) if host.as_str() == text.trim_end_matches(".conf") => {
                found.entry(host).or_insert_with_key(unknown).has_vhost = true;
            }
            _ => stray(strays, &vhosts.path().join(&name)),
        }
    }
    Ok(found.into_values().collect())
}

/// What the folders in `path` are called; what is no such folder is a stray. Names with a dot before them are
/// tasks' own, and the trash.
fn folders<T: std::str::FromStr + std::fmt::Display>(
    path: &Path,
    strays: &mut Vec<String>,
) -> anyhow::Result<Vec<T>> {
    let dir = Dir::open(path)?;
    let mut found = Vec::new();
    for name in dir.names()? {
        let text = name.to_string_lossy();
        if text.starts_with('.') {
            continue;
        }
        match text.parse::<T>() {
            Ok(known) if dir.kind(&name)? == Some(Kind::Dir) && known.to_string() == text => {
                found.push(known);
            }
            _ => stray(strays, &path.join(&name)),
        }
    }
    Ok(found)
}

fn stray(strays: &mut Vec<String>, path: &Path) {
    if strays.len() < MOST_STRAYS {
        strays.push(path.display().to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::register_site::RegisterSite;
    use crate::steps::testing::{site, site_context};
    use crate::testing::Scratch;

    #[tokio::test]
    async fn what_the_book_and_the_disk_tell_is_told_apart_and_nothing_is_touched() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let register = RegisterSite {
            site: site(&cx),
            enabled: true,
        };
        let record = Step::inspect(&register, &cx).await.expect("free");
        Step::apply(&register, &cx, &record).await.expect("noted");
        let at = |path: &str| scratch.path().join(path);
        for folder in [
            "sites/lost.example.org",
            "sites/.trash",
            "platforms/old-1",
            "platforms/.x.new-1",
        ] {
            std::fs::create_dir_all(at(folder)).expect("a folder");
        }
        for file in [
            "sites/notes.txt",
            "vhosts/lost.example.org.conf",
            "vhosts/UPPER.Example.org.conf",
        ] {
            std::fs::write(at(file), "").expect("a file");
        }
        let step = TakeInventory::default();
        Step::apply(&step, &cx, &()).await.expect("looked");
        let found = step.found.lock().expect("whole").take().expect("found");
        let site = |at: usize| {
            let site = &found.sites[at];
            (
                site.host.as_str(),
                site.in_book,
                site.has_folder,
                site.has_vhost,
            )
        };
        assert_eq!(found.sites.len(), 2);
        assert_eq!(site(0), ("lost.example.org", false, true, true));
        assert_eq!(site(1), ("www.example.org", true, false, false));
        assert_eq!(found.platforms.len(), 1);
        assert_eq!(found.platforms[0].name, "old-1");
        assert!(!found.platforms[0].in_book && found.platforms[0].has_folder);
        let strays = ["sites/notes.txt", "vhosts/UPPER.Example.org.conf"];
        assert_eq!(
            found.strays,
            strays.map(|path| at(path).display().to_string())
        );
        assert_eq!(found.disks.len(), 1);
        assert!(found.disks[0].total > found.disks[0].free);
        let git = found.programs.iter().find(|program| program.name == "git");
        let version = git
            .and_then(|git| git.version.clone())
            .expect("it is installed");
        assert!(version.starts_with("2."), "{version}");
        assert!(at("sites/notes.txt").exists());
    }
}
