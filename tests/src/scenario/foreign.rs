//! What an operator has on a spoke and Kolga has not made: a folder of plain files among those that sites are imported from.

use std::path::PathBuf;

use crate::scenario::SERVER;
use crate::stack::Stack;

/// Where sites are imported from. It is one of the spoke's folders, so that it is looked at like the others.
#[must_use]
pub fn imports(stack: &Stack) -> PathBuf {
    let config = stack.spoke(SERVER, "config");
    config.parent().expect("a folder").join("imports")
}

/// The folder of one site.
#[must_use]
pub fn folder(stack: &Stack) -> PathBuf {
    imports(stack).join("old")
}

/// Puts it there.
///
/// # Panics
/// When it cannot.
pub fn put(stack: &Stack) {
    let folder = folder(stack);
    std::fs::create_dir_all(folder.join("deep/er")).expect("folders");
    for (path, text) in [
        ("index.html", "<h1>somebody else's</h1>"),
        ("deep/er/page.html", "deeper"),
        ("style.css", "h1 { color: teal }"),
    ] {
        std::fs::write(folder.join(path), text).expect("a file");
    }
    std::os::unix::fs::symlink("../page.html", folder.join("deep/er/link")).expect("a link");
}
