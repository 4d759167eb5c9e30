//! Step `place_restored`: the site's folder out of a backup takes its place, which an earlier step has made free, by a
//! rename.
//!
//! Undo needs the host and the run, whose folder it is: it goes back to where it was restored.

use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use super::restore_snapshot::restored;
use super::settle_restored::SITE;
use crate::cx::Cx;
use crate::layout;
use crate::step::{Step, UndoError};

/// Puts a restored folder in a site's place.
pub struct PlaceRestored(pub HostName);

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    run: Run,
}

impl Step for PlaceRestored {
    const NAME: &'static str = "place_restored";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let sites = layout::sites(&cx.spoke.config)?;
        anyhow::ensure!(
            sites.kind(self.0.as_str())?.is_none(),
            "{} is there already and not this task's: move it away",
            layout::site(&cx.spoke.config, &self.0).display()
        );
        Ok(Record {
            host: self.0.clone(),
            run: cx.run,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let sites = layout::sites(&cx.spoke.config)?;
        restored(cx, record.run)?.move_to(SITE, &sites, record.host.as_str())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        (|| {
            let sites = layout::sites(&cx.spoke.config)?;
            let (host, owner) = (record.host.as_str(), record.run.to_string());
            if sites.owner_of(host)? == Some(owner) {
                sites.move_to(host, &restored(cx, record.run)?, SITE)?;
            }
            anyhow::Ok(())
        })()
        .map_err(|error| {
            let left = layout::site(&cx.spoke.config, &record.host);
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
    async fn undo_is_right_when_it_never_ran_and_ran_whole_and_a_strangers_folder_stays() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let sites = layout::sites(&cx.spoke.config).expect("there");
        let (owner, name) = (cx.run.to_string(), layout::restored(cx.run));
        let folder = sites.make_owned_dir(&name, 0o700, &owner).expect("made");
        folder.make_owned_dir(SITE, 0o710, &owner).expect("a site");
        let step = PlaceRestored("www.example.org".parse().expect("a host"));
        let record = Step::inspect(&step, &cx).await.expect("free");
        PlaceRestored::undo(&cx, &record).await.expect("never ran");
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert!(folder.kind(SITE).expect("looked").is_none());
        assert!(Step::inspect(&step, &cx).await.is_err(), "not free");
        PlaceRestored::undo(&cx, &record).await.expect("ran whole");
        PlaceRestored::undo(&cx, &record).await.expect("twice");
        assert!(folder.kind(SITE).expect("looked").is_some());
        assert_eq!(sites.names().expect("read"), [name.as_str()]);
        sites.make_dir(step.0.as_str(), 0o700).expect("planted");
        PlaceRestored::undo(&cx, &record).await.expect("not ours");
        assert!(sites.kind(step.0.as_str()).expect("looked").is_some());
    }
}
