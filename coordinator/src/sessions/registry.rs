//! Which host has which session now. The newest session of a host wins.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redeploy_proto::v1::CoordinatorMessage;
use redeploy_proto::v1::coordinator_message::Message;
use tonic::Status;

use super::event::SessionNumber;
use super::line::{Line, NotQueued};
use crate::ids::HostId;

/// The message was not given to a session; it need not be kept, a new session asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// It is over; perhaps there is a newer one.
    #[error("this session of the host is over")]
    NoSession,
    /// It did not read for too long, so its session was ended.
    #[error("the host did not read its orders; its session was ended")]
    TooSlow,
}

/// What a session works with.
pub(crate) struct Registered {
    pub(crate) number: SessionNumber,
    pub(crate) line: Line,
}

struct Entry {
    number: SessionNumber,
    line: Line,
}

/// The sessions of all hosts.
#[derive(Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    count: u64,
    entries: HashMap<HostId, Entry>,
}

impl Registry {
    /// A new session; the one before is ended.
    pub(crate) fn register(&self, host: &HostId) -> Registered {
        let line = Line::new();
        let mut inner = self.lock();
        inner.count += 1;
        let number = SessionNumber(inner.count);
        let entry = Entry { number, line: line.clone() };
        if let Some(before) = inner.entries.insert(host.clone(), entry) {
            let is_alive = before.line.is_held();
            // Often the same agent, back before its old connection was missed; again and again, a second one.
            tracing::warn!(%host, session = before.number.0, by = number.0, is_alive, "a newer session takes over");
            before.line.end(Status::aborted("a newer session of this host has taken over"));
        }
        Registered { number, line }
    }

    /// Forgets a session that ended, and tells its agent why; `false` if a newer one has taken over.
    pub(crate) fn forget(&self, host: &HostId, number: SessionNumber, why: Status) -> bool {
        let mut inner = self.lock();
        let is_it = inner.entries.get(host).is_some_and(|entry| entry.number == number);
        if is_it && let Some(entry) = inner.entries.remove(host) {
            entry.line.end(why);
        }
        is_it
    }

    pub(crate) fn send(&self, host: &HostId, number: SessionNumber, message: Message) -> Result<(), NotSent> {
        let inner = self.lock();
        let entry = inner.entries.get(host).filter(|entry| entry.number == number);
        let entry = entry.ok_or(NotSent::NoSession)?;
        match entry.line.say(CoordinatorMessage { message: Some(message) }) {
            Ok(()) => Ok(()),
            Err(NotQueued::Ended) => Err(NotSent::NoSession),
            Err(NotQueued::Full) => {
                tracing::warn!(%host, session = entry.number.0, "it does not read; its session is ended");
                entry.line.end(Status::resource_exhausted("orders were not read"));
                Err(NotSent::TooSlow)
            }
        }
    }

    pub(crate) fn cut(&self, host: &HostId) {
        if let Some(entry) = self.lock().entries.get(host) {
            entry.line.end(Status::permission_denied("this host is revoked"));
        }
    }

    pub(crate) fn end(&self, host: &HostId) {
        if let Some(entry) = self.lock().entries.get(host) {
            entry.line.end(Status::unavailable("the coordinator lost what this host said: dial again"));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Nothing in here can panic half way, so a poisoned lock guards sound data.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
