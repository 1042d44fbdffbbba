//! A stage: one engine with one service on it, on which orders are carried out by the agent's own code.

use std::path::PathBuf;

use async_trait::async_trait;
use redeploy_agent::report::{Report, Verdict};
use redeploy_agent::saga::Fault;

/// What the agent is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// From v1 to v2.
    Redeploy,
    /// Back to v1, with today's volume data.
    RevertKeep,
    /// Back to v1, with the volume data of then.
    RevertRestore,
}

/// What serves under the service's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Serving {
    /// `v1` or `v2`.
    pub version: String,
    /// Its restart policy.
    pub restart_policy: String,
}

/// One service on one engine.
#[async_trait]
pub(crate) trait Stage: Sync {
    /// Carries an order out; `None` if a fault stopped the process.
    async fn run(&self, order: Order, faults: &[Fault]) -> Option<Report>;
    /// Takes over what was stopped; `None` if there was nothing to take over.
    async fn recover(&self) -> Option<Verdict>;
    /// The verdict of the last saga, from its journal.
    fn last_verdict(&self) -> Verdict;
    /// What serves; `None` if nothing runs under the name.
    async fn serving(&self) -> Option<Serving>;
    /// Names of the stage's containers with `true` for those that run.
    async fn containers(&self) -> Vec<(String, bool)>;
    /// Where the host has a file of the serving container's root, volumes included.
    fn host_path(&self, path: &str) -> PathBuf;
    /// Does v1, told to stop, write [`FAREWELL`](super::invariant::FAREWELL) and delete its
    /// [`PID`](super::invariant::PID)?
    fn says_farewell(&self) -> bool;
    /// Promises the engine saw broken.
    fn violations(&self) -> Vec<String>;

    /// Reads a file of the serving container.
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        std::fs::read(self.host_path(path)).ok()
    }
    /// Writes one.
    #[expect(clippy::disallowed_methods, reason = "a user writes as users do")]
    fn write(&self, path: &str, contents: &[u8]) {
        let path = self.host_path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }
    /// Deletes one.
    fn delete(&self, path: &str) {
        std::fs::remove_file(self.host_path(path)).unwrap();
    }
}
