//! The simulated agents: sessions as real agents hold them, and no engine behind.
//!
//! Flows in: identities, an address, lines on standard input. Flows out: `connected` once all have a session; what
//! they were told when asked. Each does what it is told: says it accepted, tells its progress, reports after a while.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use redeploy_proto::v1::agent_message::Message as Up;
use redeploy_proto::v1::agent_service_client::AgentServiceClient;
use redeploy_proto::v1::coordinator_message::Message as Down;
use redeploy_proto::{COORDINATOR_NAME, PROTOCOL, v1};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;

use super::children::Told;
use super::prepare::{self, Identity};
use super::{ENV, GROUP};

/// Handshakes at once; the coordinator turns strangers away above its own limit.
const DIALLING: usize = 64;

/// What a redeploy is made of.
const STEPS: [&str; 9] =
    ["pull", "create", "capture", "prefill", "stop", "settle", "swap", "start", "verify"];

/// A step takes between these, so that a redeploy takes one to five seconds.
const STEP_MS: std::ops::Range<u64> = 100..550;

const NEVER: Duration = Duration::from_secs(86_400);

#[derive(Default)]
struct Counts {
    connected: AtomicU64,
    orders: AtomicU64,
    first_ms: OnceLock<i64>,
    last_ms: AtomicI64,
    acknowledged: AtomicU64,
}

/// Least of all, as `nice` counts.
const NICENESS: i32 = 19;

pub(crate) fn main(room: &Path, address: SocketAddr) -> Result<()> {
    // Elsewhere they would have processors of their own; here they give way to what is measured.
    rustix::process::nice(NICENESS)?;
    tokio::runtime::Runtime::new()?.block_on(run(room, address))
}

