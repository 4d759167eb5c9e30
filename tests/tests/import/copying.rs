//! A shop that Kolga has not made, with a database of its own, becomes a site over the whole system. The worker is killed
//! where it dumps, copies, imports and swaps; the shop stays what it is to the last byte and row, and its password is nowhere.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kolga_protocol::names::Engine;
use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::orders::Hand;
use kolga_tests::scenario::{SERVER, foreign};
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
use kolga_tests::worker::Worker;
use kolga_tests::world::{Watcher, World, clear, maria, postgresql};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};

const HOST: &str = "shop.kolga.test";
/// Nothing that PHP, SQL or an option file would take as it is.
const PASSWORD: &str = "s3cr3t'\"\\ #;$x`%&<";
/// Where a worker that imports out of MariaDB is killed, and where one that does out of PostgreSQL.
const MARIADB: [&str; 7] = [
    "dump_source:made",
    "mariadb:dump",
    "copy_source:folders",
    "copy_source:copied",
    "mariadb:import",
    "applied:import_database",
    "applied:swap_entry",
];
const POSTGRESQL: [&str; 4] = [
    "postgresql:dump",
    "applied:dump_source",
    "postgresql:import",
    "applied:check_served",
];

const PROFILE: &str = r#"
name = "shop"
description = "A shop of an operator's own"
needs = { php = true, database = ["mariadb", "postgresql"] }

[options.table_prefix]
description = "How the names of its tables begin"
default = "shop_"

[[directories]]
path = "private"
mode = "0750"
web = "read"

[[directories]]
path = "docroot"
mode = "0750"
web = "read"

[settings]
path = "private/settings.php"
template = "settings.php"
mode = "0440"

[import]
index = ["config.php"]
copy = [{ to = "docroot" }]
leave_out = ["config.php"]

[import.settings]
file = "config.php"
database = { name = "$db", user = "$user", password = "$password", host = "$host", port = "$port" }
engine = { name = "$sort", mariadb = "mysql", postgresql = "pgsql" }
prefix = { name = "$prefix", option = "table_prefix" }

[vhost]
template = "vhost.conf"

[healthy]
path = "/"
status = 200
"#;

const SETTINGS: &str = "<?php return [{{ database.type|php }}, {{ database.socket|php }}, {{ database.port|php }}, \
    {{ database.name|php }}, {{ database.user|php }}, {{ database.password|php }}, {{ options.table_prefix|php }}];\n";

const VHOST: &str = r"
server {
{%- for address in listen %}
    listen {{ address }};
{%- endfor %}
    server_name {{ host }};
    root {{ site }}/docroot;
    index index.php;
    location ~ \.php$ {
        fastcgi_pass unix:{{ fpm_socket }};
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_param KOLGA_SETTINGS {{ settings }};
{{ fastcgi_params }}
    }
}
";

