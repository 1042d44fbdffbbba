//! Where things are in the agent's data directory.
//!
//! ```text
//! /var/lib/redeploy/
//!   lock                          held by the one process that changes anything
//!   joining.json                  a key that asks for a certificate
//!   coordinator.json              what joining brought: key, certificate, who we are
//!   scratch/                      copies that Compose is shown while it is asked
//!   redeploys/ID/plan.json        written once, before the first step
//!               journal           what happened
//!               archives/         *.tar.gz and manifest.json
//!               report.json       written when it ended
//!               new.log           last words of a container that failed
//!               recovery.txt      how to finish by hand
//!               order.json        the coordinator's order, if it was one
//!               acknowledged      the verdict the coordinator has stored
//! ```
//!
//! Must never create or delete anything: that is `durable`'s.

use std::path::{Path, PathBuf};

use redeploy_proto::RedeployId;

/// The agent's data directory.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

/// The directory of one redeploy or revert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedeployDir {
    root: PathBuf,
}

impl DataDir {
    /// The data directory at `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The lock file.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// The key of a join that is not finished.
    #[must_use]
    pub fn joining(&self) -> PathBuf {
        self.root.join("joining.json")
    }

    /// What joining a coordinator brought.
    #[must_use]
    pub fn coordinator(&self) -> PathBuf {
        self.root.join("coordinator.json")
    }

    /// Where nothing lies longer than it is used.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.root.join("scratch")
    }

    /// The directory that holds one directory per redeploy.
    #[must_use]
    pub fn redeploys(&self) -> PathBuf {
        self.root.join("redeploys")
    }

    /// The directory of one.
    #[must_use]
    pub fn redeploy(&self, id: RedeployId) -> RedeployDir {
        RedeployDir { root: self.redeploys().join(id.to_string()) }
    }
}

impl RedeployDir {
    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of what belongs to the `index`th dependent.
    #[must_use]
    pub fn dependent(&self, index: usize) -> Self {
        Self { root: self.root.join(format!("dependent-{index}")) }
    }

    /// The immutable plan.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The directory of archives and their manifest.
    #[must_use]
    pub fn archives(&self) -> PathBuf {
        self.root.join("archives")
    }

    /// The manifest of the archives.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.archives().join("manifest.json")
    }

    /// What every archive holds before they are finished and have a manifest.
    #[must_use]
    pub fn captured(&self) -> PathBuf {
        self.archives().join("captured.json")
    }

    /// Where the difference between two roots lies while one becomes a copy of the other.
    #[must_use]
    pub fn copying(&self) -> PathBuf {
        self.root.join("copying")
    }

    /// The report.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.root.join("report.json")
    }

    /// The last output of a new container that failed.
    #[must_use]
    pub fn failed_log(&self) -> PathBuf {
        self.root.join("new.log")
    }

    /// The coordinator's order.
    #[must_use]
    pub fn order(&self) -> PathBuf {
        self.root.join("order.json")
    }

    /// Which verdict the coordinator has acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> PathBuf {
        self.root.join("acknowledged")
    }

    /// The recovery sheet.
    #[must_use]
    pub fn recovery_sheet(&self) -> PathBuf {
        self.root.join("recovery.txt")
    }
}
