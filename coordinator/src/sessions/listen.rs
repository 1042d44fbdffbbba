//! The agents' port: a door whose guests are hosts, with gRPC behind it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use redeploy_proto::v1::agent_service_server::AgentServiceServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::service::Agents;
use super::{Sessions, service};
use crate::door::{Caller, Connection, Door, Limits};
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
    let serving = serve(service::service(shared), incoming);
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        tokio::select! {
            () = stopped.cancelled() => {}
            () = door.keep(listener) => {}
            () = serving => {}
        }
    });
    Ok(Listening { address, stop, task })
}

/// Serves each connection on a task of its own. By hyper itself, because what tonic's server puts around every
/// connection, for what is not needed here, is a tenth of the memory of an agent.
async fn serve(service: AgentServiceServer<Agents>, mut incoming: ReceiverStream<io::Result<Connection>>) {
    let mut http2 = http2::Builder::new(TokioExecutor::new());
    http2
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX);
    // One that failed never becomes a connection.
    while let Some(connection) = incoming.next().await {
        let Ok(connection) = connection else { continue };
        let guest = Guest { service: service.clone(), caller: connection.caller() };
        // Boxed: it is moved about a lot, and a TLS connection is large.
        let served = http2.serve_connection(TokioIo::new(Box::pin(connection)), guest);
        tokio::spawn(async move {
            if let Err(error) = served.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
}

/// Who is behind a connection, beside the calls that come over it.
struct Guest {
    service: AgentServiceServer<Agents>,
    caller: Caller,
}

impl hyper::service::Service<Request<Incoming>> for Guest {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = <AgentServiceServer<Agents> as tower::Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.caller.clone());
        tower::Service::call(&mut self.service.clone(), request)
    }
}
