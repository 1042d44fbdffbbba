//! The agents' port: accepts, shakes hands with TLS, and hands connections to gRPC together with who is behind them.
//!
//! Must never wait for a stranger in the accept loop: each handshake has a task, a time limit and a place.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::{Sessions, service};
use crate::pki::{Peer, PkiError, peer_of, server_config};

/// How often a connection that says nothing is asked whether it is there, and how long it may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// One session and one renewal at a time, and the one a newer session takes over from.
const STREAMS_MAX: u32 = 4;
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// Pause after `accept` failed, for instance because no file may be opened any more.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// No certificate.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The listener is no listener any more.
    #[error("cannot listen for agents")]
    Io(#[from] io::Error),
}

/// The port is served until this is told to stop.
#[derive(Debug)]
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Listening {
    /// Stops at once: connections are closed, sessions end, agents dial again.
    pub async fn stop(self) {
        self.stop.cancel();
        // A task that panicked has stopped as well, and has said so.
        let _ = self.task.await;
    }
}

/// Serves agents on this listener.
///
/// # Errors
/// [`ListenError`]
pub fn listen(sessions: &Sessions, listener: TcpListener) -> Result<Listening, ListenError> {
    let shared = &sessions.shared;
    let address = listener.local_addr()?;
    let config = server_config(&shared.authority, SystemTime::now())?;
    let (ready, incoming) = mpsc::channel(shared.settings.handshakes_max);
    let stop = CancellationToken::new();
    let door = Door {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        places: Arc::new(Semaphore::new(shared.settings.connections_max)),
        handshakes: Arc::new(Semaphore::new(shared.settings.handshakes_max)),
        patience: shared.settings.patience,
        ready,
        stop: stop.clone(),
    };
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .add_service(service::service(shared))
        .serve_with_incoming(ReceiverStream::new(incoming));
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        tokio::select! {
            () = stopped.cancelled() => {}
            () = door.keep(listener) => {}
            served = server => {
                if let Err(error) = served {
                    tracing::error!(%error, "agents are not served any more");
                }
            }
        }
    });
    Ok(Listening { address, stop, task })
}

/// Lets connections in.
struct Door {
    acceptor: TlsAcceptor,
    places: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    patience: Duration,
    ready: mpsc::Sender<io::Result<Connection>>,
    stop: CancellationToken,
}

impl Door {
    async fn keep(self, listener: TcpListener) {
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
pub(super) struct Caller {
    pub(super) address: Option<SocketAddr>,
    /// None: no certificate was shown.
    pub(super) peer: Option<Peer>,
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
struct Connection {
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
