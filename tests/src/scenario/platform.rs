//! The platforms that scenarios build, and that their sites share.

use serde_json::json;

use crate::hub::{Hub, Request};
use crate::scenario::SERVER;
use crate::stack::Stack;

/// Where Debian puts WordPress.
const WORDPRESS: &str = "/usr/share/wordpress";

/// A small archive of what tells the application; building the real one from its folder is what every
/// scenario with sites of a platform begins with.
pub(super) fn archive(stack: &Stack, profile: &str) -> String {
    let (from, files): (&str, &[&str]) = match profile {
        "wordpress" => (
            WORDPRESS,
            &[
                "index.php",
                "wp-load.php",
                "wp-settings.php",
                "wp-admin/includes/upgrade.php",
                "wp-includes/version.php",
            ],
        ),
        other => panic!("say here where the code for platforms of profile {other} lies"),
    };
    let path = format!("{}/small-{profile}.tar.zst", stack.text("/sources"));
    if !std::path::Path::new(&path).exists() {
        let made = std::process::Command::new("/bin/tar")
            .args(["--zstd", "-cf", &path, "-C", from])
            .args(files)
            .output()
            .expect("tar runs");
        assert!(made.status.success(), "{made:?}");
    }
    path
}

/// Each try builds another one, so that an attempt that is late cannot pass for the next one's.
#[must_use]
pub fn platform_name(number: usize) -> String {
    format!("try{number}")
}

/// The platform that tries verify or delete.
pub const SPARE: &str = "try-spare";

/// Asks for a look at it.
pub(super) fn verification() -> Request {
    Request::post(&format!("/v1/platforms/{SERVER}/{SPARE}/verify"), json!({}))
}

/// Modes that a verification has to set right.
pub(super) fn disturb(stack: &Stack) {
    let code = stack.spoke(SERVER, "platforms").join(SPARE).join("code");
    for (path, mode) in [("index.php", 0o600), ("wp-includes", 0o777)] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(code.join(path), mode).expect("it is there");
    }
}

/// Asks for the deletion of the one that tries delete.
pub(super) fn deletion() -> Request {
    Request::delete(&format!("/v1/platforms/{SERVER}/{SPARE}"))
}

/// Takes a built platform away, so that the next try begins with the same world.
pub(super) async fn remove(hub: &Hub, name: &str) {
    let request = Request::delete(&format!("/v1/platforms/{SERVER}/{name}"));
    let task = hub.ask(&request).await;
    hub.succeeds(&task).await;
}

/// Builds the one that tries delete.
pub(super) async fn build(hub: &Hub, stack: &Stack, profile: &str) {
    let task = hub
        .build(SERVER, SPARE, profile, &archive(stack, profile))
        .await;
    hub.succeeds(&task).await;
    disturb(stack);
}

/// Builds the WordPress platform that sites share, unless it is there.
///
/// # Panics
/// When it cannot be built.
pub async fn build_platform(hub: &Hub) {
    let known = hub.get("/v1/platforms").await;
    let there = known["items"]
        .as_array()
        .expect("a list")
        .iter()
        .any(|platform| platform["name"] == "wp" && platform["condition"] == "ready");
    if !there {
        let task = hub.build(SERVER, "wp", "wordpress", WORDPRESS).await;
        hub.succeeds(&task).await;
    }
}
