//! A connection to the coordinator's API: TLS that trusts one CA, and the token with each call.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use redeploy_proto::v1::operator_service_client::OperatorServiceClient;
use redeploy_proto::{COORDINATOR_NAME, MESSAGE_BYTES_MAX};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};
use tower::{Service, ServiceExt};

use super::args::Global;
use super::contexts::Shelf;
use super::exit::Stop;
use super::trust::{Shown, Trust};

/// The port operators call when none is given.
const DEFAULT_PORT: u16 = 7444;
const CONNECT: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Holds an API token, unless a file is named.
const TOKEN: &str = "REDEPLOY_TOKEN";

const DEFAULT_COORDINATOR: &str = "127.0.0.1:7444";
const DEFAULT_CA: &str = "/etc/redeploy/ca.crt";

/// How long an answer may take. A stream is not an answer.
pub(super) const ANSWER: Duration = Duration::from_secs(30);

pub(super) type Client = OperatorServiceClient<InterceptedService<Channel, Bearer>>;

/// The coordinator that was asked for.
pub(super) struct Coordinator {
    client: Client,
    channel: Channel,
    bearer: Bearer,
}

impl Coordinator {
    /// The one that is asked for by options, variables or a context.
    pub(super) async fn dial(global: &Global) -> Result<Self, Stop> {
        let target = Target::of(global, Shelf::of_user().as_ref())?;
        let trust = Trust::of_pem(target.ca.as_bytes()).map_err(|why| Stop::usage(format!("--ca: {why}")))?;
        let (config, _) = tls(trust)?;
        Self::connect(&target.coordinator, config, &target.token).await
    }

    pub(super) async fn connect(coordinator: &str, config: ClientConfig, token: &str) -> Result<Self, Stop> {
        let (host, port) = address(coordinator)?;
        let bearer = Bearer::new(token)?;
        let channel = connect(host, port, config).await?;
        let client = OperatorServiceClient::with_interceptor(channel.clone(), bearer.clone())
            .max_decoding_message_size(16 * MESSAGE_BYTES_MAX);
        Ok(Self { client, channel, bearer })
    }

    /// A form for what is no call of the contract. Its answer is waited for as long as the connection lives.
    pub(super) async fn post(&self, path: &str, form: String) -> Result<http::Response<Body>, Stop> {
        let request = http::Request::post(path)
            .header(AUTHORIZATION, self.bearer.header()?)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::new(Full::from(form)))
            .map_err(|error| Stop::usage(format!("{path} cannot be asked for: {error}")))?;
        let lost = |error: tonic::transport::Error| Stop::from(Status::from_error(Box::new(error)));
        let mut channel = self.channel.clone();
        channel.ready().await.map_err(lost)?.call(request).await.map_err(lost)
    }

    /// For one call. Connects again by itself if the connection is gone.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }
}

/// Where to, whom to believe, who we are.
#[derive(PartialEq, Eq)]
struct Target {
    coordinator: String,
    ca: String,
    token: String,
}

impl Target {
    /// Options and variables before the context. A context's token goes to no other coordinator than its own, unless
    /// that is said.
    fn of(global: &Global, shelf: Option<&Shelf>) -> Result<Self, Stop> {
        let is_asked = global.context.is_some() || global.coordinator.is_none();
        let context = match shelf.filter(|_| is_asked) {
            Some(shelf) => shelf.read()?.named(global.context.as_deref())?.cloned(),
            None => None,
        };
        let ca = match (&global.ca, &context) {
            (Some(path), _) => certificates(path)?,
            (None, Some(context)) => context.ca.clone(),
            (None, None) => std::fs::read_to_string(DEFAULT_CA).map_err(|_| {
                let why = format!(
                    "no coordinator is known: `redeployctl login`, or give --ca; {DEFAULT_CA} is not there"
                );
                Stop::usage(why)
            })?,
        };
        let coordinator = global.coordinator.clone().or_else(|| Some(context.as_ref()?.coordinator.clone()));
        let token = given_token(global)?.or_else(|| Some(context.as_ref()?.token.clone()));
        let token = token.ok_or_else(|| {
            Stop::usage(format!(
                "an API token is needed: `redeployctl login`, or give --token-file, or set {TOKEN}"
            ))
        })?;
        Ok(Self { coordinator: coordinator.unwrap_or_else(|| DEFAULT_COORDINATOR.to_owned()), ca, token })
    }
}

