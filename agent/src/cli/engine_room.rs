//! Everything an order needs around it: root, the lock, the engine, somebody who shows what happens, and ears for
//! signals. Opened in that order, so that who may not or must not is told before anything is asked of the engine.

use std::future::Future;
use std::sync::Arc;

use indicatif::MultiProgress;
use jiff::Timestamp;
use redeploy_agent::config::Config;
use redeploy_agent::docker::{EngineError, HostView, RealEngine};
use redeploy_agent::lock::{Lock, LockError};
use redeploy_agent::orders::{Agent, Refused};
use redeploy_agent::paths::DataDir;
use redeploy_agent::progress::Audience;
use redeploy_agent::report::Report;
use redeploy_agent::saga::Faults;
use tokio_util::sync::CancellationToken;

use super::Screen;
use super::json::Json;
use super::lines::Lines;
use super::live::Live;
use super::stopping::{Listening, Manner, listen};
use super::teller::{Presenter, Showing, Teller, teller};

/// What kind of order it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Changes nothing: no lock, and signals end it at once.
    Looks,
    /// Changes things in one quick go that can be repeated: signals end it at once.
    Tidies,
    /// A saga: signals turn it back.
    Acts,
    /// Ends sagas: signals do not matter.
    Recovers,
}

/// An agent, ready.
pub(crate) struct Room {
    pub(crate) agent: Agent,
    teller: Arc<Teller>,
    showing: Showing,
    listening: Option<Listening>,
    lock: Option<Lock>,
}

/// What has been heard when it is over.
pub(crate) struct Heard {
    /// The reports, in order.
    pub(crate) reports: Vec<Report>,
    /// Did any step begin?
    pub(crate) has_begun: bool,
}

/// Nothing was begun.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOpened {
    /// The file systems of containers are root's.
    #[error(
        "this needs root: the agent opens the file systems of containers and keeps their data. Run it with sudo, or \
         as a service"
    )]
    NotRoot,
    /// Another process is at work.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The engine cannot be worked with.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The kernel does not deliver signals, so a redeploy could not be stopped.
    #[error("cannot listen to signals")]
    Signals(#[source] std::io::Error),
}

impl Room {
    /// Opens it.
    ///
    /// # Errors
    /// [`NotOpened`]
    pub(crate) async fn open(
        kind: Kind,
        config: Config,
        screen: &Screen,
        json: bool,
        faults: Faults,
    ) -> Result<Self, NotOpened> {
        if !rustix::process::geteuid().is_root() {
            return Err(NotOpened::NotRoot);
        }
        let data = DataDir::new(&config.data_dir);
        let lock = match kind {
            Kind::Looks => None,
            Kind::Tidies | Kind::Acts | Kind::Recovers => Some(Lock::take(&data)?),
        };
        let engine = Arc::new(RealEngine::connect(&config.docker_socket, HostView::detect()).await?);
        let cancel = CancellationToken::new();
        let progress = screen.start(&config, json);
        let listening = match kind {
            Kind::Looks | Kind::Tidies => None,
            Kind::Acts => Some(listen(Manner::GoBack, cancel.clone(), progress.clone())),
            Kind::Recovers => Some(listen(Manner::GoOn, cancel.clone(), progress.clone())),
        };
        let listening = listening.transpose().map_err(NotOpened::Signals)?;
        let (teller, showing) = teller(presenter(screen, progress, json));
        let audience: Arc<dyn Audience> = Arc::clone(&teller) as Arc<dyn Audience>;
        let agent = Agent { engine, config, data, audience, cancel, faults };
        Ok(Self { agent, teller, showing, listening, lock })
    }

    /// Waits for an order; a signal that comes before its plan stands ends it at once, as nothing has begun.
    ///
    /// # Errors
    /// Those of the order, or [`Refused::Cancelled`].
    pub(crate) async fn until_stopped<T>(
        &self,
        order: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, Refused> {
        let mut order = Box::pin(order);
        tokio::select! {
            biased;
            result = &mut order => return result,
            () = self.agent.cancel.cancelled() => {}
        }
        // Between the agent's own look at the signal and its telling of the plan it does not wait for anything: a
        // saga that has begun is known here.
        if self.teller.is_planned() { order.await } else { Err(Refused::Cancelled) }
    }

    /// Lets everything told be shown, and gives the screen back. The lock goes first: somebody who reads slowly keeps
    /// nobody else from working.
    pub(crate) async fn close(self) -> Heard {
        let Self { agent, teller, showing, lock, listening } = self;
        drop((agent, lock));
        let heard = Heard { reports: teller.take_reports(), has_begun: teller.has_begun() };
        // The news of a thread that ended abnormally are lost; what is to be printed now is not.
        let _ = tokio::task::spawn_blocking(move || showing.finish()).await;
        drop(listening);
        heard
    }
}

fn presenter(screen: &Screen, progress: MultiProgress, json: bool) -> Box<dyn Presenter> {
    if json {
        Box::new(Json::new(std::io::stdout()))
    } else if screen.is_live {
        Box::new(Live::new(progress, screen.color_err))
    } else {
        Box::new(Lines::new(std::io::stderr(), Timestamp::now))
    }
}
