//! A coordinator on free ports with a data directory of its own, and ways to come to its doors.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use redeploy_coordinator::ids::HostId;
use redeploy_coordinator::moment::Span;
use redeploy_coordinator::server::{Limits, Server, Settings, StartError, admin_token_file, ca_file};
use redeploy_coordinator::store::{AuditRow, Sqlite};
use redeploy_proto::v1::agent_message::Message as Up;
use redeploy_proto::v1::agent_service_client::AgentServiceClient;
use redeploy_proto::v1::operator_service_client::OperatorServiceClient;
use redeploy_proto::{COORDINATOR_NAME, v1};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

/// Nothing here takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) type Operator = OperatorServiceClient<InterceptedService<Channel, Bearer>>;

/// A coordinator in this process.
pub(crate) struct House {
    _dir: Option<tempfile::TempDir>,
    settings: Settings,
    server: Option<Server>,
}

/// A host's certificate.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) host: HostId,
    pub(crate) certificate: Vec<u8>,
    key: String,
}

/// Puts a token into each call; an empty one is none.
#[derive(Clone)]
pub(crate) struct Bearer(String);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if !self.0.is_empty() {
            let value: MetadataValue<Ascii> = format!("Bearer {}", self.0).parse().expect("a token is ASCII");
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

/// Settings for a data directory.
pub(crate) fn settings(data_dir: &Path, limits: Limits) -> Settings {
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Settings {
        data_dir: data_dir.to_owned(),
        listen: free,
        api_listen: free,
        grace: Span::seconds(30),
        limits,
        otlp: None,
        dies: None,
    }
}

impl House {
    pub(crate) async fn new(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let house = Self::at(&dir.path().join("data"), limits).await;
        Self { _dir: Some(dir), ..house }
    }

    pub(crate) async fn at(data_dir: &Path, limits: Limits) -> Self {
        let settings = settings(data_dir, limits);
        let server = start(&settings).await.unwrap();
        Self { _dir: None, settings, server: Some(server) }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.settings.data_dir
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    pub(crate) async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await;
        }
    }

    pub(crate) fn admin_token(&self) -> String {
        std::fs::read_to_string(admin_token_file(self.data_dir())).unwrap().trim().to_owned()
    }

    /// A second look into the store.
    pub(crate) async fn store(&self) -> Sqlite {
        Sqlite::open(&self.data_dir().join("store.db")).await.unwrap()
    }

    pub(crate) async fn audit(&self) -> Vec<AuditRow> {
        let store = self.store().await;
        let log = store.audit_log().await.unwrap();
        store.close().await;
        log
    }

    pub(crate) async fn admin(&self) -> Operator {
        self.operator(&self.admin_token()).await
    }

    pub(crate) async fn operator(&self, token: &str) -> Operator {
        let channel = channel(self.server().operators(), tls(self.data_dir(), None)).await.unwrap();
        OperatorServiceClient::with_interceptor(channel, Bearer(token.to_owned()))
    }

    /// An API token that the administrator makes.
    pub(crate) async fn token(&self, name: &str, role: v1::Role, expires_in_ms: u64) -> String {
        let request =
            v1::CreateApiTokenRequest { name: name.into(), role: role.into(), envs: vec![], expires_in_ms };
        self.admin().await.create_api_token(request).await.unwrap().into_inner().token
    }

    pub(crate) async fn join_token(&self, expires_in_ms: u64) -> v1::CreateJoinTokenResponse {
        let request = v1::CreateJoinTokenRequest { comment: String::new(), expires_in_ms };
        self.admin().await.create_join_token(request).await.unwrap().into_inner()
    }

    /// Asks the agents' door, with a certificate or without.
    pub(crate) async fn agent(
        &self,
        identity: Option<&Identity>,
    ) -> Result<AgentServiceClient<Channel>, tonic::transport::Error> {
        let channel = channel(self.server().agents(), tls(self.data_dir(), identity)).await?;
        Ok(AgentServiceClient::new(channel)
            .max_encoding_message_size(usize::MAX)
            .max_decoding_message_size(usize::MAX))
    }

