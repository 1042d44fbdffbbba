//! The authority's key and certificate on disk, and what it signs.
//!
//! `ca.key` is written before `ca.crt`: a key without a certificate was never used and is made again, a certificate
//! without its key is a loss that only a human can answer.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use redeploy_proto::{COORDINATOR_NAME, JoinToken};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};

use super::{peer, sha256};
use crate::durable::{self, DurableError};
use crate::ids::HostId;

const DAY: Duration = Duration::from_secs(86_400);

/// How long the authority itself is good for.
const CA_LIFE: Duration = Duration::from_secs(20 * 365 * 86_400);

/// How long a host's certificate is good for, unless set otherwise; its agent renews it after two thirds.
pub const HOST_LIFE: Duration = Duration::from_secs(90 * 86_400);

/// Clocks differ.
const BACKDATE: Duration = DAY;

/// A signing request is a few hundred bytes.
const CSR_BYTES_MAX: usize = 8 << 10;
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    not_after: SystemTime,
    host_life: Duration,
}

/// The authority cannot be had, or does not sign.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} is damaged ({detail}): put it back from a backup, or remove ca.key and ca.crt and join every host again",
        path = path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The key of a certificate in use is gone.
    #[error(
        "{path} is missing and ca.crt is there: put it back from a backup, or remove ca.crt and join every host again",
        path = path.display())]
    KeyMissing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// The authority's own time is over, and with it that of everything it signed.
    #[error(
        "the certificate authority {path} ended at {ended}: if this machine's clock is right, remove ca.key and ca.crt and join every host again",
        path = path.display(), ended = humantime::format_rfc3339_seconds(*ended)
    )]
    Over {
        /// Its certificate.
        path: PathBuf,
        /// When.
        ended: SystemTime,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// What a stranger sent is no signing request.
    #[error("the signing request is not valid: {0}")]
    Request(String),
    /// The machine gives no randomness, or the library refused.
    #[error("cannot make a key or certificate: {0}")]
    Make(String),
}

fn made(error: &dyn std::fmt::Display) -> PkiError {
    PkiError::Make(error.to_string())
}

// === impl Authority ===

impl Authority {
    /// The authority in `dir`, made if there is none.
    ///
    /// # Errors
    /// [`PkiError`]; nothing that is there is overwritten.
    pub fn open(dir: &Path, now: SystemTime) -> Result<Self, PkiError> {
        let (key_path, certificate_path) = (dir.join("ca.key"), dir.join("ca.crt"));
        let key = read(&key_path)?;
        match (key, read(&certificate_path)?) {
            (Some(key), Some(certificate)) => {
                let authority = Self::parse(&key_path, &key, &certificate_path, &certificate)?;
                if authority.not_after <= now {
                    return Err(PkiError::Over { path: certificate_path, ended: authority.not_after });
                }
                Ok(authority)
            }
            (None, Some(_)) => Err(PkiError::KeyMissing { path: key_path }),
            (_, None) => Self::make(&key_path, &certificate_path, now),
        }
    }

