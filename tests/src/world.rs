//! Snapshots of everything that a task could leave behind on a spoke, so that *before* and *after* can be
//! compared line by line: files with mode, owner, ACL and hash; databases, users and grants; what the
//! running web server answers; processes; cgroups; temporary files.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

use crate::stack::Stack;

/// What there is: a name for each thing, and what is to be known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World(BTreeMap<String, Thing>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Thing {
    /// What must be the same in every run: kind, mode, owner.
    shape: String,
    /// What may differ between two runs that both did right, such as a file with a password in it.
    content: String,
}

/// Files of the worker itself, which change with every task.
const OWN: &[&str] = &[
    "journal.sqlite",
    "journal.sqlite-wal",
    "journal.sqlite-shm",
    "worker.lock",
    "control.sock",
    "cgroup",
    "nginx.lock",
];

impl World {
    /// Looks at a spoke. `hosts` are names whose answers over HTTP belong to the picture.
    pub async fn of(stack: &Stack, server: &str, hosts: &[&str]) -> Self {
        let mut world = Self(BTreeMap::new());
        for folder in ["sites_root", "platforms", "state_dir"] {
            world.tree(&stack.spoke(server, folder));
        }
        let config = stack.spoke(server, "config");
        world.tree(&config.parent().expect("a folder").join("conf"));
        world.databases(stack).await;
        for host in hosts {
            world.answer(stack, server, host).await;
        }
        world.processes(stack);
        if let Some(worker) = stack.cgroup(server) {
            world.cgroups(&worker);
        }
        world.temporary(stack);
        world
    }

    /// Only what has to be the same in every run.
    #[must_use]
    pub fn shape(&self) -> Self {
        let shapes = self.0.iter().map(|(name, thing)| {
            let shape = thing.shape.clone();
            let content = String::new();
            (name.clone(), Thing { shape, content })
        });
        Self(shapes.collect())
    }

    /// The same with another name in place of one that differs between two tries.
    #[must_use]
    pub fn renamed(&self, from: &str, to: &str) -> Self {
        let renamed = self
            .0
            .iter()
            .map(|(name, thing)| (name.replace(from, to), thing.clone()));
        Self(renamed.collect())
    }

    /// What is in one and not in the other, a line each; nothing when they are equal.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, thing) in &self.0 {
            match other.0.get(name) {
                None => lines.push(format!("- {name} {} {}", thing.shape, thing.content)),
                Some(there) if there != thing => lines.push(format!(
                    "~ {name} {} {} → {} {}",
                    thing.shape, thing.content, there.shape, there.content
                )),
                Some(_) => {}
            }
        }
        for (name, thing) in &other.0 {
            if !self.0.contains_key(name) {
                lines.push(format!("+ {name} {} {}", thing.shape, thing.content));
            }
        }
        lines
    }

    fn note(&mut self, name: String, shape: String, content: String) {
        self.0.insert(name, Thing { shape, content });
    }

    /// Those of attempts; a running worker has one above them.
    fn cgroups(&mut self, worker: &Path) {
        let below = |dir: &Path| {
            let entries = std::fs::read_dir(dir).ok().into_iter().flatten();
            let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
            paths.filter(|path| path.is_dir()).collect::<Vec<_>>()
        };
        for attempt in below(worker).iter().flat_map(|base| below(base)) {
            let name = format!("cgroup {}", attempt.display());
            self.note(name, String::new(), String::new());
        }
    }

    fn tree(&mut self, path: &Path) {
        let Ok(found) = std::fs::symlink_metadata(path) else {
            return;
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if OWN.contains(&name.as_ref()) {
            return;
        }
        let acl = xattr(path, "system.posix_acl_access") + &xattr(path, "system.posix_acl_default");
        let kind = found.file_type();
        let shape = format!("{:o} {}:{} {acl}", found.mode(), found.uid(), found.gid());
        let content = if kind.is_symlink() {
            let target = std::fs::read_link(path).expect("a link");
            target.display().to_string()
        } else if kind.is_file() {
            hex(&Sha256::digest(std::fs::read(path).expect("a file")))
        } else {
            String::new()
        };
        self.note(format!("file {}", path.display()), shape, content);
        if kind.is_dir() {
            let entries = std::fs::read_dir(path).expect("a folder");
            for entry in entries {
                self.tree(&entry.expect("an entry").path());
            }
        }
    }

    async fn databases(&mut self, stack: &Stack) {
        let mut server = maria(stack).await;
        let tables = sqlx::query(
            "SELECT CAST(s.schema_name AS CHAR) AS d, CAST(coalesce(t.table_name, '') AS CHAR) AS t
             FROM information_schema.schemata s
             LEFT JOIN information_schema.tables t ON t.table_schema = s.schema_name
             WHERE s.schema_name NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')",
        )
        .fetch_all(&mut server)
        .await
        .expect("databases");
        for row in tables {
            let (database, table): (String, String) = (row.get("d"), row.get("t"));
            self.note(
                format!("table {database}.{table}"),
                String::new(),
                String::new(),
            );
        }
        let users = sqlx::query(
            "SELECT CAST(concat('`', user, '`@`', host, '`') AS CHAR) AS u FROM mysql.user",
        )
        .fetch_all(&mut server)
        .await
        .expect("users");
        for row in users {
            let user: String = row.get("u");
            let grants = sqlx::query(AssertSqlSafe(format!("SHOW GRANTS FOR {user}")))
                .fetch_all(&mut server)
                .await
                .expect("grants");
            for row in grants {
                let grant: String = row.get(0);
                // The hash of a password is content: another run makes another password.
                let (shape, content) = match grant.split_once(" IDENTIFIED ") {
                    Some((shape, rest)) => (shape.to_owned(), rest.to_owned()),
                    None => (grant, String::new()),
                };
                self.note(format!("grant {user} {shape}"), String::new(), content);
            }
        }
    }

    async fn answer(&mut self, stack: &Stack, server: &str, host: &str) {
        let url = format!("http://127.0.0.1:{}/", stack.http_port(server));
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        // nginx lets the workers of its former configuration go only after the new ones are there, so for a
        // moment either may answer: what counts is the answer that stays.
        let mut shape = String::new();
        let mut times = 0;
        while times < 4 {
            let answer = client.get(&url).header("host", host).send().await;
            let now = match answer {
                Ok(answer) => answer.status().as_u16().to_string(),
                Err(error) if error.is_connect() => "refused".to_owned(),
                Err(_) => "closed".to_owned(),
            };
            times = if now == shape { times + 1 } else { 1 };
            shape = now;
            tokio::time::sleep(std::time::Duration::from_millis(15)).await;
        }
        self.note(format!("http {host}"), shape, String::new());
    }

    fn processes(&mut self, stack: &Stack) {
        let uid = stack.uid();
        for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
            // Those of the spokes: unit tests that run at the same time have processes of their own.
            let mine = entry.metadata().is_ok_and(|found| found.uid() == uid);
            if !mine || is_of_a_unit_test(&entry.path()) {
                continue;
            }
            let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            if environ.windows(11).any(|window| window == b"KOLGA_TASK=") {
                let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let command = String::from_utf8_lossy(&command).replace('\0', " ");
                // Another set of services, of another run of the tests or of the demo.
                if command.contains("/var/tmp/kolga-")
                    && !command.contains(&format!("{}/", stack.text("/dir")))
                {
                    continue;
                }
                self.note(format!("process {command}"), String::new(), String::new());
            }
        }
    }

    fn temporary(&mut self, stack: &Stack) {
        let uid = stack.uid();
        for folder in ["/tmp", "/var/tmp", "/dev/shm"] {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let mine = entry.metadata().is_ok_and(|found| found.uid() == uid);
                let name = entry.file_name();
                // Segments of PostgreSQL belong to another stack of the same user, if not to this one's.
                let of_others = ["kolga-unit-", "PostgreSQL."]
                    .iter()
                    .any(|known| name.to_string_lossy().starts_with(known));
                if mine && !of_others && !entry.path().starts_with(stack.text("/dir")) {
                    self.note(
                        format!("temporary {}", entry.path().display()),
                        String::new(),
                        String::new(),
                    );
                }
            }
        }
    }
}

