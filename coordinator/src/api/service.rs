//! The handlers, as the gRPC service of the contract.

use std::pin::Pin;
use std::sync::Arc;

use prost::Message;
use redeploy_proto::v1;
use redeploy_proto::v1::operator_service_server::OperatorService;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::called::Called;
use super::{Api, Caller, Refusal, WELCOME_AGAIN, auth, events, tokens};
use crate::deployment::{Command, Deployment};
use crate::store::Ledger;

/// Updates that wait for a slow reader.
const UPDATES: usize = 4;

/// The service.
#[derive(Clone)]
pub struct Operator(pub Arc<Api>);

type Answer<T> = Result<Response<T>, Status>;
type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Operator {
    async fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        // A REST request was authenticated before it was read.
        if let Some(caller) = request.extensions().get::<Caller>() {
            return Ok(caller.clone());
        }
        let header = request.metadata().get("authorization").and_then(|header| header.to_str().ok());
        let what = request.extensions().get::<Called>().map_or("call", Called::word);
        Ok(self.0.authenticate(header, auth::address(request.extensions()), what).await?)
    }

    async fn command(
        &self,
        request: Request<v1::DeploymentActionRequest>,
        what: &str,
        command: impl FnOnce(&Caller) -> Command,
    ) -> Answer<v1::Deployment> {
        let caller = self.caller(&request).await?;
        let command = command(&caller);
        answer(self.0.command(&caller, request.get_ref(), what, command).await)
    }

    /// `CancelDeployment`, for a caller within this process who means only one that a failure halted: refused if that
    /// is no longer so when its turn comes.
    pub(super) async fn cancel_failed(
        &self,
        request: Request<v1::DeploymentActionRequest>,
    ) -> Answer<v1::Deployment> {
        self.command(request, "cancel", |_| Command::CancelFailed).await
    }
}

fn answer<T>(done: Result<T, Refusal>) -> Answer<T> {
    Ok(Response::new(done?))
}

#[tonic::async_trait]
impl OperatorService for Operator {
    async fn create_deployment(
        &self,
        request: Request<v1::CreateDeploymentRequest>,
    ) -> Answer<v1::Deployment> {
        let caller = self.caller(&request).await?;
        answer(self.0.create(&caller, request.get_ref()).await)
    }

    async fn get_deployment(&self, request: Request<v1::GetDeploymentRequest>) -> Answer<v1::Deployment> {
        let caller = self.caller(&request).await?;
        answer(self.0.get(&caller, &request.get_ref().deployment_id).await)
    }

    async fn list_deployments(
        &self,
        request: Request<v1::ListDeploymentsRequest>,
    ) -> Answer<v1::ListDeploymentsResponse> {
        let caller = self.caller(&request).await?;
        answer(self.0.list(&caller, request.get_ref()).await)
    }

    type WatchDeploymentStream = Streamed<v1::DeploymentUpdate>;

