//! Certificates that sign themselves, made by openssl: of sites, of servers, and of authorities that nobody trusts.

use std::path::Path;
use std::process::{Command, Stdio};

/// Makes one with this common name and these further names (`DNS:…`, `IP:…`), and its key beside it.
///
/// # Panics
/// When openssl does not make it.
pub fn self_signed(certificate: &Path, key: &Path, common_name: &str, names: &str) {
    let mut openssl = Command::new("/usr/bin/openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "30"]);
    openssl.args(["-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.args(["-subj", &format!("/CN={common_name}")]);
    openssl.args(["-addext", &format!("subjectAltName={names}")]);
    openssl.arg("-keyout").arg(key).arg("-out").arg(certificate);
    let made = openssl.stderr(Stdio::null()).status();
    assert!(made.expect("openssl runs").success());
}
