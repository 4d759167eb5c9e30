//! What was there before and is not a task's to touch: neighbours on the same spoke, and strangers that have
//! the very name that a task wants for its own.
//!
//! Neighbours stand beside every try, and the world is compared with them in it. Strangers are planted one by
//! one: the task has to fail at the border, and they come out as they were.

use std::path::PathBuf;

use kolga_protocol::task::Kind;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::hub::{Hub, Request};
use crate::scenario::{SERVER, SPARE, Scenario, platform_name};
use crate::stack::Stack;
use crate::world::{maria, postgresql, reload_web};

/// Names whose answers over HTTP belong to every picture.
pub const HOSTS: &[&str] = &[
    "neighbour-static.kolga.test",
    "neighbour-php.kolga.test",
    "stranger.kolga.test",
    "nobody.kolga.test",
];

/// Sites of Kolga's own, and a folder, a vhost, a database and a user that Kolga knows nothing of.
///
/// # Panics
/// When they cannot be planted.
pub async fn plant(stack: &Stack, hub: &Hub, scenario: Scenario) {
    if scenario.is_on_postgresql() {
        plant_postgresql(stack, hub).await;
    }
    for profile in ["static", "php"] {
        let host = format!("neighbour-{profile}.kolga.test");
        let task = hub.install(SERVER, &host, profile, None).await;
        hub.succeeds(&task).await;
    }
    let places = Places::of(stack, "stranger.kolga.test");
    plant_folder(&places.folder);
    std::fs::write(&places.vhost, vhost(stack, "stranger.kolga.test")).expect("a vhost");
    reload_web(stack, SERVER).await;
    let mut server = maria(stack).await;
    for statement in [
        "CREATE DATABASE IF NOT EXISTS stranger_data COMMENT 'not of Kolga'",
        "CREATE TABLE IF NOT EXISTS stranger_data.things (id INT PRIMARY KEY, what TEXT)",
        "REPLACE INTO stranger_data.things VALUES (1, 'mine'), (2, 'mine too')",
        "CREATE USER IF NOT EXISTS stranger@localhost IDENTIFIED BY 'mine'",
        "GRANT SELECT ON stranger_data.* TO stranger@localhost",
    ] {
        server.execute(statement).await.expect(statement);
    }
}

/// The same in PostgreSQL. Only for tasks that have to do with it: each look at its rows takes time.
async fn plant_postgresql(stack: &Stack, hub: &Hub) {
    let host = "neighbour-postgresql.kolga.test";
    let site = json!({
        "host": host, "server": SERVER, "profile": "php", "options": {"database": "postgresql"},
    });
    let task = hub.ask(&Request::post("/v1/sites", site)).await;
    hub.succeeds(&task).await;
    let mut server = postgresql(stack, "postgres").await;
    for statement in [
        "CREATE ROLE stranger LOGIN PASSWORD 'mine'",
        "COMMENT ON ROLE stranger IS 'not of Kolga'",
        "CREATE DATABASE stranger_data OWNER stranger",
        "COMMENT ON DATABASE stranger_data IS 'not of Kolga'",
    ] {
        server.execute(statement).await.expect(statement);
    }
    let own = entry(stack, host)["database"].clone();
    for database in ["stranger_data", own.as_str().expect("a database")] {
        let mut inside = postgresql(stack, database).await;
        for statement in [
            "CREATE TABLE things (id INT PRIMARY KEY, what TEXT)",
            "INSERT INTO things VALUES (1, 'mine'), (2, 'mine too')",
        ] {
            inside.execute(statement).await.expect(statement);
        }
    }
}

/// Something of the name that a task wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// A folder where the site's would be.
    Folder,
    /// A vhost of the site's name.
    Vhost,
    /// A database of the name that the site's would have.
    Database,
    /// A database user of that name.
    User,
    /// A folder where the platform's would be.
    PlatformFolder,
    /// A folder where a backup is to be extracted.
    ExtractedFolder,
    /// The platform's own folder, marked as somebody else's.
    PlatformOfAnother,
    /// A site that no book tells of, with a link into the platform.
    LinkIntoPlatform,
    /// The site's own folder, marked as somebody else's.
    FolderOfAnother,
    /// The site's own vhost, written by somebody else.
    VhostOfAnother,
    /// The site's own database, marked as somebody else's.
    DatabaseOfAnother,
}

