//! The store without a disk, for tests and the simulation. Refuses what the real one refuses.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use redeploy_proto::RedeployId;

use super::{Batch, Ledger, NewEvent, StoreError, StoredOrder};
use crate::deployment::{Deployment, Phase};
use crate::ids::{DeploymentId, NodeId};

/// Everything in memory.
#[derive(Debug, Default)]
pub struct Memory {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    deployments: BTreeMap<DeploymentId, Deployment>,
    orders: BTreeMap<RedeployId, u64>,
    generations: BTreeMap<NodeId, u64>,
    events: Vec<NewEvent>,
    commits: u64,
}

impl Memory {
    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What happened so far.
    #[must_use]
    pub fn events(&self) -> Vec<NewEvent> {
        self.with(|inner| inner.events.clone())
    }

    /// How many batches were stored.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.with(|inner| inner.commits)
    }
}

fn at_work(deployment: &Deployment) -> bool {
    !deployment.phase.is_end() && deployment.phase != Phase::Queued
}

/// Whether the driver has to hear of it again after a restart.
pub(super) fn matters(deployment: &Deployment) -> bool {
    !deployment.phase.is_end() || deployment.awaits_word()
}

#[async_trait]
impl Ledger for Memory {
    async fn load(&self) -> Result<(Vec<Deployment>, Vec<StoredOrder>), StoreError> {
        Ok(self.with(|inner| {
            let open = inner.deployments.values().filter(|d| matters(d)).cloned().collect();
            let orders =
                inner.orders.iter().map(|(id, generation)| StoredOrder { id: *id, generation: *generation });
            (open, orders.collect())
        }))
    }

    async fn load_one(&self, id: DeploymentId) -> Result<Option<Deployment>, StoreError> {
        Ok(self.with(|inner| inner.deployments.get(&id).cloned()))
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<StoredOrder>, StoreError> {
        self.with(|inner| inner.commit(batch))
    }
}

impl Inner {
    fn commit(&mut self, batch: &Batch) -> Result<Vec<StoredOrder>, StoreError> {
        let mut next = self.deployments.clone();
        for saved in &batch.saved {
            let nodes = next.remove(&saved.head.id).map(|old| old.nodes).unwrap_or_default();
            let mut whole = saved.head.clone();
            whole.nodes = nodes;
            saved.parts.iter().cloned().for_each(|part| whole.nodes.put(part));
            next.insert(whole.id, whole);
        }
        let mut busy = std::collections::BTreeSet::new();
        if !next.values().filter(|d| at_work(d)).all(|d| busy.insert((d.env.clone(), d.group.clone()))) {
            return Err(StoreError::Taken { action: "work on a group twice" });
        }
        if batch.orders.iter().any(|order| self.orders.contains_key(&order.id)) {
            return Err(StoreError::Taken { action: "store an order twice" });
        }
        self.deployments = next;
        self.events.extend(batch.events.iter().cloned());
        self.commits += 1;
        Ok(batch.orders.iter().map(|order| self.store(order.id, order.node)).collect())
    }

    fn store(&mut self, id: RedeployId, node: NodeId) -> StoredOrder {
        let generation = self.generations.entry(node).or_default();
        *generation += 1;
        self.orders.insert(id, *generation);
        StoredOrder { id, generation: *generation }
    }
}
