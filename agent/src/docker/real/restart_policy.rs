//! Changes of restart policy, which the engine can refuse for a reason that passes.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::transport::segment;
use super::{CHANGE, EngineError, RealEngine};

/// How long the engine may take to notice that a container exited.
const EXIT_NOTICED: Duration = Duration::from_secs(5);

/// How often it is asked meanwhile.
const POLL: Duration = Duration::from_millis(50);

impl RealEngine {
    /// Sets the policy. A container that exits at this very moment is still listed as running while its limits
    /// cannot be written any more: the engine then fails and takes the new policy back. One that restarts again
    /// and again has many such moments, so the engine is given the time to notice.
    pub(super) async fn update_restart_policy(&self, id: &str, policy: &Value) -> Result<(), EngineError> {
        let action = format!("set the restart policy of container {id}");
        let path = format!("/containers/{}/update", segment(id));
        let body = json!({ "RestartPolicy": policy });
        let begun = Instant::now();
        loop {
            let answer = self.client.request(&action, Method::POST, &path, Some(&body), CHANGE).await?;
            let may_pass = answer.status == StatusCode::INTERNAL_SERVER_ERROR;
            if !may_pass || begun.elapsed() >= EXIT_NOTICED {
                return answer.accepted(&action).map(drop);
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
