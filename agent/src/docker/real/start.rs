//! Starts, which newer engines refuse at random for a container on a cluster's network and another one.

use std::time::Duration;

use tokio::time::Instant;

use super::super::transport::{segment, within};
use super::{CHANGE, EngineError, RealEngine, streams};

/// How long an engine may go on refusing.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is asked meanwhile.
const POLL: Duration = Duration::from_millis(20);

/// What the engine says then (seen on 28.5).
const MISSING_MODE: &str = "could not find a network matching network mode";

impl RealEngine {
    /// Starts the container. Engines connect its networks in an order of chance, and before each they look for the
    /// one it was created on. An attachable overlay network is known to a host only while something there uses it:
    /// with the other one first it is not there yet, and the start fails. Another try may take the other order.
    pub(super) async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        let action = format!("start container {id}");
        let name = segment(id);
        let begun = Instant::now();
        loop {
            let call = self.bollard.start_container(&name, None);
            let started = within(CHANGE, &action, async {
                call.await.map_err(|error| streams::from_bollard(&self.client, &action, error))
            });
            match started.await {
                Err(refusal) if may_pass(&refusal) && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(POLL).await;
                }
                ended => return ended,
            }
        }
    }
}

fn may_pass(error: &EngineError) -> bool {
    matches!(error, EngineError::Refused { message, .. } if message.contains(MISSING_MODE))
}
