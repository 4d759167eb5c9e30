//! Whole recipes against the real services of the test stack: every step done, and every step undone.
//! That the same holds across a killed worker is shown by the whole-system tests.

mod clone;
mod https;
mod import;
mod migrate;
mod names;
mod reload;
mod trash;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use kolga_protocol::names::DatabaseName;
use kolga_protocol::task::Output;
use serde_json::{Value, json};

use super::*;
use crate::run::Turn;
use crate::steps;
use crate::testing::{Kept, Scratch, context, stack_config};

/// The stack's first spoke with folders of its own, so that no worker of the stack is in the way.
struct Scene {
    cx: Cx,
    log: Arc<Kept>,
    scratch: Scratch,
    host: String,
    database: DatabaseName,
}

impl Scene {
    fn new(name: &str) -> Self {
        let scratch = Scratch::new();
        let mut config = stack_config();
        config.profiles.directories = vec![scratch.path().join("profiles")];
        std::fs::create_dir(&config.profiles.directories[0]).expect("a folder");
        Self::on(name, scratch, config)
    }

    /// A spoke with a profile of the operator's own: nothing but this vhost.
    fn with_profile(name: &str, vhost: &str) -> Self {
        let scratch = Scratch::new();
        let mut config = stack_config();
        let folder = scratch.path().join("profiles/own");
        std::fs::create_dir_all(&folder).expect("a folder");
        let manifest = "name = \"own\"\ndescription = \"x\"\n[vhost]\ntemplate = \"v.conf\"\n\
                        [healthy]\npath = \"/\"\nstatus = 200\n";
        std::fs::write(folder.join("profile.toml"), manifest).expect("a file");
        std::fs::write(folder.join("v.conf"), vhost).expect("a file");
        config.profiles.directories = vec![scratch.path().join("profiles")];
        Self::on(name, scratch, config)
    }

    fn on(name: &str, scratch: Scratch, mut config: crate::config::Config) -> Self {
        config.state_dir = scratch.path().join("state");
        config.sites.root = scratch.path().join("sites");
        config.sites.platforms = scratch.path().join("platforms");
        for folder in [
            &config.state_dir,
            &config.sites.root,
            &config.sites.platforms,
        ] {
            std::fs::create_dir(folder).expect("a folder");
        }
        if let (true, Some(mariadb)) = (rustix::process::geteuid().is_root(), &mut config.mariadb) {
            // The account comes by the Unix user.
            mariadb.user = "root".to_owned();
        }
        let host = format!("{name}-{}.example.org", std::process::id());
        let database = DatabaseName::for_site(&host.parse().expect("a host"));
        let (cx, log) = context(config);
        Self {
            cx,
            log,
            scratch,
            host,
            database,
        }
    }

    fn params(kind: &str, params: Value) -> Params {
        Params::from_json(kind, params).expect("parameters")
    }

    fn build(&self) -> Params {
        let source = "/usr/share/wordpress";
        let params = json!({"platform": "wp", "profile": "wordpress", "source": source});
        Self::params("platform.build", params)
    }

    fn install(&self, profile: &str) -> Params {
        let mut params = json!({"site": self.host, "profile": profile});
        if profile == "wordpress" {
            params["platform"] = json!("wp");
            params["options"] = json!({"title": "It's a \"test\" \\ <b>"});
        }
        Self::params("site.install", params)
    }

    fn delete(&self) -> Params {
        Self::params("site.delete", json!({"site": self.host, "no_backup": true}))
    }

    fn run(&self, command: Option<&str>) -> Params {
        Self::params("site.run", json!({"site": self.host, "command": command}))
    }

    /// Carries a task out, but only its first `most` steps; gives back what they recorded, and the result
    /// when it was carried out whole.
    async fn first_steps(&self, params: &Params, most: usize) -> (Vec<Begun>, Option<Output>) {
        let plan = plan(params, &self.cx).await.expect("a plan");
        let mut begun = Vec::new();
        let whole = most >= plan.steps.len();
        for step in plan.steps.iter().take(most) {
            let record = step.inspect(&self.cx).await;
            let record = record.unwrap_or_else(|error| panic!("{}: {error:#}", step.name()));
            let applied = step.apply(&self.cx, &record).await;
            applied.unwrap_or_else(|error| panic!("{}: {error:#}", step.name()));
            begun.push((step.name(), record));
        }
        if !whole {
            return (begun, None);
        }
        let mut finals = Vec::new();
        for step in &plan.finals {
            finals.push((
                step.name(),
                step.inspect(&self.cx).await.expect("nothing to refuse"),
            ));
        }
        let output = (plan.output)().expect("a result");
        for (name, record) in finals {
            for _twice in 0..2 {
                steps::finish(name, &self.cx, &record)
                    .await
                    .expect("finished");
            }
        }
        (begun, Some(output))
    }

