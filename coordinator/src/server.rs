//! The whole coordinator, put together: what is opened first, who runs, who stops when.
//!
//! ```text
//!   lock ▸ store ▸ key ▸ CA ▸ admin token ▸ driver (goes on with what is stored) ▸ agents' port ▸ operators' port
//!   stop:  operators' port ▸ agents' port ▸ what they said ▸ driver ▸ store
//! ```
//!
//! Flows in: [`Settings`]. Flows out: two served ports. Must never serve before everything stored is known again.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use redeploy_trace::{Traces, TracesError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::agents::Agents;
use crate::api::{self, Api, ApiListenError, ApiListening, Gate};
pub use crate::bucket::Rate;
use crate::driver::{self, Core, Driver, Login};
use crate::durable::{self, DurableError};
use crate::exchange::{self, Exchange};
use crate::moment::{Moment, Span};
use crate::pki::{Authority, HOST_LIFE, PkiError, sha256};
use crate::private::{self, NotPrivate};
use crate::sessions::{self, HostBook, ListenError, Listening, Sessions};
use crate::store::{
    Failing, NewApiToken, OpenError, Plan, Role, SealError, Sealer, Secret, Sqlite, StoreError,
};
use crate::threads::FleetThreads;
use crate::traces::Traced;
use crate::upkeep;
use crate::views::Views;

/// What it is called in traces.
const PROGRAM: &str = "redeploy-coordinator";

/// What the coordinator is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Store, keys, certificates.
    pub data_dir: PathBuf,
    /// Where agents dial.
    pub listen: SocketAddr,
    /// Where operators call.
    pub api_listen: SocketAddr,
    /// How long a host may be silent before its node counts as unknown.
    pub grace: Span,
    /// What others may ask of it.
    pub limits: Limits,
    /// A collector of traces, `http://HOST:PORT`.
    pub otlp: Option<String>,
    /// At which commit of the driver the process is killed: only in tests.
    pub dies: Option<Plan>,
}

/// What others may ask of a coordinator, and for how long it lets them in.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How often one API token may call.
    pub calls: Rate,
    /// How long a host's certificate is good for; its agent renews it after two thirds.
    pub certificate_life: Duration,
    /// Of agents.
    pub sessions: sessions::Settings,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls: Rate { per_second: 100, burst: 500 },
            certificate_life: HOST_LIFE,
            sessions: sessions::Settings::default(),
        }
    }
}

