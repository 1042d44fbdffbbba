//! Why nothing will be done, in words that say what to do instead.

/// Why nothing will be done. Every one says what to do instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The agent would remove its own ground.
    #[error("container {0} is the one this agent runs in: redeploy it from the host")]
    Ourselves(String),
    /// Frozen processes cannot be stopped cleanly.
    #[error("container {0} is paused: `docker unpause {0}` first")]
    Paused(String),
    /// It is going away.
    #[error("container {0} is being removed or is dead: create it anew")]
    GoingAway(String),
    /// The balancer could not be asked, or not about this node.
    #[error("container {node} cannot be taken out of the balancer: {detail}")]
    Balancer {
        /// The container.
        node: String,
        /// Why.
        detail: String,
    },
    /// One at a time.
    #[error("container {node} has an unfinished redeploy {id}: `redeploy-agent recover` ends it")]
    Unfinished {
        /// The container.
        node: String,
        /// The redeploy.
        id: String,
    },
    /// The preserve list is there, but cannot be read.
    #[error("the preserve list of {node} cannot be read, so what must be kept is unknown: {detail}")]
    PreserveList {
        /// The container.
        node: String,
        /// Why.
        detail: String,
    },
    /// Stopping it would delete it, and it could not be made anew.
    #[error(
        "container {node} was started with --rm: the engine deletes it when it stops, and there would be no way back, \
         because {reason}. Create it without --rm"
    )]
    AutoRemove {
        /// The container.
        node: String,
        /// Why it could not be made anew.
        reason: &'static str,
    },
    /// Others lean on one of its dependents in turn.
    #[error(
        "container {dependent} depends on {node}, and {others} on it in turn: stop and remove those first, and create \
         them anew after the redeploy"
    )]
    Chain {
        /// The container.
        node: String,
        /// What leans on it.
        dependent: String,
        /// What leans on that.
        others: String,
    },
    /// A dependent that cannot be carried along.
    #[error("container {dependent} depends on {node} and cannot be made anew with it: {reason}")]
    Dependent {
        /// The container.
        node: String,
        /// What leans on it.
        dependent: String,
        /// Why not.
        reason: String,
    },
    /// A root that cannot be opened the way we do.
    #[error(
        "the engine's storage driver {0} is not supported: overlay2, fuse-overlayfs or the containerd store are"
    )]
    StorageDriver(String),
    /// Not a Linux engine.
    #[error("the engine runs {0} containers: only linux is supported")]
    NotLinux(String),
    /// Not enough room.
    #[error(
        "not enough disk space in {place}: {needed} bytes may be needed and {headroom} must stay free, {free} are free"
    )]
    DiskSpace {
        /// Which disk.
        place: &'static str,
        /// At most this much is written.
        needed: u64,
        /// Must stay free.
        headroom: u64,
        /// Free now.
        free: u64,
    },
    /// A host port that somebody else has.
    #[error(
        "host port {port} is published by running container {holder} too: the new container could not start"
    )]
    PortTaken {
        /// Port and protocol.
        port: String,
        /// Who has it.
        holder: String,
    },
    /// A name we need is in use.
    #[error("container name {0} is needed and taken: rename or remove that container")]
    NameTaken(String),
    /// Kept data would lie unseen beneath a mount.
    #[error(
        "{path} is to be kept, but the new container has a volume at {target} over it, which would hide it: \
         mount one there yourself, or take the path off the preserve list (without a redeploy.conf in the container the \
         built-in list counts)"
    )]
    Hidden {
        /// What is to be kept.
        path: String,
        /// Where the volume is.
        target: String,
    },
    /// The preserve list and the order to give volumes up contradict each other.
    #[error(
        "{path} is to be kept, but it is in the volume at {target}, which is to be given up: keep the volumes, or take the \
         path off the preserve list (without a redeploy.conf in the container the built-in list counts)"
    )]
    GivenUp {
        /// What is to be kept.
        path: String,
        /// Where the volume is.
        target: String,
    },
    /// The data of then was ordered, and cannot be had.
    #[error(
        "volume {volume} cannot become what it was: {reason}. Revert with `--volumes keep`, and put what you need of it back \
         by hand from the archives that `redeploy-agent show` names"
    )]
    CannotRestore {
        /// The volume.
        volume: String,
        /// Why not.
        reason: String,
    },
    /// Volumes that are given up, and that another container mounts because this one does.
    #[error(
        "container {by} mounts the volumes of {node} (--volumes-from) and would go on with those that are given up: keep the \
         volumes, or remove {by} first and create it anew after the redeploy"
    )]
    Borrowed {
        /// The container.
        node: String,
        /// Who mounts its volumes.
        by: String,
    },
    /// A probe of a container without a network.
    #[error(
        "container {0} has no network, so a probe of its own address is never answered: name a host in the probe, or leave it out"
    )]
    NothingToProbe(String),
    /// It is somebody's way back.
    #[error("container {0} is parked by a redeploy: name the container that serves, or revert it")]
    Parked(String),
    /// Two volumes in one place is none of our making, but `docker create` would refuse.
    #[error("container {node} mounts {target} twice: give it one mount there")]
    MountTwice {
        /// The container.
        node: String,
        /// The place.
        target: String,
    },
}
