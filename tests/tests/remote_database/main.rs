//! Sites whose database server is, as it seems to their spoke, on another machine: reached by address and password, not
//! over a socket. Everything that touches a database goes there, and a site's user is let in from its own spoke alone; over
//! TLS, where an authority is named, and then over nothing else and to nobody else, whoever is in between.

mod mending;

use std::net::{IpAddr, Ipv4Addr};
use std::process::Command;

use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::scenario::{self, SERVER, wiki_platform};
use kolga_tests::stack::Stack;
use kolga_tests::wiretap::{Speech, Wiretap};
use kolga_tests::worker::{Orders, Worker, command};
use kolga_tests::world::{clear, maria, offer_tls};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// What goes by on the way when a site is made and filled: the account, the site's password, and rows.
const SAID: [&str; 4] = [
    "kolga-remote",
    "IDENTIFIED BY",
    "k_php_kolga_test",
    "a row of a tenant",
];

fn tapped(stack: &Stack, at: IpAddr) -> Wiretap {
    Wiretap::new(at, stack.remote_address("mariadb"), Speech::Mariadb)
}

/// What `kolga-worker check` says of the server.
fn checked(stack: &Stack) -> String {
    let said = command(stack, SERVER, &["check"]);
    let said = String::from_utf8([said.stdout, said.stderr].concat()).expect("text");
    let lines = said.lines().filter(|line| line.contains("MariaDB"));
    lines.collect::<Vec<_>>().join("\n")
}

