//! The text with which a host joins: a secret, and the fingerprint of the CA it will find at the other end, so that
//! the agent knows the coordinator before it tells it the secret.
//!
//! `redeploy-join-1.FINGERPRINT.SECRET`, both 64 hex digits. Must never be printed but by whoever made it.

use std::fmt;
use std::str::FromStr;

const PREFIX: &str = "redeploy-join-1";

/// A join token.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// SHA-256 of the coordinator's CA certificate (DER).
    pub ca_fingerprint: [u8; 32],
    /// 256 random bits. The coordinator keeps only their hash.
    pub secret: [u8; 32],
}

/// The text is not a join token. Does not show the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a join token: it looks like redeploy-join-1.….…, 145 characters in one word; copy it whole"
)]
pub struct InvalidJoinToken;

// === impl JoinToken ===

impl JoinToken {
    /// The token as a person copies it. The only way to see the secret as text.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}.{}.{}", hex(&self.ca_fingerprint), hex(&self.secret))
    }
}

impl FromStr for JoinToken {
    type Err = InvalidJoinToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.trim().split('.').collect();
        match parts.as_slice() {
            [PREFIX, fingerprint, secret] => {
                Ok(Self { ca_fingerprint: unhex(fingerprint)?, secret: unhex(secret)? })
            }
            _ => Err(InvalidJoinToken),
        }
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinToken").field("ca", &hex(&self.ca_fingerprint)).finish_non_exhaustive()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<[u8; 32], InvalidJoinToken> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)) {
        return Err(InvalidJoinToken);
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| InvalidJoinToken)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_debug_keeps_the_secret() {
        let token = JoinToken { ca_fingerprint: [0xab; 32], secret: [0x17; 32] };
        let text = token.reveal();
        assert_eq!(text.len(), 145);
        assert_eq!(format!(" {text}\n").parse::<JoinToken>().unwrap(), token);
        assert!(!format!("{token:?}").contains("1717"));
    }

    #[test]
    fn anything_else_is_refused_without_being_shown() {
        let whole = JoinToken { ca_fingerprint: [1; 32], secret: [2; 32] }.reveal();
        let bad = [
            "",
            "x",
            "redeploy-join-1..",
            &whole[1..],
            &whole[..144],
            &whole.to_uppercase(),
            &format!("{whole}."),
        ]
        .map(str::to_owned);
        for text in bad {
            let error = text.parse::<JoinToken>().unwrap_err();
            assert!(text.is_empty() || text == "x" || !error.to_string().contains(&text));
        }
        assert!(whole.replacen('0', "é", 1).parse::<JoinToken>().is_err());
    }
}