async fn run(room: &Path, address: SocketAddr) -> Result<()> {
    let counts = Arc::new(Counts::default());
    let places = Arc::new(Semaphore::new(DIALLING));
    let identities = prepare::identities(room)?;
    let all = identities.len() as u64;
    for (number, identity) in (0..).zip(&identities) {
        let (counts, places, tls) = (Arc::clone(&counts), Arc::clone(&places), tls(room, identity)?);
        tokio::spawn(async move {
            loop {
                if let Err(error) = session(number, &tls, address, &counts, &places).await {
                    eprintln!("agent {number}: {error:#}");
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
    }
    while counts.connected.load(Ordering::Relaxed) < all {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("connected");
    tokio::task::spawn_blocking(move || answer(&counts)).await?
}

/// Tells what was told so far, for each line of the input.
fn answer(counts: &Counts) -> Result<()> {
    for line in std::io::stdin().lines() {
        line?;
        let told = Told {
            orders: counts.orders.load(Ordering::Relaxed),
            first_ms: counts.first_ms.get().copied().unwrap_or_default(),
            last_ms: counts.last_ms.load(Ordering::Relaxed),
            acknowledged: counts.acknowledged.load(Ordering::Relaxed),
        };
        println!("told {}", serde_json::to_string(&told)?);
    }
    Ok(())
}

/// TLS as this host, trusting the coordinator's CA.
pub(crate) fn tls(room: &Path, identity: &Identity) -> Result<TlsConnector> {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    let roots = match ROOTS.get() {
        Some(roots) => roots,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(prepare::ca(room))?)?;
            ROOTS.get_or_init(|| roots)
        }
    };
    let key = PrivateKeyDer::Pkcs8(identity.key.clone().into());
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots.clone())
        .with_client_auth_cert(vec![identity.certificate.clone().into()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

pub(crate) async fn connect(tls: &TlsConnector, address: SocketAddr) -> Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    Ok(tls.connect(ServerName::try_from(COORDINATOR_NAME)?, tcp).await?)
}

async fn session(
    number: u64,
    tls: &TlsConnector,
    address: SocketAddr,
    counts: &Counts,
    places: &Semaphore,
) -> Result<()> {
    let place = places.acquire().await?;
    let tls = connect(tls, address).await.context("no connection")?;
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.context("no HTTP/2")?;
    tokio::spawn(connection);
    let origin = format!("http://{COORDINATOR_NAME}").parse()?;
    let mut client = AgentServiceClient::with_origin(Sender(sender), origin);
    let (up, messages) = mpsc::channel(16);
    up.send(message(Up::Hello(hello(number)))).await?;
    let mut down = client.session(ReceiverStream::new(messages)).await.context("no session")?.into_inner();
    let Some(Down::Welcome(welcome)) = down.message().await?.and_then(|first| first.message) else {
        bail!("no Welcome")
    };
    drop(place);
    counts.connected.fetch_add(1, Ordering::Relaxed);
    let pace = Duration::from_millis(welcome.heartbeat_ms);
    // As real agents do not beat in step.
    let mut beat = Instant::now() + pace.mul_f64((number % 997) as f64 / 997.0);
    let mut work: Option<Work> = None;
    loop {
        let due = work.as_ref().map_or_else(|| Instant::now() + NEVER, |work| work.due);
        tokio::select! {
            message = down.message() => match message?.and_then(|message| message.message) {
                Some(order) => {
                    if let Some(answer) = heard(order, &mut work, counts) {
                        up.send(message_of(answer)).await?;
                    }
                }
                None => bail!("the session ended"),
            },
            () = sleep_until(beat) => {
                beat += pace;
                up.send(message(Up::Heartbeat(v1::Heartbeat { facts: Some(facts(number)) }))).await?;
            }
            () = sleep_until(due) => {
                if let Some(said) = work.as_mut().map(Work::step) {
                    if matches!(said, Up::Report(_)) {
                        work = None;
                    }
                    up.send(message(said)).await?;
                }
            }
        }
    }
}

fn message_of(answer: Up) -> v1::AgentMessage {
    message(answer)
}

fn message(message: Up) -> v1::AgentMessage {
    v1::AgentMessage { message: Some(message) }
}

/// A redeploy under way.
struct Work {
    id: String,
    step: usize,
    due: Instant,
}

impl Work {
    fn new(id: String) -> Self {
        let mut work = Self { id, step: 0, due: Instant::now() };
        work.wait();
        work
    }

    /// Of the id, so that no two runs of an agent are in step.
    fn wait(&mut self) {
        let seed = self.id.bytes().fold(self.step as u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte));
        let ms = STEP_MS.start + seed % (STEP_MS.end - STEP_MS.start);
        self.due = Instant::now() + Duration::from_millis(ms);
    }

    fn step(&mut self) -> Up {
        let Some(step) = STEPS.get(self.step) else { return Up::Report(report(&self.id)) };
        self.step += 1;
        self.wait();
        let progress = v1::Progress {
            redeploy_id: self.id.clone(),
            step: (*step).to_owned(),
            ..v1::Progress::default()
        };
        Up::Progress(progress)
    }
}

fn heard(order: Down, work: &mut Option<Work>, counts: &Counts) -> Option<Up> {
    match order {
        Down::Preflight(order) => {
            let preflight = v1::Preflight {
                is_ok: true,
                image_id: format!("sha256:{:064}", 1),
                digest: format!("sha256:{:064}", 2),
                plan_text: "a plan as the agent prints it\n".repeat(40),
                ..v1::Preflight::default()
            };
            let result = v1::PreflightResult { redeploy_id: order.redeploy_id, preflight: Some(preflight) };
            Some(Up::Preflight(result))
        }
        Down::Redeploy(order) => {
            let now = now_ms();
            counts.orders.fetch_add(1, Ordering::Relaxed);
            counts.first_ms.get_or_init(|| now);
            counts.last_ms.fetch_max(now, Ordering::Relaxed);
            *work = Some(Work::new(order.redeploy_id.clone()));
            Some(Up::Accepted(v1::Accepted { redeploy_id: order.redeploy_id }))
        }
        Down::Ack(_) => {
            counts.acknowledged.fetch_add(1, Ordering::Relaxed);
            None
        }
        Down::Revert(_) | Down::Cancel(_) | Down::Welcome(_) => None,
    }
}

fn report(id: &str) -> v1::Report {
    let step = |step: &str| v1::StepTime { step: step.to_owned(), took_ms: Some(200), undo_ms: None };
    v1::Report {
        redeploy_id: id.to_owned(),
        kind: v1::RedeployKind::Redeploy.into(),
        verdict: v1::Verdict::Done.into(),
        container: "web".to_owned(),
        from_image: "registry.example/shop/web:1".to_owned(),
        to_image: "registry.example/shop/web:2".to_owned(),
        digest: format!("sha256:{:064}", 2),
        began_at_ms: now_ms(),
        ended_at_ms: now_ms(),
        downtime_ms: Some(700),
        steps: STEPS.into_iter().map(step).collect(),
        ..v1::Report::default()
    }
}

fn hello(number: u64) -> v1::Hello {
    let container = v1::ContainerFacts {
        container_id: format!("{number:064}"),
        name: "web".to_owned(),
        env: ENV.to_owned(),
        group: GROUP.to_owned(),
        image: "registry.example/shop/web:1".to_owned(),
        image_id: format!("sha256:{:064}", 1),
        digest: format!("sha256:{:064}", 1),
        state: v1::ContainerState::Running.into(),
        health: v1::Health::Healthy.into(),
        ..v1::ContainerFacts::default()
    };
    v1::Hello {
        protocol: PROTOCOL,
        facts: Some(facts(number)),
        inventory: Some(v1::Inventory { containers: vec![container], is_cut_short: false }),
        open: Vec::new(),
    }
}

fn facts(number: u64) -> v1::HostFacts {
    v1::HostFacts {
        host_name: format!("host-{number}"),
        agent_version: "0.1.0".to_owned(),
        engine_version: "28.5.1".to_owned(),
        engine_api: "1.51".to_owned(),
        os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        architecture: "x86_64".to_owned(),
        kernel: "6.1.0-39-amd64".to_owned(),
        storage_driver: "overlay2".to_owned(),
        cpus: 8,
        cpu_free_milli: 6_000,
        memory_total_bytes: 64 << 30,
        memory_available_bytes: 40 << 30,
        data_dir_total_bytes: 500 << 30,
        data_dir_free_bytes: 200 << 30,
        data_dir: "/var/lib/redeploy".to_owned(),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or_default()
}

/// One HTTP/2 connection as a gRPC client wants it: without the queues and reconnections of a full client.
#[derive(Clone)]
struct Sender(http2::SendRequest<Body>);

impl tower::Service<http::Request<Body>> for Sender {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}
