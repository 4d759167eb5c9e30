//! The bytes of every message, as the first release writes them. A change here breaks every queue and
//! journal that is in use: give the shape a new version instead.

use std::fmt::Write as _;

use kolga_protocol::envelope::{self, Message};
use kolga_protocol::id::{Attempt, Run, UnixMillis};
use kolga_protocol::message::{
    Answer, Asked, Control, Deferral, Failure, Heartbeat, Level, LogLines, Mood, Report,
    ReportBody, Reports, StateReport, StepPhase, StepReport, TaskMessage, Tasks,
};
use kolga_protocol::names::Engine;
use kolga_protocol::naming::{Https, Names};
use kolga_protocol::object::Lane;
use kolga_protocol::state::{Event, State};
use kolga_protocol::task::{
    Kind, Output, Params, Payload, PayloadError, backup_delete, backup_extract, backup_list,
    backup_prune, backup_verify, ping, platform_build, platform_delete, platform_verify,
    recipe_list, recipe_run, server_inventory, server_print, server_verify, site_backup,
    site_clone, site_delete, site_disable, site_enable, site_hold, site_https, site_import,
    site_install, site_login, site_migrate, site_names, site_pool, site_receive, site_release,
    site_restore, site_run, site_verify, trash_empty, trash_list, trash_restore,
};
use uuid::Uuid;

fn run() -> Run {
    Run::new(
        "01890a5d-ac96-774b-bcce-b302099a8057"
            .parse()
            .expect("an id"),
        Attempt(3),
    )
}

fn asked() -> Asked {
    Asked {
        run: run(),
        state: State::Running,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("strings take everything");
        text
    })
}

