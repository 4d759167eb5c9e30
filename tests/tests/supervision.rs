//! What a worker does about its tasks' processes and about its machine: nothing of a storm outlives a
//! cancel, a time limit or the worker; a busy or full machine lets tasks wait, and does not silence anybody.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kolga_tests::hub::{Hub, Settings};
use kolga_tests::scenario::SERVER;
use kolga_tests::stack::Stack;
use kolga_tests::wait::until;
use kolga_tests::worker::{Orders, Worker};
use kolga_tests::world::clear;
use rustix::process::Signal;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);

/// A configuration of the spoke with changes of the test's own; gone with it.
struct Changed(PathBuf);

impl Changed {
    fn new(stack: &Stack, change: impl Fn(&mut toml::Table)) -> Self {
        let path = stack.spoke(SERVER, "config").with_file_name("changed.toml");
        let changed = Self(path);
        changed.write(stack, change);
        changed
    }

    fn write(&self, stack: &Stack, change: impl Fn(&mut toml::Table)) {
        let text = std::fs::read_to_string(stack.spoke(SERVER, "config")).expect("readable");
        let mut config: toml::Table = text.parse().expect("TOML");
        change(&mut config);
        std::fs::write(&self.0, config.to_string()).expect("written");
        std::os::unix::fs::chown(&self.0, Some(stack.uid()), Some(stack.uid())).expect("given");
    }

