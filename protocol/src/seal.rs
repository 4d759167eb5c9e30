//! What only one reader may know, on its way through queues, journals and books that others read: sealed to a key of the
//! reader's, by libsodium's sealed box (X25519, XSalsa20-Poly1305).
//!
//! Who asks makes an [`Opener`], sends its [`SealKey`] in a task's parameters, and opens the [`Sealed`] that comes in the
//! result. The opener of a login lives in the asking program's memory only, so that what was sealed can be opened by nobody
//! later. A spoke's own, to which another seals the secrets of a site that moves there, is kept beside the secrets themselves.

use crypto_box::aead::OsRng;
use crypto_box::{PublicKey, SecretKey};
use serde::{Deserialize, Serialize};

/// The most that is taken for something sealed, in bytes.
const LONGEST: usize = 4096;

/// To which something is sealed: 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealKey([u8; 32]);

/// Something that only one reader can open: hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sealed(Vec<u8>);

/// Opens what was sealed to its key.
pub struct Opener(SecretKey);

/// Something that could not be sealed or opened, or is no key.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SealError(&'static str);

impl SealKey {
    /// Seals a text to this key.
    ///
    /// # Errors
    /// When it is too long.
    pub fn seal(&self, text: &str) -> Result<Sealed, SealError> {
        let sealed = PublicKey::from(self.0).seal(&mut OsRng, text.as_bytes());
        let sealed = sealed.map_err(|_| SealError("it cannot be sealed"))?;
        match sealed.len() <= LONGEST {
            true => Ok(Sealed(sealed)),
            false => Err(SealError("it is too long to be sealed")),
        }
    }
}

impl Opener {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(SecretKey::generate(&mut OsRng))
    }

    /// One that was kept: see [`Opener::secret`].
    #[must_use]
    pub fn from_secret(secret: [u8; 32]) -> Self {
        Self(SecretKey::from(secret))
    }

    /// What it is made of, for whoever keeps it where nobody else can read it.
    #[must_use]
    pub fn secret(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The key to which things are to be sealed.
    #[must_use]
    pub fn key(&self) -> SealKey {
        SealKey(self.0.public_key().to_bytes())
    }

    /// Opens something.
    ///
    /// # Errors
    /// When it was sealed to another key, or changed on the way.
    pub fn open(&self, sealed: &Sealed) -> Result<String, SealError> {
        let opened = self.0.unseal(&sealed.0);
        let opened = opened.map_err(|_| SealError("it was not sealed to this key"))?;
        String::from_utf8(opened).map_err(|_| SealError("what was sealed is not text"))
    }
}

impl TryFrom<String> for SealKey {
    type Error = SealError;

    fn try_from(text: String) -> Result<Self, SealError> {
        let bytes = bytes(&text).and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self)
            .ok_or(SealError("a key is 64 hexadecimal digits"))
    }
}

impl TryFrom<String> for Sealed {
    type Error = SealError;

    fn try_from(text: String) -> Result<Self, SealError> {
        let bytes = bytes(&text).filter(|bytes| bytes.len() <= LONGEST);
        bytes.map(Self).ok_or(SealError(
            "what is sealed is hexadecimal digits, and not so many",
        ))
    }
}

impl From<SealKey> for String {
    fn from(key: SealKey) -> Self {
        digits(&key.0)
    }
}

impl From<Sealed> for String {
    fn from(sealed: Sealed) -> Self {
        digits(&sealed.0)
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealKey({})", digits(&self.0))
    }
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener(…)")
    }
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let plain = text.len() <= 2 * LONGEST
        && text.len().is_multiple_of(2)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let pairs = (0..text.len()).step_by(2);
    plain.then(|| {
        pairs
            .filter_map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_its_reader_alone_and_never_looks_the_same() {
        let (reader, other) = (Opener::generate(), Opener::generate());
        let key: SealKey = String::from(reader.key()).try_into().expect("a key");
        let sealed = key.seal("a token").expect("sealed");
        assert_ne!(sealed, key.seal("a token").expect("sealed"));
        let text = String::from(sealed.clone());
        let over_the_wire: Sealed = text.clone().try_into().expect("digits");
        assert_eq!(reader.open(&over_the_wire).expect("opened"), "a token");
        assert!(other.open(&sealed).is_err());
        let mut changed = sealed.0.clone();
        changed[40] ^= 1;
        assert!(reader.open(&Sealed(changed)).is_err());
        assert!(!text.contains(&digits(b"a token")));
    }

    #[test]
    fn what_is_no_key_is_none() {
        for text in [
            "",
            "ab",
            &"0".repeat(63),
            &"g".repeat(64),
            &"ä".repeat(32),
            &"A".repeat(64),
        ] {
            assert!(SealKey::try_from(text.to_owned()).is_err(), "{text}");
        }
        let long = "0".repeat(2 * LONGEST + 2);
        assert!(Sealed::try_from(long).is_err());
        assert!(Opener::generate().key().seal(&"x".repeat(LONGEST)).is_err());
    }
}
