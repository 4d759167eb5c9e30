//! A MediaWiki that its own installer has made becomes a site over the whole system: its pages, files, title and tables'
//! prefix come along, its settings are read and never run, and it stays what it is. Since its settings say who may read it, the
//! site stays switched off until its operator has seen to that.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use kolga_tests::hub::{Hub, Request, Settings};
use kolga_tests::orders::Hand;
use kolga_tests::scenario::{SERVER, foreign, wiki_platform};
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
use kolga_tests::worker::Worker;
use kolga_tests::world::{Watcher, World, clear, maria};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};

const HOST: &str = "wiki.kolga.test";
/// Nothing that PHP, SQL or an option file would take as it is.
const PASSWORD: &str = "s3cr3t'\"\\ #;$x`%&<";
const PAGE: &str = "The harbour is open at night.";

struct Wiki {
    folder: PathBuf,
    socket: String,
}

impl Wiki {
    /// Installed by MediaWiki itself, with a page and a file.
    async fn new(stack: &Stack) -> Self {
        let folder = foreign::imports(stack).join("wiki");
        std::fs::create_dir_all(&folder).expect("a folder");
        let code = format!("{}/lean-mediawiki.tar.zst", stack.text("/sources"));
        let mut tar = Command::new("/bin/tar");
        tar.args(["--zstd", "-xf", &code, "-C"]).arg(&folder);
        assert!(tar.status().expect("tar runs").success());
        let quoted = PASSWORD.replace('\\', "\\\\").replace('\'', "\\'");
        let mut server = maria(stack).await;
        for statement in [
            "CREATE DATABASE stranger_wiki",
            &format!("CREATE USER stranger_wiki@localhost IDENTIFIED BY '{quoted}'"),
            "GRANT ALL ON stranger_wiki.* TO stranger_wiki@localhost",
        ] {
            let done = server.execute(AssertSqlSafe(statement.to_owned())).await;
            done.expect(statement);
        }
        let wiki = Self {
            folder,
            socket: stack.text("/mariadb_socket").to_owned(),
        };
        let dbpass = format!("--dbpass={PASSWORD}");
        let words = [
            "--dbtype=mysql",
            "--dbserver=localhost",
            "--dbname=stranger_wiki",
            "--dbuser=stranger_wiki",
            &dbpass,
            "--dbprefix=old_",
            "--server=http://old.example.org",
            "--scriptpath=/w",
            "--lang=en",
            "--pass=correct horse battery",
            "--",
            "The old harbour",
            "Admin",
        ];
        wiki.php("install.php", &words, "");
        wiki.php("edit.php", &["--user=Admin", "Harbour"], PAGE);
        let files = wiki.folder.join("images/a/ab");
        std::fs::create_dir_all(&files).expect("folders");
        std::fs::write(files.join("Boat.png"), "a boat").expect("a file");
        wiki
    }

    fn php(&self, script: &str, words: &[&str], stdin: &str) {
        let mut child = Command::new("/usr/bin/php")
            .arg("-d")
            .arg(format!("mysqli.default_socket={}", self.socket))
            .arg(self.folder.join("maintenance").join(script))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("php runs");
        let mut pipe = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut pipe, stdin.as_bytes()).expect("it reads");
        drop(pipe);
        let said = child.wait_with_output().expect("it ends");
        assert!(said.status.success(), "{script}: {said:?}");
    }

    fn add_to_settings(&self, text: &str) {
        let file = self.folder.join("LocalSettings.php");
        let mut settings = std::fs::read_to_string(&file).expect("its installer has written it");
        settings.push_str(text);
        std::fs::write(file, settings).expect("written");
    }
}

fn import(stack: &Stack, more: Value) -> Request {
    let from = foreign::imports(stack).join("wiki");
    let mut body = json!({"server": SERVER, "from": from, "platform": "mw"});
    let fields = more.as_object().expect("fields").clone();
    body.as_object_mut().expect("fields").extend(fields);
    Request::post(&format!("/v1/sites/{HOST}/import"), body)
}

/// What a visitor gets.
async fn get(stack: &Stack, path: &str) -> (u16, String) {
    let url = format!("http://127.0.0.1:{}{path}", stack.http_port(SERVER));
    let asked = reqwest::Client::new().get(url).header("host", HOST);
    let answer = asked.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.text().await.expect("text"))
}

