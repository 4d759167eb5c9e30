//! The system under test: one hub and a worker on every spoke of the stack, each behind a proxy of its own,
//! with small file systems and clocks that can be set.
//!
//! `deploy/chaos` has started the services and mounted the file systems; this starts Kolga on them.

use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use kolga_tests::proxy::{Proxy, Way};
use kolga_tests::stack::Stack;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::api::{Answer, Api};
use crate::patience::patient;
use crate::service::Service;

/// The spokes of the stack.
pub const SPOKES: [&str; 3] = ["web1", "web2", "web3"];
/// The spoke whose clock can be set, as the hub's can.
pub const FAKED: &str = "web2";
/// The spoke with small file systems for its journal and its sites.
pub const SMALL: &str = "web1";
/// How long hub and workers may take to be there.
const START: Duration = Duration::from_secs(90);
/// Debian's libfaketime.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// A worker.
pub struct Spoke {
    pub name: &'static str,
    pub service: Service,
    pub proxy: Proxy,
    /// Its configuration.
    pub config: PathBuf,
}

/// Everything.
pub struct System {
    pub stack: Stack,
    /// What is ours below the stack's folder.
    pub folder: PathBuf,
    pub api: Api,
    pub hub: Service,
    pub hub_proxy: Proxy,
    pub spokes: Vec<Spoke>,
    /// The hub's PostgreSQL; SQLite where there is none.
    pub postgres: Option<String>,
}

impl System {
    /// Starts hub and workers.
    pub async fn start(postgres: bool) -> anyhow::Result<Self> {
        let stack = Stack::load();
        let root = PathBuf::from(stack.text("/dir"));
        let folder = root.join("chaos");
        let clock = folder.join("clock");
        ensure!(
            Path::new(FAKETIME).exists(),
            "{FAKETIME} is not there: run deploy/packages chaos"
        );
        own(&stack, &folder, 0o755)?;
        own(&stack, &folder.join("effects"), 0o755)?;
        std::fs::write(&clock, "+0\n")?;
        let postgres = postgres.then(|| stack.text("/postgres_url").to_owned());

        let url = stack.text("/amqp_hub_url").to_owned();
        let (hub_proxy, through) = proxied(&url).await?;
        let state = root.join("hubfs");
        let listen = stack.text("/hub/listen").to_owned();
        let store = postgres
            .as_ref()
            .map_or_else(String::new, |url| format!("[store]\nurl = {url:?}\n"));
        let text = format!(
            "state_dir = {:?}\nlisten = {listen:?}\n{store}[broker]\nurl = {through:?}\n\
             [tasks]\nattempts = 5\nretry_seconds = 1\nsilent_seconds = 8\n",
            state.display().to_string(),
        );
        let config = folder.join("hub/hub.toml");
        write_config(&stack, &config, &text)?;
        let hub = {
            let (stack, clock) = (stack.clone(), clock.clone());
            let log = folder.join("hub.log");
            Service::start("hub", move || {
                let mut command = with_fake_clock(&stack, "kolga", &clock);
                command.arg("serve").arg("--config").arg(&config);
                logged(command, &log)
            })
            .await?
        };
        let api = Api::new(&listen, state.join("api-token"))?;
        api.wait(patient(START)).await?;

        let mut spokes = Vec::new();
        for name in SPOKES {
            let added = api.post("/v1/servers", &json!({"name": name})).await;
            ensure!(matches!(added, Answer::Done(_)), "server {name}: {added:?}");
            spokes.push(spoke(&stack, &folder, &clock, name).await?);
        }
        let system = Self {
            stack,
            folder,
            api,
            hub,
            hub_proxy,
            spokes,
            postgres,
        };
        for spoke in &system.spokes {
            system.consumes(spoke.name, patient(START)).await?;
        }
        Ok(system)
    }

    pub fn spoke(&self, name: &str) -> &Spoke {
        let found = self.spokes.iter().find(|spoke| spoke.name == name);
        found.expect("a spoke of the list")
    }

    /// Where the effects' log and its locks are.
    pub fn effects(&self) -> PathBuf {
        self.folder.join("effects")
    }

    /// A folder of a spoke, as the stack describes it.
    pub fn place(&self, server: &str, what: &str) -> PathBuf {
        self.stack.spoke(server, what)
    }

    /// A small file system.
    pub fn disk(&self, disk: Disk) -> PathBuf {
        match disk {
            Disk::Journal => self.place(SMALL, "state_dir"),
            Disk::Sites => self.place(SMALL, "sites_root"),
            Disk::Hub => PathBuf::from(self.stack.text("/dir")).join("hubfs"),
        }
    }

    /// Moves the clock of the hub and of one worker, from what is true.
    pub fn set_clock(&self, seconds: i64) -> std::io::Result<()> {
        let (file, new) = (self.folder.join("clock"), self.folder.join("clock.new"));
        std::fs::write(&new, format!("{seconds:+}\n"))?;
        std::fs::rename(new, file)
    }

    /// Runs a command of a spoke's worker.
    pub async fn worker_cli(&self, server: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        let mut command = self.stack.program("kolga-worker");
        command
            .arg("--config")
            .arg(&self.spoke(server).config)
            .args(arguments);
        Ok(tokio::process::Command::from(command).output().await?)
    }

