//! The saga: a list of steps carried out one by one, each journaled before and after, undone right to left
//! until the commit.
//!
//! Flows in: a list of steps and somebody who can apply and undo them ([`Work`]). Flows out: a journal and an
//! [`Outcome`]. Must never know what a step does: that is `steps`.
//!
//! ```text
//! journal ─▶ state (replay, pure) ─▶ executor ─▶ Work::apply / Work::undo
//!    ▲                                  │
//!    └──── a record before and after ◀──┘
//! ```

mod executor;
mod fault;
mod journal;
mod patience;
mod record;
mod state;
mod undid;

pub use executor::{ExecutorError, Saga, Work, state_of};
pub use fault::{Fault, Faults, WAIT};
pub use journal::{Journal, JournalError, parse as parse_journal, read_journal};
pub use record::{Event, Interference, JOURNAL_VERSION, Outcome, Reason, Record, SagaKind};
pub use state::{IllegalTransition, State};
pub use undid::{Undid, add_note};