const PAGE: &str = "<?php
[$sort, $socket, $port, $name, $user, $password, $prefix] = require $_SERVER['KOLGA_SETTINGS'];
$asked = 'SELECT thing FROM ' . $prefix . 'things';
if ($sort === 'postgresql') {
    $database = pg_connect(\"host=127.0.0.1 port=$port dbname=$name user=$user password=$password\");
    $row = pg_fetch_row(pg_query($database, $asked));
} else {
    $row = (new mysqli('localhost', $user, $password, $name, 0, $socket))->query($asked)->fetch_row();
}
echo 'we sell ' . $row[0] . ' out of ' . $name;
";

/// The operator's profile, his shop and its database.
async fn put(stack: &Stack, engine: Engine) {
    let config = stack.spoke(SERVER, "config");
    let profile = config.parent().expect("a folder").join("profiles/shop");
    let shop = foreign::imports(stack).join("shop");
    std::fs::create_dir_all(&profile).expect("a folder");
    std::fs::create_dir_all(shop.join("pictures")).expect("folders");
    let quoted = PASSWORD.replace('\\', "\\\\").replace('\'', "\\'");
    let (sort, port) = match engine {
        Engine::Mariadb => ("mysql", String::new()),
        Engine::Postgresql => ("pgsql", own_port(stack)),
    };
    let settings = format!(
        "<?php\n$db = 'stranger_shop';\n$user = 'stranger_shop';\n$password = '{quoted}';\n$host = 'localhost';\n\
         $prefix = 'shop_';\n$sort = '{sort}';\n$port = '{port}';\n"
    );
    for (path, text) in [
        (profile.join("profile.toml"), PROFILE),
        (profile.join("settings.php"), SETTINGS),
        (profile.join("vhost.conf"), VHOST),
        (shop.join("config.php"), &settings),
        (shop.join("index.php"), PAGE),
        (shop.join("pictures/one.txt"), "a picture"),
    ] {
        std::fs::write(path, text).expect("a file");
    }
    match engine {
        Engine::Mariadb => fill_mariadb(stack, &quoted).await,
        Engine::Postgresql => fill_postgresql(stack).await,
    }
}

/// Where the stack's PostgreSQL listens.
fn own_port(stack: &Stack) -> String {
    let url: reqwest::Url = stack.text("/postgres_url").parse().expect("a URL");
    url.port().expect("a port").to_string()
}

async fn fill_mariadb(stack: &Stack, quoted: &str) {
    let mut server = maria(stack).await;
    for statement in [
        "CREATE DATABASE stranger_shop",
        &format!("CREATE USER stranger_shop@localhost IDENTIFIED BY '{quoted}'"),
        "GRANT ALL ON stranger_shop.* TO stranger_shop@localhost",
        "CREATE TABLE stranger_shop.shop_things (id INT PRIMARY KEY, thing VARCHAR(50))",
        "INSERT INTO stranger_shop.shop_things VALUES (1, 'boats'), (2, 'oars')",
        "CREATE DEFINER=stranger_shop@localhost PROCEDURE stranger_shop.counted() SELECT COUNT(*) FROM stranger_shop.shop_things",
    ] {
        let done = server.execute(AssertSqlSafe(statement.to_owned())).await;
        done.expect(statement);
    }
}

async fn fill_postgresql(stack: &Stack) {
    let quoted = PASSWORD.replace('\'', "''");
    let role = format!("CREATE ROLE stranger_shop LOGIN PASSWORD '{quoted}'");
    for (database, statements) in [
        (
            "postgres",
            [
                role.as_str(),
                "CREATE DATABASE stranger_shop OWNER stranger_shop",
            ],
        ),
        (
            "stranger_shop",
            [
                "SET ROLE stranger_shop; CREATE TABLE shop_things (id INT PRIMARY KEY, thing VARCHAR(50))",
                "INSERT INTO shop_things VALUES (1, 'boats'), (2, 'oars')",
            ],
        ),
    ] {
        let mut server = postgresql(stack, database).await;
        for statement in statements {
            let done = server.execute(AssertSqlSafe(statement.to_owned())).await;
            done.expect(statement);
        }
    }
}

fn import(stack: &Stack, check: bool) -> Request {
    let from = foreign::imports(stack).join("shop");
    let body = json!({"server": SERVER, "from": from, "check": check});
    Request::post(&format!("/v1/sites/{HOST}/import"), body)
}

/// Everything but what each run leaves in the worker's own book-keeping.
fn kept(world: &World) -> World {
    let own = ["journal.sqlite", "process", "descriptor", "queue", "cgroup"];
    world.only(|name| !own.iter().any(|part| name.contains(part)))
}

/// Files below a folder in which this text stands.
fn holding(folder: &Path, text: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("looked");
        if kind.is_dir() {
            found.extend(holding(&path, text));
        } else if kind.is_file() {
            let bytes = std::fs::read(&path).expect("read");
            if bytes.windows(text.len()).any(|part| part == text) {
                found.push(path);
            }
        }
    }
    found
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_shop_with_a_database_becomes_a_site_or_leaves_nothing_wherever_the_worker_is_killed() {
    becomes_a_site_or_leaves_nothing(Engine::Mariadb, &MARIADB).await;
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn so_does_one_whose_database_is_in_postgresql() {
    becomes_a_site_or_leaves_nothing(Engine::Postgresql, &POSTGRESQL).await;
}

async fn becomes_a_site_or_leaves_nothing(engine: Engine, points: &[&str]) {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let imports = foreign::imports(&stack).display().to_string();
    let stack = stack.with_setting(SERVER, "sites", "import_from", vec![imports].into());
    let stack = stack.with_setting(SERVER, "trash", "keep_days", 0.into());
    put(&stack, engine).await;
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let mut hand = Hand::new();
    hand.calm();
    let mut worker = Worker::start(&stack, SERVER, &hand.orders()).await;
    let mut watcher = Watcher::new(&stack, SERVER, &[HOST]);

    let task = hub.ask(&import(&stack, true)).await;
    let checked = hub.succeeds(&task).await;
    let will = checked["output"]["plan"].to_string();
    assert!(will.contains("copy the database stranger_shop"), "{will}");
    // The first task of all makes folders that stay.
    hub.succeeds(&hub.ask(&import(&stack, false)).await).await;
    hub.succeeds(&hub.delete(HOST).await).await;
    worker.rests().await;
    let before = kept(&watcher.rest().await);

    let mut killed = 0;
    for &point in points {
        hand.give(&format!("kill@{point}"));
        let task = hub.ask(&import(&stack, false)).await;
        until(
            "the worker is killed",
            Duration::from_secs(60),
            async || worker.ended().map(|_| ()),
        )
        .await;
        assert_eq!(hand.killed_at().as_deref(), Some(point));
        killed += 1;
        hand.calm();
        worker = Worker::start(&stack, SERVER, &hand.orders()).await;
        let ended = hub.ended(&task).await;
        assert_eq!(ended["state"], "interrupted", "{point}: {ended:#}");
        worker.rests().await;
        let changed = before.difference(&kept(&watcher.rest().await));
        assert!(changed.is_empty(), "{point}: {changed:#?}");
        let (status, _) = hub.request("GET", &format!("/v1/sites/{HOST}"), None).await;
        assert_eq!(status, 404, "{point}: nothing was made");
    }
    println!("killed at {killed} points");
    assert_eq!(killed, points.len());

    let task = hub.ask(&import(&stack, false)).await;
    let made = hub.succeeds(&task).await;
    let database = made["output"]["database"].as_str().expect("it has one");
    let page = page(&stack).await;
    assert_eq!(page, format!("we sell boats out of {database}"));
    worker.rests().await;
    let after = kept(&watcher.rest().await);
    let strangers = |name: &str| name.contains("stranger") || name.contains("/imports");
    let changed = before.only(strangers).difference(&after.only(strangers));
    assert!(
        before.only(strangers).len() > 5 && changed.is_empty(),
        "{changed:#?}"
    );
    let shown = hub.get(&format!("/v1/sites/{HOST}")).await;
    assert_eq!(shown["profile"], "shop", "{shown:#}");
    let chosen = (engine == Engine::Postgresql).then_some("postgresql");
    assert_eq!(shown["options"]["database"].as_str(), chosen, "{shown:#}");
    assert!(!format!("{made}{:?}", hub.log(&task).await).contains("s3cr3t"));
    for folder in [&stack.spoke(SERVER, "state_dir"), hub.folder()] {
        let found = holding(folder, b"s3cr3t");
        assert!(found.is_empty(), "{found:?}");
    }
    let verified: Value = hub
        .succeeds(&hub.task(SERVER, "site.verify", json!({"site": HOST})).await)
        .await;
    assert_eq!(verified["output"]["changes"], json!([]), "{verified:#}");
    hub.succeeds(&hub.delete(HOST).await).await;
    worker.stop().await;
    let config = stack.spoke(SERVER, "config");
    let profile = config.parent().expect("a folder").join("profiles/shop");
    std::fs::remove_dir_all(profile).expect("taken away");
    clear(&stack, SERVER).await;
}

async fn page(stack: &Stack) -> String {
    let url = format!("http://127.0.0.1:{}/", stack.http_port(SERVER));
    let asked = reqwest::Client::new().get(url).header("host", HOST);
    asked
        .send()
        .await
        .expect("an answer")
        .text()
        .await
        .expect("text")
}
