//! A site with something of everything in it, and how it looks: for tests that compare one with what was made of it.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::Executor as _;

use crate::stack::Stack;
use crate::world::maria;

/// As which the PHP runs that sites share.
///
/// # Panics
/// When nobody is told.
#[must_use]
pub fn php_user(stack: &Stack) -> u32 {
    let asked = Command::new("/usr/bin/id")
        .args(["-u", stack.text("/spokes/web1/php_user")])
        .output()
        .expect("id runs");
    String::from_utf8_lossy(&asked.stdout)
        .trim()
        .parse()
        .expect("a number")
}

/// A file of this mode, given to this user.
///
/// # Panics
/// When it cannot be written.
pub fn write(path: &Path, text: &[u8], mode: u32, owner: u32) {
    std::fs::write(path, text).expect("written");
    chown(path, Some(owner), None).expect("given away");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}

/// Every row, table, view and trigger, as text.
///
/// # Panics
/// When it cannot be dumped.
#[must_use]
pub fn rows(stack: &Stack, database: &str) -> String {
    let dumped = Command::new("/usr/bin/mariadb-dump")
        .arg("--no-defaults")
        .arg(format!("--socket={}", stack.text("/mariadb_socket")))
        .args([
            "--user=root",
            "--skip-dump-date",
            "--hex-blob",
            "--routines",
            "--triggers",
            "--events",
        ])
        .args([
            "--skip-extended-insert",
            "--order-by-primary",
            "--",
            database,
        ])
        .output()
        .expect("it runs");
    assert!(dumped.status.success(), "{dumped:?}");
    let text = String::from_utf8_lossy(&dumped.stdout).into_owned();
    // Whose rights a view or trigger runs with is the site's own user after a restore, whose name is another one now,
    // and whoever made it before.
    let kept = text.lines().filter(|line| !line.starts_with("--"));
    kept.map(|line| line.replace("`root`@`localhost`", &format!("`{database}`@`localhost`")))
        .map(|line| line.replace(database, "THE-DATABASE") + "\n")
        .collect()
}

/// Every path below with its mode, the time of its last change, its link's target or its bytes, and whether PHP's user
/// owns it.
///
/// # Panics
/// When something cannot be looked at.
#[must_use]
pub fn looks(top: &Path, php: u32) -> Vec<(PathBuf, String)> {
    let looked = tree(top).into_iter().map(|(path, what)| {
        let found = std::fs::symlink_metadata(top.join(&path)).expect("there");
        let mode = found.mode() & 0o7777;
        // The worker cannot give files away: instead of owning a file, that user may do in it what its owner may,
        // which shows as the group's part of its mode.
        let mode = match found.uid() == php && !found.is_symlink() {
            true => mode | (mode & 0o700) >> 3,
            false => mode,
        };
        // What is put into a folder later changes its time, as the settings do.
        let time = if found.is_dir() { 0 } else { found.mtime() };
        (path, format!("{mode:04o} {time} {what}"))
    });
    // Made anew: the settings hold another password, the mark another task.
    let anew = |path: &Path| path.ends_with("settings.php") || path.ends_with(".kolga-owner");
    looked.filter(|(path, _)| !anew(path)).collect()
}

const ROWS: &[&str] = &[
    "CREATE TABLE notes (id INT PRIMARY KEY, what TEXT, raw BLOB, seen DATETIME(6) NULL) DEFAULT CHARSET utf8mb4",
    "INSERT INTO notes VALUES (1, 'größer 🦀 \\\\ \\' \"', x'00ff0a0d27', '2026-01-02 03:04:05.678901'), (2, NULL, NULL, NULL)",
    "CREATE TABLE sums (id INT PRIMARY KEY AUTO_INCREMENT, n DECIMAL(20,10))",
    "INSERT INTO sums (n) VALUES (0.1), (-12345678.0000000001)",
    "CREATE SQL SECURITY INVOKER VIEW seen AS SELECT id FROM notes WHERE seen IS NOT NULL",
    "CREATE TRIGGER counted AFTER INSERT ON notes FOR EACH ROW INSERT INTO sums (n) VALUES (NEW.id)",
];

/// Puts rows of all sorts into a database, a view and a trigger.
///
/// # Panics
/// When it does not take them.
pub async fn fill(stack: &Stack, database: &str) {
    let mut server = maria(stack).await;
    let using = format!("USE `{database}`");
    server
        .execute(sqlx::AssertSqlSafe(using))
        .await
        .expect("there");
    for statement in ROWS {
        server.execute(*statement).await.expect(statement);
    }
}

/// Files of the worker and of PHP's user, folders with modes of their own, links of all sorts.
///
/// # Panics
/// When they cannot be made.
pub fn furnish(folder: &Path, own: u32, php: u32) {
    let docroot = folder.join("docroot");
    write(&docroot.join("page"), b"a page\n", 0o640, own);
    write(&docroot.join("empty"), b"", 0o644, own);
    write(&docroot.join("large"), &vec![7; 3_000_000], 0o644, own);
    std::fs::create_dir(docroot.join("deep")).expect("a folder");
    write(&docroot.join("deep/ä b"), b"\0\xff", 0o444, own);
    chown(docroot.join("deep"), Some(own), None).expect("given away");
    std::fs::set_permissions(
        docroot.join("deep"),
        std::fs::Permissions::from_mode(0o2751),
    )
    .expect("set");
    symlink("/etc/hostname", docroot.join("elsewhere")).expect("linked");
    symlink("../../nowhere", docroot.join("dangling")).expect("linked");
    let uploads = folder.join("files/2026");
    std::fs::create_dir(&uploads).expect("a folder");
    write(&uploads.join("photo"), b"theirs", 0o644, php);
    chown(&uploads, Some(php), None).expect("given away");
    write(
        &docroot.join("append.php"),
        b"<?php echo file_put_contents(dirname(__DIR__) . '/files/2026/photo', 'more', FILE_APPEND);",
        0o644,
        own,
    );
    std::thread::sleep(std::time::Duration::from_millis(10));
}

/// Every path below, with what it is and holds.
///
/// # Panics
/// When something cannot be read.
#[must_use]
pub fn tree(top: &Path) -> Vec<(PathBuf, String)> {
    fn walk(top: &Path, path: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(path).expect("read").flatten() {
            let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
            let what = if kind.is_symlink() {
                format!(
                    "link {}",
                    std::fs::read_link(&path).expect("read").display()
                )
            } else if kind.is_dir() {
                walk(top, &path, found);
                "folder".to_owned()
            } else {
                format!("{:?}", std::fs::read(&path).expect("read"))
            };
            found.push((path.strip_prefix(top).expect("below").to_owned(), what));
        }
    }
    let mut found = Vec::new();
    walk(top, top, &mut found);
    found.sort();
    found
}