    fn make(key_path: &Path, certificate_path: &Path, now: SystemTime) -> Result<Self, PkiError> {
        let key = KeyPair::generate().map_err(|error| made(&error))?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Redeploy coordinator CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = (now - BACKDATE).into();
        params.not_after = (now + CA_LIFE).into();
        params.serial_number = Some(serial()?);
        let certificate = params.self_signed(&key).map_err(|error| made(&error))?;
        durable::write(key_path, key.serialize_pem().as_bytes())?;
        durable::write(certificate_path, certificate.pem().as_bytes())?;
        let certificate = certificate.der().clone();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
            not_after: now + CA_LIFE,
            host_life: HOST_LIFE,
        })
    }

    fn parse(key_path: &Path, key: &str, certificate_path: &Path, pem: &str) -> Result<Self, PkiError> {
        let damaged = |path: &Path, detail: String| PkiError::Damaged { path: path.to_owned(), detail };
        let key = KeyPair::from_pem(key).map_err(|error| damaged(key_path, error.to_string()))?;
        let bad = |detail: String| damaged(certificate_path, detail);
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| bad(error.to_string()))?;
        let (not_after, public) =
            peer::authority_facts(&certificate).map_err(|error| bad(error.to_string()))?;
        if public != key.subject_public_key_info() {
            return Err(bad("it does not belong to ca.key".to_owned()));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| bad(error.to_string()))?;
        Ok(Self { issuer, certificate, not_after, host_life: HOST_LIFE })
    }

    /// The authority's certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// When the authority ends.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// How long a host's certificate is good for.
    #[must_use]
    pub fn host_life(&self) -> Duration {
        self.host_life
    }

    /// The same authority, which from now on signs for so long.
    #[must_use]
    pub fn signing_for(self, host_life: Duration) -> Self {
        Self { host_life, ..self }
    }

    /// A fresh join token; what is kept of it is [`sha256`] of its secret.
    ///
    /// # Errors
    /// [`PkiError::Make`]
    pub fn join_token(&self) -> Result<JoinToken, PkiError> {
        Ok(JoinToken { ca_fingerprint: sha256(&self.certificate), secret: random()? })
    }

    /// When a host's certificate ends that is issued now.
    #[must_use]
    pub fn host_not_after(&self, now: SystemTime) -> SystemTime {
        self.not_after.min(now + self.host_life)
    }

    /// Signs a host's key, answers X.509 in DER. Names, uses and life are ours; of the request only the public key is taken.
    ///
    /// # Errors
    /// [`PkiError::Request`] when the request is none, [`PkiError::Make`]
    pub fn issue(&self, csr: &[u8], host: &HostId, now: SystemTime) -> Result<Vec<u8>, PkiError> {
        let request = parse_request(csr)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, host.as_str());
        let uri = peer::uri(host).try_into().map_err(|error| made(&error))?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = (now - BACKDATE).into();
        params.not_after = self.host_not_after(now).into();
        params.serial_number = Some(serial()?);
        let certificate =
            params.signed_by(&request.public_key, &self.issuer).map_err(|error| made(&error))?;
        Ok(certificate.der().to_vec())
    }

    /// A certificate for one of the coordinator's ports, with a key that is kept nowhere.
    pub(super) fn own_certificate(
        &self,
        now: SystemTime,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), PkiError> {
        let key = KeyPair::generate().map_err(|error| made(&error))?;
        let mut params =
            CertificateParams::new([COORDINATOR_NAME.to_owned()]).map_err(|error| made(&error))?;
        params.distinguished_name.push(DnType::CommonName, COORDINATOR_NAME);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // RFC 5280, 4.2.1.1: strict clients, such as Python from 3.13 on, refuse a certificate without.
        params.use_authority_key_identifier_extension = true;
        params.not_before = (now - BACKDATE).into();
        params.not_after = self.not_after.into();
        params.serial_number = Some(serial()?);
        let certificate = params.signed_by(&key, &self.issuer).map_err(|error| made(&error))?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Ok((certificate.der().clone(), key))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

/// SHA-256 of the public key a request asks to have signed.
///
/// # Errors
/// [`PkiError::Request`]
pub fn key_hash(csr: &[u8]) -> Result<[u8; 32], PkiError> {
    Ok(sha256(&parse_request(csr)?.public_key.subject_public_key_info()))
}

/// The request, with its own signature checked: whoever sent it holds the key.
fn parse_request(csr: &[u8]) -> Result<CertificateSigningRequestParams, PkiError> {
    if csr.len() > CSR_BYTES_MAX {
        return Err(PkiError::Request("it is larger than 8 KiB".to_owned()));
    }
    let csr = CertificateSigningRequestDer::from(csr);
    CertificateSigningRequestParams::from_der(&csr).map_err(|error| PkiError::Request(error.to_string()))
}

fn serial() -> Result<SerialNumber, PkiError> {
    let mut bytes: [u8; 32] = random()?;
    // A positive number of at most 20 bytes (RFC 5280, 4.1.2.2) that is not shortened by leading zeros.
    bytes[0] = (bytes[0] & 0x7f) | 0x40;
    Ok(SerialNumber::from_slice(&bytes[..16]))
}

fn random() -> Result<[u8; 32], PkiError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| PkiError::Make("no randomness".to_owned()))?;
    Ok(bytes)
}

fn read(path: &Path) -> Result<Option<String>, PkiError> {
    let failed = |source| PkiError::Read { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(Some(text))
}
