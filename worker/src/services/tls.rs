//! Certificates: which one a site has, whether its key belongs to it, for which names it is good and until when. An
//! operator, or what he has it done by, puts them on this spoke; they come and go by nobody else's hand, and no key
//! ever leaves it.
//!
//! ```text
//! <certificates>/<host>/fullchain.pem     the certificate, and those that lead to its root
//! <certificates>/<host>/privkey.pem       its key
//! ```
//!
//! Recipes ask here before anything is touched; that nginx can use them is seen when the site is asked
//! ([`super::nginx`]). `openssl` reads them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use kolga_protocol::id::UnixMillis;
use kolga_protocol::names::{HostName, SiteAlias};

use crate::config;
use crate::cx::Cx;
use crate::process::Command;

const OPENSSL: &str = "/usr/bin/openssl";
const PATIENCE: Duration = Duration::from_secs(30);
const DAY: i64 = 24 * 60 * 60 * 1000;

/// The certificates of this spoke.
#[derive(Clone, Debug)]
pub struct Tls {
    config: config::Tls,
}

/// What a certificate says, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The file.
    pub path: PathBuf,
    /// For which names it is good.
    pub names: BTreeSet<SiteAlias>,
    /// From when on.
    pub from: UnixMillis,
    /// Until when.
    pub until: UnixMillis,
}

impl Tls {
    /// From the configuration; nothing is read.
    #[must_use]
    pub fn new(config: &config::Tls) -> Self {
        Self {
            config: config.clone(),
        }
    }

    /// What the configuration says.
    #[must_use]
    pub fn config(&self) -> &config::Tls {
        &self.config
    }

    /// The certificate's file and its key's.
    #[must_use]
    pub fn paths(&self, host: &HostName) -> (PathBuf, PathBuf) {
        let folder = self.config.certificates.join(host.as_str());
        (folder.join("fullchain.pem"), folder.join("privkey.pem"))
    }

    /// A certificate that is good for all of these names now.
    ///
    /// # Errors
    /// Which file is missing, or what is wrong with the certificate or its key, and until when it was good.
    pub async fn need(
        &self,
        cx: &Cx,
        host: &HostName,
        names: &BTreeSet<SiteAlias>,
    ) -> anyhow::Result<Certificate> {
        let certificate = self.look(cx, host).await?;
        let problems = certificate.problems(names, UnixMillis::now(), 0);
        anyhow::ensure!(problems.is_empty(), "{}", problems.join("; "));
        Ok(certificate)
    }

    /// Whether certificates could be read here at all.
    ///
    /// # Errors
    /// When the folder is not there or not safe, or `openssl` does not run.
    pub async fn probe(&self, cx: &Cx) -> anyhow::Result<String> {
        let folder = &self.config.certificates;
        trusted(folder)?;
        let version = Command::new(OPENSSL).arg("version").capture(cx).await;
        let version = version.context("install the package openssl")?;
        let version = version.success(OPENSSL)?;
        let version = String::from_utf8_lossy(&version);
        Ok(format!("{}, {}", folder.display(), version.trim()))
    }

    /// The site's certificate, whose key belongs to it.
    ///
    /// # Errors
    /// When one of the files is missing, could be another user's work, cannot be read, or they do not belong together.
    pub async fn look(&self, cx: &Cx, host: &HostName) -> anyhow::Result<Certificate> {
        let (path, key) = self.paths(host);
        for file in [&self.config.certificates, &path, &key] {
            trusted(file)?;
        }
        secret(&key)?;
        let said = ask(
            cx,
            &path,
            "x509",
            &[
                "-noout",
                "-dates",
                "-dateopt",
                "iso_8601",
                "-ext",
                "subjectAltName",
                "-pubkey",
            ],
        )
        .await?;
        // A password would be asked for; without one that fails.
        let public = ask(cx, &key, "pkey", &["-pubout", "-passin", "pass:"]).await?;
        anyhow::ensure!(
            public_key(&said).is_some_and(|of_it| Some(of_it) == public_key(&public)),
            "{} is not the key of the certificate {}",
            key.display(),
            path.display()
        );
        read(path, &said)
    }
}

