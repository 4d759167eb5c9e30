//! Step `move_site_folder`: a site's folder gets another name, by one rename, however much is in it, and says from then on
//! that it is this run's. Where the name stays, only that.
//!
//! Undo needs both names, the run and the one whose it was: the mark in the folder tells how far it came. The former mark
//! is kept beside it until the task has succeeded, so that undo only renames.

use kolga_protocol::fault;
use kolga_protocol::id::Run;
use kolga_protocol::names::HostName;
use serde::{Deserialize, Serialize};

use crate::aside::Aside;
use crate::cx::Cx;
use crate::layout;
use crate::step::{Step, UndoError};

/// Moves a site's folder.
pub struct MoveSiteFolder {
    /// What it is called.
    pub from: HostName,
    /// What it is to be called.
    pub to: HostName,
    /// The run whose it is.
    pub owner: String,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    from: HostName,
    to: HostName,
    owner: String,
    run: Run,
}

impl Step for MoveSiteFolder {
    const NAME: &'static str = "move_site_folder";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        let sites = layout::sites(&cx.spoke.config)?;
        anyhow::ensure!(
            sites.owner_of(self.from.as_str())?.as_ref() == Some(&self.owner),
            "{} is not the folder that was made for this site: move it away",
            layout::site(&cx.spoke.config, &self.from).display()
        );
        anyhow::ensure!(
            self.from == self.to || sites.kind(self.to.as_str())?.is_none(),
            "{} is there already and not this task's: move it away",
            layout::site(&cx.spoke.config, &self.to).display()
        );
        Ok(Record {
            from: self.from.clone(),
            to: self.to.clone(),
            owner: self.owner.clone(),
            run: cx.run,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let sites = layout::sites(&cx.spoke.config)?;
        if record.from != record.to {
            sites.move_to(record.from.as_str(), &sites, record.to.as_str())?;
            fault::point("move_site_folder:moved");
            let to = layout::site(&cx.spoke.config, &record.to);
            cx.log.info(format!("its folder is {}", to.display()));
        }
        sites.lend_to(record.to.as_str(), &record.run.to_string())
    }

    fn aside(&self) -> Vec<Aside> {
        let host = self.to.clone();
        vec![Aside::Mark { host }]
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        back(cx, record).map_err(|error| {
            let left = layout::site(&cx.spoke.config, &record.to);
            UndoError::leaves(left.display().to_string(), error)
        })
    }
}

fn back(cx: &Cx, record: &Record) -> anyhow::Result<()> {
    let sites = layout::sites(&cx.spoke.config)?;
    let (from, to) = (record.from.as_str(), record.to.as_str());
    let is_there = sites.owner_of(from)?.as_ref() == Some(&record.owner);
    if from != to && is_there {
        // Never moved, or moved back: what has the other name is somebody else's.
        return sites.clean_mark(from);
    }
    let (owner, run) = (sites.owner_of(to)?, record.run.to_string());
    if owner.as_ref() == Some(&run) {
        sites.give_back(to, &run, &record.owner)?;
        fault::point("move_site_folder:given_back");
    } else if owner.as_ref() != Some(&record.owner) {
        return Ok(());
    }
    sites.clean_mark(to)?;
    sites.drop_former_mark(to, &run)?;
    match from == to {
        true => Ok(()),
        false => sites.move_to(to, &sites, from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{Dir, MARK};
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    fn scene(scratch: &Scratch, to: &str) -> (Cx, MoveSiteFolder, Dir) {
        let cx = site_context(scratch);
        let sites = layout::sites(&cx.spoke.config).expect("there");
        let step = MoveSiteFolder {
            from: "www.example.org".parse().expect("a host"),
            to: to.parse().expect("a host"),
            owner: "the installing run".to_owned(),
        };
        let made = sites.make_owned_dir("www.example.org", 0o700, &step.owner);
        let made = made.expect("a site");
        std::fs::write(made.path().join("page"), "x").expect("a file");
        (cx, step, sites)
    }

    #[tokio::test]
    async fn undo_is_right_when_it_never_ran_ran_by_half_and_ran_whole() {
        for to in ["blog.example.org", "www.example.org"] {
            let scratch = Scratch::new();
            let (cx, step, sites) = scene(&scratch, to);
            let as_before = || {
                assert_eq!(sites.names().expect("read"), ["www.example.org"]);
                let owner = sites.owner_of("www.example.org").expect("read");
                assert_eq!(owner.as_ref(), Some(&step.owner));
                let names = sites.dir("www.example.org").expect("there").names();
                assert_eq!(names.expect("read"), [".kolga-owner", "page"]);
            };
            let record = Step::inspect(&step, &cx).await.expect("free");
            MoveSiteFolder::undo(&cx, &record).await.expect("never ran");
            as_before();
            if to != "www.example.org" {
                sites
                    .move_to("www.example.org", &sites, to)
                    .expect("by half");
            }
            let half = step_path(&sites, to);
            let (mark, former) = (half.join(MARK), half.join(format!("{MARK}.{}", cx.run)));
            std::fs::hard_link(&mark, &former).expect("by half");
            std::fs::write(half.join("..kolga-owner.new"), "").expect("by half");
            MoveSiteFolder::undo(&cx, &record)
                .await
                .expect("ran by half");
            as_before();
            Step::apply(&step, &cx, &record).await.expect("whole");
            assert_eq!(sites.names().expect("read"), [to]);
            let owner = sites.owner_of(to).expect("read");
            assert_eq!(owner, Some(cx.run.to_string()));
            assert!(former.exists(), "so that undo needs no room");
            MoveSiteFolder::undo(&cx, &record).await.expect("ran whole");
            MoveSiteFolder::undo(&cx, &record).await.expect("twice");
            as_before();
            Step::apply(&step, &cx, &record).await.expect("whole");
            for aside in Step::aside(&step) {
                aside.drop_of(&cx, cx.run).expect("dropped");
                aside.drop_of(&cx, cx.run).expect("twice");
            }
            let names = sites.dir(to).expect("there").names();
            assert_eq!(names.expect("read"), [".kolga-owner", "page"]);
            MoveSiteFolder::undo(&cx, &record)
                .await
                .expect("as a release that kept none");
            as_before();
        }
    }

    fn step_path(sites: &Dir, name: &str) -> std::path::PathBuf {
        sites.path().join(name)
    }

    #[tokio::test]
    async fn strangers_folders_are_refused_and_survive_an_undo() {
        let scratch = Scratch::new();
        let (cx, mut step, sites) = scene(&scratch, "blog.example.org");
        let record = Step::inspect(&step, &cx).await.expect("free");
        sites.make_dir("blog.example.org", 0o700).expect("planted");
        assert!(Step::inspect(&step, &cx).await.is_err());
        assert!(Step::apply(&step, &cx, &record).await.is_err());
        MoveSiteFolder::undo(&cx, &record)
            .await
            .expect("nothing of ours");
        let names = sites.names().expect("read");
        assert_eq!(names, ["blog.example.org", "www.example.org"]);
        step.owner = "another run".to_owned();
        assert!(Step::inspect(&step, &cx).await.is_err(), "not the site's");
    }
}
