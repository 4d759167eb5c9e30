//! Whom a database server on another machine is taken for: it is the one whose certificate this authority has signed for the
//! very address that the configuration names. There is no other way to it then, and what is in the way is said so that
//! whoever reads it knows what to do.
//!
//! Made by the `server` modules of [`crate::services::mariadb`] and [`crate::services::postgresql`], which tell it to sqlx, to
//! the programs that dump and import, and to sites.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use kolga_protocol::names::Engine;
use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Who has signed the certificate of the server at this address.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    /// Whose certificate it is.
    pub engine: Engine,
    /// The authority's own certificates.
    pub file: &'a Path,
    /// Where the server is.
    pub address: SocketAddr,
}

impl Authority<'_> {
    /// The file's path, as settings and programs are told it.
    pub(crate) fn to_text(self) -> String {
        self.file.display().to_string()
    }

    /// How the configuration calls it.
    fn setting(self) -> String {
        format!("{}.remote.ca_file", self.engine)
    }

    /// Refuses a file in which there is no certificate, or which sites' PHP cannot read, or which others could change.
    ///
    /// # Errors
    /// Names the file and what to do.
    pub(crate) fn check(self) -> anyhow::Result<()> {
        let (shown, setting) = (self.file.display(), self.setting());
        let look = |path: &Path| {
            let found = std::fs::metadata(path);
            found.with_context(|| format!("{setting}: cannot look at {}", path.display()))
        };
        let mode = look(self.file)?.permissions().mode() & 0o777;
        anyhow::ensure!(
            mode & 0o022 == 0,
            "{setting}: others than its owner may write to {shown}: chmod 0644 {shown}"
        );
        let mut closed = (mode & 0o004 == 0).then_some((self.file, "o+r"));
        for folder in self.file.ancestors().skip(1) {
            if look(folder)?.permissions().mode() & 0o001 == 0 {
                closed = Some((folder, "o+x"));
            }
        }
        if let Some((path, how)) = closed {
            let path = path.display();
            anyhow::bail!("{setting}: sites read {shown} too, and may not: chmod {how} {path}");
        }
        let read = CertificateDer::pem_file_iter(self.file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| anyhow::anyhow!("{setting}: {shown} is not right: {error}"))?;
        anyhow::ensure!(
            !read.is_empty(),
            "{setting}: in {shown} there is no certificate (-----BEGIN CERTIFICATE-----)"
        );
        Ok(())
    }

    /// What is wrong where a connection did not come about for want of TLS; `None` where it was for something else.
    pub(crate) fn problem(self, error: &sqlx::Error) -> Option<String> {
        let (title, address) = (self.engine.title(), self.address);
        let why = match error {
            sqlx::Error::Tls(error) => self.without_tls(error.as_ref()),
            sqlx::Error::Io(error) => {
                let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
                match error {
                    rustls::Error::InvalidCertificate(error) => self.refused(error),
                    other => format!("no TLS could be agreed on: {other}"),
                }
            }
            _ => return None,
        };
        Some(format!(
            "{title} at {address} is not spoken to, and nothing was sent there: {why}"
        ))
    }

    fn without_tls(self, error: &(dyn std::error::Error + 'static)) -> String {
        let setting = self.setting();
        let how = match self.engine {
            Engine::Mariadb => "give it ssl_cert and ssl_key",
            Engine::Postgresql => "give it ssl = on, ssl_cert_file and ssl_key_file",
        };
        format!(
            "{error}, and {setting} wants it: {how} (docs/OPERATIONS.md); if it has them, somebody in between takes TLS out"
        )
    }

    fn refused(self, error: &CertificateError) -> String {
        let (shown, setting, ip) = (self.file.display(), self.setting(), self.address.ip());
        match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
                "its certificate was signed by no authority in {shown} ({setting}): put the one there that has signed it; if \
                 it is there, somebody in between shows another certificate"
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired: make another on the server, and have it read there (FLUSH SSL in MariaDB, a \
                 reload of PostgreSQL)"
                    .to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not good yet: look at the clocks of both machines".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!(
                    "its certificate is not for the address {ip}: it needs subjectAltName = IP:{ip}; names in it are not \
                     looked at"
                )
            }
            other => format!(
                "its certificate is not right: {other} (a server's own is no authority: basicConstraints = CA:FALSE)"
            ),
        }
    }
}

/// An error of a connection, as it is told.
pub(crate) fn told(authority: Option<Authority<'_>>, error: sqlx::Error) -> anyhow::Error {
    match authority.and_then(|it| it.problem(&error)) {
        Some(problem) => anyhow::anyhow!(problem),
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Scratch, certificate};

    fn authority(file: &Path) -> Authority<'_> {
        Authority {
            engine: Engine::Mariadb,
            file,
            address: "10.0.0.2:3306".parse().expect("an address"),
        }
    }

    fn open(path: &Path, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("given");
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_with_what_to_do() {
        let of = authority(Path::new("/etc/kolga/db-ca.pem"));
        let invalid = |error| {
            let error = rustls::Error::InvalidCertificate(error);
            let error = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
            of.problem(&sqlx::Error::Io(error)).expect("it is TLS's")
        };
        for (error, words) in [
            (
                CertificateError::UnknownIssuer,
                "no authority in /etc/kolga/db-ca.pem (mariadb.remote.ca_file)",
            ),
            (CertificateError::Expired, "has expired: make another"),
            (CertificateError::NotValidYet, "clocks of both"),
            (
                CertificateError::NotValidForName,
                "subjectAltName = IP:10.0.0.2",
            ),
            (CertificateError::BadEncoding, "CA:FALSE"),
        ] {
            let told = invalid(error);
            assert!(
                told.contains(words) && told.contains("nothing was sent"),
                "{told}"
            );
        }
        let none = of.problem(&sqlx::Error::Tls("server does not support TLS".into()));
        assert!(none.expect("it is TLS's").contains("ssl_cert"));
        let broken = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert_eq!(of.problem(&sqlx::Error::Io(broken)), None);
    }

    #[test]
    fn a_file_that_sites_cannot_read_or_that_holds_no_certificate_is_refused() {
        let scratch = Scratch::new();
        open(scratch.path(), 0o755);
        certificate(scratch.path(), "ca", &["ca.example.org"], 30);
        let folder = scratch.path().join("ca");
        let file = folder.join("ca.pem");
        std::fs::copy(folder.join("fullchain.pem"), &file).expect("copied");
        let refused = |words: &str| {
            let error = authority(&file).check().expect_err("refused");
            assert!(error.to_string().contains(words), "{error}");
        };
        open(&folder, 0o755);
        open(&file, 0o644);
        authority(&file).check().expect("it is right");
        open(&file, 0o600);
        refused("chmod o+r");
        open(&file, 0o664);
        refused("chmod 0644");
        open(&file, 0o644);
        open(&folder, 0o750);
        refused("chmod o+x");
        open(&folder, 0o755);
        std::fs::write(&file, "nothing\n").expect("written");
        refused("there is no certificate");
        std::fs::remove_file(&file).expect("removed");
        refused("cannot look at");
    }
}
