//! Whether there is room for a database a second time, asked before anything is touched.
//!
//! What a copy needs is its dump, in a folder of the worker's own, and as much again where the server keeps its files;
//! both may be one disk.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kolga_protocol::names::DatabaseName;

use super::Mariadb;
use crate::files::Dir;

/// What has to stay free besides.
pub(super) const SPARE_BYTES: u64 = 64 * 1024 * 1024;

/// Room that is needed somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Need {
    /// Where, for people.
    at: PathBuf,
    /// Which disk that is.
    disk: u64,
    /// What is free there.
    free: u64,
    /// What is needed there.
    bytes: u64,
}

impl Mariadb {
    /// Refuses to copy a database for which there is too little room: for its dump in `folder`, and for the copy.
    ///
    /// # Errors
    /// Names the place, what is needed and what there is.
    pub async fn room_to_copy(&self, name: &DatabaseName, folder: &Dir) -> anyhow::Result<()> {
        let size = self.size_of(name).await?;
        let mut connection = self.connect().await?;
        let data: String = sqlx::query_scalar("SELECT @@datadir")
            .fetch_one(&mut connection)
            .await?;
        let mut needs = vec![need(folder.path(), size)?];
        // A server that keeps its files where the worker may not even ask what is free says so by itself.
        needs.extend(need(Path::new(&data), size).ok());
        enough(name, needs)
    }
}

fn need(at: &Path, bytes: u64) -> anyhow::Result<Need> {
    let context = || format!("cannot ask what is free at {}", at.display());
    let found = rustix::fs::statvfs(at).with_context(context)?;
    Ok(Need {
        at: at.to_owned(),
        disk: rustix::fs::stat(at).with_context(context)?.st_dev,
        free: found.f_bavail.saturating_mul(found.f_frsize),
        bytes,
    })
}

/// Refuses where on one of these disks all that is needed there does not fit.
fn enough(name: &DatabaseName, needs: Vec<Need>) -> anyhow::Result<()> {
    for place in &needs {
        let here = needs.iter().filter(|other| other.disk == place.disk);
        let needed = here.map(|need| need.bytes).sum::<u64>() + SPARE_BYTES;
        anyhow::ensure!(
            needed <= place.free,
            "a copy of the database {name} needs {needed} bytes at {}, and {} are free: make room first",
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
        let name: DatabaseName = "k_a".parse().expect("a name");
        let free = SPARE_BYTES + 150;
        let two = |disk| {
            let needs = vec![
                place("/state", 1, free, 100),
                place("/data", disk, free, 100),
            ];
            enough(&name, needs)
        };
        two(2).expect("each has room");
        let refused = two(1).expect_err("both are too much").to_string();
        assert!(
            refused.contains("k_a") && refused.contains("/state"),
            "{refused}"
        );
    }
}
