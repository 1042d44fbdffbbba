//! An operator: orders the deployment, and asks things at a steady pace to see how long answers take.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use hyper_util::rt::TokioIo;
use redeploy_proto::v1::operator_service_client::OperatorServiceClient;
use redeploy_proto::{COORDINATOR_NAME, MESSAGE_BYTES_MAX, v1};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::prepare::Room;

/// Between two calls about one thing, and between two about the whole fleet.
const PACE: Duration = Duration::from_millis(20);
const PACE_OF_ALL: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    WhoAmI,
    GetNode,
    GetHost,
    ListDeployments,
    ListEvents,
    CreateJoinToken,
    GetDeployment,
    ListNodes,
}

impl Kind {
    const OF_ONE: [Self; 6] = [
        Self::WhoAmI,
        Self::GetNode,
        Self::GetHost,
        Self::ListDeployments,
        Self::ListEvents,
        Self::CreateJoinToken,
    ];
    const OF_ALL: [Self; 2] = [Self::GetDeployment, Self::ListNodes];

    /// Its answer does not grow with the fleet.
    pub(crate) fn is_of_one(self) -> bool {
        Self::OF_ONE.contains(&self)
    }
}

type Authorized = InterceptedService<Channel, Bearer>;
type Client = OperatorServiceClient<Authorized>;

#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Somebody with an admin's token.
#[derive(Clone)]
pub(crate) struct Operator {
    client: Client,
    /// What calls are about.
    deployment: Arc<Mutex<String>>,
    host: Arc<Mutex<String>>,
}

impl Operator {
    pub(crate) async fn dial(room: &Room, address: &str) -> Result<Self> {
        let dir = room.coordinator();
        let token = std::fs::read_to_string(dir.join("admin.token"))?;
        let bearer = Bearer(format!("Bearer {}", token.trim()).parse()?);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(dir.join("pki/ca.crt"))?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (tls, address) = (TlsConnector::from(Arc::new(config)), address.to_owned());
        let connector = tower::service_fn(move |_| {
            let (tls, address) = (tls.clone(), address.clone());
            async move {
                let tcp = TcpStream::connect(address).await?;
                tcp.set_nodelay(true)?;
                let name = ServerName::try_from(COORDINATOR_NAME).map_err(std::io::Error::other)?;
                tls.connect(name, tcp).await.map(TokioIo::new)
            }
        });
        let channel = Endpoint::from_shared(format!("http://{COORDINATOR_NAME}"))?
            .connect_with_connector(connector)
            .await?;
        let client = OperatorServiceClient::with_interceptor(channel, bearer)
            .max_decoding_message_size(64 * MESSAGE_BYTES_MAX);
        Ok(Self { client, deployment: Arc::default(), host: Arc::default() })
    }