    fn orders(&self) -> Orders {
        Orders {
            config: Some(self.0.clone()),
            ..Orders::default()
        }
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn set(config: &mut toml::Table, table: &str, key: &str, value: impl Into<toml::Value>) {
    let table = config
        .entry(table)
        .or_insert_with(|| toml::Table::new().into());
    let table = table.as_table_mut().expect("a table");
    table.insert(key.to_owned(), value.into());
}

/// A kind of sites whose installer does all that it can to outlive its task: a storm that ignores TERM, a
/// double fork into a new session, a daemon that sheds session and environment. All are `sleep SECONDS`,
/// and the site's name tells the number.
struct Unruly(PathBuf);

const INSTALLER: &str = r#"<?php
$site = json_decode(stream_get_contents(STDIN), true);
$n = preg_replace('/\D/', '', $site['host']);
$script = "trap '' TERM
(setsid sh -c 'sleep $n & exit' &)
env -i setsid sh -c 'cd /tmp; sleep $n <&- >&- 2>&- & exit' &
for i in 1 2 3 4; do
  (while :; do setsid sleep $n & sleep 0.05 & wait \$!; done) &
done
wait";
proc_close(proc_open(['/bin/sh', '-c', $script], [], $pipes));
"#;

/// What there is of a storm before it is ended, at least.
const STORM: usize = 12;

impl Unruly {
    fn new(stack: &Stack) -> Self {
        let folder = stack.spoke(SERVER, "profiles").join("unruly");
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../worker/profiles/static");
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir(&folder).expect("a folder");
        for file in ["index.html", "vhost.conf"] {
            std::fs::copy(model.join(file), folder.join(file)).expect("copied");
        }
        let text = std::fs::read_to_string(model.join("profile.toml")).expect("a profile");
        let text = text.replacen(
            "name = \"static\"",
            "name = \"unruly\"\nneeds = { php = true }",
            1,
        );
        let text = text + "\n[installer]\nscript = \"install.php\"\ntimeout_seconds = 300\n";
        std::fs::write(folder.join("profile.toml"), text).expect("written");
        std::fs::write(folder.join("install.php"), INSTALLER).expect("written");
        Self(folder)
    }
}

impl Drop for Unruly {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn host(seconds: u32) -> String {
    format!("s{seconds}.kolga.test")
}

fn sleepers(seconds: u32) -> usize {
    let wanted = format!("sleep\0{seconds}\0").into_bytes();
    let processes = std::fs::read_dir("/proc").expect("/proc");
    processes
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| *line == wanted)
        .count()
}

async fn storm(seconds: u32) -> usize {
    until("the storm is there", SOON, async || {
        let count = sleepers(seconds);
        (count >= STORM).then_some(count)
    })
    .await
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn nothing_of_a_storm_outlives_a_cancel_a_time_limit_or_a_worker_that_is_killed() {
    let stack = Stack::load();
    if stack.cgroup(SERVER).is_none() {
        println!("not tried: no cgroup can be made here");
        return;
    }
    clear(&stack, SERVER).await;
    let _unruly = Unruly::new(&stack);
    let changed = Changed::new(&stack, |config| {
        set(config, "limits", "task_timeout_seconds", 20);
        set(config, "process", "cgroups", "require");
    });
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let worker = Worker::start(&stack, SERVER, &changed.orders()).await;
    let told = worker.status().expect("it runs");
    assert!(
        told["supervision"].to_string().contains("cgroup for each"),
        "{told}"
    );

    let cancelled = hub.install(SERVER, &host(8681), "unruly", None).await;
    let late = hub.install(SERVER, &host(8682), "unruly", None).await;
    let (first, second) = (storm(8681).await, storm(8682).await);
    hub.post(&format!("/v1/tasks/{cancelled}/cancel"), &json!({}))
        .await;
    assert_eq!(hub.ended(&cancelled).await["state"], "cancelled");
    println!("cancel: {first} processes, then {}", sleepers(8681));
    assert_eq!(sleepers(8681), 0);
    assert!(sleepers(8682) >= STORM, "the neighbour was harmed");

    let shown = hub.ended(&late).await;
    assert_eq!(shown["state"], "failed", "{shown:#}");
    println!("time limit: {second} processes, then {}", sleepers(8682));
    assert_eq!(sleepers(8682), 0);

    let killed = hub.install(SERVER, &host(8683), "unruly", None).await;
    storm(8683).await;
    worker.kill().await;
    let outlive = sleepers(8683);
    assert!(outlive >= STORM, "nothing outlived the worker: {outlive}");
    let worker = Worker::start(&stack, SERVER, &changed.orders()).await;
    println!(
        "worker killed: {outlive} processes, then {}",
        sleepers(8683)
    );
    assert_eq!(sleepers(8683), 0);
    assert_eq!(hub.ended(&killed).await["state"], "interrupted");
    let left = cgroups(&stack.cgroup(SERVER).expect("seen before"));
    assert!(left.is_empty(), "cgroups are left: {left:?}");
    worker.stop().await;
}

/// The cgroups of attempts: two below that of the worker.
fn cgroups(worker: &Path) -> Vec<PathBuf> {
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).expect("a cgroup");
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        paths.filter(|path| path.is_dir()).collect()
    };
    below(worker).iter().flat_map(|base| below(base)).collect()
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn a_full_or_busy_machine_lets_heavy_tasks_wait_says_why_and_fails_none() {
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let gates = |disk: i64, load: f64| {
        move |config: &mut toml::Table| {
            set(config, "gates", "disk_free_mib", disk);
            set(config, "gates", "load_per_cpu", load);
        }
    };
    let changed = Changed::new(&stack, gates(0, 0.0));
    let worker = Worker::start(&stack, SERVER, &changed.orders()).await;
    let there = hub
        .install(SERVER, "there.kolga.test", "static", None)
        .await;
    hub.succeeds(&there).await;

    // No disk has that much.
    changed.write(&stack, gates(1 << 40, 0.0));
    worker.signal(Signal::HUP);
    // The signal has no answer: a deletion that comes after it is no proof that it was heard.
    let waits = until("an installation waits", SOON, async || {
        let host = format!("{}.kolga.test", uuid::Uuid::now_v7());
        let task = hub.install(SERVER, &host, "static", None).await;
        let shown = until("it begins or waits", SOON, async || {
            let shown = hub.show(&task).await;
            (shown["finished"] == true || shown["waiting"].is_string()).then_some(shown)
        })
        .await;
        (shown["finished"] != true).then_some(task)
    })
    .await;
    let why = hub.show(&waits).await["waiting"].to_string();
    assert!(why.contains("free disk") && why.contains("MiB"), "{why}");
    let deletion = hub.delete("there.kolga.test").await;
    hub.succeeds(&deletion).await;
    let server = hub.get(&format!("/v1/servers/{SERVER}")).await;
    let reason = server["worker"]["deferring"]["reason"]
        .as_str()
        .expect("a reason");
    assert!(why.contains(reason), "{server:#}");

    // Any load is too much; this process sees to it that there is some.
    let _busy = Busy::start(1);
    changed.write(&stack, gates(0, 1e-6));
    worker.signal(Signal::HUP);
    let why = until("the reason is another", SOON, async || {
        let waiting = hub.show(&waits).await["waiting"].to_string();
        waiting.contains("per cpu").then_some(waiting)
    })
    .await;
    let status = worker.status().expect("it runs");
    let told = status["runner"]["attempts"].to_string();
    assert!(told.contains("heavy tasks wait"), "{status:#}");
    let ping = hub.task(SERVER, "ping", json!({})).await;
    hub.succeeds(&ping).await;
    assert_ne!(hub.show(&waits).await["finished"], true);
    println!("deferred 2 times, at last because {why}");

    changed.write(&stack, gates(0, 0.0));
    worker.signal(Signal::HUP);
    hub.succeeds(&waits).await;
    worker.stop().await;
}

/// Processes that do nothing but take time, until dropped; or until this one dies.
struct Busy(Vec<Child>);

impl Busy {
    fn start(count: usize) -> Self {
        let script = format!("while [ -d /proc/{} ]; do :; done", std::process::id());
        let child = |_| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", &script]).stdin(Stdio::null());
            command.spawn().expect("sh starts")
        };
        Self((0..count).map(child).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            drop(child.kill());
        }
        for child in &mut self.0 {
            drop(child.wait());
        }
    }
}

/// A socket in the place of systemd's, and when the watchdog was fed.
struct Systemd {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Systemd {
    fn listen(stack: &Stack) -> Self {
        let path = Path::new(stack.text("/dir")).join("notify.sock");
        drop(std::fs::remove_file(&path));
        let socket = UnixDatagram::bind(&path).expect("a socket");
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        std::fs::set_permissions(&path, all).expect("for the worker, too");
        socket.set_nonblocking(true).expect("asked now and then");
        Self { socket, path }
    }

