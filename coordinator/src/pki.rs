//! The coordinator's own certificate authority: made at its first start, it issues certificates to agents and to the
//! coordinator itself, and is the only one either of them trusts.
//!
//! Flows in: a directory, signing requests of strangers. Flows out: certificates, TLS settings, the identity behind a
//! connection. Must never take anything but the public key from a signing request, and never let its key out.

mod authority;
mod peer;
mod telling;
#[cfg(test)]
mod tests;
mod tls;

pub use authority::{Authority, HOST_LIFE, PkiError, key_hash};
pub use peer::{InvalidPeer, Peer, peer_of};
pub use tls::{api_server_config, server_config};

use ring::digest::{SHA256, digest};

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest(&SHA256, bytes).as_ref());
    sum
}
