//! A connection to the coordinator's API: TLS that trusts one CA, and the token with each call.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use redeploy_proto::v1::operator_service_client::OperatorServiceClient;
use redeploy_proto::{COORDINATOR_NAME, MESSAGE_BYTES_MAX};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

use super::args::Global;
use super::exit::Stop;

/// The port operators call when none is given.
const DEFAULT_PORT: u16 = 7444;
const CONNECT: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Holds an API token, unless a file is named.
const TOKEN: &str = "REDEPLOY_TOKEN";

/// How long an answer may take. A stream is not an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(30);

pub(super) type Client = OperatorServiceClient<InterceptedService<Channel, Bearer>>;

/// The coordinator that was asked for.
pub(super) struct Coordinator {
    client: Client,
}

impl Coordinator {
    pub(super) async fn dial(global: &Global) -> Result<Self, Stop> {
        let (host, port) = address(&global.coordinator)?;
        let bearer = Bearer::new(&token(global)?)?;
        let channel = connect(host, port, tls(&global.ca)?).await?;
        let client = OperatorServiceClient::with_interceptor(channel, bearer)
            .max_decoding_message_size(16 * MESSAGE_BYTES_MAX);
        Ok(Self { client })
    }

    /// For one call. Connects again by itself if the connection is gone.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }
}

/// A request whose answer is not waited for for ever.
pub(super) fn ask<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ANSWER);
    request
}

fn address(text: &str) -> Result<(String, u16), Stop> {
    let bad = || {
        Stop::usage(format!(
            "--coordinator {text:?} is no address: write HOST, HOST:PORT or https://HOST:PORT"
        ))
    };
    let whole = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let uri: Uri = whole.parse().map_err(|_| bad())?;
    let is_plain =
        uri.scheme_str() == Some("https") && matches!(uri.path(), "" | "/") && uri.query().is_none();
    let host = uri.host().filter(|host| is_plain && !host.is_empty()).ok_or_else(bad)?;
    let rest = uri.authority().and_then(|all| all.as_str().strip_prefix(host)).ok_or_else(bad)?;
    let port = match rest.strip_prefix(':') {
        Some(port) => port.parse().map_err(|_| bad())?,
        None if rest.is_empty() => DEFAULT_PORT,
        None => return Err(bad()),
    };
    Ok((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
}

fn token(global: &Global) -> Result<String, Stop> {
    let text = match &global.token_file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| Stop::usage(format!("--token-file {}: {error}", path.display())))?,
        None => std::env::var(TOKEN)
            .map_err(|_| Stop::usage(format!("an API token is needed: give --token-file, or set {TOKEN}")))?,
    };
    Ok(text.trim().to_owned())
}

fn tls(ca: &Path) -> Result<ClientConfig, Stop> {
    let bad = |error: &dyn std::fmt::Display| Stop::usage(format!("--ca {}: {error}", ca.display()));
    let certificate = CertificateDer::from_pem_file(ca).map_err(|error| bad(&error))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(|error| bad(&error))?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| bad(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

async fn connect(host: String, port: u16, config: ClientConfig) -> Result<Channel, Stop> {
    let connector = TlsConnector::from(Arc::new(config));
    let to = (host.clone(), port);
    let service = tower::service_fn(move |_| {
        let (connector, to) = (connector.clone(), to.clone());
        async move {
            let tcp = TcpStream::connect(to).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from(COORDINATOR_NAME).map_err(std::io::Error::other)?;
            connector.connect(name, tcp).await.map(TokioIo::new)
        }
    });
    let failed = |error: tonic::transport::Error| {
        let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        Stop::refused(format!("cannot connect to the coordinator at {host}:{port}: {why}"))
    };
    // The scheme only says that the library is not to bring TLS of its own.
    Endpoint::from_shared(format!("http://{COORDINATOR_NAME}"))
        .map_err(failed)?
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector(service)
        .await
        .map_err(failed)
}

/// Puts the token into each call.
#[derive(Clone)]
pub(super) struct Bearer(MetadataValue<Ascii>);

impl Bearer {
    fn new(token: &str) -> Result<Self, Stop> {
        let value = format!("Bearer {token}").parse();
        let mut value: MetadataValue<Ascii> = value.map_err(|_| Stop::usage("this is not an API token"))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_with_or_without_a_port() {
        for (text, host, port) in [
            ("c.example.com", "c.example.com", 7444),
            ("https://c:1/", "c", 1),
            ("10.0.0.1:99", "10.0.0.1", 99),
            ("[::1]:5", "::1", 5),
        ] {
            assert_eq!(address(text).unwrap(), (host.to_owned(), port));
        }
        for text in ["", "http://c:1", "a b", "c/path", "c:x"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
