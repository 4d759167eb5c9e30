//! PHP: the command line that installers run with, and whether php-fpm answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::config;
use crate::process::Command;

const PATIENCE: Duration = Duration::from_secs(10);

/// PHP as the configuration names it.
#[derive(Clone, Debug)]
pub struct Php {
    binary: PathBuf,
    fpm_socket: PathBuf,
}

impl Php {
    /// From the configuration; nothing is started.
    #[must_use]
    pub fn new(config: &config::Php) -> Self {
        Self {
            binary: config.binary.clone(),
            fpm_socket: config.fpm_socket.clone(),
        }
    }

    /// The interpreter, to be given a script: errors go to stderr, which is the task's log, and nowhere
    /// where a visitor could see them.
    #[must_use]
    pub fn command(&self) -> Command {
        Command::new(&self.binary).args(["-d", "display_errors=stderr", "-d", "log_errors=0"])
    }

    /// The interpreter's path.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Where nginx reaches php-fpm.
    #[must_use]
    pub fn fpm_socket(&self) -> &Path {
        &self.fpm_socket
    }

    /// Whether php-fpm answers: asked for a script that does not exist, it must say so.
    ///
    /// # Errors
    /// When it does not, with what to do.
    pub async fn ping(&self) -> anyhow::Result<()> {
        let shown = self.fpm_socket.display();
        tokio::time::timeout(PATIENCE, self.ask())
            .await
            .map_err(|_| anyhow::anyhow!("php-fpm at {shown} gives no answer: are all its children busy?"))?
            .with_context(|| format!("php-fpm at {shown} does not answer: is it running, and may this user connect (listen.acl_users)?"))
    }

    async fn ask(&self) -> anyhow::Result<()> {
        let mut stream = UnixStream::connect(&self.fpm_socket).await?;
        stream.write_all(&request()).await?;
        let mut header = [0; 8];
        stream.read_exact(&mut header).await?;
        anyhow::ensure!(header[0] == 1, "what answers there is not FastCGI");
        Ok(())
    }
}

/// A FastCGI request (version 1, id 1) for a script that does not exist.
fn request() -> Vec<u8> {
    let record = |kind: u8, content: &[u8]| {
        let length = u16::try_from(content.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes();
        let mut record = vec![1, kind, 0, 1, length[0], length[1], 0, 0];
        record.extend_from_slice(content);
        record
    };
    let mut params = Vec::new();
    for (name, value) in [
        ("REQUEST_METHOD", "GET"),
        ("SCRIPT_NAME", "/kolga-check"),
        ("SCRIPT_FILENAME", "/nonexistent/kolga-check.php"),
    ] {
        // Both are shorter than the 128 bytes from which on lengths take four bytes.
        params.extend([name.len() as u8, value.len() as u8]);
        params.extend_from_slice(name.as_bytes());
        params.extend_from_slice(value.as_bytes());
    }
    const BEGIN: u8 = 1;
    const PARAMS: u8 = 4;
    const STDIN: u8 = 5;
    const RESPONDER: &[u8] = &[0, 1, 0, 0, 0, 0, 0, 0];
    [
        record(BEGIN, RESPONDER),
        record(PARAMS, &params),
        record(PARAMS, &[]),
        record(STDIN, &[]),
    ]
    .concat()
}
