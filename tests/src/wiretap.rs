//! Somebody between a spoke and its database server: keeps a copy of every byte that goes either way and, when told to, takes
//! the offer of TLS out of what the server says first.
//!
//! In threads of its own, since a test waits for programs that speak through it.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// How a PostgreSQL is asked for TLS.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Whose words it understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// MariaDB's: the server says first what it can.
    Mariadb,
    /// PostgreSQL's: the client asks first.
    Postgresql,
}

#[derive(Default)]
struct Shared {
    heard: Mutex<Vec<u8>>,
    strips: AtomicBool,
    stripped: AtomicU64,
}

/// One that listens.
pub struct Wiretap {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Wiretap {
    /// Between whoever connects to a free port of this address, and `target`.
    ///
    /// # Panics
    /// When there is no such address.
    #[must_use]
    pub fn new(at: IpAddr, target: SocketAddr, speech: Speech) -> Self {
        let listener = TcpListener::bind((at, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let told = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&told);
                // A connection that ends in the middle is its client's to notice.
                std::thread::spawn(move || serve(client, target, speech, &shared).ok());
            }
        });
        Self { address, shared }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether new connections hear nothing of TLS.
    pub fn strip(&self, strips: bool) {
        self.shared.strips.store(strips, Ordering::Relaxed);
    }

    /// From how many connections it took the offer of TLS.
    #[must_use]
    pub fn stripped(&self) -> u64 {
        self.shared.stripped.load(Ordering::Relaxed)
    }

    /// How many bytes went either way.
    ///
    /// # Panics
    /// When a thread that listens has panicked.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.heard.lock().expect("whole").len()
    }

    /// Which of these went by in the clear.
    ///
    /// # Panics
    /// When a thread that listens has panicked.
    #[must_use]
    pub fn heard<'a>(&self, words: &[&'a str]) -> Vec<&'a str> {
        let heard = self.shared.heard.lock().expect("whole");
        let is_in = |word: &&&str| {
            let word = word.as_bytes();
            heard.windows(word.len()).any(|piece| piece == word)
        };
        words.iter().filter(is_in).copied().collect()
    }
}

impl Shared {
    fn note(&self, bytes: &[u8]) {
        self.heard.lock().expect("whole").extend_from_slice(bytes);
    }

    fn note_stripped(&self) {
        self.stripped.fetch_add(1, Ordering::Relaxed);
    }
}

fn serve(
    mut client: TcpStream,
    target: SocketAddr,
    speech: Speech,
    shared: &Arc<Shared>,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(target)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    if shared.strips.load(Ordering::Relaxed) {
        match speech {
            Speech::Mariadb => strip_greeting(&mut client, &mut server, shared)?,
            Speech::Postgresql => refuse_request(&mut client, &mut server, shared)?,
        }
    }
    let back = (server.try_clone()?, client.try_clone()?);
    let also = Arc::clone(shared);
    std::thread::spawn(move || pass(back.0, back.1, &also).ok());
    pass(client, server, shared)
}

fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut bytes = [0; 16 * 1024];
    loop {
        let count = from.read(&mut bytes)?;
        if count == 0 {
            return to.shutdown(std::net::Shutdown::Write);
        }
        shared.note(&bytes[..count]);
        to.write_all(&bytes[..count])?;
    }
}

/// The lower half of what the server can stands behind its version, a number of four bytes, eight random ones and a zero.
fn strip_greeting(
    client: &mut TcpStream,
    server: &mut TcpStream,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut head = [0; 4];
    server.read_exact(&mut head)?;
    let length = usize::from(head[0]) | usize::from(head[1]) << 8;
    let mut greeting = vec![0; length];
    server.read_exact(&mut greeting)?;
    let version = greeting.iter().skip(1).position(|byte| *byte == 0);
    let upper = 1 + version.unwrap_or_default() + 1 + 4 + 8 + 1 + 1;
    if let Some(byte) = greeting.get_mut(upper)
        && *byte & 0x08 != 0
    {
        *byte &= !0x08;
        shared.note_stripped();
    }
    client.write_all(&[&head[..], &greeting].concat())
}

fn refuse_request(
    client: &mut TcpStream,
    server: &mut TcpStream,
    shared: &Shared,
) -> std::io::Result<()> {
    let mut first = [0; 8];
    client.read_exact(&mut first)?;
    shared.note(&first);
    if first == SSL_REQUEST {
        shared.note_stripped();
        return client.write_all(b"N");
    }
    server.write_all(&first)
}
