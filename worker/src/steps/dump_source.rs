//! Step `dump_source`: the database of a site that Kolga has not made, as a file in a folder of this run's own, which nobody
//! but the worker can read. It is dumped with its own account, so nothing is read that its application could not read, and
//! nothing is written. The account is in no record: what undoing needs is the run, which the folder names.

use std::sync::{Arc, OnceLock};

use kolga_protocol::fault;
use kolga_protocol::id::Run;
use kolga_protocol::names::Engine;
use serde::{Deserialize, Serialize};

use super::stage_backup::{self, DUMP};
use crate::cx::Cx;
use crate::files::Dir;
use crate::layout;
use crate::services::database::{Account, Dumped};
use crate::step::{Step, UndoError};

/// Dumps a database that is to be imported into a new one.
pub struct DumpSource {
    /// Whose, and how to get at it.
    pub account: Account,
    /// In which server it is.
    pub engine: Engine,
    /// Where the recipe learns what it came to.
    pub dumped: Arc<OnceLock<Dumped>>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    run: Run,
}

impl Step for DumpSource {
    const NAME: &'static str = "dump_source";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        stage_backup::free(cx)?;
        Ok(Record { run: cx.run })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let own = Dir::open(&cx.spoke.config.state_dir)?;
        let stage = layout::backup_stage(record.run);
        let stage = own.make_owned_dir(stage, 0o700, &record.run.to_string())?;
        fault::point("dump_source:made");
        let service = cx.spoke.database(self.engine)?;
        let dumped = service.dump_as(cx, &self.account, &stage, DUMP).await?;
        cx.log.info(format!(
            "dumped {}: {} bytes",
            self.account.database, dumped.bytes
        ));
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
    async fn the_record_holds_no_account_and_undo_is_right_when_it_never_ran_and_when_it_ran_by_half()
     {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let account = Account::new("shop".into(), "shop".into(), "s3cr3t".into());
        let step = DumpSource {
            account: account.expect("an account"),
            engine: Engine::Mariadb,
            dumped: Arc::default(),
        };
        let own = Dir::open(&cx.spoke.config.state_dir).expect("there");
        let before = own.names().expect("read");
        let record = Step::inspect(&step, &cx).await.expect("free");
        let json = serde_json::to_string(&record).expect("JSON");
        assert!(!json.contains("s3cr3t") && !json.contains("shop"), "{json}");
        DumpSource::undo(&cx, &record).await.expect("never ran");
        let stage = own
            .make_owned_dir(layout::backup_stage(cx.run), 0o700, &cx.run.to_string())
            .expect("made");
        stage
            .write_new(format!("{DUMP}.cnf"), b"password=s3cr3t", 0o600)
            .expect("by half");
        DumpSource::undo(&cx, &record).await.expect("ran by half");
        DumpSource::undo(&cx, &record).await.expect("twice");
        assert_eq!(own.names().expect("read"), before);
    }
}
