//! Who this host is to its coordinator: key, certificate, CA, in one file that is replaced whole.
//!
//! Must never be printed.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rcgen::KeyPair;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use super::address::Address;
use crate::durable::{self, DurableError};
use crate::paths::DataDir;

const VERSION: u32 = 1;
const FILE_BYTES_MAX: u64 = 256 << 10;

/// The form on disk.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    version: u32,
    coordinator: String,
    host_id: String,
    /// PKCS#8, PEM.
    key: String,
    /// X.509, DER, base64; so is `ca`.
    certificate: String,
    ca: String,
    joined_at: Timestamp,
    issued_at: Timestamp,
    not_after: Timestamp,
}

/// A host that has joined.
#[derive(Clone)]
pub struct Identity {
    /// Where the coordinator is.
    pub coordinator: Address,
    /// Chosen by the coordinator.
    pub host_id: String,
    /// PKCS#8, PEM.
    pub key: String,
    /// X.509, DER.
    pub certificate: Vec<u8>,
    /// X.509, DER: the coordinator's CA.
    pub ca: Vec<u8>,
    /// When it joined first.
    pub joined_at: Timestamp,
    /// When the certificate was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
}

/// There is no identity to be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// This host has not joined.
    #[error(
        "this host has not joined a coordinator: `redeploy-agent join --coordinator ADDRESS --token TOKEN`"
    )]
    NotJoined,
    /// The file cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file does not hold what it should. Does not show what it holds.
    #[error("{path} is damaged ({detail}): remove it and join again", path = path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        detail: &'static str,
    },
    /// It cannot be kept.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// No key can be made.
    #[error("cannot make a key: {0}")]
    Key(String),
}

impl Identity {
    /// The identity in this data directory.
    ///
    /// # Errors
    /// [`IdentityError`]
    pub fn load(data: &DataDir) -> Result<Self, IdentityError> {
        let path = data.coordinator();
        let text = read(&path)?.ok_or(IdentityError::NotJoined)?;
        let bad = |detail| IdentityError::Damaged { path: path.clone(), detail };
        let form: Form =
            serde_json::from_str(&text).map_err(|_| bad("not in the form this version writes"))?;
        if form.version != VERSION {
            return Err(bad("of another version"));
        }
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| bad("a certificate is not base64"));
        Ok(Self {
            coordinator: form.coordinator.parse().map_err(|_| bad("the coordinator's address is none"))?,
            host_id: form.host_id,
            certificate: bytes(&form.certificate)?,
            ca: bytes(&form.ca)?,
            key: form.key,
            joined_at: form.joined_at,
            issued_at: form.issued_at,
            not_after: form.not_after,
        })
    }

    /// Keeps it, in place of the one before.
    ///
    /// # Errors
    /// [`IdentityError::Durable`]
    pub fn store(&self, data: &DataDir) -> Result<(), IdentityError> {
        let form = Form {
            version: VERSION,
            coordinator: self.coordinator.to_string(),
            host_id: self.host_id.clone(),
            key: self.key.clone(),
            certificate: STANDARD.encode(&self.certificate),
            ca: STANDARD.encode(&self.ca),
            joined_at: self.joined_at,
            issued_at: self.issued_at,
            not_after: self.not_after,
        };
        let text = serde_json::to_vec_pretty(&form).map_err(|error| IdentityError::Key(error.to_string()))?;
        Ok(durable::write(&data.coordinator(), &text)?)
    }

    /// Is it time for the next certificate? After two thirds of this one's life.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        let (from, to) = (self.issued_at.as_millisecond(), self.not_after.as_millisecond());
        now.as_millisecond() >= from + (to - from) / 3 * 2
    }

    /// How long the certificate is good for from now on; nothing if it has ended.
    #[must_use]
    pub fn remaining(&self, now: Timestamp) -> Duration {
        self.not_after.duration_since(now).try_into().unwrap_or(Duration::ZERO)
    }

    /// Certificate and key, as TLS wants them.
    pub(super) fn for_tls(&self) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), IdentityError> {
        let key = KeyPair::from_pem(&self.key).map_err(|error| IdentityError::Key(error.to_string()))?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        Ok((self.certificate.clone().into(), key))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("host_id", &self.host_id).finish_non_exhaustive()
    }
}

/// A key to join with. Kept before it is used, so that a join whose answer was lost can be repeated with the same.
///
/// # Errors
/// [`IdentityError`]
pub(super) fn joining_key(data: &DataDir) -> Result<KeyPair, IdentityError> {
    durable::create_dir(data.root())?;
    let path = data.joining();
    let made = |error: rcgen::Error| IdentityError::Key(error.to_string());
    if let Some(pem) = read(&path)? {
        // One that cannot be read was never used.
        if let Ok(key) = KeyPair::from_pem(&pem) {
            return Ok(key);
        }
    }
    let key = KeyPair::generate().map_err(made)?;
    durable::write(&path, key.serialize_pem().as_bytes())?;
    Ok(key)
}

fn read(path: &Path) -> Result<Option<String>, IdentityError> {
    let failed = |source| IdentityError::Read { path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(Some(text))
}
