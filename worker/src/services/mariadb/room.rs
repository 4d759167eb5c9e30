//! How much room a database takes a second time: as a dump, and as much again where the server keeps its files.

use std::path::Path;

use kolga_protocol::names::DatabaseName;

use super::Mariadb;
use crate::files::Dir;
use crate::room::{self, Need};

impl Mariadb {
    /// Refuses to copy a database for which there is too little room: for its dump in `folder`, and for the copy.
    ///
    /// # Errors
    /// Names the place, what is needed and what there is.
    pub async fn room_to_copy(&self, name: &DatabaseName, folder: &Dir) -> anyhow::Result<()> {
        let size = self.size_of(name).await?;
        let mut needs = vec![Need::new(folder.path(), size)?];
        needs.extend(self.room_for(size).await?);
        room::enough(&format!("a copy of the database {name}"), &needs)
    }

    /// So many bytes where the server keeps its files; nothing where that is another machine, or the worker may
    /// not even ask what is free: then the server says so by itself.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn room_for(&self, bytes: u64) -> anyhow::Result<Option<Need>> {
        if !self.server.is_here() {
            return Ok(None);
        }
        let mut connection = self.connect().await?;
        let data: String = sqlx::query_scalar("SELECT @@datadir")
            .fetch_one(&mut connection)
            .await?;
        Ok(Need::new(Path::new(&data), bytes).ok())
    }
}
