//! Orders of the coordinator, written down before anything is done about them: `order.json` in the redeploy's own
//! directory, next to plan and journal.
//!
//! Flows in: orders. Flows out: whether one is new, known, or older than what this host has seen. Must never hold a
//! registry login. Which redeploy is the newest of a node is a function of these files.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use redeploy_proto::{RedeployId, TraceParent};
use serde::{Deserialize, Serialize};

use crate::durable::{self, DurableError};
use crate::history;
use crate::paths::{DataDir, RedeployDir};
use crate::saga::{SagaKind, State};

/// The version of the form on disk.
const VERSION: u32 = 1;

/// An order, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The version of the form on disk that the writer knew.
    pub version: u32,
    /// Which node, by the coordinator's count.
    pub node_id: u32,
    /// Rises with every order for the node.
    pub generation: u64,
    /// The container's name.
    pub container: String,
    /// Redeploy or revert.
    pub kind: SagaKind,
    /// When it came.
    pub accepted_at: Timestamp,
    /// Where it hangs in the trace of its deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
    /// Why nothing was done; empty: that did not happen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<String>,
}

/// What an order is to this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Written down now, or before but never begun: do it.
    New,
    /// Begun or refused before: its report says how it ended, or will.
    Known,
    /// Overtaken. Not written down; whoever sends it again hears this again.
    Stale(String),
}

/// All orders of this host.
pub(super) struct Ledger {
    data: DataDir,
    newest: Mutex<HashMap<u32, (u64, RedeployId)>>,
}

impl Note {
    /// A note of an order that came now.
    #[must_use]
    pub fn new(node_id: u32, generation: u64, container: &str, kind: SagaKind) -> Self {
        let container = container.to_owned();
        let accepted_at = Timestamp::now();
        let (trace, refusals) = (None, Vec::new());
        Self { version: VERSION, node_id, generation, container, kind, accepted_at, trace, refusals }
    }

    /// The same, as part of a trace. What is no trace context is none.
    #[must_use]
    pub fn traced(self, traceparent: &str) -> Self {
        Self { trace: traceparent.parse().ok(), ..self }
    }

    /// The note in a redeploy's directory. One that cannot be read is none: then the redeploy counts as ordered here.
    #[must_use]
    pub fn read(dir: &RedeployDir) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(dir.order()).ok()?).ok()
    }
}

impl Ledger {
    /// Everything written down in this data directory.
    #[must_use]
    pub(super) fn load(data: &DataDir) -> Self {
        let mut newest = HashMap::new();
        for id in history::ids(data) {
            let Some(note) = Note::read(&data.redeploy(id)) else { continue };
            let seen = newest.entry(note.node_id).or_insert((note.generation, id));
            if note.generation > seen.0 {
                *seen = (note.generation, id);
            }
        }
        Self { data: data.clone(), newest: Mutex::new(newest) }
    }

    /// Takes an order in.
    ///
    /// # Errors
    /// [`DurableError`]: it is not written down, so nothing may be done about it.
    pub(super) fn accept(&self, id: RedeployId, note: &Note) -> Result<Standing, DurableError> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = self.data.redeploy(id);
        let known = Note::read(&dir);
        if dir.journal().exists() || known.is_some_and(|note| !note.refusals.is_empty()) {
            return Ok(Standing::Known);
        }
        if let Some((generation, of)) = newest.get(&note.node_id)
            && (*generation > note.generation || (*generation == note.generation && *of != id))
        {
            return Ok(Standing::Stale(format!(
                "the order is of generation {}, and this host has seen {of} of generation {generation} for node {}",
                note.generation, note.node_id
            )));
        }
        self.write(&dir, note)?;
        newest.insert(note.node_id, (note.generation, id));
        Ok(Standing::New)
    }

    /// The orders that were begun and have not ended. One whose journal cannot be read is counted: nobody knows better.
    #[must_use]
    pub(super) fn open(&self) -> Vec<RedeployId> {
        let is_open = |id: &RedeployId| match history::load_one(&self.data, *id) {
            Ok(entry) => entry.is_some_and(|entry| is_unended(&entry.state)),
            Err(_) => true,
        };
        let ordered = |id: &RedeployId| Note::read(&self.data.redeploy(*id)).is_some();
        history::ids(&self.data).filter(|id| ordered(id) && is_open(id)).collect()
    }

    /// Notes that nothing was done about an order, and why.
    ///
    /// # Errors
    /// [`DurableError`]
    pub(super) fn refuse(
        &self,
        id: RedeployId,
        note: &Note,
        refusals: Vec<String>,
    ) -> Result<(), DurableError> {
        self.write(&self.data.redeploy(id), &Note { refusals, ..note.clone() })
    }

    fn write(&self, dir: &RedeployDir, note: &Note) -> Result<(), DurableError> {
        durable::create_dir(dir.root())?;
        // A note is plain data; it cannot fail to become text.
        let text = serde_json::to_vec_pretty(note).unwrap_or_default();
        durable::write(&dir.order(), &text)
    }
}

/// In the middle of something. What is stuck waits for a human, and its report says so.
pub(super) fn is_unended(state: &State) -> bool {
    match state {
        State::Forward { .. } | State::Backward { .. } | State::Retiring => true,
        State::Stuck { .. } | State::Closed(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(node: u32, generation: u64) -> Note {
        Note::new(node, generation, "web", SagaKind::Redeploy)
    }

    #[test]
    fn an_order_is_new_until_it_is_begun_and_an_older_one_is_stale_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::new(dir.path());
        let (first, second) = (RedeployId::generate(), RedeployId::generate());
        let ledger = Ledger::load(&data);
        assert_eq!(ledger.accept(first, &order(1, 5)).unwrap(), Standing::New);
        assert_eq!(
            ledger.accept(first, &order(1, 5)).unwrap(),
            Standing::New,
            "never begun, so it may be sent again"
        );
        for ledger in [ledger, Ledger::load(&data)] {
            assert!(matches!(ledger.accept(second, &order(1, 5)).unwrap(), Standing::Stale(_)));
            assert!(matches!(ledger.accept(second, &order(1, 4)).unwrap(), Standing::Stale(_)));
        }
        let ledger = Ledger::load(&data);
        assert_eq!(
            ledger.accept(RedeployId::generate(), &order(2, 1)).unwrap(),
            Standing::New,
            "another node"
        );
        ledger.refuse(first, &order(1, 5), vec!["no".into()]).unwrap();
        assert_eq!(ledger.accept(first, &order(1, 5)).unwrap(), Standing::Known);
        assert_eq!(ledger.accept(second, &order(1, 6)).unwrap(), Standing::New);
    }
}
