//! The coordinator's part of a deployment's trace, from what is stored: one span for the deployment, one for each order.
//!
//! Flows in: batches on their way into the store. Flows out: spans, when the store has them. Must never change a batch,
//! nor make one wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use redeploy_proto::{RedeployId, TraceParent};
use redeploy_trace::{Kind, Span, Traces};

use crate::deployment::{Deployment, Failure, NodePart, NodeState, Phase};
use crate::ids::DeploymentId;
use crate::moment::Moment;
use crate::store::{Batch, Ledger, Saved, StoreError, StoredOrder};

/// A store whose changes are told as a trace.
pub(crate) struct Traced<S> {
    store: S,
    traces: Option<Arc<Traces>>,
    /// Since when agents are at work.
    began: Mutex<HashMap<RedeployId, Moment>>,
}

impl<S> Traced<S> {
    /// Without `traces` it is the store and nothing else.
    pub(crate) fn new(store: S, traces: Option<Arc<Traces>>) -> Self {
        Self { store, traces, began: Mutex::default() }
    }

    fn began(&self) -> MutexGuard<'_, HashMap<RedeployId, Moment>> {
        self.began.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<S: Ledger> Ledger for Traced<S> {
    async fn load(&self) -> Result<(Vec<Deployment>, Vec<StoredOrder>), StoreError> {
        let loaded = self.store.load().await?;
        if self.traces.is_some() {
            let parts = loaded.0.iter().flat_map(|deployment| deployment.nodes.values());
            self.began().extend(parts.filter_map(at_work));
        }
        Ok(loaded)
    }

    async fn load_one(&self, id: DeploymentId) -> Result<Option<Deployment>, StoreError> {
        self.store.load_one(id).await
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<StoredOrder>, StoreError> {
        let stored = self.store.commit(batch).await?;
        if let Some(traces) = &self.traces {
            let mut began = self.began();
            traces.tell(batch.saved.iter().flat_map(|saved| spans(saved, batch.at, &mut began)));
        }
        Ok(stored)
    }
}

/// What came to its end with this change.
fn spans(saved: &Saved, at: Option<Moment>, began: &mut HashMap<RedeployId, Moment>) -> Vec<Span> {
    let head = &saved.head;
    let whole = TraceParent::of_deployment(head.id.uuid());
    let mut spans = Vec::new();
    for part in &saved.parts {
        began.extend(at_work(part));
        spans.extend(order(whole, part, began));
    }
    // It may be taken back later, and end again.
    if let Some(ended) = head.ended_at.filter(|ended| at.is_none_or(|at| at == *ended)) {
        let is_done = matches!(head.phase, Phase::Done | Phase::RolledBack | Phase::Cancelled);
        spans.push(Span {
            at: whole,
            below: None,
            name: "deployment".into(),
            kind: Kind::Own,
            from: time(head.created_at),
            to: time(ended),
            failure: (!is_done).then(|| head.phase.word().to_owned()),
            facts: vec![
                ("redeploy.deployment", head.id.to_string()),
                ("redeploy.env", head.env.to_string()),
                ("redeploy.group", head.group.to_string()),
                ("redeploy.image", head.terms.image.clone()),
                ("redeploy.phase", head.phase.word().to_owned()),
                ("redeploy.by", head.created_by.clone()),
            ],
        });
    }
    spans
}

/// The order an agent is at work on.
fn at_work(part: &NodePart) -> Option<(RedeployId, Moment)> {
    match part.state {
        NodeState::Running { since, .. } => Some((part.redeploy_id, since)),
        NodeState::Reverting { since } => Some((part.revert_id, since)),
        NodeState::Waiting
        | NodeState::Checking { .. }
        | NodeState::Ready
        | NodeState::Refused { .. }
        | NodeState::Done { .. }
        | NodeState::Failed { .. }
        | NodeState::Unknown { .. }
        | NodeState::Reverted { .. }
        | NodeState::RevertFailed { .. } => None,
    }
}

/// The order that came to its end, if one did just now.
fn order(whole: TraceParent, part: &NodePart, began: &mut HashMap<RedeployId, Moment>) -> Option<Span> {
    let (id, name, to, failure): (_, _, _, Option<&Failure>) = match &part.state {
        NodeState::Done { at } => (part.redeploy_id, "redeploy of a node", *at, None),
        NodeState::Failed { at, failure, .. } => (part.redeploy_id, "redeploy of a node", *at, Some(failure)),
        NodeState::Reverted { at } => (part.revert_id, "revert of a node", *at, None),
        NodeState::RevertFailed { at, failure } => (part.revert_id, "revert of a node", *at, Some(failure)),
        NodeState::Waiting
        | NodeState::Checking { .. }
        | NodeState::Ready
        | NodeState::Refused { .. }
        | NodeState::Running { .. }
        | NodeState::Unknown { .. }
        | NodeState::Reverting { .. } => return None,
    };
    let from = began.remove(&id)?;
    Some(Span {
        at: whole.of_order(id.uuid()),
        below: Some(whole),
        name: name.into(),
        kind: Kind::Ordered,
        from: time(from),
        to: time(to),
        failure: failure.map(|failure| failure.why.clone()),
        facts: vec![
            ("redeploy.id", id.to_string()),
            ("redeploy.node", part.node.to_string()),
            ("redeploy.host", part.host.to_string()),
            ("redeploy.container", part.container.clone()),
            ("redeploy.image", part.image.clone()),
        ],
    })
}

fn time(moment: Moment) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(moment.0).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deployment::Verdict;
    use crate::ids::NodeId;

    fn part(state: NodeState) -> NodePart {
        NodePart {
            node: NodeId(1),
            host: "h1".parse().unwrap(),
            container: "web".into(),
            image: "web:2".into(),
            redeploy_id: RedeployId::generate(),
            revert_id: RedeployId::generate(),
            state,
        }
    }

    #[test]
    fn an_order_is_told_when_it_ends_with_its_beginning_and_only_once() {
        let whole = TraceParent::of_deployment(DeploymentId::generate().uuid());
        let mut part = part(NodeState::Running { since: Moment(1000), cancelled: false });
        let mut began: HashMap<_, _> = at_work(&part).into_iter().collect();
        assert_eq!(order(whole, &part, &mut began), None);
        let failure = Failure { verdict: Verdict::Undone, why: "no".into() };
        part.state = NodeState::Failed { at: Moment(3000), failure, passed_over: false };
        let span = order(whole, &part, &mut began).unwrap();
        assert_eq!((span.from, span.to), (time(Moment(1000)), time(Moment(3000))));
        assert_eq!((span.below, span.failure.as_deref()), (Some(whole), Some("no")));
        assert_eq!(span.at, whole.of_order(part.redeploy_id.uuid()));
        assert_eq!(order(whole, &part, &mut began), None, "it was told");
        assert!(began.is_empty());
    }
}
