//! Where the database server is and how the worker's account gets in: on this machine by its Unix user over the
//! socket, or on another one by a password, at an address in a private network. Sites come by a password either way, over
//! loopback where the server is here, since over the socket a server lets in by Unix users unless it is told otherwise.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use kolga_protocol::names::{DatabaseName, Engine};
use sqlx::ConnectOptions as _;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::config;
use crate::profile::template::Database;
use crate::secrets::Secret;
use crate::services::database::Authority;

/// Where PostgreSQL listens.
#[derive(Clone, Debug)]
pub enum Server {
    /// Here.
    Here {
        /// The folder with its Unix socket.
        socket: PathBuf,
        /// Its port, which is a part of the socket's name too.
        port: u16,
    },
    /// On another machine.
    Elsewhere(config::RemotePostgresql),
}

impl Server {
    /// From the configuration, which names just one of both.
    pub(super) fn new(config: &config::Postgresql) -> Self {
        match &config.remote {
            Some(remote) => Self::Elsewhere(remote.clone()),
            None => Self::Here {
                socket: config.socket.clone().unwrap_or_default(),
                port: config.port,
            },
        }
    }

    /// The way there for the worker's account.
    pub(super) fn options(&self) -> PgConnectOptions {
        match self {
            Self::Here { socket, port } => self.begun().socket(socket).port(*port),
            Self::Elsewhere(_) => self.site_options(),
        }
    }

    /// The way there for a site's own role.
    #[must_use]
    pub fn site_options(&self) -> PgConnectOptions {
        let address = self.address();
        let options = self.begun().host(&address.ip().to_string());
        options.port(address.port())
    }

    /// Nothing is taken out of this process's environment, nothing is encrypted unless an authority is named, and no
    /// statement logged, which may hold what a tenant has written.
    fn begun(&self) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass()
            .application_name("kolga-worker")
            .disable_statement_logging();
        match self.authority() {
            Some(authority) => options
                .ssl_mode(PgSslMode::VerifyFull)
                .ssl_root_cert(authority.file),
            None => options.ssl_mode(PgSslMode::Disable),
        }
    }

    /// Who has signed the server's certificate, where it is spoken to over TLS alone.
    #[must_use]
    pub fn authority(&self) -> Option<Authority<'_>> {
        let Self::Elsewhere(remote) = self else {
            return None;
        };
        remote.ca_file.as_deref().map(|file| Authority {
            engine: Engine::Postgresql,
            file,
            address: remote.address,
        })
    }

    /// Where sites find it.
    fn address(&self) -> SocketAddr {
        match self {
            Self::Here { port, .. } => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), *port),
            Self::Elsewhere(remote) => remote.address,
        }
    }

    /// The password of the worker's account; none where it comes by its Unix user.
    ///
    /// # Errors
    /// When the file cannot be read, is not text, or others may read it.
    pub(super) fn password(&self) -> anyhow::Result<Option<Secret>> {
        match self {
            Self::Here { .. } => Ok(None),
            Self::Elsewhere(remote) => Secret::read(&remote.password_file).map(Some),
        }
    }

    /// What the worker's programs are told of the way there, as host and port.
    pub(super) fn place(&self) -> (String, u16) {
        match self {
            Self::Here { socket, port } => (socket.display().to_string(), *port),
            Self::Elsewhere(_) => self.site_place(),
        }
    }

    /// What programs are told that come as a site's own role.
    pub(super) fn site_place(&self) -> (String, u16) {
        let address = self.address();
        (address.ip().to_string(), address.port())
    }

    /// What a site's settings say of it, and of the account that the site has there.
    #[must_use]
    pub fn settings(&self, name: &DatabaseName, password: &Secret) -> Database {
        let address = self.address();
        Database {
            engine: Engine::Postgresql,
            socket: None,
            host: address.ip().to_string(),
            port: Some(address.port()),
            server: address.to_string(),
            name: name.clone(),
            user: name.clone(),
            password: password.expose().to_owned(),
            ca_file: self.authority().map(Authority::to_text),
        }
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Here { socket, port } => write!(f, "{}, port {port}", socket.display()),
            Self::Elsewhere(remote) => remote.address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_come_over_loopback_or_to_the_servers_address() {
        let name: DatabaseName = "k_x".parse().expect("a name");
        let password = Secret::generate(32).expect("made");
        let here = Server::Here {
            socket: "/run/postgresql".into(),
            port: 5433,
        };
        let settings = here.settings(&name, &password);
        assert_eq!(settings.server, "127.0.0.1:5433");
        assert_eq!(
            (settings.host.as_str(), settings.port, settings.socket),
            ("127.0.0.1", Some(5433), None)
        );
        assert_eq!(here.place(), ("/run/postgresql".to_owned(), 5433));
        let there = Server::Elsewhere(config::RemotePostgresql {
            address: "[fd00::2]:5432".parse().expect("an address"),
            password_file: "/nonexistent".into(),
            ca_file: Some("/etc/kolga/db-ca.pem".into()),
        });
        assert_eq!(there.place(), ("fd00::2".to_owned(), 5432));
        let told = there.settings(&name, &password);
        assert_eq!(told.server, "[fd00::2]:5432");
        assert_eq!(told.ca_file.as_deref(), Some("/etc/kolga/db-ca.pem"));
    }
}
