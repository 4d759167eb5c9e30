//! What a child writes, handed piece by piece to a thread that may block, such as one that writes it to disk.
//! A child that is faster than the thread waits in its pipe.

use tokio::sync::mpsc;

use super::output::Sink;

/// Pieces on their way: a pipe's worth each.
const AHEAD: usize = 16;

/// The side of whoever reads the child's pipe.
pub(super) struct Piped(mpsc::Sender<Vec<u8>>);

/// A child's output, in order, until its end or that of the child. Dropped early, it closes the child's pipe.
pub struct Pieces(mpsc::Receiver<Vec<u8>>);

pub(super) fn channel() -> (Piped, Pieces) {
    let (to, from) = mpsc::channel(AHEAD);
    (Piped(to), Pieces(from))
}

impl Sink for Piped {
    fn take(&mut self, bytes: &[u8]) {
        // There is room, or nobody wants it: see `room`.
        drop(self.0.try_send(bytes.to_vec()));
    }

    async fn room(&self) {
        drop(self.0.reserve().await);
    }

    fn is_done(&self) -> bool {
        self.0.is_closed()
    }
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.0.blocking_recv()
    }
}
