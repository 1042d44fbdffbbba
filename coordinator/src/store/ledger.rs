//! The narrow part of the store that the driver sees.

use async_trait::async_trait;
use redeploy_proto::RedeployId;
use serde::Serialize;

use super::StoreError;
use crate::deployment::{Counts, Deployment, NodePart};
use crate::ids::{DeploymentId, HostId, NodeId};
use crate::moment::Moment;

/// Changes that are stored together or not at all.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// When.
    pub at: Option<Moment>,
    /// Deployments that are new or changed.
    pub saved: Vec<Saved>,
    /// Orders that are about to be sent.
    pub orders: Vec<NewOrder>,
    /// Reports as they came, by the order they answer.
    pub reports: Vec<(RedeployId, Vec<u8>)>,
    /// What happened.
    pub events: Vec<NewEvent>,
    /// Deployments whose login is no longer needed.
    pub wipe: Vec<DeploymentId>,
}

/// A deployment with the nodes that changed.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Without its nodes.
    pub head: Deployment,
    /// Of all its nodes.
    pub counts: Counts,
    /// The nodes that are new or changed.
    pub parts: Vec<NodePart>,
    /// For a new one.
    pub new: Option<NewDeployment>,
}

/// What is stored with a new deployment and never again.
#[derive(Debug, Clone, Default)]
pub struct NewDeployment {
    /// The caller's key, if it gave one.
    pub idempotency: Option<Idempotency>,
    /// Its sealed registry login, if it has one.
    pub login: Option<Vec<u8>>,
}

/// A key that makes a repeated request answer the same deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// Whose key.
    pub by: String,
    /// The key.
    pub key: String,
    /// Digest of the request.
    pub request: Vec<u8>,
}

/// An order as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NewOrder {
    /// Its id.
    pub id: RedeployId,
    /// `redeploy` or `revert`.
    pub kind: &'static str,
    /// Part of.
    pub deployment: DeploymentId,
    /// For.
    pub node: NodeId,
    /// On.
    pub host: HostId,
}

/// What the store added to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredOrder {
    /// Which.
    pub id: RedeployId,
    /// Greater than that of every earlier order for the node.
    pub generation: u64,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct NewEvent {
    /// `deployment.halted`, `node.done`, …
    pub kind: String,
    /// Environment, or empty.
    pub env: String,
    /// Group, or empty.
    pub group: String,
    /// Node, or 0.
    pub node: u32,
    /// Host, or empty.
    pub host: String,
    /// Deployment, or empty.
    pub deployment: String,
    /// Order, or empty.
    pub redeploy: String,
    /// Who caused it.
    pub by: String,
    /// For people.
    pub text: String,
}

/// What the driver needs of a store.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Every deployment that is not over, or has a node whose state is not known, and the orders they gave.
    async fn load(&self) -> Result<(Vec<Deployment>, Vec<StoredOrder>), StoreError>;

    /// One deployment, whether over or not.
    async fn load_one(&self, id: DeploymentId) -> Result<Option<Deployment>, StoreError>;

    /// Stores a batch. When this returns, it survives a power cut.
    async fn commit(&self, batch: &Batch) -> Result<Vec<StoredOrder>, StoreError>;
}
