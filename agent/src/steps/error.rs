//! Why a step failed, in words that name the container, the path and the way out.

use redeploy_proto::RedeployId;

use super::verify::VerifyError;
use crate::archive::{ArchiveError, ManifestError};
use crate::balancer::BalancerError;
use crate::docker::EngineError;
use crate::durable::DurableError;
use crate::recreate::Difference;
use crate::rootfs::RootError;
use crate::saga::Interference;

/// A step or its undo failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The engine did not do what was asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Packing, unpacking or checking an archive failed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The list of archives cannot be read or written.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A container's or volume's file system refused.
    #[error(transparent)]
    Root(#[from] RootError),
    /// Our own files refused.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The balancer did not do what was asked.
    #[error(transparent)]
    Balancer(#[from] Box<BalancerError>),
    /// The node is out of service until somebody acts.
    #[error(
        "server {server} may be out of service at the balancer; `recover` tries again, or by hand: {by_hand}"
    )]
    LeftOut {
        /// The server.
        server: String,
        /// The command.
        by_hand: String,
        /// What went wrong.
        #[source]
        source: Box<BalancerError>,
    },
    /// The new container did not prove itself.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The engine made another container than the plan says.
    #[error("the engine created {name} otherwise than planned: {}", list(.differences))]
    Different {
        /// The new container.
        name: String,
        /// What differs, and cannot be explained by the image or the engine.
        differences: Vec<Difference>,
    },
    /// Somebody else's container has the name we need.
    #[error("container {name} already exists and is not of redeploy {id}: remove or rename it")]
    NameTaken {
        /// The name.
        name: String,
        /// This redeploy.
        id: RedeployId,
    },
    /// One of our two containers is gone.
    #[error("container {name} ({id}) no longer exists: somebody removed it during the redeploy")]
    ContainerGone {
        /// What it is called.
        name: String,
        /// Its id.
        id: String,
    },
    /// One of our two containers is not in the state we left it in.
    #[error("{0}")]
    Interfered(Interference),
    /// A volume that is to be put back has got another user.
    #[error(
        "{what} is not put back, because container {by}, which somebody else has started, writes to it: stop it, and \
         revert again"
    )]
    TakenUp {
        /// The volume or host directory.
        what: String,
        /// The container.
        by: String,
    },
    /// An archive that the plan counts on is not listed.
    #[error("archive {stem} is not listed in {manifest}: it was removed, or the redeploy that made it was pruned", manifest = manifest.display())]
    NoArchive {
        /// The archive.
        stem: String,
        /// Where it should be.
        manifest: std::path::PathBuf,
    },
    /// Work on another thread ended abnormally.
    #[error("the work on {what} ended abnormally")]
    Panicked {
        /// What was worked on.
        what: String,
    },
    /// An earlier step's output is not known.
    #[error("step {step} cannot go on: the output of an earlier step is missing")]
    Missing {
        /// The step.
        step: super::Step,
    },
    /// Somebody asked us to stop.
    #[error("cancelled")]
    Cancelled,
    /// A test ordered this failure.
    #[error("failed by order of a test")]
    OrderedByTest,
}

impl From<BalancerError> for StepError {
    fn from(error: BalancerError) -> Self {
        Self::Balancer(Box::new(error))
    }
}

impl StepError {
    /// What somebody else did, if that made the step fail.
    #[must_use]
    pub fn interference(&self) -> Option<&Interference> {
        if let Self::Interfered(interference) = self { Some(interference) } else { None }
    }

    /// Does the engine not answer at all, so that the same may succeed a moment later?
    #[must_use]
    pub fn is_engine_away(&self) -> bool {
        matches!(
            self,
            Self::Engine(
                EngineError::Unreachable { .. }
                    | EngineError::BadAnswer { .. }
                    | EngineError::TimedOut { .. }
            )
        )
    }
}

fn list(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
