//! Whether there is room on the disks for what a task is about to put there, asked before anything is touched.
//!
//! Several places may be one disk, so what is needed there is added up. Recipes and services make [`Need`]s.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// What has to stay free besides.
pub const SPARE_BYTES: u64 = 64 * 1024 * 1024;

/// Room that is needed somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Where, for people.
    at: PathBuf,
    /// Which disk that is.
    disk: u64,
    /// What is free there.
    free: u64,
    /// What is needed there.
    bytes: u64,
}

impl Need {
    /// So many bytes at this place.
    ///
    /// # Errors
    /// When it cannot be asked what is free there.
    pub fn new(at: &Path, bytes: u64) -> anyhow::Result<Self> {
        let context = || format!("cannot ask what is free at {}", at.display());
        let found = rustix::fs::statvfs(at).with_context(context)?;
        Ok(Self {
            at: at.to_owned(),
            disk: rustix::fs::stat(at).with_context(context)?.st_dev,
            free: found.f_bavail.saturating_mul(found.f_frsize),
            bytes,
        })
    }
}

/// Refuses where on one of these disks all that is needed there does not fit.
///
/// # Errors
/// Names `what` needs it, the place, what is needed and what there is.
pub fn enough(what: &str, needs: &[Need]) -> anyhow::Result<()> {
    for place in needs {
        let here = needs.iter().filter(|other| other.disk == place.disk);
        let needed = here.map(|need| need.bytes).sum::<u64>() + SPARE_BYTES;
        anyhow::ensure!(
            needed <= place.free,
            "{what} needs {needed} bytes at {}, and {} are free: make room first",
            place.at.display(),
            place.free
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(at: &str, disk: u64, free: u64, bytes: u64) -> Need {
        let at = at.into();
        Need {
            at,
            disk,
            free,
            bytes,
        }
    }

    #[test]
    fn what_two_need_of_one_disk_is_added_up() {
        let free = SPARE_BYTES + 150;
        let two = |disk| {
            let needs = [
                place("/state", 1, free, 100),
                place("/data", disk, free, 100),
            ];
            enough("a copy", &needs)
        };
        two(2).expect("each has room");
        let refused = two(1).expect_err("both are too much").to_string();
        assert!(
            refused.contains("a copy") && refused.contains("/state"),
            "{refused}"
        );
    }
}
