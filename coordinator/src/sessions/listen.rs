//! The agents' port: a door whose guests are hosts, with gRPC behind it.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Sessions, service};
use crate::door::{Door, Limits};
use crate::pki::{PkiError, server_config};

/// How often a connection that says nothing is asked whether it is there, and how long it may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// One session and one renewal at a time, and the one a newer session takes over from.
const STREAMS_MAX: u32 = 4;
const HEADER_BYTES_MAX: u32 = 16 << 10;

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
    let stop = CancellationToken::new();
    let limits = Limits {
        patience: shared.settings.patience,
        connections_max: shared.settings.connections_max,
        // Many hosts may share an address.
        connections_each: shared.settings.connections_max,
        handshakes_max: shared.settings.handshakes_max,
        strangers: Some(shared.settings.strangers),
    };
    let (door, incoming) = Door::new(config, limits, stop.clone());
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .add_service(service::service(shared))
        .serve_with_incoming(incoming);
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
