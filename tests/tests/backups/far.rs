//! Hosts that keep backups: an SSH server, a REST server and an S3 server of a test's own, on the loopback address and on a free
//! port, as the services' user. No service of the system has to do with them.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kolga_tests::certificate::self_signed;
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;

/// A server that ends with it.
pub struct Far {
    stack: Stack,
    /// Keys and configuration of an SSH server.
    folder: PathBuf,
    argv: Vec<String>,
    pub port: u16,
    child: Option<Child>,
}

impl Drop for Far {
    fn drop(&mut self) {
        self.stop();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

impl Far {
    fn new(stack: &Stack, name: &str) -> Self {
        let folder = PathBuf::from(stack.text("/dir")).join(format!("far-{name}"));
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir(&folder).expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        Self {
            stack: stack.clone(),
            folder,
            argv: Vec::new(),
            port,
            child: None,
        }
    }

    /// An SSH server that offers SFTP and nothing else, to who has its key.
    pub async fn sftp(stack: &Stack) -> Self {
        let mut far = Self::new(stack, "sftp");
        for key in ["host", "another", "key"] {
            let made = Command::new("/usr/bin/ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
                .arg(far.path(key))
                .status();
            assert!(made.expect("ssh-keygen runs").success());
        }
        std::fs::copy(far.path("key.pub"), far.path("authorized")).expect("copied");
        let (shown, port) = (far.folder.display(), far.port);
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host\nPidFile none\n\
             AuthorizedKeysFile {shown}/authorized\nStrictModes no\nUsePAM no\n\
             AuthenticationMethods publickey\nAllowTcpForwarding no\n\
             Subsystem sftp internal-sftp\nForceCommand internal-sftp\n"
        );
        std::fs::write(far.path("config"), config).expect("written");
        far.knows("another");
        far.give();
        let config = far.path("config").display().to_string();
        far.argv = ["/usr/sbin/sshd", "-D", "-e", "-f", &config]
            .map(str::to_owned)
            .into();
        far.start().await;
        far
    }

    /// A server that speaks restic's REST, of this folder.
    pub async fn rest(stack: &Stack, folder: &Path) -> Self {
        let mut far = Self::new(stack, "rest");
        far.give();
        let (address, folder) = (
            format!("127.0.0.1:{}", far.port),
            folder.display().to_string(),
        );
        let words = [
            "/usr/bin/rclone",
            "serve",
            "restic",
            "--addr",
            &address,
            &folder,
        ];
        far.argv = words.map(str::to_owned).into();
        far.start().await;
        far
    }

    /// A server that speaks S3, by TLS; it knows these keys, each with its secret, and those that may make buckets.
    pub async fn s3(stack: &Stack, keys: &[(&str, &str, bool)]) -> Self {
        let mut far = Self::new(stack, "s3");
        self_signed(
            &far.path("cert"),
            &far.path("cert.key"),
            "s3",
            "IP:127.0.0.1",
        );
        let lines = keys.iter().map(|(key, secret, admin)| {
            let admin = if *admin { "admin" } else { "" };
            format!("{key} {secret} {admin}\n")
        });
        std::fs::write(far.path("accounts"), lines.collect::<String>()).expect("written");
        // The services' user need not get at the source.
        let server = concat!(env!("CARGO_MANIFEST_DIR"), "/s3/server.py");
        std::fs::copy(server, far.path("server.py")).expect("copied");
        far.give();
        let (program, folder) = (far.path("server.py"), far.folder.clone());
        let words = [program.as_path(), folder.as_path()].map(|path| path.display().to_string());
        far.argv = vec!["/usr/bin/python3".to_owned()];
        far.argv.extend(words);
        far.argv.push(far.port.to_string());
        far.start().await;
        far
    }

    /// The file with the key of an S3 server that the worker is to use.
    pub fn s3_key(&self, key: &str, secret: &str) -> PathBuf {
        let file = self.path("keys");
        let text = format!("AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}\n");
        std::fs::write(&file, text).expect("written");
        self.give();
        file
    }

    /// Makes a folder, or a bucket, as the other one is.
    pub fn mirror(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("keys")).expect("a key");
        let value = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| Some(line.strip_prefix(name)?.to_owned()))
        };
        let done = Command::new("/usr/bin/rclone")
            .args(["sync", from, to])
            .env_clear()
            .env("RCLONE_CONFIG", "/dev/null")
            .env("RCLONE_NO_CHECK_CERTIFICATE", "true")
            .env("RCLONE_S3_PROVIDER", "Other")
            .env(
                "RCLONE_S3_ENDPOINT",
                format!("https://127.0.0.1:{}", self.port),
            )
            .env(
                "RCLONE_S3_ACCESS_KEY_ID",
                value("AWS_ACCESS_KEY_ID=").expect("a key"),
            )
            .env(
                "RCLONE_S3_SECRET_ACCESS_KEY",
                value("AWS_SECRET_ACCESS_KEY=").expect("a secret"),
            )
            .output()
            .expect("rclone runs");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{from} to {to}: {said}");
    }

    /// The list of known hosts has this one's key, whoever's that is.
    pub fn knows(&self, key: &str) {
        let key = std::fs::read_to_string(self.path(&format!("{key}.pub"))).expect("a key");
        let line = format!("[127.0.0.1]:{} {key}", self.port);
        std::fs::write(self.path("known_hosts"), line).expect("written");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// All of it is the services' user's.
    fn give(&self) {
        let uid = Some(self.stack.uid());
        let inside = std::fs::read_dir(&self.folder).expect("a folder").flatten();
        for path in inside
            .map(|entry| entry.path())
            .chain([self.folder.clone()])
        {
            std::os::unix::fs::chown(&path, uid, None).expect("given");
            let mode = if path.is_dir() { 0o700 } else { 0o600 };
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, mode).expect("set");
        }
    }

    /// Starts it, and waits until it answers.
    pub async fn start(&mut self) {
        let user = self.stack.text("/user").to_owned();
        let log = std::fs::File::create(self.path("log")).expect("a log");
        let child = Command::new("/usr/bin/setpriv")
            .args([
                "--reuid",
                &user,
                "--regid",
                &user,
                "--init-groups",
                "--inh-caps=-all",
            ])
            .args(["--pdeathsig", "KILL", "--"])
            .args(&self.argv)
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", &self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("it starts");
        self.child = Some(child);
        let port = self.port;
        until(
            "the far host answers",
            std::time::Duration::from_secs(20),
            async || TcpStream::connect(("127.0.0.1", port)).ok(),
        )
        .await;
    }

    /// Ends it, with all that it has begun for whoever is connected.
    pub fn stop(&mut self) {
        use rustix::io::Errno;
        use rustix::process::{Pid, Signal, kill_process};
        let Some(mut child) = self.child.take() else {
            return;
        };
        let pid = i32::try_from(child.id()).expect("a pid");
        for below in descendants(pid) {
            let gone = kill_process(Pid::from_raw(below).expect("a pid"), Signal::KILL);
            assert!(matches!(gone, Ok(()) | Err(Errno::SRCH)), "{gone:?}");
        }
        child.kill().expect("it was there");
        child.wait().expect("it ends");
    }
}

/// Those that a process has begun, and they.
fn descendants(of: i32) -> Vec<i32> {
    let parent = |pid: i32| -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(')')?
            .1
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()
    };
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pairs: Vec<(i32, i32)> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![of];
    let mut at = 0;
    while let Some(&above) = found.get(at) {
        let below = pairs.iter().filter(|(_, parent)| *parent == above);
        found.extend(below.map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}
