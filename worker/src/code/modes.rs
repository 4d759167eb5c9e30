//! Modes of a platform's files and folders: 0755 for folders and programs, 0644 for files, as they were made.

use std::path::Path;

use rustix::fs::{AtFlags, FileType};
use serde::{Deserialize, Serialize};

use super::listing::Listing;
use crate::cx::Stop;
use crate::files::Dir;

/// One mode that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrong {
    /// Where, below the code; the code itself is empty.
    pub path: String,
    /// What it is.
    pub is: u32,
    /// What it should be.
    pub should: u32,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// What can be set right.
    pub wrong: Vec<Wrong>,
    /// Paths of what is another user's, and so cannot.
    pub foreign: Vec<String>,
}

/// Looks at the code and all below it. Which files are programs is told by the list; of others by their own mode.
///
/// # Errors
/// When a folder cannot be read, or the task should stop.
pub fn look(code: &Dir, then: Option<&Listing>, stop: &Stop) -> anyhow::Result<Modes> {
    let mut modes = Modes::default();
    let found = rustix::fs::fstat(code)?;
    modes.note(String::new(), found.st_uid, found.st_mode, 0o755);
    below(code, "", then, stop, &mut modes)?;
    Ok(modes)
}

fn below(
    dir: &Dir,
    prefix: &str,
    then: Option<&Listing>,
    stop: &Stop,
    modes: &mut Modes,
) -> anyhow::Result<()> {
    for name in dir.names()? {
        stop.check()?;
        let path = format!("{prefix}{}", name.to_string_lossy());
        let found = rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                let (uid, mode) = (found.st_uid, found.st_mode);
                let inside = format!("{path}/");
                modes.note(path, uid, mode, 0o755);
                // One that cannot be entered is set right first; the next verification looks into it.
                if let Ok(folder) = dir.dir(Path::new(&name)) {
                    below(&folder, &inside, then, stop, modes)?;
                }
            }
            FileType::RegularFile => {
                let listed = then.and_then(|then| then.is_program(&path));
                let program = listed.unwrap_or(found.st_mode & 0o100 != 0);
                let should = if program { 0o755 } else { 0o644 };
                modes.note(path, found.st_uid, found.st_mode, should);
            }
            _ => {}
        }
    }
    Ok(())
}

impl Modes {
    fn note(&mut self, path: String, uid: u32, mode: u32, should: u32) {
        let is = mode & 0o7777;
        if uid != rustix::process::geteuid().as_raw() {
            self.foreign.push(path);
        } else if is != should {
            self.wrong.push(Wrong { path, is, should });
        }
    }
}

/// Gives what stands at `path` this mode, when it has the other one; what is gone is left alone.
///
/// # Errors
/// When it cannot be changed.
pub fn set(code: &Dir, path: &str, from: u32, to: u32) -> anyhow::Result<()> {
    if path.is_empty() {
        return code.set_mode(to);
    }
    let path = Path::new(path);
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => code.dir(parent)?,
        _ => code.clone(),
    };
    let name = path.file_name().unwrap_or_default();
    folder.change_mode(name, from, to)
}
