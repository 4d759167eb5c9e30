//! git, as one platform's build uses it: one commit of one repository, fetched into a folder of the task's own and
//! turned into a tar archive. There is never a work tree, so nothing that a commit holds is checked out, followed or
//! run; [`crate::unpack`] looks at every entry of the archive.
//!
//! No configuration but the one written here is read: not the system's, not a user's, and a repository's own is a
//! fresh one. Objects are checked as they come.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::names::{GitCommit, GitUrl};

use crate::cx::Cx;
use crate::files::Dir;
use crate::process::Command;

const GIT: &str = "/usr/bin/git";
/// The names in the task's folder.
const REPOSITORY: &str = "git";
const CONFIG: &str = "git-config";
const ARCHIVE: &str = "source.tar";
/// As long as a large history over a slow line may take.
const PATIENCE: Duration = Duration::from_secs(3600);
/// What a commit says of its own files is not asked: the platform is what the commit holds.
const ATTRIBUTES: &str =
    "* -export-ignore -export-subst -filter -ident -text -working-tree-encoding\n";

/// A repository that is being fetched.
pub struct Git {
    folder: Dir,
    url: GitUrl,
    commit: GitCommit,
}

/// That git is there at all.
///
/// # Errors
/// When it is not, and what to do.
pub fn installed() -> anyhow::Result<()> {
    anyhow::ensure!(
        Path::new(GIT).exists(),
        "{GIT} is not there: install git on this server, or build from a folder or an archive"
    );
    Ok(())
}

impl Git {
    /// An empty repository in `folder`, which nobody else can write.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn prepare(
        cx: &Cx,
        folder: &Dir,
        url: &GitUrl,
        commit: &GitCommit,
    ) -> anyhow::Result<Self> {
        let git = Self {
            folder: folder.clone(),
            url: url.clone(),
            commit: commit.clone(),
        };
        folder.write_atomically(CONFIG, git.config().as_bytes(), 0o400)?;
        let format = match commit.as_str().len() {
            64 => "--object-format=sha256",
            _ => "--object-format=sha1",
        };
        let init = git
            .command()
            .args(["init", "--quiet", "--bare", "--template=", format, "--"])
            .arg(git.repository());
        init.run(cx).await.context("git makes no repository")?;
        let repository = folder.dir(REPOSITORY)?;
        let info = repository.make_dir("info", 0o700)?;
        info.write_atomically("attributes", ATTRIBUTES.as_bytes(), 0o400)?;
        Ok(git)
    }

    /// Everything that git may think, in the one file that it reads.
    fn config(&self) -> String {
        let mut text = "[core]\n\thooksPath = /dev/null\n\tfsmonitor = false\n\tattributesFile = /dev/null\n\
                        [fetch]\n\tfsckObjects = true\n[transfer]\n\tfsckObjects = true\n\
                        [gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[submodule]\n\trecurse = false\n\
                        [credential]\n\thelper =\n[protocol]\n\tallow = never\n"
            .to_owned();
        // One of the operator's folders, which may be another user's.
        if let Some(path) = self.url.local() {
            text.push_str(&format!(
                "[safe]\n\tdirectory = {path}\n\tdirectory = {path}/.git\n"
            ));
        }
        text
    }

    fn repository(&self) -> PathBuf {
        self.folder.path().join(REPOSITORY)
    }

    fn command(&self) -> Command {
        Command::new(GIT)
            .dir(self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.folder.path().join(CONFIG))
            .env("GIT_ALLOW_PROTOCOL", self.url.scheme())
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            // A key of the worker's user, or none; and a host that is known, or none.
            .env(
                "GIT_SSH_COMMAND",
                "/usr/bin/ssh -o BatchMode=yes -o StrictHostKeyChecking=yes",
            )
            .env("LC_ALL", "C.UTF-8")
            .time_limit(PATIENCE)
    }

    fn in_repository(&self, words: &[&str]) -> Command {
        self.command()
            .arg(format!("--git-dir={}", self.repository().display()))
            .args(words)
    }

    /// Fetches the commit: alone where the server gives it, else with all branches and tags.
    ///
    /// # Errors
    /// When the repository cannot be reached, has no such commit, or holds what git refuses.
    pub async fn fetch(&self, cx: &Cx) -> anyhow::Result<()> {
        let common = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules"];
        cx.log
            .info(format!("fetching {} from {}", self.commit, self.url));
        let alone = self
            .in_repository(&common)
            .args(["--depth=1", "--", self.url.as_str(), self.commit.as_str()])
            .capture(cx)
            .await?
            .success(GIT);
        if let Err(error) = alone {
            cx.log.warn(format!(
                "it is not given alone ({error}); fetching all branches and tags"
            ));
            self.in_repository(&common)
                .args(["--", self.url.as_str()])
                .args(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"])
                .run(cx)
                .await
                .with_context(|| format!("cannot fetch from {}", self.url))?;
        }
        self.verify(cx).await
    }

    /// That what has this name is a commit and there.
    async fn verify(&self, cx: &Cx) -> anyhow::Result<()> {
        let name = format!("{}^{{commit}}", self.commit);
        let asked = [
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &name,
        ];
        let said = self.in_repository(&asked).capture(cx).await?;
        let found = said.success(GIT).unwrap_or_default();
        let found = String::from_utf8_lossy(&found).trim().to_owned();
        anyhow::ensure!(
            !found.is_empty(),
            "{} has no commit {}, at least none that a branch or tag leads to",
            self.url,
            self.commit
        );
        anyhow::ensure!(
            found == self.commit.as_str(),
            "{} is the name of a tag, whose commit is {found}: give that one",
            self.commit
        );
        Ok(())
    }

    /// The commit's files as a tar archive.
    ///
    /// # Errors
    /// When git does not make it.
    pub async fn archive(&self, cx: &Cx) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join(ARCHIVE);
        let output = format!("--output={}", path.display());
        let words = ["archive", "--format=tar", &output, self.commit.as_str()];
        let made = self.in_repository(&words).run(cx).await;
        made.context("git makes no archive of the commit")?;
        Ok(path)
    }

    /// Removes all but what was made of it.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn remove(&self) -> anyhow::Result<()> {
        for name in [REPOSITORY, ARCHIVE, CONFIG] {
            self.folder.remove_tree(name)?;
        }
        Ok(())
    }
}
