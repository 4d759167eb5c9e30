//! Step `fetch_platform`: one commit of a git repository into a folder of this run's own, which nobody else looks
//! at. In place of [`super::unpack_platform`], under the same rules for what may be in it.
//!
//! Undo needs the platform's name and the run: the folder's name holds both, and its mark says whose it is.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use kolga_protocol::fault;
use kolga_protocol::id::Run;
use kolga_protocol::names::{GitCommit, GitUrl, PlatformName};
use serde::{Deserialize, Serialize};

use crate::config::Sites;
use crate::cx::Cx;
use crate::files::blocking;
use crate::layout;
use crate::services::git::{self, Git};
use crate::step::{Step, UndoError};
use crate::steps::unpack_platform::{allowed, refuse_taken, remove_new};
use crate::unpack::{self, Rules, Unpacked};

/// Fetches a commit.
pub struct FetchPlatform {
    /// For which platform.
    pub platform: PlatformName,
    /// From where.
    pub url: GitUrl,
    /// Which.
    pub commit: GitCommit,
    /// What is taken from there.
    pub rules: Rules,
    /// Where the recipe learns what was unpacked.
    pub unpacked: Arc<OnceLock<Unpacked>>,
}

/// What was found.
#[derive(Serialize, Deserialize)]
pub struct Record {
    platform: PlatformName,
    run: Run,
}

impl Step for FetchPlatform {
    const NAME: &'static str = "fetch_platform";
    type Record = Record;

    async fn inspect(&self, cx: &Cx) -> anyhow::Result<Record> {
        may_fetch(&cx.spoke.config.sites, &self.url)?;
        git::installed()?;
        refuse_taken(cx, &self.platform)?;
        Ok(Record {
            platform: self.platform.clone(),
            run: cx.run,
        })
    }

    async fn apply(&self, cx: &Cx, record: &Record) -> anyhow::Result<()> {
        let platforms = layout::platforms(&cx.spoke.config)?;
        let name = layout::new_platform(&record.platform, record.run);
        let new = platforms.make_owned_dir(&name, 0o700, &record.run.to_string())?;
        fault::point("fetch_platform:made");
        let git = Git::prepare(cx, &new, &self.url, &self.commit).await?;
        git.fetch(cx).await?;
        fault::point("fetch_platform:fetched");
        let archive = git.archive(cx).await?;
        let (rules, stop) = (self.rules.clone(), cx.stop.clone());
        let unpacked = blocking(move || {
            let code = new.make_dir(layout::CODE, 0o755)?;
            let unpacked = unpack::unpack_tar(&archive, code.path(), &rules, &stop)?;
            fault::point("fetch_platform:unpacked");
            git.remove()?;
            new.sync_file_system()?;
            Ok((unpacked, code.path().join(".gitmodules").exists()))
        })
        .await?;
        let (unpacked, has_modules) = unpacked;
        if has_modules {
            cx.log
                .warn("it names submodules, which are not fetched: their folders are empty");
        }
        cx.log.info(format!(
            "{} files, {} bytes",
            unpacked.files, unpacked.bytes
        ));
        self.unpacked.get_or_init(|| unpacked);
        Ok(())
    }

    async fn undo(cx: &Cx, record: &Record) -> Result<(), UndoError> {
        remove_new(cx, &record.platform, record.run).await
    }
}

