//! What settings say of a database server that is to be spoken to over TLS, as PHP reads them.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use kolga_protocol::names::{DatabaseName, Engine, HostName};

use super::{Profile, Profiles, template};
use crate::testing::Scratch;

const AUTHORITY: &str = "/etc/kolga/db-ca.pem";

fn built_in(name: &str) -> Profile {
    let name = name.parse().expect("a name");
    let profiles = Profiles::load(&[]);
    profiles.get(&name).expect("it is built in").clone()
}

fn database(host: &HostName, engine: Engine, ca_file: Option<&str>) -> template::Database {
    template::Database {
        engine,
        socket: None,
        host: "10.0.0.2".to_owned(),
        port: Some(3306),
        server: "10.0.0.2:3306".to_owned(),
        name: DatabaseName::for_site(host),
        user: DatabaseName::for_site(host),
        password: "secret".to_owned(),
        ca_file: ca_file.map(str::to_owned),
    }
}

fn rendered(profile: &Profile, engine: Engine, ca_file: Option<&str>) -> String {
    let host: HostName = "www.example.org".parse().expect("a host");
    let plain = |path: &str| template::PlainPath::new(path.as_ref()).expect("plain");
    let secrets = profile.manifest.secrets.keys();
    let values = template::Settings {
        public: template::PublicFile {
            url: format!("https://{host}"),
            site: plain("/site"),
            platform: Some(plain("/platform")),
            options: profile
                .complete_options(&host, &BTreeMap::new())
                .expect("all have defaults"),
            host: host.clone(),
        },
        database: Some(database(&host, engine, ca_file)),
        secrets: secrets
            .map(|name| (name.clone(), "salt".to_owned()))
            .collect(),
    };
    let settings = profile.manifest.settings.as_ref().expect("it has some");
    let source = profile.text(&settings.template).expect("text");
    template::settings("settings.php", source, &values).expect("it renders")
}

/// Runs `code` with the settings as `$argv[1]`.
fn php(scratch: &Scratch, settings: &str, told: &[&str], code: &str) -> Output {
    let file = scratch.path().join("settings.php");
    std::fs::write(&file, settings).expect("written");
    Command::new("/usr/bin/php")
        .args(["-d", "display_errors=stderr"])
        .args(told)
        .args(["-r", code, "--"])
        .arg(file)
        .env_clear()
        .output()
        .expect("it runs")
}

fn said(output: &Output) -> String {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn settings_name_the_authority_only_where_there_is_one() {
    for profile in Profiles::load(&[]).usable() {
        for engine in profile.manifest.needs.database.all() {
            let with = rendered(profile, engine, Some(AUTHORITY));
            let without = rendered(profile, engine, None);
            assert!(with.contains(AUTHORITY) && !without.contains("TLS"));
            let values = database(&"x.org".parse().expect("a host"), engine, Some(AUTHORITY));
            let judge = |text: &str| template::refuse_without_authority(text, Some(&values));
            judge(&with).expect("it is told");
            let error = judge(&without).expect_err("it would go in the clear");
            assert!(error.to_string().contains("database.ca_file"), "{error}");
        }
    }
}

#[test]
fn a_wordpress_connects_to_nobody_while_php_has_another_authority() {
    let scratch = Scratch::new();
    let profile = built_in("wordpress");
    let settings = rendered(&profile, Engine::Mariadb, Some(AUTHORITY));
    let code = "ini_set('error_log', '/dev/null'); require $argv[1]; \
                echo MYSQL_CLIENT_FLAGS === (MYSQLI_CLIENT_SSL | MYSQLI_CLIENT_SSL_VERIFY_SERVER_CERT) ? 'both' : 'no';";
    let without = said(&php(&scratch, &settings, &[], code));
    assert!(without.contains("openssl.cafile") && !without.contains("both"));
    let told = format!("openssl.cafile={AUTHORITY}");
    assert_eq!(
        said(&php(&scratch, &settings, &["-d", &told], code)),
        "both"
    );
}

#[test]
fn a_wiki_and_a_drupal_tell_it_to_what_connects() {
    let scratch = Scratch::new();
    let code = "$wgCacheEpoch = ''; require $argv[1]; $one = $wgDBservers[0]; \
                echo json_encode([$one['ssl'], $one['sslCAFile'], $one['host'], $one['password']]);";
    let wiki = built_in("mediawiki");
    let settings = rendered(&wiki, Engine::Mariadb, Some(AUTHORITY));
    assert_eq!(
        said(&php(&scratch, &settings, &[], code)),
        r#"[true,"\/etc\/kolga\/db-ca.pem","10.0.0.2:3306","secret"]"#
    );
    let libpq = "echo getenv('PGSSLMODE'), ' ', getenv('PGSSLROOTCERT');";
    let code = format!("$wgCacheEpoch = ''; require $argv[1]; {libpq}");
    let settings = rendered(&wiki, Engine::Postgresql, Some(AUTHORITY));
    assert_eq!(
        said(&php(&scratch, &settings, &[], &code)),
        format!("verify-full {AUTHORITY}")
    );
    // What the rest of a Drupal's settings wants is not here.
    let database = |profile: &str, engine| {
        let settings = rendered(&built_in(profile), engine, Some(AUTHORITY));
        let end = settings.find("$settings['hash_salt']");
        let end = end.or_else(|| settings.find("$drupal_hash_salt"));
        settings[..end.expect("there")].to_owned()
    };
    let code = "require $argv[1]; $pdo = $databases['default']['default']['pdo']; \
                echo $pdo[PDO::MYSQL_ATTR_SSL_CA], ' ', json_encode($pdo[PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT]);";
    for profile in ["drupal", "drupal7"] {
        let settings = database(profile, Engine::Mariadb);
        let told = said(&php(&scratch, &settings, &[], code));
        assert_eq!(told, format!("{AUTHORITY} true"), "{profile}");
    }
    let settings = database("drupal", Engine::Postgresql);
    let code = format!("require $argv[1]; {libpq}");
    assert_eq!(
        said(&php(&scratch, &settings, &[], &code)),
        format!("verify-full {AUTHORITY}")
    );
}
