//! A site that Kolga has not made: a folder of the operator's, looked at from outside. Nothing of it is run, nothing is
//! written, and no link in it is followed; what its profile calls `[import]` says what there is to know of it.
//!
//! [`crate::tasks`] asks when a `site.import` is planned; step `copy_source` copies with [`Source`].

mod literals;
mod settings;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kolga_protocol::names::{ProfileName, SpokePath};

use crate::code;
use crate::config::Config;
use crate::cx::Stop;
use crate::files::{Bounds, Choice, Dir, Kind, Taken, Weighed};
use crate::profile::manifest::Import;
use crate::profile::{Profile, Profiles};
use crate::site::Site;

pub use settings::{Told, told};

/// No site has more files, folders and links.
const MOST_NAMES: u64 = 2_000_000;
/// By how much a source may have grown when it is copied.
const GROWTH: u64 = 256 * 1024 * 1024;

/// The folder.
#[derive(Clone, Debug)]
pub struct Source {
    /// It.
    pub dir: Dir,
}

impl Source {
    /// Opens a folder that lies below one that the operator lets sites be imported from, through no link.
    ///
    /// # Errors
    /// When it lies elsewhere, is the spoke's own, or cannot be opened.
    pub fn open(config: &Config, path: &SpokePath) -> anyhow::Result<Self> {
        let wanted = Path::new(path.as_str());
        let places = &config.sites.import_from;
        let found = places.iter().find_map(|place| {
            let below = wanted.strip_prefix(place).ok()?;
            (!below.as_os_str().is_empty()).then_some((place, below))
        });
        let (place, below) = found.with_context(|| {
            format!(
                "{path} lies below none of the folders that this spoke imports from: [sites] import_from in its \
                 worker.toml names them"
            )
        })?;
        let dir = Dir::open(place)?.dir(below)?;
        // A folder that holds the spoke's own, or lies in it, is nobody's site.
        let real = real(&dir)?;
        for own in [
            &config.sites.root,
            &config.sites.platforms,
            &config.state_dir,
        ] {
            let own = own.canonicalize().unwrap_or_else(|_| own.clone());
            anyhow::ensure!(
                !real.starts_with(&own) && !own.starts_with(&real),
                "{path} and this spoke's own {} lie in each other",
                own.display()
            );
        }
        Ok(Self { dir })
    }

    /// What there is to take by these rules, and why it cannot be taken.
    ///
    /// # Errors
    /// When there is far too much of it, or the task should stop.
    pub fn weigh(&self, rules: &Import, stop: &Stop) -> anyhow::Result<Weighed> {
        let choice = choice(rules, u64::MAX);
        let mut all = Weighed::default();
        for copy in &rules.copy {
            let from = copy.from.as_ref().map_or(Path::new(""), AsRef::as_ref);
            let found = self.dir.weigh(from, &choice, &mut || Ok(stop.check()?))?;
            all.taken = all.taken.and(found.taken);
            all.problems.extend(found.problems);
        }
        Ok(all)
    }

    /// Copies what there is to take into a site's folder, in which the profile's folders are made already.
    ///
    /// # Errors
    /// When something is not taken, cannot be read or written, or there is much more than `weighed`.
    pub fn copy_to(
        &self,
        site: &Site,
        top: &Dir,
        weighed: Taken,
        stop: &Stop,
    ) -> anyhow::Result<Taken> {
        let rules = rules_of(&site.profile)?;
        let most = weighed.bytes.saturating_mul(2).saturating_add(GROWTH);
        let choice = choice(rules, most);
        let written = site.written_by_web();
        let mut all = Taken::default();
        for copy in &rules.copy {
            let from = copy.from.as_ref().map_or(Path::new(""), AsRef::as_ref);
            let place: &Path = copy.to.as_ref();
            let mode = |below: &Path| {
                let below = place.join(below);
                let may_write = written.iter().any(|folder| below.starts_with(folder));
                if may_write { 0o660 } else { 0o640 }
            };
            let taken = top
                .dir(place)?
                .take_in(&self.dir, from, &choice, &mode, &mut || Ok(stop.check()?))
                .with_context(|| format!("cannot copy {}", self.dir.path().display()))?;
            all = all.and(taken);
        }
        Ok(all)
    }
}

