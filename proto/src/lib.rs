//! Words that agent, coordinator and operators share: ids in their text form, and the gRPC contract.
//!
//! Flows in: text from command lines, files and wires. Flows out: types that cannot be malformed (ids), and messages
//! whose form is right (`v1`). Must never: know about Docker, disks or sockets.

mod id;
pub mod v1;

pub use id::{InvalidRedeployId, RedeployId};