    async fn watch_deployment(
        &self,
        request: Request<v1::WatchDeploymentRequest>,
    ) -> Answer<Self::WatchDeploymentStream> {
        let caller = self.caller(&request).await?;
        let first = self.0.get(&caller, &request.get_ref().deployment_id).await?;
        let (sender, receiver) = mpsc::channel(UPDATES);
        tokio::spawn(watch(self.0.clone(), caller, first, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn halt_deployment(&self, request: Request<v1::DeploymentActionRequest>) -> Answer<v1::Deployment> {
        self.command(request, "halt", |caller| Command::Halt { who: caller.name.clone() }).await
    }

    async fn resume_deployment(
        &self,
        request: Request<v1::DeploymentActionRequest>,
    ) -> Answer<v1::Deployment> {
        self.command(request, "resume", |_| Command::Resume).await
    }

    async fn retry_failed(&self, request: Request<v1::DeploymentActionRequest>) -> Answer<v1::Deployment> {
        self.command(request, "retry-failed", |_| Command::RetryFailed).await
    }

    async fn cancel_deployment(
        &self,
        request: Request<v1::DeploymentActionRequest>,
    ) -> Answer<v1::Deployment> {
        self.command(request, "cancel", |_| Command::Cancel).await
    }

    async fn rollback_deployment(
        &self,
        request: Request<v1::DeploymentActionRequest>,
    ) -> Answer<v1::Deployment> {
        self.command(request, "rollback", |_| Command::Rollback).await
    }

    async fn plan_deployment(
        &self,
        request: Request<v1::CreateDeploymentRequest>,
    ) -> Answer<v1::PlanDeploymentResponse> {
        let caller = self.caller(&request).await?;
        answer(Box::pin(self.0.plan(&caller, request.get_ref())).await)
    }

    async fn revert_node(&self, request: Request<v1::RevertNodeRequest>) -> Answer<v1::Deployment> {
        let caller = self.caller(&request).await?;
        answer(self.0.revert(&caller, request.get_ref()).await)
    }

    async fn list_environments(
        &self,
        request: Request<v1::ListEnvironmentsRequest>,
    ) -> Answer<v1::ListEnvironmentsResponse> {
        let caller = self.caller(&request).await?;
        answer(self.0.list_environments(&caller).await)
    }

    async fn list_groups(&self, request: Request<v1::ListGroupsRequest>) -> Answer<v1::ListGroupsResponse> {
        let caller = self.caller(&request).await?;
        answer(self.0.list_groups(&caller, &request.get_ref().env).await)
    }

    async fn list_nodes(&self, request: Request<v1::ListNodesRequest>) -> Answer<v1::ListNodesResponse> {
        let caller = self.caller(&request).await?;
        answer(self.0.list_nodes(&caller, request.get_ref()).await)
    }

    async fn get_node(&self, request: Request<v1::GetNodeRequest>) -> Answer<v1::Node> {
        let caller = self.caller(&request).await?;
        answer(self.0.get_node(&caller, request.get_ref().node_id).await)
    }

    async fn adopt_node(&self, request: Request<v1::AdoptNodeRequest>) -> Answer<v1::Node> {
        let caller = self.caller(&request).await?;
        let asked = request.get_ref();
        let target = format!("{} on {} as {}/{}", asked.container, asked.host, asked.env, asked.group);
        let done = self.0.adopt(&caller, asked).await;
        answer(self.0.audited(&caller, "adopt node", &target, done).await)
    }

    async fn forget_node(&self, request: Request<v1::ForgetNodeRequest>) -> Answer<v1::ForgetNodeResponse> {
        let caller = self.caller(&request).await?;
        let id = request.get_ref().node_id;
        let done = self.0.forget(&caller, id).await;
        answer(self.0.audited(&caller, "forget node", &id.to_string(), done).await)
    }

    async fn list_hosts(&self, request: Request<v1::ListHostsRequest>) -> Answer<v1::ListHostsResponse> {
        let caller = self.caller(&request).await?;
        answer(self.0.list_hosts(&caller).await)
    }

    async fn get_host(&self, request: Request<v1::GetHostRequest>) -> Answer<v1::Host> {
        let caller = self.caller(&request).await?;
        answer(self.0.get_host(&caller, &request.get_ref().host).await)
    }

    async fn revoke_host(&self, request: Request<v1::RevokeHostRequest>) -> Answer<v1::Host> {
        let caller = self.caller(&request).await?;
        let v1::RevokeHostRequest { host, comment } = request.get_ref();
        let done = self.0.revoke_host(&caller, host).await;
        let target = format!("{host} {comment}");
        answer(self.0.audited(&caller, "revoke host", target.trim(), done).await)
    }

    async fn list_events(&self, request: Request<v1::ListEventsRequest>) -> Answer<v1::ListEventsResponse> {
        let caller = self.caller(&request).await?;
        answer(self.0.list_events(&caller, request.get_ref()).await)
    }

    async fn list_audit(&self, request: Request<v1::ListAuditRequest>) -> Answer<v1::ListAuditResponse> {
        let caller = self.caller(&request).await?;
        answer(self.0.list_audit(&caller, request.get_ref()).await)
    }

    type WatchEventsStream = Streamed<v1::Event>;

    async fn watch_events(
        &self,
        request: Request<v1::WatchEventsRequest>,
    ) -> Answer<Self::WatchEventsStream> {
        let caller = self.caller(&request).await?;
        let asked = self.0.events_asked(&caller, request.get_ref()).await?;
        let (sender, receiver) = mpsc::channel(UPDATES);
        tokio::spawn(events::follow(self.0.clone(), caller, asked, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn create_join_token(
        &self,
        request: Request<v1::CreateJoinTokenRequest>,
    ) -> Answer<v1::CreateJoinTokenResponse> {
        let caller = self.caller(&request).await?;
        let done = self.0.create_join_token(&caller, request.get_ref()).await;
        answer(self.0.audited(&caller, "create join token", &request.get_ref().comment, done).await)
    }

    async fn list_join_tokens(
        &self,
        request: Request<v1::ListJoinTokensRequest>,
    ) -> Answer<v1::ListJoinTokensResponse> {
        let caller = self.caller(&request).await?;
        answer(self.0.list_join_tokens(&caller).await)
    }

    async fn revoke_join_token(&self, request: Request<v1::RevokeJoinTokenRequest>) -> Answer<v1::JoinToken> {
        let caller = self.caller(&request).await?;
        let id = &request.get_ref().token_id;
        let done = self.0.revoke_join_token(&caller, id).await;
        answer(self.0.audited(&caller, "revoke join token", id, done).await)
    }

    async fn create_api_token(
        &self,
        request: Request<v1::CreateApiTokenRequest>,
    ) -> Answer<v1::CreateApiTokenResponse> {
        let caller = self.caller(&request).await?;
        let done = self.0.create_api_token(&caller, request.get_ref()).await;
        answer(self.0.audited(&caller, "create API token", &request.get_ref().name, done).await)
    }

    async fn list_api_tokens(
        &self,
        request: Request<v1::ListApiTokensRequest>,
    ) -> Answer<v1::ListApiTokensResponse> {
        let caller = self.caller(&request).await?;
        answer(self.0.list_api_tokens(&caller).await)
    }

    async fn revoke_api_token(&self, request: Request<v1::RevokeApiTokenRequest>) -> Answer<v1::ApiToken> {
        let caller = self.caller(&request).await?;
        let which = &request.get_ref().token_id;
        let done = self.0.revoke_api_token(&caller, which).await;
        answer(self.0.audited(&caller, "revoke API token", which, done).await)
    }

    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Answer<v1::ApiToken> {
        let caller = self.caller(&request).await?;
        Ok(Response::new(tokens::api_token(&caller.token)))
    }
}

fn is_final(deployment: &Deployment) -> bool {
    deployment.phase.is_end()
}

/// Sends a deployment whenever it is shown otherwise than before.
async fn watch(
    api: Arc<Api>,
    caller: Caller,
    first: v1::Deployment,
    sender: mpsc::Sender<Result<v1::DeploymentUpdate, Status>>,
) {
    let mut changes = api.views.changes();
    let id = first.deployment_id.clone();
    let mut shown: Option<Vec<u8>> = None;
    loop {
        changes.mark_unchanged();
        if let Err(refusal) = api.stays(&caller).await {
            return drop(sender.send(Err(refusal.into())).await);
        }
        let is_over = match id.parse() {
            Ok(id) => api.store.load_one(id).await.map(|found| found.is_none_or(|found| is_final(&found))),
            Err(_) => Ok(true),
        };
        let next = match (is_over, api.get(&caller, &id).await) {
            (Ok(is_over), Ok(next)) => (is_over, next),
            (Err(error), _) => return drop(sender.send(Err(Refusal::from(error).into())).await),
            (_, Err(refusal)) => return drop(sender.send(Err(refusal.into())).await),
        };
        let bytes = next.1.encode_to_vec();
        if shown.as_ref() != Some(&bytes) {
            shown = Some(bytes);
            if sender.send(Ok(v1::DeploymentUpdate { deployment: Some(next.1) })).await.is_err() {
                return;
            }
        }
        if next.0 {
            return;
        }
        tokio::select! {
            () = sender.closed() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(WELCOME_AGAIN) => {}
        }
    }
}
