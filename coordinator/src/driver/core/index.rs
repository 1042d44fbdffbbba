//! Where to look when an agent speaks: which deployment and node an id belongs to, and what a host has to do with. With
//! thousands of agents nobody may search.
//!
//! Flows in: nodes as they are stored. Flows out: places to look at. What is found may be of an earlier attempt: whoever
//! looks compares ids. Must never know of less than is stored.

use std::collections::{BTreeSet, HashMap};

use redeploy_proto::RedeployId;

use crate::deployment::{Deployment, NodePart};
use crate::ids::{DeploymentId, HostId, NodeId};

/// A node of a deployment.
pub(super) type Place = (DeploymentId, NodeId);

/// The places of all ids and hosts.
#[derive(Debug, Default)]
pub(super) struct Index {
    of_id: HashMap<RedeployId, Place>,
    on_host: HashMap<HostId, BTreeSet<Place>>,
    /// Of earlier attempts too.
    ids: HashMap<DeploymentId, Vec<RedeployId>>,
}

impl Index {
    /// All of these.
    pub(super) fn of<'a>(deployments: impl Iterator<Item = &'a Deployment>) -> Self {
        let mut index = Self::default();
        for deployment in deployments {
            deployment.nodes.values().for_each(|part| index.put(deployment.id, part));
        }
        index
    }

    /// One that is new, or may have new ids.
    pub(super) fn put(&mut self, deployment: DeploymentId, part: &NodePart) {
        let place = (deployment, part.node);
        for id in [part.redeploy_id, part.revert_id] {
            if self.of_id.insert(id, place).is_none() {
                self.ids.entry(deployment).or_default().push(id);
            }
        }
        self.on_host.entry(part.host.clone()).or_default().insert(place);
    }

    /// Where an id belongs.
    pub(super) fn place_of(&self, id: RedeployId) -> Option<Place> {
        self.of_id.get(&id).copied()
    }

    /// The nodes on a host.
    pub(super) fn on(&self, host: &HostId) -> Vec<Place> {
        self.on_host.get(host).into_iter().flatten().copied().collect()
    }

    /// Forgets a deployment, and gives all ids it ever had.
    pub(super) fn forget(&mut self, deployment: &Deployment) -> Vec<RedeployId> {
        for part in deployment.nodes.values() {
            if let Some(places) = self.on_host.get_mut(&part.host) {
                places.remove(&(deployment.id, part.node));
                if places.is_empty() {
                    self.on_host.remove(&part.host);
                }
            }
        }
        let ids = self.ids.remove(&deployment.id).unwrap_or_default();
        for id in &ids {
            self.of_id.remove(id);
        }
        ids
    }
}
