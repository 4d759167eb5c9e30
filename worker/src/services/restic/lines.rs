//! What restic says line by line, and the files that it is given.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use crate::cx::StepLog;
use crate::process::Pieces;
use crate::secrets::secret_file;

/// What restic says at the end of a backup.
#[derive(Debug, Deserialize)]
pub(super) struct Summary {
    pub(super) snapshot_id: String,
    files_new: u64,
    files_changed: u64,
    files_unmodified: u64,
    pub(super) data_added: u64,
    pub(super) total_bytes_processed: u64,
}

impl Summary {
    pub(super) fn files(&self) -> u64 {
        self.files_new + self.files_changed + self.files_unmodified
    }
}

/// What it says meanwhile.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    total_files: u64,
    files_done: u64,
    bytes_done: u64,
}

/// Reads a backup's lines: how far it is goes to the log, and its last word comes back.
pub(super) fn summary(pieces: Pieces, log: &StepLog) -> anyhow::Result<Summary> {
    for line in lines(pieces) {
        let line = line?;
        let Ok(said) = serde_json::from_str::<serde_json::Value>(&line) else {
            continue;
        };
        match said["message_type"].as_str() {
            Some("summary") => return Ok(serde_json::from_value(said)?),
            Some("status") => {
                let status: Status = serde_json::from_value(said).unwrap_or_default();
                if status.files_done < status.total_files {
                    log.info(format!(
                        "{} of {} files, {} bytes so far",
                        status.files_done, status.total_files, status.bytes_done
                    ));
                }
            }
            _ => {}
        }
    }
    anyhow::bail!("restic did not say what it made")
}

/// What restic writes, as a stream.
pub(super) fn reader(pieces: Pieces) -> impl Read {
    Reading {
        pieces,
        piece: std::io::Cursor::default(),
    }
}

pub(super) fn lines(pieces: Pieces) -> impl Iterator<Item = std::io::Result<String>> {
    BufReader::new(reader(pieces)).lines()
}

struct Reading {
    pieces: Pieces,
    piece: std::io::Cursor<Vec<u8>>,
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let count = self.piece.read(into)?;
            if count > 0 {
                return Ok(count);
            }
            match self.pieces.next() {
                Some(piece) => self.piece = std::io::Cursor::new(piece),
                None => return Ok(0),
            }
        }
    }
}

/// Lines `NAME=value`; empty ones and those that begin with `#` say nothing.
pub(super) fn environment(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let text = String::from_utf8(secret_file(path)?);
    let text = text.map_err(|_| anyhow::anyhow!("{} is not text", path.display()))?;
    let mut variables = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line
            .split_once('=')
            .filter(|(name, _)| is_name(name))
            // Not the line itself, which may be the better half of a secret.
            .with_context(|| {
                let path = path.display();
                format!("line {number} of {path} is not NAME=value, such as AWS_ACCESS_KEY_ID=…")
            })?;
        variables.push((name.to_owned(), value.to_owned()));
    }
    Ok(variables)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::testing::Scratch;

    fn written(scratch: &Scratch, text: &str, mode: u32) -> std::path::PathBuf {
        let path = scratch.path().join("file");
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
        path
    }

    #[test]
    fn an_environment_is_lines_of_names_and_values_and_no_error_shows_a_value() {
        let scratch = Scratch::new();
        let path = written(&scratch, "# keys\n\nAWS_ACCESS_KEY_ID=a=b\nX1=\n", 0o600);
        let read = environment(&path).expect("right");
        let wanted = [("AWS_ACCESS_KEY_ID", "a=b"), ("X1", "")];
        assert_eq!(read, wanted.map(|(n, v)| (n.to_owned(), v.to_owned())));
        for wrong in ["topsecret", "=topsecret", "ld preload=topsecret"] {
            let path = written(&scratch, wrong, 0o600);
            let refused = format!("{:#}", environment(&path).expect_err(wrong));
            assert!(refused.contains("line 1"), "{refused}");
            assert!(!refused.contains("topsecret"), "{refused}");
        }
    }
}
