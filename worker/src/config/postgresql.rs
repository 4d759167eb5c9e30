//! Where PostgreSQL is, as the configuration says it.
//!
//! [`super::Config`] holds it; [`crate::services::postgresql::server`] is made of it.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::mariadb::refused_address;

/// PostgreSQL, reached as an account that deploy/postgresql.sql has made: over the socket of a server of this machine, or at
/// the address of one elsewhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgresql {
    /// The folder with its Unix socket, such as `/run/postgresql`.
    pub socket: Option<PathBuf>,
    /// Its port: sites come to it over loopback.
    #[serde(default = "port")]
    pub port: u16,
    /// A server on another machine, instead of a socket.
    pub remote: Option<RemotePostgresql>,
    /// The account. Over a socket it authenticates by `peer`, so there is no password to keep.
    pub user: String,
}

/// PostgreSQL on another machine than the web server. From where sites' roles are let in its pg_hba.conf says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemotePostgresql {
    /// Where it listens: an address and a port, of a private network or of a tunnel.
    pub address: SocketAddr,
    /// A file with the account's password; nobody else may read it.
    pub password_file: PathBuf,
    /// A file with the authority that has signed the server's certificate. Where it is named, nothing goes there but over
    /// TLS; else nothing on the way is encrypted.
    pub ca_file: Option<PathBuf>,
}

fn port() -> u16 {
    5432
}

impl Postgresql {
    /// What is wrong with it.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        // It becomes a part of the name of a group, which is no longer than 63 bytes.
        let letters = self
            .user
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
        if !(1..=50).contains(&self.user.len()) || !letters {
            problems.push("postgresql.user must be 1 to 50 of a-z, 0-9, _ and -".into());
        }
        if self.socket.is_some() == self.remote.is_some() {
            problems.push(
                "postgresql needs either a socket, or remote with address and password_file".into(),
            );
        }
        if let Some(remote) = &self.remote {
            let address = remote.address.ip();
            problems.extend(refused_address(
                "postgresql",
                address,
                remote.ca_file.as_deref(),
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let config: Postgresql = toml::from_str(text).expect("a section");
        config.problems()
    }

    #[test]
    fn a_server_is_behind_a_socket_or_in_a_private_network_and_not_both() {
        assert!(problems("user = \"kolga\"\nsocket = \"/s\"\nport = 5433").is_empty());
        let remote = |address: &str| {
            format!(
                "user = \"kolga-web1\"\n[remote]\naddress = \"{address}\"\npassword_file = \"/p\""
            )
        };
        assert!(problems(&remote("10.0.0.2:5432")).is_empty());
        let told = problems(&remote("8.8.8.8:5432"));
        assert!(told[0].contains("no private network"), "{told:?}");
        let neither = problems("user = \"kolga\"");
        assert!(neither[0].contains("either a socket"), "{neither:?}");
        let odd = problems("user = \"a\\\"b\"\nsocket = \"/s\"");
        assert!(odd[0].contains("postgresql.user"), "{odd:?}");
    }
}
