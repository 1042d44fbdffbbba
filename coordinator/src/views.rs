//! What is known but not stored: why nodes wait, how far they are, which hosts are connected. Gone with the process
//! and built again from the next words.

mod told;

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use redeploy_proto::{RedeployId, v1};
use tokio::sync::watch;

use crate::deployment::Explanation;
use crate::ids::{DeploymentId, HostId};
use crate::metrics::Tally;
use crate::questions::Questions;
use told::Told;

/// Read by the API, written by the driver and the sessions.
#[derive(Debug)]
pub struct Views {
    inner: RwLock<Inner>,
    changes: watch::Sender<u64>,
    /// What is counted.
    pub tally: Tally,
    /// Who waits for which preflight.
    pub questions: Questions,
}

#[derive(Debug, Default)]
struct Inner {
    explanations: HashMap<DeploymentId, Explanation>,
    told: Told,
    connected: HashMap<HostId, u64>,
    containers: HashMap<HostId, Containers>,
}

/// The containers of a connected host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Containers {
    /// Their names.
    pub names: Vec<String>,
    /// There are more than a host may tell of.
    pub are_more: bool,
}

impl Default for Views {
    fn default() -> Self {
        Self {
            inner: RwLock::default(),
            changes: watch::Sender::new(0),
            tally: Tally::default(),
            questions: Questions::default(),
        }
    }
}

impl Views {
    fn read<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.inner.write().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|count| *count += 1);
    }

    /// Tells that something changed, here or in the store. Of several changes only the last is told.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Something in the store changed.
    pub fn stored(&self) {
        self.write(|_| {});
    }

    /// Why each node of a deployment stays put.
    pub fn explain(&self, explanations: Vec<(DeploymentId, Explanation)>) {
        self.write(|inner| inner.explanations.extend(explanations));
    }

    /// Forgets what a deployment that is over needed.
    pub fn forget(&self, id: DeploymentId, orders: &[RedeployId]) {
        self.write(|inner| {
            inner.explanations.remove(&id);
            for order in orders {
                inner.told.forget(*order);
            }
        });
    }

    /// The explanation of one deployment.
    #[must_use]
    pub fn explanation(&self, id: DeploymentId) -> Option<Explanation> {
        self.read(|inner| inner.explanations.get(&id).cloned())
    }

    /// Notes how far an order is.
    pub fn progress(&self, host: &HostId, id: RedeployId, progress: v1::Progress) {
        self.write(|inner| inner.told.progress(host, id, progress));
    }

    /// How far an order is.
    #[must_use]
    pub fn progress_of(&self, id: RedeployId) -> Option<v1::Progress> {
        self.read(|inner| inner.told.progress_of(id))
    }

    /// Notes a preflight's outcome.
    pub fn preflight(&self, host: &HostId, id: RedeployId, preflight: v1::Preflight) {
        self.write(|inner| inner.told.preflight(host, id, preflight));
    }

    /// A preflight's outcome.
    #[must_use]
    pub fn preflight_of(&self, id: RedeployId) -> Option<v1::Preflight> {
        self.read(|inner| inner.told.preflight_of(id))
    }

    /// Notes that a host opened a session.
    pub fn connected(&self, host: HostId, session: u64) {
        self.write(|inner| {
            inner.connected.insert(host, session);
        });
    }

    /// Notes that a session ended; a newer one of the same host stays.
    pub fn disconnected(&self, host: &HostId, session: u64) {
        self.questions.lost(host, session);
        self.write(|inner| {
            if inner.connected.get(host) == Some(&session) {
                inner.connected.remove(host);
                inner.containers.remove(host);
            }
        });
    }

    /// Notes what containers a host has.
    pub fn containers(&self, host: &HostId, containers: Containers) {
        self.write(|inner| {
            inner.containers.insert(host.clone(), containers);
        });
    }

    /// The containers of a host; `None`: it is not connected, or has not told yet.
    #[must_use]
    pub fn containers_of(&self, host: &HostId) -> Option<Containers> {
        self.read(|inner| inner.containers.get(host).cloned())
    }

    /// Whether a host holds a session.
    #[must_use]
    pub fn is_connected(&self, host: &HostId) -> bool {
        self.session_of(host).is_some()
    }

    /// The session a host holds.
    #[must_use]
    pub fn session_of(&self, host: &HostId) -> Option<u64> {
        self.read(|inner| inner.connected.get(host).copied())
    }

    /// How many do.
    #[must_use]
    pub fn connected_count(&self) -> usize {
        self.read(|inner| inner.connected.len())
    }
}
