//! The gRPC contract, generated from `redeploy/v1/*.proto`; its words are explained there.
//!
//! Flows in: bytes of a connection. Flows out: messages whose *form* is right and nothing more: whoever takes one
//! turns it into types of their own at once, and refuses what makes no sense. Must never be used further inside.

#![allow(
    missing_docs,
    clippy::all,
    reason = "written by a machine, from documents that have their own rules"
)]

use std::fmt;

tonic::include_proto!("redeploy.v1");

/// The descriptors of the whole package, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("redeploy.v1");

// === secrets are not printed ===

/// Stands where a secret would.
const HIDDEN: &str = "…";

impl fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryLogin").field("user", &self.user).field("password", &HIDDEN).finish()
    }
}

impl fmt::Debug for EnrollRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("EnrollRequest");
        shown.field("token", &HIDDEN).field("host_name", &self.host_name);
        shown.field("agent_version", &self.agent_version).finish_non_exhaustive()
    }
}

impl fmt::Debug for CreateJoinTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateJoinTokenResponse").field("token", &HIDDEN).field("info", &self.info).finish()
    }
}

impl fmt::Debug for CreateApiTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateApiTokenResponse").field("token", &HIDDEN).field("info", &self.info).finish()
    }
}
