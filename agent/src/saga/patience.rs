//! Waiting for an engine that does not answer, because it is being started or restarted.

use std::time::Duration;

use tokio::time::Instant;

use crate::explain::explain;
use crate::steps::StepError;

/// For how long: a package upgrade restarts it within this.
const ENGINE_PATIENCE: Duration = Duration::from_secs(300);
/// Between two tries: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// For an engine that does not answer: longer each time, and not for ever.
pub(super) struct Patience {
    begun: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), pause: PAUSE_MIN }
    }

    /// Waits a while; at once no, if waiting does not help or has helped nothing for too long.
    pub(super) async fn waits(&mut self, error: &StepError, what: &str) -> bool {
        if !error.is_engine_away() || self.begun.elapsed() >= ENGINE_PATIENCE {
            return false;
        }
        tracing::warn!(error = explain(error), "{what} waits for the engine");
        tokio::time::sleep(self.pause).await;
        self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
        true
    }
}
