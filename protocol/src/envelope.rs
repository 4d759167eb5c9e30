//! The only place where bytes become types.
//!
//! ```text
//! offset  size  what
//!      0     2  "KG"
//!      2     1  format of the envelope: 1
//!      3     1  flags, all zero today. Kept for: body sealed to its reader.
//!      4     1  length of the kind, K
//!      5     K  kind, ASCII
//!    5+K     2  version of the body, big endian
//!    7+K     4  length of the body, B, big endian
//!   11+K     B  body: bincode 2, standard configuration
//! 11+K+B     2  length of the signature, big endian: 0 today. Kept for: signature over all before it.
//! ```
//!
//! bincode does not describe itself, so kind and version stand outside the body, and golden bytes in
//! `tests/golden.rs` guard every message. Decoding is bounded: no input makes it take more memory than
//! its own length and [`DECODE_LIMIT`] allow. The crate is unmaintained (RUSTSEC-2025-0141), pinned, and
//! named in this file alone.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{Answer, Control, Heartbeat, Reports, TaskMessage, Tasks};

/// The longest message that either side takes, in bytes.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// The most bytes that a body may claim to hold while it is decoded.
pub const DECODE_LIMIT: usize = 2 * MAX_MESSAGE;

const MAGIC: [u8; 2] = *b"KG";
const FORMAT: u8 = 1;

/// A type that crosses the broker.
pub trait Message: Serialize + DeserializeOwned {
    /// Its name in the envelope and in the `type` property of AMQP.
    const KIND: &'static str;
    /// The version of its shape.
    const VERSION: u16;
}

macro_rules! messages {
    ($($type:ty = $kind:literal, $version:literal;)+) => {
        $(impl Message for $type {
            const KIND: &'static str = $kind;
            const VERSION: u16 = $version;
        })+
    };
}

messages! {
    TaskMessage = "task", 1;
    Tasks = "tasks", 1;
    Control = "control", 1;
    Reports = "reports", 1;
    Answer = "answer", 1;
    Heartbeat = "heartbeat", 1;
}

/// Why bytes are not the message that was expected.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Longer than [`MAX_MESSAGE`]; nothing of it was looked at.
    #[error("message of {0} bytes is longer than the {MAX_MESSAGE} allowed")]
    TooLong(usize),
    /// It ends before it should.
    #[error("message ends too early")]
    Short,
    /// Bytes follow its end.
    #[error("{0} bytes follow the end of the message")]
    Trailing(usize),
    /// Not one of ours.
    #[error("not a Kolga message")]
    Foreign,
    /// An envelope of a later release.
    #[error("envelope format {0} is not known here")]
    Format(u8),
    /// Flags of a later release.
    #[error("envelope flags {0:#04x} are not known here")]
    Flags(u8),
    /// A signature, which this release cannot check.
    #[error("message carries a signature that cannot be checked here")]
    Signed,
    /// A message of another kind.
    #[error("message is of kind {found:?}, not {expected:?}")]
    Kind {
        /// What the envelope says.
        found: String,
        /// What the reader wanted.
        expected: &'static str,
    },
    /// The right kind in a version of another release.
    #[error("version {found} of a {kind:?} message is not known here")]
    Version {
        /// The kind.
        kind: &'static str,
        /// What the envelope says.
        found: u16,
    },
    /// The body is not what the envelope says.
    #[error("body of a {kind:?} message cannot be read")]
    Body {
        /// The kind.
        kind: &'static str,
        /// Why.
        #[source]
        source: BodyError,
    },
}

/// Why the bytes of a body are not the type that was expected.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// bincode refused.
    #[error("{0}")]
    Decode(#[from] bincode::error::DecodeError),
    /// It decoded with bytes left over.
    #[error("{0} bytes are left over")]
    Trailing(usize),
}

fn configuration() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<DECODE_LIMIT>()
}

/// The bytes of a body.
pub(crate) fn encode_body<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, configuration()).expect(
        "our types hold nothing that bincode cannot write: no unsized sequence, no untagged enum",
    )
}

/// The inverse of [`encode_body`], all bytes used.
pub(crate) fn decode_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, configuration())?;
    match bytes.len() - used {
        0 => Ok(value),
        left => Err(BodyError::Trailing(left)),
    }
}

