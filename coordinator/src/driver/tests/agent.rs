//! A fake agent: keeps the contract (each id at most once, reports until acknowledged, refuses older generations) and
//! nothing else. It hears and says messages of the contract.

use std::collections::BTreeMap;

use redeploy_proto::v1::agent_message::Message as Up;
use redeploy_proto::v1::coordinator_message::Message as Down;
use redeploy_proto::{PROTOCOL, RedeployId, v1};

use super::chance::Chance;
use super::lines::Line;
use crate::ids::HostId;

/// What the image is, wherever it is asked for.
const DIGEST: &str = "sha256:one";

/// One redeploy or revert in its journal.
#[derive(Debug, Clone)]
pub(super) struct Saga {
    pub(super) is_revert: bool,
    /// `None` while it runs.
    pub(super) ended: Option<v1::Verdict>,
    pub(super) acknowledged: bool,
}

#[derive(Debug)]
pub(super) struct Agent {
    pub(super) host: HostId,
    /// `None`: it holds no session.
    pub(super) line: Option<Line>,
    /// Survives crashes.
    pub(super) journal: BTreeMap<RedeployId, Saga>,
    pub(super) generation: u64,
    /// The truth: which container serves, if any.
    pub(super) is_new: bool,
    pub(super) is_stuck: bool,
    /// Its host may not speak any more.
    pub(super) is_revoked: bool,
    pub(super) fails_in_hundred: u64,
}

impl Agent {
    pub(super) fn new(host: HostId, fails_in_hundred: u64) -> Self {
        Self {
            host,
            line: None,
            journal: BTreeMap::new(),
            generation: 0,
            is_new: false,
            is_stuck: false,
            is_revoked: false,
            fails_in_hundred,
        }
    }

    pub(super) fn running(&self) -> Option<RedeployId> {
        self.journal.iter().find(|(_, saga)| saga.ended.is_none()).map(|(id, _)| *id)
    }

    /// Not serving, or perhaps not.
    pub(super) fn is_down(&self) -> bool {
        self.running().is_some() || self.is_stuck
    }

    fn unacknowledged(&self) -> impl Iterator<Item = (&RedeployId, &Saga)> {
        self.journal.iter().filter(|(_, saga)| !saga.acknowledged)
    }

    /// What opens a session.
    pub(super) fn hello(&self) -> v1::AgentMessage {
        let open = self
            .unacknowledged()
            .map(|(id, saga)| v1::OpenOrder { redeploy_id: id.to_string(), has_ended: saga.ended.is_some() });
        message(Up::Hello(v1::Hello {
            protocol: PROTOCOL,
            facts: Some(v1::HostFacts::default()),
            inventory: Some(v1::Inventory::default()),
            open: open.collect(),
        }))
    }

    /// What it says once the session stands, of everything that is not acknowledged.
    pub(super) fn words(&self) -> Vec<v1::AgentMessage> {
        self.unacknowledged().map(|(id, saga)| word(*id, saga)).collect()
    }

    /// What it says of one order.
    pub(super) fn word(&self, id: RedeployId) -> Option<v1::AgentMessage> {
        self.journal.get(&id).map(|saga| word(id, saga))
    }

    /// Takes a message. `Some` is answered at once; a new saga runs until `end` is called.
    pub(super) fn take(&mut self, down: &Down, chance: &mut Chance) -> Option<v1::AgentMessage> {
        match down {
            Down::Welcome(_) => None,
            Down::Ack(ack) => {
                if let Some(saga) = self.journal.get_mut(&ack.redeploy_id.parse().unwrap()) {
                    assert!(saga.ended.is_some(), "a report was acknowledged that never came");
                    saga.acknowledged = true;
                }
                None
            }
            Down::Preflight(order) => Some(self.check(&order.redeploy_id, chance)),
            Down::Cancel(order) => {
                let id = order.redeploy_id.parse().unwrap();
                if self.running() == Some(id) {
                    self.finish(id, v1::Verdict::Undone);
                }
                self.word(id)
            }
            Down::Redeploy(order) => {
                let image = order.image.as_ref().unwrap();
                assert_eq!(image.digest, DIGEST, "every node gets the digest of the first");
                self.begin(order.redeploy_id.parse().unwrap(), order.generation, false)
            }
            Down::Revert(order) => self.begin(order.redeploy_id.parse().unwrap(), order.generation, true),
        }
    }

    fn begin(&mut self, id: RedeployId, generation: u64, is_revert: bool) -> Option<v1::AgentMessage> {
        if self.journal.contains_key(&id) {
            return self.word(id);
        }
        assert!(generation > self.generation, "a new order with an old generation: {id} on {}", self.host);
        self.generation = generation;
        assert!(self.running().is_none(), "two at once on {}: {id}", self.host);
        self.journal.insert(id, Saga { is_revert, ended: None, acknowledged: false });
        if self.is_stuck {
            self.finish(id, v1::Verdict::Refused);
        }
        self.word(id)
    }

    fn check(&self, id: &str, chance: &mut Chance) -> v1::AgentMessage {
        let is_ok = self.fails_in_hundred == 0 || !chance.in_hundred(1);
        let refusals = if is_ok { Vec::new() } else { vec!["no room".to_owned()] };
        let preflight = v1::Preflight { is_ok, refusals, digest: DIGEST.into(), ..v1::Preflight::default() };
        message(Up::Preflight(v1::PreflightResult { redeploy_id: id.to_owned(), preflight: Some(preflight) }))
    }

    /// The running saga comes to its end.
    pub(super) fn end(&mut self, id: RedeployId, chance: &mut Chance) {
        let verdict = match chance.below(100) {
            n if n >= self.fails_in_hundred => v1::Verdict::Done,
            n if n % 5 == 0 => v1::Verdict::Stuck,
            _ => v1::Verdict::Undone,
        };
        self.finish(id, verdict);
    }

    /// It is killed and started again: what it was at is undone, or past its commit done.
    pub(super) fn crash(&mut self, chance: &mut Chance) {
        if let Some(id) = self.running() {
            let verdict = if chance.in_hundred(30) { v1::Verdict::Done } else { v1::Verdict::Undone };
            self.finish(id, verdict);
        }
    }

    fn finish(&mut self, id: RedeployId, verdict: v1::Verdict) {
        let Some(saga) = self.journal.get_mut(&id).filter(|saga| saga.ended.is_none()) else { return };
        match verdict {
            v1::Verdict::Done | v1::Verdict::DoneUntidy => self.is_new = !saga.is_revert,
            v1::Verdict::Stuck => self.is_stuck = true,
            v1::Verdict::Undone | v1::Verdict::Refused | v1::Verdict::Unspecified => {}
        }
        saga.ended = Some(verdict);
    }
}

fn message(message: Up) -> v1::AgentMessage {
    v1::AgentMessage { message: Some(message) }
}

fn word(id: RedeployId, saga: &Saga) -> v1::AgentMessage {
    let redeploy_id = id.to_string();
    let Some(verdict) = saga.ended else { return message(Up::Accepted(v1::Accepted { redeploy_id })) };
    let reason = "it failed".to_owned();
    let failure = v1::Failure { reason, ..v1::Failure::default() };
    message(Up::Report(v1::Report {
        redeploy_id,
        verdict: verdict.into(),
        failure: (verdict != v1::Verdict::Done).then_some(failure),
        refusals: vec!["the last one is stuck".into(); usize::from(verdict == v1::Verdict::Refused)],
        ..v1::Report::default()
    }))
}