impl Stranger {
    /// All that a scenario can meet.
    #[must_use]
    pub fn of(scenario: Scenario) -> Vec<Self> {
        let mut all = match scenario.kind {
            Kind::Ping
            | Kind::ServerInventory
            | Kind::ServerVerify
            | Kind::ServerPrint
            | Kind::SiteRun
            | Kind::SiteLogin
            | Kind::RecipeList
            | Kind::TrashList
            | Kind::BackupList
            | Kind::BackupVerify
            | Kind::BackupDelete
            | Kind::BackupPrune
            | Kind::SiteBackup
            | Kind::TrashEmpty => vec![],
            // What it may not touch its operator says: tests/tests/recipes/.
            Kind::RecipeRun => vec![],
            Kind::BackupExtract => vec![Self::ExtractedFolder],
            Kind::PlatformBuild => vec![Self::PlatformFolder],
            Kind::PlatformVerify => vec![],
            Kind::PlatformDelete => vec![Self::PlatformOfAnother, Self::LinkIntoPlatform],
            Kind::SiteInstall | Kind::TrashRestore => vec![Self::Folder, Self::Vhost],
            Kind::SiteImport if scenario.copies_a_stranger() => vec![Self::Folder, Self::Vhost],
            Kind::SiteDelete | Kind::SiteVerify | Kind::SiteRestore | Kind::SiteImport => {
                vec![Self::FolderOfAnother, Self::VhostOfAnother]
            }
            Kind::SiteEnable | Kind::SiteDisable | Kind::SiteNames | Kind::SiteHttps => {
                vec![Self::VhostOfAnother]
            }
            Kind::SiteMigrate | Kind::SitePool => {
                vec![Self::FolderOfAnother, Self::VhostOfAnother]
            }
            // A database of that name is in nobody's way: it gets one of another name.
            Kind::SiteReceive => vec![Self::Folder, Self::Vhost],
            Kind::SiteHold => vec![Self::FolderOfAnother, Self::VhostOfAnother],
            Kind::SiteRelease => vec![Self::VhostOfAnother],
            // Of the site that it is made of, and where the copy is to be.
            Kind::SiteClone => vec![Self::FolderOfAnother, Self::Folder, Self::Vhost],
        };
        match scenario.kind {
            Kind::SiteInstall if scenario.database().is_some() => {
                all.extend([Self::Database, Self::User]);
            }
            Kind::SiteImport if scenario.copies_a_stranger() => {
                let database = scenario.database().is_some();
                all.extend(
                    [Self::Database, Self::User]
                        .into_iter()
                        .filter(|_| database),
                );
            }
            Kind::SiteClone if scenario.database().is_some() => {
                all.extend([Self::DatabaseOfAnother, Self::Database, Self::User]);
            }
            Kind::SiteMigrate => {
                // Where it is to be.
                if scenario.new_host().is_some() {
                    all.extend([Self::Folder, Self::Vhost]);
                }
                if scenario.database().is_some() {
                    all.push(Self::DatabaseOfAnother);
                }
            }
            Kind::SiteDelete
            | Kind::SiteVerify
            | Kind::SiteImport
            | Kind::SiteHold
            | Kind::SiteRelease
                if scenario.database().is_some() =>
            {
                all.push(Self::DatabaseOfAnother);
            }
            _ => {}
        }
        all
    }

    /// Puts it there; what takes it away again.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn plant(self, stack: &Stack, scenario: Scenario, number: usize) -> Planted {
        let host = match (self, scenario.new_host()) {
            (Self::Folder | Self::Vhost, Some(new)) => new,
            _ => scenario.host(),
        };
        let places = Places::of(stack, &host);
        let database = scenario.database().unwrap_or_default();
        let database = match (self, scenario.new_database()) {
            (Self::Database | Self::User, Some(new)) => new,
            _ => places.database.clone().unwrap_or(database),
        };
        let mut away = Planted {
            stack: stack.clone(),
            postgresql: scenario.is_on_postgresql(),
            files: Vec::new(),
            statements: Vec::new(),
        };
        match self {
            Self::Folder => {
                plant_folder(&places.folder);
                away.files.push((places.folder, None));
            }
            Self::ExtractedFolder => {
                let folder = crate::scenario::backups::extracted(stack);
                plant_folder(&folder);
                away.files.push((folder, None));
            }
            Self::PlatformFolder => {
                let folder = stack.spoke(SERVER, "platforms").join(platform_name(number));
                plant_folder(&folder);
                away.files.push((folder, None));
            }
            Self::Vhost => {
                std::fs::write(&places.vhost, vhost(stack, &host)).expect("a vhost");
                away.files.push((places.vhost, None));
            }
            Self::FolderOfAnother => away.mark_as_anothers(&places.folder),
            Self::PlatformOfAnother => {
                away.mark_as_anothers(&stack.spoke(SERVER, "platforms").join(SPARE));
            }
            Self::LinkIntoPlatform => {
                plant_folder(&places.folder);
                let code = stack.spoke(SERVER, "platforms").join(SPARE).join("code");
                let link = places.folder.join("theme");
                std::os::unix::fs::symlink(code, link).expect("a link");
                away.files.push((places.folder, None));
            }
            Self::VhostOfAnother => {
                let was = std::fs::read(&places.vhost).expect("a vhost");
                std::fs::write(&places.vhost, vhost(stack, &host)).expect("a vhost");
                away.files.push((places.vhost, Some(was)));
            }
            Self::Database if away.postgresql => {
                away.now(&format!("CREATE DATABASE \"{database}\"")).await;
                away.now(&format!(
                    "COMMENT ON DATABASE \"{database}\" IS 'somebody else'"
                ))
                .await;
                let drop = format!("DROP DATABASE \"{database}\"");
                away.statements.push(drop);
            }
            Self::User if away.postgresql => {
                let make = format!("CREATE ROLE \"{database}\" LOGIN PASSWORD 'mine'");
                away.now(&make).await;
                away.statements.push(format!("DROP ROLE \"{database}\""));
            }
            Self::DatabaseOfAnother if away.postgresql => {
                let was = away.comment(&database).await;
                let comment =
                    |text: &str| format!("COMMENT ON DATABASE \"{database}\" IS '{text}'");
                away.now(&comment("somebody else")).await;
                away.statements.push(comment(&was));
            }
            Self::Database => {
                away.now(&format!(
                    "CREATE DATABASE `{database}` COMMENT 'somebody else'"
                ))
                .await;
                away.now(&format!("CREATE TABLE `{database}`.mine (id INT)"))
                    .await;
                away.statements.push(format!("DROP DATABASE `{database}`"));
            }
            Self::User => {
                let user = format!("`{database}`@localhost");
                away.now(&format!("CREATE USER {user} IDENTIFIED BY 'mine'"))
                    .await;
                away.statements.push(format!("DROP USER {user}"));
            }
            Self::DatabaseOfAnother => {
                let was = away.comment(&database).await;
                away.now(&format!(
                    "ALTER DATABASE `{database}` COMMENT 'somebody else'"
                ))
                .await;
                let back = format!("ALTER DATABASE `{database}` COMMENT '{was}'");
                away.statements.push(back);
            }
        }
        reload_web(stack, SERVER).await;
        away
    }
}

