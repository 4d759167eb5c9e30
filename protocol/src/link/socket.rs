//! The socket below a connection, kept at hand to be shut: the client library goes on waiting for a good-bye that
//! never comes, until its own heartbeats fail, and so long the broker delivers to whom nobody listens.
//! Opened by `connect`, shut when whoever was given the connection drops it.

use std::net::{Shutdown, TcpStream};
use std::ops::Deref;
use std::os::fd::AsFd as _;
use std::sync::{Arc, OnceLock};

use lapin::tcp::AMQPUriTcpExt;
use lapin::uri::AMQPUri;
use lapin::{AsyncTcpStream, ConnectionProperties, runtime};

/// A connection whose socket is shut when it is dropped.
pub(super) struct Connection {
    connection: lapin::Connection,
    _socket: Socket,
}

impl Connection {
    /// Connects. Given up in the middle, it leaves nothing behind either.
    pub(super) async fn open(
        uri: AMQPUri,
        properties: ConnectionProperties,
    ) -> Result<Self, lapin::Error> {
        let socket = Socket::default();
        let opened = Arc::clone(&socket.0);
        let runtime = runtime::default_runtime()?;
        let ours = runtime.clone();
        let connect = async move |uri: AMQPUri, _| {
            let stream = AMQPUriTcpExt::connect_async(&uri, &ours).await?;
            // There is no other sort without TLS.
            if let AsyncTcpStream::Plain(plain) = &stream {
                let copy = plain.get_ref().as_fd().try_clone_to_owned()?;
                // The library connects once only, as long as its recovery is off.
                drop(opened.set(TcpStream::from(copy)));
            }
            Ok(stream)
        };
        let connection = lapin::Connection::connector(uri, runtime, connect, properties).await?;
        Ok(Self {
            connection,
            _socket: socket,
        })
    }
}

impl Deref for Connection {
    type Target = lapin::Connection;

    fn deref(&self) -> &lapin::Connection {
        &self.connection
    }
}

#[derive(Default)]
struct Socket(Arc<OnceLock<TcpStream>>);

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(socket) = self.0.get() {
            // One that the broker has closed already is as good.
            drop(socket.shutdown(Shutdown::Both));
        }
    }
}
