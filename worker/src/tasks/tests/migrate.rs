//! `site.migrate` against the real services: newer code with its tables, another name with its addresses, every step
//! undone, and what is refused before anything is touched.

use kolga_protocol::task::site_migrate;
use sqlx::{AssertSqlSafe, ConnectOptions as _, MySqlConnection};

use super::*;
use crate::registry::SiteEntry;

/// A spoke that builds platforms from its own scratch folder too.
pub(super) fn scene(name: &str) -> Scene {
    let scratch = Scratch::new();
    let mut config = stack_config();
    config.profiles.directories = vec![scratch.path().join("profiles")];
    std::fs::create_dir(&config.profiles.directories[0]).expect("a folder");
    config
        .sites
        .platform_sources
        .push(scratch.path().to_owned());
    Scene::on(name, scratch, config)
}

impl Scene {
    /// What comes is another task than what was.
    pub(super) fn next_task(&mut self) {
        let task = kolga_protocol::id::TaskId::generate();
        self.cx.run = kolga_protocol::id::Run::new(task, self.cx.run.attempt);
    }

    fn migrate(&self, params: Value) -> Params {
        let mut all = json!({"site": self.host});
        for (key, value) in params.as_object().expect("an object") {
            all[key] = value.clone();
        }
        Self::params("site.migrate", all)
    }

    /// WordPress as it is, but for the version of its tables.
    pub(super) async fn build_next(&self) {
        let source = self.scratch.path().join("next");
        // Links lead to where other packages have libraries.
        let copied = std::process::Command::new("/bin/cp")
            .args(["-rL", "/usr/share/wordpress"])
            .arg(&source)
            .status();
        assert!(copied.expect("cp runs").success());
        let file = source.join("wp-includes/version.php");
        let text = std::fs::read_to_string(&file).expect("it has one");
        let text = text.replace("$wp_db_version = ", "$wp_db_version = 9");
        std::fs::write(&file, text).expect("written");
        let params = json!({"platform": "next", "profile": "wordpress", "source": source});
        self.carry_out(&Self::params("platform.build", params))
            .await;
        std::fs::remove_dir_all(source).expect("gone");
    }

    pub(super) fn entry_of(&self, host: &str) -> SiteEntry {
        let host = host.parse().expect("a host");
        let entry = self.cx.spoke.registry.sites.load(&host).expect("read");
        entry.expect("there")
    }

    /// A connection as the site has one.
    pub(super) async fn as_site(&self, host: &str) -> MySqlConnection {
        let name = self.entry_of(host).database.expect("it has one");
        let secrets = self.cx.spoke.secrets.load(&host.parse().expect("a host"));
        let secrets = secrets.expect("read").expect("there");
        let password = secrets.database_password.expect("it has one");
        let mariadb = self.cx.spoke.need_mariadb().expect("there is one");
        mariadb
            .server()
            .options()
            .username(name.as_str())
            .password(password.expose())
            .database(name.as_str())
            .connect()
            .await
            .expect("it is let in")
    }

    pub(super) async fn ask(&self, host: &str, query: &str) -> String {
        let mut site = self.as_site(host).await;
        let asked = sqlx::query_scalar(AssertSqlSafe(query.to_owned()));
        asked.fetch_one(&mut site).await.expect("an answer")
    }

    async fn refused(&self, params: Value) -> String {
        let plan = plan(&self.migrate(params), &self.cx).await;
        let refused = plan.map(drop).expect_err("refused");
        format!("{refused:#}")
    }

    /// Undoes after any number of steps, and looks whether all is as before.
    async fn comes_back(&self, params: &Params) {
        for number in 1..=self.steps_of(params).await {
            let before = (self.world().await, self.entry_of(&self.host));
            let begun = self.first_steps_only(params, number).await;
            self.undo(&begun).await;
            let after = (self.world().await, self.entry_of(&self.host));
            assert_eq!(after, before, "{number} steps");
            self.answers("wp-site-blocks")
                .await
                .expect("it answers again");
        }
    }
}

