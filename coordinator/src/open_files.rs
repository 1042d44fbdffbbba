//! How many files this process may have open: every connected agent is one.
//!
//! Flows in: the limits this process was started with. Flows out: the soft limit raised to the hard one, which is what
//! the hard one is for: many systems still start programs with a soft limit of 1024. Must never fail a start.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are no connections: the store, its log, keys, sockets that listen.
const OTHERS: u64 = 100;

/// Raises the limit as far as it goes, and gives how many connections there may be; `None`: as many as come.
#[must_use]
pub fn raise() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, wanted) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
    getrlimit(Resource::Nofile).current.map(|files| files.saturating_sub(OTHERS))
}