/// Compares with `tests/golden/<name>.hex`. To add one, write an empty file and copy what the failure
/// shows, after looking at it.
fn golden(name: &str, bytes: &[u8]) {
    let path = format!("{}/tests/golden/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let kept: String = kept.split_whitespace().collect();
    assert_eq!(
        hex(bytes),
        kept,
        "the bytes of {name} are not those of the first release"
    );
}

fn message<M: Message + PartialEq + std::fmt::Debug>(name: &str, message: &M) {
    let bytes = envelope::seal(message);
    golden(name, &bytes);
    assert_eq!(envelope::kind_of(&bytes).expect("an envelope"), M::KIND);
    assert_eq!(
        &envelope::open::<M>(&bytes).expect("it reads back"),
        message
    );
}

fn task() -> TaskMessage {
    TaskMessage {
        run: run(),
        server: "web1".parse().expect("a name"),
        issued_at: UnixMillis(1_700_000_000_000),
        expires_at: Some(UnixMillis(1_700_000_060_000)),
        requested_by: "anna".to_owned(),
        payload: Params::Ping(ping::Params {}).to_payload(),
    }
}

#[test]
fn the_bytes_of_a_task() {
    message("task", &task());
}

#[test]
fn the_bytes_of_several_tasks() {
    let next = TaskMessage {
        run: Run::new(run().task, run().attempt.next()),
        expires_at: None,
        ..task()
    };
    message(
        "tasks",
        &Tasks {
            items: vec![task(), next],
        },
    );
}

#[test]
fn the_bytes_of_what_the_hub_tells() {
    message(
        "cancel",
        &Control::Cancel {
            run: run(),
            requested_by: "anna".to_owned(),
        },
    );
    message(
        "query",
        &Control::Query {
            runs: vec![asked()],
        },
    );
}

#[test]
fn the_bytes_of_reports() {
    let bodies = [
        ReportBody::State(StateReport::bare(Event::Accepted)),
        ReportBody::State(StateReport::because(
            Event::Failed,
            Failure {
                step: Some("create_database".to_owned()),
                message: "no".to_owned(),
                left_behind: vec!["database k_a".to_owned()],
            },
        )),
        ReportBody::Step(StepReport {
            name: "create_database".to_owned(),
            position: 4,
            total: 9,
            phase: StepPhase::Applying,
        }),
        ReportBody::Log(LogLines {
            level: Level::Error,
            step: Some("install_app".to_owned()),
            text: "ä\u{1b}[31m".to_owned(),
        }),
        ReportBody::CancelRefused {
            reason: "too late".to_owned(),
        },
    ];
    let items = (1..)
        .zip(bodies)
        .map(|(seq, body)| Report {
            run: run(),
            seq,
            at: UnixMillis(1_700_000_000_000),
            body,
        })
        .collect();
    message(
        "reports",
        &Reports {
            server: "web1".parse().expect("a name"),
            journal: Uuid::from_u128(7),
            items,
        },
    );
}

#[test]
fn the_bytes_of_answers_and_heartbeats() {
    let server = || "web1".parse().expect("a name");
    message(
        "answer",
        &Answer {
            server: server(),
            journal: Uuid::from_u128(7),
            unknown: vec![asked()],
        },
    );
    message(
        "heartbeat",
        &Heartbeat {
            server: server(),
            journal: Uuid::from_u128(7),
            at: UnixMillis(1_700_000_000_000),
            version: "0.1.0".to_owned(),
            mood: Mood::Full,
            running: 2,
            waiting: 1000,
            stuck: 1,
            spooled: 70_000,
            load_milli: 1500,
            disk_free: 1 << 40,
            deferring: Some(Deferral {
                reason: "load 12.3 is above 10.0 (5 per cpu): heavy tasks wait".to_owned(),
                growing_only: false,
            }),
        },
    );
}

fn an_installation() -> site_install::Params {
    site_install::Params {
        site: "www.example.org".parse().expect("a name"),
        aliases: vec!["*.example.org".parse().expect("an alias")],
        profile: "wordpress".parse().expect("a name"),
        platform: Some("wp61".parse().expect("a name")),
        options: [(
            "title".parse().expect("a name"),
            "Ägir".parse().expect("a value"),
        )]
        .into(),
    }
}

fn an_offer() -> site_hold::Offer {
    let like = an_installation();
    site_hold::Offer {
        repository: "7f".repeat(32),
        profile: like.profile,
        platform: like.platform,
        version: Some("6.1.1".to_owned()),
        names: some_names(),
        https: Https::Redirect,
        options: like.options,
        enabled: true,
        imported: false,
        snippet: true,
        secrets: true,
        url: "https://example.org".to_owned(),
        folder: "/srv/kolga/sites/www.example.org".to_owned(),
        code: Some("/srv/kolga/platforms/wp61/code".to_owned()),
        uid: 998,
        bytes: 60_000_000,
        engine: Engine::Postgresql,
        database_bytes: Some(30_000),
    }
}

fn some_names() -> Names {
    Names {
        main: Some("example.org".parse().expect("a name")),
        aliases: vec!["*.example.org".parse().expect("an alias")],
        redirects: vec!["example.net".parse().expect("an alias")],
    }
}

fn a_backup() -> backup_list::Backup {
    backup_list::Backup {
        id: "4b3feb53".to_owned(),
        site: "www.example.org".parse().expect("a name"),
        at: UnixMillis(1_700_000_000_000),
    }
}

/// One of each type; the match fails to compile when a type is added without bytes.
fn sample(kind: Kind) -> (Params, Output) {
    match kind {
        Kind::Ping => (
            Params::Ping(ping::Params {}),
            Output::Ping(ping::Output {
                worker_version: "0.1.0".to_owned(),
                at_micros: 1_700_000_000_000_000,
            }),
        ),
        Kind::ServerVerify => (
            Params::ServerVerify(server_verify::Params {}),
            Output::ServerVerify(server_verify::Output {
                checks: vec![server_verify::Check {
                    name: "nginx".to_owned(),
                    passed: true,
                    detail: "1.22".to_owned(),
                }],
            }),
        ),
        Kind::PlatformBuild => (
            Params::PlatformBuild(platform_build::Params {
                platform: "wp61".parse().expect("a name"),
                profile: "wordpress".parse().expect("a name"),
                source: "/usr/share/wordpress".parse().expect("a path"),
                composer: true,
            }),
            Output::PlatformBuild(platform_build::Output {
                path: "/var/lib/kolga/platforms/wp61".to_owned(),
                version: Some("6.1.9".to_owned()),
                files: 3000,
                bytes: 60_000_000,
                packages: Some(40),
            }),
        ),
        Kind::PlatformDelete => (
            Params::PlatformDelete(platform_delete::Params {
                platform: "wp61".parse().expect("a name"),
            }),
            Output::PlatformDelete(platform_delete::Output {
                path: "/var/lib/kolga/platforms/wp61".to_owned(),
            }),
        ),
        Kind::PlatformVerify => (
            Params::PlatformVerify(platform_verify::Params {
                platform: "wp61".parse().expect("a name"),
            }),
            Output::PlatformVerify(platform_verify::Output {
                path: "/var/lib/kolga/platforms/wp61".to_owned(),
                profile: "wordpress".to_owned(),
                version: Some("6.1.9".to_owned()),
                files: 3000,
                bytes: 60_000_000,
                compared: true,
                added: 1,
                removed: 2,
                changed: 3,
                drift: vec!["changed wp-load.php".to_owned()],
                missing: vec!["index.php".to_owned()],
                modes_mended: 4,
                foreign: 5,
                installed: vec![platform_verify::Part {
                    kind: "plugin".to_owned(),
                    name: "akismet".to_owned(),
                    version: Some("5.0.1".to_owned()),
                }],
            }),
        ),
        Kind::SiteInstall => (
            Params::SiteInstall(an_installation()),
            Output::SiteInstall(site_install::Output {
                url: "http://www.example.org/".to_owned(),
                path: "/var/lib/kolga/sites/www.example.org".to_owned(),
                database: Some("k_www".to_owned()),
                admin_user: Some("admin".to_owned()),
                secret_file: Some("/var/lib/kolga/secrets/www.example.org.json".to_owned()),
            }),
        ),
        Kind::SiteDelete => (
            Params::SiteDelete(site_delete::Params {
                site: "www.example.org".parse().expect("a name"),
                no_backup: false,
            }),
            Output::SiteDelete(site_delete::Output {
                path: "/var/lib/kolga/sites/www.example.org".to_owned(),
                database: None,
                backup: Some("4b3feb53".to_owned()),
            }),
        ),
        Kind::SiteEnable => (
            Params::SiteEnable(site_enable::Params {
                site: "www.example.org".parse().expect("a name"),
            }),
            Output::SiteEnable(site_enable::Output {
                url: "http://www.example.org/".to_owned(),
                changed: true,
            }),
        ),
        Kind::SiteDisable => (
            Params::SiteDisable(site_disable::Params {
                site: "www.example.org".parse().expect("a name"),
            }),
            Output::SiteDisable(site_disable::Output {
                url: "http://www.example.org/".to_owned(),
                changed: false,
            }),
        ),
        Kind::SiteRun => (
            Params::SiteRun(site_run::Params {
                site: "www.example.org".parse().expect("a name"),
                command: Some("cache_clear".parse().expect("a name")),
            }),
            Output::SiteRun(site_run::Output {
                command: Some("cache_clear".parse().expect("a name")),
                offered: vec![site_run::Offered {
                    name: "update_database".parse().expect("a name"),
                    description: "Brings the tables up to date".to_owned(),
                }],
            }),
        ),
        Kind::RecipeRun => (
            Params::RecipeRun(recipe_run::Params {
                recipe: "notice-on".parse().expect("a name"),
                site: Some("www.example.org".parse().expect("a name")),
                params: [(
                    "text".parse().expect("a name"),
                    "Back at 5; $(id)".parse().expect("a value"),
                )]
                .into(),
            }),
            Output::RecipeRun(recipe_run::Output {
                recipe: "notice-on".parse().expect("a name"),
                steps: vec![recipe_run::Done {
                    name: "write".to_owned(),
                    outcome: "done".to_owned(),
                }],
            }),
        ),
        Kind::RecipeList => (
            Params::RecipeList(recipe_list::Params {}),
            Output::RecipeList(recipe_list::Output {
                recipes: vec![recipe_list::Offered {
                    name: "notice-on".parse().expect("a name"),
                    description: "Puts up a notice".to_owned(),
                    parallel: true,
                    params: vec![recipe_list::Param {
                        name: "text".parse().expect("a name"),
                        kind: "string".to_owned(),
                        accepts: "1 to 200 characters".to_owned(),
                        description: "What it says".to_owned(),
                        default: Some("Back soon".to_owned()),
                    }],
                }],
                more: 1,
                broken: vec!["/etc/kolga/recipes/x.toml:1: no".to_owned()],
            }),
        ),
        Kind::SiteVerify => (
            Params::SiteVerify(site_verify::Params {
                site: "www.example.org".parse().expect("a name"),
            }),
            Output::SiteVerify(site_verify::Output {
                url: "http://www.example.org/".to_owned(),
                changes: vec![site_verify::Change {
                    what: "folder docroot".to_owned(),
                    from: Some("0777".to_owned()),
                    to: Some("0750".to_owned()),
                }],
                problems: vec!["the platform has no themes".to_owned()],
                entry: site_verify::Entry {
                    profile: "wordpress".parse().expect("a name"),
                    platform: Some("wp61".parse().expect("a name")),
                    database: Some("k_www".parse().expect("a name")),
                    names: some_names(),
                    https: Https::Redirect,
                    enabled: true,
                },
            }),
        ),
        Kind::SiteNames => (
            Params::SiteNames(site_names::Params {
                site: "www.example.org".parse().expect("a name"),
                serve: vec!["*.example.org".parse().expect("an alias")],
                redirect: vec!["example.net".parse().expect("an alias")],
                remove: vec!["example.com".parse().expect("an alias")],
                main: Some("example.org".parse().expect("a name")),
            }),
            Output::SiteNames(site_names::Output {
                url: "http://example.org/".to_owned(),
                names: some_names(),
                changed: true,
            }),
        ),
        Kind::SitePool => (
            Params::SitePool(site_pool::Params {
                site: "www.example.org".parse().expect("a name"),
                own: true,
            }),
            Output::SitePool(site_pool::Output {
                url: "http://www.example.org/".to_owned(),
                user: "kolga-s01".to_owned(),
                changed: true,
                files: 3000,
                bytes: 60_000_000,
            }),
        ),
        Kind::SiteHttps => (
            Params::SiteHttps(site_https::Params {
                site: "www.example.org".parse().expect("a name"),
                https: Https::Redirect,
            }),
            Output::SiteHttps(site_https::Output {
                url: "https://www.example.org/".to_owned(),
                https: Https::Redirect,
                changed: true,
                names: vec!["*.example.org".to_owned()],
                until: Some(UnixMillis(1_700_000_000_000)),
            }),
        ),
        Kind::SiteBackup => (
            Params::SiteBackup(site_backup::Params {
                site: "www.example.org".parse().expect("a name"),
            }),
            Output::SiteBackup(site_backup::Output {
                backup: "4b3feb53".to_owned(),
                files: 1200,
                bytes: 60_000_000,
                bytes_added: 40_000,
                database_bytes: Some(30_000),
                milliseconds: 2500,
            }),
        ),
        Kind::SiteRestore => (
            Params::SiteRestore(site_restore::Params {
                site: "www.example.org".parse().expect("a name"),
                backup: "4b3feb53".parse().expect("a name"),
            }),
            Output::SiteRestore(site_restore::Output {
                url: "http://www.example.org/".to_owned(),
                path: "/srv/kolga/sites/www.example.org".to_owned(),
                backup: "4b3feb53".to_owned(),
                files: 1200,
                bytes: 60_000_000,
                platform: Some("wp".parse().expect("a name")),
                database: Some("k_www_example_org_0123456789".parse().expect("a name")),
                database_bytes: Some(30_000),
                former: Some(run().task),
                milliseconds: 2500,
            }),
        ),
        Kind::SiteImport => (
            Params::SiteImport(site_import::Params {
                site: "www.example.org".parse().expect("a name"),
                from: Some("/var/www/blog".parse().expect("a path")),
                profile: Some("wordpress".parse().expect("a name")),
                platform: Some("wp".parse().expect("a name")),
                options: [(
                    "title".parse().expect("a name"),
                    "A title".parse().expect("a value"),
                )]
                .into(),
                disabled: true,
                check: true,
            }),
            Output::SiteImport(site_import::Output {
                url: "http://www.example.org/".to_owned(),
                path: "/srv/kolga/sites/www.example.org".to_owned(),
                profile: "wordpress".parse().expect("a name"),
                platform: Some(Box::new(site_import::Platform {
                    name: "wp".parse().expect("a name"),
                    profile: "wordpress".parse().expect("a name"),
                    source: Some("/usr/share/wordpress".parse().expect("a path")),
                    version: Some("6.1.9".to_owned()),
                    path: "/srv/kolga/platforms/wp".to_owned(),
                })),
                database: Some("k_www_example_org_0123456789".parse().expect("a name")),
                names: some_names(),
                options: [(
                    "title".parse().expect("a name"),
                    "A title".parse().expect("a value"),
                )]
                .into(),
                https: Https::On,
                enabled: false,
                checked: true,
                problems: vec!["its vhost is gone".to_owned()],
                source: Some(Box::new(site_import::Source {
                    path: "/var/www/blog".parse().expect("a path"),
                    version: Some("6.1".to_owned()),
                    database: Some("blog".to_owned()),
                    url: Some("https://blog.example.org".to_owned()),
                    files: 1200,
                    bytes: 60_000_000,
                    database_bytes: Some(30_000),
                    milliseconds: 2500,
                })),
                plan: vec!["leave it switched off".to_owned()],
            }),
        ),
        Kind::BackupVerify => (
            Params::BackupVerify(backup_verify::Params {
                backup: "4b3feb53".parse().expect("a name"),
            }),
            Output::BackupVerify(backup_verify::Output {
                backup: "4b3feb53".to_owned(),
                site: "www.example.org".parse().expect("a name"),
                at: UnixMillis(1_700_000_000_000),
                files: 1200,
                bytes: 60_000_000,
                milliseconds: 2500,
            }),
        ),
        Kind::BackupDelete => (
            Params::BackupDelete(backup_delete::Params {
                site: "www.example.org".parse().expect("a name"),
                backup: "4b3feb53".parse().expect("a name"),
                last: true,
            }),
            Output::BackupDelete(backup_delete::Output {
                removed: vec![a_backup()],
                owed: 1,
            }),
        ),
        Kind::BackupPrune => (
            Params::BackupPrune(backup_prune::Params {
                site: Some("www.example.org".parse().expect("a name")),
                daily: Some(7),
                weekly: Some(4),
                monthly: None,
                dry_run: true,
            }),
            Output::BackupPrune(backup_prune::Output {
                dry_run: true,
                kept: 12,
                gone: 1,
                removed: vec![a_backup()],
                owed: 0,
            }),
        ),
        Kind::BackupExtract => (
            Params::BackupExtract(backup_extract::Params {
                backup: "4b3feb53".parse().expect("a name"),
                folder: "blog-in-may".parse().expect("a name"),
            }),
            Output::BackupExtract(backup_extract::Output {
                path: "/srv/extracted/blog-in-may".to_owned(),
                backup: "4b3feb53".to_owned(),
                site: "www.example.org".parse().expect("a name"),
                files: 1200,
                bytes: 60_000_000,
            }),
        ),
        Kind::BackupList => (
            Params::BackupList(backup_list::Params {
                site: Some("www.example.org".parse().expect("a name")),
            }),
            Output::BackupList(backup_list::Output {
                pruned: Some(backup_list::Pruned {
                    at: UnixMillis(1_700_000_000_000),
                    kept: 3,
                    gone: 2,
                    failure: None,
                }),
                prunes_at: Some(UnixMillis(1_700_086_400_000)),
                owed: 2,
                backups: vec![backup_list::Backup {
                    id: "4b3feb53".to_owned(),
                    site: "www.example.org".parse().expect("a name"),
                    at: UnixMillis(1_700_000_000_000),
                }],
                more: 3,
            }),
        ),
        Kind::SiteMigrate => (
            Params::SiteMigrate(site_migrate::Params {
                site: "www.example.org".parse().expect("a name"),
                platform: Some("wp68".parse().expect("a name")),
                host: Some("blog.example.org".parse().expect("a name")),
                keep_name: true,
            }),
            Output::SiteMigrate(site_migrate::Output {
                url: "http://blog.example.org/".to_owned(),
                path: "/var/lib/kolga/sites/blog.example.org".to_owned(),
                platform: Some("wp68".parse().expect("a name")),
                version: Some("6.8.1".to_owned()),
                database: Some("k_blog".parse().expect("a name")),
                database_bytes: Some(30_000),
                milliseconds: 2500,
            }),
        ),
        Kind::SiteLogin => (
            Params::SiteLogin(site_login::Params {
                site: "www.example.org".parse().expect("a name"),
                seal: "0a".repeat(32).try_into().expect("a key"),
            }),
            Output::SiteLogin(site_login::Output {
                page: "http://www.example.org/kolga_login.php".to_owned(),
                user: "admin".to_owned(),
                until: UnixMillis(1_700_000_300_000),
                sealed: "0b".repeat(60).try_into().expect("digits"),
            }),
        ),
        Kind::SiteClone => (
            Params::SiteClone(site_clone::Params {
                site: "www.example.org".parse().expect("a name"),
                to: "stage.example.org".parse().expect("a name"),
                platform: Some("wp68".parse().expect("a name")),
            }),
            Output::SiteClone(site_clone::Output {
                url: "http://stage.example.org/".to_owned(),
                path: "/var/lib/kolga/sites/stage.example.org".to_owned(),
                platform: Some("wp68".parse().expect("a name")),
                version: Some("6.8.1".to_owned()),
                files: 1200,
                bytes: 60_000_000,
                database: Some("k_stage".parse().expect("a name")),
                database_bytes: Some(30_000),
                admin_user: Some("admin".to_owned()),
                secret_file: Some("/var/lib/kolga/secrets/stage.example.org.json".to_owned()),
                milliseconds: 2500,
            }),
        ),
        Kind::SiteHold => (
            Params::SiteHold(site_hold::Params {
                site: "www.example.org".parse().expect("a name"),
                to: Some("web2".parse().expect("a name")),
                check: true,
                seal: Some("0a".repeat(32).try_into().expect("a key")),
            }),
            Output::SiteHold(site_hold::Output {
                offer: Box::new(an_offer()),
                backup: Some("4b3feb53".repeat(8)),
                files: 1200,
                bytes: 60_000_000,
                sealed: Some("0b".repeat(60).try_into().expect("digits")),
                milliseconds: 2500,
            }),
        ),
        Kind::SiteReceive => (
            Params::SiteReceive(site_receive::Params {
                site: "www.example.org".parse().expect("a name"),
                from: "web1".parse().expect("a name"),
                offer: Box::new(an_offer()),
                platform: Some("wp68".parse().expect("a name")),
                backup: Some("4b3feb53".repeat(8).parse().expect("a backup")),
                sealed: Some("0b".repeat(60).try_into().expect("digits")),
            }),
            Output::SiteReceive(site_receive::Output {
                url: "http://www.example.org/".to_owned(),
                path: "/var/lib/kolga/sites/www.example.org".to_owned(),
                platform: Some("wp68".parse().expect("a name")),
                version: Some("6.8.1".to_owned()),
                database: Some("k_www".parse().expect("a name")),
                names: some_names(),
                https: Https::On,
                enabled: true,
                files: 1200,
                bytes: 60_000_000,
                seal: Some("0a".repeat(32).try_into().expect("a key")),
                secret_file: Some("/var/lib/kolga/secrets/www.example.org.json".to_owned()),
                milliseconds: 2500,
            }),
        ),
        Kind::SiteRelease => (
            Params::SiteRelease(site_release::Params {
                site: "www.example.org".parse().expect("a name"),
                to: Some("web2".parse().expect("a name")),
                unheld: true,
            }),
            Output::SiteRelease(site_release::Output {
                url: Some("http://www.example.org/".to_owned()),
                path: "/var/lib/kolga/sites/www.example.org".to_owned(),
                database: Some("k_www".parse().expect("a name")),
                changed: true,
            }),
        ),
        Kind::TrashList => (
            Params::TrashList(trash_list::Params {}),
            Output::TrashList(trash_list::Output {
                items: vec![trash_list::Item {
                    id: run().task,
                    why: "site.delete".to_owned(),
                    at: UnixMillis(1_700_000_000_000),
                    site: an_installation(),
                    folder: true,
                    database: Some("k_www".to_owned()),
                    bytes: 1_000_000,
                }],
                more: 2,
            }),
        ),
        Kind::TrashRestore => (
            Params::TrashRestore(trash_restore::Params {
                item: run().task,
                site: an_installation(),
            }),
            Output::TrashRestore(trash_restore::Output {
                url: "http://www.example.org/".to_owned(),
                path: "/var/lib/kolga/sites/www.example.org".to_owned(),
                database: Some("k_www".to_owned()),
                enabled: true,
                names: some_names(),
                https: Https::On,
            }),
        ),
        Kind::TrashEmpty => (
            Params::TrashEmpty(trash_empty::Params {
                item: Some(run().task),
                older_than_days: Some(30),
            }),
            Output::TrashEmpty(trash_empty::Output {
                items: 3,
                bytes: 1_000_000,
            }),
        ),
        Kind::ServerInventory => (
            Params::ServerInventory(server_inventory::Params {}),
            Output::ServerInventory(server_inventory::Output {
                programs: vec![server_inventory::Program {
                    name: "nginx".to_owned(),
                    version: Some("1.22.1".to_owned()),
                }],
                disks: vec![server_inventory::Disk {
                    path: "/srv/kolga/sites".to_owned(),
                    total: 1000,
                    free: 100,
                }],
                platforms: vec![server_inventory::Platform {
                    name: "wp61".to_owned(),
                    profile: Some("wordpress".to_owned()),
                    version: None,
                    in_book: true,
                    has_folder: false,
                }],
                sites: vec![server_inventory::Site {
                    host: "www.example.org".to_owned(),
                    profile: None,
                    platform: Some("wp61".to_owned()),
                    enabled: Some(true),
                    in_book: false,
                    has_folder: true,
                    has_vhost: false,
                }],
                strays: vec!["/srv/kolga/sites/x".to_owned()],
            }),
        ),
        Kind::ServerPrint => (
            Params::ServerPrint(server_print::Params {
                lines: 200_000,
                line_bytes: 80,
            }),
            Output::ServerPrint(server_print::Output {
                lines: 200_000,
                bytes: 16_200_000,
                micros: 900_000,
            }),
        ),
    }
}

#[test]
fn the_bytes_of_every_task_type() {
    for &kind in Kind::ALL {
        let (params, output) = sample(kind);
        let payload = params.to_payload();
        golden(&format!("{kind}.params.{}", payload.version), &payload.body);
        assert_eq!(
            Params::from_payload(&payload).expect("it reads back"),
            params
        );
        let payload = output.to_payload();
        golden(&format!("{kind}.output.{}", payload.version), &payload.body);
        assert_eq!(
            Output::from_payload(&payload).expect("it reads back"),
            output
        );
    }
}

/// The bytes that an older release wrote.
fn older(name: &str, kind: Kind, version: u16) -> Payload {
    let path = format!("{}/tests/golden/{name}.hex", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("kept");
    let digits: Vec<u8> = text.trim().bytes().collect();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(pair, 16).expect("digits")
    };
    Payload {
        kind: kind.as_str().to_owned(),
        version,
        body: digits.chunks(2).map(byte).collect(),
    }
}

#[test]
fn a_deletion_of_the_first_version_is_still_read_and_made_no_backup() {
    let params = older("site.delete.params.1", Kind::SiteDelete, 1);
    let wanted = Params::SiteDelete(site_delete::Params {
        site: "www.example.org".parse().expect("a name"),
        no_backup: true,
    });
    assert_eq!(Params::from_payload(&params).expect("it is read"), wanted);
    let output = older("site.delete.output.1", Kind::SiteDelete, 1);
    let wanted = Output::SiteDelete(site_delete::Output {
        path: "/var/lib/kolga/sites/www.example.org".to_owned(),
        database: None,
        backup: None,
    });
    assert_eq!(Output::from_payload(&output).expect("it is read"), wanted);
    let third = Payload {
        version: 3,
        ..params
    };
    assert!(matches!(
        Params::from_payload(&third),
        Err(PayloadError::UnknownVersion { version: 3, .. })
    ));
}

#[test]
fn a_build_of_the_first_version_is_still_read_and_had_no_packages() {
    let params = older("platform.build.params.1", Kind::PlatformBuild, 1);
    let wanted = Params::PlatformBuild(platform_build::Params {
        platform: "wp61".parse().expect("a name"),
        profile: "wordpress".parse().expect("a name"),
        source: "/usr/share/wordpress".parse().expect("a path"),
        composer: false,
    });
    assert_eq!(Params::from_payload(&params).expect("it is read"), wanted);
    let output = older("platform.build.output.1", Kind::PlatformBuild, 1);
    let wanted = Output::PlatformBuild(platform_build::Output {
        path: "/var/lib/kolga/platforms/wp61".to_owned(),
        version: Some("6.1.9".to_owned()),
        files: 3000,
        bytes: 60_000_000,
        packages: None,
    });
    assert_eq!(Output::from_payload(&output).expect("it is read"), wanted);
}

#[test]
fn a_list_of_backups_of_the_first_version_is_still_read() {
    let params = older("backup.list.params.1", Kind::BackupList, 1);
    let wanted = Params::BackupList(backup_list::Params {
        site: Some("www.example.org".parse().expect("a name")),
    });
    assert_eq!(Params::from_payload(&params).expect("it is read"), wanted);
    let output = older("backup.list.output.1", Kind::BackupList, 1);
    let Output::BackupList(output) = Output::from_payload(&output).expect("it is read") else {
        panic!("another kind");
    };
    assert_eq!((output.backups.len(), output.more), (1, 3));
    assert_eq!((output.pruned, output.prunes_at), (None, None));
}

#[test]
fn only_what_visitors_wait_for_goes_past_the_lane_of_its_type_and_a_look_takes_up_no_room() {
    for kind in Kind::ALL {
        let (params, _) = sample(*kind);
        let is_urgent = matches!(params, Params::SiteReceive(_));
        assert_eq!(params.lane() == Lane::Urgent, is_urgent, "{kind:?}");
        assert!(is_urgent || params.lane() == kind.lane(), "{kind:?}");
    }
    let (mut receive, mut hold) = (sample(Kind::SiteReceive).0, sample(Kind::SiteHold).0);
    assert!(receive.grows());
    if let Params::SiteReceive(params) = &mut receive {
        params.backup = None;
    }
    for check in [false, true] {
        if let Params::SiteHold(params) = &mut hold {
            params.check = check;
        }
        assert_eq!(
            (hold.lane(), hold.grows()),
            (Lane::Heavy, !check),
            "{hold:?}"
        );
    }
    assert_eq!((receive.lane(), receive.grows()), (Lane::Heavy, false));
}

#[test]
fn what_forgets_backups_is_read_as_it_was_when_nothing_could_be_owed() {
    let (_, now) = sample(Kind::BackupDelete);
    let Output::BackupDelete(now) = now else {
        panic!("its own");
    };
    let then = Output::BackupDelete(backup_delete::Output { owed: 0, ..now });
    let output = older("backup.delete.output.1", Kind::BackupDelete, 1);
    assert_eq!(Output::from_payload(&output).expect("it is read"), then);
    // Its sample owes nothing.
    let (_, then) = sample(Kind::BackupPrune);
    let output = older("backup.prune.output.1", Kind::BackupPrune, 1);
    assert_eq!(Output::from_payload(&output).expect("it is read"), then);
    let (_, now) = sample(Kind::BackupList);
    let Output::BackupList(now) = now else {
        panic!("its own");
    };
    let then = Output::BackupList(backup_list::Output { owed: 0, ..now });
    let output = older("backup.list.output.2", Kind::BackupList, 2);
    assert_eq!(Output::from_payload(&output).expect("it is read"), then);
    for kind in [Kind::BackupDelete, Kind::BackupPrune, Kind::BackupList] {
        let (params, _) = sample(kind);
        let name = format!("{}.params.1", kind.as_str());
        let read = Params::from_payload(&older(&name, kind, 1));
        assert_eq!(read.expect("it is read"), params);
    }
}
