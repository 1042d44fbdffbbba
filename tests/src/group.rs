//! A coordinator's agent side in the test's own process, with its real store, CA and TLS on a free port, and agents
//! that dial it.
//!
//! Flows in: a directory. Flows out: what agents said. The driver is the test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use redeploy_agent::session::{self, Address, Identity, Means, RunError};
use redeploy_coordinator::ids::HostId;
use redeploy_coordinator::moment::Moment;
use redeploy_coordinator::pki::{Authority, HOST_LIFE};
use redeploy_coordinator::sessions::{
    Event, HostBook, Listening, Said, SessionNumber, Sessions, Settings, listen,
};
use redeploy_coordinator::store::{JoinTokenRow, Sqlite, hash_of};
use redeploy_proto::v1::coordinator_message::Message;
use redeploy_proto::{JoinToken, RedeployId, v1};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::wait::PATIENCE;

/// Short, so that a lost session is noticed soon.
const HEARTBEAT: Duration = Duration::from_millis(200);
const GRACE: Duration = Duration::from_secs(5);

/// A coordinator without a driver.
pub struct Coordinator {
    /// Its store.
    pub store: Arc<Sqlite>,
    /// Its sessions.
    pub sessions: Sessions,
    events: mpsc::Receiver<Event>,
    newest: Option<(HostId, SessionNumber)>,
    listening: Option<Listening>,
    address: SocketAddr,
}

impl Coordinator {
    /// Started in `dir`, on a free port.
    ///
    /// # Errors
    /// It cannot start.
    pub async fn start(dir: &Path) -> Result<Self> {
        Self::start_at(dir, "127.0.0.1:0".parse()?, HOST_LIFE).await
    }

    /// One whose certificates are good for so long.
    ///
    /// # Errors
    /// It cannot start.
    pub async fn signing_for(dir: &Path, life: Duration) -> Result<Self> {
        Self::start_at(dir, "127.0.0.1:0".parse()?, life).await
    }

