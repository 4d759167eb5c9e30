//! Certificates as an operator puts them on a spoke: they sign themselves.

use std::path::PathBuf;
use std::process::Command;

use crate::certificate::self_signed;
use crate::stack::Stack;

/// Puts one for this host and all names below it where the spoke looks; the folder.
///
/// # Panics
/// When openssl does not make it.
pub fn put(stack: &Stack, server: &str, host: &str) -> PathBuf {
    let folder = stack.spoke(server, "certificates").join(host);
    std::fs::create_dir_all(&folder).expect("a folder");
    let names = format!("DNS:{host},DNS:*.{host}");
    let key = folder.join("privkey.pem");
    self_signed(&folder.join("fullchain.pem"), &key, "kolga.test", &names);
    // The worker's, and nginx's to read.
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
