//! What each step expects of the containers it works with, and how one differs from that. Pure.
//!
//! A step that is about to stop, start or rename a container expects both what is before and what is after.

use jiff::Timestamp;

use super::super::Step;
use crate::docker::{Container, ContainerEvent, RunState};
use crate::plan::{Incoming, Plan};
use crate::saga::Interference;

/// One container, and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Watched {
    /// Its full id.
    pub(super) id: String,
    /// What people call it.
    pub(super) name: String,
    /// The names it may have.
    pub(super) names: Vec<String>,
    /// What it may be doing.
    pub(super) run: Run,
    /// It may be removed: nothing that is left to do needs it.
    pub(super) may_go: bool,
}

/// What a container may be doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Run {
    /// Anything: the step in progress stops or starts it.
    Any,
    /// The run that the plan saw, undisturbed.
    Same { started_at: String },
    /// Nothing; and it has not run again since, if its last start is known.
    Stopped { started_at: Option<String> },
    /// It has never been started.
    NeverStarted,
    /// Whatever `verify` judges, but not frozen.
    Proves,
}

/// What a step expects of both containers of one plan. `incoming` is the id of the one that takes over, once known.
pub(in super::super) fn of_step(step: Step, plan: &Plan, incoming: Option<&str>) -> Vec<Watched> {
    let out = Watched {
        id: plan.outgoing.id.clone(),
        name: plan.node.clone(),
        names: outgoing_names(step, plan),
        run: outgoing_run(step, plan),
        // Its successor has everything. To go back now would serve nobody.
        may_go: matches!(step, Step::Start | Step::Verify | Step::Admit),
    };
    // From its stop on one that removes itself is held, where every question about it stays unanswered, and then gone.
    let is_held = plan.outgoing.removes_itself
        && !matches!(step, Step::Create | Step::Capture | Step::Prefill | Step::Drain);
    let out = Some(out).filter(|_| !is_held);
    let parked = match &plan.incoming {
        Incoming::New(_) => None,
        Incoming::Parked { id, .. } => Some(id.as_str()),
    };
    let into = parked.or(incoming).map(|id| Watched {
        id: id.to_owned(),
        name: plan.incoming.name_before_swap().to_owned(),
        names: incoming_names(step, plan),
        run: incoming_run(step, plan),
        // That it ended is for `verify` to say.
        may_go: plan.incoming.removes_itself() && matches!(step, Step::Start | Step::Verify | Step::Admit),
    });
    out.into_iter().chain(into).collect()
}

fn outgoing_names(step: Step, plan: &Plan) -> Vec<String> {
    let (before, after) = (plan.node.clone(), plan.outgoing.parked_name.clone());
    names(step, before, after)
}

fn incoming_names(step: Step, plan: &Plan) -> Vec<String> {
    names(step, plan.incoming.name_before_swap().to_owned(), plan.node.clone())
}

fn names(step: Step, before: String, after: String) -> Vec<String> {
    match step {
        Step::Create
        | Step::Capture
        | Step::Prefill
        | Step::Drain
        | Step::Stop
        | Step::Settle
        | Step::PutData => {
            vec![before]
        }
        Step::Swap => vec![before, after],
        Step::Start | Step::Verify | Step::Admit => vec![after],
    }
}

fn outgoing_run(step: Step, plan: &Plan) -> Run {
    let old = &plan.outgoing;
    let last_start = (!old.crash_looping).then(|| old.started_at.clone());
    match step {
        // One that loops comes and goes until `capture` stops it.
        Step::Create | Step::Capture | Step::Prefill | Step::Drain if old.crash_looping => Run::Any,
        Step::Create | Step::Capture | Step::Prefill | Step::Drain if old.alive => {
            Run::Same { started_at: old.started_at.clone() }
        }
        Step::Create | Step::Capture | Step::Prefill | Step::Drain => Run::Stopped { started_at: last_start },
        Step::Stop => Run::Any,
        Step::Settle | Step::PutData | Step::Swap | Step::Start | Step::Verify | Step::Admit => {
            Run::Stopped { started_at: last_start }
        }
    }
}

fn incoming_run(step: Step, plan: &Plan) -> Run {
    let is_parked = matches!(plan.incoming, Incoming::Parked { .. });
    match step {
        Step::Start => Run::Any,
        Step::Verify | Step::Admit if plan.outgoing.alive => Run::Proves,
        Step::Create
        | Step::Capture
        | Step::Prefill
        | Step::Stop
        | Step::Settle
        | Step::PutData
        | Step::Swap
        | Step::Drain
        | Step::Admit
        | Step::Verify => {
            if is_parked {
                Run::Stopped { started_at: None }
            } else {
                Run::NeverStarted
            }
        }
    }
}

fn is_going(seen: &Container) -> bool {
    matches!(seen.state(), RunState::Removing | RunState::Dead)
}

// === impl Watched ===

