//! What operators may ask, from handlers that know no transport.
//!
//! Flows in: a caller whose token was looked up, and a request in wire form, parsed once. Flows out: answers in wire
//! form, or a [`Refusal`] that says what to do. Operators reach them over gRPC (`service`) and over HTTP as JSON (`rest`, which
//! calls that service). Every call that changes something goes into the audit log. Must never
//! let a token do what its role and environments do not allow.

mod audit;
mod auth;
mod called;
mod census;
mod create;
mod events;
mod health;
mod images;
mod inventory;
mod jelastic;
mod listen;
mod names;
mod plan;
mod problem;
mod refusal;
mod rest;
mod service;
mod show;
mod sign_in;
#[cfg(test)]
mod tests;
mod tokens;
mod web;

use std::sync::Arc;
use std::time::Duration;

use redeploy_proto::v1;

use crate::deployment::{Command, Deployment};
use crate::driver::{Driver, Link};
use crate::ids::{DeploymentId, HostId, NodeId};
use crate::moment::{Moment, Span};
use crate::store::{AuditRow, DeploymentFilter, Ledger, Sealer, Sqlite};
use crate::views::Views;

/// How long a stream outlives its token at the most, when nothing happens.
const WELCOME_AGAIN: Duration = Duration::from_secs(30);

pub use auth::{Caller, Gate};
pub use listen::{ApiListenError, ApiListening, listen};
pub use refusal::Refusal;
pub use rest::UnknownCall;
pub use service::Operator;
pub use web::Unservable;

/// What the API needs of the agents' side. As a [`Link`] it takes the questions of a plan.
pub trait Hosts: Link {
    /// A join token's text, and the hash to store.
    ///
    /// # Errors
    /// The system gives no random bytes.
    fn join_token(&self) -> Result<(String, Vec<u8>), Refusal>;

    /// Ends a host's session at once.
    fn cut(&self, host: &HostId);
}

/// The operations.
pub struct Api {
    /// Everything stored.
    pub store: Sqlite,
    /// Who changes deployments.
    pub driver: Driver,
    /// What is known and not stored.
    pub views: Arc<Views>,
    /// For registry logins.
    pub sealer: Arc<Sealer>,
    /// The agents' side.
    pub hosts: Arc<dyn Hosts>,
    /// How long a host may be silent before its node counts as unknown.
    pub grace: Span,
    /// How often one may call.
    pub gate: Gate,
}

/// Deployments in one list, unless asked otherwise, and at most.
const PAGE: u32 = 50;
const PAGE_MAX: u32 = 500;

impl Api {
    /// Notes a call that changes something, and how it came out. A call that cannot be noted has an error even if it
    /// had its effect.
    pub(crate) async fn audited<T>(
        &self,
        caller: &Caller,
        what: &str,
        target: &str,
        done: Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let row = AuditRow {
            at: Moment::now().0,
            who: caller.name.clone(),
            what: what.to_owned(),
            target: target.to_owned(),
            address: caller.address.clone(),
            result: done.as_ref().err().map_or_else(|| "ok".to_owned(), ToString::to_string),
        };
        self.store.audit(&row).await?;
        done
    }

    /// A deployment, by its id or a unique beginning or end of it.
    pub(crate) async fn find(&self, text: &str) -> Result<DeploymentId, Refusal> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        if text.len() < 4 || text.len() > 36 {
            return Err(Refusal::Invalid(format!(
                "{text:?} is not a deployment id: give the whole id, or at least four characters of its end"
            )));
        }
        match self.store.deployments_like(&text.to_ascii_lowercase()).await?.as_slice() {
            [one] => Ok(*one),
            [] => Err(Refusal::Missing(format!("there is no deployment {text:?}"))),
            [..] => {
                Err(Refusal::Invalid(format!("{text:?} stands for several deployments: give more of the id")))
            }
        }
    }

    /// A deployment that exists for a caller.
    async fn deployment_for(
        &self,
        caller: &Caller,
        text: &str,
    ) -> Result<(DeploymentId, Deployment), Refusal> {
        let id = self.find(text).await?;
        let known = self.store.load_one(id).await?.filter(|known| caller.sees(known.env.as_str()));
        let known = known.ok_or_else(|| Refusal::Missing(format!("there is no deployment {text:?}")))?;
        Ok((id, known))
    }

    /// One deployment with everything known of it.
    pub(crate) async fn get(&self, caller: &Caller, text: &str) -> Result<v1::Deployment, Refusal> {
        caller.may_look()?;
        let (_, deployment) = self.deployment_for(caller, text).await?;
        self.show(&deployment).await
    }

    /// Deployments, newest first, without their nodes.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        request: &v1::ListDeploymentsRequest,
    ) -> Result<v1::ListDeploymentsResponse, Refusal> {
        caller.may_look()?;
        let limit = if request.page_size == 0 { PAGE } else { request.page_size.min(PAGE_MAX) };
        let filter = DeploymentFilter {
            env: refusal::optional(&request.env)?,
            group: refusal::optional(&request.group)?,
            node: (request.node_id != 0).then_some(NodeId(request.node_id)),
            within: caller.envs.clone(),
            only_open: request.only_open,
            before: refusal::optional(&request.page_token)?,
            limit,
        };
        let found = self.store.deployments(&filter).await?;
        // A group whose nodes are gone still has a history.
        if found.is_empty() && filter.before.is_none() && filter.names_something() {
            self.check_names(caller, request).await?;
        }
        let last = found.last().map(|(last, _)| last.id.to_string()).unwrap_or_default();
        let is_full = found.len() == usize::try_from(limit).unwrap_or(usize::MAX);
        let deployments = found.iter().map(|(deployment, counts)| show::head(deployment, counts));
        Ok(v1::ListDeploymentsResponse {
            deployments: deployments.collect(),
            next_page_token: if is_full { last } else { String::new() },
        })
    }

    async fn check_names(
        &self,
        caller: &Caller,
        request: &v1::ListDeploymentsRequest,
    ) -> Result<(), Refusal> {
        let nodes = self.nodes_for(caller).await?;
        names::check(&nodes, &request.env, &request.group)?;
        let id = request.node_id;
        if id == 0 || nodes.iter().any(|node| node.node_id == id) {
            return Ok(());
        }
        Err(Refusal::Missing(names::missing_node(id, nodes.iter().map(|node| node.node_id))))
    }

    /// Halt, resume, retry, cancel, rollback.
    pub(crate) async fn command(
        &self,
        caller: &Caller,
        request: &v1::DeploymentActionRequest,
        what: &str,
        command: Command,
    ) -> Result<v1::Deployment, Refusal> {
        let done = self.ordered(caller, &request.deployment_id, command).await;
        let target = format!("{} {}", request.deployment_id, request.comment);
        self.audited(caller, what, target.trim(), done).await
    }

    async fn ordered(
        &self,
        caller: &Caller,
        text: &str,
        command: Command,
    ) -> Result<v1::Deployment, Refusal> {
        let (id, known) = self.deployment_for(caller, text).await?;
        caller.may_deploy(&known.env)?;
        let deployment = self.driver.order(id, command, caller.name.clone()).await?;
        self.show(&deployment).await
    }
}