/// It does not start. Nothing was sent to anybody.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be had.
    #[error("cannot use the data directory {path}: check that it can be made and written to", path = path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another coordinator works on it.
    #[error("another redeploy-coordinator works with {path}: stop it first", path = path.display())]
    Running {
        /// The data directory.
        path: PathBuf,
    },
    /// Traces cannot be sent where they are to be sent.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// Others can get at what it keeps.
    #[error(transparent)]
    Private(#[from] NotPrivate),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key for logins is not usable.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The certificate authority is not usable.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The admin token cannot be written.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// A port cannot be had.
    #[error("cannot listen on {address}: check that nobody else does, or choose another address")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There are no threads to be had.
    #[error("cannot start threads: check the limits of this user and of the unit (`TasksMax=`)")]
    Threads(#[source] io::Error),
    /// Agents cannot be served.
    #[error(transparent)]
    Agents(#[from] ListenError),
    /// Operators cannot be served.
    #[error(transparent)]
    Operators(#[from] ApiListenError),
}

/// A coordinator that runs.
#[derive(Debug)]
pub struct Server {
    agents: Listening,
    operators: ApiListening,
    saying: JoinHandle<()>,
    driving: JoinHandle<()>,
    driver: Driver,
    sessions: Sessions,
    upkeep: JoinHandle<()>,
    stop_driver: CancellationToken,
    ca_fingerprint: [u8; 32],
    store: Sqlite,
    traces: Option<Arc<Traces>>,
    /// Let go last: the driver and all sessions run on them.
    _fleet: FleetThreads,
    /// Kept open as long as this runs.
    _lock: File,
}

/// Whether a coordinator is alive.
#[derive(Debug, Clone)]
pub struct Pulse {
    driver: Driver,
    sessions: Sessions,
}

impl Pulse {
    /// Returns when the driver has answered, with how many hosts are connected. A store that fails is no reason to be
    /// restarted: the answer counts, whatever it is. One that is stopping never beats again.
    pub async fn beats(&self) -> usize {
        if !self.driver.answers().await {
            std::future::pending::<()>().await;
        }
        self.sessions.connected()
    }
}

/// The admin token's file in the data directory.
#[must_use]
pub fn admin_token_file(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.token")
}

/// The CA's certificate in the data directory, which operators need.
#[must_use]
pub fn ca_file(data_dir: &Path) -> PathBuf {
    data_dir.join("pki").join("ca.crt")
}

impl Server {
    /// Starts everything, in order.
    ///
    /// # Errors
    /// [`StartError`]
    pub async fn start(settings: &Settings) -> Result<Self, StartError> {
        let dir = &settings.data_dir;
        let lock = lock(dir)?;
        keep_private(dir)?;
        let store = Sqlite::open(&dir.join("store.db")).await?;
        let sealer = Arc::new(Sealer::from_file(&dir.join("seal.key"))?);
        let authority = Authority::open(&dir.join("pki"), SystemTime::now())?;
        let authority = authority.signing_for(settings.limits.certificate_life);
        first_token(dir, &store).await?;

        let book: Arc<dyn HostBook> = Arc::new(store.clone());
        let (sessions, events) = Sessions::new(authority, book, settings.limits.sessions.clone());
        let exchange = Arc::new(Exchange(sessions.clone()));
        let traces = settings.otlp.as_deref().map(|to| Traces::to(to, PROGRAM, env!("CARGO_PKG_VERSION")));
        let traces = traces.transpose()?.map(Arc::new);
        let ledger =
            Arc::new(Traced::new(Failing::deadly(Arc::new(store.clone()), settings.dies), traces.clone()));
        let mut core = Core::load(ledger, Arc::clone(&exchange), Moment::now()).await?;
        for (id, login) in logins(&store, &sealer, &core).await? {
            core.remember_login(id, login);
        }
        // Both ports are taken before anything runs, so that a failed start has done nothing.
        let fleet = FleetThreads::start().map_err(StartError::Threads)?;
        let for_agents = bind_on(&fleet, settings.listen).await?;
        let for_operators = bind(settings.api_listen).await?;

        let (driver, inputs) = driver::driver();
        let for_pulse = driver.clone();
        let views = Arc::new(Views::default());
        let stop_driver = CancellationToken::new();
        let driving = fleet.spawn(driver::run(core, inputs, Arc::clone(&views), stop_driver.clone()));
        let agents = Agents::new(store.clone(), driver.clone(), Arc::clone(&views));
        let saying = fleet.spawn(exchange::run(sessions.clone(), events, agents));
        let upkeep = tokio::spawn(upkeep::run(store.clone(), sessions.clone()));
        let (grace, gate) = (settings.grace, Gate::new(settings.limits.calls));
        let api = Api { store: store.clone(), driver, views, sealer, hosts: exchange, grace, gate };
        let ca_fingerprint = sha256(sessions.authority().certificate());
        let agents = {
            let _theirs = fleet.enter();
            sessions::listen(&sessions, for_agents)?
        };
        let operators = api::listen(Arc::new(api), sessions.authority(), for_operators)?;
        Ok(Self {
            agents,
            operators,
            saying,
            driving,
            driver: for_pulse,
            sessions,
            upkeep,
            stop_driver,
            ca_fingerprint,
            store,
            traces,
            _fleet: fleet,
            _lock: lock,
        })
    }

    /// Where agents dial.
    #[must_use]
    pub fn agents(&self) -> SocketAddr {
        self.agents.address
    }

    /// Where operators call.
    #[must_use]
    pub fn operators(&self) -> SocketAddr {
        self.operators.address
    }

    /// SHA-256 of the CA's certificate, by which operators may know this coordinator.
    #[must_use]
    pub fn ca_fingerprint(&self) -> [u8; 32] {
        self.ca_fingerprint
    }

    /// To find out whether it is alive.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        Pulse { driver: self.driver.clone(), sessions: self.sessions.clone() }
    }

    /// Waits for the driver to end by itself, which only a defect makes it do. Afterwards nothing can be stopped in
    /// order any more: end the process.
    pub async fn fell(&mut self) {
        let _ = (&mut self.driving).await;
    }

    /// Stops in order. Agents go on with what they have begun.
    pub async fn stop(self) {
        self.operators.stop().await;
        self.agents.stop().await;
        self.stop_driver.cancel();
        // Between two turns, so nothing is half stored. A task that panicked has said so.
        let _ = self.driving.await;
        self.saying.abort();
        self.upkeep.abort();
        let _ = self.saying.await;
        let _ = self.upkeep.await;
        self.store.close().await;
        if let Some(traces) = self.traces {
            // A task that panicked has said so.
            let _ = tokio::task::spawn_blocking(move || traces.close()).await;
        }
    }
}

/// Makes the directory and takes it for this process.
fn lock(dir: &Path) -> Result<File, StartError> {
    let failed = |source| StartError::DataDir { path: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    private::closed(dir)?;
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Running { path: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Everything in the data directory that is there before anything is opened.
fn keep_private(dir: &Path) -> Result<(), NotPrivate> {
    for secret in ["seal.key", "pki/ca.key", "admin.token"] {
        private::secret(&dir.join(secret))?;
    }
    for file in ["store.db", "store.db-wal", "store.db-shm", "pki"] {
        private::closed(&dir.join(file))?;
    }
    Ok(())
}

/// A listener that wakes the fleet's threads.
async fn bind_on(fleet: &FleetThreads, address: SocketAddr) -> Result<TcpListener, StartError> {
    let ended = |error| StartError::Threads(io::Error::other(error));
    fleet.spawn(bind(address)).await.map_err(ended)?
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Bind { address, source })
}

/// With no API token at all nobody could ever make one: the first is written to a file. The file comes first, so that a
/// crash in between leaves a file that is written again, and never a token that nobody knows.
async fn first_token(dir: &Path, store: &Sqlite) -> Result<(), StartError> {
    if !store.api_tokens().await?.is_empty() {
        return Ok(());
    }
    let secret = Secret::generate("rda_")?;
    let path = admin_token_file(dir);
    durable::write(&path, format!("{}\n", secret.reveal()).as_bytes())?;
    let new = NewApiToken { name: "admin".to_owned(), role: Role::Admin, envs: Vec::new(), expires_at: 0 };
    store.add_api_token(&new, &secret.hash(), Moment::now()).await?;
    tracing::info!(path = %path.display(), "an admin token was made: keep it in a safe place");
    Ok(())
}

/// The logins of deployments that are not over. One that cannot be opened is told and left out: its nodes fail at the
/// registry, and everything else goes on.
async fn logins<S: crate::store::Ledger, K: driver::Link>(
    store: &Sqlite,
    sealer: &Sealer,
    core: &Core<S, K>,
) -> Result<Vec<(crate::ids::DeploymentId, Login)>, StoreError> {
    let mut logins = Vec::new();
    for deployment in core.open() {
        let id = deployment.id;
        let Some(sealed) = store.sealed_login(id).await? else { continue };
        match sealer.open(id, &sealed).map(|text| serde_json::from_slice(&text)) {
            Ok(Ok(login)) => logins.push((id, login)),
            // What was sealed is not shown, not even by its parser.
            Ok(Err(_)) => tracing::error!(%id, "the stored registry login is not readable"),
            Err(error) => tracing::error!(%id, %error, "the stored registry login cannot be opened"),
        }
    }
    Ok(logins)
}
