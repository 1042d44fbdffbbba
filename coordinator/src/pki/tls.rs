//! TLS of both ports: our certificate. At the agents' port also client certificates of our own CA, or none.
//!
//! None is let in only because a host that joins has none yet; what it may call is decided behind. Operators show
//! tokens and no certificates.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::ring::default_provider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use super::authority::{Authority, PkiError};
use super::telling::Telling;

/// TLS settings of the agents' port, with a certificate made for this process.
///
/// # Errors
/// [`PkiError::Make`]
pub fn server_config(authority: &Authority, now: SystemTime) -> Result<ServerConfig, PkiError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).map_err(|error| made(&error))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
        .allow_unauthenticated()
        .build()
        .map_err(|error| made(&error))?;
    with(authority, Arc::new(Telling::new(verifier)), &[b"h2"], now)
}

/// TLS settings of the operators' port, with a certificate made for this process.
///
/// # Errors
/// [`PkiError::Make`]
pub fn api_server_config(authority: &Authority, now: SystemTime) -> Result<ServerConfig, PkiError> {
    with(authority, Arc::new(NoClientAuth), &[b"h2", b"http/1.1"], now)
}

fn with(
    authority: &Authority,
    verifier: Arc<dyn ClientCertVerifier>,
    protocols: &[&[u8]],
    now: SystemTime,
) -> Result<ServerConfig, PkiError> {
    let (certificate, key) = authority.own_certificate(now)?;
    // The CA goes along: a host that joins knows it only by its fingerprint.
    let chain = vec![certificate, authority.certificate().clone()];
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| made(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| made(&error))?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn made(error: &dyn std::fmt::Display) -> PkiError {
    PkiError::Make(error.to_string())
}
