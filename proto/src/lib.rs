//! Words that agent and coordinator share: ids and their text forms.
//!
//! Flows in: text from command lines, files and wires. Flows out: types that cannot be malformed.
//! Must never: know about Docker, disks or sockets. The gRPC contract (`redeploy/v1/*.proto`) joins this
//! crate with the coordinator, which is its only second speaker.

mod id;

pub use id::{InvalidRedeployId, RedeployId};
