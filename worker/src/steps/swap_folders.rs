//! Step `swap_folders`: a site's folder and the one that [`super::copy_beside`] has made change places, in one move: at every
//! moment one of them is the site's.
//!
//! Undo needs the host, the run and which one the new one is: where it stands in the site's place, they change back.

use anyhow::Context as _;
use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use super::restore_snapshot::restored;
use super::settle_restored::SITE;
use crate::cx::Cx;
use crate::files::Identity;
use crate::layout;
use crate::step::{Step, UndoError};

/// Gives a copy a site's place.
pub struct SwapFolders(pub HostName);

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    run: Run,
    new: Identity,
}

impl Step for SwapFolders {
    const NAME: &'static str = "swap_folders";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let new = restored(cx, cx.run)?.identity(SITE)?;
        Ok(Record {
            host: self.0.clone(),
            run: cx.run,
            new: new.context("the copy is gone")?,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        exchange(cx, record)
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        let back = || {
            let sites = layout::sites(&cx.spoke.config)?;
            match sites.identity(record.host.as_str())? == Some(record.new) {
                true => exchange(cx, record),
                false => Ok(()),
            }
        };
        back().map_err(|error| {
            let left = layout::site(&cx.spoke.config, &record.host);
            UndoError::leaves(format!("{}, which is a copy", left.display()), error)
        })
    }
}

fn exchange(cx: &Cx, record: &Record) -> anyhow::Result<()> {
    let sites = layout::sites(&cx.spoke.config)?;
    sites.exchange(record.host.as_str(), &restored(cx, record.run)?, SITE)
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
        let step = SwapFolders("www.example.org".parse().expect("a host"));
        let host = step.0.as_str();
        sites
            .make_owned_dir(host, 0o700, "an earlier run")
            .expect("a site");
        let beside = sites.make_owned_dir(layout::restored(cx.run), 0o700, &cx.run.to_string());
        let beside = beside.expect("made");
        let copy = beside
            .make_owned_dir(SITE, 0o700, "an earlier run")
            .expect("a copy");
        copy.write_new("new", b"x", 0o600).expect("written");
        let is_new = || {
            sites
                .dir(host)
                .expect("there")
                .kind("new")
                .expect("looked")
                .is_some()
        };
        let record = Step::inspect(&step, &cx).await.expect("there");
        SwapFolders::undo(&cx, &record).await.expect("never ran");
        assert!(!is_new());
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert!(is_new());
        SwapFolders::undo(&cx, &record).await.expect("ran whole");
        SwapFolders::undo(&cx, &record).await.expect("twice");
        assert!(!is_new());
        sites.move_to(host, &beside, "away").expect("moved");
        sites.make_dir(host, 0o700).expect("planted");
        SwapFolders::undo(&cx, &record).await.expect("not ours");
        assert!(sites.kind(host).expect("looked").is_some());
    }
}
