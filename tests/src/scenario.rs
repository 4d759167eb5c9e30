//! Every kind of task that must bear every fault: how to make the world ready for it, how to ask for it,
//! and how to tidy up after it.

use crate::hub::Hub;
use crate::stack::Stack;

/// Where scenarios run.
pub const SERVER: &str = "web1";

/// Where Debian puts WordPress.
const SOURCE: &str = "/usr/share/wordpress";

/// One task, on one profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// `platform.build` from an archive, of a few files that pass for WordPress.
    BuildPlatform,
    /// `site.install` of a static site.
    InstallStatic,
    /// `site.install` of WordPress.
    InstallWordpress,
    /// `site.delete` of a static site.
    DeleteStatic,
    /// `site.delete` of WordPress.
    DeleteWordpress,
}

impl Scenario {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::BuildPlatform,
        Self::InstallStatic,
        Self::InstallWordpress,
        Self::DeleteStatic,
        Self::DeleteWordpress,
    ];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BuildPlatform => "platform.build wordpress",
            Self::InstallStatic => "site.install static",
            Self::InstallWordpress => "site.install wordpress",
            Self::DeleteStatic => "site.delete static",
            Self::DeleteWordpress => "site.delete wordpress",
        }
    }

    /// The host that it works on, if any.
    #[must_use]
    pub fn host(self) -> &'static str {
        match self {
            Self::BuildPlatform => "none.kolga.test",
            Self::InstallStatic | Self::DeleteStatic => "plain.kolga.test",
            Self::InstallWordpress | Self::DeleteWordpress => "blog.kolga.test",
        }
    }

    fn profile(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::InstallStatic | Self::DeleteStatic => ("static", None),
            _ => ("wordpress", Some("wp")),
        }
    }

    /// Whether it installs or builds, so that what it made has to go before it is tried again.
    fn makes(self) -> bool {
        !matches!(self, Self::DeleteStatic | Self::DeleteWordpress)
    }

    /// What has to be there once, before all tries.
    pub async fn prepare(self, hub: &Hub) {
        if matches!(self, Self::InstallWordpress | Self::DeleteWordpress) {
            platform(hub).await;
        }
    }

    /// What has to be there before the first try.
    pub async fn before(self, hub: &Hub) {
        if !self.makes() {
            self.install(hub).await;
        }
    }

    async fn install(self, hub: &Hub) {
        let (profile, platform) = self.profile();
        let task = hub.install(SERVER, self.host(), profile, platform).await;
        hub.succeeds(&task).await;
    }

    /// Asks for the task; its id.
    pub async fn ask(self, hub: &Hub, stack: &Stack, number: usize) -> String {
        let (profile, platform) = self.profile();
        match self {
            Self::BuildPlatform => {
                let name = platform_name(number);
                hub.build(SERVER, &name, "wordpress", &archive(stack)).await
            }
            Self::InstallStatic | Self::InstallWordpress => {
                hub.install(SERVER, self.host(), profile, platform).await
            }
            Self::DeleteStatic | Self::DeleteWordpress => hub.delete(self.host()).await,
        }
    }

    /// Makes the world ready for the next try after one that did all that it should.
    pub async fn after(self, hub: &Hub, stack: &Stack, number: usize) {
        match self {
            Self::BuildPlatform => remove_platform(stack, number),
            Self::InstallStatic | Self::InstallWordpress => {
                let task = hub.delete(self.host()).await;
                hub.succeeds(&task).await;
            }
            Self::DeleteStatic | Self::DeleteWordpress => self.install(hub).await,
        }
    }
}

/// A small archive of what tells WordPress; building the real one from its folder is what every scenario
/// with WordPress sites begins with.
fn archive(stack: &Stack) -> String {
    let path = format!("{}/small.tar.zst", stack.text("/sources"));
    if !std::path::Path::new(&path).exists() {
        let made = std::process::Command::new("/bin/tar")
            .args(["--zstd", "-cf", &path, "-C", SOURCE])
            .args(["index.php", "wp-load.php", "wp-settings.php"])
            .args(["wp-admin/includes/upgrade.php", "wp-includes/version.php"])
            .output()
            .expect("tar runs");
        assert!(made.status.success(), "{made:?}");
    }
    path
}

/// A platform is not removed by any task yet, so each try builds another one.
#[must_use]
pub fn platform_name(number: usize) -> String {
    format!("try{number}")
}

/// Takes a built platform away by hand, so that the next try begins with the same world.
fn remove_platform(stack: &Stack, number: usize) {
    let name = platform_name(number);
    let folder = stack.spoke(SERVER, "platforms").join(&name);
    std::fs::remove_dir_all(folder).expect("the platform lies there");
    let entry = stack
        .spoke(SERVER, "state_dir")
        .join(format!("platforms/{name}.json"));
    std::fs::remove_file(entry).expect("the platform is registered");
}

/// Builds the WordPress platform that sites share, unless it is there.
pub async fn platform(hub: &Hub) {
    let known = hub.get("/v1/platforms").await;
    let there = known["items"]
        .as_array()
        .expect("a list")
        .iter()
        .any(|platform| platform["name"] == "wp" && platform["condition"] == "ready");
    if !there {
        let task = hub.build(SERVER, "wp", "wordpress", SOURCE).await;
        hub.succeeds(&task).await;
    }
}
