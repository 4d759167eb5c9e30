//! What serves sites: `[nginx]`, `[tls]` and `[pages]`.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// nginx, and how the worker may test and reload it. Every command is an argv; none goes to a shell.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nginx {
    /// Our one file that the operator's `http` block includes; it includes `sites_dir/*.conf`.
    pub include: PathBuf,
    /// One file a site.
    pub sites_dir: PathBuf,
    /// A whole configuration that the worker writes around one new site's file, to test it aside.
    pub staged: PathBuf,
    /// Tests the live configuration.
    pub test: Vec<String>,
    /// Tests the staged one.
    pub test_staged: Vec<String>,
    /// Makes nginx read its configuration anew.
    pub reload: Vec<String>,
    /// Where nginx writes the number of its main process, by which it is seen when a reload has come to its end.
    #[serde(default = "nginx_pid_file")]
    pub pid_file: PathBuf,
    /// The port that sites listen on.
    #[serde(default = "http_port")]
    pub port: u16,
    /// The addresses that sites listen on; all of this machine's, at `port`, when there is none here.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// A folder of the operator's with lines for nginx that single sites get besides: `<host>.conf`. Nobody but
    /// root and the worker's user may write there.
    pub snippets: Option<PathBuf>,
    /// Where the worker itself reaches nginx, to check a site.
    pub check_address: SocketAddr,
}

impl Nginx {
    /// What makes no sense.
    pub(super) fn problems(&self) -> impl Iterator<Item = String> {
        let commands = [
            ("nginx.test", &self.test),
            ("nginx.test_staged", &self.test_staged),
            ("nginx.reload", &self.reload),
        ];
        let bad = commands
            .into_iter()
            .filter(|(_, argv)| !argv.first().is_some_and(|program| program.starts_with('/')));
        bad.map(|(name, _)| format!("{name} must begin with the absolute path of a program"))
    }
}

/// HTTPS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A folder with one a site, `<host>/fullchain.pem` and `<host>/privkey.pem`. Nobody but root and the worker's
    /// user may write there; nginx's user must be able to read it, keys too.
    pub certificates: PathBuf,
    /// The port that sites listen on.
    #[serde(default = "https_port")]
    pub port: u16,
    /// The addresses that sites listen on; all of this machine's, at `port`, when there is none here.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// Where the worker itself reaches nginx over TLS, to check a site.
    pub check_address: SocketAddr,
    /// Days before the end of a certificate from which on `site.verify` tells of it.
    #[serde(default = "warn_days")]
    pub warn_days: u32,
    /// A folder out of which each site serves what certificate authorities ask for below
    /// `/.well-known/acme-challenge/`.
    pub challenges: Option<PathBuf>,
}

/// Pages of the operator's own, which nginx must be able to read, in place of the built-in ones.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pages {
    /// Instead of a site that is disabled: an HTML file.
    pub disabled: Option<PathBuf>,
    /// Instead of a site that a task is working on: an HTML file.
    pub maintenance: Option<PathBuf>,
}

fn nginx_pid_file() -> PathBuf {
    "/run/nginx.pid".into()
}

fn http_port() -> u16 {
    80
}

fn https_port() -> u16 {
    443
}

fn warn_days() -> u32 {
    14
}
