//! What is in a snapshot, from restic's own list of it: whose it is, how much there is, and what of it belonged to
//! another user than the worker, whom a restore cannot give it back to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kolga_protocol::id::UnixMillis;
use kolga_protocol::names::{BackupName, HostName, ServerName};
use serde::Deserialize;

use super::lines::lines;
use super::{Brief, Restic, Snapshot, longest};
use crate::cx::Cx;

/// What a snapshot holds.
#[derive(Clone, Debug)]
pub struct Contents {
    /// The snapshot's whole name.
    pub id: String,
    /// Of which site it is.
    pub site: HostName,
    /// When it was made.
    pub at: UnixMillis,
    /// Which run made it.
    pub run: Option<String>,
    /// Files in it.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// What belonged to another user, by its whole path.
    pub foreign: BTreeSet<PathBuf>,
    /// What its tags say of its site; those of older releases say nothing.
    pub brief: Option<Brief>,
}

/// A line of the list: first the snapshot, then what is in it.
#[derive(Deserialize)]
#[serde(tag = "struct_type", rename_all = "snake_case")]
enum Line {
    Snapshot(Listed),
    Node(Node),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Listed {
    hostname: String,
    #[serde(flatten)]
    snapshot: Snapshot,
}

#[derive(Deserialize)]
struct Node {
    r#type: String,
    path: PathBuf,
    uid: u32,
    #[serde(default)]
    size: u64,
}

impl Restic {
    /// What the snapshot holds that this name stands for, which has to be one of this spoke's.
    ///
    /// # Errors
    /// When there is none of that name, or several, it is another server's or nobody's backup, or it cannot be read.
    pub async fn contents(&self, cx: &Cx, name: &BackupName) -> anyhow::Result<Contents> {
        let own = rustix::process::geteuid().as_raw();
        let server = &cx.spoke.config.server;
        let contents = self.contents_of(cx, name, server, own).await?;
        let owed = self.owed(&cx.spoke.config.state_dir)?;
        anyhow::ensure!(
            !owed.has(&contents.id, contents.run.as_deref()),
            "{name} is to go, and would be gone if the repository could have been reached then: it counts for nothing, and \
             goes by itself"
        );
        Ok(contents)
    }

    /// The same of one of another server's, whose worker has this number there.
    ///
    /// # Errors
    /// As [`Restic::contents`].
    pub async fn contents_of(
        &self,
        cx: &Cx,
        name: &BackupName,
        server: &ServerName,
        own: u32,
    ) -> anyhow::Result<Contents> {
        let _turn = self.turn.read().await;
        self.need_repository()
            .with_context(|| format!("there is no backup {name} here"))?;
        let (server, wanted) = (server.to_string(), name.to_string());
        self.command(cx)?
            .args(["ls", "--json", "--no-lock", "--"])
            .arg(name.as_str())
            .time_limit(longest(cx))
            .pipe(cx, move |pieces| read(lines(pieces), own, &server, &wanted))
            .await
    }

    /// Refuses while there is no repository.
    pub(super) fn need_repository(&self) -> anyhow::Result<()> {
        let there = self
            .config
            .folder()
            .is_none_or(|folder| folder.join("config").is_file());
        anyhow::ensure!(
            there,
            "there is no repository {} yet: nothing was ever backed up",
            self.config.repository
        );
        Ok(())
    }
}

fn read(
    lines: impl Iterator<Item = std::io::Result<String>>,
    own: u32,
    server: &str,
    wanted: &str,
) -> anyhow::Result<Contents> {
    let mut contents: Option<Contents> = None;
    for line in lines {
        let line: Line = serde_json::from_str(&line?).context("restic's list cannot be read")?;
        match (line, &mut contents) {
            (Line::Snapshot(listed), None) => contents = Some(begin(listed, server, wanted)?),
            (Line::Node(node), Some(contents)) => {
                if node.r#type == "file" {
                    contents.files += 1;
                    contents.bytes += node.size;
                }
                if node.uid != own {
                    contents.foreign.insert(node.path);
                }
            }
            _ => {}
        }
    }
    contents.with_context(|| {
        format!("there is no backup {wanted} here, or several begin so: see `kolga backup list`")
    })
}