fn strangers(world: &World) -> World {
    world.only(|name| name.contains("stranger") || name.contains("/imports"))
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_wiki_becomes_a_site_and_stays_off_until_its_operator_has_said_who_may_read_it() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let imports = foreign::imports(&stack);
    std::fs::create_dir_all(&imports).expect("a folder");
    let shown = imports.display().to_string();
    let stack = stack.with_setting(SERVER, "sites", "import_from", vec![shown].into());
    let stack = stack.with_setting(SERVER, "trash", "keep_days", 0.into());
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let mut hand = Hand::new();
    hand.calm();
    let worker = Worker::start(&stack, SERVER, &hand.orders()).await;
    wiki_platform(&hub, &stack).await;
    let wiki = Wiki::new(&stack).await;
    let mut watcher = Watcher::new(&stack, SERVER, &[HOST]);
    let checked = hub
        .succeeds(&hub.ask(&import(&stack, json!({"check": true}))).await)
        .await;
    let will = checked["output"]["plan"].to_string();
    for part in [
        "copy the database stranger_wiki",
        "which are not taken over: $wg",
        "$wgEmergencyContact",
        "serve it at",
    ] {
        assert!(will.contains(part), "{part}: {will}");
    }
    for known in ["$wgSecretKey", "$wgDBname", "$wgSitename"] {
        assert!(!will.contains(known), "{known}: {will}");
    }
    // Who may do what is not taken over, so nobody sees it before an operator has said that anew.
    wiki.add_to_settings(
        "$wgGroupPermissions['*']['read'] = false;\nwfLoadExtension('Lockdown');\n",
    );
    let before = strangers(&watcher.rest().await);
    assert!(before.len() > 100, "there is a wiki: {}", before.len());
    let task = hub.ask(&import(&stack, json!({}))).await;
    let made = hub.succeeds(&task).await;
    assert_eq!(made["output"]["profile"], "mediawiki", "{made:#}");
    let options = &made["output"]["options"];
    let told = |name: &str| options[name].as_str().expect("an option");
    let wanted = ("The old harbour", "old_", "en");
    assert_eq!(
        (told("title"), told("table_prefix"), told("language")),
        wanted
    );
    assert_eq!(made["output"]["enabled"], false, "{made:#}");
    let will = made["output"]["plan"].to_string();
    let off = "leave it switched off: LocalSettings.php sets $wgGroupPermissions";
    assert!(will.contains(off), "{will}");
    assert!(
        will.contains("LocalSettings.php loads Lockdown: "),
        "{will}"
    );
    assert!(!format!("{made}{:?}", hub.log(&task).await).contains("s3cr3t"));
    let (_, page) = get(&stack, "/wiki/Harbour").await;
    assert!(!page.contains(PAGE), "{page}");

    let own = stack.spoke(SERVER, "sites_root").join(HOST);
    let own = own.join("private/local.php");
    let says = |read: bool| {
        let text = format!("<?php\n$wgGroupPermissions['*']['read'] = {read};\n");
        std::fs::write(&own, text).expect("written, as an operator does it on the spoke");
    };
    says(false);
    hub.succeeds(&hub.task(SERVER, "site.enable", json!({"site": HOST})).await)
        .await;
    let (_, page) = get(&stack, "/wiki/Harbour").await;
    let is_closed = !page.contains(PAGE) && page.contains("The old harbour");
    assert!(is_closed, "{page}");
    says(true);
    // php-fpm looks at its files now and then.
    let page = until(
        "everybody may read it",
        Duration::from_secs(30),
        async || {
            let (_, page) = get(&stack, "/wiki/Harbour").await;
            page.contains(PAGE).then_some(page)
        },
    )
    .await;
    assert!(page.contains("The old harbour"), "{page}");
    assert!(!page.contains("old.example.org"), "{page}");
    let boat = get(&stack, "/images/a/ab/Boat.png").await;
    assert_eq!(boat, (200, "a boat".to_owned()));
    let verified = hub.task(SERVER, "site.verify", json!({"site": HOST})).await;
    let verified = hub.succeeds(&verified).await;
    assert_eq!(verified["output"]["changes"], json!([]), "{verified:#}");
    worker.rests().await;
    let changed = before.difference(&strangers(&watcher.rest().await));
    assert!(changed.is_empty(), "{changed:#?}");

    // What is kept elsewhere, or in another sort of database, is none.
    wiki.add_to_settings("$wgUploadDirectory = '/srv/files'; $wgDBtype = 'sqlite';\n");
    hub.succeeds(&hub.delete(HOST).await).await;
    let ended = hub.ended(&hub.ask(&import(&stack, json!({}))).await).await;
    let said = ended["failure"]["message"].as_str().expect("it failed");
    assert!(
        said.contains("sets $wgUploadDirectory") && said.contains("$wgDBtype"),
        "{said}"
    );
    worker.stop().await;
    clear(&stack, SERVER).await;
}
