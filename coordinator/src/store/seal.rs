//! Seals registry logins, so that the database alone tells nobody a password.

use std::path::{Path, PathBuf};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::durable::{self, DurableError};
use crate::ids::DeploymentId;

/// Bytes of the key.
const KEY_LEN: usize = 32;

/// Seals and opens, with the key of one file.
pub struct Sealer {
    key: LessSafeKey,
    digests: hmac::Key,
    random: SystemRandom,
}

/// Not sealed, or not opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key file cannot be read.
    #[error("cannot read the key file {path}: check that it is there and readable by this user", path = path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The key file cannot be written.
    #[error(transparent)]
    Write(#[from] DurableError),
    /// The key file is not one.
    #[error("the key file {path} does not hold {KEY_LEN} bytes: put the right one back; logins of open deployments \
             cannot be read without it", path = path.display())]
    Length {
        /// Which file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// It was sealed with another key, or for another deployment, or changed since.
    #[error(
        "a sealed login cannot be opened with the present key file: put the key file back that belongs to the store"
    )]
    Sealed,
}

impl Sealer {
    /// With the key of this file, which is made if there is none.
    ///
    /// # Errors
    /// [`SealError`]
    pub fn from_file(path: &Path) -> Result<Self, SealError> {
        let random = SystemRandom::new();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut bytes = vec![0; KEY_LEN];
                random.fill(&mut bytes).map_err(|_| SealError::Random)?;
                durable::write(path, &bytes)?;
                bytes
            }
            Err(source) => return Err(SealError::Read { path: path.to_owned(), source }),
        };
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes);
        let key = key.map_err(|_| SealError::Length { path: path.to_owned() })?;
        // A key of its own for each use.
        let digests = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"digests");
        let digests = hmac::Key::new(hmac::HMAC_SHA256, digests.as_ref());
        Ok(Self { key: LessSafeKey::new(key), digests, random })
    }

    /// A digest by which a text is known again, and which tells nobody without the key anything about it.
    #[must_use]
    pub fn digest(&self, text: &[u8]) -> Vec<u8> {
        hmac::sign(&self.digests, text).as_ref().to_vec()
    }

    /// Seals a text for one deployment: a nonce, then what ChaCha20-Poly1305 makes of it.
    ///
    /// # Errors
    /// [`SealError::Random`]
    pub fn seal(&self, of: DeploymentId, text: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| SealError::Random)?;
        let mut sealed = text.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(unique, Aad::from(of.to_string()), &mut sealed)
            .map_err(|_| SealError::Sealed)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed for this deployment.
    ///
    /// # Errors
    /// [`SealError::Sealed`]
    pub fn open(&self, of: DeploymentId, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError::Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Sealed)?;
        let mut text = rest.to_vec();
        let opened = self.key.open_in_place(nonce, Aad::from(of.to_string()), &mut text);
        let length = opened.map_err(|_| SealError::Sealed)?.len();
        text.truncate(length);
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_same_key_and_deployment_open_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal.key");
        let of = DeploymentId::generate();
        let sealed = Sealer::from_file(&path).unwrap().seal(of, b"pa55word").unwrap();
        assert!(!sealed.windows(8).any(|window| window == b"pa55word"));
        let again = Sealer::from_file(&path).unwrap();
        assert_eq!(again.open(of, &sealed).unwrap(), b"pa55word");
        assert!(again.open(DeploymentId::generate(), &sealed).is_err());
        assert!(again.open(of, &sealed[1..]).is_err());
        assert!(again.open(of, b"").is_err());
        let other = Sealer::from_file(&dir.path().join("other.key")).unwrap();
        assert!(other.open(of, &sealed).is_err());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_file_of_another_length_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seal.key");
        durable::write(&path, b"short").unwrap();
        assert!(matches!(Sealer::from_file(&path), Err(SealError::Length { .. })));
    }
}
