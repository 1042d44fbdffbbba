//! What can go wrong between us and the engine, in words an operator can act on.
//!
//! Must never carry a request body or header: they may hold credentials.

/// A request to the engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Nobody answers on the socket.
    #[error(
        "cannot reach the Docker Engine at {socket} to {action}: is it running, and is this user allowed to use it?"
    )]
    Unreachable {
        /// The socket or address tried.
        socket: String,
        /// What we wanted.
        action: String,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine answered with an error status.
    #[error("the Docker Engine refused to {action}: {message} (HTTP {status})")]
    Refused {
        /// What we wanted.
        action: String,
        /// HTTP status.
        status: u16,
        /// The engine's own words.
        message: String,
    },
    /// An image could not be had.
    #[error("cannot pull {reference}: {message}")]
    Pull {
        /// Image reference.
        reference: String,
        /// Which kind of failure, as far as the engine lets us tell.
        reason: PullFailure,
        /// The engine's own words.
        message: String,
    },
    /// The connection broke, or an answer was not what the API promises.
    #[error("the Docker Engine's answer to {action} broke off or made no sense: {detail}")]
    BadAnswer {
        /// What we wanted.
        action: String,
        /// What was wrong.
        detail: String,
    },
    /// The engine did not answer in time.
    #[error("the Docker Engine did not {action} within {seconds} s")]
    TimedOut {
        /// What we wanted.
        action: String,
        /// The deadline that passed.
        seconds: u64,
    },
    /// The engine is older than we can work with.
    #[error("Docker Engine {version} speaks API {api}; at least {min} (Engine 20.10) is needed", min = super::API_MIN)]
    TooOld {
        /// Engine version.
        version: String,
        /// Its newest API version.
        api: String,
    },
    /// Only an engine on this very host can be worked with: its file systems are opened directly.
    #[error(
        "{address} is no unix socket: give a path such as unix:///var/run/docker.sock on the engine's own host"
    )]
    NotLocal {
        /// What was given.
        address: String,
    },
    /// A container that removes itself cannot be stopped in such a way that its root is still there.
    #[error(
        "the engine cannot be kept from removing container {name}, which was started with --rm, when it stops: {detail}. \
         Create it without --rm"
    )]
    NotHeld {
        /// Container.
        name: String,
        /// Why.
        detail: String,
    },
    /// A container's file system cannot be opened here.
    #[error("cannot open the file system of {what}: {detail}")]
    NoRoot {
        /// Container, volume or path.
        what: String,
        /// Why.
        detail: String,
    },
}

/// Why a pull failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullFailure {
    /// The registry has no such repository, tag or digest.
    NotFound,
    /// The registry wants another login, or none is allowed.
    Denied,
    /// The image exists, for other machines.
    WrongPlatform,
    /// No answer, a broken answer, or a connection that died.
    RegistryUnavailable,
    /// Something else; the message says what.
    Other,
}
