//! A TCP proxy in front of the broker that can do what networks do: cut connections, swallow every byte
//! without a word (half-open), or let one byte a second through.
//!
//! What was swallowed is gone, so a connection that lost something stays mute until its client gives it up,
//! also when the way is open again; only new connections get through then. That its other end has closed
//! it is not told to the client either.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// They pass.
    #[default]
    Open,
    /// They are swallowed.
    HalfOpen,
    /// One a second passes.
    Slow,
}

#[derive(Clone, Copy, Debug, Default)]
struct Order {
    way: Way,
    /// Counts cuts: a connection ends when it sees another number than at its begin.
    cuts: u64,
}

#[derive(Default)]
struct Counts {
    open: AtomicU64,
    swallowed: AtomicU64,
    crawled: AtomicU64,
}

/// A running proxy. Ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Order>,
    counts: Arc<Counts>,
}

impl Proxy {
    /// Starts one in front of `target`, on a free port of the loopback interface.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(target: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (orders, told) = watch::channel(Order::default());
        let counts = Arc::new(Counts::default());
        tokio::spawn(accept(listener, target, told, Arc::clone(&counts)));
        Ok(Self {
            address,
            orders,
            counts,
        })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens to bytes from now on.
    pub fn set(&self, way: Way) {
        self.orders.send_modify(|order| order.way = way);
    }

    /// Ends every connection at once; how many there were.
    pub fn cut(&self) -> u64 {
        self.orders.send_modify(|order| order.cuts += 1);
        self.counts.open.load(Ordering::Relaxed)
    }

    /// Bytes that were swallowed.
    #[must_use]
    pub fn swallowed(&self) -> u64 {
        self.counts.swallowed.load(Ordering::Relaxed)
    }

    /// Bytes that had to wait for their second.
    #[must_use]
    pub fn crawled(&self) -> u64 {
        self.counts.crawled.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    mut told: watch::Receiver<Order>,
    counts: Arc<Counts>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // The proxy was dropped.
            () = gone(&mut told) => return,
        };
        if let Ok((client, _)) = accepted {
            tokio::spawn(serve(client, target, told.clone(), Arc::clone(&counts)));
        }
    }
}

async fn gone(told: &mut watch::Receiver<Order>) {
    while told.changed().await.is_ok() {}
}

async fn serve(
    client: TcpStream,
    target: SocketAddr,
    told: watch::Receiver<Order>,
    counts: Arc<Counts>,
) {
    let Ok(broker) = TcpStream::connect(target).await else {
        return;
    };
    drop((client.set_nodelay(true), broker.set_nodelay(true)));
    counts.open.fetch_add(1, Ordering::Relaxed);
    let mute = Arc::new(AtomicBool::new(false));
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    let pipe = || Pipe {
        cuts: told.borrow().cuts,
        told: told.clone(),
        mute: Arc::clone(&mute),
        counts: Arc::clone(&counts),
    };
    let there = pipe().run(from_client, to_broker);
    let back = async {
        pipe().run(from_broker, to_client).await;
        if mute.load(Ordering::Relaxed) {
            // That the broker has closed it is among what the client does not hear.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
    counts.open.fetch_sub(1, Ordering::Relaxed);
}

/// One direction of a connection.
struct Pipe {
    cuts: u64,
    told: watch::Receiver<Order>,
    /// Whether something was lost in either direction.
    mute: Arc<AtomicBool>,
    counts: Arc<Counts>,
}

impl Pipe {
    async fn run(mut self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let count = tokio::select! {
                () = self.cut() => return,
                count = from.read(&mut bytes) => match count {
                    Ok(count) if count > 0 => count,
                    _ => return,
                },
            };
            if self.pass(&bytes[..count], &mut to).await.is_err() {
                return;
            }
        }
    }

    /// Ends when the connection shall end.
    async fn cut(&mut self) {
        let cuts = self.cuts;
        drop(self.told.wait_for(|order| order.cuts != cuts).await);
    }

    async fn pass(&mut self, bytes: &[u8], to: &mut OwnedWriteHalf) -> std::io::Result<()> {
        let mut rest = bytes;
        while let [first, others @ ..] = rest {
            let order = *self.told.borrow_and_update();
            if order.cuts != self.cuts {
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            if order.way == Way::HalfOpen || self.mute.load(Ordering::Relaxed) {
                self.mute.store(true, Ordering::Relaxed);
                let lost = u64::try_from(rest.len()).unwrap_or(u64::MAX);
                self.counts.swallowed.fetch_add(lost, Ordering::Relaxed);
                return Ok(());
            }
            if order.way == Way::Open {
                return self.write(rest, to).await;
            }
            self.write(&[*first], to).await?;
            self.counts.crawled.fetch_add(1, Ordering::Relaxed);
            rest = others;
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                changed = self.told.changed() => {
                    changed.map_err(|_| std::io::ErrorKind::ConnectionAborted)?;
                }
            }
        }
        Ok(())
    }

    /// A peer that does not read must not keep a connection from being cut.
    async fn write(&mut self, bytes: &[u8], to: &mut OwnedWriteHalf) -> std::io::Result<()> {
        tokio::select! {
            () = self.cut() => Err(std::io::ErrorKind::ConnectionAborted.into()),
            written = to.write_all(bytes) => written,
        }
    }
}
