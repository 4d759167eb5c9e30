//! The PHP of one site reaches nothing of another's that has a pool to itself.

use std::path::Path;
use std::time::{Duration, Instant};

use kolga_protocol::names::DatabaseName;
use kolga_tests::scenario::SERVER;
use serde_json::json;

use super::scene::{Scene, pools, processes_of};

const ONE: &str = "one.kolga.test";
const OTHER: &str = "other.kolga.test";
const SHARING: &str = "sharing.kolga.test";

fn database(host: &str) -> String {
    DatabaseName::for_site(&host.parse().expect("a host")).to_string()
}

/// That a site can do at home what it cannot do elsewhere.
async fn is_at_home(scene: &Scene, host: &str) {
    let own = scene.folder(host);
    let settings = scene
        .tries(host, "read", own.join("private/settings.php"))
        .await;
    assert!(settings.to_string().contains("password"), "{settings}");
    assert_eq!(scene.tries(host, "write", own.join("files/mine")).await, 6);
    assert_eq!(
        scene
            .tries(host, "write", own.join("docroot/index.php"))
            .await,
        false
    );
    assert_eq!(scene.tries(host, "rows", "").await, "let in: 42");
    assert_eq!(scene.tries(host, "session", "").await, true);
}

/// What the PHP of `from` tries of the site `of`; how much.
async fn is_out_of_reach(scene: &Scene, from: &str, of: &str) -> usize {
    let (theirs, stack) = (scene.folder(of), &scene.stack);
    let mut tried = 0;
    let mut refused = |what: &'static str, at: &Path| {
        tried += 1;
        let at = at.to_owned();
        async move {
            let got = scene.tries(from, what, &at).await;
            let nothing = got == false || got.is_null();
            assert!(nothing, "{from}: {what} {}: {got}", at.display());
        }
    };
    for below in ["", "docroot", "private", "files"] {
        refused("list", &theirs.join(below)).await;
    }
    for below in [
        "docroot/index.php",
        "docroot/probe.php",
        "private/settings.php",
        "files/mine",
        ".kolga-owner",
    ] {
        for what in ["read", "include", "write"] {
            refused(what, &theirs.join(below)).await;
        }
    }
    for below in ["files/new", "docroot/new", "new"] {
        refused("write", &theirs.join(below)).await;
        refused("folder", &theirs.join(below)).await;
    }
    // What is the worker's, and what is of php-fpm's.
    let state = stack.spoke(SERVER, "state_dir");
    for place in [
        state.join(format!("secrets/{of}.json")),
        state.join("journal.sqlite"),
        stack.spoke(SERVER, "config"),
    ] {
        refused("read", &place).await;
    }
    refused("connect", &state.join("control.sock")).await;
    // Its own is the one that sites share, where it is such a one.
    if from != SHARING {
        refused("connect", &stack.spoke(SERVER, "fpm_socket")).await;
    }
    for pool in pools(&scene.stack) {
        refused(
            "connect",
            &scene.pools_folder().join(format!("{pool}.sock")),
        )
        .await;
        refused(
            "write",
            &scene.pools_folder().join(format!("{pool}/fpm.conf")),
        )
        .await;
        refused(
            "write",
            &scene.pools_folder().join(format!("{pool}.sock.new")),
        )
        .await;
    }
    let processes = processes_of(scene.user(of).await);
    assert!(!processes.is_empty(), "nothing of {of} runs");
    for process in &processes {
        refused("signal", Path::new(&process.to_string())).await;
        for what in ["environ", "mem", "root/etc/hostname", "maps"] {
            refused("read", Path::new(&format!("/proc/{process}/{what}"))).await;
        }
    }
    // Its own database account is good for nothing there, nor theirs with what it knows.
    for account in [("as", ""), ("as", database(of).as_str())] {
        let at = database(of);
        let asked = [("what", "rows"), ("at", at.as_str()), account];
        let got = scene
            .tries_within(from, &asked, Duration::from_secs(30))
            .await;
        assert_eq!(got, Some(json!("refused")), "{from}");
        tried += 1;
    }
    tried
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn the_php_of_one_site_reaches_nothing_of_another_that_has_a_pool_to_itself_and_keeps_it_not_waiting()
 {
    let scene = Scene::new(0).await;
    scene.install(ONE, true).await;
    scene.install(OTHER, true).await;
    scene.install(SHARING, false).await;
    let users = [
        scene.user(ONE).await,
        scene.user(OTHER).await,
        scene.user(SHARING).await,
    ];
    assert_eq!(
        std::collections::BTreeSet::from(users).len(),
        3,
        "{users:?}"
    );
    for host in [ONE, OTHER, SHARING] {
        is_at_home(&scene, host).await;
    }
    let mut tried = 0;
    for (from, of) in [(ONE, OTHER), (OTHER, ONE), (SHARING, ONE), (ONE, SHARING)] {
        tried += is_out_of_reach(&scene, from, of).await;
    }
    println!("{tried} tries of one site's PHP at another's things: none came to anything");
    for host in [ONE, OTHER, SHARING] {
        let verified = scene.on_site(host, "site.verify", json!({})).await;
        let nothing = (&verified["changes"], &verified["problems"]);
        assert_eq!(nothing, (&json!([]), &json!([])), "{verified:#}");
    }
    keeps_nobody_waiting(&scene).await;
    scene.end(&[ONE, OTHER, SHARING]).await;
}

/// That a site whose children are all busy keeps nobody else waiting.
async fn keeps_nobody_waiting(scene: &Scene) {
    let busy = [("what", "wait"), ("at", "6")];
    let soon = Duration::from_secs(4);
    let asked = (0..12).map(|_| scene.tries_within(ONE, &busy, Duration::from_secs(1)));
    // Who asks goes away; PHP goes on with it.
    let given_up = futures_util::future::join_all(asked).await;
    assert!(given_up.iter().all(Option::is_none), "{given_up:?}");
    let who = [("what", "who")];
    let at_it = scene.tries_within(ONE, &who, Duration::from_secs(1)).await;
    assert_eq!(at_it, None, "it should be busy");
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        for host in [OTHER, SHARING] {
            let began = Instant::now();
            let told = scene.tries_within(host, &who, soon).await;
            assert!(told.is_some(), "{host} does not answer");
            longest = longest.max(began.elapsed());
        }
    }
    println!(
        "with all children of one site busy the others answered 20 times, {longest:?} at most"
    );
}
