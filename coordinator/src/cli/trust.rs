//! Whether whoever answers is the coordinator: its certificate leads to one that is trusted, and bears the
//! coordinator's own name, or the one it was dialled by.
//!
//! Flows in: certificates, or the fingerprint of one that the coordinator shows. Flows out: TLS settings, and the
//! certificate that was found by its fingerprint. Must never trust anybody by name alone.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use redeploy_proto::COORDINATOR_NAME;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

use crate::pki::sha256;

/// Whom to believe.
#[derive(Debug, Clone)]
pub(super) enum Trust {
    /// Whoever these speak for.
    Roots(Vec<CertificateDer<'static>>),
    /// Whoever the certificate speaks for that has this SHA-256 and is shown along.
    Fingerprint([u8; 32]),
}

/// What was learned of the other end.
pub(super) type Shown = Arc<Mutex<Option<CertificateDer<'static>>>>;

impl Trust {
    /// Every certificate of a PEM text.
    pub(super) fn of_pem(pem: &[u8]) -> Result<Self, String> {
        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let roots = roots.map_err(|error| error.to_string())?;
        if roots.is_empty() {
            Err("it holds no certificate in PEM form".to_owned())
        } else {
            Ok(Self::Roots(roots))
        }
    }

    /// TLS settings, and where the root goes that a fingerprint stood for.
    pub(super) fn config(self) -> Result<(ClientConfig, Shown), TlsError> {
        let provider = Arc::new(default_provider());
        let shown = Shown::default();
        let verifier = Verifier { trust: self, shown: Arc::clone(&shown), provider: Arc::clone(&provider) };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok((config, shown))
    }
}

/// A certificate as text.
pub(super) fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let lines: Vec<&str> =
        (0..text.len()).step_by(64).filter_map(|at| text.get(at..text.len().min(at + 64))).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    shown: Shown,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn roots(&self, intermediates: &[CertificateDer<'_>]) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        match &self.trust {
            Trust::Roots(all) => {
                // One of a bundle that is not usable does not spoil the others.
                roots.add_parsable_certificates(all.iter().cloned());
            }
            Trust::Fingerprint(fingerprint) => {
                let is_it = |shown: &&CertificateDer<'_>| sha256(shown) == *fingerprint;
                let ca = intermediates.iter().find(is_it);
                let ca = ca.ok_or(TlsError::InvalidCertificate(CertificateError::UnknownIssuer))?;
                let ca = ca.clone().into_owned();
                roots.add(ca.clone())?;
                *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(ca);
            }
        }
        Ok(roots)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let roots = Arc::new(self.roots(intermediates)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider))
            .build()
            .map_err(|error| TlsError::General(error.to_string()))?;
        let verify = |name: &ServerName<'_>| {
            verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
        };
        // Its own CA gives it one name, whatever its address. A certificate somebody gave it bears its address.
        let own =
            ServerName::try_from(COORDINATOR_NAME).map_err(|error| TlsError::General(error.to_string()))?;
        verify(&own).or_else(|_| verify(server_name))
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

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    struct Ca {
        issuer: Issuer<'static, KeyPair>,
        certificate: CertificateDer<'static>,
    }

    fn ca() -> Ca {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Ca { issuer: Issuer::new(params, key), certificate }
    }

    impl Ca {
        fn leaf(&self, name: &str) -> CertificateDer<'static> {
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
        }
    }

    fn verify(trust: Trust, leaf: &CertificateDer<'_>, shown: &Ca, dialled: &str) -> (bool, Option<String>) {
        let found = Shown::default();
        let provider = Arc::new(default_provider());
        let verifier = Verifier { trust, shown: Arc::clone(&found), provider };
        let (chain, name) = ([shown.certificate.clone()], ServerName::try_from(dialled).unwrap());
        let verified = verifier.verify_server_cert(leaf, &chain, &name, &[], UnixTime::now()).is_ok();
        let found = found.lock().unwrap().as_ref().map(pem);
        (verified, found)
    }

    #[test]
    fn only_what_the_trusted_ca_signed_for_the_coordinator_or_its_address_is_believed() {
        let (ours, theirs) = (ca(), ca());
        let roots = || Trust::of_pem(pem(&ours.certificate).as_bytes()).unwrap();
        assert!(verify(roots(), &ours.leaf(COORDINATOR_NAME), &ours, "10.0.0.1").0);
        assert!(verify(roots(), &ours.leaf("c.example.com"), &ours, "c.example.com").0);
        assert!(!verify(roots(), &ours.leaf("d.example.com"), &ours, "c.example.com").0);
        assert!(!verify(roots(), &theirs.leaf(COORDINATOR_NAME), &theirs, "10.0.0.1").0);
    }

    #[test]
    fn a_fingerprint_stands_for_the_ca_that_is_shown() {
        let (ours, theirs) = (ca(), ca());
        let print = || Trust::Fingerprint(sha256(&ours.certificate));
        let leaf = ours.leaf(COORDINATOR_NAME);
        let expected = Some(pem(&ours.certificate));
        assert_eq!(verify(print(), &leaf, &ours, "10.0.0.1"), (true, expected));
        assert!(!verify(print(), &leaf, &theirs, "10.0.0.1").0, "the CA is not shown");
        assert!(!verify(print(), &theirs.leaf(COORDINATOR_NAME), &ours, "10.0.0.1").0, "shown by another");
    }

    #[test]
    fn text_without_a_certificate_is_refused() {
        assert!(Trust::of_pem(b"").is_err());
        assert!(Trust::of_pem(b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").is_err());
    }
}
