//! Who is at the other end: the host named in a client certificate that TLS has already verified.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::ids::HostId;

const URI_PREFIX: &str = "redeploy:host:";

/// A host, as its certificate names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The host.
    pub host: HostId,
    /// Serial number of the certificate.
    pub serial: Vec<u8>,
}

/// The certificate names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is not one of a host: {0}")]
pub struct InvalidPeer(String);

/// What stands in a host's certificate.
pub(super) fn uri(host: &HostId) -> String {
    format!("{URI_PREFIX}{host}")
}

/// The host of a verified client certificate.
///
/// # Errors
/// [`InvalidPeer`]
pub fn peer_of(certificate: &CertificateDer<'_>) -> Result<Peer, InvalidPeer> {
    let wrong = |detail: &str| InvalidPeer(detail.to_owned());
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| InvalidPeer(error.to_string()))?;
    let names = parsed.subject_alternative_name().map_err(|error| InvalidPeer(error.to_string()))?;
    let names = names.ok_or_else(|| wrong("it has no alternative name"))?;
    let [GeneralName::URI(uri)] = names.value.general_names.as_slice() else {
        return Err(wrong("its alternative name is not one URI"));
    };
    let id = uri.strip_prefix(URI_PREFIX).ok_or_else(|| wrong("its URI is not one of a host"))?;
    let host = id.parse().map_err(|_| wrong("its host id is malformed"))?;
    Ok(Peer { host, serial: parsed.raw_serial().to_vec() })
}

/// When an authority's certificate ends, and its public key.
pub(super) fn authority_facts(certificate: &[u8]) -> Result<(SystemTime, Vec<u8>), InvalidPeer> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| InvalidPeer(error.to_string()))?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    Ok((SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), parsed.public_key().raw.to_vec()))
}
