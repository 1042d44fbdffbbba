//! Which host has which session now. The newest session of a host wins.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redeploy_proto::v1::CoordinatorMessage;
use redeploy_proto::v1::coordinator_message::Message;
use tokio::sync::{mpsc, watch};
use tonic::Status;

use super::event::SessionNumber;
use crate::ids::HostId;

/// Messages that wait for one agent. It has one order per node at a time, and their acknowledgements.
const QUEUE_MAX: usize = 256;

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

/// What waits for one agent. Boxed: the queue of an idle session keeps room for many, and nearly all sessions are idle.
pub(crate) type Orders = mpsc::Receiver<Box<CoordinatorMessage>>;

/// Why a session ends; nothing while it does not.
pub(crate) type Ending = Option<Status>;

/// What a session works with.
pub(crate) struct Registered {
    pub(crate) number: SessionNumber,
    pub(crate) orders: Orders,
    pub(crate) ending: watch::Receiver<Ending>,
}

struct Entry {
    number: SessionNumber,
    orders: mpsc::Sender<Box<CoordinatorMessage>>,
    ending: watch::Sender<Ending>,
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
        let (orders, receiver) = mpsc::channel(QUEUE_MAX);
        let (end, ending) = watch::channel(None);
        let mut inner = self.lock();
        inner.count += 1;
        let number = SessionNumber(inner.count);
        let entry = Entry { number, orders, ending: end };
        if let Some(before) = inner.entries.insert(host.clone(), entry) {
            let is_alive = !before.orders.is_closed();
            // Often the same agent, back before its old connection was missed; again and again, a second one.
            tracing::warn!(%host, session = before.number.0, by = number.0, is_alive, "a newer session takes over");
            before.end(Status::aborted("a newer session of this host has taken over"));
        }
        Registered { number, orders: receiver, ending }
    }

    /// Forgets a session that ended, and tells its agent why; `false` if a newer one has taken over.
    pub(crate) fn forget(&self, host: &HostId, number: SessionNumber, why: Status) -> bool {
        let mut inner = self.lock();
        let is_it = inner.entries.get(host).is_some_and(|entry| entry.number == number);
        if is_it && let Some(entry) = inner.entries.remove(host) {
            entry.end_unless_ended(why);
        }
        is_it
    }

    pub(crate) fn send(&self, host: &HostId, number: SessionNumber, message: Message) -> Result<(), NotSent> {
        let inner = self.lock();
        let entry = inner.entries.get(host).filter(|entry| entry.number == number);
        let entry = entry.ok_or(NotSent::NoSession)?;
        match entry.orders.try_send(Box::new(CoordinatorMessage { message: Some(message) })) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(NotSent::NoSession),
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::warn!(%host, session = entry.number.0, "it does not read; its session is ended");
                entry.end(Status::resource_exhausted("orders were not read"));
                Err(NotSent::TooSlow)
            }
        }
    }

    pub(crate) fn cut(&self, host: &HostId) {
        if let Some(entry) = self.lock().entries.get(host) {
            entry.end(Status::permission_denied("this host is revoked"));
        }
    }

    pub(crate) fn end(&self, host: &HostId) {
        if let Some(entry) = self.lock().entries.get(host) {
            entry.end_unless_ended(Status::unavailable(
                "the coordinator lost what this host said: dial again",
            ));
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

impl Entry {
    fn end(&self, why: Status) {
        self.ending.send_replace(Some(why));
    }

    fn end_unless_ended(&self, why: Status) {
        self.ending.send_if_modified(|ending| {
            let is_first = ending.is_none();
            ending.get_or_insert(why);
            is_first
        });
    }
}
