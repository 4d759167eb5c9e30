//! FastCGI, as much of it as asking php-fpm to run one script takes (FastCGI specification, version 1).

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

const BEGIN: u8 = 1;
const END: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
/// The role of a responder, and no wish to keep the connection.
const RESPONDER: &[u8] = &[0, 1, 0, 0, 0, 0, 0, 0];
/// What is kept of an answer.
const LONGEST: usize = 64 * 1024;

/// Has php-fpm at this socket run this script, and gives back what it wrote: headers, then the body.
///
/// # Errors
/// When nobody answers there, or not in FastCGI.
pub(super) async fn call(socket: &Path, script: &Path) -> anyhow::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(&request(script)).await?;
    let mut answer = Vec::new();
    loop {
        let mut header = [0; 8];
        stream.read_exact(&mut header).await?;
        anyhow::ensure!(header[0] == 1, "what answers there is not FastCGI");
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut content = vec![0; length + usize::from(header[6])];
        stream
            .read_exact(&mut content)
            .await
            .context("the answer breaks off")?;
        match header[1] {
            STDOUT if answer.len() < LONGEST => answer.extend_from_slice(&content[..length]),
            END => return Ok(answer),
            _ => {}
        }
    }
}

fn request(script: &Path) -> Vec<u8> {
    let mut params = Vec::new();
    for (name, value) in [
        ("REQUEST_METHOD", "GET".as_bytes()),
        ("SCRIPT_NAME", b"/kolga"),
        ("SCRIPT_FILENAME", script.as_os_str().as_bytes()),
    ] {
        params.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        // Lengths of 128 and more take four bytes, the first bit of which says so.
        match u8::try_from(value.len()) {
            Ok(short) if short < 128 => params.push(short),
            _ => {
                let long = u32::try_from(value.len()).unwrap_or(u32::MAX) | 1 << 31;
                params.extend(long.to_be_bytes());
            }
        }
        params.extend_from_slice(name.as_bytes());
        params.extend_from_slice(value);
    }
    [
        record(BEGIN, RESPONDER),
        record(PARAMS, &params),
        record(PARAMS, &[]),
        record(STDIN, &[]),
    ]
    .concat()
}

/// One record of request 1.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len())
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    let mut record = vec![1, kind, 0, 1, length[0], length[1], 0, 0];
    record.extend_from_slice(content);
    record
}