    async fn start_at(dir: &Path, address: SocketAddr, life: Duration) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let store = Arc::new(Sqlite::open(&dir.join("store.db")).await?);
        let authority = Authority::open(&dir.join("pki"), SystemTime::now())?.signing_for(life);
        let settings = Settings { heartbeat: HEARTBEAT, grace: GRACE, ..Settings::default() };
        let book: Arc<dyn HostBook> = Arc::clone(&store) as _;
        let (sessions, events) = Sessions::new(authority, book, settings);
        let listener = TcpListener::bind(address).await?;
        let listening = listen(&sessions, listener)?;
        let address = listening.address;
        Ok(Self { store, sessions, events, newest: None, listening: Some(listening), address })
    }

    /// Stops, and gives what is needed to start it again at the same place.
    pub async fn stop(mut self) -> SocketAddr {
        if let Some(listening) = self.listening.take() {
            listening.stop().await;
        }
        self.store.close().await;
        self.address
    }

    /// Starts one again that was stopped.
    ///
    /// # Errors
    /// It cannot start.
    pub async fn restart(dir: &Path, address: SocketAddr) -> Result<Self> {
        Self::start_at(dir, address, HOST_LIFE).await
    }

    /// Where agents dial.
    #[must_use]
    pub fn address(&self) -> Address {
        Address { host: self.address.ip().to_string(), port: self.address.port() }
    }

    /// Where strangers dial.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        self.address
    }

    /// A stored join token that is good for so long.
    ///
    /// # Errors
    /// The store refused.
    pub async fn token(&self, good_for: Duration) -> Result<JoinToken> {
        let token = self.sessions.authority().join_token()?;
        let now = Moment::now();
        let row = JoinTokenRow {
            token_id: RedeployId::generate().to_string(),
            comment: String::new(),
            created_at: now.0,
            created_by: "test".to_owned(),
            expires_at: now.0 + i64::try_from(good_for.as_millis())?,
            used_by: None,
            revoked_at: None,
        };
        self.store.add_join_token(&row, &hash_of(&token.reveal())).await?;
        Ok(token)
    }

    /// A host that has joined, with its data in `data_dir`.
    ///
    /// # Errors
    /// It could not.
    pub async fn joined(&self, data_dir: &Path) -> Result<HostId> {
        let token = self.token(Duration::from_secs(60)).await?;
        let data = redeploy_agent::paths::DataDir::new(data_dir);
        let identity: Identity = session::join(&data, &self.address(), &token).await?;
        Ok(identity.host_id.parse()?)
    }

    /// The next event for which `pick` has an answer; others are passed over.
    ///
    /// # Errors
    /// It did not come in time.
    pub async fn until<T>(&mut self, what: &str, mut pick: impl FnMut(Event) -> Option<T>) -> Result<T> {
        let waiting = async {
            while let Some(event) = self.events.recv().await {
                if let Some(picked) = pick(event) {
                    return Ok(picked);
                }
            }
            bail!("the sessions ended")
        };
        tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| anyhow!("waited for {what}"))?
    }

    /// The next session, with what it said first.
    ///
    /// # Errors
    /// None came.
    pub async fn connected(&mut self) -> Result<(HostId, v1::Hello, Vec<(RedeployId, bool)>)> {
        let (host, session, hello, open) = self
            .until("a session", |event| match event {
                Event::Connected { host, session, hello, open, .. } => Some((host, session, *hello, open)),
                Event::Said { .. } | Event::Lost { .. } => None,
            })
            .await?;
        self.newest = Some((host.clone(), session));
        Ok((host, hello, open))
    }

    /// Says something to the host that connected last.
    ///
    /// # Errors
    /// That session is over.
    pub fn say(&self, message: Message) -> Result<()> {
        let (host, session) = self.newest.as_ref().context("no host has connected")?;
        Ok(self.sessions.send(host, *session, message)?)
    }

    /// The next report of this redeploy.
    ///
    /// # Errors
    /// None came.
    pub async fn report(&mut self, id: RedeployId) -> Result<v1::Report> {
        self.until("a report", |event| match event {
            Event::Said { said: Said::Report(of, report), .. } if of == id => Some(*report),
            Event::Said { .. } | Event::Connected { .. } | Event::Lost { .. } => None,
        })
        .await
    }

    /// Says that a report is stored.
    ///
    /// # Errors
    /// The session is over.
    pub fn acknowledge(&self, id: RedeployId) -> Result<()> {
        self.say(Message::Ack(v1::ReportAck { redeploy_id: id.to_string() }))
    }
}

/// `redeploy-agent run`, in this process.
pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
    /// Its data.
    pub data_dir: PathBuf,
}

impl Running {
    /// Starts it.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn start(data_dir: &Path) -> Result<Self> {
        Self::start_settling(data_dir, Duration::from_millis(100)).await
    }

    /// Starts one whose containers must run for so long before they count as well.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn start_settling(data_dir: &Path, settle_time: Duration) -> Result<Self> {
        let mut agent = crate::in_process::agent(data_dir, &[]).await?;
        agent.config.settle_time = settle_time;
        let means =
            Means { engine: agent.engine, config: agent.config, data: agent.data, faults: agent.faults };
        let stop = CancellationToken::new();
        let task = tokio::spawn(session::run(means, stop.clone()));
        Ok(Self { stop, task, data_dir: data_dir.to_owned() })
    }

    /// Stops it, and says how it ended.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(self) -> Result<Result<(), RunError>> {
        self.stop.cancel();
        self.ended().await
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// It does not.
    pub async fn ended(self) -> Result<Result<(), RunError>> {
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended.context("the agent did not end")?.context("the agent panicked")
    }
}

/// The order to redeploy `container` to `image`.
#[must_use]
pub fn order(id: RedeployId, generation: u64, container: &str, image: &str) -> v1::RedeployOrder {
    v1::RedeployOrder {
        redeploy_id: id.to_string(),
        node_id: 1,
        generation,
        container: container.to_owned(),
        image: Some(v1::ImageRef { reference: image.to_owned(), digest: String::new() }),
        options: Some(v1::RedeployOptions {
            verify_timeout_ms: 20_000,
            pull: v1::PullPolicy::Never.into(),
            ..v1::RedeployOptions::default()
        }),
        deadline_ms: 60_000,
        ..v1::RedeployOrder::default()
    }
}
