//! Making a site's folder removable. Below the folders that PHP may write, it makes
//! folders that are its own; `mkdir($folder, 0755)`, as so many applications say it, bounds the worker's
//! right there to reading, and the worker is nobody who could overrule that.
//!
//! So php-fpm is asked for help, the one of the user whose folders they are: a script in the site's folder, run as that
//! very user, opens what is its own. It can do nothing that the site's own PHP could not do. Called by the steps that
//! remove a site's folder, before they do.

use std::collections::BTreeSet;
use std::path::Path;

use rustix::fs::{AtFlags, FileType};

use crate::cx::Cx;
use crate::files::{Access, Dir, blocking};

/// The script's name in the site's folder.
const SCRIPT: &str = ".open.php";
/// What the script says when it is done.
const DONE: &str = "opened";
/// Deeper down nobody looks; the removal itself says what it cannot remove.
const DEPTH: usize = 100;

/// Walks what lies beside it, without following links, and lets everybody write where it may say so: the
/// folder above lets nobody else in.
const OPEN: &str = r#"<?php
$waiting = [__DIR__];
while (($folder = array_pop($waiting)) !== null) {
    @chmod($folder, 0777);
    foreach (@scandir($folder) ?: [] as $name) {
        $path = "$folder/$name";
        if ($name !== '.' && $name !== '..' && !is_link($path) && is_dir($path)) {
            $waiting[] = $path;
        }
    }
}
echo 'opened';
"#;

/// Sees to it that the worker may remove the folder `name` in `parent`; nothing has to be there.
///
/// # Errors
/// When a php-fpm is needed for that and does not help.
pub async fn prepare(cx: &Cx, parent: &Dir, name: &str) -> anyhow::Result<()> {
    if parent.kind(name)?.is_none() {
        return Ok(());
    }
    let folder = parent.dir(name)?;
    let own = rustix::process::geteuid().as_raw();
    let looked = folder.clone();
    if own == 0 {
        return Ok(());
    }
    let mut owners = BTreeSet::new();
    let owners = blocking(move || {
        note_owners(&looked, own, &mut owners, 0)?;
        Ok(owners)
    });
    for owner in owners.await? {
        open(cx, &folder, own, owner).await?;
    }
    Ok(())
}

/// Opens what is this owner's.
async fn open(cx: &Cx, folder: &Dir, own: u32, owner: u32) -> anyhow::Result<()> {
    let Some(php) = cx.spoke.php_of(owner) else {
        // Nobody can be asked; the removal itself says what it cannot remove.
        return Ok(());
    };
    folder.write_atomically(SCRIPT, OPEN.as_bytes(), 0o444)?;
    let way = folder.clone();
    blocking(move || {
        // A removal that broke off may have taken from that user its way in.
        grant(&way, own, owner, 0);
        Ok(())
    })
    .await?;
    let said = php.run_as_web_user(&folder.path().join(SCRIPT)).await?;
    anyhow::ensure!(
        said.trim() == DONE,
        "php-fpm could not open the folders that PHP made in {}",
        folder.path().display()
    );
    folder.remove_file(SCRIPT)
}

/// Who else has folders here. Into theirs nobody looks: the worker may not be able to.
fn note_owners(
    dir: &Dir,
    own: u32,
    owners: &mut BTreeSet<u32>,
    depth: usize,
) -> anyhow::Result<()> {
    for name in dir.names()? {
        let found = rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
            continue;
        }
        if found.st_uid != own {
            owners.insert(found.st_uid);
        } else if depth < DEPTH {
            note_owners(&dir.dir(Path::new(&name))?, own, owners, depth + 1)?;
        }
    }
    Ok(())
}

/// Lets that user through the worker's own folders.
fn grant(dir: &Dir, own: u32, user: u32, depth: usize) {
    let whose = rustix::fs::fstat(dir).map(|found| found.st_uid);
    if depth > DEPTH || whose != Ok(own) {
        return;
    }
    // What fails here shows when the script does not reach what it should open.
    dir.set_access(&[(user, Access::Read)], false).ok();
    for name in dir.names().unwrap_or_default() {
        if let Ok(below) = dir.dir(Path::new(&name)) {
            grant(&below, own, user, depth + 1);
        }
    }
}
