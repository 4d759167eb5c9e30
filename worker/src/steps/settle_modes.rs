//! Step `settle_modes`: modes of a platform's files and folders as they were when it was built.
//!
//! Undo needs each mode that was changed; one that somebody has changed again since stays.

use kolga_protocol::fault;
use kolga_protocol::names::PlatformName;
use serde::{Deserialize, Serialize};

use std::sync::{Arc, OnceLock};

use crate::code::listing::Listing;
use crate::code::modes::{self, Wrong};
use crate::cx::Cx;
use crate::files::{Dir, blocking};
use crate::layout;
use crate::step::{Step, UndoError};

/// What one task sets right: a record holds all of them.
const MOST: usize = 10_000;
/// So many are told one by one.
const TOLD: usize = 20;

/// Sets the modes of a platform right.
pub struct SettleModes {
    /// Which.
    pub platform: PlatformName,
    /// Where the recipe learns how many were set right, and how many cannot be.
    pub counted: Arc<OnceLock<(u64, u64)>>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    platform: PlatformName,
    wrong: Vec<Wrong>,
}

impl Step for SettleModes {
    const NAME: &'static str = "settle_modes";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let platforms = layout::platforms(&cx.spoke.config)?;
        let folder = platforms.dir(self.platform.as_str())?;
        let stop = cx.stop.clone();
        let found = blocking(move || {
            let then = Listing::load(&folder)?;
            modes::look(&folder.dir(layout::CODE)?, then.as_ref(), &stop)
        })
        .await?;
        for path in found.foreign.iter().take(TOLD) {
            cx.log
                .warn(format!("{path} belongs to another user than the worker"));
        }
        let mut wrong = found.wrong;
        if wrong.len() > MOST {
            cx.log.warn(format!(
                "{} modes are not right; this task sets the first {MOST} of them",
                wrong.len()
            ));
            wrong.truncate(MOST);
        }
        let counts = (wrong.len() as u64, found.foreign.len() as u64);
        self.counted.get_or_init(|| counts);
        Ok(Record {
            platform: self.platform.clone(),
            wrong,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        for Wrong { path, is, should } in record.wrong.iter().take(TOLD) {
            cx.log.info(format!(
                "mode of {}: {is:04o} becomes {should:04o}",
                if path.is_empty() { "the code" } else { path }
            ));
        }
        let (code, stop) = (code(cx, record)?, cx.stop.clone());
        let wrong = record.wrong.clone();
        blocking(move || {
            for Wrong { path, is, should } in wrong {
                stop.check()?;
                modes::set(&code, &path, is, should)?;
                fault::point("settle_modes:one");
            }
            Ok(())
        })
        .await
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let undone = async {
            if record.wrong.is_empty() {
                return Ok(());
            }
            let code = code(cx, record)?;
            let wrong = record.wrong.clone();
            blocking(move || {
                // Deepest first: a folder that was closed is closed again when all in it is done.
                for Wrong { path, is, should } in wrong.into_iter().rev() {
                    modes::set(&code, &path, should, is)?;
                }
                Ok(())
            })
            .await
        };
        undone.await.map_err(|error| {
            let left = layout::code(&cx.spoke.config, &record.platform);
            UndoError::leaves(format!("changed modes below {}", left.display()), error)
        })
    }
}

fn code(cx: &Cx, record: &Record) -> anyhow::Result<Dir> {
    layout::platforms(&cx.spoke.config)?
        .dir(record.platform.as_str())?
        .dir(layout::CODE)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_ran_by_half_and_ran_whole() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let code = scratch.path().join("platforms/app-1/code");
        std::fs::create_dir_all(code.join("inc")).expect("a platform");
        let mode = |path: &str, mode: u32| {
            let path = code.join(path);
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
        };
        let modes = || {
            ["", "inc", "inc/a.php", "run.sh"].map(|path| {
                let found = std::fs::metadata(code.join(path)).expect("there");
                found.permissions().mode() & 0o7777
            })
        };
        for file in ["inc/a.php", "run.sh"] {
            std::fs::write(code.join(file), "").expect("a file");
        }
        mode("", 0o700);
        mode("run.sh", 0o4750);
        mode("inc/a.php", 0o666);
        mode("inc", 0o777);
        let before = modes();
        let step = SettleModes {
            platform: "app-1".parse().expect("a name"),
            counted: Arc::default(),
        };
        let record = Step::inspect(&step, &cx).await.expect("looked");
        assert_eq!(step.counted.get(), Some(&(4, 0)));
        SettleModes::undo(&cx, &record).await.expect("never ran");
        assert_eq!(modes(), before);
        mode("inc", 0o755);
        SettleModes::undo(&cx, &record).await.expect("ran by half");
        assert_eq!(modes(), before);
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert_eq!(modes(), [0o755, 0o755, 0o644, 0o755]);
        SettleModes::undo(&cx, &record).await.expect("ran whole");
        SettleModes::undo(&cx, &record).await.expect("twice");
        assert_eq!(modes(), before);
    }
}
