//! The name of a database and of its user, which are the same.

use sha2::{Digest, Sha256};

use super::{HostName, ascii_name, lower_or_digit, name_type};
use crate::id::Run;

name_type!(
    /// A database or its user: 1 to 32 of `a-z 0-9 _`, beginning with a letter. 32 is the longest
    /// user name that MySQL takes (MySQL manual, "Account User Names and Passwords"); MariaDB takes 80.
    DatabaseName,
    "database name",
    check
);

fn check(text: &str) -> Result<String, String> {
    ascii_name(
        text,
        32,
        |b| b.is_ascii_lowercase(),
        |b| lower_or_digit(b) || b == b'_',
        "use 1 to 32 of a-z, 0-9 and '_', beginning with a letter and ending with a letter or a \
         digit",
    )
}

impl DatabaseName {
    /// The name that a site's database gets: readable, and different for different hosts, so that
    /// two sites can never be given one database. `k_`, up to 19 of the host's letters and digits,
    /// and ten hexadecimal digits of its SHA-256.
    #[must_use]
    pub fn for_site(host: &HostName) -> Self {
        named_by(host, host.as_str())
    }

    /// The name that a site's next database gets, which this run makes while the one before it is still
    /// there.
    #[must_use]
    pub fn beside(host: &HostName, run: Run) -> Self {
        // No host holds a blank, so this is never what `for_site` digests.
        named_by(host, &format!("{host} {run}"))
    }
}

fn named_by(host: &HostName, digested: &str) -> DatabaseName {
    let readable: String = host
        .as_str()
        .bytes()
        .map(|b| if lower_or_digit(b) { b as char } else { '_' })
        .take(19)
        .collect();
    let digest = Sha256::digest(digested.as_bytes());
    let hex: String = digest.iter().take(5).map(|b| format!("{b:02x}")).collect();
    DatabaseName(format!("k_{readable}_{hex}").replace("__", "_"))
}
