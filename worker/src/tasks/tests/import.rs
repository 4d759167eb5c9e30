//! Sites made of what Kolga has not made: a WordPress with a database of its own, and plain files. The source is compared
//! before and after, byte by byte and row by row, also where the task is undone after any of its steps.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;

use kolga_protocol::task::site_import::Output as Imported;

use super::*;

/// Nothing that a shell, PHP, SQL or an option file would take as it is.
const PASSWORD: &str = "s3cr3t'\"\\ #;$x`%&<";
const OLD: &str = "http://old.example.org/blog";

/// A folder of the operator's, and a database besides where it has one.
struct Foreign {
    folder: PathBuf,
    database: Option<String>,
    socket: PathBuf,
}

impl Foreign {
    fn new(scene: &mut Scene, name: &str) -> Self {
        let place = scene.scratch.path().join("www");
        let folder = place.join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut config = scene.cx.spoke.config.clone();
        config.sites.import_from = vec![place];
        let (cx, log) = context(config);
        (scene.cx, scene.log) = (cx, log);
        let mariadb = scene.cx.spoke.config.mariadb.as_ref();
        let socket = mariadb.and_then(|mariadb| mariadb.socket.clone());
        Self {
            folder,
            database: None,
            socket: socket.expect("it is on this machine"),
        }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }

    /// As root, over the socket.
    fn sql(&self, statement: &str) -> String {
        let said = Command::new("/usr/bin/mariadb")
            .args([
                "--no-defaults",
                "--user=root",
                "--batch",
                "--skip-column-names",
            ])
            .arg(format!("--socket={}", self.socket.display()))
            .arg("-e")
            .arg(statement)
            .output()
            .expect("it runs");
        assert!(said.status.success(), "{statement}: {said:?}");
        String::from_utf8(said.stdout).expect("text")
    }

    /// All that is in the folder, and all that is in the database.
    fn all(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut waiting = vec![self.folder.clone()];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(folder).expect("there").flatten() {
                let path = entry.path();
                let found = std::fs::symlink_metadata(&path).expect("there");
                let what = if found.is_symlink() {
                    format!("{:?}", std::fs::read_link(&path).expect("a link"))
                } else if found.is_file() {
                    format!("{:?}", std::fs::read(&path).expect("a file"))
                } else {
                    String::new()
                };
                if found.is_dir() {
                    waiting.push(path.clone());
                }
                let changed = found.modified().expect("a time");
                let mode = found.permissions().mode();
                all.insert(
                    path.display().to_string(),
                    format!("{mode:o} {changed:?} {what}"),
                );
            }
        }
        if let Some(name) = &self.database {
            let said = Command::new("/usr/bin/mariadb-dump")
                .args([
                    "--no-defaults",
                    "--user=root",
                    "--skip-dump-date",
                    "--routines",
                ])
                .args(["--triggers", "--events", "--hex-blob"])
                .arg(format!("--socket={}", self.socket.display()))
                .arg(name)
                .output()
                .expect("it runs");
            assert!(said.status.success(), "{said:?}");
            all.insert(
                "rows".to_owned(),
                String::from_utf8_lossy(&said.stdout).into_owned(),
            );
        }
        all
    }

    fn import(&self, scene: &Scene, more: Value) -> Params {
        let mut params = json!({"site": scene.host, "from": self.folder});
        let fields = more.as_object().expect("fields").clone();
        params.as_object_mut().expect("fields").extend(fields);
        Scene::params("site.import", params)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Some(name) = &self.database {
            self.sql(&format!(
                "DROP DATABASE IF EXISTS {name}; DROP USER IF EXISTS {name}@localhost"
            ));
        }
    }
}

