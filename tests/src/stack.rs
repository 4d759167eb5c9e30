//! The services that `deploy/test` has started, as its `stack.json` describes them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use serde_json::Value;

use crate::certificate::self_signed;
use crate::landlock::refused;

/// Where everything is.
#[derive(Clone)]
pub struct Stack {
    described: Value,
    bin: PathBuf,
    /// How the kernel refuses to let a program confine itself, where it does.
    unconfined: Option<Errno>,
}

impl Stack {
    /// Reads the description that the environment names.
    ///
    /// # Panics
    /// When the tests were not started by `deploy/test`.
    #[must_use]
    pub fn load() -> Self {
        Self::read(&from_environment("KOLGA_TEST_STACK"))
    }

    /// All that there are: this one, and others beside it which know nothing of it.
    ///
    /// # Panics
    /// When one of them is not there.
    #[must_use]
    pub fn load_all() -> Vec<Self> {
        let others = std::env::var("KOLGA_TEST_OTHER_STACKS").unwrap_or_default();
        let others = others.split(':').filter(|path| !path.is_empty());
        let others = others.map(Self::read);
        others.chain([Self::load()]).collect()
    }

    fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(path).expect("stack.json");
        Self {
            described: serde_json::from_str(&text).expect("stack.json is JSON"),
            bin: PathBuf::from(from_environment("KOLGA_TEST_BIN_DIR")),
            unconfined: None,
        }
    }

    /// A text in the description, by its JSON pointer.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.described
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("stack.json has no {pointer}"))
    }

    /// Whether there is a PostgreSQL, for hubs and for sites.
    #[must_use]
    pub fn has_postgresql(&self) -> bool {
        self.described
            .pointer("/postgres_url")
            .is_some_and(Value::is_string)
    }

    /// What is described of one spoke.
    #[must_use]
    pub fn spoke(&self, server: &str, what: &str) -> PathBuf {
        PathBuf::from(self.text(&format!("/spokes/{server}/{what}")))
    }

    /// The same stack, with one setting of a spoke's worker changed: in a configuration of its own beside the
    /// one that `deploy/test` wrote.
    ///
    /// # Panics
    /// When the configuration cannot be read or written.
    #[must_use]
    pub fn with_setting(&self, server: &str, table: &str, key: &str, value: toml::Value) -> Self {
        self.changed(server, |config| {
            config
                .entry(table)
                .or_insert_with(|| toml::Table::new().into())
                .as_table_mut()
                .expect("a table")
                .insert(key.to_owned(), value);
        })
    }

    /// The same stack, with a spoke whose configuration says nothing of these.
    ///
    /// # Panics
    /// When the configuration cannot be read or written.
    #[must_use]
    pub fn without(&self, server: &str, tables: &[&str]) -> Self {
        self.changed(server, |config| {
            config.retain(|table, _| !tables.contains(&table));
        })
    }

    /// The same stack, with a spoke that has only the first of its pools.
    ///
    /// # Panics
    /// When the configuration cannot be read or written, or has none.
    #[must_use]
    pub fn with_one_pool(&self, server: &str) -> Self {
        self.changed(server, |config| {
            let users = config["pools"]["users"].as_array_mut().expect("a list");
            users.truncate(1);
        })
    }

    /// Gives a file with a secret to the services' user, and to nobody else.
    ///
    /// # Panics
    /// When it cannot.
    pub fn give(&self, file: &std::path::Path) {
        let uid = self.uid();
        std::os::unix::fs::chown(file, Some(uid), Some(uid)).expect("given to the worker");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(file, private).expect("it holds a secret");
    }

    fn changed(&self, server: &str, change: impl FnOnce(&mut toml::Table)) -> Self {
        let path = self.spoke(server, "config");
        let text = std::fs::read_to_string(&path).expect("a configuration");
        let mut config: toml::Table = text.parse().expect("TOML");
        change(&mut config);
        // Each its own, so that the one which was changed stays what it is.
        static CHANGED: AtomicUsize = AtomicUsize::new(0);
        let number = CHANGED.fetch_add(1, Ordering::Relaxed);
        let changed = path.with_file_name(format!("worker-changed-{number}.toml"));
        std::fs::write(&changed, config.to_string()).expect("a configuration");
        self.give(&changed);
        let mut stack = self.clone();
        stack.described["spokes"][server]["config"] = changed.display().to_string().into();
        stack
    }

    /// The same stack, with a spoke whose database servers are, as it seems to it, on another machine.
    ///
    /// # Panics
    /// When the configuration cannot be read or written.
    #[must_use]
    pub fn with_remote_database(&self, server: &str) -> Self {
        let mariadb = self.remote(server, "mariadb", &[("client", "127.0.0.1")]);
        let postgresql = self
            .has_postgresql()
            .then(|| self.remote(server, "postgresql", &[]));
        self.changed(server, |config| {
            config.insert("mariadb".to_owned(), mariadb.into());
            if let Some(postgresql) = postgresql {
                config.insert("postgresql".to_owned(), postgresql.into());
            }
        })
    }

    /// The same stack, with a spoke that comes to a database server on another machine at this address, and over TLS with a
    /// certificate of this authority's where one is named.
    ///
    /// # Panics
    /// When the configuration cannot be read or written, or has no such server.
    #[must_use]
    pub fn with_way_to(
        &self,
        server: &str,
        engine: &str,
        address: SocketAddr,
        authority: Option<&Path>,
    ) -> Self {
        self.changed(server, |config| {
            let remote = config[engine]["remote"].as_table_mut().expect("a table");
            remote.insert("address".to_owned(), address.to_string().into());
            if let Some(file) = authority {
                remote.insert("ca_file".to_owned(), file.display().to_string().into());
            }
        })
    }

    /// Where a database server listens for those on another machine.
    ///
    /// # Panics
    /// When the stack has none.
    #[must_use]
    pub fn remote_address(&self, engine: &str) -> SocketAddr {
        let address = self.text(&format!("/{engine}_remote/address"));
        address.parse().expect("an address")
    }

    /// The authority that has signed the certificates of the database servers.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        PathBuf::from(self.text("/dir")).join("authority/ca.pem")
    }

    /// Another authority, which has signed nothing.
    ///
    /// # Panics
    /// When openssl does not make it.
    #[must_use]
    pub fn other_authority(&self) -> PathBuf {
        let file = PathBuf::from(self.text("/dir")).join("authority/other.pem");
        self_signed(&file, Path::new("/dev/null"), "Other", "DNS:other.example");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&file, open).expect("given to all");
        file
    }

    /// What a worker's configuration says of a database server that is on another machine.
    fn remote(&self, server: &str, engine: &str, more: &[(&str, &str)]) -> toml::Table {
        let file = self.spoke(server, "config");
        let file = file.with_file_name(format!("{engine}-password"));
        let told = |what: &str| self.text(&format!("/{engine}_remote/{what}"));
        std::fs::write(&file, told("password")).expect("a password");
        self.give(&file);
        let place = [
            ("address", told("address")),
            ("password_file", file.to_str().expect("text")),
        ];
        let remote = place.iter().chain(more);
        let remote = remote.map(|&(key, value)| (key.to_owned(), value.into()));
        let remote = toml::Table::from_iter(remote);
        let user = told("user").to_owned();
        toml::Table::from_iter([
            ("user".to_owned(), user.into()),
            ("remote".to_owned(), remote.into()),
        ])
    }

    /// The port on which a spoke's nginx serves sites.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn http_port(&self, server: &str) -> u16 {
        let port = self
            .described
            .pointer(&format!("/spokes/{server}/http_port"));
        let port = port.and_then(Value::as_u64).expect("a port");
        u16::try_from(port).expect("a port")
    }

    /// The cgroup in which a spoke's worker runs, where there can be one.
    #[must_use]
    pub fn cgroup(&self, server: &str) -> Option<PathBuf> {
        let cgroup = self.described.pointer(&format!("/spokes/{server}/cgroup"));
        cgroup.and_then(Value::as_str).map(PathBuf::from)
    }

    /// The same stack, where the kernel refuses to let our programs confine themselves or others, in this way.
    #[must_use]
    pub fn unconfined(&self, errno: Errno) -> Self {
        Self {
            unconfined: Some(errno),
            ..self.clone()
        }
    }

    /// A command that runs one of our programs as the services' user, and becomes it: its process is the
    /// program's. It dies with the test, also with one that is killed.
    #[must_use]
    pub fn program(&self, name: &str) -> Command {
        self.program_in(None, name)
    }

    /// The same, in a cgroup: entered as root, as whatever starts services does it.
    #[must_use]
    pub fn program_in(&self, cgroup: Option<&Path>, name: &str) -> Command {
        const SETPRIV: &str = "/usr/bin/setpriv";
        let user = self.text("/user");
        let begin = |program: &Path| match self.unconfined {
            Some(errno) => refused(errno, program),
            None => Command::new(program),
        };
        let mut command = match cgroup {
            Some(cgroup) => {
                let mut command = begin(&self.bin.join("kolga-worker"));
                command
                    .arg("enter")
                    .arg(cgroup)
                    .args(["0", "-", "-", SETPRIV]);
                command
            }
            None => begin(Path::new(SETPRIV)),
        };
        command
            .args([
                "--reuid",
                user,
                "--regid",
                user,
                "--init-groups",
                "--inh-caps=-all",
                "--pdeathsig",
                "KILL",
                "--",
            ])
            .arg(self.bin.join(name))
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/bin");
        command
    }

    /// Ends one of the services; [`Stack::up`] starts it again.
    ///
    /// # Panics
    /// When it cannot.
    pub fn stop_service(&self, service: &str) {
        self.script(&["stop", "--dir", self.text("/dir"), service]);
    }

    /// Starts those of the services that do not run.
    ///
    /// # Panics
    /// When it cannot.
    pub fn up(&self) {
        self.script(&["up", "--dir", self.text("/dir")]);
    }

    fn script(&self, arguments: &[&str]) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/stack");
        let told = Command::new(script)
            .args(arguments)
            .output()
            .expect("deploy/stack runs");
        assert!(
            told.status.success(),
            "deploy/stack {arguments:?}: {told:?}"
        );
    }

    /// The numeric user of the services.
    ///
    /// # Panics
    /// When there is no such user.
    #[must_use]
    pub fn uid(&self) -> u32 {
        let told = Command::new("/usr/bin/id")
            .args(["-u", self.text("/user")])
            .output()
            .expect("id runs");
        let text = String::from_utf8(told.stdout).expect("a number");
        text.trim().parse().expect("a number")
    }
}

fn from_environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name}: run deploy/test"))
}
