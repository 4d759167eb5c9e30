//! A platform's code as it lies on the disk: the list of its files that was made when it was built ([`listing`]),
//! what differs from it by now, modes that are not what they should be ([`modes`]), which version it is, which of two
//! is older ([`mod@version`]), and what is installed in it ([`parts`]).
//!
//! Called by the steps of `tasks::platform_build` and `tasks::platform_verify`. All of it blocks.

pub mod listing;
pub mod modes;
pub mod parts;
pub mod version;

use std::path::Path;

use crate::files::Dir;
use crate::profile::Place;
use crate::profile::manifest::Platform;

/// The longest file that a version is looked for in.
const LONGEST: u64 = 1024 * 1024;

/// Files without which it is not what its profile says, and which are not there.
#[must_use]
pub fn missing<'a>(code: &Dir, rules: &'a Platform) -> Vec<&'a str> {
    // Links in it were checked to stay inside when it was unpacked.
    rules
        .index
        .iter()
        .filter(|place| !code.path().join(place).is_file())
        .map(Place::as_str)
        .collect()
}

/// The application's version, where the profile knows how to tell and the file tells it.
///
/// # Errors
/// When the file is there and cannot be read.
pub fn version(code: &Dir, rules: &Platform) -> anyhow::Result<Option<String>> {
    let Some(rule) = &rules.version else {
        return Ok(None);
    };
    let path: &Path = rule.file.as_ref();
    let (Some(parent), Some(file)) = (path.parent(), path.file_name()) else {
        return Ok(None);
    };
    let folder = match parent.as_os_str().is_empty() {
        true => code.clone(),
        false => match code.dir(parent) {
            Ok(folder) => folder,
            Err(_) => return Ok(None),
        },
    };
    let text = folder.read(file, LONGEST)?.unwrap_or_default();
    Ok(rule.read(&String::from_utf8_lossy(&text)))
}
