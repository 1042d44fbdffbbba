//! One turn of the driver: inputs in, one batch stored, orders out. No clock and no task of its own, so that a
//! simulation can turn it.
//!
//! ```text
//!   inputs ─▶ intake, requests ─▶ Turn ─▶ settling ─▶ batch ─▶ store ─▶ telling ─▶ orders, acknowledgements, answers
//! ```

mod doubt;
mod index;
mod intake;
mod requests;
mod settling;
mod telling;
mod turn;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use redeploy_proto::RedeployId;

use self::index::Index;
use self::settling::is_empty;
use self::turn::Turn;
use super::{Input, Link, Login, Refused, SessionId};
use crate::deployment::{Deployment, Errand, HostSeen};
use crate::ids::{DeploymentId, HostId};
use crate::moment::Moment;
use crate::store::{Batch, Ledger, StoreError};
use crate::views::Views;

/// Everything the driver knows. All of it but `hosts` is also in the store.
pub struct Core<S, K> {
    ledger: Arc<S>,
    link: Arc<K>,
    deployments: BTreeMap<DeploymentId, Deployment>,
    index: Index,
    generations: HashMap<RedeployId, u64>,
    logins: HashMap<DeploymentId, Login>,
    hosts: HashMap<HostId, HostSeen>,
    sessions: HashMap<HostId, SessionId>,
    since: Moment,
    /// What was taken and not stored, because the store failed.
    again: Vec<Input>,
    /// A commit failed, so the store has to be read again before anything else.
    is_stale: bool,
    /// What is to be said again for the same reason.
    say: Vec<(DeploymentId, Errand)>,
}

impl<S: Ledger, K: Link> Core<S, K> {
    /// Goes on with what the store holds. No host is connected yet; silence counts from now. `logins` are those of
    /// the deployments that are not over.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn load(ledger: Arc<S>, link: Arc<K>, now: Moment) -> Result<Self, StoreError> {
        let (deployments, orders) = ledger.load().await?;
        Ok(Self {
            ledger,
            link,
            index: Index::of(deployments.iter()),
            deployments: deployments.into_iter().map(|deployment| (deployment.id, deployment)).collect(),
            generations: orders.into_iter().map(|order| (order.id, order.generation)).collect(),
            logins: HashMap::new(),
            hosts: HashMap::new(),
            sessions: HashMap::new(),
            since: now,
            again: Vec::new(),
            is_stale: false,
            say: Vec::new(),
        })
    }

    /// The deployments that are not over.
    pub fn open(&self) -> impl Iterator<Item = &Deployment> {
        self.deployments.values()
    }

    /// Gives back the opened login of a deployment after a restart.
    pub fn remember_login(&mut self, id: DeploymentId, login: Login) {
        self.logins.insert(id, login);
    }

    /// One turn. Gives the moment to turn again if nothing is heard before.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was sent, operators were told; everything else is taken again in the next turn.
    pub async fn take(
        &mut self,
        inputs: Vec<Input>,
        now: Moment,
        views: &Views,
    ) -> Result<Option<Moment>, Arc<StoreError>> {
        if self.is_stale {
            self.again.extend(inputs);
            return self.reload().await.map(|()| Some(now));
        }
        let mut turn = Turn { errands: std::mem::take(&mut self.say), ..Turn::default() };
        for input in std::mem::take(&mut self.again).into_iter().chain(inputs) {
            self.accept(&mut turn, input, now).await;
        }
        let (explanations, wake_at) = self.settle_all(&mut turn, now);
        let batch = self.batch(&turn, now);
        let stored = if is_empty(&batch) { Ok(Vec::new()) } else { self.ledger.commit(&batch).await };
        match stored {
            Ok(orders) => {
                self.generations.extend(orders.iter().map(|order| (order.id, order.generation)));
                self.note(&turn, &batch);
                self.finish(turn, explanations, now, views);
                Ok(wake_at)
            }
            Err(error) => {
                let error = Arc::new(error);
                for (reply, _) in turn.replies {
                    let _gone = reply.send(Err(Refused::Store(error.clone())));
                }
                self.again = turn.taken;
                self.is_stale = true;
                Err(error)
            }
        }
    }

    /// Notes where to look for what is stored now.
    fn note(&mut self, turn: &Turn, batch: &Batch) {
        for loaded in turn.loaded.values() {
            loaded.nodes.values().for_each(|part| self.index.put(loaded.id, part));
        }
        for saved in &batch.saved {
            saved.parts.iter().for_each(|part| self.index.put(saved.head.id, part));
        }
    }

    /// Whether the batch was stored is not known: what is stored counts.
    async fn reload(&mut self) -> Result<(), Arc<StoreError>> {
        let (deployments, orders) = self.ledger.load().await.map_err(Arc::new)?;
        self.index = Index::of(deployments.iter());
        self.deployments = deployments.into_iter().map(|deployment| (deployment.id, deployment)).collect();
        self.generations.extend(orders.into_iter().map(|order| (order.id, order.generation)));
        self.say_everything_again();
        self.is_stale = false;
        Ok(())
    }

    /// After a store that failed: what it holds may be more than what was sent.
    fn say_everything_again(&mut self) {
        let orders = |deployment: &Deployment| {
            let parts = deployment.nodes.keys();
            let errands: Vec<Errand> = parts.flat_map(|node| deployment.standing(*node)).collect();
            errands.into_iter().map(|errand| (deployment.id, errand)).collect::<Vec<_>>()
        };
        self.say = self.deployments.values().flat_map(orders).collect();
    }

    /// Deployments that are over need not be known any more, unless an agent's word is awaited.
    fn let_go(&mut self, views: &Views) {
        let over: Vec<DeploymentId> = self
            .deployments
            .values()
            .filter(|d| d.phase.is_end() && !d.awaits_word())
            .map(|d| d.id)
            .collect();
        for id in over {
            self.logins.remove(&id);
            if let Some(deployment) = self.deployments.remove(&id) {
                let orders = self.index.forget(&deployment);
                for order in &orders {
                    self.generations.remove(order);
                }
                views.forget(id, &orders);
            }
        }
    }
}
