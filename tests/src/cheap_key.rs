//! A key of a restic repository that costs nothing. restic derives its key from the password at every start, for most of a
//! second by design, and a scenario of backups starts it a hundred times. So the repositories of tests get one for
//! the same master key and the same password that takes a thousandth of that, where `restic init` had made one. All else
//! about them is as restic made it.
//!
//! The format is in restic's `design.rst`, "Keys, Encryption and MAC": scrypt, AES-256-CTR, Poly1305-AES.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// scrypt's N; restic itself takes 32,768 or so.
const N: u32 = 16;

/// Puts a cheap key in the place of the one that a repository has, unless it has one already.
///
/// # Panics
/// When there is no repository with one key, or that password does not open it.
pub fn cheapen(repository: &Path, password_file: &Path) {
    let keys = repository.join("keys");
    let mut there = std::fs::read_dir(&keys).expect("a repository");
    let old = there.next().expect("a key").expect("read").path();
    assert!(there.next().is_none(), "one key in {}", keys.display());
    let text = std::fs::read(&old).expect("a key");
    let key: Value = serde_json::from_slice(&text).expect("JSON");
    if key["N"] == N {
        return;
    }
    let password = std::fs::read_to_string(password_file).expect("a password");
    let master = run(
        Command::new("/usr/bin/restic")
            .args(["--no-cache", "--no-lock", "--password-file"])
            .arg(password_file)
            .arg("-r")
            .arg(repository)
            .args(["cat", "masterkey"]),
        b"",
    );
    let text = sealed(password.trim(), &master).to_string();
    let new = keys.join(hex(&Sha256::digest(text.as_bytes())));
    std::fs::write(&new, text).expect("written");
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&old).expect("there"));
    std::os::unix::fs::chown(&new, Some(owner), Some(owner)).expect("given away");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&new, mode).expect("private");
    std::fs::remove_file(old).expect("removed");
}

/// A file of a key: the master key, encrypted with what the password makes.
fn sealed(password: &str, master: &[u8]) -> Value {
    let (salt, nonce) = (uuids(4), uuids(1));
    let derived = openssl(
        &[
            "kdf",
            "-keylen",
            "64",
            "-kdfopt",
            &format!("pass:{password}"),
            "-kdfopt",
            &format!("hexsalt:{}", hex(&salt)),
            "-kdfopt",
            &format!("n:{N}"),
            "-kdfopt",
            "r:8",
            "-kdfopt",
            "p:1",
            "-binary",
            "SCRYPT",
        ],
        b"",
    );
    assert_eq!(derived.len(), 64);
    let (encrypt, k, r) = (&derived[..32], &derived[32..48], &derived[48..]);
    let cipher = |name: &str, key: &[u8], more: &[&str], plain: &[u8]| {
        let key = hex(key);
        let arguments = [&["enc", name, "-K", &key, "-nopad"], more].concat();
        openssl(&arguments, plain)
    };
    let text = cipher("-aes-256-ctr", encrypt, &["-iv", &hex(&nonce)], master);
    let once = [r, &cipher("-aes-128-ecb", k, &[], &nonce)].concat();
    let option = format!("hexkey:{}", hex(&once));
    let mac = openssl(&["mac", "-macopt", &option, "-binary", "POLY1305"], &text);
    assert_eq!(mac.len(), 16);
    let base64 = |bytes: &[u8]| {
        let text = openssl(&["base64", "-A"], bytes);
        String::from_utf8(text).expect("letters").trim().to_owned()
    };
    json!({
        "created": "2026-01-01T00:00:00Z", "username": "a test", "hostname": "a test",
        "kdf": "scrypt", "N": N, "r": 8, "p": 1, "salt": base64(&salt),
        "data": base64(&[&nonce, &*text, &mac].concat()),
    })
}

fn openssl(arguments: &[&str], stdin: &[u8]) -> Vec<u8> {
    run(Command::new("/usr/bin/openssl").args(arguments), stdin)
}

fn run(command: &mut Command, stdin: &[u8]) -> Vec<u8> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    pipe.write_all(stdin).ok();
    drop(pipe);
    let done = child.wait_with_output().expect("it ends");
    assert!(done.status.success(), "{command:?}");
    done.stdout
}

fn uuids(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|_| uuid::Uuid::new_v4().into_bytes())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