    /// The same without the final steps, after which there is no way back.
    async fn first_steps_only(&self, params: &Params, most: usize) -> Vec<Begun> {
        let plan = plan(params, &self.cx).await.expect("a plan");
        let mut begun = Vec::new();
        for step in plan.steps.iter().take(most) {
            let record = step.inspect(&self.cx).await.expect("inspected");
            step.apply(&self.cx, &record).await.expect("applied");
            begun.push((step.name(), record));
        }
        begun
    }

    async fn steps_of(&self, params: &Params) -> usize {
        plan(params, &self.cx).await.expect("a plan").steps.len()
    }

    async fn carry_out(&self, params: &Params) -> Output {
        self.first_steps(params, usize::MAX).await.1.expect("whole")
    }

    async fn undo(&self, begun: &[Begun]) {
        for (name, record) in begun.iter().rev() {
            for _twice in 0..2 {
                let undone = steps::undo(name, &self.cx, record).await;
                undone.unwrap_or_else(|error| panic!("{name}: {error}: {:#}", error.source));
            }
        }
    }

    /// What there is of the site and the platform, by name.
    async fn world(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for folder in [
            "sites",
            "platforms",
            "state/secrets",
            "state/sites",
            "state/platforms",
        ] {
            list(&self.scratch.path().join(folder), 2, &mut found);
        }
        let host = self.host.parse().expect("a host");
        let spoke = &self.cx.spoke;
        let mariadb = spoke.need_mariadb().expect("there is one");
        if mariadb.has_database(&self.database).await.expect("asked") {
            found.insert("the database".to_owned());
        }
        if mariadb.has_user(&self.database).await.expect("asked") {
            found.insert("the database user".to_owned());
        }
        if spoke.nginx.vhost(&host).expect("read").is_some() {
            found.insert("the vhost".to_owned());
        }
        list(&spoke.config.nginx.sites_dir, 1, &mut found);
        found
    }

    /// Whether nginx serves the site with this in its page.
    async fn answers(&self, wanted: &str) -> anyhow::Result<()> {
        let host = self.host.parse()?;
        let judge = |answer: &crate::services::nginx::Answer| {
            let (status, length) = (answer.status, answer.body.len());
            anyhow::ensure!(
                answer.body.contains(wanted),
                "{status}, {length} bytes without {wanted:?}"
            );
            Ok(())
        };
        self.cx
            .spoke
            .nginx
            .check_site(&self.cx, &host, "/", judge)
            .await
            .map(drop)
    }
}