fn choice(rules: &Import, bytes: u64) -> Choice {
    Choice {
        leave_out: rules
            .leave_out
            .iter()
            .map(|place| PathBuf::from(place.as_str()))
            .collect(),
        bounds: Bounds {
            names: MOST_NAMES,
            bytes,
        },
    }
}

/// Where an open folder is now, whatever it was called.
fn real(dir: &Dir) -> anyhow::Result<PathBuf> {
    use std::os::fd::{AsFd as _, AsRawFd as _};
    let opened = format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd());
    std::fs::read_link(opened).context("cannot tell where the folder is")
}

/// How a profile's sites are imported.
///
/// # Errors
/// When it does not say.
pub fn rules_of(profile: &Profile) -> anyhow::Result<&Import> {
    let rules = profile.manifest.import.as_ref();
    rules.with_context(|| {
        let name = &profile.manifest.name;
        format!("profile {name} does not say how a site that is there becomes one of it: [import]")
    })
}

/// The profile whose application this is; the one that is wanted, where it is.
///
/// # Errors
/// When it is none, or another, and which files are missing.
pub fn recognise<'a>(
    profiles: &'a Profiles,
    wanted: Option<&ProfileName>,
    source: &Source,
) -> anyhow::Result<&'a Profile> {
    if let Some(name) = wanted {
        let profile = profiles.get(name)?;
        let missing = missing(source, profile, rules_of(profile)?);
        anyhow::ensure!(
            missing.is_empty(),
            "{} is no {name}: it has no {}",
            source.dir.path().display(),
            missing.join(", ")
        );
        return Ok(profile);
    }
    let mut known: Vec<(&Profile, &Import)> = profiles
        .usable()
        .filter_map(|profile| Some((profile, profile.manifest.import.as_ref()?)))
        .collect();
    // What is known by more is told apart from what is known by less.
    known.sort_by_key(|(profile, rules)| {
        let needs = profile.manifest.needs;
        let tells = rules.settings.is_some();
        (
            !needs.platform,
            !tells,
            !needs.php,
            profile.manifest.name.clone(),
        )
    });
    let found = known
        .iter()
        .find(|(profile, rules)| missing(source, profile, rules).is_empty());
    let found = found.map(|(profile, _)| *profile);
    found.with_context(|| {
        let names: Vec<&str> = known
            .iter()
            .map(|(profile, _)| profile.manifest.name.as_str())
            .collect();
        format!(
            "{} is none of {}, by the files in it: name its profile, or look whether the worker's user may read it",
            source.dir.path().display(),
            names.join(", ")
        )
    })
}

/// Files by which its application is known, and which it has not.
fn missing<'a>(source: &Source, profile: &'a Profile, rules: &'a Import) -> Vec<&'a str> {
    let platform = profile.manifest.platform.iter();
    let index = platform.flat_map(|platform| &platform.index);
    let all = index.chain(&rules.index);
    all.filter(|place| !is_file(&source.dir, place.as_ref()))
        .map(|place| place.as_str())
        .collect()
}

fn is_file(dir: &Dir, path: &Path) -> bool {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return false;
    };
    let folder = match parent.as_os_str().is_empty() {
        true => Ok(dir.clone()),
        false => dir.dir(parent),
    };
    folder.is_ok_and(|folder| matches!(folder.kind(name), Ok(Some(Kind::File))))
}

/// The version of the application in a source, where its profile knows how to tell.
///
/// # Errors
/// When the file that tells it cannot be read.
pub fn version(source: &Source, profile: &Profile) -> anyhow::Result<Option<String>> {
    match &profile.manifest.platform {
        Some(rules) => code::version(&source.dir, rules),
        None => Ok(None),
    }
}
