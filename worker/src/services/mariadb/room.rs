//! What is free where the server keeps its files.

use std::path::Path;

use super::Mariadb;
use crate::room::Need;

impl Mariadb {
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
