//! The operators' port as it is served, with real TLS, and an HTTP client beside it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::api::{ApiListening, listen};
use crate::pki::Authority;

const PATIENCE: Duration = Duration::from_secs(30);

/// A served port.
pub(super) struct Port {
    pub(super) address: SocketAddr,
    config: ClientConfig,
    listening: ApiListening,
    pub(super) token: String,
    _pki: tempfile::TempDir,
}

/// An answer that was read whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Insists on a problem of this kind, and gives its detail.
    pub(super) fn problem(&self, status: u16, code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let json = self.json();
        assert_eq!((&json["status"], &json["code"]), (&status.into(), &code.into()), "{self:?}");
        assert_eq!(json["title"], self.status.canonical_reason().unwrap());
        json["detail"].as_str().unwrap().to_owned()
    }
}

impl Port {
    /// Serves a room's API; `token` is an administrator's.
    pub(super) async fn open(room: &Room) -> Self {
        let pki = tempfile::tempdir().unwrap();
        let authority = Authority::open(pki.path(), SystemTime::now()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listening = listen(room.api.clone(), &authority, listener).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let token = room.token(Role::Admin, &[]).await;
        Self { address: listening.address, config, listening, token, _pki: pki }
    }

    pub(super) async fn close(self) {
        self.listening.stop().await;
    }

    pub(super) async fn dial(&self, protocol: &[u8]) -> TlsStream<TcpStream> {
        let mut config = self.config.clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        let tcp = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from(redeploy_proto::COORDINATOR_NAME).unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(protocol));
        tls
    }

    /// One request over a connection of its own; its answer's body is still to come.
    pub(super) async fn begin(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(self.dial(b"http/1.1").await)).await.unwrap();
        tokio::spawn(connection);
        tokio::time::timeout(PATIENCE, sender.send_request(request)).await.expect("no answer").unwrap()
    }

    /// The same over HTTP/2.
    pub(super) async fn begin_http2(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        let io = TokioIo::new(self.dial(b"h2").await);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        tokio::time::timeout(PATIENCE, sender.send_request(request)).await.expect("no answer").unwrap()
    }

    /// A request with the administrator's token.
    pub(super) fn request(&self, method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
        let request = Request::builder().method(method).uri(path).header("host", "coordinator");
        let request = request.header("authorization", format!("Bearer {}", self.token));
        request
            .header("content-type", "application/json")
            .body(Bytes::copy_from_slice(body.as_bytes()).into())
            .unwrap()
    }

    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        whole(self.begin(request).await).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path, "")).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path, &body.to_string())).await
    }
}

pub(super) async fn whole(response: http::Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the answer does not end");
    let text = String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, text }
}

/// The events of a stream that ends: id, name, data.
pub(super) fn events(text: &str) -> Vec<(String, String, Value)> {
    let event = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let data: Value = serde_json::from_str(field("data")?).unwrap();
        Some((
            field("id").unwrap_or_default().to_owned(),
            field("event").unwrap_or_default().to_owned(),
            data,
        ))
    };
    text.split("\n\n").filter_map(event).collect()
}