impl Certificate {
    /// What is wrong with it, or will be within so many days.
    #[must_use]
    pub fn problems(
        &self,
        names: &BTreeSet<SiteAlias>,
        now: UnixMillis,
        warn_days: u32,
    ) -> Vec<String> {
        let shown = self.path.display();
        let mut problems = Vec::new();
        let (from, until) = (date(self.from), date(self.until));
        let left = self.until.0.saturating_sub(now.0);
        if now < self.from {
            problems.push(format!(
                "the certificate {shown} is good from {from} on only"
            ));
        } else if left < 0 {
            problems.push(format!(
                "the certificate {shown} was good until {until} only"
            ));
        } else if left < i64::from(warn_days) * DAY {
            let days = left / DAY;
            problems.push(format!(
                "the certificate {shown} is good until {until} only, {days} more days"
            ));
        }
        let missing: Vec<&str> = names
            .iter()
            .filter(|name| !self.covers(name))
            .map(|name| name.as_str())
            .collect();
        if !missing.is_empty() {
            problems.push(format!(
                "the certificate {shown} is not good for {}",
                missing.join(", ")
            ));
        }
        problems
    }

    /// As browsers take it: a wildcard stands for one label.
    fn covers(&self, name: &SiteAlias) -> bool {
        let above = name.as_str().split_once('.').map(|(_, above)| above);
        self.names.contains(name)
            || name.below().is_none()
                && self
                    .names
                    .iter()
                    .any(|wild| wild.below().is_some() && wild.below() == above)
    }
}

/// Has nginx's own way in answered over TLS: sends this request, gives back all that came.
pub(super) async fn exchange(
    cx: &Cx,
    address: SocketAddr,
    host: &HostName,
    request: String,
) -> anyhow::Result<Vec<u8>> {
    let address = address.to_string();
    let captured = Command::new(OPENSSL)
        .args(["s_client", "-quiet", "-connect", &address, "-servername"])
        .arg(host.as_str())
        .stdin(request.into_bytes())
        .time_limit(PATIENCE)
        .capture(cx)
        .await?;
    anyhow::ensure!(
        !captured.stdout.is_empty(),
        "there is no answer over TLS: nginx's error log says why; may its user read the certificate and the key?"
    );
    Ok(captured.stdout)
}

/// What somebody else could write is nobody's certificate.
fn trusted(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let found = std::fs::metadata(path).with_context(|| {
        format!("{shown} is not there, or not to be seen by the worker's user: put it there first")
    })?;
    let own = rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        (found.uid() == 0 || found.uid() == own) && found.mode() & 0o022 == 0,
        "{shown} could be somebody else's work: it must belong to root or the worker's user, and be writable by nobody \
         else (chmod go-w)"
    );
    Ok(())
}

fn secret(key: &Path) -> anyhow::Result<()> {
    let shown = key.display();
    anyhow::ensure!(
        std::fs::metadata(key)?.mode() & 0o007 == 0,
        "{shown} can be read by everybody: chmod o-rwx {shown}"
    );
    Ok(())
}

async fn ask(cx: &Cx, file: &Path, what: &str, how: &[&str]) -> anyhow::Result<String> {
    let captured = Command::new(OPENSSL)
        .args([what, "-in"])
        .arg(file)
        .args(how)
        .time_limit(PATIENCE)
        .capture(cx)
        .await?;
    let said = captured
        .success(OPENSSL)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    String::from_utf8(said).context("openssl says something that is not text")
}

/// The public key among what openssl wrote.
fn public_key(said: &str) -> Option<&str> {
    let from = said.find("-----BEGIN PUBLIC KEY-----")?;
    let end = said[from..].find("-----END PUBLIC KEY-----")?;
    Some(&said[from..from + end])
}

fn read(path: PathBuf, said: &str) -> anyhow::Result<Certificate> {
    let after = |key: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(instant)
            .with_context(|| format!("{} has no {key}", path.display()))
    };
    let (from, until) = (after("notBefore=")?, after("notAfter=")?);
    let names = said
        .split(['\n', ','])
        .filter_map(|part| part.trim().strip_prefix("DNS:"))
        .filter_map(|name| name.parse().ok());
    Ok(Certificate {
        names: names.collect(),
        path,
        from,
        until,
    })
}

/// `2027-11-26 04:42:23Z`
fn instant(text: &str) -> Option<UnixMillis> {
    let (date, time) = text.trim().strip_suffix('Z')?.split_once(' ')?;
    let numbers = |text: &str, between| {
        let parts = text.split(between).map(str::parse::<i64>);
        parts.collect::<Result<Vec<i64>, _>>().ok()
    };
    let (date, time) = (numbers(date, '-')?, numbers(time, ':')?);
    let ([year, month, day], [hour, minute, second]) = (date.as_slice(), time.as_slice()) else {
        return None;
    };
    // Days since 1970, with years that begin in March ("days_from_civil", H. Hinnant).
    let year = year - i64::from(*month <= 2);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let seconds = (days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(UnixMillis(seconds * 1000))
}

/// The day, in UTC.
fn date(at: UnixMillis) -> String {
    let days = at.0.div_euclid(DAY) + 719_468;
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + days.div_euclid(146_097) * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests;