    /// How often it was told so since it was asked last.
    fn pings(&self) -> usize {
        let mut buffer = [0; 4096];
        let mut count = 0;
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let told = String::from_utf8_lossy(&buffer[..length]);
            count += usize::from(told.lines().any(|line| line == "WATCHDOG=1"));
        }
        count
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

/// When something happened, and the longest time between.
struct Times {
    last: Instant,
    count: usize,
    longest: Duration,
}

impl Times {
    fn new() -> Self {
        Self {
            last: Instant::now(),
            count: 0,
            longest: Duration::ZERO,
        }
    }

    fn happened(&mut self) {
        self.longest = self.longest.max(self.last.elapsed());
        self.last = Instant::now();
        self.count += 1;
    }

    fn over(mut self) -> (usize, Duration) {
        self.longest = self.longest.max(self.last.elapsed());
        (self.count, self.longest)
    }
}

#[tokio::test]
#[ignore = "needs the stack: run deploy/test"]
async fn heartbeats_and_the_watchdog_stay_alive_on_a_machine_with_load_50() {
    const WATCHDOG: Duration = Duration::from_secs(16);
    // Longer than one heartbeat may stay away.
    const LASTS: Duration = Duration::from_secs(30);
    let stack = Stack::load();
    clear(&stack, SERVER).await;
    let hub = Hub::with_servers(&stack, &Settings::default(), &[SERVER]).await;
    let systemd = Systemd::listen(&stack);
    let orders = Orders {
        environment: vec![
            (
                "NOTIFY_SOCKET".to_owned(),
                systemd.path.display().to_string(),
            ),
            ("WATCHDOG_USEC".to_owned(), WATCHDOG.as_micros().to_string()),
        ],
        ..Orders::default()
    };
    let worker = Worker::start(&stack, SERVER, &orders).await;
    let heard = async || -> Value {
        let server = hub.get(&format!("/v1/servers/{SERVER}")).await;
        assert_ne!(server["presence"], "silent", "{server:#}");
        server["seen_at"].clone()
    };
    until("it is heard", SOON, async || {
        heard().await.is_number().then_some(())
    })
    .await;

    let busy = Busy::start(100);
    let began = Instant::now();
    let (mut beats, mut pings) = (Times::new(), Times::new());
    let (mut seen, mut most_running) = (heard().await, 0);
    while began.elapsed() < LASTS {
        let now = heard().await;
        if now != seen {
            seen = now;
            beats.happened();
        }
        if systemd.pings() > 0 {
            pings.happened();
        }
        most_running = most_running.max(runnable());
        // The time that passes is what is measured here.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (beats, longest_beat) = beats.over();
    let (pings, longest_ping) = pings.over();
    drop(busy);
    println!(
        "{most_running} processes wanted to run; {beats} heartbeats, at most {longest_beat:?} apart; \
         {pings} pings of the watchdog, at most {longest_ping:?} apart"
    );
    assert!(
        most_running >= 50,
        "the machine was not busy: {most_running}"
    );
    assert!(beats >= 1 && longest_beat < Duration::from_secs(25));
    assert!(pings >= 2 && longest_ping < WATCHDOG);
    let ping = hub.task(SERVER, "ping", json!({})).await;
    hub.succeeds(&ping).await;
    worker.stop().await;
}

/// How many processes want to run now (`2/613` in `/proc/loadavg`).
fn runnable() -> usize {
    let text = std::fs::read_to_string("/proc/loadavg").expect("/proc/loadavg");
    let fields = text
        .split(' ')
        .nth(3)
        .and_then(|field| field.split_once('/'));
    fields
        .and_then(|(running, _)| running.parse().ok())
        .expect("a number")
}