/// The message as bytes.
#[must_use]
pub fn seal<M: Message>(message: &M) -> Vec<u8> {
    let body = encode_body(message);
    let mut bytes = Vec::with_capacity(13 + M::KIND.len() + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[FORMAT, 0]);
    bytes.push(u8::try_from(M::KIND.len()).expect("kinds are short literals"));
    bytes.extend_from_slice(M::KIND.as_bytes());
    bytes.extend_from_slice(&M::VERSION.to_be_bytes());
    let length = u32::try_from(body.len()).expect("senders keep batches far below 4 GiB");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes.extend_from_slice(&0u16.to_be_bytes());
    bytes
}

/// The message that the bytes are, if they are an `M` of this release.
///
/// # Errors
/// [`EnvelopeError`] for anything else; hostile bytes cost no more than their length.
pub fn open<M: Message>(bytes: &[u8]) -> Result<M, EnvelopeError> {
    let parts = split(bytes)?;
    if parts.kind != M::KIND.as_bytes() {
        return Err(EnvelopeError::Kind {
            found: String::from_utf8_lossy(parts.kind).into_owned(),
            expected: M::KIND,
        });
    }
    if parts.version != M::VERSION {
        return Err(EnvelopeError::Version {
            kind: M::KIND,
            found: parts.version,
        });
    }
    decode_body(parts.body).map_err(|source| EnvelopeError::Body {
        kind: M::KIND,
        source,
    })
}

/// The tasks of a message of a server's queue, which holds one ([`TaskMessage`]) or several ([`Tasks`]).
///
/// # Errors
/// [`EnvelopeError`] for anything else.
pub fn open_tasks(bytes: &[u8]) -> Result<Vec<TaskMessage>, EnvelopeError> {
    if kind_of(bytes)? == Tasks::KIND {
        return Ok(open::<Tasks>(bytes)?.items);
    }
    Ok(vec![open(bytes)?])
}

/// The kind that the envelope claims, for a queue that carries several.
///
/// # Errors
/// [`EnvelopeError`] when the bytes are no envelope of this release.
pub fn kind_of(bytes: &[u8]) -> Result<&str, EnvelopeError> {
    std::str::from_utf8(split(bytes)?.kind).map_err(|_| EnvelopeError::Foreign)
}

struct Parts<'a> {
    kind: &'a [u8],
    version: u16,
    body: &'a [u8],
}

fn split(bytes: &[u8]) -> Result<Parts<'_>, EnvelopeError> {
    if bytes.len() > MAX_MESSAGE {
        return Err(EnvelopeError::TooLong(bytes.len()));
    }
    let mut rest = bytes;
    if take_array(&mut rest)? != MAGIC {
        return Err(EnvelopeError::Foreign);
    }
    match take_array(&mut rest)? {
        [FORMAT] => {}
        [other] => return Err(EnvelopeError::Format(other)),
    }
    match take_array(&mut rest)? {
        [0] => {}
        [flags] => return Err(EnvelopeError::Flags(flags)),
    }
    let [kind_length] = take_array(&mut rest)?;
    let kind = take(&mut rest, usize::from(kind_length))?;
    let version = u16::from_be_bytes(take_array(&mut rest)?);
    let body_length = u32::from_be_bytes(take_array(&mut rest)?);
    // A length that does not fit into an address is longer than any message.
    let body_length = usize::try_from(body_length).map_err(|_| EnvelopeError::Short)?;
    let body = take(&mut rest, body_length)?;
    if u16::from_be_bytes(take_array(&mut rest)?) != 0 {
        return Err(EnvelopeError::Signed);
    }
    if !rest.is_empty() {
        return Err(EnvelopeError::Trailing(rest.len()));
    }
    Ok(Parts {
        kind,
        version,
        body,
    })
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], EnvelopeError> {
    let (taken, left) = rest.split_at_checked(count).ok_or(EnvelopeError::Short)?;
    *rest = left;
    Ok(taken)
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], EnvelopeError> {
    let (taken, left) = rest.split_first_chunk().ok_or(EnvelopeError::Short)?;
    *rest = left;
    Ok(*taken)
}
