//! Where backups go, how that is reached, what is kept of them, and when the rest goes by itself.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cron::At;

/// A restic repository. Nothing in here is a secret; the files that it names are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// Where, as restic says it: an absolute path, or `sftp:…`, `rest:…`, `s3:…`. Made at the first backup.
    pub repository: String,
    /// A file with the password that everything in it is encrypted with; nobody else may read it. Without it
    /// the backups are worth nothing, so keep a copy elsewhere.
    pub password_file: PathBuf,
    /// A file of lines `NAME=value` that restic gets as environment, as its S3 backend wants its keys; nobody
    /// else may read it.
    pub environment_file: Option<PathBuf>,
    /// With `sftp:`, the private key that is shown to the host, without a passphrase; nobody else may read it.
    /// `.ssh/id_ed25519` in `state_dir` when none is named.
    pub ssh_key: Option<PathBuf>,
    /// With `sftp:`, the keys by which the host is known; no other is taken. `.ssh/known_hosts` in `state_dir` when none is
    /// named.
    pub ssh_known_hosts: Option<PathBuf>,
    /// With `rest:` or `s3:`, the certificates of the authorities that vouch for the host, where they are others than the
    /// system's.
    pub ca_file: Option<PathBuf>,
    /// Of each site, the newest backup of so many days, weeks and months is kept when backups are pruned.
    #[serde(default = "keep_daily")]
    pub keep_daily: u32,
    /// Weeks, which begin on Monday.
    #[serde(default = "keep_weekly")]
    pub keep_weekly: u32,
    /// Months.
    #[serde(default = "keep_monthly")]
    pub keep_monthly: u32,
    /// When the worker prunes this spoke's backups by itself; never when it is not said.
    pub prune_at: Option<At>,
    /// The worker's own folder below which backups can be extracted; without it none can.
    pub extract_to: Option<PathBuf>,
}

/// A host that is reached by SSH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sftp {
    /// `user@host`, or the host alone.
    pub destination: String,
    /// Its port, where that is another than SSH's.
    pub port: Option<u16>,
}

impl Backups {
    /// The folder that the repository is, when it is one of this machine.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        let path = self.repository.strip_prefix("local:");
        let path = Path::new(path.unwrap_or(&self.repository));
        path.is_absolute().then_some(path)
    }

    /// The repository, for showing: a REST server's address may hold a password.
    #[must_use]
    pub fn shown(&self) -> String {
        let hidden = || {
            let (scheme, rest) = self.repository.split_once("://")?;
            let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
            let (account, host) = place.rsplit_once('@')?;
            let (user, _) = account.split_once(':')?;
            Some(format!("{scheme}://{user}:…@{host}/{path}"))
        };
        hidden().unwrap_or_else(|| self.repository.clone())
    }

    /// Whether it is reached by SSH.
    #[must_use]
    pub fn is_sftp(&self) -> bool {
        self.repository.starts_with("sftp:")
    }

    /// The host that is reached by SSH, as restic reads the address; `None` when it is none that could be.
    #[must_use]
    pub fn sftp(&self) -> Option<Sftp> {
        let address = self.repository.strip_prefix("sftp:")?;
        let (place, path, is_url) = match address.strip_prefix("//") {
            Some(url) => {
                let (place, path) = url.split_once('/')?;
                (place, path, true)
            }
            None => {
                let (place, path) = address.split_once(':')?;
                (place, path, false)
            }
        };
        let (user, host) = match place.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, place),
        };
        let (host, port) = match host.strip_prefix('[').and_then(|it| it.split_once(']')) {
            Some((host, "")) if is_url => (host, None),
            Some((host, port)) if is_url => (host, Some(port.strip_prefix(':')?)),
            Some(_) => return None,
            None => match host.split_once(':') {
                Some((host, port)) if is_url => (host, Some(port)),
                Some(_) => return None,
                None => (host, None),
            },
        };
        let port = port.map(str::parse).transpose().ok()?;
        let plain = |text: &str, more: &[u8]| {
            let fits =
                |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b) || more.contains(&b);
            !text.is_empty() && !text.starts_with('-') && text.bytes().all(fits)
        };
        if path.is_empty() || !plain(host, b":") || !user.is_none_or(|user| plain(user, b"")) {
            return None;
        }
        let destination = match user {
            Some(user) => format!("{user}@{host}"),
            None => host.to_owned(),
        };
        Some(Sftp { destination, port })
    }

    /// What is wrong with it, but for paths.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let remote = ["sftp:", "rest:", "s3:"];
        if self.folder().is_none() && !remote.iter().any(|it| self.repository.starts_with(it)) {
            problems.push(
                "backups.repository must be an absolute path, or begin with sftp:, rest: or s3:"
                    .to_owned(),
            );
        }
        if self.is_sftp() && self.sftp().is_none() {
            problems.push(
                "backups.repository must be sftp:user@host:/folder, or sftp://user@host:port//folder"
                    .to_owned(),
            );
        }
        if !self.is_sftp() && (self.ssh_key.is_some() || self.ssh_known_hosts.is_some()) {
            problems.push("backups.ssh_… is only for a repository by sftp:".to_owned());
        }
        let by_tls = ["rest:https:", "s3:"];
        if self.ca_file.is_some() && !by_tls.iter().any(|it| self.repository.starts_with(it)) {
            problems
                .push("backups.ca_file is only for a repository by rest:https: or s3:".to_owned());
        }
        problems
    }
}

