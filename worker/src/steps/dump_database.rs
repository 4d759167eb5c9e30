//! Step `dump_database`: a site's database as a file in a folder of this run's own, which nobody but the worker can
//! read. There has to be room for the file, and for the same database a second time, which it is to become;
//! [`super::clear_stage`] removes it when the task is past its point of no return.
//!
//! Undo needs the run, which the folder names.

use std::sync::{Arc, OnceLock};

use kolga_protocol::fault;
use kolga_protocol::id::Run;
use kolga_protocol::names::{DatabaseName, Engine};
use serde::{Deserialize, Serialize};

use super::stage_backup::{self, DUMP};
use crate::cx::Cx;
use crate::files::Dir;
use crate::layout;
use crate::profile::Tables;
use crate::services::database::Dumped;
use crate::step::{Step, UndoError};

/// Dumps a database that is to be imported again on this spoke.
pub struct DumpDatabase {
    /// Which.
    pub name: DatabaseName,
    /// In which server it is.
    pub engine: Engine,
    /// Of which tables the copy has no rows.
    pub without_rows: Vec<Tables>,
    /// Where the recipe learns what it came to.
    pub dumped: Arc<OnceLock<Dumped>>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
}

/// Where a run's dump lies: the folder of the worker's own, and the name in it.
///
/// # Errors
/// When there is none.
pub fn place(cx: &Cx, run: Run) -> anyhow::Result<(Dir, &'static str)> {
    let own = Dir::open(&cx.spoke.config.state_dir)?;
    Ok((own.dir(layout::backup_stage(run))?, DUMP))
}

impl Step for DumpDatabase {
    const NAME: &'static str = "dump_database";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let own = stage_backup::free(cx)?;
        cx.spoke
            .database(self.engine)?
            .room_to_copy(&self.name, &own)
            .await?;
        Ok(Record { run: cx.run })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let own = Dir::open(&cx.spoke.config.state_dir)?;
        let stage = layout::backup_stage(record.run);
        let stage = own.make_owned_dir(stage, 0o700, &record.run.to_string())?;
        fault::point("dump_database:made");
        let service = cx.spoke.database(self.engine)?;
        let dumped = service
            .dump(cx, &self.name, &self.without_rows, &stage, DUMP)
            .await?;
        cx.log
            .info(format!("dumped {}: {} bytes", self.name, dumped.bytes));
        self.dumped.get_or_init(|| dumped);
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        stage_backup::undo(cx, record.run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_and_when_it_ran_by_half_and_leaves_a_strangers_folder()
    {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let own = Dir::open(&cx.spoke.config.state_dir).expect("there");
        let before = own.names().expect("read");
        let record = Record { run: cx.run };
        DumpDatabase::undo(&cx, &record).await.expect("never ran");
        let name = layout::backup_stage(cx.run);
        let stage = own
            .make_owned_dir(&name, 0o700, &cx.run.to_string())
            .expect("made");
        stage
            .write_new(DUMP, b"CREATE TABLE", 0o600)
            .expect("by half");
        DumpDatabase::undo(&cx, &record).await.expect("ran by half");
        DumpDatabase::undo(&cx, &record).await.expect("twice");
        assert_eq!(own.names().expect("read"), before);
        own.make_dir(&name, 0o700).expect("planted");
        DumpDatabase::undo(&cx, &record).await.expect("not ours");
        assert!(own.kind(&name).expect("looked").is_some());
    }
}