    /// Waits until a worker has recovered, has a connection and takes tasks.
    pub async fn consumes(&self, server: &str, limit: Duration) -> anyhow::Result<()> {
        let began = Instant::now();
        loop {
            let told = self.worker_cli(server, &["status", "--json"]).await?;
            let status: serde_json::Value =
                serde_json::from_slice(&told.stdout).unwrap_or_default();
            if status["mood"] == "consuming" && status["link"] == "up" {
                return Ok(());
            }
            ensure!(
                began.elapsed() < limit,
                "the worker of {server} does not consume: {status}"
            );
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// `deploy/stack` on our folder; what it said.
    pub async fn script(&self, verb: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let script =
            std::env::var("KOLGA_CHAOS_STACK").context("KOLGA_CHAOS_STACK: run deploy/chaos")?;
        let told = tokio::process::Command::new(script)
            .arg(verb)
            .args(["--dir", self.stack.text("/dir")])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await?;
        ensure!(
            told.status.success(),
            "deploy/stack {verb} {arguments:?}: {}",
            String::from_utf8_lossy(&told.stderr)
        );
        Ok(String::from_utf8_lossy(&told.stdout).into_owned())
    }

    /// Takes away whatever a fault may have left that did not come to its end.
    pub async fn heal(&self) -> anyhow::Result<()> {
        let proxies = self.spokes.iter().map(|spoke| &spoke.proxy);
        for proxy in proxies.chain([&self.hub_proxy]) {
            proxy.set(Way::Open);
        }
        self.set_clock(0)?;
        self.script("up", &[]).await?;
        let arguments = ["set_vm_memory_high_watermark", "0.4"];
        self.script("rabbitmqctl", &arguments).await?;
        Ok(())
    }

    /// What the broker's log holds so far.
    pub fn broker_log(&self) -> String {
        let folder = PathBuf::from(self.stack.text("/dir")).join("rabbitmq/log");
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut text = String::new();
        for file in files {
            let bytes = std::fs::read(file.path()).unwrap_or_default();
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        text
    }

    /// A connection to the broker, past the proxy, with the hub's rights.
    pub async fn broker(&self) -> anyhow::Result<lapin::Connection> {
        let url = self.stack.text("/amqp_hub_url");
        Ok(lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await?)
    }

    /// Where the broker listens.
    pub fn broker_address(&self) -> anyhow::Result<SocketAddr> {
        address(self.stack.text("/amqp_hub_url"))
    }

    /// Ends everything in order.
    pub async fn stop(&self) {
        for spoke in &self.spokes {
            drop(spoke.service.stop(rustix::process::Signal::TERM).await);
        }
        drop(self.hub.stop(rustix::process::Signal::TERM).await);
    }
}

/// A file system that can be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    Journal,
    Sites,
    Hub,
}

async fn spoke(
    stack: &Stack,
    folder: &Path,
    clock: &Path,
    name: &'static str,
) -> anyhow::Result<Spoke> {
    let text = std::fs::read_to_string(stack.spoke(name, "config"))?;
    let mut config: toml::Table = toml::from_str(&text)?;
    let (proxy, through) = proxied(stack.text(&format!("/spokes/{name}/amqp_url"))).await?;
    let broker = toml::Table::from_iter([("url".to_owned(), toml::Value::String(through))]);
    config.insert("broker".to_owned(), toml::Value::Table(broker));
    let path = folder.join(name).join("worker.toml");
    write_config(stack, &path, &toml::to_string(&config)?)?;
    let profile = stack.spoke(name, "profiles").join("counted");
    let copied = Command::new("/bin/cp")
        .args([
            "-r",
            concat!(env!("CARGO_MANIFEST_DIR"), "/chaos/profile/counted"),
        ])
        .arg(&profile)
        .status()?;
    ensure!(
        copied.success(),
        "the profile cannot be copied to {}",
        profile.display()
    );
    let (stack, clock) = (stack.clone(), clock.to_owned());
    let (config, log) = (path.clone(), folder.join(format!("{name}.log")));
    let service = Service::start(&format!("worker of {name}"), move || {
        let mut command = match name == FAKED {
            true => with_fake_clock(&stack, "kolga-worker", &clock),
            false => stack.program("kolga-worker"),
        };
        command.arg("--config").arg(&config).arg("run");
        logged(command, &log)
    })
    .await?;
    Ok(Spoke {
        name,
        service,
        proxy,
        config: path,
    })
}

/// A program for which the clock on the wall can be set; the one that only counts stays true. The library
/// keeps something named by the process and owned by its user, so it comes in only when both are final.
fn with_fake_clock(stack: &Stack, name: &str, clock: &Path) -> Command {
    let mut command = stack.program("/usr/bin/env");
    command
        .arg(format!("LD_PRELOAD={FAKETIME}"))
        .arg(format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()))
        .args([
            "FAKETIME_CACHE_DURATION=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        ])
        .arg(Path::new(stack.text("/dir")).join("bin").join(name));
    command
}

fn logged(mut command: Command, log: &Path) -> std::io::Result<Command> {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)?;
    command.stderr(log.try_clone()?).stdout(log);
    Ok(command)
}

/// A folder of the services' user.
fn own(stack: &Stack, folder: &Path, mode: u32) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    chown(folder, Some(stack.uid()), Some(stack.uid()))?;
    std::fs::set_permissions(folder, PermissionsExt::from_mode(mode))?;
    Ok(())
}

/// It holds the broker's password.
fn write_config(stack: &Stack, path: &Path, text: &str) -> anyhow::Result<()> {
    own(stack, path.parent().context("a folder")?, 0o700)?;
    std::fs::write(path, text)?;
    chown(path, Some(stack.uid()), Some(stack.uid()))?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
    Ok(())
}

/// A proxy in front of the broker that a URL names, and the URL that leads through it.
async fn proxied(url: &str) -> anyhow::Result<(Proxy, String)> {
    let target = address(url)?;
    let proxy = Proxy::start(target).await?;
    let through = url.replace(&target.to_string(), &proxy.address().to_string());
    Ok((proxy, through))
}

fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let after = url.rsplit('@').next().context("a URL with a user")?;
    let address = after.split('/').next().context("a URL with an address")?;
    Ok(address.parse()?)
}
