//! Where a saga stands: a pure function of its journal.
//!
//! ```text
//!          Started ▸ Done, once per step (1)               Committed
//!  Forward ───────────────────────────────────▶ Forward ───────────────▶ Retiring ──Closed──▶ Closed
//!     │ TurnedBack                                 │ TurnedBack             (forward only)
//!     ▼                                            ▼
//!  Backward ── Undoing ▸ Undone, right to left ──▶ Backward(nothing left) ──Closed──▶ Closed
//!     │ Stuck      ▲
//!     ▼            │ Resumed
//!  Stuck ──────────┘
//! ```
//!
//! A failure before `Committed` goes back. So does an interruption before `Started` of the step `start`. From then on
//! the new container may have served, for as long as nobody looked, so an interruption goes forward: (1) `Started` of
//! `start` may come again. After `Committed` everything goes forward. A pair of state and record that is not in this
//! picture is an error, never a guess.

use super::record::{Event, Outcome, Reason};
use crate::steps::Step;

/// Where a saga stands. `at` counts into the saga's list of steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The journal has been opened or not even that; steps before `at` are done.
    Forward {
        /// The step in progress, or the next one.
        at: usize,
        /// Has step `at` begun?
        begun: bool,
    },
    /// Steps before `left` are still to be undone, the last of them first.
    Backward {
        /// How many are left.
        left: usize,
        /// Has the undo of the last of them begun?
        begun: bool,
        /// Why we go back.
        reason: Reason,
    },
    /// An undo failed; it is tried again when somebody orders it.
    Stuck {
        /// How many steps are left to undo.
        left: usize,
        /// Why we went back in the first place.
        reason: Reason,
        /// What the undo said.
        error: String,
    },
    /// Committed; tidying up is in progress or next.
    Retiring,
    /// Nothing is left to do.
    Closed(Outcome),
}

/// A record that cannot follow the ones before it: the journal was damaged or written by another program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a journal record does not fit the ones before it: {event} while {state}")]
pub struct IllegalTransition {
    state: String,
    event: String,
}

impl State {
    /// Before the first record.
    #[must_use]
    pub fn start() -> Self {
        Self::Forward { at: 0, begun: false }
    }

    /// The state after one more record. `steps` are those before the commit, in order.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the record cannot follow.
    pub fn after(self, event: &Event, steps: &[Step]) -> Result<Self, IllegalTransition> {
        let is = |at: usize, step: &Step| steps.get(at) == Some(step);
        let is_last = |left: usize, step: &Step| left.checked_sub(1).is_some_and(|at| is(at, step));
        let next = match (&self, event) {
            (Self::Forward { at: 0, begun: false }, Event::Opened { .. }) => self.clone(),
            (Self::Forward { at, begun: false }, Event::Started { step }) if is(*at, step) => {
                Self::Forward { at: *at, begun: true }
            }
            (Self::Forward { .. }, Event::Started { step }) if self.goes_on_with(steps) == Some(*step) => {
                Self::Forward { at: steps.iter().position(|it| it == step).unwrap_or_default(), begun: true }
            }
            (Self::Forward { at, begun: true }, Event::Done { step, .. }) if is(*at, step) => {
                Self::Forward { at: at + 1, begun: false }
            }
            (Self::Forward { at, begun }, Event::TurnedBack { reason }) => {
                Self::Backward { left: at + usize::from(*begun), begun: false, reason: reason.clone() }
            }
            (Self::Forward { at, begun: false }, Event::Committed) if *at == steps.len() => Self::Retiring,

            // An undo that was interrupted begins again: undoing twice is undoing once.
            (Self::Backward { left, reason, .. }, Event::Undoing { step }) if is_last(*left, step) => {
                Self::Backward { left: *left, begun: true, reason: reason.clone() }
            }
            (Self::Backward { left, begun: true, reason }, Event::Undone { step, .. })
                if is_last(*left, step) =>
            {
                Self::Backward { left: left - 1, begun: false, reason: reason.clone() }
            }
            (Self::Backward { left, begun: true, reason }, Event::Stuck { step, error })
                if is_last(*left, step) =>
            {
                Self::Stuck { left: *left, reason: reason.clone(), error: error.clone() }
            }
            (Self::Backward { left: 0, .. }, Event::Closed { outcome: Outcome::Undone }) => {
                Self::Closed(Outcome::Undone)
            }
            (Self::Stuck { left, reason, .. }, Event::Resumed) => {
                Self::Backward { left: *left, begun: false, reason: reason.clone() }
            }

            (Self::Retiring, Event::Closed { outcome: outcome @ (Outcome::Done | Outcome::DoneUntidy) }) => {
                Self::Closed(*outcome)
            }
            (Self::Closed(Outcome::DoneUntidy), Event::Resumed) => Self::Retiring,
            (Self::Forward { .. } | Self::Backward { .. } | Self::Retiring, Event::Resumed) => self.clone(),

            (
                Self::Forward { .. }
                | Self::Backward { .. }
                | Self::Stuck { .. }
                | Self::Retiring
                | Self::Closed(_),
                Event::Opened { .. }
                | Event::Started { .. }
                | Event::Done { .. }
                | Event::TurnedBack { .. }
                | Event::Undoing { .. }
                | Event::Undone { .. }
                | Event::Stuck { .. }
                | Event::Committed
                | Event::Resumed
                | Event::Closed { .. },
            ) => {
                return Err(IllegalTransition { state: format!("{self:?}"), event: format!("{event:?}") });
            }
        };
        Ok(next)
    }

