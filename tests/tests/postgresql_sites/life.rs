//! A site in PostgreSQL from its installation to its end.

use kolga_tests::scenario::SERVER;
use kolga_tests::worker::command;
use serde_json::json;
use sqlx::{ConnectOptions as _, Executor as _};

use super::scene::{FILLING, Scene};

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_site_in_postgresql_goes_through_its_whole_life_and_its_neighbour_is_unharmed() {
    let scene =
        Scene::new(|stack| stack.with_setting(SERVER, "trash", "keep_days", 14.into())).await;
    let checked = command(&scene.stack, SERVER, &["check"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{said}");
    for part in ["PostgreSQL account", "pg_dump of version"] {
        assert!(said.contains(part), "{said}");
    }

    let (host, neighbour) = ("life.kolga.test", "neighbour.kolga.test");
    let first = scene.install(host, "php").await;
    let theirs = scene.install(neighbour, "php").await;
    for (host, database) in [(host, &first), (neighbour, &theirs)] {
        // As the site itself, with what its settings tell.
        let mut own = scene.way(host).connect().await.expect("let in");
        own.execute(FILLING).await.expect("filled");
        assert!(scene.rows(database).contains("CREATE TRIGGER noted"));
    }
    let untouched = (scene.rows(&theirs), scene.standing(&theirs).await);
    let refused = scene.way(host).database(&theirs).connect().await;
    let refused = refused.expect_err("another's database").to_string();
    assert!(
        refused.contains("permission denied for database"),
        "{refused}"
    );
    let filled = scene.rows(&first);

    // Out of a backup every row comes back.
    let backup = scene.on_site(host, "site.backup", json!({})).await;
    let backup = backup["backup"].as_str().expect("a backup").to_owned();
    let damage = "DROP TABLE notes CASCADE; CREATE TABLE since (id INT)";
    scene.run(&first, damage).await;
    let restored = scene
        .on_site(host, "site.restore", json!({"backup": backup}))
        .await;
    let second = restored["database"].as_str().expect("one").to_owned();
    assert!(
        second != first && scene.rows(&second) == filled,
        "every row"
    );
    println!(
        "{} lines of the database are as they were",
        filled.lines().count()
    );

    // A copy has all rows, and an account of its own.
    let copied = scene
        .on_site(host, "site.clone", json!({"to": "copy.kolga.test"}))
        .await;
    let copy = copied["database"].as_str().expect("one");
    assert_eq!(scene.rows(copy), filled);
    let refused = scene
        .way("copy.kolga.test")
        .database(&second)
        .connect()
        .await;
    assert!(
        refused.is_err(),
        "a copy does not get at what it was made of"
    );

    // Another name, on and off, looked through.
    let moved = scene
        .on_site(host, "site.migrate", json!({"host": "moved.kolga.test"}))
        .await;
    let host = "moved.kolga.test";
    let third = moved["database"].as_str().expect("one").to_owned();
    assert_eq!(scene.rows(&third), filled);
    scene.on_site(host, "site.disable", json!({})).await;
    scene.on_site(host, "site.enable", json!({})).await;
    let verified = scene.on_site(host, "site.verify", json!({})).await;
    assert_eq!(
        (&verified["changes"], &verified["problems"]),
        (&json!([]), &json!([])),
        "{verified:#}"
    );
    let (status, page) = scene.page(host, "/").await;
    assert!(
        status == 200 && page.contains("made by Kolga"),
        "{status} {page}"
    );

    // Into the trash, where nobody gets at it, and out of it.
    let way = scene.way(host);
    let deleted = scene.hub.delete(host).await;
    scene.hub.succeeds(&deleted).await;
    assert!(way.connect().await.is_err(), "it lies in the trash");
    let listed = scene.hub.task(SERVER, "trash.list", json!({})).await;
    let listed = scene.hub.succeeds(&listed).await;
    let items = listed["output"]["items"].as_array().expect("items");
    let item = items.iter().find(|item| item["id"] == *deleted);
    let item = item.expect("it is there");
    assert_eq!(item["site"]["options"]["database"], "postgresql");
    let back = json!({"item": deleted, "site": item["site"]});
    let back = scene.hub.task(SERVER, "trash.restore", back).await;
    scene.hub.succeeds(&back).await;
    assert_eq!(scene.rows(&third), filled);
    way.connect().await.expect("let in again");

    assert_eq!(
        (scene.rows(&theirs), scene.standing(&theirs).await),
        untouched,
        "the neighbour"
    );
    for host in [host, neighbour, "copy.kolga.test"] {
        scene.hub.succeeds(&scene.hub.delete(host).await).await;
    }
    let empty = scene
        .hub
        .task(SERVER, "trash.empty", json!({"older_than_days": 0}))
        .await;
    scene.hub.succeeds(&empty).await;
    scene.end(&[]).await;
}
