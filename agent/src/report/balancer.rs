//! What became of the node at its load balancer: pure, from the journal.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::saga::{Event, Record};
use crate::steps::{Step, StepOutput};

/// What became of the node at its load balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerReport {
    /// `BACKEND/SERVER`.
    pub server: String,
    /// Was it put, or left, in service? False is also what is not known.
    pub in_service: bool,
    /// Sessions that were open when their time was over, and were cut off.
    #[serde(default)]
    pub sessions_cut: u64,
    /// Its new address, if that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

pub(super) fn report(plan: &Plan, records: &[Record]) -> Option<BalancerReport> {
    let balancer = plan.balancer.as_ref()?;
    let mut report = BalancerReport {
        server: balancer.server.to_string(),
        in_service: balancer.admitted,
        sessions_cut: 0,
        address: None,
    };
    for record in records {
        match &record.event {
            Event::Started { step: Step::Drain | Step::Admit } => report.in_service = false,
            Event::Undoing { step: Step::Admit | Step::Drain } => {
                (report.in_service, report.address) = (false, None);
            }
            Event::Undone { step: Step::Drain, .. } => report.in_service = balancer.admitted,
            Event::Done { output, .. } => match output.own() {
                StepOutput::Drained(drained) => report.sessions_cut = drained.sessions_left,
                StepOutput::Admitted(admitted) => {
                    (report.in_service, report.address) = (balancer.admitted, admitted.address);
                }
                StepOutput::Nothing
                | StepOutput::Created(_)
                | StepOutput::Packed(_)
                | StepOutput::Stopped(_)
                | StepOutput::Settled(_)
                | StepOutput::Started(_)
                | StepOutput::Crew(_) => {}
            },
            Event::Opened { .. }
            | Event::Started { .. }
            | Event::TurnedBack { .. }
            | Event::Undoing { .. }
            | Event::Undone { .. }
            | Event::Stuck { .. }
            | Event::Committed
            | Event::Resumed
            | Event::Closed { .. } => {}
        }
    }
    Some(report)
}

/// One line for people.
impl std::fmt::Display for BalancerReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = if self.in_service { "in service" } else { "OUT OF SERVICE" };
        write!(f, "{} is {state}", self.server)?;
        if let Some(address) = self.address {
            write!(f, " at {address}")?;
        }
        if self.sessions_cut > 0 {
            write!(f, "; {} open sessions were cut off at the drain deadline", self.sessions_cut)?;
        }
        Ok(())
    }
}