    /// TLS, and nothing said in it yet.
    pub(crate) async fn silent_tls(&self) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(self.server().agents()).await.unwrap();
        let name = ServerName::try_from(COORDINATOR_NAME).unwrap();
        TlsConnector::from(Arc::new(tls(self.data_dir(), None))).connect(name, tcp).await.unwrap()
    }

    /// TLS from another address of this machine.
    pub(crate) async fn tls_from(&self, address: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(format!("{address}:0").parse().unwrap())?;
        let tcp = socket.connect(self.server().agents()).await?;
        let name = ServerName::try_from(COORDINATOR_NAME).unwrap();
        TlsConnector::from(Arc::new(tls(self.data_dir(), None))).connect(name, tcp).await
    }

    /// A host that has joined.
    pub(crate) async fn host(&self, name: &str) -> Identity {
        let token = self.join_token(0).await.token;
        let key = KeyPair::generate().unwrap();
        let answer = self.enroll(&token, &key, name).await.unwrap();
        Identity {
            host: answer.host_id.parse().unwrap(),
            certificate: answer.certificate,
            key: key.serialize_pem(),
        }
    }

    pub(crate) async fn enroll(
        &self,
        token: &str,
        key: &KeyPair,
        name: &str,
    ) -> Result<v1::EnrollResponse, Status> {
        let request = v1::EnrollRequest {
            token: token.to_owned(),
            csr: csr(key),
            host_name: name.to_owned(),
            agent_version: "0".to_owned(),
        };
        let mut client = self.agent(None).await.unwrap();
        client.enroll(request).await.map(tonic::Response::into_inner)
    }

    /// Has a certificate renewed.
    pub(crate) async fn renew(&self, identity: &Identity) -> Result<Identity, Status> {
        let key = KeyPair::from_pem(&identity.key).unwrap();
        let mut client =
            self.agent(Some(identity)).await.map_err(|error| Status::unavailable(error.to_string()))?;
        let answer = client.renew(v1::RenewRequest { csr: csr(&key) }).await?.into_inner();
        Ok(Identity { certificate: answer.certificate, ..identity.clone() })
    }

    /// A session of this host, after this Hello.
    pub(crate) async fn session(&self, identity: &Identity, hello: v1::Hello) -> Result<Session, Status> {
        let dialled = self.agent(Some(identity)).await;
        let mut client = dialled.map_err(|error| Status::unavailable(error.to_string()))?;
        let (up, queue) = mpsc::channel(16);
        up.send(message(Up::Hello(hello))).await.unwrap();
        let mut down = client.session(ReceiverStream::new(queue)).await?.into_inner();
        let welcome = down.message().await?.expect("a Welcome");
        assert!(matches!(welcome.message, Some(v1::coordinator_message::Message::Welcome(_))));
        Ok(Session { up, down })
    }
}

/// A session, as an agent holds it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) up: mpsc::Sender<v1::AgentMessage>,
    pub(crate) down: Streaming<v1::CoordinatorMessage>,
}

impl Session {
    /// Reads until it ends.
    pub(crate) async fn ended(mut self) -> Status {
        tokio::time::timeout(PATIENCE, async {
            loop {
                match self.down.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Status::ok("it just ended"),
                    Err(status) => return status,
                }
            }
        })
        .await
        .expect("it did not end")
    }
}

pub(crate) async fn start(settings: &Settings) -> Result<Server, StartError> {
    Box::pin(Server::start(settings)).await
}

pub(crate) fn message(message: Up) -> v1::AgentMessage {
    v1::AgentMessage { message: Some(message) }
}

/// A Hello of a host with nothing on it.
pub(crate) fn hello() -> v1::Hello {
    v1::Hello {
        protocol: 1,
        facts: Some(v1::HostFacts::default()),
        inventory: Some(v1::Inventory::default()),
        open: vec![],
    }
}

/// Waits until it is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let end = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < end, "waited for {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

fn csr(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

fn tls(data_dir: &Path, identity: Option<&Identity>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca_file(data_dir)).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some(identity) => {
            let key = KeyPair::from_pem(&identity.key).unwrap();
            let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
            config.with_client_auth_cert(vec![identity.certificate.clone().into()], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

async fn channel(to: SocketAddr, config: ClientConfig) -> Result<Channel, tonic::transport::Error> {
    let connector = TlsConnector::from(Arc::new(config));
    let service = tower::service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let tcp = TcpStream::connect(to).await?;
            let name = ServerName::try_from(COORDINATOR_NAME).map_err(std::io::Error::other)?;
            connector.connect(name, tcp).await.map(TokioIo::new)
        }
    });
    Endpoint::from_shared(format!("http://{COORDINATOR_NAME}"))?.connect_with_connector(service).await
}

/// A self-made identity of a CA that nobody knows.
pub(crate) fn forged(host: &HostId) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    let uri = format!("redeploy:host:{host}").as_str().try_into().unwrap();
    params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
    let certificate = params.self_signed(&key).unwrap().der().to_vec();
    Identity { host: host.clone(), certificate, key: key.serialize_pem() }
}
