//! What this crate's tests share: a folder that goes away, and a context whose log can be read.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kolga_protocol::id::{Attempt, Run, TaskId};
use kolga_protocol::message::Level;

use crate::config::Config;
use crate::cx::{Cx, LogSink, StepLog, Stop};
use crate::spoke::Spoke;

/// A folder of one test; gone when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kolga-unit-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder for a test");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A log that keeps its lines.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Vec<(Level, String)>>);

impl LogSink for Kept {
    fn line(&self, _step: Option<&str>, level: Level, text: &str) {
        self.0
            .lock()
            .expect("not poisoned")
            .push((level, text.to_owned()));
    }

    fn room(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Kept {
    pub(crate) fn lines(&self) -> Vec<(Level, String)> {
        self.0.lock().expect("not poisoned").clone()
    }
}

/// A configuration whose folders lie below `root`, and whose nginx is `/bin/true`.
pub(crate) fn config(root: &Path) -> Config {
    let root = root.display();
    toml::from_str(&format!(
        r#"
        server = "web1"
        state_dir = "{root}/state"
        [broker]
        url = "amqp://kolga-web1:x@127.0.0.1/kolga"
        [sites]
        root = "{root}/sites"
        platforms = "{root}/platforms"
        [nginx]
        include = "{root}/kolga.conf"
        sites_dir = "{root}/vhosts"
        staged = "{root}/staged.conf"
        test = ["/bin/true"]
        test_staged = ["/bin/true"]
        reload = ["/bin/true"]
        check_address = "127.0.0.1:80"
        "#
    ))
    .expect("a configuration")
}

/// A context over the spoke of this configuration, and its log.
pub(crate) fn context(config: Config) -> (Cx, Arc<Kept>) {
    let spoke = Spoke::open(config, None)
        .now_or_never()
        .expect("opening waits for nothing")
        .expect("a spoke");
    let kept = Arc::new(Kept::default());
    let cx = Cx {
        spoke: Arc::new(spoke),
        run: Run::new(TaskId::generate(), Attempt::FIRST),
        log: StepLog::new(Arc::clone(&kept) as Arc<dyn LogSink>),
        stop: Stop::never(),
    };
    (cx, kept)
}

/// The configuration of the first spoke of the running test stack.
pub(crate) fn stack_config() -> Config {
    let path = std::env::var_os("KOLGA_TEST_STACK").expect("KOLGA_TEST_STACK names a stack.json");
    let text = std::fs::read(path).expect("the stack is described");
    let stack: serde_json::Value = serde_json::from_slice(&text).expect("as JSON");
    let config = stack["spokes"]["web1"]["config"]
        .as_str()
        .expect("there is a web1");
    Config::load(Path::new(config)).expect("the stack's configuration is right")
}

/// Puts a certificate for these names into `<folder>/<host>/`, good for so many days from now, as an operator would.
/// It signs itself.
pub(crate) fn certificate(folder: &Path, host: &str, names: &[&str], days: i32) {
    let folder = folder.join(host);
    std::fs::create_dir_all(&folder).expect("a folder");
    let (key, request) = (folder.join("privkey.pem"), folder.join("request.pem"));
    let run = |args: &[&str]| {
        let ended = std::process::Command::new("/usr/bin/openssl")
            .args(args)
            .current_dir(&folder)
            .stderr(std::process::Stdio::null())
            .status();
        assert!(ended.expect("openssl runs").success(), "{args:?}");
    };
    let names: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    std::fs::write(
        folder.join("names"),
        format!("subjectAltName={}", names.join(",")),
    )
    .expect("written");
    let new = [
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ];
    run(&[
        &new[..],
        &[
            "-keyout",
            "privkey.pem",
            "-out",
            "request.pem",
            "-subj",
            "/CN=x",
        ],
    ]
    .concat());
    let days = days.to_string();
    run(&[
        "x509",
        "-req",
        "-in",
        "request.pem",
        "-signkey",
        "privkey.pem",
        "-days",
        &days,
        "-extfile",
        "names",
        "-out",
        "fullchain.pem",
    ]);
    for file in [request, folder.join("names")] {
        std::fs::remove_file(file).expect("gone");
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(key, mode).expect("nobody else's");
}
