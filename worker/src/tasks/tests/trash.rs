//! What goes by age, against the real services: a site that lies in the trash is a folder, secrets, a database and its user.

use kolga_protocol::id::UnixMillis;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, MySqlConnection};

use super::*;
use crate::trash::{Item, sweep};

const DAYS: u32 = 14;
const DAY: i64 = 24 * 60 * 60 * 1000;

/// A site of this name that is in the trash: its item.
async fn deleted(scene: &mut Scene, host: &str) -> Item {
    let install = json!({"site": host, "profile": "php"});
    let delete = json!({"site": host, "no_backup": true});
    for (kind, params) in [("site.install", install), ("site.delete", delete)] {
        scene.next_task();
        scene.carry_out(&Scene::params(kind, params)).await;
    }
    let trash = &scene.cx.spoke.trash;
    trash.find(scene.cx.run.task).expect("it is there")
}

/// Which of an item's folder, secrets, database and user are there.
async fn parts(scene: &Scene, item: &Item) -> [bool; 4] {
    let mariadb = scene.cx.spoke.need_mariadb().expect("there is one");
    let database = item.entry.database.as_ref().expect("it has one");
    let (sites, state) = (scene.scratch.path().join("sites"), scene.scratch.path());
    let secrets = state.join(format!("state/trash/{}.secrets", item.run));
    [
        sites.join(".trash").join(item.run.to_string()).is_dir(),
        secrets.is_file(),
        mariadb.has_database(database).await.expect("asked"),
        mariadb.has_user(database).await.expect("asked"),
    ]
}

/// A connection that may do everything.
async fn administrator(scene: &Scene) -> MySqlConnection {
    let mariadb = scene.cx.spoke.need_mariadb().expect("there is one");
    let options = mariadb.server().options().username("root");
    options.connect().await.expect("it is let in")
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn what_is_old_enough_goes_with_its_database_and_neither_a_younger_one_nor_anothers() {
    let scratch = Scratch::new();
    let mut config = stack_config();
    config.trash.keep_days = DAYS;
    let mut scene = Scene::on("swept", scratch, config);
    let host = scene.host.clone();
    let (old, young, taken) = (host.clone(), format!("a-{host}"), format!("b-{host}"));
    let mut old = deleted(&mut scene, &old).await;
    let young = deleted(&mut scene, &young).await;
    let mut taken = deleted(&mut scene, &taken).await;
    for item in [&old, &young, &taken] {
        assert_eq!(parts(&scene, item).await, [true; 4], "{}", item.entry.host);
    }
    let now = UnixMillis::now();
    for item in [&mut old, &mut taken] {
        item.at = UnixMillis(now.0 - i64::from(DAYS) * DAY);
        scene.cx.spoke.trash.keep(item).expect("aged");
    }
    // One of the databases is not the one any more that was deleted.
    let name = taken.entry.database.clone().expect("it has one");
    let mut root = administrator(&scene).await;
    let mark = format!("ALTER DATABASE `{name}` COMMENT 'somebody else'");
    root.execute(AssertSqlSafe(mark)).await.expect("marked");

    for _twice in 0..2 {
        sweep::once(&scene.cx.spoke, now).await;
        assert_eq!(parts(&scene, &old).await, [false; 4]);
        assert_eq!(parts(&scene, &young).await, [true; 4]);
        assert_eq!(parts(&scene, &taken).await, [false, false, true, true]);
        let left = scene.cx.spoke.trash.list().expect("read");
        assert_eq!(left, std::slice::from_ref(&young));
    }
    let drop = format!("DROP DATABASE `{name}`");
    root.execute(AssertSqlSafe(drop)).await.expect("tidied up");
    let drop = format!("DROP USER `{name}`@localhost");
    root.execute(AssertSqlSafe(drop)).await.expect("tidied up");

    // A day before its time, and when it has come.
    let last = |days: u32| UnixMillis(young.at.0 + i64::from(days) * DAY);
    sweep::once(&scene.cx.spoke, last(DAYS - 1)).await;
    assert_eq!(parts(&scene, &young).await, [true; 4]);
    sweep::once(&scene.cx.spoke, last(DAYS)).await;
    assert_eq!(parts(&scene, &young).await, [false; 4]);
}
