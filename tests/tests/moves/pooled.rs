//! A site that has PHP to itself and its data in PostgreSQL: as whom its PHP runs, whose its files, rows and database are,
//! and that nothing of it is left where it was.

use std::path::PathBuf;

use kolga_tests::furnish::{furnish, looks, write};
use kolga_tests::world::postgresql;
use kolga_worker::files::user_id;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};

use super::scene::{FROM, HEALTHY, Scene, TO};

/// The site.
pub const HOST: &str = "pooled.kolga.test";

/// What an application has: types of every sort, something that reacts, and letters that mean something elsewhere.
const FILLING: &str = "
    CREATE TABLE notes (id SERIAL PRIMARY KEY, text TEXT, bytes BYTEA, sum NUMERIC(20, 4), at TIMESTAMPTZ);
    INSERT INTO notes (text, bytes, sum, at)
    SELECT E'line\\none \\\\. \\\\! \'\'quoted\'\' \u{20ac} ' || n, decode(md5(n::text), 'hex'), n / 7.0, '2020-01-01'::date + n
      FROM generate_series(1, 300) n;
    CREATE VIEW late AS SELECT id FROM notes WHERE id > 200;
    CREATE SCHEMA more;
    CREATE TABLE more.log (id INT);
    CREATE FUNCTION more.note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO more.log VALUES (NEW.id); RETURN NEW; END $$;
    CREATE TRIGGER noted AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION more.note();
    INSERT INTO notes (text) VALUES ('noted');";

/// As whom it runs, and what it can read there.
const WHO: &[u8] =
    b"<?php $is = stat('/proc/self'); $settings = require $_SERVER['KOLGA_SETTINGS'];
echo json_encode(['user' => $is['uid'], 'database' => $settings['database']]);";

/// What it was where it was.
pub struct Pooled {
    files: Vec<(PathBuf, String)>,
    rows: String,
    standing: Standing,
    database: String,
    pool: String,
    password: String,
}

/// Whose a database and its role are, who may get in, and whether the role may log in.
#[derive(Debug, PartialEq, Eq)]
struct Standing {
    owner: String,
    rights: String,
    logs_in: bool,
    tables: i64,
}

impl Pooled {
    /// Makes it.
    pub async fn install(scene: &Scene) -> Self {
        let options = json!({"pool": "own", "database": "postgresql"});
        scene.install_with(FROM, HOST, "php", None, options).await;
        let (folder, own) = (scene.folder(FROM, HOST), scene.stack.uid());
        let pool = pool(scene, FROM);
        let user = user_id(&pool).expect("a user");
        furnish(&folder, own, user);
        write(&folder.join("docroot/who.php"), WHO, 0o640, own);
        let database = scene.database(FROM, HOST);
        let mut server = postgresql(&scene.stack, &database).await;
        let as_itself = format!("SET ROLE \"{database}\";{FILLING}");
        server
            .execute(AssertSqlSafe(as_itself))
            .await
            .expect("filled");
        let told = who(scene, FROM).await;
        assert_eq!(told["user"], user, "{told}");
        Self {
            files: looks(&folder, user),
            rows: rows(scene, &database),
            standing: standing(scene, &database).await,
            password: told["database"]["password"].to_string(),
            database,
            pool,
        }
    }

