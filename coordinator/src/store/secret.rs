//! The text of a token: made here, handed over once, never stored.
//!
//! Flows in: randomness of the system. Flows out: a text to hand over, and its hash to store. Must never print itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};

use super::seal::SealError;

/// The text of a token, once, for whoever asked for it. Does not print itself.
pub struct Secret(String);

/// What is stored of a token's text.
#[must_use]
pub fn hash_of(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}

// === impl Secret ===

impl Secret {
    /// A fresh one: `prefix` and 256 random bits.
    ///
    /// # Errors
    /// [`SealError::Random`]
    pub fn generate(prefix: &str) -> Result<Self, SealError> {
        let mut bytes = [0; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| SealError::Random)?;
        Ok(Self(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// To hand it over.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// To store it.
    #[must_use]
    pub fn hash(&self) -> Vec<u8> {
        hash_of(&self.0)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
