//! What was asked of a deployment. It never changes.

use serde::{Deserialize, Serialize};

use super::Parallel;
use crate::moment::Span;

/// What was asked for. Never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The image as the operator wrote it.
    pub image: String,
    /// How many at once.
    pub parallel: Parallel,
    /// Pause after a node is verified, before the next starts.
    pub delay: Span,
    /// What a failure leads to.
    pub on_failure: OnFailure,
    /// How long the whole may take, from its start or its last resumption.
    pub budget: Span,
    /// How long a host may be silent before its node counts as unknown.
    pub grace: Span,
    /// Passed to every agent as it is.
    pub options: Options,
}

/// What each node's redeploy, or its revert, is done with. Empty and zero: as the agent's configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Mount the same volumes again.
    pub use_existing_volumes: bool,
    /// The old file system below the new image's files.
    pub skip_reinstall: bool,
    /// Archive bind mounts as well.
    pub archive_binds: Option<bool>,
    /// How long the new container may take to become healthy.
    pub verify_timeout: Span,
    /// An extra question to the new container.
    pub probe: String,
    /// Do not ask the registry.
    pub pull_never: bool,
    /// In a revert: volumes as they were captured, instead of today's data.
    pub restore_volumes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            use_existing_volumes: true,
            skip_reinstall: false,
            archive_binds: None,
            verify_timeout: Span(0),
            probe: String::new(),
            pull_never: false,
            restore_volumes: false,
        }
    }
}

/// What the first failure leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Nothing further starts, and an operator decides.
    Halt,
    /// What was finished is taken back, last one first.
    Rollback,
}
