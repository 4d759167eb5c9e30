//! What on the disk leads into a platform: links in sites' folders, and vhosts. For those who are about to
//! remove one, whatever the spoke's book says. Called by [`crate::steps::trash_platform`]. It blocks.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::cx::Stop;
use crate::files::{Dir, Kind};

/// Profiles link to platforms from folders that lie no deeper; further down it is visitors' files.
const DEPTH: usize = 4;
/// The longest vhost that is looked into.
const LONGEST: u64 = 1024 * 1024;

/// Something that leads into this platform's folder, if anything does. Sites in the trash count: they may come
/// back.
///
/// # Errors
/// When a folder of the spoke cannot be read, or the task should stop.
pub fn user_of(config: &Config, platform: &Path, stop: &Stop) -> anyhow::Result<Option<PathBuf>> {
    let vhosts = Dir::open(&config.nginx.sites_dir)?;
    for name in vhosts.names()? {
        stop.check()?;
        let text = match vhosts.kind(&name)? {
            Some(Kind::File) => vhosts.read(&name, LONGEST)?.unwrap_or_default(),
            _ => continue,
        };
        if mentions(&String::from_utf8_lossy(&text), platform) {
            return Ok(Some(vhosts.path().join(name)));
        }
    }
    link_into(&Dir::open(&config.sites.root)?, platform, stop, DEPTH)
}

/// Whether a configuration speaks of this folder, and not of one whose name only begins the same.
fn mentions(text: &str, folder: &Path) -> bool {
    let folder = folder.display().to_string();
    text.match_indices(&folder).any(|(at, _)| {
        let next = text[at + folder.len()..].chars().next();
        !next.is_some_and(|next| next.is_ascii_alphanumeric() || "._-".contains(next))
    })
}

fn link_into(
    dir: &Dir,
    platform: &Path,
    stop: &Stop,
    depth: usize,
) -> anyhow::Result<Option<PathBuf>> {
    for name in dir.names()? {
        stop.check()?;
        let found = match dir.kind(&name)? {
            Some(Kind::Link) => dir
                .link_target(&name)?
                .filter(|target| target.starts_with(platform))
                .map(|_| dir.path().join(&name)),
            Some(Kind::Dir) if depth > 0 => match dir.dir(Path::new(&name)) {
                Ok(below) => link_into(&below, platform, stop, depth - 1)?,
                // What PHP keeps to itself holds no link of a profile's.
                Err(_) => None,
            },
            _ => None,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
