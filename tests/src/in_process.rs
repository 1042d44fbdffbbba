//! The agent within the test's own process, on the real engine: for tests that order faults or look at what it
//! returns. What a user sees is [`crate::agent`]'s.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use redeploy_agent::config::Config;
use redeploy_agent::docker::{HostView, RealEngine};
use redeploy_agent::orders::Agent;
use redeploy_agent::paths::DataDir;
use redeploy_agent::plan::Request;
use redeploy_agent::progress::Nobody;
use redeploy_agent::saga::{Fault, Faults};
use tokio_util::sync::CancellationToken;

/// How long a container must run here to count as settled.
const SETTLE: Duration = Duration::from_millis(100);

/// An agent with its data in `data_dir`, the default configuration but for short waits, and these faults.
///
/// # Errors
/// The engine does not answer.
pub async fn agent(data_dir: &Path, faults: &[Fault]) -> Result<Agent> {
    let engine = RealEngine::connect("/var/run/docker.sock".as_ref(), HostView::detect()).await?;
    let mut config = Config::built_in();
    config.data_dir = data_dir.to_owned();
    config.settle_time = SETTLE;
    config.disk_headroom_bytes = 0;
    Ok(Agent {
        engine: Arc::new(engine),
        data: DataDir::new(data_dir),
        config,
        audience: Arc::new(Nobody),
        cancel: CancellationToken::new(),
        faults: Faults::new(faults.iter().copied()),
    })
}

/// The plainest redeploy of `container` to `image`.
#[must_use]
pub fn request(container: &str, image: &str) -> Request {
    Request {
        container: container.to_owned(),
        image: image.to_owned(),
        use_existing_volumes: true,
        skip_reinstall: false,
        archive_binds: false,
        verify_timeout: Duration::from_secs(20),
        probe: None,
    }
}
