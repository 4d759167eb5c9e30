//! The memory of a real hub over the store that was filled: `kolga serve`, as built beside this program.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

/// Resident memory of the hub, in MiB.
pub struct Memory {
    /// After its start, when nothing happens.
    pub idle: f64,
    /// After all sites and many tasks were listed.
    pub after: f64,
}

struct Hub {
    child: Child,
    folder: PathBuf,
}

impl Drop for Hub {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

/// Starts a hub, lets it do what a hub does, and looks.
pub fn memory(store: &str) -> anyhow::Result<Memory> {
    let program = program()?;
    let folder = std::env::temp_dir().join(format!("kolga-growth-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let config = folder.join("hub.toml");
    std::fs::write(
        &config,
        format!(
            "state_dir = {folder:?}\nlisten = \"127.0.0.1:0\"\n[store]\nurl = {store:?}\n\
             [broker]\nurl = \"amqp://nobody:nothing@127.0.0.1:1/kolga\"\n"
        ),
    )?;
    let child = Command::new(&program)
        .args(["serve", "--config"])
        .arg(&config)
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} does not start", program.display()))?;
    let mut hub = Hub { child, folder };
    let stderr = hub.child.stderr.take().context("it is piped")?;
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let address = lines
        .by_ref()
        .find_map(|line| {
            let (_, after) = line.split_once("the hub runs address=")?;
            after.split_whitespace().next().map(str::to_owned)
        })
        .context("the hub does not say where it listens")?;
    std::thread::spawn(move || lines.for_each(drop));
    let ask = |arguments: &[&str]| -> anyhow::Result<()> {
        let status = Command::new(&program)
            .env("KOLGA_HUB", format!("http://{address}"))
            .env("KOLGA_TOKEN_FILE", hub.folder.join("api-token"))
            .args(arguments)
            .stdout(Stdio::null())
            .status()?;
        if !status.success() {
            bail!("kolga {} failed", arguments.join(" "));
        }
        Ok(())
    };
    // The janitor has counted by then.
    std::thread::sleep(Duration::from_secs(5));
    let idle = resident(hub.child.id())?;
    ask(&["site", "list", "--all", "--json"])?;
    for state in ["succeeded", "failed"] {
        ask(&[
            "task", "list", "--limit", "1000", "--state", state, "--json",
        ])?;
    }
    Ok(Memory {
        idle,
        after: resident(hub.child.id())?,
    })
}

fn program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let program = own
        .parent()
        .and_then(Path::parent)
        .map(|folder| folder.join("kolga"))
        .filter(|program| program.exists());
    program.context(
        "there is no kolga beside this program: cargo build --release -p kolga --bins --examples",
    )
}

fn resident(process: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|number| number.parse::<f64>().ok());
    Ok(kib.context("its resident memory")? / 1024.0)
}
