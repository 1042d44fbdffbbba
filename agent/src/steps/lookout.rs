//! The lookout: follows the engine's events while a saga goes forward, and raises the alarm as soon as one of its
//! containers is not as the step in progress expects it: started, stopped, paused, renamed or removed by somebody else,
//! or by an engine that restarted.
//!
//! Flows in: what each step expects of each container, and the engine's events. Flows out: an [`Alarm`] that long
//! steps heed. An event only says where to look: what counts is the container's state, compared with what is expected
//! now. So events that our own steps cause, that come late, or twice, raise no alarm, and one that was missed while the
//! engine restarted is made up for by a look at everything. Must never act on a container.

mod expect;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::StepError;
use crate::docker::{ContainerEvent, Engine, EngineError};
use crate::explain::explain;
use crate::saga::Interference;

pub(super) use expect::{Watched, of_step};

/// How long the engine may be away. A package upgrade restarts it within this; without it nobody can say what happens.
const PATIENCE: Duration = Duration::from_secs(300);
/// When nothing happens, so often within that time is looked all the same.
const LOOKS_PER_PATIENCE: u32 = 5;
/// Between two tries: at first, and at most.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// The engine's words for what may concern us. All others (`exec_start`, `health_status: …`, `attach`, …) do not change
/// what a container is doing.
const TELLING: [&str; 8] = ["start", "stop", "die", "restart", "destroy", "rename", "pause", "unpause"];

/// Raised at most once, heard by everybody who has a clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Alarm {
    bell: CancellationToken,
    why: Arc<OnceLock<Why>>,
}

#[derive(Debug)]
enum Why {
    /// One of our containers is not as expected.
    Interfered(Interference),
    /// The engine has not answered for so long.
    Silent { seconds: u64 },
}

/// Follows the events for as long as it lives.
pub(super) struct Lookout {
    engine: Arc<dyn Engine>,
    alarm: Alarm,
    expected: watch::Sender<Vec<Watched>>,
    patience: Duration,
    task: Option<AbortOnDropHandle<()>>,
}

/// The task's own part.
struct Follower {
    engine: Arc<dyn Engine>,
    alarm: Alarm,
    expected: watch::Receiver<Vec<Watched>>,
    patience: Duration,
    /// Events from here on are still to be looked at, in nanoseconds since 1970.
    since_ns: i64,
    /// When the engine last said anything.
    heard_at: Instant,
}

/// Why nothing is followed any more.
enum End {
    /// The alarm is raised, or nobody is interested any longer.
    Over,
    /// The engine hung up or does not answer.
    HungUp(Option<EngineError>),
}

// === impl Alarm ===

impl Alarm {
    /// Returns once it is raised.
    pub(super) async fn raised(&self) {
        self.bell.cancelled().await;
    }

    /// Why it was raised, if it was.
    pub(super) fn why(&self) -> Option<StepError> {
        Some(match self.why.get()? {
            Why::Interfered(interference) => StepError::Interfered(interference.clone()),
            Why::Silent { seconds } => {
                let action = "say what happens to the containers".to_owned();
                EngineError::TimedOut { action, seconds: *seconds }.into()
            }
        })
    }

    fn raise(&self, why: Why) {
        // The first reason counts.
        let _ = self.why.set(why);
        self.bell.cancel();
    }
}

// === impl Lookout ===

impl Lookout {
    /// One that follows nothing yet.
    pub(super) fn new(engine: Arc<dyn Engine>, alarm: Alarm) -> Self {
        Self { engine, alarm, expected: watch::Sender::new(Vec::new()), patience: PATIENCE, task: None }
    }

