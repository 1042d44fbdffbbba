//! The one door to a container engine: a narrow trait, the real engine behind it, and a fake that keeps its
//! containers in memory and their roots in plain directories.
//!
//! Flows in: what a step wants done. Flows out: what the engine said, as raw JSON where a typed model would
//! drop fields it does not know. Must never decide anything: no retries, no naming, no fallbacks.

mod error;
mod fake;
mod hold;
mod inspect;
mod real;
mod root_access;
mod tail;
mod transport;
mod witness;

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use error::{EngineError, PullFailure};
pub use fake::{Behaviour, FakeEngine, FakeImage, OnStart};
pub use hold::Hold;
pub use inspect::{Container, Image, Mount, MountKind, RunState, Volume};
pub use real::{HostView, RealEngine};
pub use witness::{Account, Witness};

use crate::rootfs::Root;

/// The lowest Engine API the agent speaks: Docker Engine 20.10.
pub const API_MIN: ApiVersion = ApiVersion { major: 1, minor: 41 };

/// The highest the agent asks for. From 1.52 on container-wide MAC addresses and empty port lists change
/// their meaning; engines newer than this still answer in it.
pub const API_MAX: ApiVersion = ApiVersion { major: 1, minor: 51 };

/// A version of the Engine API, such as 1.41.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ApiVersion {
    /// Always 1 so far.
    pub major: u16,
    /// Counts up with each engine release that changes the API.
    pub minor: u16,
}

/// What the agent needs to know of an engine before it plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineInfo {
    /// The product version, such as `20.10.24`.
    pub version: String,
    /// The API version all our requests name: the engine's newest, at most [`API_MAX`].
    pub api: ApiVersion,
    /// `linux` or something we refuse.
    pub os: String,
    /// As in images: `amd64`, `arm64`, …
    pub architecture: String,
    /// Where the engine keeps its data, seen from the engine.
    pub root_dir: String,
    /// `overlay2`, `fuse-overlayfs`, `overlayfs` (containerd image store), …
    pub storage_driver: String,
    /// The runtime used when a container names none.
    pub default_runtime: String,
    /// The log driver used when a container names none.
    pub default_log_driver: String,
    /// 1 or 2.
    pub cgroup_version: u8,
    /// The engine's own id, to notice that a socket leads somewhere else.
    pub engine_id: String,
}

/// Login for one registry. Never printed, never stored.
#[derive(Clone)]
pub struct RegistryLogin {
    /// User name.
    pub user: String,
    /// Password or token.
    pub password: String,
}

/// Where a pull stands, for people who watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullProgress {
    /// Bytes of all layers known so far.
    pub bytes_total: u64,
    /// Bytes of them downloaded.
    pub bytes_done: u64,
}

/// One line of a container's diff against its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path, as the engine gives it.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
}

/// What happened to a path in the writable layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// Contents or metadata differ.
    Modified,
    /// The image does not have it.
    Added,
    /// The image has it, the container no longer does.
    Deleted,
}

/// Something that happened to a container, whoever did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEvent {
    /// Full container id.
    pub container: String,
    /// The engine's word: `start`, `die`, `destroy`, `rename`, `pause`, …
    pub action: String,
    /// When, in nanoseconds since 1970.
    pub time_ns: i64,
}

/// Events until the connection ends; the end of the stream means the engine hung up.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<ContainerEvent, EngineError>> + Send>>;

/// Receives pull progress; must be quick.
pub type OnPull<'a> = &'a (dyn Fn(PullProgress) + Send + Sync);

