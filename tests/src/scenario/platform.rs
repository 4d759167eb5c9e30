//! The platforms that scenarios build, and that their sites share.

use serde_json::json;

use super::brought::{self, is_brought};
use crate::hub::{Hub, Request};
use crate::scenario::SERVER;
use crate::stack::Stack;

/// Where Debian puts WordPress.
const WORDPRESS: &str = "/usr/share/wordpress";

/// Where Debian puts MediaWiki.
const MEDIAWIKI: &str = "/usr/share/mediawiki";

/// What a MediaWiki needs to be installed and to answer: its other languages and its extensions are most of its
/// files, and a world is looked at file by file.
const MEDIAWIKI_WITHOUT: [&str; 11] = [
    "./LocalSettings.php",
    "./config",
    "./images",
    "./extensions",
    "./extensions-core",
    "./mw-config",
    "./languages/i18n/[!e]*",
    "./languages/messages/Messages[!E]*",
    "./skins/[!V]*",
    "./resources/lib",
    "*/i18n/[!eq]*.json",
];

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
        "mediawiki" => (
            MEDIAWIKI,
            &[
                "index.php",
                "load.php",
                "includes/Defines.php",
                "includes/Setup.php",
                "maintenance/install.php",
                "skins/Vector/skin.json",
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

/// What a package is, and the hash that composer makes of the `composer.json` below.
const PACKAGE: &str =
    r#"{"name": "kolga/thing", "version": "1.0.0", "autoload": {"psr-4": {"Kolga\\": ""}}}"#;
const MANIFEST: &str = r#"{"name": "kolga/small", "require": {"kolga/thing": "1.0.0"}}"#;
const CONTENT_HASH: &str = "b40c24da5fd7793846b1c0796b60fa56";

/// Puts a package of composer's into the code, as an archive of its own, and a lock that names it with its checksum.
fn add_package(folder: &str, run: impl Fn(&str, &[&str]) -> String) {
    let package = format!("{folder}/packages");
    let file = |path: &str, text: &str| std::fs::write(path, text).expect("a file");
    std::fs::create_dir(&package).expect("a folder");
    file(&format!("{package}/composer.json"), PACKAGE);
    file(
        &format!("{package}/Thing.php"),
        "<?php namespace Kolga; class Thing {}\n",
    );
    let archive = format!("{folder}/thing.tar");
    // PHP's own reader of archives knows no entry for the top itself.
    let files = ["composer.json", "Thing.php"];
    run(
        "/bin/tar",
        &[&["-cf", &archive, "-C", &package], &files[..]].concat(),
    );
    std::fs::remove_dir_all(&package).expect("packed");
    let sum = run("/usr/bin/sha1sum", &[&archive]);
    let sum = sum.split_whitespace().next().expect("a sum");
    let mut package: serde_json::Value = serde_json::from_str(PACKAGE).expect("JSON");
    package["dist"] = json!({"type": "tar", "url": "thing.tar", "shasum": sum});
    let lock = json!({"content-hash": CONTENT_HASH, "packages": [package], "packages-dev": []});
    file(&format!("{folder}/composer.json"), MANIFEST);
    file(&format!("{folder}/composer.lock"), &lock.to_string());
}

/// The same files as the one commit of a repository on the spoke, with a package that composer installs.
pub(super) fn commit(stack: &Stack, profile: &str) -> String {
    let folder = format!("{}/small-{profile}.git", stack.text("/sources"));
    let run = |program: &str, words: &[&str]| {
        let said = std::process::Command::new(program)
            .args(words)
            .output()
            .expect("it runs");
        assert!(said.status.success(), "{program} {words:?}: {said:?}");
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    };
    let git = |words: &[&str]| run("/usr/bin/git", &[&["-C", &folder], words].concat());
    if !std::path::Path::new(&folder).exists() {
        let archive = archive(stack, profile);
        std::fs::create_dir(&folder).expect("a folder");
        run("/bin/tar", &["--zstd", "-xf", &archive, "-C", &folder]);
        add_package(&folder, run);
        git(&["init", "--quiet"]);
        git(&["add", "-A"]);
        let who = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
        git(&[&who[..], &["commit", "--quiet", "-m", "small"]].concat());
    }
    format!("git+file://{folder}#{}", git(&["rev-parse", "HEAD"]))
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
    build_once(hub, "wordpress", WORDPRESS).await;
}

/// The same for sites of any profile.
pub(super) async fn for_sites(hub: &Hub, stack: &Stack, profile: &str) {
    match profile {
        "mediawiki" => build_wiki_platform(hub, stack).await,
        _ if is_brought(profile) => build_once(hub, profile, &brought::code(stack)).await,
        _ => build_platform(hub).await,
    }
}

/// The platform to which sites move.
pub(super) const NEXT: &str = "next";

/// Builds it, unless it is there: the same WordPress, which wants tables of a later version, or what was brought.
pub(super) async fn next(hub: &Hub, stack: &Stack, profile: &str) {
    let source = match is_brought(profile) {
        true => brought::next(stack),
        false => newer_wordpress(stack),
    };
    build_once_as(hub, NEXT, profile, &source).await;
}

/// A plugin that Debian's WordPress brings.
pub const PLUGIN: &str = "akismet/akismet.php";

/// What the one of [`newer_wordpress`] puts at the end of each page.
pub const NEWER_PLUGIN: &str = "<!-- the newer plugin -->";

/// WordPress as Debian has it, but for the version of its tables and a plugin that can be told from the other.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn newer_wordpress(stack: &Stack) -> String {
    let path = format!("{}/wordpress-next", stack.text("/sources"));
    if !std::path::Path::new(&path).exists() {
        let aside = format!("{path}.new-{}", std::process::id());
        let made = std::process::Command::new("/bin/cp")
            // Links lead to where other packages have libraries.
            .args(["-rL", WORDPRESS, &aside])
            .output()
            .expect("cp runs");
        assert!(made.status.success(), "{made:?}");
        let file = format!("{aside}/wp-includes/version.php");
        let text = std::fs::read_to_string(&file).expect("it has one");
        let (before, rest) = text.split_once("$wp_db_version = ").expect("it tells one");
        let (number, after) = rest.split_once(';').expect("a statement");
        let number: u32 = number.parse().expect("a number");
        let text = format!("{before}$wp_db_version = {};{after}", number + 1);
        std::fs::write(&file, text).expect("changed");
        let plugin = format!("{aside}/wp-content/plugins/{PLUGIN}");
        let mut text = std::fs::read_to_string(&plugin).expect("it has one");
        text.push_str(&format!(
            "\nadd_action('wp_footer', static function () {{ echo '{NEWER_PLUGIN}'; }});\n"
        ));
        std::fs::write(&plugin, text).expect("changed");
        if std::fs::rename(&aside, &path).is_err() {
            // Another scenario was faster.
            std::fs::remove_dir_all(&aside).expect("of no use");
        }
    }
    path
}

/// Builds the MediaWiki platform that sites share, unless it is there.
///
/// # Panics
/// When it cannot be built.
pub async fn build_wiki_platform(hub: &Hub, stack: &Stack) {
    build_once(hub, "mediawiki", &lean_mediawiki(stack)).await;
}

/// What such a platform is built from, of a later version.
pub const NEWER_MEDIAWIKI: &str = "1.39.999";

/// The code of sites' MediaWiki, but for the version that it tells of itself.
///
/// # Panics
/// When it cannot be made.
#[must_use]
pub fn newer_mediawiki(stack: &Stack) -> String {
    let path = format!("{}/mediawiki-next", stack.text("/sources"));
    if !std::path::Path::new(&path).exists() {
        let aside = format!("{path}.new-{}", std::process::id());
        std::fs::create_dir(&aside).expect("a folder");
        let made = std::process::Command::new("/bin/tar")
            .args(["--zstd", "-xf", &lean_mediawiki(stack), "-C", &aside])
            .output()
            .expect("tar runs");
        assert!(made.status.success(), "{made:?}");
        let file = format!("{aside}/includes/Defines.php");
        let text = std::fs::read_to_string(&file).expect("it has one");
        let (before, rest) = text.split_once("'MW_VERSION', '").expect("it tells one");
        let (_, after) = rest.split_once('\'').expect("a literal");
        let text = format!("{before}'MW_VERSION', '{NEWER_MEDIAWIKI}'{after}");
        std::fs::write(&file, text).expect("changed");
        std::fs::rename(&aside, &path).expect("in its place");
    }
    path
}

async fn build_once(hub: &Hub, profile: &str, source: &str) {
    build_once_as(hub, shared(profile), profile, source).await;
}

async fn build_once_as(hub: &Hub, name: &str, profile: &str, source: &str) {
    let known = hub.get("/v1/platforms").await;
    let there = known["items"]
        .as_array()
        .expect("a list")
        .iter()
        .any(|platform| platform["name"] == name && platform["condition"] == "ready");
    if !there {
        let task = hub.build(SERVER, name, profile, source).await;
        hub.succeeds(&task).await;
    }
}

/// What the platform is called that sites of a profile share.
pub(super) fn shared(profile: &str) -> &'static str {
    match profile {
        "mediawiki" => "mw",
        _ if is_brought(profile) => "brought",
        _ => "wp",
    }
}

fn lean_mediawiki(stack: &Stack) -> String {
    let path = format!("{}/lean-mediawiki.tar.zst", stack.text("/sources"));
    if !std::path::Path::new(&path).exists() {
        let made = std::process::Command::new("/bin/tar")
            .args(MEDIAWIKI_WITHOUT.map(|what| format!("--exclude={what}")))
            .args(["--zstd", "-cf", &path, "-C", MEDIAWIKI, "."])
            .output()
            .expect("tar runs");
        assert!(made.status.success(), "{made:?}");
    }
    path
}