/// A WordPress with a theme, a plugin's folder and an upload of its own, and a database with one table.
async fn wordpress(scene: &mut Scene) -> Foreign {
    let mut foreign = Foreign::new(scene, "blog");
    scene.carry_out(&scene.build()).await;
    let (name, _) = scene.host.split_once('.').expect("labels");
    let name = format!("stranger_{}", name.replace('-', "_"));
    let quoted = PASSWORD.replace('\\', "\\\\").replace('\'', "\\'");
    foreign.sql(&format!(
        "DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name};
         CREATE OR REPLACE USER {name}@localhost IDENTIFIED BY '{quoted}';
         GRANT ALL ON {name}.* TO {name}@localhost;
         CREATE TABLE {name}.blog_options (option_name VARCHAR(191), option_value TEXT);
         INSERT INTO {name}.blog_options VALUES ('home', '{OLD}')"
    ));
    foreign.database = Some(name.clone());
    for file in [
        "index.php",
        "wp-load.php",
        "wp-settings.php",
        "wp-admin/includes/upgrade.php",
        "wp-includes/version.php",
    ] {
        let text = std::fs::read_to_string(PathBuf::from("/usr/share/wordpress").join(file));
        foreign.write(file, &text.expect("Debian's WordPress"));
    }
    let quoted = PASSWORD.replace('\\', "\\\\").replace('\'', "\\'");
    foreign.write(
        "wp-config.php",
        &format!(
            "<?php\n/** define('DB_NAME', 'wrong'); */\ndefine( 'DB_NAME', '{name}' );\ndefine('DB_USER', \"{name}\");\n\
             define('DB_PASSWORD', '{quoted}');\ndefine('DB_HOST', 'localhost');\n$table_prefix = 'blog_';\n\
             define('WP_DEBUG', false);\nrequire_once ABSPATH . 'wp-settings.php';\n"
        ),
    );
    foreign.write(
        "wp-content/themes/mine/style.css",
        "/*\nTheme Name: Mine\nVersion: 1\n*/\n",
    );
    foreign.write(
        "wp-content/themes/mine/index.php",
        "<?php echo 'my own theme';\n",
    );
    foreign.write(
        "wp-content/plugins/quiet/quiet.php",
        "<?php\n/* Plugin Name: Quiet */\n",
    );
    foreign.write("wp-content/uploads/2024/photo.txt", "a photo");
    foreign.write("wp-content/cache/page.html", "left out");
    symlink(
        "photo.txt",
        foreign.folder.join("wp-content/uploads/2024/same.txt"),
    )
    .expect("a link");
    foreign
}

/// Its database as its own installer leaves it.
async fn fill(scene: &Scene, foreign: &Foreign) {
    scene.carry_out(&scene.install("wordpress")).await;
    let name = foreign.database.as_deref().expect("it has one");
    let from = &scene.database;
    foreign.sql(&format!("DROP TABLE {name}.blog_options"));
    let tables = foreign.sql(&format!("SHOW TABLES FROM {from}"));
    let copies = tables.lines().map(|table| {
        let own = table.replacen("wp_", "blog_", 1);
        format!("CREATE TABLE {name}.{own} LIKE {from}.{table}; INSERT INTO {name}.{own} SELECT * FROM {from}.{table}")
    });
    foreign.sql(&copies.collect::<Vec<_>>().join("; "));
    foreign.sql(&format!(
        "USE {name};
         UPDATE blog_options SET option_value = '{OLD}' WHERE option_name IN ('home', 'siteurl');
         UPDATE blog_options SET option_value = 'mine' WHERE option_name IN ('template', 'stylesheet');
         UPDATE blog_options SET option_name = 'blog_user_roles' WHERE option_name = 'wp_user_roles';
         UPDATE blog_usermeta SET meta_key = REPLACE(meta_key, 'wp_', 'blog_') WHERE meta_key LIKE 'wp\\_%';
         UPDATE blog_posts SET post_content = CONCAT(post_content, '<p>see {OLD}/here</p>') WHERE ID = 1;
         CREATE TRIGGER counted BEFORE INSERT ON blog_links FOR EACH ROW SET NEW.link_rating = 1;
         CREATE TABLE notes (note TEXT); INSERT INTO notes VALUES ('of another program')"
    ));
    scene.carry_out(&scene.delete()).await;
}

