//! Making a site's folder removable. Below the folders that the web server's user may write, PHP makes
//! folders that are its own; `mkdir($folder, 0755)`, as so many applications say it, bounds the worker's
//! right there to reading, and the worker is nobody who could overrule that.
//!
//! So php-fpm is asked for help: a script in the site's folder, run as that very user, opens what is its
//! own. It can do nothing that the site's own PHP could not do. Called by the steps that remove a site's
//! folder, before they do.

use std::path::Path;

use anyhow::Context as _;
use rustix::fs::{AtFlags, FileType};

use crate::cx::Cx;
use crate::files::{Access, Dir, blocking, user_id};

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
/// When php-fpm is needed for that and does not help.
pub async fn prepare(cx: &Cx, parent: &Dir, name: &str) -> anyhow::Result<()> {
    if parent.kind(name)?.is_none() {
        return Ok(());
    }
    let folder = parent.dir(name)?;
    let own = rustix::process::geteuid().as_raw();
    let looked = folder.clone();
    if own == 0 || !blocking(move || has_foreign_folder(&looked, own, 0)).await? {
        return Ok(());
    }
    let php = cx
        .spoke
        .need_php()
        .with_context(|| format!("somebody else's folders are in {}", folder.path().display()))?;
    let web = user_id(&cx.spoke.config.sites.web_user)?;
    folder.write_atomically(SCRIPT, OPEN.as_bytes(), 0o444)?;
    let way = folder.clone();
    blocking(move || {
        // A removal that broke off may have taken from the web server's user its way in.
        grant(&way, own, web, 0);
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

fn has_foreign_folder(dir: &Dir, own: u32, depth: usize) -> anyhow::Result<bool> {
    for name in dir.names()? {
        let found = rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::Directory {
            continue;
        }
        if found.st_uid != own
            || depth < DEPTH && has_foreign_folder(&dir.dir(Path::new(&name))?, own, depth + 1)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Lets the web server's user through the worker's own folders.
fn grant(dir: &Dir, own: u32, web: u32, depth: usize) {
    let whose = rustix::fs::fstat(dir).map(|found| found.st_uid);
    if depth > DEPTH || whose != Ok(own) {
        return;
    }
    // What fails here shows when the script does not reach what it should open.
    dir.set_access(&[(web, Access::Read)], false).ok();
    for name in dir.names().unwrap_or_default() {
        if let Ok(below) = dir.dir(Path::new(&name)) {
            grant(&below, own, web, depth + 1);
        }
    }
}
