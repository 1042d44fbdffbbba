//! A connection to the coordinator: TCP, then TLS that trusts one CA and nothing else, then gRPC.
//!
//! The CA is known by the certificate joining brought, or before that by its fingerprint in the join token. Must never
//! say anything to a coordinator that is not the one.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use redeploy_proto::v1::agent_service_client::AgentServiceClient;
use redeploy_proto::{COORDINATOR_NAME, MESSAGE_BYTES_MAX};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use super::address::Address;
use super::identity::{Identity, IdentityError};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(15);

/// A coordinator that is not there any more is noticed after these.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) type Client = AgentServiceClient<Channel>;

/// There is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The certificate or key is not usable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// TLS does not take what it was given.
    #[error("the certificates cannot be used")]
    Tls(#[from] TlsError),
    /// Nobody answers there, or somebody else.
    #[error("cannot connect to the coordinator at {address}")]
    Connect {
        /// Where.
        address: Address,
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
}

/// A connection to a coordinator known by its CA's fingerprint, before we are anybody.
pub(super) async fn stranger(address: &Address, ca_fingerprint: [u8; 32]) -> Result<Client, DialError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = ByFingerprint { ca_fingerprint, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    connect(address, config).await
}

/// A connection as the host we are.
pub(super) async fn ourselves(identity: &Identity) -> Result<Client, DialError> {
    let (certificate, key) = identity.for_tls()?;
    let mut roots = RootCertStore::empty();
    roots.add(identity.ca.clone().into())?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)?;
    connect(&identity.coordinator, config).await
}

async fn connect(address: &Address, mut config: ClientConfig) -> Result<Client, DialError> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let failed = |source| DialError::Connect { address: address.clone(), source };
    let to = (address.host.clone(), address.port);
    let service = tower::service_fn(move |_| {
        let (connector, to) = (connector.clone(), to.clone());
        async move {
            let tcp = TcpStream::connect(to).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from(COORDINATOR_NAME).map_err(std::io::Error::other)?;
            connector.connect(name, tcp).await.map(TokioIo::new)
        }
    });
    // The scheme only says that the library is not to bring TLS of its own.
    let channel = Endpoint::from_shared(format!("http://{COORDINATOR_NAME}"))
        .map_err(failed)?
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector(service)
        .await
        .map_err(failed)?;
    Ok(AgentServiceClient::new(channel)
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX))
}

/// Trusts the one CA with this fingerprint, if the other end shows it, and what it signed for the coordinator.
#[derive(Debug)]
struct ByFingerprint {
    ca_fingerprint: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ByFingerprint {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let is_it = |shown: &&CertificateDer<'_>| Sha256::digest(shown)[..] == self.ca_fingerprint;
        let ca = intermediates.iter().find(is_it);
        let ca = ca.ok_or(TlsError::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|error| TlsError::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, &[], server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Err(TlsError::General("only TLS 1.3 is spoken here".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
