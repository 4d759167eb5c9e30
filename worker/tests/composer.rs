//! Platforms whose packages composer installs: the real one, from a repository on the disk, out of a lock that it has made
//! itself. What is installed is what the lock says, nothing of it runs unless the operator says so, and then it reaches
//! nothing outside; what is not as it should be leaves nothing.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use kolga_protocol::message::Level;
use kolga_protocol::task::{Output, Params, platform_build};
use kolga_worker::check;
use kolga_worker::config::{Cgroups, Config};
use kolga_worker::cx::{Cx, LogSink, StepLog};
use kolga_worker::process::Supervision;
use kolga_worker::spoke::Spoke;
use kolga_worker::{steps, tasks};
use serde_json::{Value, json};

const COMPOSER: &str = "/usr/bin/composer";

/// A log that keeps its lines.
#[derive(Default)]
struct Kept(Mutex<String>);

impl LogSink for Kept {
    fn line(&self, _step: Option<&str>, _level: Level, text: &str) {
        let mut said = self.0.lock().expect("not poisoned");
        said.push_str(text);
        said.push('\n');
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A spoke, the code of an application among its sources, and a repository of packages.
struct Scene {
    root: PathBuf,
    cx: Cx,
    log: Arc<Kept>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.root).ok();
    }
}

