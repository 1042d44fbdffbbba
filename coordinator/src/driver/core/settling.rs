//! Decides for every open deployment, and puts together what is to be stored.

use std::collections::BTreeSet;

use super::Core;
use super::turn::Turn;
use crate::deployment::{ErrandKind, Explanation, Fleet, settle};
use crate::driver::{Link, changes};
use crate::ids::DeploymentId;
use crate::moment::Moment;
use crate::store::{Batch, Ledger, NewOrder};

impl<S: Ledger, K: Link> Core<S, K> {
    pub(super) fn settle_all(
        &mut self,
        turn: &mut Turn,
        now: Moment,
    ) -> (Vec<(DeploymentId, Explanation)>, Option<Moment>) {
        let mut explanations = Vec::new();
        let mut wake_at: Option<Moment> = None;
        let mut fleet = Fleet { hosts: std::mem::take(&mut self.hosts), since: self.since, ahead: None };
        for id in self.ids(turn) {
            let Some(current) = self.current(turn, id) else { continue };
            fleet.ahead = self.ahead_of(turn, current);
            let mut next = current.clone();
            let settled = settle(&mut next, &fleet, now);
            explanations.push((id, settled.explanation));
            turn.errands.extend(settled.errands.into_iter().map(|errand| (id, errand)));
            wake_at = match (wake_at, settled.wake_at) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            if self.current(turn, id) != Some(&next) {
                // One that ends makes room for a queued one, which may be settled already in this turn.
                if next.phase.is_end() {
                    wake_at = Some(now);
                }
                turn.changed.insert(id, next);
            }
        }
        self.hosts = fleet.hosts;
        (explanations, wake_at)
    }

    pub(super) fn batch(&self, turn: &Turn, now: Moment) -> Batch {
        let mut batch = Batch { at: Some(now), reports: turn.reports.clone(), ..Batch::default() };
        for (id, after) in &turn.changed {
            let before = self.stored(turn, *id);
            let by = turn.by.get(id).map_or("coordinator", String::as_str);
            batch.saved.extend(changes::saved(before, after, turn.new.get(id).cloned()));
            batch.events.extend(changes::events(before, after, by));
            if after.phase.is_end() && before.is_none_or(|before| !before.phase.is_end()) {
                batch.wipe.push(*id);
            }
        }
        // Those that end come first: they make room for those that begin.
        batch.saved.sort_by_key(|saved| !saved.head.phase.is_end());
        let mut seen = BTreeSet::new();
        for (deployment, errand) in &turn.errands {
            let kind = match errand.kind {
                ErrandKind::Redeploy => "redeploy",
                ErrandKind::Revert => "revert",
                ErrandKind::Check | ErrandKind::Cancel => continue,
            };
            let host = self
                .current(turn, *deployment)
                .and_then(|d| d.nodes.get(&errand.node))
                .map(|p| p.host.clone());
            if let Some(host) = host
                && !self.generations.contains_key(&errand.id)
                && seen.insert(errand.id)
            {
                batch.orders.push(NewOrder {
                    id: errand.id,
                    kind,
                    deployment: *deployment,
                    node: errand.node,
                    host,
                });
            }
        }
        batch
    }
}

pub(super) fn is_empty(batch: &Batch) -> bool {
    batch.saved.is_empty() && batch.orders.is_empty() && batch.reports.is_empty() && batch.events.is_empty()
}
