//! A PostgreSQL on another machine that is reached over TLS and not otherwise, with somebody in between.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use kolga_tests::hub::Request;
use kolga_tests::scenario::{SERVER, wiki_platform};
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
use kolga_tests::wiretap::{Speech, Wiretap};
use kolga_tests::worker::command;
use kolga_tests::world::{clear, postgresql};
use serde_json::json;
use sqlx::{ConnectOptions as _, Executor as _};

use super::remote::Lines;
use super::scene::{FILLING, Scene};

/// What goes by on the way when a site is made and filled: accounts, statements and rows.
const SAID: [&str; 6] = [
    "kolga-remote",
    "make_role",
    "k_far_kolga_test",
    "SCRAM-SHA-256",
    "line\\none",
    "SELECT",
];

/// The server offers TLS, for as long as this is there.
struct Offered(Stack);

impl Offered {
    async fn new(stack: &Stack) -> Self {
        set(stack, "ALTER SYSTEM SET ssl = on", "on").await;
        Self(stack.clone())
    }

    async fn end(self) {
        no_longer(&self.0).await;
    }
}

async fn no_longer(stack: &Stack) {
    set(stack, "ALTER SYSTEM RESET ssl", "off").await;
}

async fn set(stack: &Stack, statement: &'static str, wanted: &str) {
    let mut server = postgresql(stack, "postgres").await;
    for statement in [statement, "SELECT pg_reload_conf()"] {
        server.execute(statement).await.expect("it is so");
    }
    until(
        "new connections find it so",
        Duration::from_secs(10),
        async || {
            let mut server = postgresql(stack, "postgres").await;
            let found = sqlx::query_scalar("SHOW ssl").fetch_one(&mut server).await;
            let found: String = found.expect("it says so");
            (found == wanted).then_some(())
        },
    )
    .await;
}

fn checked(stack: &Stack) -> String {
    let said = command(stack, SERVER, &["check"]);
    let said = String::from_utf8([said.stdout, said.stderr].concat()).expect("text");
    let lines = said.lines().filter(|line| line.contains("PostgreSQL"));
    lines.collect::<Vec<_>>().join("\n")
}

fn reached(stack: &Stack, tap: &Wiretap, authority: &Path) -> Stack {
    let stack = stack.with_remote_database(SERVER);
    stack.with_way_to(SERVER, "postgresql", tap.address(), Some(authority))
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn over_tls_who_is_in_between_reads_nothing_and_no_other_server_is_spoken_to() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    // A run that broke off may have left it.
    no_longer(&stack).await;
    let tap = |at| Wiretap::new(at, stack.remote_address("postgresql"), Speech::Postgresql);
    let between = tap(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (right, other) = (stack.authority(), stack.other_authority());
    let whole = reached(&stack, &between, &right);
    let said = checked(&whole);
    assert!(said.contains("does not support TLS"), "{said}");

    let offered = Offered::new(&stack).await;
    let said = checked(&reached(&stack, &between, &other));
    let words = format!("signed by no authority in {}", other.display());
    assert!(said.contains(&words), "{said}");
    let elsewhere = tap(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)));
    let said = checked(&reached(&stack, &elsewhere, &right));
    assert!(said.contains("subjectAltName = IP:127.0.0.2"), "{said}");

    let scene = Scene::new(|_| whole).await;
    let lines = Lines::new(&scene.stack);
    lines.put_for("hostssl", "127.0.0.1/32").await;
    let said = checked(&scene.stack);
    assert!(said.contains("may make databases and users"), "{said}");
    let (host, wiki) = ("far.kolga.test", "wiki.kolga.test");
    let database = scene.install(host, "php").await;
    let mut own = scene.way(host).connect().await.expect("let in");
    own.execute(FILLING).await.expect("filled");
    drop(own);
    let filled = scene.rows(&database);
    let kept = scene.on_site(host, "site.backup", json!({})).await;
    let backup = json!({"backup": kept["backup"]});
    let restored = scene.on_site(host, "site.restore", backup).await;
    let database = restored["database"].as_str().expect("one");
    assert_eq!(scene.rows(database), filled);
    scene.on_site(host, "site.verify", json!({})).await;
    wiki_platform(&scene.hub, &scene.stack).await;
    scene.install(wiki, "mediawiki").await;

    // The server has it, and somebody takes it out of what it says.
    between.strip(true);
    for (host, path) in [(host, "/"), (wiki, "/wiki/Main_Page")] {
        let before = between.stripped();
        let (status, body) = scene.page(host, path).await;
        assert!(status >= 500, "{host}: {status}: {body}");
        assert!(between.stripped() > before, "{host} did not try");
    }
    let task = json!({"kind": "site.backup", "params": {}});
    let task = Request::post(&format!("/v1/sites/{host}/tasks"), task);
    let task = scene.hub.ask(&task).await;
    let ended = scene.hub.ended(&task).await;
    assert_eq!(ended["state"], "failed");
    assert!(ended.to_string().contains("takes TLS out"), "{ended:#}");
    between.strip(false);
    for (host, path) in [(host, "/"), (wiki, "/wiki/Main_Page")] {
        let (status, body) = scene.page(host, path).await;
        assert_eq!(status, 200, "{host}: {body}");
    }
    println!(
        "{} bytes went by, {} requests for TLS were answered with no",
        between.bytes(),
        between.stripped()
    );
    assert!(between.bytes() > 1_000_000, "all went this way");
    for tap in [&between, &elsewhere] {
        assert_eq!(tap.heard(&SAID), [""; 0], "in the clear");
    }
    let site = scene.way(host);
    lines.back(&site).await;
    scene.end(&[host, wiki]).await;
    offered.end().await;
}
