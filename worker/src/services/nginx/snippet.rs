//! Lines that the operator of a spoke wants in one site's `server` block besides what its profile says.
//!
//! They become part of the site's file whenever that is written, and so are tested aside before they are swapped
//! in. What is wrong with them shows when the site is verified, names the site and the line, and can never keep nginx
//! from loading another's.

use std::path::Path;

use anyhow::Context as _;
use kolga_protocol::names::HostName;
use rustix::fs::{FileType, Mode, OFlags};

use crate::config::Config;
use crate::files::Dir;

/// Longer ones are a mistake.
const LONGEST: u64 = 64 * 1024;

/// The lines for this site, each indented as the site's own; nothing where there is no such file. Behind them the
/// place where certificate authorities look, for a spoke that has one for all of its sites.
///
/// # Errors
/// When somebody else could have written them, or they cannot be read.
pub fn of(config: &Config, host: &HostName) -> anyhow::Result<String> {
    let challenges = config.tls.as_ref().and_then(|tls| tls.challenges.as_ref());
    let challenges = challenges.map_or_else(String::new, |folder| {
        format!(
            "    location ^~ /.well-known/acme-challenge/ {{\n        root {};\n        default_type text/plain;\n    }}\n",
            folder.display()
        )
    });
    Ok(operators(config, host)? + &challenges)
}

/// Those of the operator alone.
///
/// # Errors
/// As [`of`].
pub fn operators(config: &Config, host: &HostName) -> anyhow::Result<String> {
    let Some(folder) = &config.nginx.snippets else {
        return Ok(String::new());
    };
    let name = format!("{host}.conf");
    read(folder, &name).with_context(|| {
        let path = folder.join(&name);
        format!("cannot take the lines for nginx in {}", path.display())
    })
}

fn read(folder: &Path, name: &str) -> anyhow::Result<String> {
    let dir = Dir::open(folder)?;
    trusted(&rustix::fs::fstat(&dir)?, &folder.display().to_string())?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&dir, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(String::new()),
        Err(error) => return Err(error.into()),
    };
    let stat = rustix::fs::fstat(&file)?;
    anyhow::ensure!(
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile,
        "it is no ordinary file"
    );
    trusted(&stat, name)?;
    let mut text = String::new();
    let mut limited = std::io::Read::take(std::fs::File::from(file), LONGEST + 1);
    std::io::Read::read_to_string(&mut limited, &mut text).context("it is not text")?;
    anyhow::ensure!(text.len() as u64 <= LONGEST, "it is longer than 64 KiB");
    Ok(text.lines().map(|line| format!("    {line}\n")).collect())
}

/// What nginx does with these lines is in the hands of whoever can write them.
fn trusted(stat: &rustix::fs::Stat, what: &str) -> anyhow::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        (stat.st_uid == 0 || stat.st_uid == own) && stat.st_mode & 0o022 == 0,
        "{what} can be written by others than root and the worker's user: chown and chmod go-w it"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;
    use crate::testing::{Scratch, config};

    #[test]
    fn a_site_gets_the_lines_of_its_own_file_and_no_other() {
        let scratch = Scratch::new();
        let mut config = config(scratch.path());
        let host: HostName = "www.example.org".parse().expect("a host");
        assert_eq!(of(&config, &host).expect("none wanted"), "");
        let folder = scratch.path().join("snippets");
        std::fs::create_dir(&folder).expect("made");
        config.nginx.snippets = Some(folder.clone());
        assert_eq!(of(&config, &host).expect("none there"), "");
        let file = folder.join("www.example.org.conf");
        std::fs::write(&file, "expires 1d;\n# a remark").expect("written");
        std::fs::write(folder.join("other.example.org.conf"), "deny all;").expect("written");
        let told = of(&config, &host).expect("read");
        assert_eq!(told, "    expires 1d;\n    # a remark\n");
    }

    #[test]
    fn lines_that_others_could_have_written_are_refused() {
        let scratch = Scratch::new();
        let mut config = config(scratch.path());
        let host: HostName = "www.example.org".parse().expect("a host");
        let folder = scratch.path().join("snippets");
        std::fs::create_dir(&folder).expect("made");
        config.nginx.snippets = Some(folder.clone());
        let file = folder.join("www.example.org.conf");
        std::fs::write(&file, "expires 1d;").expect("written");
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
        };
        let refused = || format!("{:#}", of(&config, &host).expect_err("refused"));
        mode(&file, 0o664);
        assert!(refused().contains("go-w"), "{}", refused());
        mode(&file, 0o644);
        mode(&folder, 0o777);
        assert!(refused().contains("go-w"), "{}", refused());
        mode(&folder, 0o755);
        std::fs::rename(&file, folder.join("elsewhere")).expect("moved");
        symlink(folder.join("elsewhere"), &file).expect("a link");
        assert!(of(&config, &host).is_err(), "links are not followed");
    }
}
