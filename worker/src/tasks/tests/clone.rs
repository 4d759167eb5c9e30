//! `site.clone` against the real services: a WordPress and a wiki with an administrator's password of their own, newer code
//! with its tables, an address without HTTPS, every step undone, and what is refused before anything is touched.

use kolga_protocol::task::site_clone;

use super::*;
use crate::registry::SiteEntry;

impl Scene {
    fn copy_host(&self) -> String {
        format!("copy-{}", self.host)
    }

    fn clone_to(&self, to: &str, platform: Option<&str>) -> Params {
        let params = json!({"site": self.host, "to": to, "platform": platform});
        Self::params("site.clone", params)
    }

    /// Whatever a copy could leave in the database server.
    async fn copys_database(&self) -> (bool, bool) {
        let name = DatabaseName::for_site(&self.copy_host().parse().expect("a host"));
        let mariadb = self.cx.spoke.need_mariadb().expect("there is one");
        (
            mariadb.has_database(&name).await.expect("asked"),
            mariadb.has_user(&name).await.expect("asked"),
        )
    }

    /// Undoes after any number of steps, and looks whether all is as before.
    async fn copies_go(&self, params: &Params) {
        let entry = |host: &str| -> Option<SiteEntry> {
            let sites = &self.cx.spoke.registry.sites;
            sites.load(&host.parse().expect("a host")).expect("read")
        };
        for number in 1..=self.steps_of(params).await {
            let before = (self.world().await, entry(&self.host));
            let begun = self.first_steps_only(params, number).await;
            self.undo(&begun).await;
            let after = (self.world().await, entry(&self.host));
            assert_eq!(after, before, "{number} steps");
            assert_eq!(
                self.copys_database().await,
                (false, false),
                "{number} steps"
            );
        }
    }

    fn secret(&self, host: &str, name: &str) -> String {
        let kept = self.cx.spoke.secrets.load(&host.parse().expect("a host"));
        let kept = kept.expect("read").expect("there");
        let name = name.parse().expect("a name");
        kept.values
            .get(&name)
            .expect("it has one")
            .expose()
            .to_owned()
    }

    async fn refused_copy(&self, params: &Params) -> String {
        let refused = plan(params, &self.cx).await.map(drop).expect_err("refused");
        format!("{refused:#}")
    }
}

