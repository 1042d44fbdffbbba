//! The verifier of client certificates, which says in the log which host was turned away and what to do about it.
//!
//! Must never let anybody in whom the verifier within does not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::peer::peer_of;
use crate::bucket::{Bucket, Rate};

/// Strangers can make us say it.
const TELL: Rate = Rate { per_second: 2, burst: 50 };

/// Verifies and tells.
#[derive(Debug)]
pub(super) struct Telling {
    within: Arc<dyn ClientCertVerifier>,
    told: Mutex<Bucket>,
}

impl Telling {
    pub(super) fn new(within: Arc<dyn ClientCertVerifier>) -> Self {
        Self { within, told: Mutex::new(Bucket::new(Instant::now())) }
    }

    /// The name is what the certificate says: nobody has vouched for it.
    fn tell(&self, certificate: &CertificateDer<'_>, error: &Error) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.take(TELL, Instant::now()).is_err() {
            return;
        }
        let claims = peer_of(certificate).map_or_else(|_| "nobody".to_owned(), |peer| peer.host.to_string());
        if is_over(error) {
            tracing::warn!(
                claims,
                "a certificate that has ended was refused: on that host remove coordinator.json and join again, with a token of `redeployctl host token`"
            );
        } else {
            tracing::warn!(claims, %error, "a certificate was refused");
        }
    }
}

fn is_over(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext};
    matches!(error, Error::InvalidCertificate(Expired | ExpiredContext { .. }))
}

impl ClientCertVerifier for Telling {
    fn offer_client_auth(&self) -> bool {
        self.within.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.within.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.within.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.within.verify_client_cert(end_entity, intermediates, now);
        verified.inspect_err(|error| self.tell(end_entity, error))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.within.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.within.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.within.supported_verify_schemes()
    }
}