type Begun = (&'static str, Value);

fn list(folder: &Path, depth: usize, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        found.insert(entry.path().display().to_string());
        if depth > 1 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(&entry.path(), depth - 1, found);
        }
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_wiki_is_built_from_debians_package_answers_at_short_addresses_and_serves_no_code() {
    let scene = Scene::new("wiki");
    let build = json!({"platform": "mw", "profile": "mediawiki", "source": "/usr/share/mediawiki"});
    let build = Scene::params("platform.build", build);
    let Output::PlatformBuild(built) = scene.carry_out(&build).await else {
        panic!("the result of another kind of task");
    };
    let version = built.version.expect("it tells one");
    assert!(version.starts_with("1."), "{version}");
    let before = scene.world().await;

    let options = json!({"title": "It's a \"wiki\" \\ <b>"});
    let install =
        json!({"site": scene.host, "profile": "mediawiki", "platform": "mw", "options": options});
    let install = Scene::params("site.install", install);
    scene.carry_out(&install).await;
    let images = scene
        .cx
        .spoke
        .config
        .sites
        .root
        .join(&scene.host)
        .join("images");
    std::fs::write(images.join("shell.php"), "<?php echo 6 * 7;").expect("an upload");
    std::fs::write(images.join("note.txt"), "six times seven").expect("an upload");
    for (path, status, wanted) in [
        ("/", 301, ""),
        ("/wiki/Main_Page", 200, "MediaWiki has been installed"),
        ("/wiki/Special:Version", 200, "ParserFunctions"),
        (
            "/load.php?modules=skins.vector.styles.legacy&only=styles&skin=vector",
            200,
            "{",
        ),
        (
            "/api.php?action=query&meta=siteinfo&format=json",
            200,
            "It's a \\\"wiki\\\"",
        ),
        ("/images/note.txt", 200, "six times seven"),
        ("/images/shell.php", 404, ""),
        ("/includes/Setup.php", 404, ""),
        ("/maintenance/install.php", 404, ""),
        ("/LocalSettings.php", 404, ""),
        ("/composer.json", 404, ""),
    ] {
        let judge = |answer: &crate::services::nginx::Answer| {
            let right = answer.status == status && answer.body.contains(wanted);
            anyhow::ensure!(right, "{}: {}", answer.status, answer.body);
            Ok(())
        };
        let host = scene.host.parse().expect("a host");
        let answered = scene
            .cx
            .spoke
            .nginx
            .check_site(&scene.cx, &host, path, judge)
            .await;
        answered.unwrap_or_else(|error| panic!("{path}: {error:#}"));
    }

    let verify = Scene::params("platform.verify", json!({"platform": "mw"}));
    let Output::PlatformVerify(found) = scene.carry_out(&verify).await else {
        panic!("the result of another kind of task");
    };
    assert!(found.compared, "there is a list");
    assert_eq!(found.drift, Vec::<String>::new());
    assert!(
        found
            .installed
            .iter()
            .any(|part| part.kind == "extension" && part.name == "Cite")
    );
    assert!(
        found
            .installed
            .iter()
            .any(|part| part.kind == "skin" && part.name == "Vector")
    );
    scene.carry_out(&scene.delete()).await;
    assert_eq!(scene.world().await, before);
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_wordpress_site_is_built_installed_answers_and_is_deleted() {
    let scene = Scene::new("whole");
    let Output::PlatformBuild(built) = scene.carry_out(&scene.build()).await else {
        panic!("the result of another kind of task");
    };
    assert!(
        built
            .version
            .is_some_and(|version| version.starts_with("6."))
    );
    let before = scene.world().await;

    let Output::SiteInstall(made) = scene.carry_out(&scene.install("wordpress")).await else {
        panic!("the result of another kind of task");
    };
    assert_eq!(made.admin_user.as_deref(), Some("admin"));
    assert!(
        made.secret_file
            .is_some_and(|file| Path::new(&file).exists())
    );
    // The theme was found and its style is linked from the site's own content folder.
    scene.answers("wp-site-blocks").await.expect("a page");
    scene
        .answers("It&#039;s a &quot;test&quot;")
        .await
        .expect("the title, escaped once");
    let settings = scene
        .cx
        .spoke
        .config
        .sites
        .root
        .join(&scene.host)
        .join("private/settings.php");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(settings)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o440);

    let log = format!("{:?}", scene.log.lines());
    assert!(
        log.contains("theme Twenty Twenty-Three"),
        "the installer's words: {log}"
    );
    let host = scene.host.parse().expect("a host");
    let secrets = scene
        .cx
        .spoke
        .secrets
        .load(&host)
        .expect("read")
        .expect("there");
    for secret in secrets.values.values().chain(&secrets.database_password) {
        assert!(!log.contains(secret.expose()), "the log holds a secret");
    }

    scene.carry_out(&scene.delete()).await;
    assert_eq!(scene.world().await, before);
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn every_kind_of_site_answers_and_leaves_nothing_when_it_is_deleted() {
    for profile in ["static", "php"] {
        let scene = Scene::new(profile);
        let before = scene.world().await;
        scene.carry_out(&scene.install(profile)).await;
        scene.answers("made by Kolga").await.expect("a page");
        scene.carry_out(&scene.delete()).await;
        assert_eq!(scene.world().await, before, "{profile}");
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn after_any_number_of_steps_undoing_them_leaves_the_world_as_it_was() {
    let scene = Scene::new("undo");
    let build = scene.build();
    let install = scene.install("wordpress");
    let delete = scene.delete();
    for number in 1..=scene.steps_of(&build).await {
        let before = scene.world().await;
        let (begun, _) = scene.first_steps(&build, number).await;
        scene.undo(&begun).await;
        assert_eq!(
            scene.world().await,
            before,
            "platform.build, {number} steps"
        );
    }
    scene.carry_out(&build).await;
    for number in 1..=scene.steps_of(&install).await {
        let before = scene.world().await;
        let (begun, _) = scene.first_steps(&install, number).await;
        scene.undo(&begun).await;
        assert_eq!(scene.world().await, before, "site.install, {number} steps");
        scene.answers("404").await.expect("the default server");
    }
    scene.carry_out(&install).await;
    // Without its final steps, after which there is no way back.
    for number in 1..=scene.steps_of(&delete).await {
        let before = scene.world().await;
        let begun = scene.first_steps_only(&delete, number).await;
        scene.undo(&begun).await;
        assert_eq!(scene.world().await, before, "site.delete, {number} steps");
        scene.answers("wp-site-blocks").await.expect("it came back");
    }
    scene.carry_out(&delete).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_was_changed_by_hand_is_mended_told_and_comes_back_when_a_later_step_fails() {
    let scene = Scene::new("verify");
    scene.carry_out(&scene.build()).await;
    scene.carry_out(&scene.install("wordpress")).await;
    let verify = Scene::params("site.verify", json!({"site": scene.host}));
    let found = async |verify: &Params| match scene.carry_out(verify).await {
        Output::SiteVerify(found) => (found.changes, found.problems),
        other => panic!("{other:?}"),
    };
    let nothing = (Vec::new(), Vec::<String>::new());
    assert_eq!(found(&verify).await, nothing, "as it was installed");

    let site = scene.scratch.path().join("sites").join(&scene.host);
    std::fs::remove_dir_all(site.join("private")).expect("gone");
    let themes = site.join("content/themes");
    std::fs::remove_dir_all(&themes).expect("gone");
    let mariadb = scene.cx.spoke.need_mariadb().expect("there is one");
    mariadb.drop_user(&scene.database).await.expect("dropped");
    let vhost = scene
        .cx
        .spoke
        .nginx
        .vhost_path(&scene.host.parse().expect("a host"));
    std::fs::remove_file(&vhost).expect("gone");
    let before = scene.world().await;
    for number in 1..=scene.steps_of(&verify).await {
        let begun = scene.first_steps_only(&verify, number).await;
        scene.undo(&begun).await;
        assert_eq!(scene.world().await, before, "{number} steps");
    }
    let (changes, problems) = found(&verify).await;
    let changed: Vec<&str> = changes.iter().map(|change| change.what.as_str()).collect();
    for what in [
        "folder private",
        "folder content/themes",
        "link content/themes/twentytwentythree",
        "database user",
        "settings private/settings.php",
        "vhost",
    ] {
        assert!(changed.contains(&what), "{what} in {changed:?}");
    }
    assert!(problems.is_empty(), "{problems:?}");
    scene.answers("wp-site-blocks").await.expect("a page");
    assert_eq!(found(&verify).await, nothing, "once is enough");
    scene.carry_out(&scene.delete()).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn cron_runs_the_profiles_script_leaves_nothing_of_it_and_stops_with_the_worker() {
    let scratch = Scratch::new();
    let mut config = stack_config();
    let folder = scratch.path().join("profiles/own");
    std::fs::create_dir_all(&folder).expect("a folder");
    let script = "<?php $in = json_decode(stream_get_contents(STDIN), true);\n\
                  file_put_contents($in['site'] . '/ran', $in['host']);\n\
                  if (file_exists($in['site'] . '/slow')) { sleep(600); }\n\
                  exit(file_exists($in['site'] . '/bad') ? 1 : 0);\n";
    let manifest = "name = \"own\"\ndescription = \"x\"\nneeds = { php = true }\n\
                    [cron]\nevery = \"15m\"\nscript = \"cron.php\"\ntimeout_seconds = 600\n\
                    [vhost]\ntemplate = \"v.conf\"\n[healthy]\npath = \"/\"\nstatus = 200\n";
    let vhost = "server { listen {{ listen[0] }}; server_name {{ host }}; return 200; }\n";
    for (name, text) in [
        ("profile.toml", manifest),
        ("cron.php", script),
        ("v.conf", vhost),
    ] {
        std::fs::write(folder.join(name), text).expect("a file");
    }
    config.profiles.directories = vec![scratch.path().join("profiles")];
    let scene = Scene::on("cron", scratch, config);
    scene.carry_out(&scene.install("own")).await;
    let site = scene.scratch.path().join("sites").join(&scene.host);
    let host = scene.host.parse().expect("a host");
    let entry = scene.cx.spoke.registry.sites.load(&host).expect("read");
    let entry = entry.expect("it is there");
    std::fs::write(site.join(".cron.php"), "<?php exit(1);").expect("of a worker that died");
    let once = async |turn| crate::cron::once(&scene.cx.spoke, &entry, turn).await;
    assert!(once(Turn::alone()).await);
    let ran = std::fs::read_to_string(site.join("ran")).expect("it ran");
    assert_eq!(ran, scene.host);
    assert!(!site.join(".cron.php").exists());

    std::fs::write(site.join("bad"), "").expect("a file");
    assert!(!once(Turn::alone()).await, "it says that it went wrong");
    std::fs::remove_file(site.join("ran")).expect("there");
    std::fs::write(site.join("slow"), "").expect("a file");
    let turn = Turn::alone();
    let halt = turn.halt.clone();
    let (well, ()) = tokio::join!(once(turn), async {
        while !site.join("ran").exists() {
            tokio::task::yield_now().await;
        }
        halt.cancel();
    });
    assert!(!well, "it was stopped, long before it would have ended");
    assert!(!site.join(".cron.php").exists());
    scene.carry_out(&scene.delete()).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn wordpress_does_what_it_has_planned_and_its_commands_end_well() {
    let scene = Scene::new("planned");
    scene.carry_out(&scene.build()).await;
    scene.carry_out(&scene.install("wordpress")).await;
    let host = scene.host.parse().expect("a host");
    let entry = scene.cx.spoke.registry.sites.load(&host).expect("read");
    let entry = entry.expect("it is there");
    assert!(crate::cron::once(&scene.cx.spoke, &entry, Turn::alone()).await);
    let Output::SiteRun(there) = scene.carry_out(&scene.run(None)).await else {
        panic!("the result of another kind of task");
    };
    let offered: Vec<String> = there.offered.iter().map(|it| it.name.to_string()).collect();
    assert_eq!(offered, ["cache_clear", "update_database"]);
    for command in &offered {
        let Output::SiteRun(ran) = scene.carry_out(&scene.run(Some(command))).await else {
            panic!("the result of another kind of task");
        };
        assert_eq!(
            ran.command.map(|name| name.to_string()).as_ref(),
            Some(command)
        );
    }
    let log = format!("{:?}", scene.log.lines());
    assert!(log.contains("temporary values"), "{log}");
    assert!(log.contains("the tables are of version"), "{log}");
    let unknown = plan(&scene.run(Some("reset")), &scene.cx).await;
    let unknown = unknown.map(drop).expect_err("there is none").to_string();
    assert!(
        unknown.ends_with("no command reset; it offers cache_clear, update_database"),
        "{unknown}"
    );
    scene.answers("wp-site-blocks").await.expect("a page");
    scene.carry_out(&scene.delete()).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_database_of_the_same_name_that_was_there_before_is_refused_and_unharmed() {
    let scene = Scene::new("planted");
    let mariadb = scene.cx.spoke.need_mariadb().expect("there is one");
    mariadb
        .create_database(&scene.database, "somebody else")
        .await
        .expect("planted");
    let before = scene.world().await;
    let plan = plan(&scene.install("php"), &scene.cx)
        .await
        .expect("a plan");
    let refused = plan.steps[0]
        .inspect(&scene.cx)
        .await
        .expect_err("in the way");
    assert!(
        refused.to_string().contains(scene.database.as_str()),
        "{refused}"
    );
    assert_eq!(scene.world().await, before);
    mariadb
        .drop_database(&scene.database)
        .await
        .expect("dropped");
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn an_operators_profile_whose_vhost_is_broken_harms_no_other_site() {
    let other = Scene::new("other");
    other.carry_out(&other.install("static")).await;
    let vhost = "server {\n    listen {{ listen[0] }};\n    server_name {{ host }};\n    rot;\n}\n";
    let scene = Scene::with_profile("broken", vhost);
    let before = scene.world().await;
    let plan = plan(&scene.install("own"), &scene.cx)
        .await
        .expect("a plan");
    let mut begun = Vec::new();
    let mut failed = None;
    for step in &plan.steps {
        let record = step.inspect(&scene.cx).await.expect("nothing to refuse");
        begun.push((step.name(), record));
        if let Err(error) = step.apply(&scene.cx, &begun[begun.len() - 1].1).await {
            failed = Some((step.name(), format!("{error:#}")));
            break;
        }
    }
    let (step, error) = failed.expect("nginx does not take it");
    assert_eq!(step, "publish_vhost");
    assert!(
        error.contains(&scene.host) && error.contains("line 5") && error.contains("rot"),
        "{error}"
    );
    other
        .answers("made by Kolga")
        .await
        .expect("it goes on answering");
    scene.undo(&begun).await;
    assert_eq!(scene.world().await, before);
    other.carry_out(&other.delete()).await;
}
