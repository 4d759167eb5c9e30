//! Certificates as an operator puts them on a spoke: they sign themselves.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::stack::Stack;

/// Puts one for this host and all names below it where the spoke looks; the folder.
///
/// # Panics
/// When openssl does not make it.
pub fn put(stack: &Stack, server: &str, host: &str) -> PathBuf {
    let folder = stack.spoke(server, "certificates").join(host);
    std::fs::create_dir_all(&folder).expect("a folder");
    let names = format!("subjectAltName=DNS:{host},DNS:*.{host}");
    let ended = Command::new("/usr/bin/openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args(["-days", "30", "-subj", "/CN=kolga.test", "-addext", &names])
        .args(["-keyout", "privkey.pem", "-out", "fullchain.pem"])
        .current_dir(&folder)
        .stderr(Stdio::null())
        .status();
    assert!(ended.expect("openssl runs").success());
    // The worker's, and nginx's to read.
    let key = folder.join("privkey.pem");
    std::os::unix::fs::chown(&key, Some(stack.uid()), None).expect("given away");
    let group = Command::new("/usr/bin/chgrp")
        .arg(stack.text("/web_user"))
        .arg(&key)
        .status();
    assert!(group.expect("chgrp runs").success());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    std::fs::set_permissions(&key, mode).expect("nobody else's");
    folder
}
