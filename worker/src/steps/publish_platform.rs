//! Step `publish_platform`: the finished folder gets the platform's name, in one move.
//!
//! Undo needs the name and the run: the mark in the folder says whether the one of that name is this
//! run's. It only moves the folder back; [`super::unpack_platform`] removes it.

use kolga_protocol::id::Run;
use kolga_protocol::names::PlatformName;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::layout;
use crate::step::{Step, UndoError};

/// Gives a platform its name.
pub struct PublishPlatform {
    /// Which.
    pub platform: PlatformName,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    platform: PlatformName,
    run: Run,
}

impl Step for PublishPlatform {
    const NAME: &'static str = "publish_platform";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        Ok(Record {
            platform: self.platform.clone(),
            run: cx.run,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let platforms = layout::platforms(&cx.spoke.config)?;
        let new = layout::new_platform(&record.platform, record.run);
        platforms.dir(&new)?.set_mode(0o755)?;
        platforms.move_to(&new, &platforms, record.platform.as_str())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let name = record.platform.as_str();
        (|| {
            let platforms = layout::platforms(&cx.spoke.config)?;
            if platforms.owner_of(name)? == Some(record.run.to_string()) {
                let new = layout::new_platform(&record.platform, record.run);
                platforms.move_to(name, &platforms, new)?;
            }
            anyhow::Ok(())
        })()
        .map_err(|error| {
            let left = layout::platform(&cx.spoke.config, &record.platform);
            UndoError::leaves(left.display().to_string(), error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_and_when_it_ran_whole() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let step = PublishPlatform {
            platform: "app-1".parse().expect("a name"),
        };
        let record = Step::inspect(&step, &cx).await.expect("nothing to refuse");
        let platforms = layout::platforms(&cx.spoke.config).expect("there");
        let new = layout::new_platform(&step.platform, cx.run);
        platforms
            .make_owned_dir(&new, 0o700, &cx.run.to_string())
            .expect("unpacked");
        PublishPlatform::undo(&cx, &record)
            .await
            .expect("never ran");
        assert_eq!(platforms.names().expect("read"), [new.as_str()]);

        Step::apply(&step, &cx, &record).await.expect("whole");
        assert_eq!(platforms.names().expect("read"), ["app-1"]);
        PublishPlatform::undo(&cx, &record)
            .await
            .expect("ran whole");
        PublishPlatform::undo(&cx, &record).await.expect("twice");
        assert_eq!(platforms.names().expect("read"), [new.as_str()]);
    }

    #[tokio::test]
    async fn a_strangers_platform_of_that_name_is_neither_replaced_nor_undone() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let step = PublishPlatform {
            platform: "app-1".parse().expect("a name"),
        };
        let record = Step::inspect(&step, &cx).await.expect("nothing to refuse");
        let platforms = layout::platforms(&cx.spoke.config).expect("there");
        let new = layout::new_platform(&step.platform, cx.run);
        platforms
            .make_owned_dir(&new, 0o700, &cx.run.to_string())
            .expect("unpacked");
        platforms
            .make_owned_dir("app-1", 0o700, "another run")
            .expect("planted");
        Step::apply(&step, &cx, &record)
            .await
            .expect_err("it is taken");
        PublishPlatform::undo(&cx, &record)
            .await
            .expect("nothing to do");
        let owner = platforms.owner_of("app-1").expect("read");
        assert_eq!(owner.as_deref(), Some("another run"));
    }
}
