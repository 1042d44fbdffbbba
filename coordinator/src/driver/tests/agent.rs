//! A fake agent: keeps the contract (each id at most once, reports until acknowledged, refuses older generations) and
//! nothing else.

use std::collections::BTreeMap;

use redeploy_proto::RedeployId;

use super::chance::Chance;
use crate::deployment::{Digest, Ended, Failure, Report, Verdict};
use crate::driver::{Order, OrderKind};
use crate::ids::HostId;

/// One redeploy or revert in its journal.
#[derive(Debug, Clone)]
pub(super) struct Saga {
    pub(super) is_revert: bool,
    /// `None` while it runs.
    pub(super) ended: Option<Ended>,
    pub(super) acknowledged: bool,
}

#[derive(Debug)]
pub(super) struct Agent {
    pub(super) host: HostId,
    /// `None`: it holds no session.
    pub(super) session: Option<u64>,
    /// Survives crashes.
    pub(super) journal: BTreeMap<RedeployId, Saga>,
    pub(super) generation: u64,
    /// The truth: which container serves, if any.
    pub(super) is_new: bool,
    pub(super) is_stuck: bool,
    pub(super) fails_in_hundred: u64,
}

impl Agent {
    pub(super) fn running(&self) -> Option<RedeployId> {
        self.journal.iter().find(|(_, saga)| saga.ended.is_none()).map(|(id, _)| *id)
    }

    /// Not serving, or perhaps not.
    pub(super) fn is_down(&self) -> bool {
        self.running().is_some() || self.is_stuck
    }

    pub(super) fn open(&self) -> Vec<RedeployId> {
        self.journal.iter().filter(|(_, saga)| !saga.acknowledged).map(|(id, _)| *id).collect()
    }

    /// Takes an order. `Some` is answered at once; a new saga runs until `end` is called.
    pub(super) fn take(&mut self, order: &Order, chance: &mut Chance) -> Option<Report> {
        let (generation, is_revert) = match &order.kind {
            OrderKind::Preflight { .. } => return Some(self.check(chance)),
            OrderKind::Cancel => {
                if self.journal.get(&order.id).is_some_and(|saga| saga.ended.is_none()) {
                    self.finish(order.id, Ended::Badly(failure(Verdict::Undone, "cancelled")));
                }
                return self.word(order.id);
            }
            OrderKind::Redeploy { generation, image, .. } => {
                assert_eq!(image.digest, "sha256:one", "every node gets the digest of the first");
                (*generation, false)
            }
            OrderKind::Revert { generation, .. } => (*generation, true),
        };
        if self.journal.contains_key(&order.id) {
            return self.word(order.id);
        }
        assert!(generation > self.generation, "a new order with an old generation: {order:?}");
        self.generation = generation;
        assert!(self.running().is_none(), "two at once on {}: {order:?}", self.host);
        self.journal.insert(order.id, Saga { is_revert, ended: None, acknowledged: false });
        if self.is_stuck {
            self.finish(order.id, Ended::Badly(failure(Verdict::Refused, "the last one is stuck")));
        }
        self.word(order.id)
    }

    fn check(&self, chance: &mut Chance) -> Report {
        if self.fails_in_hundred > 0 && chance.in_hundred(1) {
            Report::CheckedBadly("no room".into())
        } else {
            Report::CheckedWell(Digest::Of("sha256:one".into()))
        }
    }

    pub(super) fn word(&self, id: RedeployId) -> Option<Report> {
        let saga = self.journal.get(&id)?;
        Some(saga.ended.clone().map_or(Report::AtWork, Report::Ended))
    }

    /// The running saga comes to its end.
    pub(super) fn end(&mut self, id: RedeployId, chance: &mut Chance) {
        let ended = match chance.below(100) {
            n if n >= self.fails_in_hundred => Ended::Well,
            n if n % 5 == 0 => Ended::Badly(failure(Verdict::Stuck, "the undo failed")),
            _ => Ended::Badly(failure(Verdict::Undone, "verify failed")),
        };
        self.finish(id, ended);
    }

    fn finish(&mut self, id: RedeployId, ended: Ended) {
        let Some(saga) = self.journal.get_mut(&id).filter(|saga| saga.ended.is_none()) else { return };
        match &ended {
            Ended::Well => self.is_new = !saga.is_revert,
            Ended::Badly(failure) => self.is_stuck |= failure.is_stuck(),
        }
        saga.ended = Some(ended);
    }
}

fn failure(verdict: Verdict, why: &str) -> Failure {
    Failure { verdict, why: why.into() }
}
