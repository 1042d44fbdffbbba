//! The door of a port: accepts, shakes hands with TLS, and hands connections on together with who is behind them.
//! Agents and operators have one each.
//!
//! Flows in: a listener, TLS settings, limits. Flows out: connections. Must never wait for a stranger in the accept
//! loop: each handshake has a task, a time limit and a place, and no address ever has more than its share of places.

mod places;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use crate::bucket::{Bucket, Rate, owner_of};
use crate::pki::{Peer, peer_of};
use places::{Place, Places};

/// Pause after `accept` failed, for instance because no file may be opened any more.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often it is said that somebody was not let in.
const TELL: Rate = Rate { per_second: 1, burst: 10 };

/// Bytes that every HTTP/2 client sends first, whatever it wants.
const PREFACE_BYTES: usize = 24;

/// What a door stands at the most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long a stranger may take for a handshake, and after it for its first words.
    pub(crate) patience: Duration,
    /// Connections at once.
    pub(crate) connections_max: usize,
    /// Of them, from one address.
    pub(crate) connections_each: usize,
    /// Handshakes at once. One address gets half of them.
    pub(crate) handshakes_max: usize,
    /// Guests without a certificate, where guests should have one; `None` where nobody has.
    pub(crate) strangers: Option<Strangers>,
}

/// Guests without a certificate. They may join, and have no reason to stay.
#[derive(Debug, Clone, Copy)]
pub struct Strangers {
    /// At once. One address gets half of them.
    pub max: usize,
    /// How long each may stay.
    pub stay: Duration,
}

/// Lets connections in.
pub(crate) struct Door {
    acceptor: TlsAcceptor,
    places: Places,
    handshakes: Places,
    strangers: Option<(Places, Duration)>,
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
            places: Places::new(limits.connections_max, limits.connections_each),
            handshakes: Places::halved(limits.handshakes_max),
            strangers: limits.strangers.map(|limit| (Places::halved(limit.max), limit.stay)),
            patience: limits.patience,
            ready,
            stop,
        };
        (door, ReceiverStream::new(incoming))
    }

    /// Lets in who comes to this listener. Never ends by itself.
    pub(crate) async fn keep(self, listener: TcpListener) {
        let mut crowd = Hush::new();
        loop {
            let (tcp, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Or the end of an answer waits until the beginning of it is acknowledged, tens of milliseconds.
            if let Err(error) = tcp.set_nodelay(true) {
                tracing::debug!(%address, %error, "it may answer slowly");
            }
            let owner = owner_of(address.ip());
            let (Some(place), Some(handshake)) = (self.places.take(owner), self.handshakes.take(owner))
            else {
                // Dropped without a word: its agent pauses and dials again.
                crowd.tell(|unsaid| tracing::warn!(%address, unsaid, "too many connections, of all or of this address"));
                continue;
            };
            let accept = tokio::time::timeout(self.patience, self.acceptor.accept(tcp));
            let (ready, stop, patience) = (self.ready.clone(), self.stop.clone(), self.patience);
            let strangers = self.strangers.clone();
            tokio::spawn(async move {
                let tls = match accept.await {
                    Ok(Ok(tls)) => tls,
                    Ok(Err(error)) => return tracing::debug!(%address, %error, "no handshake"),
                    Err(_) => return tracing::debug!(%address, "the handshake took too long"),
                };
                drop(handshake);
                let Some(caller) = Caller::of(&tls, address) else { return };
                let mut connection = Connection::new(tls, caller, place, patience, stop);
                if let Some((places, stay)) = strangers.filter(|_| connection.caller.peer.is_none()) {
                    let Some(place) = places.take(owner) else {
                        return tracing::debug!(%address, "too many strangers, of all or of this address");
                    };
                    connection.leaves_after(stay, place);
                }
                // If nobody serves any more, the connection is closed.
                let _ = ready.send(Ok(connection)).await;
            });
        }
    }
}

/// Says the same thing not too often, and how often it was not said.
struct Hush {
    bucket: Bucket,
    unsaid: u64,
}

impl Hush {
    fn new() -> Self {
        Self { bucket: Bucket::new(Instant::now()), unsaid: 0 }
    }

    fn tell(&mut self, say: impl FnOnce(u64)) {
        if self.bucket.take(TELL, Instant::now()).is_ok() {
            say(std::mem::take(&mut self.unsaid));
        } else {
            self.unsaid += 1;
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
    /// Until it has said so many bytes, its time is limited.
    silent: Option<(Pin<Box<Sleep>>, usize)>,
    /// When it has to go in any case, and its place among the strangers.
    leaves: Option<(Pin<Box<Sleep>>, Place)>,
    _place: Place,
}

impl Connection {
    fn new(
        tls: TlsStream<TcpStream>,
        caller: Caller,
        place: Place,
        patience: Duration,
        stop: CancellationToken,
    ) -> Self {
        Self {
            tls,
            caller,
            stop: Box::pin(stop.cancelled_owned()),
            silent: Some((Box::pin(tokio::time::sleep(patience)), PREFACE_BYTES)),
            leaves: None,
            _place: place,
        }
    }

    /// Who is behind it.
    pub(crate) fn caller(&self) -> Caller {
        self.caller.clone()
    }

    fn leaves_after(&mut self, stay: Duration, place: Place) {
        self.leaves = Some((Box::pin(tokio::time::sleep(stay)), place));
    }

    /// Whether its time is up.
    fn is_over(&mut self, cx: &mut Context<'_>) -> Option<io::Error> {
        if self.stop.as_mut().poll(cx).is_ready() {
            return Some(io::ErrorKind::ConnectionAborted.into());
        }
        let silent = self.silent.as_mut().map(|(timer, _)| timer);
        let leaves = self.leaves.as_mut().map(|(timer, _)| timer);
        let is_late = silent.into_iter().chain(leaves).any(|timer| timer.as_mut().poll(cx).is_ready());
        is_late.then(|| io::ErrorKind::TimedOut.into())
    }

    fn has_said(&mut self, bytes: usize) {
        if let Some((_, missing)) = &mut self.silent {
            *missing = missing.saturating_sub(bytes);
            if *missing == 0 {
                self.silent = None;
            }
        }
    }
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
        if let Some(over) = self.is_over(cx) {
            return Poll::Ready(Err(over));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.tls).poll_read(cx, buf);
        self.has_said(buf.filled().len() - before);
        read
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