    /// The step with which a saga that is interrupted here goes on, if it goes forward: from the begin of `start` on
    /// the new container may have served, and what it has taken in must not be taken back for no fault of its own.
    #[must_use]
    pub fn goes_on_with(&self, steps: &[Step]) -> Option<Step> {
        let start = steps.iter().position(|step| *step == Step::Start)?;
        match self {
            Self::Forward { at, begun } => (*at > start || (*at == start && *begun)).then_some(Step::Start),
            Self::Backward { .. } | Self::Stuck { .. } | Self::Retiring | Self::Closed(_) => None,
        }
    }

    /// Is anything left to do, by whoever may do it?
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self {
            Self::Forward { .. } | Self::Backward { .. } | Self::Stuck { .. } | Self::Retiring => true,
            Self::Closed(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saga::record::{JOURNAL_VERSION, SagaKind};
    use crate::steps::StepOutput;
    use redeploy_proto::RedeployId;

    const STEPS: &[Step] = &[Step::Create, Step::Stop];
    /// With the step from which on an interruption goes forward.
    const SERVING: &[Step] = &[Step::Stop, Step::Start, Step::Verify];

    fn opened() -> Event {
        let id: RedeployId = "0193a1b2-7c00-7000-8000-0123456789ab".parse().unwrap();
        Event::Opened { version: JOURNAL_VERSION, id, kind: SagaKind::Redeploy }
    }

    fn failed() -> Reason {
        Reason::Failed { step: Step::Stop, error: "no".into(), interference: None }
    }

    fn events() -> Vec<Event> {
        let mut events = vec![opened(), Event::Committed, Event::Resumed];
        for step in [Step::Create, Step::Stop] {
            events.push(Event::Started { step });
            events.push(Event::Done { step, output: StepOutput::Nothing });
            events.push(Event::Undoing { step });
            events.push(Event::Undone { step, serving_since: None, note: None, notes: vec![] });
            events.push(Event::Stuck { step, error: "e".into() });
        }
        for reason in [failed(), Reason::Interrupted, Reason::Cancelled] {
            events.push(Event::TurnedBack { reason });
        }
        for outcome in [Outcome::Done, Outcome::DoneUntidy, Outcome::Undone] {
            events.push(Event::Closed { outcome });
        }
        events
    }

    fn states() -> Vec<State> {
        let mut states = vec![State::Retiring];
        for at in 0..=2 {
            for begun in [false, true] {
                states.push(State::Forward { at, begun });
                states.push(State::Backward { left: at, begun, reason: failed() });
            }
            states.push(State::Stuck { left: at, reason: failed(), error: "e".into() });
        }
        states.extend([Outcome::Done, Outcome::DoneUntidy, Outcome::Undone].map(State::Closed));
        states
    }

    /// Every legal pair, written out; all other pairs of the product must be errors.
    fn legal(state: &State, event: &Event) -> Option<State> {
        let back = |left, begun| State::Backward { left, begun, reason: failed() };
        let forward = |at, begun| State::Forward { at, begun };
        let table: Vec<(State, Event, State)> = vec![
            (forward(0, false), opened(), forward(0, false)),
            (forward(0, false), Event::Started { step: Step::Create }, forward(0, true)),
            (forward(1, false), Event::Started { step: Step::Stop }, forward(1, true)),
            (
                forward(0, true),
                Event::Done { step: Step::Create, output: StepOutput::Nothing },
                forward(1, false),
            ),
            (
                forward(1, true),
                Event::Done { step: Step::Stop, output: StepOutput::Nothing },
                forward(2, false),
            ),
            (forward(2, false), Event::Committed, State::Retiring),
            (back(1, false), Event::Undoing { step: Step::Create }, back(1, true)),
            (back(1, true), Event::Undoing { step: Step::Create }, back(1, true)),
            (back(2, false), Event::Undoing { step: Step::Stop }, back(2, true)),
            (back(2, true), Event::Undoing { step: Step::Stop }, back(2, true)),
            (
                back(1, true),
                Event::Undone { step: Step::Create, serving_since: None, note: None, notes: vec![] },
                back(0, false),
            ),
            (
                back(2, true),
                Event::Undone { step: Step::Stop, serving_since: None, note: None, notes: vec![] },
                back(1, false),
            ),
            (
                back(1, true),
                Event::Stuck { step: Step::Create, error: "e".into() },
                State::Stuck { left: 1, reason: failed(), error: "e".into() },
            ),
            (
                back(2, true),
                Event::Stuck { step: Step::Stop, error: "e".into() },
                State::Stuck { left: 2, reason: failed(), error: "e".into() },
            ),
            (back(0, false), Event::Closed { outcome: Outcome::Undone }, State::Closed(Outcome::Undone)),
            (back(0, true), Event::Closed { outcome: Outcome::Undone }, State::Closed(Outcome::Undone)),
            (State::Retiring, Event::Closed { outcome: Outcome::Done }, State::Closed(Outcome::Done)),
            (
                State::Retiring,
                Event::Closed { outcome: Outcome::DoneUntidy },
                State::Closed(Outcome::DoneUntidy),
            ),
            (State::Closed(Outcome::DoneUntidy), Event::Resumed, State::Retiring),
        ];
        if let Some((_, _, next)) = table.iter().find(|(from, by, _)| from == state && by == event) {
            return Some(next.clone());
        }
        match (state, event) {
            (State::Forward { at, begun }, Event::TurnedBack { reason }) => {
                let left = at + usize::from(*begun);
                Some(State::Backward { left, begun: false, reason: reason.clone() })
            }
            (State::Stuck { left, .. }, Event::Resumed) => Some(back(*left, false)),
            (State::Closed(_), Event::Resumed) => None,
            (_, Event::Resumed) => Some(state.clone()),
            _ => None,
        }
    }

    #[test]
    fn exactly_the_legal_transitions_are_taken() {
        let mut taken = 0;
        for state in states() {
            for event in events() {
                let next = state.clone().after(&event, STEPS).ok();
                assert_eq!(next, legal(&state, &event), "{state:?} after {event:?}");
                taken += usize::from(next.is_some());
            }
        }
        assert!(taken > 30, "the table itself went missing: {taken}");
    }

    #[test]
    fn start_may_come_again_once_it_began_and_nothing_else_may() {
        let goes_on = |at, begun| State::Forward { at, begun }.goes_on_with(SERVING);
        assert_eq!([goes_on(0, true), goes_on(1, false)], [None, None]);
        for (at, begun) in [(1, true), (2, false), (2, true), (3, false)] {
            assert_eq!(goes_on(at, begun), Some(Step::Start));
            let here = State::Forward { at, begun };
            let again = here.clone().after(&Event::Started { step: Step::Start }, SERVING);
            assert_eq!(again, Ok(State::Forward { at: 1, begun: true }));
            assert!(here.clone().after(&Event::Started { step: Step::Stop }, SERVING).is_err());
            let verify = here.after(&Event::Started { step: Step::Verify }, SERVING);
            assert_eq!(verify.is_ok(), (at, begun) == (2, false));
        }
    }

    #[test]
    fn the_step_in_progress_is_undone_too() {
        let state = State::Forward { at: 1, begun: true };
        let state = state.after(&Event::TurnedBack { reason: failed() }, STEPS).unwrap();
        assert_eq!(state, State::Backward { left: 2, begun: false, reason: failed() });
    }
}
