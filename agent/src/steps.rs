//! The steps, on one screen: what each does and how it is taken back.
//!
//! Flows in: a [`Plan`] that leaves no choice, and an engine. Flows out: typed outputs for the
//! journal. Must never decide: what is not in the plan is not done.
//!
//! | step      | does                                                              | undo                         |
//! |-----------|-------------------------------------------------------------------|------------------------------|
//! | create    | new container under a temporary name, compared with the plan      | remove it                    |
//! | capture   | while the old one serves: archives of paths and volumes           | drop unfinished archives     |
//! | prefill   | what was captured goes into the new container's root              | –                            |
//! | drain     | (balancer) no new sessions, those it has end or are out of time   | back in service              |
//! | stop      | restart policy of the old one to `no`, then stop it               | policy back, start it        |
//! | settle    | what changed since; `.backup` copies; archives finished           | –                            |
//! | put_data  | (revert) volumes as they were captured before the redeploy        | as they were captured now    |
//! | swap      | old one to its parked name, new one takes the name                | the reverse                  |
//! | start     | start the new one                                                 | stop it, keep its logs, volumes back as captured |
//! | verify    | running, settled, healthy, probe answered                         | –                            |
//! | admit     | (balancer) new address, ready, up by the balancer's own checks    | drained                      |

mod admit;
mod anew;
mod capture;
mod create;
mod crew;
mod drain;
mod error;
mod fresh;
mod held;
mod last_words;
mod lookout;
mod open;
mod output;
mod prefill;
mod probe;
mod put_data;
mod retire;
mod runner;
mod settle;
mod stand_in;
mod start;
mod stop;
mod swap;
mod verify;

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::saga::SagaKind;

pub use crew::Crew;
pub use error::StepError;
pub use output::{Admitted, Created, Drained, Packed, Settled, Started, StepOutput, Stopped};
pub use retire::{Tidied, dead, tidy};
pub use runner::Hands;
pub use stand_in::{awaits_parked_name, parked_by};
pub use verify::VerifyError;

/// A step's name. On disk in every journal: never renamed, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// New container under a temporary name.
    Create,
    /// Archives, while the old one serves.
    Capture,
    /// Archives into the new root.
    Prefill,
    /// The old one stops.
    Stop,
    /// What changed since.
    Settle,
    /// Volumes as captured at the redeploy (revert only).
    PutData,
    /// Names change hands.
    Swap,
    /// The new one starts.
    Start,
    /// The new one proves itself.
    Verify,
    /// The old one leaves the balancer.
    Drain,
    /// The new one serves behind the balancer.
    Admit,
}

impl Step {
    /// The word people see; the same as on disk.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Capture => "capture",
            Self::Prefill => "prefill",
            Self::Stop => "stop",
            Self::Settle => "settle",
            Self::PutData => "put_data",
            Self::Swap => "swap",
            Self::Start => "start",
            Self::Verify => "verify",
            Self::Drain => "drain",
            Self::Admit => "admit",
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// The steps of a redeploy before its commit.
pub const REDEPLOY: &[Step] = &[
    Step::Create,
    Step::Capture,
    Step::Prefill,
    Step::Stop,
    Step::Settle,
    Step::Swap,
    Step::Start,
    Step::Verify,
];

/// The steps of a revert before its commit: the parked container is the new one, so there is nothing to create or
/// fill but its dependents.
pub const REVERT: &[Step] = &[
    Step::Create,
    Step::Capture,
    Step::Prefill,
    Step::Stop,
    Step::Settle,
    Step::PutData,
    Step::Swap,
    Step::Start,
    Step::Verify,
];

/// The steps of a redeploy behind a balancer.
pub const REDEPLOY_BALANCED: &[Step] = &[
    Step::Create,
    Step::Capture,
    Step::Prefill,
    Step::Drain,
    Step::Stop,
    Step::Settle,
    Step::Swap,
    Step::Start,
    Step::Verify,
    Step::Admit,
];

/// The steps of a revert behind a balancer.
pub const REVERT_BALANCED: &[Step] = &[
    Step::Create,
    Step::Capture,
    Step::Prefill,
    Step::Drain,
    Step::Stop,
    Step::Settle,
    Step::PutData,
    Step::Swap,
    Step::Start,
    Step::Verify,
    Step::Admit,
];

/// The steps before the commit of this plan. A plan without a balancer, older ones among them, has none of its steps.
#[must_use]
pub fn steps_of_plan(plan: &Plan) -> &'static [Step] {
    match (plan.kind, plan.balancer.is_some()) {
        (kind, false) => steps_of(kind),
        (SagaKind::Redeploy, true) => REDEPLOY_BALANCED,
        (SagaKind::Revert, true) => REVERT_BALANCED,
    }
}

/// The steps before the commit of a saga of this kind, without a balancer.
#[must_use]
pub fn steps_of(kind: SagaKind) -> &'static [Step] {
    match kind {
        SagaKind::Redeploy => REDEPLOY,
        SagaKind::Revert => REVERT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balancer_adds_its_steps_and_changes_no_other() {
        for (plain, balanced) in [(REDEPLOY, REDEPLOY_BALANCED), (REVERT, REVERT_BALANCED)] {
            let others = balanced.iter().filter(|step| !matches!(step, Step::Drain | Step::Admit));
            assert_eq!(others.copied().collect::<Vec<_>>(), plain);
        }
    }
}