/// A container engine. Every call is one request; "no such object" is `None` where a look-up may miss and an
/// error elsewhere. All bodies and answers are those of the Engine API at [`EngineInfo::api`].
///
/// "Already so" is success for `start`, `stop`, `network_disconnect` of one that is not connected, and
/// `remove` and `remove_stopped` of one that is gone.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Version and settings of the engine, asked afresh.
    async fn info(&self) -> Result<EngineInfo, EngineError>;

    /// A container by id or name; a name must match exactly, ids may not be abbreviated.
    async fn container(&self, id_or_name: &str) -> Result<Option<Container>, EngineError>;

    /// Every container, running or not, inspected. One that goes away meanwhile is left out.
    async fn containers(&self) -> Result<Vec<Container>, EngineError>;

    /// Creates a container from a raw create body; answers its id.
    async fn create(&self, name: &str, body: &Value) -> Result<String, EngineError>;

    /// Starts it.
    async fn start(&self, id: &str) -> Result<(), EngineError>;

    /// Stops it: its stop signal, then after `grace` (its own when `None`) SIGKILL. Returns when it has stopped.
    async fn stop(&self, id: &str, grace: Option<Duration>) -> Result<(), EngineError>;

    /// Keeps the engine from taking note of this container's end until the [`Hold`] is dropped, so that one that it
    /// removes then (`--rm`) can be read after its end. Nothing is stopped yet. While it is held, the container must not
    /// be inspected: the answer stays out.
    async fn hold(&self, id: &str) -> Result<Box<dyn Hold>, EngineError>;

    /// Gives it another name.
    async fn rename(&self, id: &str, name: &str) -> Result<(), EngineError>;

    /// Removes a container by force, its anonymous volumes never. (One created to remove itself, `AutoRemove`,
    /// takes them along on its own when it ends; engines offer no way to stop that.)
    async fn remove(&self, id: &str) -> Result<(), EngineError>;

    /// The same without force: one that is alive by then is refused (409).
    async fn remove_stopped(&self, id: &str) -> Result<(), EngineError>;

    /// Sets the restart policy, in the form of `HostConfig.RestartPolicy`.
    async fn set_restart_policy(&self, id: &str, policy: &Value) -> Result<(), EngineError>;

    /// Connects a container to a network with a raw endpoint configuration.
    async fn network_connect(&self, network: &str, id: &str, endpoint: &Value) -> Result<(), EngineError>;

    /// Takes a container off a network, by force.
    async fn network_disconnect(&self, network: &str, id: &str) -> Result<(), EngineError>;

    /// A network by name or id, raw.
    async fn network(&self, id_or_name: &str) -> Result<Option<Value>, EngineError>;

    /// An image by id, tag or digest reference, if the engine has it.
    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError>;

    /// Pulls `repository` at `tag_or_digest` for the engine's own platform. An error inside the answer's
    /// stream is an error.
    async fn pull(
        &self,
        repository: &str,
        tag_or_digest: &str,
        login: Option<&RegistryLogin>,
        on_progress: OnPull<'_>,
    ) -> Result<(), EngineError>;

    /// Gives an image one more name, so that it outlives a prune.
    async fn tag(&self, image: &str, repository: &str, tag: &str) -> Result<(), EngineError>;

    /// Takes a name off an image, and the image itself with its last name. A name that is gone is success. The
    /// last name of an image that a container uses, running or not, is refused (409).
    async fn untag(&self, reference: &str) -> Result<(), EngineError>;

    /// A volume by name.
    async fn volume(&self, name: &str) -> Result<Option<Volume>, EngineError>;

    /// Creates a volume from a raw body; one that exists is success.
    async fn create_volume(&self, body: &Value) -> Result<(), EngineError>;

    /// Removes a volume; one that is gone is success.
    async fn remove_volume(&self, name: &str) -> Result<(), EngineError>;

    /// The last `lines` lines of both output streams, as text, at most 64 KiB.
    async fn logs(&self, id: &str, lines: u32) -> Result<String, EngineError>;

    /// Listens from now on to what a container prints, terminal or not, and for the code it ends with. Meant for before
    /// its start: what was said earlier is not heard.
    async fn witness(&self, id: &str) -> Result<Witness, EngineError>;

    /// What differs from the image.
    async fn diff(&self, id: &str) -> Result<Vec<Change>, EngineError>;

    /// Container events from `since_ns` (nanoseconds since 1970) on.
    async fn events(&self, since_ns: i64) -> Result<EventStream, EngineError>;

    /// The engine's own record of a container, which holds what its API does not tell; `None` where it cannot be
    /// read.
    async fn own_record(&self, id: &str) -> Result<Option<Value>, EngineError>;

    /// A directory handle on the container's root file system: of its running process, or, when it is not
    /// running, of the root the engine mounts for it. Must be dropped before that container is started, and
    /// before its root is opened once more while it does not run: each is then a mount of its own, and two of
    /// them over one writable layer spoil each other's writes (seen with fuse-overlayfs). `/` keeps its owner, mode
    /// and modification time. A read-only root that is not running is refused.
    async fn open_root(&self, id: &str) -> Result<Root, EngineError>;

    /// A directory handle on a volume's data. Refused for other drivers than `local`, and for a volume that is
    /// mounted only while in use and is not.
    async fn open_volume(&self, name: &str) -> Result<Root, EngineError>;

    /// A directory handle on a host path that a container has bind-mounted (a directory).
    async fn open_host_dir(&self, path: &str) -> Result<Root, EngineError>;
}

// === impl ApiVersion ===

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl std::fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryLogin").field("user", &self.user).field("password", &"…").finish()
    }
}