impl Watched {
    /// How what was seen differs from what is expected; `event` made us look.
    pub(super) fn differs(
        &self,
        seen: Option<&Container>,
        event: Option<&ContainerEvent>,
    ) -> Option<Interference> {
        let (found, expected) = match seen {
            None if self.may_go => return None,
            Some(seen) if self.may_go && is_going(seen) => return None,
            None => ("no longer exists".to_owned(), "to be there".to_owned()),
            Some(seen) if is_going(seen) => ("is being removed".to_owned(), "to be there".to_owned()),
            Some(seen) if !self.names.iter().any(|name| name == seen.name()) => (
                format!("was renamed to {}", seen.name()),
                format!("to be called {}", self.names.join(" or ")),
            ),
            Some(seen) => {
                let (found, expected) = self.run.differs(seen)?;
                (found.to_owned(), expected.to_owned())
            }
        };
        let told_at = event.and_then(|event| Timestamp::from_nanosecond(event.time_ns.into()).ok());
        Some(Interference {
            container: self.name.clone(),
            found,
            expected,
            event: event.map(|event| event.action.clone()),
            at: told_at.unwrap_or_else(Timestamp::now),
        })
    }
}

// === impl Run ===

impl Run {
    /// What it does, and what it should.
    fn differs(&self, seen: &Container) -> Option<(&'static str, &'static str)> {
        const ALONE: &str = "to be left alone while it is captured";
        match self {
            Self::Any => None,
            Self::Same { started_at } => match seen.state() {
                RunState::Running if seen.started_at() == started_at => None,
                RunState::Running => Some(("has been restarted", ALONE)),
                RunState::Paused => Some(("is paused", ALONE)),
                RunState::Restarting => Some(("has ended and is being restarted", ALONE)),
                RunState::Created | RunState::Removing | RunState::Exited | RunState::Dead => {
                    Some(("has stopped", ALONE))
                }
            },
            Self::Stopped { .. } if seen.is_alive() => Some(("has been started", "to stay stopped")),
            Self::Stopped { started_at } => match started_at {
                Some(started_at) if started_at != seen.started_at() => {
                    Some(("has been started and stopped again", "to stay stopped"))
                }
                Some(_) | None => None,
            },
            Self::NeverStarted if seen.is_alive() || !seen.started_at().starts_with("0001-01-01") => {
                Some(("has been started", "not to be started yet"))
            }
            Self::NeverStarted => None,
            Self::Proves if seen.state() == RunState::Paused => Some(("is paused", "to run")),
            Self::Proves => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn watched(run: Run) -> Watched {
        Watched { id: "1".into(), name: "web".into(), names: vec!["web".into()], run, may_go: false }
    }

    fn seen(name: &str, status: &str, started_at: &str) -> Container {
        Container::new(
            json!({ "Name": format!("/{name}"), "State": { "Status": status, "StartedAt": started_at } }),
        )
    }

    fn found(run: Run, status: &str, started_at: &str) -> Option<String> {
        watched(run).differs(Some(&seen("web", status, started_at)), None).map(|it| it.found)
    }

    #[test]
    fn what_is_expected_raises_nothing_and_all_else_does() {
        const NEVER: &str = "0001-01-01T00:00:00Z";
        let same = || Run::Same { started_at: "t1".into() };
        let stopped = || Run::Stopped { started_at: Some("t1".into()) };
        assert_eq!(found(same(), "running", "t1"), None);
        assert_eq!(found(same(), "running", "t2").unwrap(), "has been restarted");
        assert_eq!(found(same(), "paused", "t1").unwrap(), "is paused");
        assert_eq!(found(same(), "exited", "t1").unwrap(), "has stopped");
        assert_eq!(found(same(), "removing", "t1").unwrap(), "is being removed");
        assert_eq!(found(stopped(), "exited", "t1"), None);
        assert_eq!(found(stopped(), "running", "t2").unwrap(), "has been started");
        assert_eq!(found(stopped(), "exited", "t2").unwrap(), "has been started and stopped again");
        assert_eq!(found(Run::Stopped { started_at: None }, "exited", "t2"), None);
        assert_eq!(found(Run::NeverStarted, "created", NEVER), None);
        assert_eq!(found(Run::NeverStarted, "exited", "t1").unwrap(), "has been started");
        assert_eq!(found(Run::Proves, "exited", "t1"), None, "verify judges that");
        assert_eq!(found(Run::Proves, "paused", "t1").unwrap(), "is paused");
        assert_eq!(found(Run::Any, "paused", "t1"), None);
    }

    #[test]
    fn one_that_is_gone_or_renamed_is_told_with_the_event_and_its_time() {
        let event = ContainerEvent { container: "1".into(), action: "rename".into(), time_ns: 1_000_000_000 };
        let it = watched(Run::Any).differs(Some(&seen("other", "running", "t1")), Some(&event)).unwrap();
        assert_eq!(it.found, "was renamed to other");
        assert_eq!((it.event.as_deref(), it.at.as_second()), (Some("rename"), 1));
        assert_eq!(watched(Run::Any).differs(None, None).unwrap().found, "no longer exists");
    }
}