async fn page(stack: &Stack, host: &str) -> (u16, String) {
    let port = stack.http_port(SERVER);
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let asked = client
        .build()
        .expect("a client")
        .get(format!("http://127.0.0.1:{port}/"))
        .header("host", format!("{host}:{port}"));
    let answer = asked.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

/// For as long as this is there, the server lets nobody in who comes over a network without TLS.
struct Required(Stack);

impl Required {
    async fn new(stack: &Stack) -> Self {
        let mut server = maria(stack).await;
        let done = server.execute("SET GLOBAL require_secure_transport = ON");
        done.await.expect("it is so");
        Self(stack.clone())
    }
}

impl Drop for Required {
    fn drop(&mut self) {
        let socket = format!("--socket={}", self.0.text("/mariadb_socket"));
        let done = Command::new("/usr/bin/mariadb")
            .args(["--no-defaults", &socket, "--user=root"])
            .arg("--execute=SET GLOBAL require_secure_transport = OFF")
            .status();
        assert!(done.is_ok_and(|done| done.success()), "others need it so");
    }
}

async fn on_site(hub: &Hub, host: &str, kind: &str, params: Value) -> Value {
    let body = json!({"kind": kind, "params": params});
    let request = Request::post(&format!("/v1/sites/{host}/tasks"), body);
    hub.succeeds(&hub.ask(&request).await).await["output"].clone()
}

/// Something that a site's application could have written.
async fn fill(stack: &Stack, database: &str) {
    let row = SAID[3];
    for statement in [
        format!("CREATE TABLE `{database}`.notes (text TEXT)"),
        format!("INSERT INTO `{database}`.notes VALUES ('{row}')"),
    ] {
        let done = maria(stack).await.execute(AssertSqlSafe(statement)).await;
        done.expect("written");
    }
}

/// The users that sites have, each with the machine that it may come from.
async fn users(stack: &Stack) -> Vec<(String, String)> {
    let all = "SELECT user, host FROM mysql.user WHERE user LIKE 'k\\_%' ORDER BY user";
    let rows = sqlx::query(all).fetch_all(&mut maria(stack).await).await;
    let text = |row: &sqlx::mysql::MySqlRow, at| row.get_unchecked::<String, _>(at);
    let rows = rows.expect("a list");
    rows.iter()
        .map(|row| (text(row, 0), text(row, 1)))
        .collect()
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_database_on_another_machine_serves_sites_through_their_whole_life_and_who_is_in_between_reads_nothing()
 {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let required = Required::new(&stack).await;
    let tap = tapped(&stack, LOCAL);
    let remote = stack.with_remote_database(SERVER);
    let other = stack.remote_address("postgresql");
    let other = Wiretap::new(LOCAL, other, Speech::Postgresql);
    offer_tls(&stack, true).await;
    let authority = stack.authority();
    let stack = remote
        .with_way_to(SERVER, "mariadb", tap.address(), Some(&authority))
        .with_way_to(SERVER, "postgresql", other.address(), Some(&authority));
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let worker = Worker::start(&stack, SERVER, &Orders::default()).await;
    let said = checked(&stack);
    assert!(said.contains("may make databases and users"), "{said}");

    scenario::platform(&hub).await;
    wiki_platform(&hub, &stack).await;
    let sites = [
        ("php.kolga.test", "php", None),
        ("blog.kolga.test", "wordpress", Some("wp")),
        ("wiki.kolga.test", "mediawiki", Some("mw")),
    ];
    // Each answers over HTTP before its installation counts, and asks its database for that.
    for (host, profile, platform) in sites {
        hub.succeeds(&hub.install(SERVER, host, profile, platform).await)
            .await;
    }
    let site = json!({
        "host": "wiki2.kolga.test", "server": SERVER, "profile": "mediawiki", "platform": "mw", "aliases": [],
        "options": {"database": "postgresql"},
    });
    let task = hub.ask(&Request::post("/v1/sites", site)).await;
    hub.succeeds(&task).await;
    let made = users(&stack).await;
    assert_eq!(made.len(), sites.len(), "{made:?}");
    assert!(made.iter().all(|(_, from)| from == "127.0.0.1"), "{made:?}");

    let database = &made[1].0;
    assert!(database.starts_with("k_php_kolga_test"), "{made:?}");
    fill(&stack, database).await;
    mending::are_mended(&hub, &stack, "php.kolga.test").await;
    let kept = on_site(&hub, "php.kolga.test", "site.backup", json!({})).await;
    let backup = json!({"backup": kept["backup"]});
    on_site(&hub, "php.kolga.test", "site.restore", backup).await;
    on_site(
        &hub,
        "blog.kolga.test",
        "site.clone",
        json!({"to": "copy.kolga.test"}),
    )
    .await;
    on_site(
        &hub,
        "copy.kolga.test",
        "site.migrate",
        json!({"host": "moved.kolga.test"}),
    )
    .await;
    let now = users(&stack).await;
    let is_of = |site: &str| now.iter().any(|(user, _)| user.starts_with(site));
    assert!(
        is_of("k_moved_kolga_test_") && !is_of("k_copy_kolga_test_"),
        "{now:?}"
    );

    // Somebody takes TLS out of what the server offers: its pages fail, and nothing is said that he could hear.
    let hosts = [
        ("php.kolga.test", &tap),
        ("moved.kolga.test", &tap),
        ("wiki.kolga.test", &tap),
        ("wiki2.kolga.test", &other),
    ];
    for (host, tap) in hosts {
        let before = tap.stripped();
        tap.strip(true);
        let (status, body) = page(&stack, host).await;
        assert!(status >= 500, "{host}: {status}: {body}");
        assert!(tap.stripped() > before, "{host} did not try");
        tap.strip(false);
        let (status, body) = page(&stack, host).await;
        assert!(status < 400, "{host}: {status}: {body}");
    }

    for host in [
        "php.kolga.test",
        "blog.kolga.test",
        "wiki.kolga.test",
        "wiki2.kolga.test",
        "moved.kolga.test",
    ] {
        hub.succeeds(&hub.delete(host).await).await;
    }
    assert_eq!(users(&stack).await, []);
    worker.stop().await;
    drop(required);
    offer_tls(&stack, false).await;
    println!(
        "{} bytes went by, {} offers of TLS were taken out",
        tap.bytes(),
        tap.stripped()
    );
    assert!(tap.bytes() > 1_000_000, "all went this way");
    let more = ["wp_posts", "Hello world", "CREATE TABLE", "SELECT"];
    let words = [&SAID[..], &more, &["k_wiki2_kolga_test", "make_role"]].concat();
    for tap in [tap, other] {
        assert!(tap.bytes() > 100_000 && tap.stripped() > 0);
        assert_eq!(tap.heard(&words), [""; 0], "in the clear");
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn without_an_authority_what_the_worker_says_goes_in_the_clear_as_this_is_able_to_hear() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let tap = tapped(&stack, LOCAL);
    let remote = stack.with_remote_database(SERVER);
    // It makes an account and a database, and drops them.
    let said = checked(&remote.with_way_to(SERVER, "mariadb", tap.address(), None));
    assert!(said.contains("may make databases and users"), "{said}");
    let words = ["kolga-remote", "IDENTIFIED BY", "k_probe_", "SELECT"];
    assert_eq!(tap.heard(&words), words);
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_server_that_is_not_the_one_whose_authority_is_named_is_told_nothing() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let tap = tapped(&stack, LOCAL);
    let remote = stack.with_remote_database(SERVER);
    let at = |tap: &Wiretap, authority| {
        remote.with_way_to(SERVER, "mariadb", tap.address(), Some(authority))
    };
    let (right, other) = (stack.authority(), stack.other_authority());

    let stranger = at(&tap, &other);
    let hub = Hub::with_servers(&stranger, &Settings::default(), &[SERVER]).await;
    let worker = Worker::start(&stranger, SERVER, &Orders::default()).await;
    let said = checked(&stranger);
    let words = format!("signed by no authority in {}", other.display());
    assert!(said.contains(&words), "{said}");
    let task = hub.install(SERVER, "php.kolga.test", "php", None).await;
    let ended = hub.ended(&task).await;
    assert_eq!(ended["state"], "failed");
    assert!(ended.to_string().contains(&words), "{ended:#}");
    let folder = stack.spoke(SERVER, "sites_root").join("php.kolga.test");
    assert!(!folder.exists() && users(&stack).await.is_empty());
    worker.stop().await;

    // The right server under an address for which its certificate is not.
    let elsewhere = tapped(&stack, IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)));
    let said = checked(&at(&elsewhere, &right));
    assert!(said.contains("subjectAltName = IP:127.0.0.2"), "{said}");

    tap.strip(true);
    let said = checked(&at(&tap, &right));
    assert!(said.contains("takes TLS out"), "{said}");
    // Nor does the program that dumps speak to it, whatever the worker had found before.
    let options = remote.spoke(SERVER, "state_dir").join("dump-by-hand.cnf");
    let (port, file) = (tap.address().port(), right.display());
    let text = format!(
        "[client]\nuser=\"kolga-remote\"\npassword=\"{}\"\nprotocol=TCP\nhost=127.0.0.1\nport={port}\n\
         ssl-ca=\"{file}\"\nssl-verify-server-cert\n",
        stack.text("/mariadb_remote/password")
    );
    std::fs::write(&options, text).expect("written");
    let dump = || {
        let done = Command::new("/usr/bin/mariadb-dump")
            .arg(format!("--defaults-file={}", options.display()))
            .args(["--no-data", "--skip-lock-tables", "mysql", "db"])
            .output();
        let done = done.expect("it runs");
        (
            done.status.success(),
            String::from_utf8_lossy(&done.stderr).into_owned(),
        )
    };
    let (done, said) = dump();
    assert!(!done && said.contains("SSL"), "{said}");
    assert!(tap.stripped() >= 2, "{}", tap.stripped());
    tap.strip(false);
    let (done, said) = dump();
    assert!(done, "{said}");
    std::fs::remove_file(options).expect("removed");
    for tap in [tap, elsewhere] {
        assert!(tap.bytes() > 0);
        assert_eq!(tap.heard(&SAID), [""; 0], "in the clear");
    }
}
