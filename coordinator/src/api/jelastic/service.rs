//! The gRPC service, called in this process in the name of one caller: the only way from here to a deployment.
//!
//! Flows in: messages of the contract. Flows out: their answers, or the failure with its result code. Must never call a
//! handler past the service.

use std::pin::Pin;

use redeploy_proto::v1;
use redeploy_proto::v1::operator_service_server::OperatorService;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::codes::{Code, Failed};
use crate::api::{Caller, Operator};
use crate::store::Role;

/// Deployments of one group that can be at work or halted: one, and those that wait behind it.
const OPEN_MAX: u32 = 500;

pub(super) type Updates = Pin<Box<dyn Stream<Item = Result<v1::DeploymentUpdate, Status>> + Send>>;

/// The service as one caller has it.
#[derive(Clone)]
pub(super) struct Service {
    operator: Operator,
    caller: Caller,
}

impl Service {
    pub(super) fn new(operator: Operator, caller: Caller) -> Self {
        Self { operator, caller }
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(self.caller.clone());
        request
    }

    /// A token that only looks lacks the permission; one for other environments is forbidden this one.
    fn failed(&self, status: Status) -> Failed {
        let code = if self.caller.role == Role::Viewer { Code::NoPermission } else { Code::Forbidden };
        Failed::from(status).instead(Code::Forbidden, code)
    }

    fn answer<T>(&self, done: Result<Response<T>, Status>) -> Result<T, Failed> {
        done.map(Response::into_inner).map_err(|status| self.failed(status))
    }

    /// The nodes of an environment; of all, if the name is empty.
    ///
    /// # Errors
    /// [`Code::NoEnvironment`], or another failure of the service.
    pub(super) async fn nodes(&self, env: &str) -> Result<Vec<v1::Node>, Failed> {
        let asked = v1::ListNodesRequest { env: env.to_owned(), ..v1::ListNodesRequest::default() };
        let nodes = self.answer(self.operator.list_nodes(self.request(asked)).await);
        Ok(nodes.map_err(|failed| failed.instead(Code::NotFound, Code::NoEnvironment))?.nodes)
    }

    pub(super) async fn hosts(&self) -> Result<Vec<v1::Host>, Failed> {
        let hosts = self.operator.list_hosts(self.request(v1::ListHostsRequest {})).await;
        Ok(self.answer(hosts)?.hosts)
    }

    /// Deployments, without their nodes; of all environments, if the name is empty.
    pub(super) async fn deployments(
        &self,
        env: &str,
        only_open: bool,
    ) -> Result<Vec<v1::Deployment>, Failed> {
        let asked = v1::ListDeploymentsRequest {
            env: env.to_owned(),
            only_open,
            page_size: OPEN_MAX,
            ..v1::ListDeploymentsRequest::default()
        };
        Ok(self.answer(self.operator.list_deployments(self.request(asked)).await)?.deployments)
    }

    pub(super) async fn create(&self, asked: v1::CreateDeploymentRequest) -> Result<v1::Deployment, Failed> {
        self.answer(self.operator.create_deployment(self.request(asked)).await)
    }

    pub(super) async fn deployment(&self, id: &str) -> Result<v1::Deployment, Failed> {
        let asked = v1::GetDeploymentRequest { deployment_id: id.to_owned() };
        self.answer(self.operator.get_deployment(self.request(asked)).await)
    }

    /// Ends a deployment that failed; refused if somebody has gone on with it.
    pub(super) async fn cancel_failed(&self, id: &str, comment: &str) -> Result<v1::Deployment, Failed> {
        let (deployment_id, comment) = (id.to_owned(), comment.to_owned());
        let asked = v1::DeploymentActionRequest { deployment_id, comment };
        self.answer(self.operator.cancel_failed(self.request(asked)).await)
    }

    /// The deployment as it is, then whenever it changed.
    pub(super) async fn watch(&self, id: &str) -> Result<Updates, Failed> {
        let asked = v1::WatchDeploymentRequest { deployment_id: id.to_owned() };
        self.answer(self.operator.watch_deployment(self.request(asked)).await)
    }
}
