//! The door of a port: accepts, shakes hands with TLS, and hands connections on together with who is behind them.
//! Agents and operators have one each.
//!
//! Flows in: a listener, TLS settings, limits. Flows out: connections. Must never wait for a stranger in the accept
//! loop: each handshake has a task, a time limit and a place.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::pki::{Peer, peer_of};

/// Pause after `accept` failed, for instance because no file may be opened any more.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a door stands at the most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long a stranger may take for a handshake.
    pub(crate) patience: Duration,
    /// Connections at once.
    pub(crate) connections_max: usize,
    /// Handshakes at once.
    pub(crate) handshakes_max: usize,
}

/// Lets connections in.
pub(crate) struct Door {
    acceptor: TlsAcceptor,
    places: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    patience: Duration,
    ready: mpsc::Sender<io::Result<Connection>>,
    stop: CancellationToken,
}

impl Door {
    /// A door, and what comes through it. When `stop` comes, connections end at once.
    pub(crate) fn new(
        tls: ServerConfig,
        limits: Limits,
        stop: CancellationToken,
    ) -> (Self, ReceiverStream<io::Result<Connection>>) {
        let (ready, incoming) = mpsc::channel(limits.handshakes_max);
        let door = Self {
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            places: Arc::new(Semaphore::new(limits.connections_max)),
            handshakes: Arc::new(Semaphore::new(limits.handshakes_max)),
            patience: limits.patience,
            ready,
            stop,
        };
        (door, ReceiverStream::new(incoming))
    }

    /// Lets in who comes to this listener. Never ends by itself.
    pub(crate) async fn keep(self, listener: TcpListener) {
        loop {
            let (tcp, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let place = Arc::clone(&self.places).try_acquire_owned();
            let handshake = Arc::clone(&self.handshakes).try_acquire_owned();
            let (Ok(place), Ok(handshake)) = (place, handshake) else {
                // Dropped without a word: its agent pauses and dials again.
                tracing::warn!(%address, "too many connections");
                continue;
            };
            let accept = tokio::time::timeout(self.patience, self.acceptor.accept(tcp));
            let (ready, stop) = (self.ready.clone(), self.stop.clone());
            tokio::spawn(async move {
                let tls = match accept.await {
                    Ok(Ok(tls)) => tls,
                    Ok(Err(error)) => return tracing::debug!(%address, %error, "no handshake"),
                    Err(_) => return tracing::debug!(%address, "the handshake took too long"),
                };
                drop(handshake);
                let Some(caller) = Caller::of(&tls, address) else { return };
                let stop = Box::pin(stop.cancelled_owned());
                // If nobody serves any more, the connection is closed.
                let _ = ready.send(Ok(Connection { tls, caller, stop, _place: place })).await;
            });
        }
    }
}

/// Who is behind a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    pub(crate) address: Option<SocketAddr>,
    /// None: no certificate was shown.
    pub(crate) peer: Option<Peer>,
}

impl Caller {
    /// None for a certificate of our CA that is not a host's.
    fn of(tls: &TlsStream<TcpStream>, address: SocketAddr) -> Option<Self> {
        let (_, connection) = tls.get_ref();
        let certificate = connection.peer_certificates().and_then(|chain| chain.first());
        match certificate.map(peer_of).transpose() {
            Ok(peer) => Some(Self { address: Some(address), peer }),
            Err(error) => {
                tracing::warn!(%address, %error, "a certificate of our own names no host");
                None
            }
        }
    }
}

/// A connection, which takes a place as long as it lives and ends when the port is closed.
pub(crate) struct Connection {
    tls: TlsStream<TcpStream>,
    caller: Caller,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stop.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }
}