    /// That it has come over as it was, and that its first server has it in its trash and then not at all.
    pub async fn came(self, scene: &Scene) {
        scene.is_only_on(TO, HOST, HEALTHY).await;
        let there = pool(scene, TO);
        assert_ne!(there, self.pool, "no two servers share a user");
        let user = user_id(&there).expect("a user");
        let files = looks(&scene.folder(TO, HOST), user);
        assert_eq!(files, self.files, "every byte, mode and link");
        let (_, wrote) = scene
            .visitor(TO)
            .get(HOST, "/append.php")
            .await
            .expect("it");
        assert_eq!(wrote, "4", "its PHP may write where it might");

        let database = scene.database(TO, HOST);
        assert_ne!(database, self.database, "both spokes share a server here");
        let told = who(scene, TO).await;
        assert_eq!(told["user"], user, "{told}");
        assert_eq!(told["database"]["type"], "postgresql");
        assert_eq!(told["database"]["name"], json!(database));
        assert_ne!(told["database"]["password"].to_string(), self.password);
        assert_eq!(
            rows(scene, &database).replace(&database, &self.database),
            self.rows,
            "every row"
        );
        let now = standing(scene, &database).await;
        assert_eq!(now.renamed(&database, &self.database), self.standing);

        // What it was can log in no more, and is destroyed with the item of the trash, which keeps its pool.
        let kept = standing(scene, &self.database).await;
        assert!(!kept.logs_in, "{kept:?}");
        let held_by = holders(scene, &self.pool).to_string();
        assert!(held_by.contains("in the trash"), "{held_by}");
        let list = scene.hub.task(FROM, "trash.list", json!({})).await;
        let list = scene.hub.succeeds(&list).await;
        let items = list["output"]["items"].as_array().expect("a list");
        let item = items.iter().find(|item| item["site"]["site"] == HOST);
        let item = item.expect("it is in the trash")["id"].clone();
        let task = scene.hub.task(FROM, "trash.empty", json!({"item": item}));
        scene.hub.succeeds(&task.await).await;
        assert_eq!(named(scene, &self.database).await, 0, "database and role");
        assert_eq!(named(scene, &database).await, 2);
        assert_eq!(holders(scene, &self.pool), json!([]), "free");
        println!(
            "{} paths and {} lines of PostgreSQL are the same, as user {user} on {TO}",
            files.len(),
            self.rows.lines().count()
        );
    }
}

impl Standing {
    fn renamed(self, from: &str, to: &str) -> Self {
        Self {
            owner: self.owner.replace(from, to),
            rights: self.rights.replace(from, to),
            ..self
        }
    }
}

/// The user of its pool, as the spoke's book has it.
fn pool(scene: &Scene, server: &str) -> String {
    let entry = scene.entry(server, HOST).expect("it is there");
    entry["pool"].as_str().expect("a pool").to_owned()
}

/// What its own PHP says.
async fn who(scene: &Scene, server: &str) -> Value {
    let (status, told) = scene
        .visitor(server)
        .get(HOST, "/who.php")
        .await
        .expect("it");
    assert_eq!(status, 200, "{told}");
    serde_json::from_str(&told).expect("JSON")
}

/// Every row, table, view, function and trigger, as text.
fn rows(scene: &Scene, database: &str) -> String {
    let url = scene.stack.text("/postgres_url");
    let (server, _) = url.rsplit_once('/').expect("a database at the end");
    let dumped = std::process::Command::new("/usr/lib/postgresql/15/bin/pg_dump")
        .arg("--inserts")
        .arg(format!("--dbname={server}/{database}"))
        .output()
        .expect("pg_dump runs");
    assert!(dumped.status.success(), "{dumped:?}");
    let text = String::from_utf8(dumped.stdout).expect("text");
    // Another word at each dump, for psql.
    let lines = text.lines().filter(|line| !line.contains("restrict "));
    lines.collect::<Vec<_>>().join("\n")
}

async fn standing(scene: &Scene, database: &str) -> Standing {
    let mut server = postgresql(&scene.stack, database).await;
    let asked = "SELECT pg_get_userbyid(d.datdba)::text, d.datacl::text, r.rolcanlogin,
                        (SELECT count(*) FROM pg_class WHERE relowner = r.oid)
                   FROM pg_database d JOIN pg_authid r ON r.rolname = d.datname WHERE d.datname = $1";
    let row = sqlx::query_as(asked).bind(database).fetch_one(&mut server);
    let (owner, rights, logs_in, tables) = row.await.expect("both are there");
    Standing {
        owner,
        rights,
        logs_in,
        tables,
    }
}

/// Databases and roles of that name.
async fn named(scene: &Scene, name: &str) -> i64 {
    let asked = "SELECT (SELECT count(*) FROM pg_database WHERE datname = $1) + (SELECT count(*) FROM pg_roles WHERE rolname = $1)";
    let mut server = postgresql(&scene.stack, "postgres").await;
    let found = sqlx::query_scalar(asked).bind(name).fetch_one(&mut server);
    found.await.expect("a number")
}

/// Whose a pool of the first server is, as its worker lists them.
fn holders(scene: &Scene, pool: &str) -> Value {
    let listed = kolga_tests::worker::command(&scene.stack, FROM, &["pool", "list", "--json"]);
    assert!(listed.status.success(), "{listed:?}");
    let list: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let mut pools = list.as_array().expect("a list").iter();
    let of_it = pools.find(|of| of["user"] == pool).expect("it is listed");
    of_it["held_by"].clone()
}