impl Scene {
    async fn new(plugins: bool) -> Self {
        let root = std::env::temp_dir().join(format!("kolga-composer-{}", uuid::Uuid::now_v7()));
        for folder in [
            "state",
            "sites",
            "platforms",
            "sources/app",
            "repository",
            "profiles/app",
        ] {
            std::fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        let shown = root.display();
        let config = format!(
            r#"
            server = "web1"
            state_dir = "{shown}/state"
            process = {{ cgroups = "off" }}
            php = {{}}
            composer = {{ sources = ["{shown}/repository"], plugins = {plugins} }}
            profiles = {{ directories = ["{shown}/profiles"] }}
            [broker]
            url = "amqp://kolga-web1:x@127.0.0.1/kolga"
            [sites]
            root = "{shown}/sites"
            platforms = "{shown}/platforms"
            platform_sources = ["{shown}/sources"]
            [nginx]
            include = "{shown}/kolga.conf"
            sites_dir = "{shown}/vhosts"
            staged = "{shown}/staged.conf"
            test = ["/bin/true"]
            test_staged = ["/bin/true"]
            reload = ["/bin/true"]
            check_address = "127.0.0.1:80"
            "#
        );
        let profile = "name = 'app'\ndescription = 'x'\nneeds = { platform = true, php = true }\n\
                       platform = { index = ['index.php'] }\nvhost = { template = 'vhost.conf' }\n\
                       healthy = { path = '/', status = 200 }\n";
        std::fs::write(root.join("profiles/app/profile.toml"), profile).expect("a file");
        let vhost = "server { listen {{ listen[0] }}; server_name {{ host }}; }\n";
        std::fs::write(root.join("profiles/app/vhost.conf"), vhost).expect("a file");
        let config: Config = toml::from_str(&config).expect("a configuration");
        assert_eq!(config.process.cgroups, Cgroups::Off);
        let launcher = Path::new(env!("CARGO_BIN_EXE_kolga-worker"));
        let supervision = Supervision::find_by(&config, launcher).await;
        let spoke = Spoke::open(config, None).await.expect("a spoke");
        let spoke = spoke.supervised(supervision.expect("process groups"));
        let mut cx = check::context(Arc::new(spoke));
        let log = Arc::new(Kept::default());
        cx.log = StepLog::new(Arc::clone(&log) as Arc<dyn LogSink>);
        let scene = Self { root, cx, log };
        scene.write("sources/app/index.php", "<?php\n");
        scene
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().expect("above")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }

    /// Puts an archive into the repository; what `packages.json` says of it.
    fn pack(&self, name: &str, version: &str, file: (&str, &str), more: &Value) -> Value {
        let short = name.replace('/', "-");
        let folder = self.root.join(format!("packed/{short}-{version}"));
        let mut package = json!({"name": name, "version": version, "type": "library",
            "autoload": {"psr-4": {"Kolga\\": "src/"}}});
        let fields = more.as_object().expect("fields").clone();
        package.as_object_mut().expect("fields").extend(fields);
        std::fs::create_dir_all(folder.join("src")).expect("folders");
        std::fs::write(folder.join("composer.json"), package.to_string()).expect("a file");
        std::fs::write(folder.join(file.0), file.1).expect("a file");
        let archive = self.root.join(format!("repository/{short}-{version}.tar"));
        self.tar(&folder, &archive);
        package["dist"] = json!({"type": "tar", "url": format!("file://{}", archive.display()), "shasum": sha1(&archive)});
        package
    }

    fn tar(&self, folder: &Path, archive: &Path) {
        let mut tar = Command::new("/bin/tar");
        // PHP's own reader of archives knows no entry for the top itself.
        tar.arg("-cf")
            .arg(archive)
            .arg("-C")
            .arg(folder)
            .args(["composer.json", "src"]);
        assert!(tar.status().expect("tar runs").success());
    }

    /// The repository's list.
    fn publish(&self, packages: &[&Value]) {
        let mut all = json!({});
        for package in packages {
            let (name, version) = (&package["name"], &package["version"]);
            all[name.as_str().expect("a name")][version.as_str().expect("a version")] =
                (*package).clone();
        }
        self.write(
            "repository/packages.json",
            &json!({"packages": all}).to_string(),
        );
    }

    /// The application's `composer.json`, and the lock that composer makes for it.
    fn lock(&self, more: &Value) {
        let mut project = json!({"name": "kolga/app", "type": "project", "license": "MIT",
        "repositories": [
            {"type": "composer", "url": format!("file://{}", self.root.join("repository").display())},
            {"packagist.org": false},
        ]});
        let fields = more.as_object().expect("fields").clone();
        project.as_object_mut().expect("fields").extend(fields);
        self.write("sources/app/composer.json", &project.to_string());
        let made = Command::new(COMPOSER)
            .args([
                "update",
                "--no-install",
                "--no-interaction",
                "--no-plugins",
                "--no-scripts",
                "--quiet",
            ])
            .current_dir(self.root.join("sources/app"))
            .env("COMPOSER_HOME", self.root.join("home"))
            .env("COMPOSER_ALLOW_SUPERUSER", "1")
            .output()
            .expect("composer runs: deploy/packages installs it");
        assert!(made.status.success(), "{made:?}");
    }

    /// Builds it; in what a failed step says, all that was begun is undone.
    async fn build(&self) -> anyhow::Result<platform_build::Output> {
        let params = json!({"platform": "app-1", "profile": "app", "source": self.root.join("sources/app"), "composer": true});
        let params = Params::from_json("platform.build", params).expect("parameters");
        let plan = tasks::plan(&params, &self.cx).await?;
        let mut begun = Vec::new();
        for step in &plan.steps {
            let record = step.inspect(&self.cx).await;
            let done = match record {
                Ok(record) => {
                    begun.push((step.name(), record));
                    let (_, record) = begun.last().expect("it was begun");
                    step.apply(&self.cx, record).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                for (name, record) in begun.iter().rev() {
                    steps::undo(name, &self.cx, record).await.expect("undone");
                }
                let left = std::fs::read_dir(self.root.join("platforms")).expect("there");
                assert_eq!(left.count(), 0, "nothing is left of it");
                return Err(error.context(self.said()));
            }
        }
        match (plan.output)()? {
            Output::PlatformBuild(output) => Ok(output),
            other => panic!("{other:?}"),
        }
    }

    async fn fails(&self) -> String {
        let error = self.build().await.expect_err("it cannot be built");
        format!("{error:#}\n{}", self.said())
    }

    fn said(&self) -> String {
        self.log.0.lock().expect("not poisoned").clone()
    }

    fn built(&self, path: &str) -> PathBuf {
        self.root.join("platforms/app-1/code").join(path)
    }
}

fn sha1(file: &Path) -> String {
    let told = Command::new("/usr/bin/sha1sum")
        .arg(file)
        .output()
        .expect("it runs");
    let text = String::from_utf8(told.stdout).expect("text");
    text.split_whitespace().next().expect("a sum").to_owned()
}

fn library(scene: &Scene, version: &str) -> Value {
    let text = format!("<?php namespace Kolga; class Library {{ const VERSION = '{version}'; }}\n");
    let needs = json!({"require": {"kolga/base": "^2.0"}, "bin": ["src/Library.php"]});
    scene.pack("kolga/library", version, ("src/Library.php", &text), &needs)
}

fn base(scene: &Scene) -> Value {
    let text = "<?php namespace Kolga; class Base {}\n";
    scene.pack("kolga/base", "2.0.0", ("src/Base.php", text), &json!({}))
}

#[tokio::test]
async fn what_the_lock_names_is_installed_whatever_is_newer_by_now_and_nothing_of_it_runs() {
    let scene = Scene::new(false).await;
    let (first, base) = (library(&scene, "1.0.0"), base(&scene));
    let tool = scene.pack(
        "kolga/tool",
        "1.0.0",
        ("src/Tool.php", "<?php\n"),
        &json!({}),
    );
    scene.publish(&[&first, &base, &tool]);
    let ran = scene.root.join("ran");
    let touch = format!("touch {}", ran.display());
    scene.lock(&json!({
        "require": {"php": ">=8.0", "kolga/library": "^1.0"},
        "require-dev": {"kolga/tool": "*"},
        "scripts": {"pre-install-cmd": touch, "post-install-cmd": touch, "post-autoload-dump": touch},
    }));
    let newer = library(&scene, "1.1.0");
    scene.publish(&[&first, &newer, &base, &tool]);

    let built = scene.build().await.expect("built");
    assert_eq!(built.packages, Some(2));
    let said = scene.said();
    assert!(said.contains("Installing kolga/library (1.0.0)"), "{said}");
    assert!(
        !said.contains("not up to date"),
        "composer takes the lock for this file's: {said}"
    );
    let php = Command::new("/usr/bin/php")
        .args(["-r", "require 'vendor/autoload.php'; echo Kolga\\Library::VERSION, class_exists('Kolga\\Base');"])
        .current_dir(scene.built(""))
        .output()
        .expect("it runs");
    assert_eq!(String::from_utf8_lossy(&php.stdout), "1.0.01", "{php:?}");
    let program = std::fs::metadata(scene.built("vendor/bin/Library.php")).expect("its program");
    assert_eq!(program.permissions().mode() & 0o777, 0o755);
    assert!(
        !scene.built("vendor/kolga/tool").exists(),
        "what is for development only"
    );
    assert!(!ran.exists(), "no script ran");
    let platform = scene.root.join("platforms/app-1");
    let mut names: Vec<_> = std::fs::read_dir(&platform)
        .expect("built")
        .map(|entry| entry.expect("read").file_name())
        .collect();
    names.sort();
    assert_eq!(names, [".kolga-files", ".kolga-owner", "code"]);
    // platform.verify knows them: they are in its list, and counted.
    let listed = std::fs::read_to_string(platform.join(".kolga-files")).expect("a list");
    assert!(
        listed.contains(" vendor/kolga/library/src/Library.php\n"),
        "{listed}"
    );
    assert_eq!(listed.lines().count() as u64, built.files);
    // The code is what it was.
    for file in ["composer.json", "composer.lock"] {
        let read = |path: PathBuf| std::fs::read(path).expect("there");
        let source = scene.root.join("sources/app").join(file);
        assert_eq!(read(scene.built(file)), read(source), "{file}");
    }
}

#[tokio::test]
async fn a_package_that_is_not_what_its_checksum_says_or_is_gone_leaves_nothing() {
    let scene = Scene::new(false).await;
    let (library, base) = (library(&scene, "1.0.0"), base(&scene));
    scene.publish(&[&library, &base]);
    scene.lock(&json!({"require": {"kolga/library": "^1.0"}}));
    let folder = scene.root.join("packed/kolga-library-1.0.0");
    std::fs::write(folder.join("src/Library.php"), "<?php // another\n").expect("changed");
    let archive = scene.root.join("repository/kolga-library-1.0.0.tar");
    scene.tar(&folder, &archive);
    let said = scene.fails().await;
    assert!(said.contains("checksum verification"), "{said}");
    std::fs::remove_file(archive).expect("gone");
    let said = scene.fails().await;
    assert!(
        said.contains("composer has not installed the packages"),
        "{said}"
    );
}

#[tokio::test]
async fn without_a_lock_with_packages_there_or_from_elsewhere_composer_is_not_even_started() {
    let scene = Scene::new(false).await;
    let base = base(&scene);
    let said = scene.fails().await;
    assert!(said.contains("the code has no composer.json"), "{said}");
    scene.publish(&[&base]);
    scene.lock(&json!({"require": {"kolga/base": "*"}}));
    let lock = scene.root.join("sources/app/composer.lock");
    let text = std::fs::read_to_string(&lock).expect("a lock");
    std::fs::remove_file(&lock).expect("gone");
    let said = scene.fails().await;
    assert!(said.contains("the code has no composer.lock"), "{said}");

    let elsewhere = text.replace("file:///", "https://elsewhere.example.org/");
    std::fs::write(
        &lock,
        elsewhere.replace("file:\\/\\/\\/", "https://elsewhere.example.org/"),
    )
    .expect("a lock");
    let said = scene.fails().await;
    assert!(
        said.contains("kolga/base: https://elsewhere.example.org/"),
        "{said}"
    );
    std::fs::write(&lock, &text).expect("a lock");
    scene.write("sources/app/vendor/composer/installed.json", "{}");
    let said = scene.fails().await;
    assert!(said.contains("has packages in vendor already"), "{said}");
    assert!(!scene.said().contains("Installing"), "{}", scene.said());
}

#[tokio::test]
async fn packages_that_do_not_go_with_this_php_are_refused_whatever_the_lock_says_of_another() {
    let scene = Scene::new(false).await;
    let base = scene.pack(
        "kolga/base",
        "2.0.0",
        ("src/Base.php", "<?php\n"),
        &json!({"require": {"php": ">=99"}}),
    );
    scene.publish(&[&base]);
    scene.lock(&json!({"require": {"kolga/base": "*"}, "config": {"platform": {"php": "99.1"}}}));
    // Only this machine's own PHP counts.
    let manifest = scene.root.join("sources/app/composer.json");
    let text = std::fs::read_to_string(&manifest).expect("one");
    std::fs::write(&manifest, text.replace("99.1", "8.2")).expect("changed");
    let said = scene.fails().await;
    assert!(
        said.contains("kolga/base 2.0.0 requires php >=99"),
        "{said}"
    );
}

/// A zip archive of these files, as they are, in the one folder in which archives of repositories have them.
fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let (mut archive, mut list) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let name = format!("kolga-base-1a2b3c4/{name}");
        let mut sum = flate2::Crc::new();
        sum.update(text.as_bytes());
        let (length, offset) = (text.len() as u32, archive.len() as u32);
        // Version, flags, method, time and date: none of them says anything.
        let mut about = vec![10, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        for number in [sum.sum(), length, length] {
            about.extend(number.to_le_bytes());
        }
        about.extend((name.len() as u16).to_le_bytes());
        about.extend([0, 0]);
        archive.extend(b"PK\x03\x04");
        archive.extend(&about);
        archive.extend(name.as_bytes());
        archive.extend(text.as_bytes());
        list.extend(b"PK\x01\x02\x0a\0");
        list.extend(&about);
        list.extend([0; 10]);
        list.extend(offset.to_le_bytes());
        list.extend(name.as_bytes());
    }
    let (count, offset) = (files.len() as u16, archive.len() as u32);
    archive.extend(&list);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    archive.extend((list.len() as u32).to_le_bytes());
    archive.extend(offset.to_le_bytes());
    archive.extend([0, 0]);
    archive
}

#[tokio::test]
async fn an_archive_as_repositories_give_it_and_a_folder_of_the_code_are_packages_too() {
    let scene = Scene::new(false).await;
    let mut base = json!({"name": "kolga/base", "version": "2.0.0", "type": "library",
        "autoload": {"psr-4": {"Kolga\\": "src/"}}});
    let text = base.to_string();
    let class = "<?php namespace Kolga; class Base {}\n";
    let archive = scene.root.join("repository/base.zip");
    let files = [("composer.json", &*text), ("src/Base.php", class)];
    std::fs::write(&archive, zip(&files)).expect("a file");
    // The address that such an archive has holds its commit, and there is no checksum.
    base["dist"] = json!({"type": "zip", "url": format!("file://{}", archive.display()), "reference": "1a2b3c4"});
    scene.publish(&[&base]);
    scene.write(
        "sources/app/packages/own/composer.json",
        r#"{"name": "kolga/own", "version": "1.0.0"}"#,
    );
    scene.write("sources/app/packages/own/own.txt", "own");
    let own = json!({"type": "path", "url": "packages/own"});
    let repository = format!("file://{}", scene.root.join("repository").display());
    let repositories =
        json!([own, {"type": "composer", "url": repository}, {"packagist.org": false}]);
    scene.lock(
        &json!({"require": {"kolga/base": "*", "kolga/own": "*"}, "repositories": repositories}),
    );

    let built = scene.build().await.expect("built");
    let said = scene.said();
    assert_eq!(built.packages, Some(2), "{said}");
    let told = "no checksum of 1 of them";
    assert!(said.contains(told) && said.contains("kolga/base"), "{said}");
    let read = |path: &str| std::fs::read_to_string(scene.built(path)).expect("there");
    assert_eq!(read("vendor/kolga/base/src/Base.php"), class);
    assert_eq!(read("vendor/kolga/own/own.txt"), "own");
    let own = std::fs::symlink_metadata(scene.built("vendor/kolga/own")).expect("there");
    assert!(own.is_dir(), "it is copied, and no link");
}

/// A plugin that tries to reach what is not the platform's, and says in the code what it could.
fn plugin(scene: &Scene) -> Value {
    let secret = scene.root.join("state/secret");
    let outside = scene.root.join("outside");
    std::fs::write(&secret, "hidden").expect("a file");
    let text = format!(
        "<?php namespace Kolga;\nclass Plugin implements \\Composer\\Plugin\\PluginInterface {{\n\
         function activate(\\Composer\\Composer $c, \\Composer\\IO\\IOInterface $io) {{\n\
           $read = @file_get_contents('{}');\n$written = @file_put_contents('{}', 'x');\n\
           file_put_contents('ran', json_encode([$read, $written]));\n}}\n\
         function deactivate(\\Composer\\Composer $c, \\Composer\\IO\\IOInterface $io) {{}}\n\
         function uninstall(\\Composer\\Composer $c, \\Composer\\IO\\IOInterface $io) {{}}\n}}\n",
        secret.display(),
        outside.display()
    );
    let more = json!({"type": "composer-plugin", "require": {"composer-plugin-api": "^2.0"},
        "extra": {"class": "Kolga\\Plugin"}});
    scene.pack("kolga/plugin", "1.0.0", ("src/Plugin.php", &text), &more)
}

#[tokio::test]
async fn a_plugin_runs_only_where_the_operator_says_so_and_reaches_nothing_outside_then() {
    for plugins in [false, true] {
        let scene = Scene::new(plugins).await;
        let plugin = plugin(&scene);
        scene.publish(&[&plugin]);
        let allow = json!({"allow-plugins": {"kolga/plugin": true}});
        scene.lock(&json!({"require": {"kolga/plugin": "*"}, "config": allow}));
        scene.build().await.expect("built");
        let said = scene.said();
        assert!(said.contains("kolga/plugin"), "{said}");
        let ran = std::fs::read_to_string(scene.built("ran")).ok();
        assert_eq!(ran.as_deref(), plugins.then_some("[false,false]"), "{said}");
        assert!(!scene.root.join("outside").exists());
    }
}
