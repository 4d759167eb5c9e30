//! Checks over folders of a test, and over the whole test stack.

use super::*;
use crate::config::Config;
use crate::testing::{self, Scratch, stack_config};

fn spoke_at(root: &Path) -> Config {
    for folder in ["sites", "platforms", "vhosts"] {
        std::fs::create_dir(root.join(folder)).expect("made");
    }
    let mut config = testing::config(root);
    config.sites.web_user = "root".to_owned();
    std::fs::write(
        root.join("nginx.conf"),
        format!("http {{\n include {}/kolga.conf; }}\n", root.display()),
    )
    .expect("written");
    config.nginx.test.extend([
        "-c".to_owned(),
        root.join("nginx.conf").display().to_string(),
    ]);
    let dir = crate::files::Dir::open(root).expect("opens");
    dir.make_dir("state", 0o700).expect("made");
    config
}

async fn failures(config: Config) -> Vec<String> {
    let (cx, _) = testing::context(config);
    let checks = all(&cx, &Engine::ALL).await.expect("not stopped");
    assert!(checks.len() > 8);
    checks
        .into_iter()
        .filter(|check| !check.passed)
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect()
}

#[tokio::test]
async fn a_machine_as_it_should_be_passes_everything() {
    let scratch = Scratch::new();
    assert_eq!(
        failures(spoke_at(scratch.path())).await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_and_not_only_the_first() {
    let scratch = Scratch::new();
    let mut config = spoke_at(scratch.path());
    config.sites.web_user = "no-such-user".to_owned();
    config.sites.platforms = scratch.path().join("absent");
    config.nginx.reload = vec!["/bin/false".to_owned()];
    std::fs::write(scratch.path().join("nginx.conf"), "http { # include x;\n}").expect("written");
    let failed = failures(config).await.join("\n");
    for wanted in [
        "no-such-user",
        "absent is not there",
        "/bin/false",
        "does not include",
    ] {
        assert!(failed.contains(wanted), "{wanted} is missing in:\n{failed}");
    }
}

#[tokio::test]
async fn where_nothing_can_be_confined_it_is_told_what_is_refused_and_it_is_wrong_only_where_something_is()
 {
    let why = "the kernel does not";
    let told = |config: Config| async {
        let (mut cx, _) = testing::context(config.clone());
        let spoke = crate::spoke::Spoke::open(config, None).await.expect("open");
        let unconfined = crate::process::Supervision::said("", Some(why));
        cx.spoke = Arc::new(spoke.supervised(unconfined));
        let checks = all(&cx, &Engine::ALL).await.expect("not stopped");
        let found = checks.into_iter().find(|check| check.name == "confinement");
        found
            .map(|it| (it.passed, it.detail))
            .expect("it is looked at")
    };
    let scratch = Scratch::new();
    let mut config = spoke_at(scratch.path());
    let (passed, detail) = told(config.clone()).await;
    assert!(
        passed && detail.contains("nothing here needs it: the kernel"),
        "{detail}"
    );
    config.php = Some(toml::from_str("fpm_socket = \"/nowhere\"").expect("a table"));
    let (passed, detail) = told(config.clone()).await;
    assert!(
        passed && detail.contains("no site of drupal, drupal7"),
        "{detail}"
    );
    config.composer = Some(toml::from_str("sources = []").expect("a table"));
    let (passed, detail) = told(config).await;
    let refused = detail.contains("composer") && !detail.contains("site.backup");
    assert!(!passed && refused && detail.contains("lsm="), "{detail}");
}

#[tokio::test]
async fn a_configuration_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new();
    let path = scratch.path().join("worker.toml");
    std::fs::write(&path, "").expect("written");
    for (mode, passes) in [(0o644, false), (0o640, true), (0o600, true)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("changed");
        assert_eq!(config_file(&path).passed, passes, "{mode:o}");
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn the_stack_passes_and_nothing_is_left_of_the_probe() {
    let mut config = stack_config();
    let root = rustix::process::geteuid().is_root();
    if root && let Some(mariadb) = &mut config.mariadb {
        mariadb.user = "root".to_owned();
    }
    let (cx, _) = testing::context(config);
    let checks = all(&cx, &Engine::ALL).await.expect("not stopped");
    let failed: Vec<_> = checks
        .iter()
        .filter(|check| !check.passed)
        // Root is not the user whose folder it is.
        .filter(|check| !(root && check.name == "state folder"))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(checks.iter().any(|check| check.name == "MariaDB account"));
    let mariadb = cx.spoke.need_mariadb().expect("there is one");
    let probe = database::probe_name(cx.run);
    assert!(!mariadb.has_database(&probe).await.expect("asked"));
    assert!(!mariadb.has_user(&probe).await.expect("asked"));
}
