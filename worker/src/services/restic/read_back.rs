//! What a snapshot holds, read out of the repository again. restic compares all that it reads with the hashes by which it is
//! stored, so whatever comes is what was kept; what is looked for here is whether all of it comes.
//!
//! All of it, in one go, as the tar archive that restic makes of a snapshot's top; or, where that would be too much after
//! each backup, the list of all files and some of the files.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::Context as _;
use kolga_protocol::id::Run;

use super::lines::reader;
use super::{Made, Restic, longest};
use crate::cx::Cx;
use crate::services::database::{Dumped, Measured};

/// A backup that is no longer than this is read back as a whole: that costs less than two starts of restic.
const SMALL: u64 = 64 * 1024 * 1024;

/// A file that is no longer is kept as it is.
const SHORT: u64 = 1024 * 1024;

/// What came back.
#[derive(Debug, Default)]
pub struct ReadBack {
    /// Files.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Of the files at the top that were asked for, those that are there.
    pub digests: BTreeMap<&'static str, Dumped>,
    /// Those of them that are short, as they are.
    pub texts: BTreeMap<&'static str, Vec<u8>>,
}

impl Restic {
    /// Reads a snapshot that has just been made by this run: its whole name, and what is in it. Of a large one, or one that is
    /// far away, only the list and these files at its top.
    ///
    /// # Errors
    /// When anything of that cannot be read.
    pub async fn read_back(
        &self,
        cx: &Cx,
        made: &Made,
        run: Run,
        wanted: Vec<&'static str>,
    ) -> anyhow::Result<(String, ReadBack)> {
        if let Some(id) = self.whole_name(&made.id)
            && made.bytes <= SMALL
        {
            let read = self.read_all(cx, &id, wanted).await?;
            return Ok((id, read));
        }
        let contents = self.contents(cx, &made.id.parse()?).await?;
        anyhow::ensure!(
            contents.run.as_deref() == Some(&*run.to_string()),
            "the backup {} is not the one that was made",
            made.id
        );
        let mut read = ReadBack {
            files: contents.files,
            bytes: contents.bytes,
            ..ReadBack::default()
        };
        for name in wanted {
            let digest = self.digest_of(cx, &contents.id, name).await?;
            read.digests.insert(name, digest);
        }
        Ok((contents.id, read))
    }

    /// Reads every byte of a snapshot.
    ///
    /// # Errors
    /// When anything cannot be read: names the file.
    pub async fn read_all(
        &self,
        cx: &Cx,
        id: &str,
        wanted: Vec<&'static str>,
    ) -> anyhow::Result<ReadBack> {
        let _turn = self.turn.read().await;
        self.command(cx)?
            .args(["dump", "--no-lock", "--"])
            .args([id, "/"])
            .time_limit(longest(cx))
            .pipe(cx, move |pieces| read(reader(pieces), &wanted))
            .await
    }

    /// What a file at the top of a snapshot is.
    async fn digest_of(&self, cx: &Cx, id: &str, name: &str) -> anyhow::Result<Dumped> {
        let _turn = self.turn.read().await;
        self.command(cx)?
            .args(["dump", "--no-lock", "--"])
            .arg(id)
            .arg(format!("/{name}"))
            .time_limit(longest(cx))
            .pipe(cx, |pieces| digest(reader(pieces)))
            .await
            .with_context(|| format!("{name} cannot be read from the backup"))
    }

    /// The name of the one snapshot that begins so, where looking into a folder tells it.
    fn whole_name(&self, begins: &str) -> Option<String> {
        let snapshots = std::fs::read_dir(self.config.folder()?.join("snapshots")).ok()?;
        let names = snapshots.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut ours = names.filter(|name| name.starts_with(begins));
        ours.next().filter(|_| ours.next().is_none())
    }
}

fn read(stream: impl Read, wanted: &[&'static str]) -> anyhow::Result<ReadBack> {
    let mut back = ReadBack::default();
    let mut archive = tar::Archive::new(stream);
    let mut last = String::from("its beginning");
    for entry in archive.entries()? {
        let entry = entry.with_context(|| format!("the backup cannot be read on from {last}"))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type().is_file() {
            let wanted = wanted.iter().find(|&&wanted| wanted == name);
            let mut text = Vec::new();
            let size = entry.size();
            let short = wanted.is_some() && size <= SHORT;
            let from = Kept {
                from: entry,
                into: short.then_some(&mut text),
            };
            let digest =
                digest(from).with_context(|| format!("{name} cannot be read from the backup"))?;
            // Where restic stops, the stream ends, and a file in it is only short.
            anyhow::ensure!(
                digest.bytes == size,
                "{name} cannot be read from the backup: {} of its {size} bytes come",
                digest.bytes
            );
            back.files += 1;
            back.bytes += digest.bytes;
            back.digests.extend(wanted.map(|&name| (name, digest)));
            let wanted = wanted.filter(|_| short);
            back.texts.extend(wanted.map(|&name| (name, text)));
        }
        last = name;
    }
    // restic is not through before all of it is taken, though nothing more is told.
    std::io::copy(&mut archive.into_inner(), &mut std::io::sink())?;
    Ok(back)
}

/// A stream of which a copy is kept, where there is a place for one.
struct Kept<'a, R> {
    from: R,
    into: Option<&'a mut Vec<u8>>,
}

impl<R: Read> Read for Kept<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(into)?;
        if let Some(kept) = &mut self.into {
            kept.extend_from_slice(&into[..count]);
        }
        Ok(count)
    }
}

fn digest(mut from: impl Read) -> anyhow::Result<Dumped> {
    let mut measured = Measured::new(std::io::sink());
    std::io::copy(&mut from, &mut measured)?;
    Ok(measured.finish().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, text) in [
            ("manifest.json", &b"{}"[..]),
            ("s/a.test/manifest.json", &b"no"[..]),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            archive
                .append_data(&mut header, path, text)
                .expect("memory");
        }
        archive.into_inner().expect("memory")
    }

    #[test]
    fn all_files_are_counted_and_only_those_at_the_top_are_the_wanted_ones() {
        let back = read(&*archive(), &["manifest.json", "database.sql"]).expect("whole");
        assert_eq!((back.files, back.bytes), (2, 4));
        let digest = digest(&b"{}"[..]).expect("memory");
        assert_eq!(back.digests, BTreeMap::from([("manifest.json", digest)]));
        assert_eq!(back.texts["manifest.json"], b"{}");
    }

    #[test]
    fn what_ends_too_early_is_an_error_that_names_the_file() {
        let whole = archive();
        let torn = read(&whole[..513], &[]).expect_err("torn");
        assert!(format!("{torn:#}").contains("manifest.json"), "{torn:#}");
        let torn = read(&whole[..1100], &[]).expect_err("torn");
        assert!(format!("{torn:#}").contains("manifest.json"), "{torn:#}");
    }
}