    /// Waits until the coordinator has taken over the nodes of so many hosts.
    pub(crate) async fn until_connected(&self, count: u64, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        loop {
            let nodes =
                self.client.clone().list_nodes(v1::ListNodesRequest::default()).await?.into_inner().nodes;
            if let Some(node) = nodes.first() {
                set(&self.host, node.host_id.clone());
            }
            if nodes.len() as u64 == count {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{} of {count} nodes are there", nodes.len());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    pub(crate) async fn deploy_all(&self) -> Result<String> {
        let made = self.client.clone().create_deployment(super::request()).await?.into_inner();
        set(&self.deployment, made.deployment_id.clone());
        Ok(made.deployment_id)
    }

    /// Waits for the deployment to be done.
    pub(crate) async fn until_over(&self, id: &str, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        loop {
            let asked =
                v1::ListDeploymentsRequest { only_open: true, ..v1::ListDeploymentsRequest::default() };
            let open = self.client.clone().list_deployments(asked).await?.into_inner().deployments;
            let Some(open) = open.iter().find(|open| open.deployment_id == id) else { return Ok(()) };
            if open.phase() == v1::DeploymentPhase::Halted {
                bail!("it halted: {open:?}");
            }
            ensure!(Instant::now() < end, "it is not over: {open:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// When the deployment entered which phase.
    pub(crate) async fn moments(&self, id: &str) -> Result<HashMap<String, i64>> {
        let mut moments = HashMap::new();
        let mut after = 0;
        loop {
            let asked = v1::ListEventsRequest {
                after_seq: after,
                deployment_id: id.to_owned(),
                page_size: 1000,
                ..v1::ListEventsRequest::default()
            };
            let events = self.client.clone().list_events(asked).await?.into_inner().events;
            let Some(last) = events.last() else { return Ok(moments) };
            after = last.seq;
            moments.extend(events.into_iter().filter(|event| event.node_id == 0).map(|e| (e.kind, e.at_ms)));
        }
    }

    /// Begins to ask.
    pub(crate) fn probe(&self) -> Prober {
        let latencies = Arc::new(Mutex::new(Latencies::default()));
        let stop = CancellationToken::new();
        let ask =
            |kinds, pace| tokio::spawn(self.clone().ask(kinds, pace, Arc::clone(&latencies), stop.clone()));
        let tasks = [ask(&Kind::OF_ONE[..], PACE), ask(&Kind::OF_ALL[..], PACE_OF_ALL)];
        Prober { tasks, latencies, stop }
    }

    /// In turn, at this pace, whether or not earlier answers have come.
    async fn ask(
        self,
        kinds: &'static [Kind],
        pace: Duration,
        latencies: Arc<Mutex<Latencies>>,
        stop: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval(pace);
        let mut calls = JoinSet::new();
        for kind in kinds.iter().cycle() {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            while calls.try_join_next().is_some() {}
            let (operator, latencies) = (self.clone(), Arc::clone(&latencies));
            calls.spawn(async move {
                let began = Instant::now();
                match operator.call(*kind).await {
                    Ok(true) => {
                        let took = began.elapsed();
                        latencies.lock().unwrap_or_else(PoisonError::into_inner).note(*kind, took);
                    }
                    Ok(false) => {}
                    Err(status) => eprintln!("{kind:?}: {status}"),
                }
            });
        }
        // Answers are waited for: many calls given up at once look like an attack, and the connection would be closed.
        while calls.join_next().await.is_some() {}
    }

    /// `false`: there is nothing to ask about yet.
    async fn call(&self, kind: Kind) -> Result<bool, Status> {
        let mut client = self.client.clone();
        let deployment_id = get(&self.deployment);
        match kind {
            Kind::WhoAmI => client.who_am_i(v1::WhoAmIRequest {}).await.map(drop)?,
            Kind::GetNode => client.get_node(v1::GetNodeRequest { node_id: 1 }).await.map(drop)?,
            Kind::GetHost => client.get_host(v1::GetHostRequest { host: get(&self.host) }).await.map(drop)?,
            Kind::ListDeployments => {
                client.list_deployments(v1::ListDeploymentsRequest::default()).await.map(drop)?;
            }
            Kind::ListEvents => client.list_events(v1::ListEventsRequest::default()).await.map(drop)?,
            Kind::CreateJoinToken => {
                client.create_join_token(v1::CreateJoinTokenRequest::default()).await.map(drop)?;
            }
            Kind::GetDeployment if deployment_id.is_empty() => return Ok(false),
            Kind::GetDeployment => {
                client.get_deployment(v1::GetDeploymentRequest { deployment_id }).await.map(drop)?;
            }
            Kind::ListNodes => client.list_nodes(v1::ListNodesRequest::default()).await.map(drop)?,
        }
        Ok(true)
    }
}

fn set(shared: &Mutex<String>, text: String) {
    *shared.lock().unwrap_or_else(PoisonError::into_inner) = text;
}

fn get(shared: &Mutex<String>) -> String {
    shared.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Asks until it is stopped.
pub(crate) struct Prober {
    tasks: [JoinHandle<()>; 2],
    latencies: Arc<Mutex<Latencies>>,
    stop: CancellationToken,
}

impl Prober {
    pub(crate) async fn stop(self) -> Result<Latencies> {
        self.stop.cancel();
        for task in self.tasks {
            task.await?;
        }
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ensure!(!latencies.0.is_empty(), "no call was answered");
        Ok(latencies)
    }
}

/// How long answers took, by what was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Latencies(HashMap<Kind, Vec<f64>>);

impl Latencies {
    fn note(&mut self, kind: Kind, took: Duration) {
        self.0.entry(kind).or_default().push(took.as_secs_f64() * 1000.0);
    }

    /// In milliseconds, over all kinds that fit.
    pub(crate) fn percentile(&self, fits: impl Fn(Kind) -> bool, percent: usize) -> f64 {
        let fitting = self.0.iter().filter(|(kind, _)| fits(**kind));
        let mut all: Vec<f64> = fitting.flat_map(|(_, took)| took.iter().copied()).collect();
        all.sort_by(f64::total_cmp);
        at(&all, percent)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let mut kinds: Vec<Kind> = self.0.keys().copied().collect();
        kinds.sort_unstable();
        kinds.into_iter().map(|kind| Line { kind, latencies: self }.to_string()).collect()
    }
}

fn at(sorted: &[f64], percent: usize) -> f64 {
    let place = (sorted.len() * percent).div_ceil(100);
    sorted.get(place.max(1) - 1).copied().unwrap_or(f64::NAN)
}

struct Line<'a> {
    kind: Kind,
    latencies: &'a Latencies,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |percent| self.latencies.percentile(|kind| kind == self.kind, percent);
        let count = self.latencies.0.get(&self.kind).map_or(0, Vec::len);
        let name = format!("{:?}", self.kind);
        write!(f, "{name:<16} {:>7.1} {:>7.1} {:>7.1}  of {count}", of(50), of(99), of(100))
    }
}
