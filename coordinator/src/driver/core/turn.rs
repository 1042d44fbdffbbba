//! What one turn has changed so far, on top of what is stored.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use redeploy_proto::RedeployId;

use super::Core;
use crate::deployment::{Deployment, Errand};
use crate::driver::{Input, Link, Login, Refused};
use crate::ids::{DeploymentId, HostId};
use crate::store::{Ledger, NewDeployment};

/// Waits for an answer: whether it worked is known when the batch is stored.
pub(super) type Reply = (tokio::sync::oneshot::Sender<Result<Deployment, Refused>>, DeploymentId);

/// What one turn does, until it is stored.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) changed: BTreeMap<DeploymentId, Deployment>,
    /// Those that were over and not known any more, as the store has them.
    pub(super) loaded: HashMap<DeploymentId, Deployment>,
    pub(super) new: HashMap<DeploymentId, NewDeployment>,
    pub(super) logins: HashMap<DeploymentId, Login>,
    pub(super) errands: Vec<(DeploymentId, Errand)>,
    pub(super) reports: Vec<(RedeployId, Vec<u8>)>,
    pub(super) acks: Vec<(HostId, RedeployId)>,
    pub(super) replies: Vec<Reply>,
    /// Who ordered something, by what it is about.
    pub(super) by: HashMap<DeploymentId, String>,
    /// Inputs to take again should the store fail.
    pub(super) taken: Vec<Input>,
}

impl<S: Ledger, K: Link> Core<S, K> {
    /// The deployment as this turn has it so far.
    pub(super) fn current<'a>(&'a self, turn: &'a Turn, id: DeploymentId) -> Option<&'a Deployment> {
        turn.changed.get(&id).or_else(|| self.deployments.get(&id))
    }

    /// The deployment as it is stored.
    pub(super) fn stored<'a>(&'a self, turn: &'a Turn, id: DeploymentId) -> Option<&'a Deployment> {
        self.deployments.get(&id).or_else(|| turn.loaded.get(&id))
    }

    /// The deployment, to change it in this turn.
    pub(super) fn change<'a>(&self, turn: &'a mut Turn, id: DeploymentId) -> Option<&'a mut Deployment> {
        if let Entry::Vacant(vacant) = turn.changed.entry(id) {
            vacant.insert(self.deployments.get(&id)?.clone());
        }
        turn.changed.get_mut(&id)
    }

    /// All that are not over, and those that this turn brings back.
    pub(super) fn ids(&self, turn: &Turn) -> BTreeSet<DeploymentId> {
        self.deployments.keys().chain(turn.changed.keys()).copied().collect()
    }
}