fn output(output: Output) -> site_migrate::Output {
    match output {
        Output::SiteMigrate(output) => output,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_site_comes_to_newer_code_with_its_tables_and_everything_comes_back_before_that() {
    let mut scene = scene("newer");
    scene.carry_out(&scene.build()).await;
    scene.build_next().await;
    scene.carry_out(&scene.install("wordpress")).await;
    scene.next_task();
    let site = scene.scratch.path().join("sites").join(&scene.host);
    std::fs::write(site.join("content/uploads/photo"), "mine").expect("an upload");
    std::os::unix::fs::symlink("/etc/hostname", site.join("content/uploads/link")).expect("a link");
    let upload = std::fs::metadata(site.join("content/uploads/photo")).expect("there");
    let version = "SELECT option_value FROM wp_options WHERE option_name = 'db_version'";
    let before = scene.ask(&scene.host, version).await;
    let there = scene.migrate(json!({"platform": "next"}));
    scene.comes_back(&there).await;
    assert_eq!(scene.ask(&scene.host, version).await, before);

    let told = output(scene.carry_out(&there).await);
    assert_eq!(told.platform.as_ref().map(AsRef::as_ref), Some("next"));
    assert!(told.database_bytes.is_some_and(|bytes| bytes > 10_000));
    let entry = scene.entry_of(&scene.host);
    assert_eq!(entry.platform.as_ref().map(AsRef::as_ref), Some("next"));
    assert_eq!(
        (&entry.database, told.database.is_some()),
        (&told.database, true)
    );
    assert_eq!(
        scene.ask(&scene.host, version).await,
        format!("9{before}"),
        "the update has run"
    );
    scene.answers("wp-site-blocks").await.expect("a page");
    let mariadb = scene.cx.spoke.need_mariadb().expect("there is one");
    assert!(
        !mariadb.has_database(&scene.database).await.expect("asked"),
        "the old one is gone"
    );
    assert!(
        !mariadb.has_user(&scene.database).await.expect("asked"),
        "and its user"
    );
    // The very file, and the link as a link.
    use std::os::unix::fs::MetadataExt as _;
    let now = std::fs::metadata(site.join("content/uploads/photo")).expect("there");
    assert_eq!(
        (now.ino(), now.mtime_nsec()),
        (upload.ino(), upload.mtime_nsec())
    );
    assert!(std::fs::read_link(site.join("content/uploads/link")).is_ok());
    let theme = std::fs::read_link(site.join("content/themes/twentytwentythree")).expect("a link");
    assert!(
        theme.starts_with(scene.scratch.path().join("platforms/next")),
        "{theme:?}"
    );
    let verify = Scene::params("site.verify", json!({"site": scene.host}));
    match scene.carry_out(&verify).await {
        Output::SiteVerify(found) => assert_eq!((found.changes, found.problems), (vec![], vec![])),
        other => panic!("{other:?}"),
    }
    assert!(
        std::fs::read_dir(scene.scratch.path().join("state"))
            .expect("there")
            .flatten()
            .all(|entry| !entry.file_name().to_string_lossy().starts_with(".backup-"))
    );
    scene.carry_out(&scene.delete()).await;
    let left = mariadb.has_database(&entry.database.expect("one")).await;
    assert!(
        !left.expect("asked"),
        "a site that has moved is deleted with its database"
    );
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_site_gets_another_name_with_its_addresses_and_everything_comes_back_before_that() {
    let mut scene = scene("old");
    scene.carry_out(&scene.build()).await;
    scene.carry_out(&scene.install("wordpress")).await;
    scene.next_task();
    let new = format!("new-{}", scene.host);
    let (old_url, new_url) = (layout_url(&scene, &scene.host), layout_url(&scene, &new));
    let (authority, longer) = (
        old_url.trim_start_matches("http://"),
        format!("{old_url}x.org/"),
    );
    let texts = [
        (
            format!("<img src=\"{old_url}/wp-content/uploads/a.png\">"),
            true,
        ),
        (format!("{{\"url\":\"https:\\/\\/{authority}\\/x\"}}"), true),
        (
            format!(
                "a:1:{{s:3:\"url\";s:{}:\"{old_url}/\";}}",
                old_url.len() + 1
            ),
            true,
        ),
        (
            format!(
                "O:8:\"stdClass\":1:{{s:1:\"u\";s:{}:\"{old_url}\";}}",
                old_url.len()
            ),
            true,
        ),
        (longer, false),
        (format!("mail to admin@{}", scene.host), false),
    ];
    let mut site = scene.as_site(&scene.host).await;
    for (number, (text, _)) in texts.iter().enumerate() {
        let insert =
            "INSERT INTO wp_options (option_name, option_value, autoload) VALUES (?, ?, 'no')";
        let put = sqlx::query(insert).bind(format!("k{number}")).bind(text);
        put.execute(&mut site).await.expect("put");
    }
    drop(site);
    let there = scene.migrate(json!({"host": new, "keep_name": true}));
    scene.comes_back(&there).await;

    let told = output(scene.carry_out(&there).await);
    assert_eq!(told.url, format!("{new_url}/"));
    let entry = scene.entry_of(&new);
    assert_eq!(entry.host.as_str(), new);
    let sites = &scene.cx.spoke.registry.sites;
    assert_eq!(
        sites.list().expect("read").len(),
        1,
        "and none of the old name"
    );
    assert!(
        !scene
            .scratch
            .path()
            .join("sites")
            .join(&scene.host)
            .exists()
    );
    for (number, (text, changes)) in texts.iter().enumerate() {
        let asked = format!("SELECT option_value FROM wp_options WHERE option_name = 'k{number}'");
        let found = scene.ask(&new, &asked).await;
        let wanted = match changes {
            true => text
                .replace(authority, new_url.trim_start_matches("http://"))
                .replace(
                    &format!("s:{}:", old_url.len()),
                    &format!("s:{}:", new_url.len()),
                )
                .replace(
                    &format!("s:{}:", old_url.len() + 1),
                    &format!("s:{}:", new_url.len() + 1),
                ),
            false => text.clone(),
        };
        assert_eq!(found, wanted);
    }
    let home = scene
        .ask(
            &new,
            "SELECT option_value FROM wp_options WHERE option_name = 'home'",
        )
        .await;
    assert_eq!(home, new_url);
    // Both names lead to the site.
    let answers = |answer: &crate::services::nginx::Answer| {
        let leads = answer.location.as_deref() == Some(&format!("{new_url}/"));
        anyhow::ensure!(
            leads || answer.body.contains("wp-site-blocks"),
            "{}",
            answer.status
        );
        Ok(())
    };
    for host in [&new, &scene.host] {
        let host = host.parse().expect("a host");
        let nginx = &scene.cx.spoke.nginx;
        nginx
            .check_site(&scene.cx, &host, "/", answers)
            .await
            .expect("it answers");
    }
    let delete = Scene::params("site.delete", json!({"site": new, "no_backup": true}));
    scene.carry_out(&delete).await;
}

fn layout_url(scene: &Scene, host: &str) -> String {
    crate::layout::url(&scene.cx.spoke.config, &host.parse().expect("a host"))
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn where_there_is_a_trash_the_old_database_lies_in_it_and_nobody_gets_in() {
    let scratch = Scratch::new();
    let mut config = stack_config();
    config.trash.keep_days = 14;
    let mut scene = Scene::on("kept", scratch, config);
    scene.carry_out(&scene.install("php")).await;
    scene.next_task();
    let new = format!("new-{}", scene.host);
    scene.carry_out(&scene.migrate(json!({"host": new}))).await;
    let items = scene.cx.spoke.trash.list().expect("read");
    assert_eq!(items.len(), 1);
    let entry = &items[0].entry;
    assert_eq!(
        (entry.database.as_ref(), items[0].folder),
        (Some(&scene.database), false)
    );
    let mariadb = scene.cx.spoke.need_mariadb().expect("there is one").clone();
    assert!(mariadb.has_database(&scene.database).await.expect("asked"));
    assert!(mariadb.is_locked(&scene.database).await.expect("asked"));
    let restore =
        json!({"item": items[0].run.task, "site": {"site": scene.host, "profile": "php"}});
    let restore = Scene::params("trash.restore", restore);
    let refused = plan(&restore, &scene.cx).await.map(drop);
    assert!(refused.is_err(), "there is no folder to it");
    let empty = json!({"item": items[0].run.task});
    scene.carry_out(&Scene::params("trash.empty", empty)).await;
    assert!(!mariadb.has_database(&scene.database).await.expect("asked"));
    assert!(!mariadb.has_user(&scene.database).await.expect("asked"));
    let now = scene.entry_of(&new).database.expect("it has one");
    assert!(
        mariadb.has_database(&now).await.expect("asked"),
        "the new one stays"
    );
    scene.next_task();
    scene
        .carry_out(&Scene::params(
            "site.delete",
            json!({"site": new, "no_backup": true}),
        ))
        .await;
    let item = json!({"item": scene.cx.run.task});
    scene.carry_out(&Scene::params("trash.empty", item)).await;
    assert!(!mariadb.has_database(&now).await.expect("asked"));
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_cannot_be_is_refused_before_anything_is_touched() {
    let scene = scene("refused");
    scene.carry_out(&scene.build()).await;
    scene.carry_out(&scene.install("wordpress")).await;
    let platforms = &scene.cx.spoke.registry.platforms;
    let mut entry = platforms.list().expect("read").remove(0);
    for (name, version, profile) in [("old", "5.9.1", "wordpress"), ("wiki", "1.39", "mediawiki")] {
        entry.name = name.parse().expect("a name");
        entry.version = Some(version.to_owned());
        entry.profile = profile.parse().expect("a name");
        platforms.save(&entry).expect("saved");
    }
    let before = scene.world().await;
    for (params, why) in [
        (json!({}), "nothing to do"),
        (json!({"platform": "wp"}), "nothing to do"),
        (json!({"platform": "nowhere"}), "no platform nowhere"),
        (json!({"platform": "old"}), "which is older than"),
        (
            json!({"platform": "wiki"}),
            "for sites of profile mediawiki",
        ),
    ] {
        let told = scene.refused(params.clone()).await;
        assert!(told.contains(why), "{params}: {told}");
    }
    let new = format!("new-{}", scene.host);
    let vhost = scene
        .cx
        .spoke
        .nginx
        .vhost_path(&new.parse().expect("a host"));
    std::fs::write(&vhost, "# mine\n").expect("planted");
    let told = scene.refused(json!({"host": new})).await;
    assert!(told.contains(&vhost.display().to_string()), "{told}");
    std::fs::remove_file(&vhost).expect("there");
    let folder = scene.scratch.path().join("sites").join(&new);
    std::fs::create_dir(&folder).expect("planted");
    let told = scene.refused(json!({"host": new})).await;
    assert!(told.contains(&folder.display().to_string()), "{told}");
    std::fs::remove_dir(&folder).expect("there");
    assert_eq!(scene.world().await, before);
    scene.answers("wp-site-blocks").await.expect("a page");
    scene.carry_out(&scene.delete()).await;
}
