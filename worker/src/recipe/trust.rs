//! Whether nobody but root and the worker's user can have written something: a recipe's file, a program. Whoever can
//! write there, or to any folder above, says what the hub can have run here.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Context as _;
use rustix::fs::{FileType, Mode, OFlags};

/// The longest recipe that is read.
const LONGEST: u64 = 64 * 1024;
/// The bit of a folder in which everybody may make files but nobody may move another's.
const STICKY: u32 = 0o1000;

/// What the file holds. Its folder is opened first and the file reached from it, so that what was judged is what is
/// read.
pub(super) fn text(file: &Path) -> anyhow::Result<String> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let name = file.file_name().context("it is no file's path")?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let folder = folder.unwrap_or(Path::new("."));
    let opened = rustix::fs::open(folder, flags | OFlags::DIRECTORY, Mode::empty())
        .context("its folder cannot be opened, or is a symbolic link")?;
    let stat = rustix::fs::fstat(&opened)?;
    written_by_us(stat.st_uid, stat.st_mode, "its folder")?;
    folders_above(&folder.canonicalize()?)?;
    let opened =
        rustix::fs::openat(&opened, name, flags, Mode::empty()).map_err(|error| match error {
            rustix::io::Errno::LOOP => anyhow::anyhow!("it is a symbolic link"),
            error => error.into(),
        })?;
    let stat = rustix::fs::fstat(&opened)?;
    anyhow::ensure!(
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
        "it is no ordinary file"
    );
    written_by_us(stat.st_uid, stat.st_mode, "it")?;
    let mut text = String::new();
    let mut limited = std::fs::File::from(opened).take(LONGEST + 1);
    limited
        .read_to_string(&mut text)
        .context("it is not text")?;
    anyhow::ensure!(text.len() as u64 <= LONGEST, "it is longer than 64 KiB");
    Ok(text)
}

/// That there is such a program, and who can have written it.
pub(super) fn program(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let real = path
        .canonicalize()
        .with_context(|| format!("the program {shown} is not there: is it installed?"))?;
    let found = std::fs::metadata(&real)?;
    anyhow::ensure!(
        found.is_file() && found.mode() & 0o111 != 0,
        "{shown} is no program"
    );
    written_by_us(found.uid(), found.mode(), &format!("the program {shown}"))?;
    folders_above(&real)
}

/// A folder in which others can make files is one where they can replace only their own, if it is sticky.
fn folders_above(real: &Path) -> anyhow::Result<()> {
    for folder in real.ancestors().skip(1) {
        let found = std::fs::metadata(folder)?;
        let mode = match found.mode() & STICKY {
            0 => found.mode(),
            _ => found.mode() & !0o022,
        };
        written_by_us(
            found.uid(),
            mode,
            &format!("the folder {}", folder.display()),
        )?;
    }
    Ok(())
}

fn written_by_us(owner: u32, mode: u32, what: &str) -> anyhow::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        (owner == 0 || owner == own) && mode & 0o022 == 0,
        "{what} can be written by others than root and the worker's user: chown it, and chmod go-w"
    );
    Ok(())
}