/// Whether the operator of this spoke lets platforms be fetched from there.
fn may_fetch(sites: &Sites, url: &GitUrl) -> anyhow::Result<()> {
    if let Some(path) = url.local() {
        let resolved = allowed(&sites.platform_sources, path)?;
        anyhow::ensure!(
            resolved == Path::new(path),
            "{path} leads to {}: name that in its place",
            resolved.display()
        );
        return Ok(());
    }
    let known = sites.git_sources.iter().any(|known| {
        let known = known.trim_end_matches('/');
        url.as_str()
            .strip_prefix(known)
            .is_some_and(|rest| rest.starts_with('/'))
    });
    anyhow::ensure!(
        known,
        "{url} begins with none of this spoke's git_sources: add where it lies, such as {:?}, to [sites] in the \
         worker's configuration",
        url.as_str().rsplit_once('/').map_or("", |(above, _)| above)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;
    use crate::steps::testing::site_context;
    use crate::testing::Scratch;

    /// A repository with two commits and a tag; the first commit, the second, and the tag's own name.
    fn repository(scratch: &Scratch) -> (PathBuf, [String; 3]) {
        let path = scratch.path().join("sources/app");
        std::fs::create_dir_all(path.join("inc")).expect("a folder");
        let git = |words: &[&str]| {
            let said = Command::new("/usr/bin/git")
                .arg("-C")
                .arg(&path)
                .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
                .args(words)
                .output()
                .expect("git runs");
            assert!(said.status.success(), "{words:?}: {said:?}");
            String::from_utf8_lossy(&said.stdout).trim().to_owned()
        };
        git(&["init", "--quiet"]);
        std::fs::write(path.join("index.php"), "<?php // one").expect("a file");
        std::fs::write(path.join(".gitattributes"), "inc export-ignore\n").expect("a file");
        std::fs::write(path.join("inc/a.php"), "<?php $Id$").expect("a file");
        git(&["add", "-A"]);
        git(&["commit", "--quiet", "-m", "one"]);
        let first = git(&["rev-parse", "HEAD"]);
        std::fs::write(path.join("index.php"), "<?php // two").expect("a file");
        std::os::unix::fs::symlink("/etc/passwd", path.join("door")).expect("a link");
        git(&["add", "-A"]);
        git(&["commit", "--quiet", "-m", "two"]);
        git(&["tag", "-a", "v2", "-m", "two"]);
        let (second, tag) = (git(&["rev-parse", "HEAD"]), git(&["rev-parse", "v2"]));
        (path, [first, second, tag])
    }

    fn step(path: &Path, commit: &str) -> FetchPlatform {
        FetchPlatform {
            platform: "app-1".parse().expect("a name"),
            url: format!("file://{}", path.display())
                .parse()
                .expect("an address"),
            commit: commit.parse().expect("a commit"),
            rules: Rules::default(),
            unpacked: Arc::default(),
        }
    }

    async fn fails(cx: &Cx, step: &FetchPlatform) -> String {
        let record = Step::inspect(step, cx).await.expect("it may be tried");
        let error = Step::apply(step, cx, &record).await.expect_err("refused");
        FetchPlatform::undo(cx, &record).await.expect("undone");
        format!("{error:#}")
    }

    #[tokio::test]
    async fn the_platform_is_what_the_commit_holds_and_nothing_of_git() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let (path, [first, ..]) = repository(&scratch);
        let step = step(&path, &first);
        let record = Step::inspect(&step, &cx).await.expect("allowed");
        FetchPlatform::undo(&cx, &record).await.expect("never ran");
        Step::apply(&step, &cx, &record).await.expect("fetched");
        let name = layout::new_platform(&record.platform, record.run);
        let new = scratch.path().join("platforms").join(name);
        let names = |folder: &Path| {
            let mut names: Vec<_> = std::fs::read_dir(folder)
                .expect("there")
                .map(|entry| {
                    entry
                        .expect("read")
                        .file_name()
                        .into_string()
                        .expect("text")
                })
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&new), [".kolga-owner", "code"]);
        // What a commit would leave out of its releases is in it, and nothing is put into its files.
        assert_eq!(
            names(&new.join("code")),
            [".gitattributes", "inc", "index.php"]
        );
        let read =
            |path: &str| std::fs::read_to_string(new.join("code").join(path)).expect("there");
        assert_eq!(read("index.php"), "<?php // one");
        assert_eq!(read("inc/a.php"), "<?php $Id$");
        assert_eq!(step.unpacked.get().expect("told").files, 3);
        FetchPlatform::undo(&cx, &record).await.expect("ran whole");
        FetchPlatform::undo(&cx, &record).await.expect("twice");
        assert_eq!(names(&scratch.path().join("platforms")).len(), 0);
    }

    #[tokio::test]
    async fn a_link_that_leads_out_a_tags_own_name_and_an_unknown_commit_are_refused() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let (path, [_, second, tag]) = repository(&scratch);
        let said = fails(&cx, &step(&path, &second)).await;
        assert!(
            said.contains("the link \"door\" leads out of the platform"),
            "{said}"
        );
        let said = fails(&cx, &step(&path, &tag)).await;
        assert!(
            said.contains(&format!("whose commit is {second}")),
            "{said}"
        );
        let said = fails(&cx, &step(&path, &"12".repeat(20))).await;
        assert!(said.contains("has no commit"), "{said}");
    }

    #[tokio::test]
    async fn only_where_the_operator_allows_it_anything_is_fetched() {
        let scratch = Scratch::new();
        let cx = site_context(&scratch);
        let mut sites = cx.spoke.config.sites.clone();
        sites.git_sources = vec!["https://git.example.org/shops/".to_owned()];
        let may = |url: &str| may_fetch(&sites, &url.parse().expect("an address"));
        may("https://git.example.org/shops/one.git").expect("below it");
        for other in [
            "https://git.example.org/shopsold/one.git",
            "https://git.example.org.evil.org/shops/one.git",
            "ssh://git@git.example.org/shops/one.git",
            "file:///etc/repository",
        ] {
            assert!(may(other).is_err(), "{other}");
        }
        let outside = Scratch::new();
        let door = scratch.path().join("sources/door");
        std::os::unix::fs::symlink(outside.path(), &door).expect("a link");
        assert!(may(&format!("file://{}", door.display())).is_err());
    }
}
