//! The operators' port: a door of its own, with gRPC and HTTP/JSON behind it, over HTTP/2 and HTTP/1.1.
//!
//! Must never ask for a client certificate: operators show tokens.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::util::MapRequestLayer;

use super::health::Health;
use super::web::{self, Unservable};
use super::{Api, called};
use crate::door::{Door, Limits};
use crate::pki::{Authority, PkiError, api_server_config};

/// One address may be a proxy with everybody behind it, and still leaves room for others.
const LIMITS: Limits = Limits {
    patience: Duration::from_secs(10),
    connections_max: 1000,
    connections_each: 500,
    handshakes_max: 64,
    strangers: None,
};
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const STREAMS_MAX: u32 = 64;
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// How long calls that are under way may take when the port is closed. Streams never end by themselves.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// The port cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ApiListenError {
    /// No certificate.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The listener is no listener any more.
    #[error("cannot listen for operators")]
    Io(#[from] io::Error),
    /// The services do not fit together.
    #[error(transparent)]
    Services(#[from] Unservable),
}

/// The port is served until this is told to stop.
#[derive(Debug)]
pub struct ApiListening {
    /// Where.
    pub address: SocketAddr,
    stop: CancellationToken,
    cut: CancellationToken,
    task: JoinHandle<()>,
}

impl ApiListening {
    /// Takes no further call, lets those under way end, and cuts off the streams that stay.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(STOP_PATIENCE, &mut self.task).await.is_err() {
            self.cut.cancel();
            // A task that panicked has stopped as well, and has said so.
            let _ = self.task.await;
        }
    }
}

/// Serves operators on this listener.
///
/// # Errors
/// [`ApiListenError`]
pub fn listen(
    api: Arc<Api>,
    authority: &Authority,
    listener: TcpListener,
) -> Result<ApiListening, ApiListenError> {
    let address = listener.local_addr()?;
    let tls = api_server_config(authority, SystemTime::now())?;
    let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
    let (door, incoming) = Door::new(tls, LIMITS, cut.clone());
    let health = Health::new();
    let routes = tonic::service::Routes::from(web::router(&api, &health)?).prepare();
    let server = tonic::transport::Server::builder()
        .accept_http1(true)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .layer(MapRequestLayer::new(called::note))
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    tokio::spawn(health.keep(api, stop.clone()));
    let (stopped, severed) = (stop.clone(), cut.clone());
    let keeping = tokio::spawn(async move {
        tokio::select! {
            () = stopped.cancelled() => {}
            () = door.keep(listener) => {}
        }
    });
    let task = tokio::spawn(async move {
        tokio::select! {
            () = severed.cancelled() => {}
            served = server => {
                if let Err(error) = served {
                    tracing::error!(%error, "operators are not served any more");
                }
            }
        }
        keeping.abort();
    });
    Ok(ApiListening { address, stop, cut, task })
}
