//! Why a container cannot be recreated. All are met while planning, before anything was touched.

/// A container that must not or cannot be recreated as things stand. None of these goes away by trying again:
/// each needs the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecreateError {
    /// The swarm would put its own successor in place.
    #[error("{container} is task {task} of a swarm service: update the service instead")]
    SwarmTask {
        /// Its name.
        container: String,
        /// The swarm's id for it.
        task: String,
    },
    /// There is nothing left to replace.
    #[error("{container} is being removed or could not be removed wholly: remove it and create it anew")]
    GoingAway {
        /// Its name.
        container: String,
    },
    /// It lives in another container's namespace, or is linked to it, and that one does not exist.
    #[error(
        "{field} of {container} points at container {peer}, which does not exist: bring that one back first"
    )]
    PeerGone {
        /// Its name.
        container: String,
        /// The field that points.
        field: String,
        /// Id or name of what it points at.
        peer: String,
    },
    /// Volumes shall be given up, but nobody chose a name for this one's successor.
    #[error("no name was chosen for the new volume at {target} of {container}: this is a fault of the plan")]
    NoFreshVolume {
        /// Its name.
        container: String,
        /// Where the volume is mounted.
        target: String,
    },
    /// An anonymous volume that the engine no longer lists cannot be mounted again.
    #[error(
        "the engine does not say which volume {container} has at {target}: inspect it, and give the volume a name"
    )]
    VolumeUnknown {
        /// Its name.
        container: String,
        /// Where the volume is mounted.
        target: String,
    },
}
