//! A MediaWiki in PostgreSQL does all that one in MariaDB does, and one that Kolga has not made becomes a site.

use kolga_tests::hub::Request;
use kolga_tests::scenario::{self, SERVER, foreign, newer_mediawiki};
use kolga_tests::world::postgresql;
use serde_json::{Value, json};
use std::process::Command;

use super::scene::Scene;

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_wiki_in_postgresql_does_all_that_one_in_mariadb_does() {
    let scene = Scene::new(|stack| {
        let imports = foreign::imports(&stack);
        std::fs::create_dir_all(&imports).expect("a folder");
        let imports = imports.display().to_string();
        stack.with_setting(SERVER, "sites", "import_from", vec![imports].into())
    })
    .await;
    scenario::wiki_platform(&scene.hub, &scene.stack).await;
    let source = newer_mediawiki(&scene.stack);
    let built = scene.hub.build(SERVER, "next", "mediawiki", &source).await;
    scene.hub.succeeds(&built).await;
    let host = "wiki.kolga.test";
    let first = scene.install(host, "mediawiki").await;
    let port = scene.stack.http_port(SERVER);
    let edit = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{port}/api.php"))
        .header("host", format!("{host}:{port}"))
        .header("content-type", "application/x-www-form-urlencoded")
        // Whoever has not logged in has the token `+\`.
        .body("action=edit&format=json&title=Note&text=Six+times+seven.&token=%2B%5C");
    let edited = edit.send().await.expect("an answer");
    let edited = edited.text().await.expect("text");
    assert!(edited.contains("\"result\":\"Success\""), "{edited}");
    scene.run(&first, "DELETE FROM mediawiki.updatelog").await;

    let moved = scene
        .on_site(host, "site.migrate", json!({"platform": "next"}))
        .await;
    let second = moved["database"].as_str().expect("one").to_owned();
    let (status, page) = scene.page(host, "/wiki/Note").await;
    assert!(
        status == 200 && page.contains("Six times seven"),
        "{status} {page}"
    );
    let copied = scene
        .on_site(host, "site.clone", json!({"to": "copy.kolga.test"}))
        .await;
    let (status, page) = scene.page("copy.kolga.test", "/wiki/Note").await;
    assert!(
        status == 200 && page.contains("Six times seven"),
        "{status} {page}"
    );
    // Nobody's token is what it was, and the administrator has another password.
    let mut tokens = Vec::new();
    for database in [&*second, copied["database"].as_str().expect("one")] {
        let mut server = postgresql(&scene.stack, database).await;
        let asked =
            r#"SELECT user_name, user_token, user_password FROM mediawiki."user" ORDER BY user_id"#;
        let rows: Vec<(String, String, String)> = sqlx::query_as(asked)
            .fetch_all(&mut server)
            .await
            .expect("accounts");
        assert!(rows.iter().any(|(name, ..)| name == "Admin"), "{rows:?}");
        tokens.push(rows);
    }
    assert!(tokens[1].iter().all(|(_, token, _)| token.len() == 32));
    for (one, other) in tokens[0].iter().zip(&tokens[1]) {
        assert!(one.0 == other.0 && one.1 != other.1, "{one:?} {other:?}");
        assert!(one.0 != "Admin" || one.2 != other.2);
    }
    scene
        .on_site(host, "site.run", json!({"command": "update_database"}))
        .await;
    let cookies = scene.log_in(host).await;
    let (status, page) = scene
        .page_as(host, "/index.php?title=Special:Preferences", &cookies)
        .await;
    assert!(
        status == 200 && page.contains("mw-input-wpusername"),
        "{status} {page}"
    );
    let jobs = async |database: &str| -> i64 {
        let mut server = postgresql(&scene.stack, database).await;
        let asked = sqlx::query_scalar("SELECT count(*) FROM mediawiki.job");
        asked.fetch_one(&mut server).await.expect("a number")
    };
    assert!(jobs(&second).await > 0, "what the edit has put off");
    scene.cron(host);
    assert_eq!(jobs(&second).await, 0);

    let filled = scene.pages(&second).await;
    let backup = scene.on_site(host, "site.backup", json!({})).await;
    let damage = "DELETE FROM mediawiki.page; DELETE FROM mediawiki.revision; DROP TABLE mediawiki.site_stats";
    scene.run(&second, damage).await;
    let (_, page) = scene.page(host, "/wiki/Note").await;
    assert!(!page.contains("Six times seven"), "{page}");
    let restored = scene
        .on_site(host, "site.restore", json!({"backup": backup["backup"]}))
        .await;
    let third = restored["database"].as_str().expect("one");
    assert_eq!(scene.pages(third).await, filled);
    let (status, page) = scene.page(host, "/wiki/Note").await;
    assert!(
        status == 200 && page.contains("Six times seven"),
        "{status} {page}"
    );
    scene.on_site(host, "site.verify", json!({})).await;
    becomes_a_site(&scene, third).await;
    scene.end(&[host, "copy.kolga.test"]).await;
}