fn imported(output: Output) -> Imported {
    match output {
        Output::SiteImport(output) => output,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_wordpress_of_somebody_elses_becomes_a_site_and_stays_what_it_was() {
    let mut scene = Scene::new("foreign");
    let foreign = wordpress(&mut scene).await;
    fill(&scene, &foreign).await;
    let (source, before) = (foreign.all(), scene.world().await);
    let import = foreign.import(&scene, json!({"platform": "wp"}));

    let check = foreign.import(&scene, json!({"platform": "wp", "check": true}));
    assert_eq!(scene.steps_of(&check).await, 0, "it only looks");
    let checked = imported(scene.carry_out(&check).await);
    let will = checked.plan.join("\n");
    for part in [
        "copy the database stranger_",
        "change its address from http://old",
        "serve it at",
    ] {
        assert!(will.contains(part), "{part}: {will}");
    }
    assert!(will.contains("do not begin with \"blog_\""), "{will}");
    assert_eq!(scene.world().await, before);

    let steps = scene.steps_of(&import).await;
    assert!(steps > 10, "{steps}");
    for number in 1..=steps {
        let begun = scene.first_steps_only(&import, number).await;
        scene.undo(&begun).await;
        assert_eq!(scene.world().await, before, "{number} steps");
        assert_eq!(foreign.all(), source, "{number} steps");
    }
    println!("undone after each of {steps} steps");

    let made = imported(scene.carry_out(&import).await);
    assert_eq!(foreign.all(), source);
    assert!(made.enabled && !made.checked);
    let told = made.source.expect("it was made of something");
    assert_eq!((told.files, told.url.as_deref()), (5, Some(OLD)));
    let printed = format!("{:?}{:?}", scene.log.lines(), told);
    assert!(!printed.contains("s3cr3t"), "{printed}");
    scene.answers("my own theme").await.expect("it is served");
    let site = scene.cx.spoke.config.sites.root.join(&scene.host);
    let content = |path: &str| std::fs::read_to_string(site.join("content").join(path));
    assert_eq!(
        content("uploads/2024/same.txt").expect("a link to it"),
        "a photo"
    );
    assert!(content("cache/page.html").is_err());
    let linked = std::fs::read_dir(site.join("content/themes"))
        .expect("there")
        .flatten();
    let linked = linked.filter(|entry| entry.path().is_symlink()).count();
    assert!(linked > 0, "the platform's themes are there beside");
    // It is the site's own from here on: moved, verified, deleted.
    let url = foreign.sql(&format!(
        "SELECT post_content FROM {}.blog_posts WHERE ID = 1",
        scene.database
    ));
    assert!(
        url.contains(&format!("{}:", scene.host)) && !url.contains("old.example"),
        "{url}"
    );
    let book = scene.cx.spoke.registry.sites.list().expect("read");
    assert!(book[0].imported && book[0].database == Some(scene.database.clone()));
    let verify = Scene::params("site.verify", json!({"site": scene.host}));
    let Output::SiteVerify(verified) = scene.carry_out(&verify).await else {
        panic!("the result of another kind of task");
    };
    assert!(verified.changes.is_empty(), "{:?}", verified.changes);
    scene.carry_out(&scene.delete()).await;
    assert_eq!(scene.world().await, before);
    assert_eq!(foreign.all(), source);
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn all_that_keeps_a_wordpress_from_being_a_site_is_told_at_once() {
    let mut scene = Scene::new("unfit");
    let foreign = wordpress(&mut scene).await;
    foreign.write("wp-includes/version.php", "<?php\n$wp_version = '99.1';\n");
    foreign.write(
        "wp-config.php",
        "<?php define('DB_NAME', getenv('DB')); define('DB_USER', 'x'); define('DB_PASSWORD', 's3cr3t');\n\
         define('DB_HOST', 'db.example.org'); $table_prefix = 'blog_'; define('MULTISITE', true);",
    );
    symlink("/etc", foreign.folder.join("wp-content/uploads/out")).expect("a link");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        foreign.folder.join("wp-content/pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .expect("a pipe");
    let (source, before) = (foreign.all(), scene.world().await);
    for check in [true, false] {
        let import = foreign.import(&scene, json!({"platform": "wp", "check": check}));
        let said = plan(&import, &scene.cx).await.err().expect("refused");
        let said = format!("{said:#}");
        for part in [
            "older than 99.1",
            "no plain text for DB_NAME",
            "sets MULTISITE",
            "uploads/out is a link that leads out of it",
            "pipe is neither a file",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    let name = foreign.database.clone().expect("it has one");
    let host = |host: &str, password: &str| {
        let text = format!(
            "<?php define('DB_NAME', '{name}'); define('DB_USER', '{name}'); define('DB_PASSWORD', '{password}');\n\
             define('DB_HOST', '{host}'); $table_prefix = 'blog_';"
        );
        foreign.write("wp-config.php", &text);
    };
    for (at, password, wanted) in [
        ("db.example.org", "x", "is on \"db.example.org\""),
        ("localhost:/elsewhere.sock", "x", "is on"),
        ("localhost", "s3cr3t-wrong", "does not let its user"),
    ] {
        host(at, password);
        let import = foreign.import(&scene, json!({}));
        let said = plan(&import, &scene.cx).await.err().expect("refused");
        let said = format!("{said:#}");
        assert!(said.contains(wanted), "{wanted}: {said}");
        assert!(
            said.contains("it needs a platform of profile wordpress"),
            "{said}"
        );
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    assert_eq!(scene.world().await, before);
    let now = foreign.all();
    let rows = |all: &BTreeMap<String, String>| all["rows"].clone();
    assert_eq!(rows(&now), rows(&source));
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn plain_files_become_a_site_whose_pages_are_their_own_and_a_name_that_is_served_is_refused()
{
    let mut scene = Scene::new("plain");
    let foreign = Foreign::new(&mut scene, "old");
    foreign.write("index.html", "<h1>My page</h1>");
    foreign.write("deep/er/page.html", "deeper");
    let (source, before) = (foreign.all(), scene.world().await);

    // As long as nginx answers to it as to any name, it does not count as served.
    let host: kolga_protocol::names::HostName = scene.host.parse().expect("a host");
    let asked = crate::steps::check_served::CheckServed(host);
    let said = crate::step::Step::apply(&asked, &scene.cx, &()).await;
    let said = said.expect_err("nobody serves it").to_string();
    assert!(said.contains("as it does to any other name"), "{said}");

    // Somebody else's file has the name, and stays.
    let spoke = &scene.cx.spoke;
    let theirs = spoke
        .config
        .nginx
        .sites_dir
        .join(format!("0-{}.conf", scene.host));
    let listen = spoke.config.nginx.check_address;
    let text = format!(
        "server {{ listen {listen}; server_name {}; return 200 \"theirs\"; }}\n",
        scene.host
    );
    std::fs::write(&theirs, &text).expect("a file");
    spoke.nginx.reload(&scene.cx).await.expect("reloaded");
    scene.answers("theirs").await.expect("it is served");
    let import = foreign.import(&scene, json!({}));
    let said = plan(&import, &scene.cx).await.err().expect("refused");
    assert!(format!("{said:#}").contains("answers to"), "{said:#}");
    let disabled = foreign.import(&scene, json!({"disabled": true}));
    let made = imported(scene.carry_out(&disabled).await);
    assert!(!made.enabled);
    scene.answers("theirs").await.expect("it still is");
    std::fs::remove_file(&theirs).expect("taken away");
    scene
        .cx
        .spoke
        .nginx
        .reload(&scene.cx)
        .await
        .expect("reloaded");
    let enable = Scene::params("site.enable", json!({"site": scene.host}));
    scene.carry_out(&enable).await;
    scene.answers("My page").await.expect("it is served");
    scene.carry_out(&scene.delete()).await;
    assert_eq!(scene.world().await, before);

    for number in 1..=scene.steps_of(&import).await {
        let begun = scene.first_steps_only(&import, number).await;
        scene.undo(&begun).await;
        assert_eq!(scene.world().await, before, "{number} steps");
    }
    let made = imported(scene.carry_out(&import).await);
    assert_eq!(made.profile.as_str(), "static");
    scene.answers("My page").await.expect("it is served");
    let verify = Scene::params("site.verify", json!({"site": scene.host}));
    scene.carry_out(&verify).await;
    assert_eq!(foreign.all(), source);
    scene.carry_out(&scene.delete()).await;

    // A PHP application comes along with settings of its own, so it stays off.
    foreign.write("index.php", "<?php echo 'an application';");
    let made = imported(scene.carry_out(&import).await);
    assert_eq!((made.profile.as_str(), made.enabled), ("php", false));
    assert!(
        made.plan
            .iter()
            .any(|line| line.contains("leave it switched off"))
    );
    scene.carry_out(&enable).await;
    scene.answers("an application").await.expect("it is served");
    scene.carry_out(&scene.delete()).await;
    assert_eq!(scene.world().await, before);
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn nothing_is_imported_from_elsewhere_or_from_the_spokes_own_folders() {
    let mut scene = Scene::new("elsewhere");
    let foreign = Foreign::new(&mut scene, "old");
    foreign.write("index.html", "<h1>My page</h1>");
    let www = foreign.folder.parent().expect("above").to_owned();
    symlink("/etc", www.join("link")).expect("a link");
    symlink("old", www.join("also")).expect("a link");
    let mut config = scene.cx.spoke.config.clone();
    config
        .sites
        .import_from
        .push(config.sites.root.parent().expect("above").to_owned());
    let own = config.sites.root.clone();
    std::fs::create_dir(own.join("x")).expect("a folder");
    std::fs::write(own.join("x/index.html"), "x").expect("a file");
    let (cx, _) = context(config);
    for (from, wanted) in [
        (PathBuf::from("/etc"), "below none of the folders"),
        (www.clone(), "lie in each other"),
        (www.join("link"), "cannot open"),
        (www.join("also"), "cannot open"),
        (www.join("nothing"), "cannot open"),
        (own.join("x"), "lie in each other"),
    ] {
        let params = json!({"site": scene.host, "from": from});
        let import = Scene::params("site.import", params);
        let said = plan(&import, &cx).await.err().expect("refused");
        let said = format!("{said:#}");
        let fits = said.contains(wanted) || from == www && said.contains("is none of");
        assert!(fits, "{}: {said}", from.display());
    }
}