    /// From now on this is expected. To be called before a step acts: what it does must be expected already.
    pub(super) fn expect(&mut self, expected: Vec<Watched>) {
        self.expected.send_replace(expected);
        if self.task.is_none() {
            let follower = Follower {
                engine: Arc::clone(&self.engine),
                alarm: self.alarm.clone(),
                expected: self.expected.subscribe(),
                patience: self.patience,
                since_ns: i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0),
                heard_at: Instant::now(),
            };
            self.task = Some(AbortOnDropHandle::new(tokio::spawn(follower.run())));
        }
    }

    /// Looks now: a step may fail because of what somebody did before word of it comes.
    pub(super) async fn look_now(&self) {
        let expected = self.expected.borrow().clone();
        for watched in expected {
            let Ok(seen) = self.engine.container(&watched.id).await else { return };
            if let Some(found) = watched.differs(seen.as_ref(), None) {
                return self.alarm.raise(Why::Interfered(found));
            }
        }
    }

    /// Follows no longer: on the way back, and after the commit, nothing can be called off.
    pub(super) fn end(&mut self) {
        self.task = None;
    }
}

// === impl Follower ===

impl Follower {
    async fn run(mut self) {
        let mut pause = PAUSE_MIN;
        loop {
            let heard_before = self.heard_at;
            let End::HungUp(error) = self.follow().await else { return };
            let silent = self.heard_at.elapsed();
            if silent >= self.patience {
                return self.alarm.raise(Why::Silent { seconds: silent.as_secs() });
            }
            tracing::debug!(
                error = error.as_ref().map(|error| explain(error)),
                "the engine's events broke off"
            );
            pause = if self.heard_at == heard_before {
                pause.saturating_mul(2).min(PAUSE_MAX)
            } else {
                PAUSE_MIN
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One connection, from a look at everything to its end.
    async fn follow(&mut self) -> End {
        let engine = Arc::clone(&self.engine);
        let mut events = match tokio::time::timeout(self.patience, engine.events(self.since_ns)).await {
            Ok(Ok(events)) => events,
            Ok(Err(error)) => return End::HungUp(Some(error)),
            Err(_) => return End::HungUp(None),
        };
        if let Some(end) = self.look(None).await {
            return end;
        }
        loop {
            let end = tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.hear(&event).await,
                    Some(Err(error)) => Some(self.hung_up(Some(error))),
                    None => Some(self.hung_up(None)),
                },
                // A connection that stays open says nothing of an engine that hangs.
                () = tokio::time::sleep(self.patience / LOOKS_PER_PATIENCE) => self.look(None).await,
                changed = self.expected.changed() => match changed {
                    Ok(()) => self.look(None).await,
                    Err(_) => Some(End::Over),
                },
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Until now it was there, however little happened.
    fn hung_up(&mut self, error: Option<EngineError>) -> End {
        self.heard_at = Instant::now();
        End::HungUp(error)
    }

    async fn hear(&mut self, event: &ContainerEvent) -> Option<End> {
        self.heard_at = Instant::now();
        self.since_ns = event.time_ns.saturating_add(1);
        if TELLING.contains(&event.action.as_str()) { self.look(Some(event)).await } else { None }
    }

    /// Compares what is with what is expected: of the container of an event, or of all. What was seen counts only if
    /// the same was expected before and after the look.
    async fn look(&mut self, mut event: Option<&ContainerEvent>) -> Option<End> {
        loop {
            let expected = self.expected.borrow_and_update().clone();
            let concerned =
                expected.iter().filter(|watched| event.is_none_or(|event| event.container == watched.id));
            let mut found = None;
            for watched in concerned {
                let seen = match self.engine.container(&watched.id).await {
                    Ok(seen) => seen,
                    Err(error) => return Some(End::HungUp(Some(error))),
                };
                self.heard_at = Instant::now();
                found = found.or_else(|| watched.differs(seen.as_ref(), event));
            }
            match (found, self.expected.has_changed()) {
                (Some(_) | None, Err(_)) => return Some(End::Over),
                (Some(_), Ok(true)) => event = None,
                (Some(found), Ok(false)) => {
                    self.alarm.raise(Why::Interfered(found));
                    return Some(End::Over);
                }
                (None, Ok(_)) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests;
