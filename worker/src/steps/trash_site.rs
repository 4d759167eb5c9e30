//! Step `trash_site`: the site's folder goes to the trash, in one move, and with it every way to the
//! site's files.
//!
//! Undo needs the host and the run, which names the folder in the trash. The trash itself is there only
//! while something is in it.

use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use rustix::fs::AtFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::cx::Cx;
use crate::discard;
use crate::files::{Dir, blocking};
use crate::layout;
use crate::step::{Step, UndoError};
use kolga_protocol::fault;

/// Moves a site's folder aside.
pub struct TrashSite {
    /// Which site.
    pub host: HostName,
    /// The run that installed it.
    pub owner: String,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    host: HostName,
    run: Run,
    /// Whether there was a folder at all.
    was_there: bool,
}

impl Step for TrashSite {
    const NAME: &'static str = "trash_site";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let sites = layout::sites(&cx.spoke.config)?;
        let was_there = sites.kind(self.host.as_str())?.is_some();
        anyhow::ensure!(
            !was_there || sites.owner_of(self.host.as_str())?.as_deref() == Some(&self.owner),
            "{} is not the folder that was made for this site: move it away",
            layout::site(&cx.spoke.config, &self.host).display()
        );
        Ok(Record {
            host: self.host.clone(),
            run: cx.run,
            was_there,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        if !record.was_there {
            cx.log.warn("its folder was gone already");
            return Ok(());
        }
        let config = &cx.spoke.config;
        let sites = layout::sites(config)?;
        let name = record.run.to_string();
        let trash = layout::trash(config)?;
        fault::point("trash_site:trash");
        let moved = sites.move_to(record.host.as_str(), &trash, &name);
        if moved.is_err() && sites.kind(layout::TRASH)?.is_none() {
            // Another task has emptied the trash and removed it, between the two.
            return sites.move_to(record.host.as_str(), &layout::trash(config)?, &name);
        }
        moved
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        (|| {
            let sites = layout::sites(&cx.spoke.config)?;
            if let Some(trash) = trash_if_there(&sites)? {
                let name = record.run.to_string();
                if trash.kind(&name)?.is_some() {
                    trash.move_to(&name, &sites, record.host.as_str())?;
                }
                remove_empty_trash(&sites)?;
            }
            anyhow::Ok(())
        })()
        .map_err(|error| {
            let left = layout::site(&cx.spoke.config, &record.host);
            UndoError::leaves(format!("{} in the trash", left.display()), error)
        })
    }
}

/// Removes for good what the run moved to the trash.
pub(crate) async fn empty(cx: &Cx, run: Run) -> anyhow::Result<()> {
    let sites = layout::sites(&cx.spoke.config)?;
    let Some(trash) = trash_if_there(&sites)? else {
        return Ok(());
    };
    let name = run.to_string();
    discard::prepare(cx, &trash, &name).await?;
    blocking(move || {
        trash.remove_tree(name)?;
        fault::point("empty_trash:removed");
        remove_empty_trash(&sites)
    })
    .await
}

fn trash_if_there(sites: &Dir) -> anyhow::Result<Option<Dir>> {
    match sites.kind(layout::TRASH)? {
        Some(_) => sites.dir(layout::TRASH).map(Some),
        None => Ok(None),
    }
}

fn remove_empty_trash(sites: &Dir) -> anyhow::Result<()> {
    match rustix::fs::unlinkat(sites, layout::TRASH, AtFlags::REMOVEDIR) {
        Ok(()) => sites.sync(),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    fn scene(scratch: &Scratch) -> (Cx, TrashSite, Dir) {
        let cx = site_context(scratch);
        let sites = layout::sites(&cx.spoke.config).expect("there");
        let step = TrashSite {
            host: "www.example.org".parse().expect("a host"),
            owner: "the installing run".to_owned(),
        };
        (cx, step, sites)
    }

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_ran_by_half_and_ran_whole() {
        let scratch = Scratch::new();
        let (cx, step, sites) = scene(&scratch);
        sites
            .make_owned_dir("www.example.org", 0o700, &step.owner)
            .expect("a site");
        let record = Step::inspect(&step, &cx).await.expect("ours");
        TrashSite::undo(&cx, &record).await.expect("never ran");
        layout::trash(&cx.spoke.config).expect("by half");
        TrashSite::undo(&cx, &record).await.expect("ran by half");
        assert_eq!(sites.names().expect("read"), ["www.example.org"]);
        Step::apply(&step, &cx, &record).await.expect("whole");
        assert_eq!(sites.names().expect("read"), [layout::TRASH]);
        TrashSite::undo(&cx, &record).await.expect("ran whole");
        TrashSite::undo(&cx, &record).await.expect("twice");
        assert_eq!(sites.names().expect("read"), ["www.example.org"]);
    }

    #[tokio::test]
    async fn emptying_removes_what_this_run_moved_there_and_nothing_else() {
        let scratch = Scratch::new();
        let (cx, step, sites) = scene(&scratch);
        sites
            .make_owned_dir("www.example.org", 0o700, &step.owner)
            .expect("a site");
        let record = Step::inspect(&step, &cx).await.expect("ours");
        Step::apply(&step, &cx, &record).await.expect("whole");
        let trash = layout::trash(&cx.spoke.config).expect("there");
        trash.make_dir("another run", 0o700).expect("another site");
        empty(&cx, cx.run).await.expect("emptied");
        empty(&cx, cx.run).await.expect("twice");
        assert_eq!(trash.names().expect("read"), ["another run"]);
    }

    #[tokio::test]
    async fn a_folder_of_the_same_name_that_is_not_the_sites_is_refused() {
        let scratch = Scratch::new();
        let (cx, step, sites) = scene(&scratch);
        sites.make_dir("www.example.org", 0o700).expect("planted");
        assert!(Step::inspect(&step, &cx).await.is_err());
    }
}