/// A request whose answer is not waited for for ever.
pub(super) fn ask<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(ANSWER);
    request
}

/// TLS settings, and where the certificate goes that a fingerprint stood for.
pub(super) fn tls(trust: Trust) -> Result<(ClientConfig, Shown), Stop> {
    trust.config().map_err(|error| Stop::usage(format!("TLS cannot be used: {error}")))
}

pub(super) fn address(text: &str) -> Result<(String, u16), Stop> {
    let bad = || {
        let rule = "write HOST, HOST:PORT or https://HOST:PORT";
        Stop::usage(format!("{text:?} is no address of a coordinator: {rule}"))
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

/// Certificates to trust, as they stand in a file.
pub(super) fn certificates(path: &Path) -> Result<String, Stop> {
    let bad = |error: &dyn std::fmt::Display| Stop::usage(format!("--ca {}: {error}", path.display()));
    std::fs::read_to_string(path).map_err(|error| bad(&error))
}

/// The token of a file or of the environment, if one is given.
pub(super) fn given_token(global: &Global) -> Result<Option<String>, Stop> {
    let text = match &global.token_file {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|error| Stop::usage(format!("--token-file {}: {error}", path.display())))?,
        ),
        None => std::env::var(TOKEN).ok(),
    };
    Ok(text.map(|text| text.trim().to_owned()))
}

async fn connect(host: String, port: u16, config: ClientConfig) -> Result<Channel, Stop> {
    let connector = TlsConnector::from(Arc::new(config));
    let to = (host.clone(), port);
    let service = tower::service_fn(move |_| {
        let (connector, to) = (connector.clone(), to.clone());
        async move {
            let name = ServerName::try_from(to.0.clone()).map_err(std::io::Error::other)?;
            let tcp = TcpStream::connect(to).await?;
            tcp.set_nodelay(true)?;
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
    fn header(&self) -> Result<HeaderValue, Stop> {
        let header = HeaderValue::from_bytes(self.0.as_bytes());
        let mut header = header.map_err(|_| Stop::usage("this is not an API token"))?;
        header.set_sensitive(true);
        Ok(header)
    }

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
    use crate::cli::args::Output;
    use crate::cli::contexts::Context;

    fn global() -> Global {
        let output = Output::Table;
        Global { context: None, coordinator: None, ca: None, token_file: None, output, json: false }
    }

    #[test]
    fn a_contexts_token_goes_to_its_own_coordinator_only() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = Shelf::at(dir.path().join("contexts.toml"));
        let context = Context { coordinator: "c:1".into(), ca: "CA".into(), token: "rda_c".into() };
        let added = shelf.change(|all| {
            all.current = Some("c".into());
            all.contexts.insert("c".into(), context);
            Ok(())
        });
        added.unwrap();
        let of = |global: &Global| Target::of(global, Some(&shelf));
        let current = of(&global()).unwrap_or_else(|stop| panic!("{}", stop.text));
        assert_eq!((current.coordinator.as_str(), current.token.as_str()), ("c:1", "rda_c"));
        let ca = dir.path().join("ca");
        crate::durable::write(&ca, b"PEM").unwrap();
        let other = Global { coordinator: Some("evil:1".into()), ca: Some(ca), ..global() };
        assert!(of(&other).is_err_and(|stop| stop.text.contains("an API token is needed")));
        let said = Global { context: Some("c".into()), coordinator: Some("c-new:1".into()), ..global() };
        let said = of(&said).unwrap_or_else(|stop| panic!("{}", stop.text));
        assert_eq!((said.coordinator.as_str(), said.token.as_str()), ("c-new:1", "rda_c"));
        let unknown = Global { context: Some("d".into()), ..global() };
        assert!(of(&unknown).is_err_and(|stop| stop.text.contains("there are: c")));
    }

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