/// Another wiki that Kolga has not made, with the rows of this one, is taken over by copy, or refused with all that is in the
/// way; it stays what it was.
async fn becomes_a_site(scene: &Scene, of: &str) {
    const PASSWORD: &str = "s3cr3t'\"\\ #;$x`%&<";
    let (host, named) = ("taken.kolga.test", "stranger_wiki");
    let folder = foreign::imports(&scene.stack).join("wiki");
    let code = scene.stack.spoke(SERVER, "platforms").join("mw/code");
    for file in [
        "index.php",
        "load.php",
        "includes/Setup.php",
        "includes/Defines.php",
        "maintenance/install.php",
        "skins/Vector/skin.json",
    ] {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::copy(code.join(file), path).expect("MediaWiki's");
    }
    std::fs::create_dir_all(folder.join("images/a/ab")).expect("folders");
    std::fs::write(folder.join("images/a/ab/Boat.png"), "a boat").expect("a file");
    let quoted = PASSWORD.replace('\'', "''");
    let role = format!("CREATE ROLE {named} LOGIN PASSWORD '{quoted}'");
    scene.run("postgres", &role).await;
    let made = format!("CREATE DATABASE {named} OWNER {named}");
    scene.run("postgres", &made).await;
    let rows = format!("SET SESSION AUTHORIZATION {named};\n{}", scene.rows(of));
    let file = foreign::imports(&scene.stack).join("rows.sql");
    std::fs::write(&file, rows).expect("a file");
    let filled = Command::new("/usr/bin/psql")
        .args(["--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-d"])
        .arg(scene.url(named))
        .arg("-f")
        .arg(&file)
        .output()
        .expect("psql runs");
    assert!(filled.status.success(), "{filled:?}");
    std::fs::remove_file(file).expect("removed");
    let settings = |more: &str| {
        let quoted = PASSWORD.replace('\\', "\\\\").replace('\'', "\\'");
        let url: reqwest::Url = scene.url(named).parse().expect("a URL");
        let port = url.port().expect("a port");
        let text = format!(
            "<?php\n$wgSitename = 'The old harbour';\n$wgLanguageCode = 'en';\n$wgDBtype = 'postgres';\n\
             $wgDBserver = 'localhost';\n$wgDBport = '{port}';\n$wgDBname = '{named}';\n$wgDBuser = '{named}';\n\
             $wgDBpassword = '{quoted}';\n$wgDBmwschema = 'mediawiki';\n{more}"
        );
        std::fs::write(folder.join("LocalSettings.php"), text).expect("a file");
    };
    let import = async |options: Value| {
        let body =
            json!({"server": SERVER, "from": folder, "platform": "next", "options": options});
        let asked = Request::post(&format!("/v1/sites/{host}/import"), body);
        scene.hub.ended(&scene.hub.ask(&asked).await).await
    };
    let before = (scene.rows(named), scene.standing(named).await);
    settings("$wgDBprefix = 'x_';\n$wgUploadDirectory = '/srv/files';\n");
    let locked =
        "CREATE TABLE mediawiki.locked (id INT); REVOKE ALL ON mediawiki.locked FROM PUBLIC";
    scene.run(named, locked).await;
    let refused = import(json!({"database": "mariadb"})).await;
    let told = refused["failure"]["message"].as_str().unwrap_or_default();
    for wanted in [
        "may not read mediawiki.locked",
        "$wgDBprefix to \"x_\", and in PostgreSQL",
        "$wgUploadDirectory",
        "leave database=mariadb out",
    ] {
        assert!(told.contains(wanted), "{wanted}: {refused:#}");
    }
    assert_eq!(
        refused["failure"]["step"],
        Value::Null,
        "before its first step"
    );
    scene.run(named, "DROP TABLE mediawiki.locked").await;
    settings("$wgDBport = '1';\n");
    let refused = import(json!({})).await;
    let told = refused["failure"]["message"].as_str().unwrap_or_default();
    assert!(told.contains("$wgDBport"), "{refused:#}");

    settings("");
    let made = import(json!({})).await;
    assert_eq!(made["state"], "succeeded", "{made:#}");
    let options = &made["output"]["options"];
    assert_eq!(
        (&options["database"], &options["title"]),
        (&json!("postgresql"), &json!("The old harbour"))
    );
    let database = made["output"]["database"].as_str().expect("one");
    assert_eq!(scene.pages(database).await, scene.pages(named).await);
    let (status, page) = scene.page(host, "/wiki/Note").await;
    assert!(
        status == 200 && page.contains("Six times seven") && page.contains("The old harbour"),
        "{status} {page}"
    );
    assert_eq!(
        scene.page(host, "/images/a/ab/Boat.png").await,
        (200, "a boat".to_owned())
    );
    let verified = scene.on_site(host, "site.verify", json!({})).await;
    assert_eq!(verified["changes"], json!([]), "{verified:#}");
    assert_eq!((scene.rows(named), scene.standing(named).await), before);
    scene.hub.succeeds(&scene.hub.delete(host).await).await;
    for statement in [
        format!("DROP DATABASE {named}"),
        format!("DROP ROLE {named}"),
    ] {
        scene.run("postgres", &statement).await;
    }
    std::fs::remove_dir_all(folder).expect("removed");
}
