//! Whether the coordinator can work, told in plain HTTP and as the standard gRPC health service.

use std::sync::Arc;
use std::time::Duration;

use redeploy_proto::v1::operator_service_server::SERVICE_NAME;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::Api;

/// The standard service's name.
pub(super) const SERVICE: &str = "grpc.health.v1.Health";

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often it is looked at for those who watch.
const LOOK: Duration = Duration::from_secs(5);

/// Why it cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotReady {
    #[error("the store does not answer: look into the coordinator's log, and at its disk")]
    Store,
    #[error("the driver does not run: look into the coordinator's log, and start it again")]
    Driver,
}

/// Whether it can work.
///
/// # Errors
/// [`NotReady`]
pub(super) async fn ready(api: &Api) -> Result<(), NotReady> {
    if !api.driver.runs() {
        return Err(NotReady::Driver);
    }
    match tokio::time::timeout(PATIENCE, api.store.answers()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(NotReady::Store),
    }
}

/// The standard service, and what it says.
pub(super) struct Health {
    reporter: HealthReporter,
    service: HealthServer<HealthService>,
}

impl Health {
    /// Says nothing good before [`Health::keep`] has looked.
    pub(super) fn new() -> Self {
        let reporter = HealthReporter::new();
        let service = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        Self { reporter, service }
    }

    pub(super) fn service(&self) -> HealthServer<HealthService> {
        self.service.clone()
    }

    /// Looks now and then, until the port is closed.
    pub(super) async fn keep(self, api: Arc<Api>, stop: CancellationToken) {
        loop {
            let is_ready = ready(&api).await.is_ok();
            self.say(if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        self.say(ServingStatus::NotServing).await;
    }

    async fn say(&self, status: ServingStatus) {
        for service in ["", SERVICE_NAME] {
            self.reporter.set_service_status(service, status).await;
        }
    }
}
