//! The bearer token: made at the first start, kept in a file that the hub's user alone can read.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, bail};

/// The word that opens the API. Never shown, not even to a debugger's eye.
pub struct Token(String);

impl Token {
    /// Reads the token, or makes one.
    ///
    /// # Errors
    /// When the file cannot be read or made, is empty, or can be read by others.
    pub fn load_or_create(path: &Path) -> anyhow::Result<Self> {
        match fs::read_to_string(path) {
            Ok(text) => Self::checked(path, text.trim()),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(error)
                .with_context(|| format!("cannot read the API's token {}", path.display())),
        }
    }

    fn checked(path: &Path, token: &str) -> anyhow::Result<Self> {
        if token.len() < 32 {
            bail!(
                "the API's token in {} is shorter than 32 characters: delete the file, and the hub makes \
                 a new one at its next start",
                path.display()
            );
        }
        let mode = fs::metadata(path)?.permissions().mode() & 0o777;
        if mode & 0o007 != 0 {
            bail!(
                "the API's token in {} can be read by everybody (mode {mode:o}): delete the file, and the \
                 hub makes a new one at its next start",
                path.display()
            );
        }
        Ok(Self(token.to_owned()))
    }

    fn create(path: &Path) -> anyhow::Result<Self> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| anyhow::anyhow!("no randomness for the API's token: {error}"))?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // Whole or not at all: a hub that is killed here must not leave a short token behind.
        let aside = path.with_extension("new");
        drop(fs::remove_file(&aside));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside)
            .with_context(|| format!("cannot write the API's token {}", aside.display()))?;
        writeln!(file, "{token}")?;
        file.sync_all()?;
        fs::rename(&aside, path)
            .with_context(|| format!("cannot put the API's token at {}", path.display()))?;
        Ok(Self(token))
    }

    /// Whether this is it, in a time that does not depend on where the two differ.
    pub(super) fn is(&self, given: &str) -> bool {
        let (ours, given) = (self.0.as_bytes(), given.as_bytes());
        let difference = ours
            .iter()
            .zip(given.iter().chain(std::iter::repeat(&0)))
            .fold(ours.len() ^ given.len(), |sum, (a, b)| {
                std::hint::black_box(sum | usize::from(a ^ b))
            });
        difference == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = Token("0123456789abcdef".to_owned());
        assert!(token.is("0123456789abcdef"));
        for wrong in [
            "",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789abcdeg",
        ] {
            assert!(!token.is(wrong), "{wrong}");
        }
    }
}
