//! How much room a database takes a second time: as a dump, and as much again where the server keeps its files.

use kolga_protocol::names::DatabaseName;

use super::Service;
use crate::files::Dir;
use crate::room::{self, Need, SPARE_BYTES};

impl Service<'_> {
    /// Refuses to copy a database for which there is too little room: for its dump in `folder`, and for the copy.
    ///
    /// # Errors
    /// Names the place, what is needed and what there is.
    pub async fn room_to_copy(self, name: &DatabaseName, folder: &Dir) -> anyhow::Result<()> {
        let size = self.size_of(name).await?;
        let mut needs = vec![Need::new(folder.path(), size)?];
        needs.extend(self.room_for(size).await?);
        room::enough(&format!("a copy of the database {name}"), &needs)
    }

    /// So many bytes where the server keeps its files; nothing where that is another machine, or the worker may
    /// not even ask what is free: then the server says so by itself. A PostgreSQL tells nobody but its administrators
    /// where its files are.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn room_for(self, bytes: u64) -> anyhow::Result<Option<Need>> {
        match self {
            Self::Mariadb(it) => it.room_for(bytes).await,
            Self::Postgresql(_) => Ok(None),
        }
    }
}

/// Refuses to dump a database of so many bytes into a folder that has less free.
///
/// # Errors
/// Names the folder, what is needed and what there is.
pub(in crate::services) fn room_for_dump(
    name: &DatabaseName,
    size: u64,
    folder: &Dir,
) -> anyhow::Result<()> {
    let (need, free) = (size.saturating_add(SPARE_BYTES), folder.free_bytes()?);
    anyhow::ensure!(
        need <= free,
        "the database {name} may need {need} bytes as a file, and {} has {free}",
        folder.path().display()
    );
    Ok(())
}