fn begin(listed: Listed, server: &str, wanted: &str) -> anyhow::Result<Contents> {
    let Listed { hostname, snapshot } = listed;
    let ours = snapshot.tags.iter().any(|tag| tag == "kolga");
    anyhow::ensure!(
        ours && hostname == server,
        "{wanted} is no backup that Kolga made of a site on {server}: see `kolga backup list --server {server}`"
    );
    let tag = |name| {
        snapshot
            .tag(name)
            .with_context(|| format!("the backup {wanted} has no tag {name}=…"))
    };
    Ok(Contents {
        site: tag("site")?.parse()?,
        at: UnixMillis(tag("at")?.parse()?),
        run: snapshot.tag("run").map(str::to_owned),
        brief: Brief::of(&snapshot).with_context(|| format!("the tags of the backup {wanted}"))?,
        id: snapshot.id.clone(),
        files: 0,
        bytes: 0,
        foreign: BTreeSet::new(),
    })
}

impl Contents {
    /// What below this folder belonged to another user, by its path there.
    #[must_use]
    pub fn foreign_below(&self, folder: &Path) -> BTreeSet<PathBuf> {
        let paths = self.foreign.iter();
        paths
            .filter_map(|path| path.strip_prefix(folder).ok())
            .map(Path::to_owned)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What restic 0.14 says.
    const LIST: &str = r#"{"time":"2026-11-26T05:06:57Z","tree":"ca","paths":["/s/a.test"],"hostname":"web1","username":"kolga","tags":["kolga","site=a.test","run=1","at=5"],"id":"8b9137539a12","short_id":"8b913753","struct_type":"snapshot"}
{"name":"manifest.json","type":"file","path":"/manifest.json","uid":7,"gid":7,"size":20,"mode":384,"mtime":"2026-11-26T05:06:57Z","struct_type":"node"}
{"name":"a.test","type":"dir","path":"/s/a.test","uid":7,"gid":7,"mode":2147484141,"struct_type":"node"}
{"name":"up","type":"dir","path":"/s/a.test/up","uid":33,"gid":33,"mode":2147484141,"struct_type":"node"}
{"name":"f","type":"file","path":"/s/a.test/up/f","uid":33,"gid":33,"size":3,"mode":420,"struct_type":"node"}
{"name":"l","type":"symlink","path":"/s/a.test/l","uid":7,"gid":7,"mode":134218239,"struct_type":"node"}
"#;

    fn judge(list: &str, server: &str) -> anyhow::Result<Contents> {
        let lines = list.lines().map(|line| Ok(line.to_owned()));
        read(lines, 7, server, "8b913753")
    }

    #[test]
    fn a_list_tells_whose_it_is_how_much_there_is_and_what_was_another_users() {
        let contents = judge(LIST, "web1").expect("it reads");
        assert_eq!((contents.files, contents.bytes), (2, 23));
        assert_eq!(
            (contents.site.as_str(), contents.at),
            ("a.test", UnixMillis(5))
        );
        let foreign = contents.foreign_below(Path::new("/s/a.test"));
        assert_eq!(foreign, ["up", "up/f"].map(PathBuf::from).into());
    }

    #[test]
    fn another_servers_and_nobodys_snapshots_are_refused_and_so_is_an_empty_list() {
        let other = judge(LIST, "web2").expect_err("another's").to_string();
        assert!(other.contains("web2"), "{other}");
        let plain = LIST.replace("\"kolga\",", "");
        assert!(judge(&plain, "web1").is_err(), "not made by Kolga");
        let none = judge("", "web1").expect_err("nothing").to_string();
        assert!(none.contains("8b913753"), "{none}");
    }
}
