//! Faults that tests order: every step can be repeated, failed before or after its effect, its undo repeated or
//! failed, the process stopped at any journal record, and any record lost to a full disk. They live in the executor, so a step cannot escape
//! them. Without orders nothing here does anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::steps::Step;

/// Made by [`Fault::HoldAt`] beside the journal.
pub const HOLD: &str = "test-hold";

/// One thing to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The step is applied twice in a row.
    Repeat(Step),
    /// The step fails before it does anything.
    FailBefore(Step),
    /// The step does everything and then fails.
    FailAfter(Step),
    /// Every undo is carried out twice in a row.
    RepeatUndo,
    /// The undo of this step fails after doing everything.
    FailUndo(Step),
    /// The process ends, by SIGKILL to itself, right after this journal record is durable.
    KillAt(u32),
    /// As [`Fault::KillAt`], for tests within one process: the executor returns.
    StopAt(u32),
    /// Nothing goes on after this journal record is durable until somebody removes the file [`HOLD`] beside the journal:
    /// so that a test can do something to the host at exactly this moment. Once in the life of a process.
    HoldAt(u32),
    /// This journal record cannot be written, as on a full disk.
    JournalFullAt(u32),
}

/// The faults ordered for one run; none outside tests.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    ordered: Vec<Fault>,
    /// Shared by all clones.
    has_held: Arc<AtomicBool>,
}

impl Faults {
    /// These faults.
    #[must_use]
    pub fn new(faults: impl IntoIterator<Item = Fault>) -> Self {
        Self { ordered: faults.into_iter().collect(), has_held: Arc::default() }
    }

    /// Was this one ordered?
    #[must_use]
    pub fn has(&self, fault: Fault) -> bool {
        self.ordered.contains(&fault)
    }

    /// Is it to hold still at this record? Says so once.
    pub(super) fn hold_at(&self, seq: u32) -> bool {
        self.has(Fault::HoldAt(seq)) && !self.has_held.swap(true, Ordering::SeqCst)
    }
}
