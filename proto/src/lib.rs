//! Words that agent, coordinator and operators share: ids and tokens in their text form, and the gRPC contract.
//!
//! Flows in: text from command lines, files and wires. Flows out: types that cannot be malformed (ids, tokens), and
//! messages whose form is right (`v1`); sizes and times as text (`units`). Must never: know about Docker, disks or sockets.

pub mod codec;
mod id;
mod join_token;
mod trace;
pub mod units;
pub mod v1;

pub use id::{InvalidRedeployId, RedeployId};
pub use join_token::{InvalidJoinToken, JoinToken};
pub use trace::{InvalidTraceParent, TraceParent};

/// The name in the coordinator's certificate, whatever address it is reached at. Only its CA issues it, and only to
/// the coordinator.
pub const COORDINATOR_NAME: &str = "coordinator.redeploy.internal";

/// The newest protocol these documents describe.
pub const PROTOCOL: u32 = 1;

/// The most an agent may put into one message, and the coordinator into one of its own.
pub const MESSAGE_BYTES_MAX: usize = 2 << 20;