/// Whether a test program of cargo's is among its ancestors.
fn is_of_a_unit_test(process: &Path) -> bool {
    let mut process = process.to_owned();
    while let Ok(status) = std::fs::read_to_string(process.join("status")) {
        let program = std::fs::read_link(process.join("exe")).unwrap_or_default();
        if program
            .parent()
            .is_some_and(|folder| folder.ends_with("deps"))
        {
            return true;
        }
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        process = Path::new("/proc").join(parent.unwrap_or("0").trim());
    }
    false
}

/// Takes everything away that tests have put on a spoke, so that a test begins with an empty one whatever
/// happened to the one before. No worker may run there.
///
/// # Panics
/// When it cannot.
pub async fn clear(stack: &Stack, server: &str) {
    let config = stack.spoke(server, "config");
    let vhosts = config.parent().expect("a folder").join("conf/sites.d");
    for folder in [
        stack.spoke(server, "sites_root"),
        stack.spoke(server, "platforms"),
        stack.spoke(server, "state_dir"),
        vhosts,
    ] {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => std::fs::remove_dir_all(&path).expect("removed"),
                false => std::fs::remove_file(&path).expect("removed"),
            }
        }
    }
    let mut server_connection = maria(stack).await;
    for (list, drop) in [
        (
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'k\\_%'",
            "DROP DATABASE",
        ),
        (
            "SELECT user FROM mysql.user WHERE user LIKE 'k\\_%'",
            "DROP USER",
        ),
    ] {
        let names = sqlx::query(list)
            .fetch_all(&mut server_connection)
            .await
            .expect("a list");
        for row in names {
            let name: String = row.get_unchecked(0);
            let at = if drop == "DROP USER" {
                "@localhost"
            } else {
                ""
            };
            sqlx::query(AssertSqlSafe(format!("{drop} `{name}`{at}")))
                .execute(&mut server_connection)
                .await
                .expect("dropped");
        }
    }
    let pid = std::fs::read_to_string(stack.spoke(server, "nginx_pid")).expect("nginx runs");
    let pid = pid
        .trim()
        .parse()
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::HUP)
        .expect("reloaded");
}

/// A connection to MariaDB as its administrator.
///
/// # Panics
/// When it does not let us in.
pub async fn maria(stack: &Stack) -> sqlx::MySqlConnection {
    MySqlConnectOptions::new()
        .socket(stack.text("/mariadb_socket"))
        .username("root")
        .connect()
        .await
        .expect("MariaDB")
}

fn xattr(path: &Path, name: &str) -> String {
    let mut value = [0; 1024];
    match rustix::fs::lgetxattr(path, name, &mut value) {
        Ok(length) => hex(&value[..length]),
        Err(_) => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