/// What has to be undone by hand after a stranger was there.
pub struct Planted {
    stack: Stack,
    /// In which server the statements are carried out.
    postgresql: bool,
    /// What the file said before, if it was there.
    files: Vec<(PathBuf, Option<Vec<u8>>)>,
    statements: Vec<String>,
}

impl Planted {
    /// Takes it away.
    ///
    /// # Panics
    /// When it has gone by itself.
    pub async fn remove(self) {
        for statement in &self.statements {
            self.now(statement).await;
        }
        for (path, was) in &self.files {
            match was {
                Some(was) => std::fs::write(path, was).expect("as it was"),
                None if path.is_dir() => std::fs::remove_dir_all(path).expect("still there"),
                None => std::fs::remove_file(path).expect("still there"),
            }
        }
        reload_web(&self.stack, SERVER).await;
    }

    fn mark_as_anothers(&mut self, folder: &std::path::Path) {
        let mark = folder.join(".kolga-owner");
        let was = std::fs::read(&mark).expect("a mark");
        std::fs::write(&mark, "somebody else").expect("another mark");
        self.files.push((mark, Some(was)));
    }

    async fn now(&self, statement: &str) {
        let owned = AssertSqlSafe(statement.to_owned());
        if self.postgresql {
            let mut server = postgresql(&self.stack, "postgres").await;
            server.execute(owned).await.expect(statement);
        } else {
            let mut server = maria(&self.stack).await;
            server.execute(owned).await.expect(statement);
        }
    }

    async fn comment(&self, database: &str) -> String {
        if self.postgresql {
            let mut server = postgresql(&self.stack, "postgres").await;
            let asked =
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1";
            let comment = sqlx::query_scalar(asked)
                .bind(database)
                .fetch_one(&mut server);
            return comment.await.expect("a database");
        }
        let mut server = maria(&self.stack).await;
        let asked = "SELECT CONVERT(schema_comment USING utf8mb4) FROM information_schema.schemata
                     WHERE schema_name = ?";
        let comment = sqlx::query_scalar(asked)
            .bind(database)
            .fetch_one(&mut server);
        comment.await.expect("a database")
    }
}

struct Places {
    folder: PathBuf,
    vhost: PathBuf,
    /// The one that the spoke's book names; nothing where it knows no such site.
    database: Option<String>,
}

impl Places {
    fn of(stack: &Stack, host: &str) -> Self {
        let config = stack.spoke(SERVER, "config");
        let conf = config.parent().expect("a folder").join("conf/sites.d");
        Self {
            folder: stack.spoke(SERVER, "sites_root").join(host),
            vhost: conf.join(format!("{host}.conf")),
            database: entry(stack, host)["database"].as_str().map(str::to_owned),
        }
    }
}

/// What the spoke's book says of a site.
fn entry(stack: &Stack, host: &str) -> serde_json::Value {
    let book = stack.spoke(SERVER, "state_dir").join("sites");
    let entry = std::fs::read(book.join(format!("{host}.json")));
    entry.map_or_else(
        |_| serde_json::Value::Null,
        |bytes| serde_json::from_slice(&bytes).expect("JSON"),
    )
}

fn plant_folder(folder: &std::path::Path) {
    std::fs::create_dir(folder).expect("a folder");
    std::fs::write(folder.join("precious"), "not Kolga's").expect("a file");
}

fn vhost(stack: &Stack, host: &str) -> String {
    let port = stack.http_port(SERVER);
    format!("server {{ listen 127.0.0.1:{port}; server_name {host}; return 200 \"mine\\n\"; }}\n")
}