fn keep_daily() -> u32 {
    7
}

fn keep_weekly() -> u32 {
    4
}

fn keep_monthly() -> u32 {
    6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(repository: &str) -> Backups {
        let text = format!("repository = \"{repository}\"\npassword_file = \"/p\"");
        toml::from_str(&text).expect("backups")
    }

    #[test]
    fn an_address_by_ssh_is_read_as_restic_reads_it() {
        for (address, destination, port) in [
            (
                "sftp:kolga@backup.example.org:/srv/kolga",
                "kolga@backup.example.org",
                None,
            ),
            ("sftp:backup:kolga", "backup", None),
            (
                "sftp://kolga@backup:2222//srv/kolga",
                "kolga@backup",
                Some(2222),
            ),
            ("sftp://backup/kolga", "backup", None),
            ("sftp://kolga@[::1]:2222//srv", "kolga@::1", Some(2222)),
            ("sftp://[::1]//srv", "::1", None),
        ] {
            let found = at(address).sftp();
            let wanted = Sftp {
                destination: destination.to_owned(),
                port,
            };
            assert_eq!(found, Some(wanted), "{address}");
            assert!(at(address).problems().is_empty(), "{address}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        for (address, shown) in [
            (
                "rest:https://anna:s3c@r:et@host:8000/a/",
                "rest:https://anna:…@host:8000/a/",
            ),
            ("rest:http://host/a@b:c/", "rest:http://host/a@b:c/"),
            (
                "s3:http://127.0.0.1:80/bucket",
                "s3:http://127.0.0.1:80/bucket",
            ),
            ("sftp://kolga@[::1]:22//srv", "sftp://kolga@[::1]:22//srv"),
            ("/srv/restic", "/srv/restic"),
        ] {
            assert_eq!(at(address).shown(), shown, "{address}");
        }
    }

    #[test]
    fn an_address_that_could_be_a_command_or_an_option_is_refused() {
        for address in [
            "sftp:",
            "sftp:/srv",
            "sftp:host:",
            "sftp:-oProxyCommand=x:/srv",
            "sftp:a@-b:/srv",
            "sftp:a b@host:/srv",
            "sftp:a@host;x:/srv",
            "sftp://host:0x/srv",
            "sftp://host:99999/srv",
            "sftp:a'@host:/srv",
        ] {
            assert_eq!(at(address).sftp(), None, "{address}");
            assert_eq!(at(address).problems().len(), 1, "{address}");
        }
        assert_eq!(at("relative/folder").problems().len(), 1);
        assert!(at("/srv/kolga").problems().is_empty());
    }
}
