//! What of the profile `drupal` can be tried without Drupal's code: how it knows a platform, and what its settings say to
//! PHP. Whether Drupal does with them what it should was tried by hand; docs/OPERATIONS.md says with which versions.

use std::path::Path;
use std::process::Command;

use kolga_protocol::names::{DatabaseName, Engine, HostName};
use serde_json::{Value, json};

use super::{Profile, template};
use crate::code;
use crate::cx::Stop;
use crate::files::Dir;
use crate::testing::Scratch;

fn profile() -> Profile {
    let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/drupal");
    super::read(&profiles).expect("it is right")
}

#[test]
fn a_platform_is_known_by_composers_layout_with_drush_and_told_with_what_is_installed_in_it() {
    let (scratch, profile) = (Scratch::new(), profile());
    let rules = profile.manifest.platform.as_ref().expect("it has some");
    let write = |path: &str, text: &str| {
        let path = scratch.path().join("code").join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    };
    for file in &rules.index {
        write(file.as_str(), "");
    }
    write(
        "web/core/lib/Drupal.php",
        "<?php\nclass Drupal {\n  const VERSION = '10.3.7';\n  const CORE_COMPATIBILITY = '8.x';\n",
    );
    let info = |kind: &str, version: &str| {
        format!("name: 'X'\ntype: {kind}\ncore_version_requirement: ^10\n{version}")
    };
    let told = "\n# As drupal.org packs it\nversion: '2.0.1'\nproject: 'shop'\n";
    write(
        "web/modules/contrib/shop/shop.info.yml",
        &info("module", told),
    );
    write("web/modules/custom/own/own.info.yml", &info("module", ""));
    write("web/themes/custom/look/look.info.yml", &info("theme", ""));
    write(
        "web/core/modules/node/node.info.yml",
        &info("module", "version: VERSION\n"),
    );

    let folder = Dir::open(&scratch.path().join("code")).expect("there");
    assert_eq!(code::missing(&folder, rules), Vec::<&str>::new());
    let version = code::version(&folder, rules).expect("read");
    assert_eq!(version.as_deref(), Some("10.3.7"));
    let found = code::parts::find(folder.path(), &rules.parts, &Stop::never()).expect("found");
    let found: Vec<_> = found
        .iter()
        .map(|part| {
            (
                part.kind.as_str(),
                part.name.as_str(),
                part.version.as_deref(),
            )
        })
        .collect();
    let wanted = [
        ("module", "own", None),
        ("module", "shop", Some("2.0.1")),
        ("theme", "look", None),
    ];
    assert_eq!(found, wanted);

    std::fs::remove_file(scratch.path().join("code/vendor/drush/drush/drush.php")).expect("there");
    assert_eq!(
        code::missing(&folder, rules),
        ["vendor/drush/drush/drush.php"]
    );
}

/// What PHP has of a site's settings, by way of the platform's file.
fn settings(scratch: &Scratch, engine: Engine, server: &Value) -> Value {
    let profile = profile();
    let (site, platform) = (scratch.path().join("site"), scratch.path().join("platform"));
    for folder in ["site/private", "site/docroot", "platform/web"] {
        std::fs::create_dir_all(scratch.path().join(folder)).expect("made");
    }
    let host: HostName = "www.example.org".parse().expect("a host");
    let plain = |path: &Path| template::PlainPath::new(path).expect("plain");
    let (socket, port) = match engine {
        Engine::Mariadb => (Some("/run/mysqld.sock".to_owned()), None),
        Engine::Postgresql => (None, Some(5432)),
    };
    let values = template::Settings {
        public: template::PublicFile {
            url: format!("https://{host}"),
            site: plain(&site),
            platform: Some(plain(&platform)),
            options: profile
                .complete_options(&host, &std::collections::BTreeMap::new())
                .expect("all have defaults"),
            host: host.clone(),
        },
        database: Some(template::Database {
            engine,
            socket,
            host: "127.0.0.1".to_owned(),
            port,
            server: String::new(),
            name: DatabaseName::for_site(&host),
            user: DatabaseName::for_site(&host),
            password: "it's \\a' password".to_owned(),
            ca_file: None,
        }),
        secrets: [("hash_salt".parse().expect("a name"), "salt".to_owned())].into(),
    };
    let text = template::settings(
        "settings.php",
        profile
            .text(&"settings.php".parse().expect("a place"))
            .expect("there"),
        &values,
    );
    std::fs::write(site.join("private/settings.php"), text.expect("rendered")).expect("written");
    let way = profile.file(&"platform/settings.php".parse().expect("a place"));
    let way_to_it = scratch.path().join("settings.php");
    std::fs::write(&way_to_it, way.expect("there")).expect("written");
    let script = "$_SERVER = json_decode($argv[1], true) + $_SERVER; $settings = $config = $databases = []; require $argv[2];
        echo json_encode(compact('settings', 'config', 'databases') + ['cwd' => getcwd(), 'names' => array_values(array_filter(
            ['www.example.org', 'xwww.example.org', 'www.example.org.evil', 'shop.example.net', 'a.b.example.net', 'example.net', 'wwwxexample.org'],
            fn ($name) => array_filter($settings['trusted_host_patterns'], fn ($pattern) => preg_match('{' . $pattern . '}i', $name))))]);";
    let php = Command::new("/usr/bin/php")
        .args(["-d", "display_errors=stderr", "-r", script, "--"])
        .arg(server.to_string())
        .arg(&way_to_it)
        .env_clear()
        .output()
        .expect("it runs");
    assert!(php.status.success() && php.stderr.is_empty(), "{php:?}");
    serde_json::from_slice(&php.stdout).expect("JSON")
}

#[test]
fn its_settings_name_the_account_the_sites_own_folders_and_the_hosts_that_nginx_let_through() {
    let scratch = Scratch::new();
    let private = scratch.path().join("site/private");
    let server = json!({
        "KOLGA_SETTINGS": private.join("settings.php"),
        "KOLGA_HOSTS": "www.example.org *.example.net",
    });
    let told = settings(&scratch, Engine::Mariadb, &server);
    let database = &told["databases"]["default"]["default"];
    assert_eq!(database["driver"], "mysql");
    assert_eq!(database["unix_socket"], "/run/mysqld.sock");
    assert_eq!(database["password"], "it's \\a' password");
    assert_eq!(told["cwd"], json!(scratch.path().join("site/docroot")));
    let said = &told["settings"];
    assert_eq!(said["file_private_path"], json!(private.join("files")));
    assert_eq!(said["config_sync_directory"], json!(private.join("config")));
    // The test's user has written the settings, as the worker has: what php-fpm has compiled is not for it.
    assert_eq!(
        said["php_storage"]["twig"]["directory"],
        json!(private.join("none"))
    );
    assert_eq!(told["config"]["automated_cron.settings"]["interval"], 0);
    assert_eq!(
        told["names"],
        json!(["www.example.org", "shop.example.net", "a.b.example.net"])
    );

    let server = json!({"KOLGA_SETTINGS": private.join("settings.php")});
    let told = settings(&scratch, Engine::Postgresql, &server);
    let database = &told["databases"]["default"]["default"];
    assert_eq!(database["driver"], "pgsql");
    assert_eq!(
        (&database["host"], &database["port"]),
        (&json!("127.0.0.1"), &json!(5432))
    );
    assert_eq!(
        told["names"],
        json!(["www.example.org"]),
        "a command knows the main name"
    );
}
