//! Code that is in no package, so whoever runs the tests brings it along: a Drupal's. `deploy/drupal` names the folders.

use std::path::Path;

use crate::stack::Stack;

/// The profiles whose code it is.
const PROFILES: [&str; 2] = ["drupal", "drupal7"];

/// Whether sites of this profile are left to `deploy/drupal`.
#[must_use]
pub fn is_brought(profile: &str) -> bool {
    PROFILES.contains(&profile)
}

/// The profile whose code was brought.
///
/// # Panics
/// When none was.
#[must_use]
pub fn profile() -> &'static str {
    match Path::new(&folder("KOLGA_DRUPAL"))
        .join("includes/bootstrap.inc")
        .exists()
    {
        true => "drupal7",
        false => "drupal",
    }
}

/// The code that sites share, in an archive.
pub(super) fn code(stack: &Stack) -> String {
    packed(stack, "brought", &folder("KOLGA_DRUPAL"))
}

/// That to which sites move.
pub(super) fn next(stack: &Stack) -> String {
    packed(stack, "brought-next", &folder("KOLGA_DRUPAL_NEXT"))
}

/// Whether that is other code than the first.
pub(super) fn is_newer() -> bool {
    folder("KOLGA_DRUPAL") != folder("KOLGA_DRUPAL_NEXT")
}

fn folder(variable: &str) -> String {
    std::env::var(variable).expect("run by deploy/drupal, which says where the code is")
}

/// Where a spoke may take code from.
fn packed(stack: &Stack, name: &str, folder: &str) -> String {
    let path = format!("{}/{name}.tar.zst", stack.text("/sources"));
    if !Path::new(&path).exists() {
        let made = std::process::Command::new("/bin/tar")
            .args(["--zstd", "-cf", &path, "-C", folder, "."])
            .output()
            .expect("tar runs");
        assert!(made.status.success(), "{made:?}");
    }
    path
}
