//! How restic reaches a repository by `sftp:`: through an `ssh` that is told everything, reads no configuration of its own,
//! asks nobody, and takes no host whose key is not known.
//!
//! Confined like the restic that starts it, it may read its key and the known hosts besides.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::Restic;
use crate::cx::Cx;
use crate::process::Command;
use crate::secrets::secret_file;

const SSH: &str = "/usr/bin/ssh";
/// For one question.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a host has to be known by, and how long it may be silent: a minute, and 20 seconds at the beginning.
const OPTIONS: &[&str] = &[
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=none",
    "UpdateHostKeys=no",
    "ConnectTimeout=20",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
];

impl Restic {
    /// The command by which restic reaches the host; `None` when it needs none.
    ///
    /// # Errors
    /// When the key is not there or others may read it, or there is no list of known hosts.
    pub(super) fn ssh_command(&self, cx: &Cx) -> anyhow::Result<Option<String>> {
        // restic takes it apart at spaces; paths and hosts have none, which the configuration sees to.
        Ok(self.ssh_argv(cx)?.map(|argv| argv.join(" ")))
    }

    /// Asks the host itself, when restic cannot get at what is there: restic does not wait for what `ssh` says.
    ///
    /// # Errors
    /// When there is no way to the host, in `ssh`'s words.
    pub(super) async fn ask_host(&self, cx: &Cx) -> anyhow::Result<()> {
        let Some(argv) = self.ssh_argv(cx)? else {
            return Ok(());
        };
        let asked = Command::from_argv(&argv)?.time_limit(PATIENCE);
        asked.capture(cx).await?.success(SSH).map(drop)
    }

    fn ssh_argv(&self, cx: &Cx) -> anyhow::Result<Option<Vec<String>>> {
        let Some(host) = self.config.sftp() else {
            return Ok(None);
        };
        let [key, known] = self.ssh_files(cx);
        secret_file(&key).with_context(|| {
            let key = key.display();
            format!("without its key nobody gets at the backups: ssh-keygen -t ed25519 -N '' -f {key}, as the worker's user")
        })?;
        anyhow::ensure!(
            known.is_file(),
            "{} is not there: put the key of the host into it that its operator has told you (ssh-keyscan shows what it says)",
            known.display()
        );
        let mut words = vec![SSH.to_owned(), "-F".to_owned(), "none".to_owned()];
        words.extend(["-i".to_owned(), key.display().to_string()]);
        let known = format!("UserKnownHostsFile={}", known.display());
        let options = OPTIONS.iter().map(|&option| option.to_owned());
        for option in options.chain([known]) {
            words.extend(["-o".to_owned(), option]);
        }
        if let Some(port) = host.port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        words.extend(["-s".to_owned(), host.destination, "sftp".to_owned()]);
        Ok(Some(words))
    }

    /// What `ssh` reads: its key, and the keys of hosts.
    pub(super) fn ssh_files(&self, cx: &Cx) -> [PathBuf; 2] {
        let own = cx.spoke.config.state_dir.join(".ssh");
        let named =
            |path: &Option<PathBuf>, name: &str| path.clone().unwrap_or_else(|| own.join(name));
        [
            named(&self.config.ssh_key, "id_ed25519"),
            named(&self.config.ssh_known_hosts, "known_hosts"),
        ]
    }
}
