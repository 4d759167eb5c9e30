//! Folders: there, writable, passable for the web server's user, with room and with access lists.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::Context as _;
use kolga_protocol::task::server_verify::Check;
use rustix::fs::Access;

use super::check;
use crate::cx::Cx;
use crate::files::{self, Dir};

/// Less than this is full: an application's code alone takes as much.
const LEAST_FREE: u64 = 512 * 1024 * 1024;

pub(super) fn checks(cx: &Cx) -> Vec<Check> {
    let config = &cx.spoke.config;
    let web_user = files::user_id(&config.sites.web_user);
    let web_id = web_user.as_ref().ok().copied();
    let mut checks = vec![
        check(
            "web server's user",
            web_user.map(|id| format!("{}, number {id}", config.sites.web_user)),
        ),
        check(
            "PHP's user",
            files::user_id(config.php_user())
                .map(|id| format!("{}, number {id}", config.php_user())),
        ),
        check("state folder", private(&config.state_dir)),
    ];
    for (name, path) in [
        ("sites", &config.sites.root),
        ("platforms", &config.sites.platforms),
        ("nginx sites", &config.nginx.sites_dir),
    ] {
        let found = writable(path).and_then(|found| {
            passable(path, web_id)?;
            Ok(found)
        });
        checks.push(check(&format!("{name} folder"), found));
    }
    for (name, path) in [
        ("nginx staging", config.nginx.staged.parent()),
        ("nginx include", config.nginx.include.parent()),
    ] {
        let found = path.context("it has no folder").and_then(writable);
        checks.push(check(&format!("{name} folder"), found));
    }
    for path in &config.sites.import_from {
        let found = Dir::open(path).map(|_| path.display().to_string());
        checks.push(check("imports folder", found));
    }
    checks.push(check(
        "access control lists",
        access_lists(&config.sites.root, web_id),
    ));
    checks.push(check(
        "disk space",
        room([
            &config.state_dir,
            &config.sites.root,
            &config.sites.platforms,
        ]),
    ));
    checks
}

/// A folder that is the worker's alone.
fn private(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    let found = std::fs::metadata(path).with_context(|| {
        format!(
            "{shown} is not there: make it with `install -d -m 0700 -o <worker's user> {shown}`"
        )
    })?;
    let me = rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        found.uid() == me,
        "{shown} belongs to user {}, not to the worker's, {me}: chown it",
        found.uid()
    );
    anyhow::ensure!(
        found.mode() & 0o077 == 0,
        "{shown} holds secrets and is open to others: chmod 0700 {shown}"
    );
    Ok(format!("{shown}, mode 0700"))
}

fn writable(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    anyhow::ensure!(
        path.is_dir(),
        "{shown} is not there, or no folder: make it, and let the worker's user write there"
    );
    rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
        .with_context(|| format!("the worker's user may not write to {shown}"))?;
    Ok(shown.to_string())
}

/// Whether the web server's user gets through to it. Looks at modes alone; where an access list lets the
/// user through, there is one and the mode does not tell.
fn passable(path: &Path, web_user: Option<u32>) -> anyhow::Result<()> {
    for folder in path.ancestors() {
        let found = std::fs::metadata(folder).with_context(|| folder.display().to_string())?;
        let listed = rustix::fs::getxattr_query(folder, "system.posix_acl_access")
            .is_ok_and(|size| size > 0);
        let through = found.mode() & 0o001 != 0 || Some(found.uid()) == web_user || listed;
        anyhow::ensure!(
            through,
            "the web server's user may not pass through {}: chmod o+x it, or list the user by setfacl",
            folder.display()
        );
    }
    Ok(())
}

/// Tried on a file without a name, which leaves nothing behind.
fn access_lists(path: &Path, web_user: Option<u32>) -> anyhow::Result<String> {
    Dir::open(path)?.try_access(web_user.unwrap_or(65534))?;
    Ok(format!("work in {}", path.display()))
}

fn room<'a>(paths: impl IntoIterator<Item = &'a std::path::PathBuf>) -> anyhow::Result<String> {
    let mut least: Option<(u64, &Path)> = None;
    for path in paths {
        let free = Dir::open(path)?.free_bytes()?;
        if least.is_none_or(|(least, _)| free < least) {
            least = Some((free, path));
        }
    }
    let (free, path) = least.context("there is no folder")?;
    let mib = free / (1024 * 1024);
    anyhow::ensure!(
        free >= LEAST_FREE,
        "only {mib} MiB are free in {}: make room",
        path.display()
    );
    Ok(format!("{mib} MiB free"))
}
