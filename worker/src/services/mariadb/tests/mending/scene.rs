//! What the tests of mending share: a site's user and database, and the server as it is seen from beside.

use sqlx::ConnectOptions as _;

use super::super::super::mend::Former;
use super::super::*;
use crate::services::database::Door;
use crate::testing::Scratch;

/// The administrator, and a worker's account.
pub(super) struct Scene {
    pub(super) root: MySqlConnection,
    pub(super) server: Mariadb,
    pub(super) name: DatabaseName,
    pub(super) password: Secret,
    _files: Scratch,
}

/// Of the site's database.
pub(super) const MARK: &str = "the run that made it";

impl Scene {
    /// A site's user and database. The account comes from another machine, as it seems to it, or over the socket.
    pub(super) async fn new(text: &str, far: bool) -> Self {
        let path =
            std::env::var_os("KOLGA_TEST_STACK").expect("KOLGA_TEST_STACK names a stack.json");
        let stack: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).expect("described")).expect("as JSON");
        let told = |what: &str| {
            stack
                .pointer(what)
                .and_then(|it| it.as_str())
                .expect("told")
        };
        let files = Scratch::new();
        let file = files.path().join("password");
        std::fs::write(&file, told("/mariadb_remote/password")).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&file, mode).expect("private");
        let mut scene = Self {
            root: MySqlConnectOptions::new()
                .socket(told("/mariadb_socket"))
                .username("root")
                .connect()
                .await
                .expect("the administrator gets in"),
            server: match far {
                false => server(),
                true => Mariadb::new(&config::Mariadb {
                    socket: None,
                    user: told("/mariadb_remote/user").into(),
                    remote: Some(config::RemoteMariadb {
                        address: told("/mariadb_remote/address").parse().expect("an address"),
                        client: "127.0.0.1".parse().expect("an address"),
                        password_file: file,
                        ca_file: None,
                    }),
                }),
            },
            name: name(text),
            // Whatever it is made of.
            password: Secret::of("a'b\"c\\d`e%_;-- \n€ \u{1}".to_owned()),
            _files: files,
        };
        let Self {
            server,
            name,
            password,
            ..
        } = &mut scene;
        server.create_user(name, password).await.expect("made");
        server.create_database(name, MARK).await.expect("made");
        server.grant(name).await.expect("given");
        scene
    }

    pub(super) async fn run(&mut self, statement: &str) {
        let statement = statement
            .replace("{k}", &self.server.account(&self.name))
            .replace("{on}", &format!("{}.*", grant_pattern(&self.name)))
            .replace("{name}", self.name.as_str());
        let done = execute(&mut self.root, statement.clone()).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    pub(super) async fn disturb(&mut self, statements: &[&str]) {
        for statement in statements {
            self.run(statement).await;
        }
    }

    /// Whatever the server knows of all accounts, and of who may do what.
    pub(super) async fn standing(&mut self) -> Vec<String> {
        let accounts: Vec<String> = sqlx::query_scalar(
            "SELECT CONVERT(CONCAT(QUOTE(User), '@', QUOTE(Host)) USING utf8mb4) FROM mysql.user
              WHERE is_role = 'N' ORDER BY 1",
        )
        .fetch_all(&mut self.root)
        .await
        .expect("asked");
        let mut lines = Vec::new();
        for account in accounts {
            for asked in ["SHOW CREATE USER", "SHOW GRANTS FOR"] {
                let asked = AssertSqlSafe(format!("{asked} {account}"));
                let told: Vec<String> = sqlx::query_scalar(asked)
                    .fetch_all(&mut self.root)
                    .await
                    .expect("asked");
                lines.extend(told);
            }
        }
        let public: Vec<String> = sqlx::query_scalar(
            "SELECT CONVERT(CONCAT_WS(' ', 'public', Db, Select_priv, Insert_priv, Grant_priv, Create_tmp_table_priv) USING utf8mb4)
               FROM mysql.db WHERE User = 'PUBLIC'",
        )
        .fetch_all(&mut self.root)
        .await
        .expect("asked");
        lines.extend(public);
        lines
    }

    pub(super) async fn door(&self) -> Door {
        let door = self.server.way_in(&self.name, &self.password).await;
        door.expect("asked")
    }

    /// As the task has it: a password where there is another, or no user.
    pub(super) async fn wanted(&self) -> (Option<&Secret>, bool) {
        let rights = self.server.rights(&self.name).await.expect("asked");
        if rights.is_none() {
            return (Some(&self.password), true);
        }
        let door = self.door().await;
        let is_seen = rights.is_some_and(|rights| !rights.on_its_own) || door != Door::Open;
        (
            (door == Door::OtherPassword).then_some(&self.password),
            is_seen,
        )
    }

    pub(super) async fn former(&self) -> Former {
        let former = self.server.former(&self.name).await.expect("asked");
        // As the journal has it, which tells no hash.
        let text = serde_json::to_string(&former).expect("JSON");
        assert!(!text.contains('*'), "{text}");
        serde_json::from_str(&text).expect("read back")
    }

    pub(super) async fn mend(
        &self,
        password: Option<&Secret>,
        former: &Former,
    ) -> anyhow::Result<()> {
        let (server, name) = (&self.server, &self.name);
        server.mend(name, password, MARK, "a.1", former).await
    }

    pub(super) async fn unmend(&self, run: &str, former: &Former) {
        let undone = self
            .server
            .unmend(&self.name, Some(&self.password), run, former);
        undone.await.expect("undone");
    }

    pub(super) async fn end(mut self) {
        let server = &self.server;
        server.drop_user(&self.name).await.expect("dropped");
        server.drop_database(&self.name).await.expect("dropped");
        // The role that is everybody is made by the first who gives it something.
        self.disturb(&[
            "DELETE FROM mysql.global_priv WHERE User = 'PUBLIC'",
            "FLUSH PRIVILEGES",
        ])
        .await;
        let left = self.standing().await;
        let left: Vec<_> = left
            .iter()
            .filter(|line| line.contains(self.name.as_str()))
            .collect();
        assert_eq!(left, Vec::<&String>::new());
    }
}
