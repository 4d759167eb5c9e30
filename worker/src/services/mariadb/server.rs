//! Where the database server is and how the worker's account gets in: on this machine by its Unix user over the
//! socket, or on another one by a password, at an address in a private network.
//!
//! [`super::Mariadb`] connects as this says, the programs that dump and import are told the same, and a site's
//! settings are made of it. Users are let in from this machine alone, wherever the server is.

use std::path::PathBuf;

use kolga_protocol::names::{DatabaseName, Engine};
use sqlx::ConnectOptions as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use crate::config;
use crate::profile::template::Database;
use crate::secrets::Secret;
use crate::services::database::Authority;

/// Where MariaDB listens.
#[derive(Clone, Debug)]
pub enum Server {
    /// Here, behind a Unix socket.
    Here(PathBuf),
    /// On another machine.
    Elsewhere(config::RemoteMariadb),
}

impl Server {
    /// From the configuration, which names just one of both.
    pub(super) fn new(config: &config::Mariadb) -> Self {
        match &config.remote {
            Some(remote) => Self::Elsewhere(remote.clone()),
            None => Self::Here(config.socket.clone().unwrap_or_default()),
        }
    }

    /// The way there, for whoever has an account.
    #[must_use]
    pub fn options(&self) -> MySqlConnectOptions {
        let options = MySqlConnectOptions::new()
            // A statement may hold a password.
            .disable_statement_logging();
        let options = match self.authority() {
            Some(authority) => options
                .ssl_mode(MySqlSslMode::VerifyIdentity)
                .ssl_ca(authority.file),
            None => options.ssl_mode(MySqlSslMode::Disabled),
        };
        match self {
            Self::Here(socket) => options.socket(socket),
            Self::Elsewhere(remote) => options
                .host(&remote.address.ip().to_string())
                .port(remote.address.port()),
        }
    }

    /// Who has signed the server's certificate, where it is spoken to over TLS alone.
    #[must_use]
    pub fn authority(&self) -> Option<Authority<'_>> {
        let Self::Elsewhere(remote) = self else {
            return None;
        };
        remote.ca_file.as_deref().map(|file| Authority {
            engine: Engine::Mariadb,
            file,
            address: remote.address,
        })
    }

    /// The password of the worker's account; none where it comes by its Unix user.
    ///
    /// # Errors
    /// When the file cannot be read, is not text, or others may read it.
    pub(super) fn password(&self) -> anyhow::Result<Option<Secret>> {
        match self {
            Self::Here(_) => Ok(None),
            Self::Elsewhere(remote) => Secret::read(&remote.password_file).map(Some),
        }
    }

    /// From where a site's user is let in, as the server sees this machine.
    pub(super) fn client(&self) -> String {
        match self {
            Self::Here(_) => "localhost".to_owned(),
            Self::Elsewhere(remote) => remote.client.to_string(),
        }
    }

    /// The folder in which it keeps its files, when that is one of this machine.
    pub(super) fn is_here(&self) -> bool {
        matches!(self, Self::Here(_))
    }

    /// What a site's settings say of it, and of the account that the site has there.
    #[must_use]
    pub fn settings(&self, name: &DatabaseName, password: &Secret) -> Database {
        let (socket, host, port, server) = match self {
            Self::Here(socket) => {
                let socket = socket.display().to_string();
                let server = format!("localhost:{socket}");
                (Some(socket), "localhost".to_owned(), None, server)
            }
            Self::Elsewhere(config::RemoteMariadb { address, .. }) => {
                let (host, port) = (address.ip().to_string(), address.port());
                (None, host, Some(port), address.to_string())
            }
        };
        Database {
            engine: Engine::Mariadb,
            socket,
            host,
            port,
            server,
            name: name.clone(),
            user: name.clone(),
            password: password.expose().to_owned(),
            ca_file: self.authority().map(Authority::to_text),
        }
    }

    /// What a program of MariaDB's reads (`--defaults-file`): where the server is, and who comes.
    pub(super) fn program_file(&self, user: &str, password: Option<&Secret>) -> String {
        // Quoted as option files have it, so that no letter ends a value or begins a comment.
        let quoted =
            |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let password = password.map(|password| format!("password={}\n", quoted(password.expose())));
        // With both of these it refuses a server that has no TLS, too.
        let authority = self.authority().map(|authority| {
            let file = quoted(&authority.to_text());
            format!("ssl-ca={file}\nssl-verify-server-cert\n")
        });
        let place = match self {
            Self::Here(socket) => format!("socket={}", socket.display()),
            Self::Elsewhere(remote) => {
                let (host, port) = (remote.address.ip(), remote.address.port());
                format!("protocol=TCP\nhost={host}\nport={port}")
            }
        };
        format!(
            "[client]\nuser={}\n{}{place}\n{}",
            quoted(user),
            password.unwrap_or_default(),
            authority.unwrap_or_default()
        )
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Here(socket) => socket.display().fmt(f),
            Self::Elsewhere(remote) => remote.address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elsewhere(address: &str) -> Server {
        Server::Elsewhere(config::RemoteMariadb {
            address: address.parse().expect("an address"),
            client: "10.0.0.7".parse().expect("an address"),
            password_file: "/nonexistent".into(),
            ca_file: None,
        })
    }

    #[test]
    fn programs_are_told_where_it_is_and_no_letter_of_a_password_says_more() {
        let odd: Secret = serde_json::from_str(r##""a\"b\\c#d""##).expect("a secret");
        let told = elsewhere("10.0.0.2:3307").program_file("k_x", Some(&odd));
        assert_eq!(
            told,
            "[client]\nuser=\"k_x\"\npassword=\"a\\\"b\\\\c#d\"\nprotocol=TCP\nhost=10.0.0.2\nport=3307\n"
        );
        let here = Server::Here("/run/mysqld.sock".into());
        let told = here.program_file("kolga", None);
        assert_eq!(told, "[client]\nuser=\"kolga\"\nsocket=/run/mysqld.sock\n");
    }

    #[test]
    fn settings_name_the_socket_or_the_address_and_users_come_from_this_machine() {
        let name: DatabaseName = "k_x".parse().expect("a name");
        let password = Secret::generate(32).expect("made");
        let here = Server::Here("/run/mysqld.sock".into());
        assert_eq!(
            here.settings(&name, &password).server,
            "localhost:/run/mysqld.sock"
        );
        assert_eq!(here.client(), "localhost");
        let there = elsewhere("[fd00::2]:3306");
        let settings = there.settings(&name, &password);
        assert_eq!(settings.server, "[fd00::2]:3306");
        assert_eq!(
            (settings.host.as_str(), settings.port),
            ("fd00::2", Some(3306))
        );
        assert_eq!(there.client(), "10.0.0.7");
    }

    #[test]
    fn with_an_authority_programs_and_sites_are_told_of_it() {
        let name: DatabaseName = "k_x".parse().expect("a name");
        let password = Secret::generate(32).expect("made");
        let mut there = elsewhere("10.0.0.2:3307");
        assert_eq!(there.settings(&name, &password).ca_file, None);
        if let Server::Elsewhere(remote) = &mut there {
            remote.ca_file = Some("/etc/kolga/db-ca.pem".into());
        }
        assert_eq!(
            there.program_file("k_x", None),
            "[client]\nuser=\"k_x\"\nprotocol=TCP\nhost=10.0.0.2\nport=3307\n\
             ssl-ca=\"/etc/kolga/db-ca.pem\"\nssl-verify-server-cert\n"
        );
        let told = there.settings(&name, &password);
        assert_eq!(told.ca_file.as_deref(), Some("/etc/kolga/db-ca.pem"));
    }
}
