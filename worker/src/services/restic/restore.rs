//! Snapshots back onto the disk. restic writes by path, and what it writes is a tenant's: it is confined to the folder
//! that the worker has made for it, which nobody else can enter, and reads nothing but the repository.

use anyhow::Context as _;
use kolga_protocol::fault;

use super::{Restic, longest};
use crate::cx::Cx;
use crate::files::Dir;
use crate::process::Confinement;

/// The text of a small file is no longer.
const LONGEST_TEXT: usize = 1024 * 1024;

impl Restic {
    /// A small file at the top of a snapshot.
    ///
    /// # Errors
    /// When it is not there, is long, or cannot be read.
    pub async fn text_of(&self, cx: &Cx, id: &str, name: &str) -> anyhow::Result<Vec<u8>> {
        let _turn = self.turn.read().await;
        self.command(cx)?
            .args(["dump", "--no-lock", "--"])
            .arg(id)
            .arg(format!("/{name}"))
            .pipe(cx, |pieces| {
                let mut text = Vec::new();
                for piece in pieces {
                    text.extend(piece);
                    anyhow::ensure!(text.len() <= LONGEST_TEXT, "it is too long");
                }
                Ok(text)
            })
            .await
            .with_context(|| format!("{name} cannot be read from the backup"))
    }

    /// Writes all of a snapshot into this folder: each path that was absolute lies below it.
    ///
    /// # Errors
    /// When anything of it could not be written, or restic fails or is stopped. What it has written stays.
    pub async fn restore(&self, cx: &Cx, id: &str, into: &Dir) -> anyhow::Result<()> {
        let _turn = self.turn.read().await;
        let mut to = Confinement {
            read: Vec::new(),
            write: vec![into.path().to_owned()],
        };
        match self.config.folder() {
            Some(folder) => to.read.push(folder.to_owned()),
            None => self.reach(cx, &mut to),
        }
        fault::point("restic:restore");
        let restored = self
            .command(cx)?
            .args(["restore", "--no-lock", "--target"])
            .arg(into.path())
            .arg("--")
            .arg(id)
            .env("TMPDIR", into.path())
            .confined(to)
            .time_limit(longest(cx))
            .run(cx)
            .await;
        fault::point("restic:restored");
        restored.context("the backup did not come back whole")
    }
}
