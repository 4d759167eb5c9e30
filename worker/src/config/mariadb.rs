//! Where MariaDB is, as the configuration says it.
//!
//! [`super::Config`] holds it; [`crate::services::mariadb::server`] is made of it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// MariaDB, reached as an account that may create databases and users: over the socket of a server of this machine,
/// or at the address of one elsewhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mariadb {
    /// Its Unix socket.
    pub socket: Option<PathBuf>,
    /// A server on another machine, instead of a socket.
    pub remote: Option<RemoteMariadb>,
    /// The account. Over a socket it authenticates by `unix_socket`, so there is no password to keep.
    pub user: String,
}

/// MariaDB on another machine than the web server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteMariadb {
    /// Where it listens: an address and a port, of a private network or of a tunnel.
    pub address: SocketAddr,
    /// The address that this machine comes from, as the server sees it: users of sites are let in from there alone.
    pub client: IpAddr,
    /// A file with the account's password; nobody else may read it.
    pub password_file: PathBuf,
    /// A file with the authority that has signed the server's certificate. Where it is named, nothing goes there but over
    /// TLS; else nothing on the way is encrypted.
    pub ca_file: Option<PathBuf>,
}

impl Mariadb {
    /// What is wrong with it.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        // It becomes part of statements that messages tell the operator to run.
        let letters = self
            .user
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if self.user.is_empty() || !letters {
            problems.push("mariadb.user must be letters, digits and _ - .".into());
        }
        if self.socket.is_some() == self.remote.is_some() {
            problems.push(
                "mariadb needs either a socket, or remote with address, client and password_file"
                    .into(),
            );
        }
        let Some(remote) = &self.remote else {
            return problems;
        };
        let (server, client) = (remote.address.ip(), remote.client);
        problems.extend(refused_address(
            "mariadb",
            server,
            remote.ca_file.as_deref(),
        ));
        if server.is_ipv4() != client.is_ipv4() || client.is_unspecified() {
            problems.push(format!(
                "mariadb.remote.client: {client} is not how {server} can see this machine: see `ip route get {server}`"
            ));
        }
        problems
    }
}

/// Why a server at this address is not spoken to; `None` where it may be. Over TLS neither: whoever asks for it gets a
/// certificate for a public address of authorities that are believed besides (docs/decisions/0024).
pub(super) fn refused_address(
    section: &str,
    address: IpAddr,
    ca_file: Option<&Path>,
) -> Option<String> {
    let why = match ca_file {
        None => "nothing on the way there is encrypted",
        Some(_) => "a certificate for it could be had of an authority that is not yours",
    };
    (!is_private(address)).then(|| {
        format!(
            "{section}.remote.address: {address} is in no private network, and {why}: use the address of a private \
             network or of a tunnel"
        )
    })
}

/// Loopback, the private networks of RFC 1918 and RFC 4193, what is shared by RFC 6598 (many tunnels' addresses), and
/// link-local.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 0x40;
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let config: Mariadb = toml::from_str(text).expect("a section");
        config.problems()
    }

    fn remote(address: &str, client: &str) -> Vec<String> {
        problems(&format!(
            "user = \"kolga\"\n[remote]\naddress = \"{address}\"\nclient = \"{client}\"\npassword_file = \"/p\"\n"
        ))
    }

    #[test]
    fn a_server_is_behind_a_socket_or_elsewhere_and_not_both() {
        assert!(problems("user = \"kolga\"\nsocket = \"/s\"").is_empty());
        let neither = problems("user = \"kolga\"");
        assert!(neither[0].contains("either a socket"), "{neither:?}");
        let both = problems(
            "user = \"kolga\"\nsocket = \"/s\"\n[remote]\naddress = \"10.0.0.2:3306\"\nclient = \"10.0.0.7\"\n\
             password_file = \"/p\"",
        );
        assert!(both[0].contains("either a socket"), "{both:?}");
        let odd = problems("user = \"a'b\"\nsocket = \"/s\"");
        assert!(odd[0].contains("mariadb.user"), "{odd:?}");
    }

    #[test]
    fn only_what_is_in_a_private_network_is_spoken_to_without_encryption() {
        for (address, client) in [
            ("127.0.0.1:3306", "127.0.0.1"),
            ("10.0.0.2:3306", "10.0.0.7"),
            ("172.31.0.2:3306", "172.16.0.1"),
            ("192.168.1.2:3307", "192.168.1.3"),
            ("100.100.0.2:3306", "100.64.0.3"),
            ("[fd00::2]:3306", "fd00::3"),
        ] {
            assert_eq!(remote(address, client), Vec::<String>::new(), "{address}");
        }
        for address in ["8.8.8.8:3306", "172.32.0.1:3306", "100.128.0.1:3306"] {
            let told = remote(address, "10.0.0.7");
            assert!(told[0].contains("no private network"), "{told:?}");
        }
        let told = remote("[2001:db8::1]:3306", "fd00::3");
        assert!(told[0].contains("no private network"), "{told:?}");
        let told = problems(
            "user = \"kolga\"\n[remote]\naddress = \"8.8.8.8:3306\"\nclient = \"10.0.0.7\"\npassword_file = \"/p\"\n\
             ca_file = \"/ca.pem\"\n",
        );
        assert!(told[0].contains("not yours"), "{told:?}");
        for client in ["0.0.0.0", "fd00::3"] {
            let told = remote("10.0.0.2:3306", client);
            assert!(told[0].contains("ip route get"), "{told:?}");
        }
    }
}
