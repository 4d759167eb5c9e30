//! What a dump came to: how long its file is, and what is in it, measured while it is written.
//!
//! Both sorts of servers dump through [`Measured`]; backups compare what comes back with it.

use std::fs::File;
use std::io::{BufWriter, Write};

use sha2::{Digest as _, Sha256};

/// Bytes that are written at a time.
const PIECE: usize = 256 * 1024;

/// A dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dumped {
    /// How long the file is.
    pub bytes: u64,
    /// Of the file, in hexadecimal digits.
    pub sha256: String,
}

/// What is written, and how much and what it is.
pub(crate) struct Measured<W> {
    file: W,
    digest: Sha256,
    bytes: u64,
}

impl<W: Write> Measured<W> {
    pub(crate) fn new(file: W) -> Self {
        Self {
            file,
            digest: Sha256::new(),
            bytes: 0,
        }
    }

    /// What it was, and what it was written to.
    pub(crate) fn finish(self) -> (Dumped, W) {
        let dumped = Dumped {
            bytes: self.bytes,
            sha256: hex(&self.digest.finalize()),
        };
        (dumped, self.file)
    }
}

impl Measured<BufWriter<File>> {
    /// Of a file, in large pieces.
    pub(crate) fn file(file: File) -> Self {
        Self::new(BufWriter::with_capacity(PIECE, file))
    }

    /// Has all of it on the disk; what it was.
    pub(crate) fn durable(self) -> std::io::Result<Dumped> {
        let (dumped, mut file) = self.finish();
        file.flush()?;
        file.get_ref().sync_all()?;
        Ok(dumped)
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
