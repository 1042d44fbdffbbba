//! The line to one agent: what waits to be said to it, and why its session ends. Small, because nearly all lines are
//! idle and there are as many as hosts.
//!
//! Flows in: messages and an end, from the registry. Flows out: both, to the stream down and the reader. Must never hold
//! more than [`QUEUE_MAX`] messages.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redeploy_proto::v1::CoordinatorMessage;
use tokio::sync::Notify;
use tonic::Status;

/// Messages that wait for one agent. It has one order per node at a time, and their acknowledgements.
const QUEUE_MAX: usize = 256;

/// A session's line. Copies are the same line.
#[derive(Debug, Clone)]
pub(crate) struct Line(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<CoordinatorMessage>,
    /// Why the session ends; nothing while it does not.
    end: Option<Status>,
}

/// The message does not wait on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotQueued {
    /// The session is ending.
    Ended,
    /// Too much waits already.
    Full,
}

impl Line {
    /// Nothing waits.
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), changed: Notify::new() }))
    }

    /// Says something, if there is room.
    pub(crate) fn say(&self, message: CoordinatorMessage) -> Result<(), NotQueued> {
        let mut state = self.lock();
        if state.end.is_some() {
            return Err(NotQueued::Ended);
        }
        if state.waiting.len() >= QUEUE_MAX {
            return Err(NotQueued::Full);
        }
        state.waiting.push_back(message);
        drop(state);
        self.0.changed.notify_waiters();
        Ok(())
    }

    /// Ends the session; the first reason counts. What still waits is not said any more.
    pub(crate) fn end(&self, why: Status) {
        let mut state = self.lock();
        state.end.get_or_insert(why);
        state.waiting = VecDeque::new();
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// Whether anybody else still has to do with it.
    pub(crate) fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Whether the session has ended.
    #[cfg(test)]
    pub(crate) fn is_ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// The next message, if one waits.
    #[cfg(test)]
    pub(crate) fn take(&self) -> Option<CoordinatorMessage> {
        self.lock().waiting.pop_front()
    }

    /// Waits for the end of the session.
    pub(crate) async fn ended(&self) -> Status {
        self.until(|state| state.end.clone()).await
    }

    /// Waits for the next message, or the end.
    pub(crate) async fn next(&self) -> Result<CoordinatorMessage, Status> {
        self.until(|state| {
            let next = state.end.clone().map(Err).or_else(|| state.waiting.pop_front().map(Ok));
            if state.waiting.is_empty() {
                // An idle line keeps no room.
                state.waiting = VecDeque::new();
            }
            next
        })
        .await
    }

    async fn until<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            // Before the look, so that what comes after it is not missed.
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            changed.await;
        }
    }

    /// Nothing in here can panic half way, so a poisoned lock guards sound data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use redeploy_proto::v1::ReportAck;
    use redeploy_proto::v1::coordinator_message::Message;

    use super::*;

    fn message(text: &str) -> CoordinatorMessage {
        CoordinatorMessage { message: Some(Message::Ack(ReportAck { redeploy_id: text.into() })) }
    }

    #[tokio::test]
    async fn messages_come_in_order_and_whoever_waits_is_woken() {
        let line = Line::new();
        let (reader, ending) = (line.clone(), line.clone());
        let both = tokio::spawn(async move { [reader.next().await.unwrap(), reader.next().await.unwrap()] });
        let ended = tokio::spawn(async move { ending.ended().await });
        tokio::task::yield_now().await;
        line.say(message("a")).unwrap();
        tokio::task::yield_now().await;
        line.say(message("b")).unwrap();
        assert_eq!(both.await.unwrap(), [message("a"), message("b")]);
        line.end(Status::aborted("over"));
        assert_eq!(ended.await.unwrap().message(), "over");
    }

    #[tokio::test]
    async fn the_end_comes_before_what_waits_and_its_first_reason_counts() {
        let line = Line::new();
        line.say(message("a")).unwrap();
        assert!(!line.is_ended());
        line.end(Status::aborted("first"));
        line.end(Status::aborted("second"));
        assert!(line.is_ended());
        assert_eq!(line.next().await.unwrap_err().message(), "first");
        assert_eq!(line.say(message("b")), Err(NotQueued::Ended));
    }

    #[test]
    fn it_holds_no_more_than_it_may() {
        let line = Line::new();
        (0..QUEUE_MAX).for_each(|_| line.say(message("a")).unwrap());
        assert_eq!(line.say(message("a")), Err(NotQueued::Full));
    }
}
