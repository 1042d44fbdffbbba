//! Tells agents and operators what is stored. Must never be reached by what is not.

use std::collections::BTreeSet;

use super::Core;
use super::turn::Turn;
use crate::deployment::{Errand, Explanation};
use crate::driver::Link;
use crate::driver::order::order;
use crate::ids::DeploymentId;
use crate::moment::Moment;
use crate::store::Ledger;
use crate::views::Views;

impl<S: Ledger, K: Link> Core<S, K> {
    /// It is stored: now it may be told.
    pub(super) fn finish(
        &mut self,
        turn: Turn,
        explanations: Vec<(DeploymentId, Explanation)>,
        now: Moment,
        views: &Views,
    ) {
        self.logins.extend(turn.logins);
        self.deployments.extend(turn.changed);
        for (host, id) in turn.acks {
            if let Some(session) = self.sessions.get(&host) {
                self.link.acknowledge(&host, *session, id);
            }
        }
        let mut said = BTreeSet::new();
        for (id, errand) in turn.errands {
            if said.insert((errand.id, errand.kind as u8)) {
                self.send(id, errand, now);
            }
        }
        views.explain(explanations);
        for (reply, id) in turn.replies {
            if let Some(deployment) = self.deployments.get(&id) {
                let _gone = reply.send(Ok(deployment.clone()));
            }
        }
        self.let_go(views);
    }

    fn send(&self, id: DeploymentId, errand: Errand, now: Moment) {
        let Some(deployment) = self.deployments.get(&id) else { return };
        let Some(part) = deployment.nodes.get(&errand.node) else { return };
        let generation = self.generations.get(&errand.id).copied().unwrap_or_default();
        if let Some(session) = self.sessions.get(&part.host) {
            let order = order(deployment, part, errand, generation, self.logins.get(&id), now);
            self.link.send(&part.host, *session, order);
        }
    }
}