fn output(output: Output) -> site_clone::Output {
    match output {
        Output::SiteClone(output) => output,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_copy_on_newer_code_has_its_tables_and_its_own_address_and_nothing_of_it_is_left_before_that()
 {
    let mut scene = migrate::scene("original");
    scene.carry_out(&scene.build()).await;
    scene.build_next().await;
    scene.carry_out(&scene.install("wordpress")).await;
    scene.next_task();
    let copy = scene.copy_host();
    // As if it answered over HTTPS alone, where the copy has none.
    let texts = [
        format!("https://{}/a", scene.host),
        format!("{{\"u\":\"https:\\/\\/{}\\/a\"}}", scene.host),
        format!("//{}/a", scene.host),
    ];
    let version = "SELECT option_value FROM wp_options WHERE option_name = 'db_version'";
    let before = scene.ask(&scene.host, version).await;
    let there = scene.clone_to(&copy, Some("next"));
    scene.copies_go(&there).await;

    let told = output(scene.carry_out(&there).await);
    assert_eq!(told.platform.as_ref().map(AsRef::as_ref), Some("next"));
    assert_eq!(told.admin_user.as_deref(), Some("admin"));
    assert_eq!(scene.ask(&copy, version).await, format!("9{before}"));
    assert_eq!(scene.ask(&scene.host, version).await, before);
    let home = "SELECT option_value FROM wp_options WHERE option_name = 'home'";
    assert_eq!(format!("{}/", scene.ask(&copy, home).await), told.url);
    let theme = scene.scratch.path().join("sites").join(&copy);
    let theme = std::fs::read_link(theme.join("content/themes/twentytwentythree"));
    let theme = theme.expect("a link");
    assert!(
        theme.starts_with(scene.scratch.path().join("platforms/next")),
        "{theme:?}"
    );
    let older = Scene::params(
        "site.clone",
        json!({"site": copy, "to": "older.example.org", "platform": "wp"}),
    );
    // The version of the code is the same, and only the tables' is another.
    plan(&older, &scene.cx).await.map(drop).expect("a plan");
    assert!(
        std::fs::read_dir(scene.scratch.path().join("state"))
            .expect("there")
            .flatten()
            .all(|entry| !entry.file_name().to_string_lossy().starts_with(".backup-"))
    );
    let log = format!("{:?}", scene.log.lines());
    let secret = scene.secret(&copy, "admin_password");
    assert!(!log.contains(&secret), "the log holds a secret");
    assert!(log.contains("has a password of its own"), "{log}");

    relocates(&scene, &copy, &texts).await;
    let delete = Scene::params("site.delete", json!({"site": copy, "no_backup": true}));
    scene.carry_out(&delete).await;
    scene.answers("wp-site-blocks").await.expect("a page");
    scene.carry_out(&scene.delete()).await;
}

/// The profile's own script, told that the site had HTTPS and the copy has none.
async fn relocates(scene: &Scene, copy: &str, texts: &[String]) {
    use crate::script::{self, Former};
    let mut site = scene.as_site(copy).await;
    for (number, text) in texts.iter().enumerate() {
        let insert =
            "INSERT INTO wp_options (option_name, option_value, autoload) VALUES (?, ?, 'no')";
        let put = sqlx::query(insert).bind(format!("k{number}")).bind(text);
        put.execute(&mut site).await.expect("put");
    }
    let entry = scene.entry_of(copy);
    let site = crate::site::Site::installed(&entry, &scene.cx.spoke).expect("a site");
    let former = Former {
        host: scene.host.parse().expect("a host"),
        url: format!("https://{}", scene.host),
        site: site.folder.clone(),
    };
    let script = site.profile.manifest.relocate.clone().expect("it has one");
    script::run_from(&scene.cx, &site, &script, ".upgrade.php", Some(&former))
        .await
        .expect("it runs");
    let new = site.url.trim_start_matches("http:");
    for (number, wanted) in [
        format!("http:{new}/a"),
        format!("{{\"u\":\"http:{}\\/a\"}}", new.replace('/', "\\/")),
        format!("{new}/a"),
    ]
    .iter()
    .enumerate()
    {
        let asked = format!("SELECT option_value FROM wp_options WHERE option_name = 'k{number}'");
        assert_eq!(&scene.ask(copy, &asked).await, wanted);
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_copy_of_a_wiki_has_a_password_of_its_own_and_nobody_is_logged_in_at_it() {
    let mut scene = Scene::new("wiki");
    let build = json!({"platform": "mw", "profile": "mediawiki", "source": "/usr/share/mediawiki"});
    scene
        .carry_out(&Scene::params("platform.build", build))
        .await;
    let install = json!({"site": scene.host, "profile": "mediawiki", "platform": "mw"});
    scene
        .carry_out(&Scene::params("site.install", install))
        .await;
    scene.next_task();
    let copy = scene.copy_host();
    let mut site = scene.as_site(&scene.host).await;
    for statement in [
        "UPDATE user SET user_newpassword = 'x', user_email_token = 'y'",
        "INSERT INTO bot_passwords (bp_user, bp_app_id, bp_password, bp_token, bp_restrictions, bp_grants)
         VALUES (1, 'bot', 'x', 'y', '{}', '[]')",
        "REPLACE INTO objectcache (keyname, value, exptime) VALUES ('session', 'x', '20991231235959')",
    ] {
        let done = sqlx::query(statement).execute(&mut site).await;
        done.expect(statement);
    }
    let there = scene.clone_to(&copy, None);
    let told = output(scene.carry_out(&there).await);
    assert_eq!(told.admin_user.as_deref(), Some("Admin"));

    let all = "SELECT CONVERT(CONCAT_WS(' ', (SELECT GROUP_CONCAT(user_newpassword, COALESCE(user_email_token, '')) FROM user
                WHERE user_newpassword <> '' OR user_email_token IS NOT NULL),
                (SELECT COUNT(*) FROM bot_passwords), (SELECT COUNT(*) FROM objectcache WHERE keyname = 'session')) USING utf8mb4)";
    assert_eq!(scene.ask(&copy, all).await, "0 0");
    assert_eq!(scene.ask(&scene.host, all).await.split(' ').count(), 3);
    let tokens = "SELECT CONVERT(GROUP_CONCAT(user_token) USING utf8mb4) FROM user";
    let (here, was) = (
        scene.ask(&copy, tokens).await,
        scene.ask(&scene.host, tokens).await,
    );
    assert_ne!(here, was);
    for token in here.split(',') {
        assert_eq!(token.len(), 32, "{here}");
    }
    let unique: BTreeSet<&str> = here.split(',').collect();
    assert_eq!(unique.len(), here.split(',').count(), "{here}");
    // What MediaWiki keeps of a password: its sort, the digest, rounds, length, salt, and the hash itself.
    let stored = "SELECT CONVERT(user_password USING utf8mb4) FROM user WHERE user_name = 'Admin'";
    for (host, password, fits) in [
        (&copy, scene.secret(&copy, "admin_password"), true),
        (
            &scene.host,
            scene.secret(&scene.host, "admin_password"),
            true,
        ),
        (&copy, scene.secret(&scene.host, "admin_password"), false),
    ] {
        let hash = scene.ask(host, stored).await;
        assert_eq!(is_password(&hash, &password), fits, "{host}");
    }
    let delete = Scene::params("site.delete", json!({"site": copy, "no_backup": true}));
    scene.carry_out(&delete).await;
    scene.carry_out(&scene.delete()).await;
}

/// Asks PHP, in MediaWiki's way.
fn is_password(stored: &str, password: &str) -> bool {
    let script = "[, $type, $algo, $rounds, $length, $salt, $hash] = explode(':', $argv[1]);
        exit($type === 'pbkdf2' && hash_equals($hash, base64_encode(hash_pbkdf2($algo, $argv[2],
            base64_decode($salt), (int) $rounds, (int) $length, true))) ? 0 : 1);";
    let php = std::process::Command::new("/usr/bin/php")
        .args(["-r", script, "--", stored, password])
        .status();
    php.expect("PHP runs").success()
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_cannot_be_copied_is_refused_and_named_and_a_profile_has_to_say_how() {
    let scene = Scene::new("refused");
    scene.carry_out(&scene.install("php")).await;
    let copy = scene.copy_host();
    let host: kolga_protocol::names::HostName = copy.parse().expect("a host");
    let before = scene.world().await;
    let wish = scene.clone_to(&copy, None);
    let told = scene.refused_copy(&scene.clone_to(&scene.host, None)).await;
    assert!(told.contains("already"), "{told}");
    let told = scene.refused_copy(&scene.clone_to(&copy, Some("wp"))).await;
    assert!(told.contains("no platform"), "{told}");

    let vhost = scene.cx.spoke.nginx.vhost_path(&host);
    let folder = scene.scratch.path().join("sites").join(&copy);
    let secrets = scene.cx.spoke.secrets.path(&host);
    let database = DatabaseName::for_site(&host);
    let mariadb = scene.cx.spoke.need_mariadb().expect("there is one");
    std::fs::write(&vhost, "# mine\n").expect("planted");
    std::fs::create_dir(&folder).expect("planted");
    std::fs::write(&secrets, "{}").expect("planted");
    mariadb
        .create_database(&database, "somebody else")
        .await
        .expect("planted");
    let told = scene.refused_copy(&wish).await;
    for path in [&vhost, &folder, &secrets] {
        assert!(told.contains(&path.display().to_string()), "{told}");
    }
    assert!(told.contains(database.as_str()), "{told}");
    assert_eq!(std::fs::read_to_string(&vhost).expect("there"), "# mine\n");
    mariadb.drop_database(&database).await.expect("it is there");
    std::fs::remove_file(&secrets).expect("it is there");
    std::fs::remove_dir(&folder).expect("it is there");
    std::fs::remove_file(&vhost).expect("it is there");

    // Another's under the site's own names.
    let mark = scene.scratch.path().join("sites").join(&scene.host);
    let mark = mark.join(".kolga-owner");
    let owner = std::fs::read(&mark).expect("it has one");
    std::fs::remove_file(&mark).expect("it is there");
    std::fs::write(&mark, "somebody else").expect("planted");
    let told = scene.refused_copy(&wish).await;
    assert!(told.contains("not the folder"), "{told}");
    std::fs::write(&mark, owner).expect("as it was");
    plan(&wish, &scene.cx).await.map(drop).expect("a plan");
    assert_eq!(scene.world().await, before);
    scene.carry_out(&scene.delete()).await;
}
