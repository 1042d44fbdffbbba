//! The calls of `AgentService`: who calls is settled here, from the connection, before anything else.

use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::Stream;
use redeploy_proto::v1::agent_service_server::{AgentService, AgentServiceServer};
use redeploy_proto::v1::coordinator_message::Message;
use redeploy_proto::v1::{
    AgentMessage, CoordinatorMessage, EnrollRequest, EnrollResponse, RenewRequest, RenewResponse, Welcome,
};
use redeploy_proto::{MESSAGE_BYTES_MAX, PROTOCOL};
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

use super::book::Standing;
use super::event::{Event, hello};
use super::reader::Reader;
use super::registry::Registered;
use super::{Shared, enrol, stream};
use crate::bucket;
use crate::door::Caller;
use crate::ids::HostId;
use crate::moment::Moment;
use crate::store::StoreError;

/// Answers agents.
pub(super) struct Agents {
    shared: Arc<Shared>,
}

/// The service for the server, with its limits.
pub(super) fn service(shared: &Arc<Shared>) -> AgentServiceServer<Agents> {
    AgentServiceServer::new(Agents { shared: Arc::clone(shared) })
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX)
}

type Down = Pin<Box<dyn Stream<Item = Result<CoordinatorMessage, Status>> + Send>>;

#[async_trait]
impl AgentService for Agents {
    async fn enroll(&self, request: Request<EnrollRequest>) -> Result<Response<EnrollResponse>, Status> {
        let address = caller(&request).address;
        Box::pin(enrol::enrol(&self.shared, request.into_inner(), address)).await.map(Response::new)
    }

    async fn renew(&self, request: Request<RenewRequest>) -> Result<Response<RenewResponse>, Status> {
        let caller = caller(&request);
        let done = match self.host(&request).await {
            Ok(host) => enrol::renew(&self.shared, &host, request.into_inner()).await,
            Err(refused) => Err(refused),
        };
        enrol::note_renewal(&self.shared, &caller, &done).await?;
        done.map(Response::new)
    }

    type SessionStream = Down;

    async fn session(&self, request: Request<Streaming<AgentMessage>>) -> Result<Response<Down>, Status> {
        let host = self.host(&request).await?;
        let address = caller(&request).address;
        let mut up = request.into_inner();
        let settings = &self.shared.settings;
        let first = timeout(settings.patience, up.message())
            .await
            .map_err(|_| Status::deadline_exceeded("Hello did not come in time"))??
            .ok_or_else(|| Status::invalid_argument("the session ended before its Hello"))?;
        let (hello, open) = hello(first, settings.inventory_max).map_err(|error| {
            tracing::warn!(%host, %error, "an agent broke the protocol");
            Status::invalid_argument(error.to_string())
        })?;
        if hello.protocol == 0 {
            return Err(Status::failed_precondition("the agent speaks no protocol: update it"));
        }
        let Registered { number, line } = self.shared.registry.register(&host);
        // It may have been revoked after the look above and before it was registered.
        if let Err(status) = self.check(&host).await {
            self.shared.registry.forget(&host, number, status.clone());
            return Err(status);
        }
        let welcome = self.welcome(&host, hello.protocol);
        let connected = Event::Connected { host: host.clone(), session: number, address, hello, open };
        let reader = Reader { shared: Arc::clone(&self.shared), host, number, up, line: line.clone() };
        tokio::spawn(reader.run(connected));
        Ok(Response::new(Box::pin(stream::down(welcome, line))))
    }
}

impl Agents {
    /// The host behind a call, if it may speak.
    async fn host<T>(&self, request: &Request<T>) -> Result<HostId, Status> {
        let peer = caller(request).peer;
        let peer =
            peer.ok_or_else(|| Status::unauthenticated("this call needs a certificate: join first"))?;
        // Before the store is asked, so that a host that dials in a loop costs next to nothing.
        if let Err(wait) = self.shared.hellos.take(peer.host.clone(), Instant::now()) {
            tracing::debug!(host = %peer.host, "it calls too often");
            return Err(bucket::exhausted("this host calls too often", wait));
        }
        self.check(&peer.host).await?;
        Ok(peer.host)
    }

    async fn check(&self, host: &HostId) -> Result<(), Status> {
        match self.shared.book.standing(host).await.map_err(|error| unavailable(&error))? {
            Standing::Good => Ok(()),
            standing @ (Standing::Revoked | Standing::Unknown) => {
                tracing::warn!(%host, ?standing, "a host was turned away");
                Err(Status::permission_denied("this host is revoked"))
            }
        }
    }

    fn welcome(&self, host: &HostId, protocol: u32) -> CoordinatorMessage {
        let settings = &self.shared.settings;
        let welcome = Welcome {
            protocol: protocol.min(PROTOCOL),
            host_id: host.as_str().to_owned(),
            heartbeat_ms: u64::try_from(settings.heartbeat.as_millis()).unwrap_or(u64::MAX),
            inventory_max: settings.inventory_max,
            now_ms: Moment::now().0,
        };
        CoordinatorMessage { message: Some(Message::Welcome(welcome)) }
    }
}

/// Who is at the other end, as the connection knows it.
fn caller<T>(request: &Request<T>) -> Caller {
    request.extensions().get::<Caller>().cloned().unwrap_or_default()
}

/// The store fails: nothing can be said about anybody.
pub(super) fn unavailable(error: &StoreError) -> Status {
    tracing::error!(%error, "the store does not answer");
    Status::unavailable("the coordinator cannot read its store: try again later")
}

/// Ours to fix, nobody else's.
pub(super) fn internal(error: impl Display) -> Status {
    tracing::error!(%error, "a defect of the coordinator");
    Status::internal("the coordinator has a defect; its log says which")
}
