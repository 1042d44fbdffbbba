//! The one loop that changes deployments: it takes what was heard and ordered, decides, stores, and only then sends.
//!
//! Flows in: [`Input`]s through a bounded queue, and the time. Flows out: orders through the narrow [`Link`], which
//! the sessions implement, and views of what it did. Must never send what is not stored, nor acknowledge a report
//! that is not.

mod changes;
mod core;
mod order;
#[cfg(test)]
mod tests;
pub mod wire;

use std::sync::Arc;
use std::time::Duration;

use redeploy_proto::RedeployId;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::deployment::{Command, CommandRefused, Deployment, Report};
use crate::ids::{DeploymentId, HostId};
use crate::moment::Moment;
use crate::store::{Ledger, NewDeployment, StoreError};
use crate::views::Views;

pub use self::core::Core;
pub use order::{Image, Login, Order, OrderKind};

/// How many inputs may wait. Who brings more waits with them.
const QUEUE: usize = 1024;

/// How many inputs are stored together at most.
const TOGETHER: usize = 256;

/// How long a store that failed is left alone.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// How long the loop sleeps at most.
const NAP_MAX: Duration = Duration::from_secs(60);

/// One session of a host: of two, the greater number is the newer.
pub type SessionId = u64;

/// How agents are told. What cannot be delivered is dropped: it is said again in the host's next session.
pub trait Link: Send + Sync {
    /// Sends an order, if this session is still the host's.
    fn send(&self, host: &HostId, session: SessionId, order: Order);

    /// Says that a report is stored, if this session is still the host's.
    fn acknowledge(&self, host: &HostId, session: SessionId, id: RedeployId);
}

/// Something the driver has to know.
#[derive(Debug)]
pub enum Input {
    /// A host opened a session.
    HostUp {
        /// Which.
        host: HostId,
        /// Its session. Nothing was sent in it yet.
        session: SessionId,
        /// The orders its agent knows of.
        open: Vec<RedeployId>,
    },
    /// A session ended.
    HostDown {
        /// Whose.
        host: HostId,
        /// Which.
        session: SessionId,
    },
    /// An agent said something about an order.
    Word {
        /// Who.
        host: HostId,
        /// About which.
        id: RedeployId,
        /// What.
        report: Report,
        /// As it came, to be kept. Only of one that ended.
        raw: Option<Vec<u8>>,
    },
    /// A new deployment.
    Create {
        /// Complete, with all ids.
        deployment: Box<Deployment>,
        /// What is stored with it.
        new: NewDeployment,
        /// Its login, not sealed.
        login: Option<Login>,
        /// If the group is busy: wait. Otherwise refused.
        queue: bool,
        /// Who asked.
        reply: oneshot::Sender<Result<Deployment, Refused>>,
    },
    /// An operator's order.
    Order {
        /// About which deployment.
        id: DeploymentId,
        /// What.
        command: Command,
        /// The token's name.
        by: String,
        /// Who asked.
        reply: oneshot::Sender<Result<Deployment, Refused>>,
    },
}

/// A request the driver did not carry out.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The deployment's state does not allow it.
    #[error(transparent)]
    State(#[from] CommandRefused),
    /// The group is busy.
    #[error(
        "deployment {} of this group is {phase}: wait for it, `queue` behind it, or end it with `cancel`", .id.short()
    )]
    Busy {
        /// The one at work.
        id: DeploymentId,
        /// Where it stands.
        phase: &'static str,
    },
    /// There is no such deployment.
    #[error("there is no deployment {0}")]
    Unknown(DeploymentId),
    /// It was not stored, so it did not happen.
    #[error("it could not be stored, so nothing happened")]
    Store(#[source] Arc<StoreError>),
    /// The coordinator is stopping.
    #[error("the coordinator is stopping")]
    Stopping,
}

/// How the rest of the program reaches the driver.
#[derive(Debug, Clone)]
pub struct Driver {
    inputs: mpsc::Sender<Input>,
}

/// The other end, for the one who runs the loop.
#[derive(Debug)]
pub struct Inputs(mpsc::Receiver<Input>);

/// A driver's handle and its inbox.
#[must_use]
pub fn driver() -> (Driver, Inputs) {
    let (inputs, receiver) = mpsc::channel(QUEUE);
    (Driver { inputs }, Inputs(receiver))
}

#[cfg(test)]
impl Inputs {
    /// Everything that was brought.
    pub(crate) fn all(mut self) -> Vec<Input> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

impl Driver {
    /// Whether the loop still takes anything.
    #[must_use]
    pub fn runs(&self) -> bool {
        !self.inputs.is_closed()
    }

    /// Brings an input. Waits while the queue is full; `Stopping` when nobody takes it any more.
    ///
    /// # Errors
    /// [`Refused::Stopping`]
    pub async fn bring(&self, input: Input) -> Result<(), Refused> {
        self.inputs.send(input).await.map_err(|_| Refused::Stopping)
    }

    /// Orders something and waits for the answer.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn order(&self, id: DeploymentId, command: Command, by: String) -> Result<Deployment, Refused> {
        let (reply, answer) = oneshot::channel();
        self.bring(Input::Order { id, command, by, reply }).await?;
        answer.await.map_err(|_| Refused::Stopping)?
    }

    /// Waits until the loop has taken its turn, by an order about no deployment; `false` if it has ended.
    pub async fn answers(&self) -> bool {
        let asked = self.order(DeploymentId::generate(), Command::Resume, String::new()).await;
        !matches!(asked, Err(Refused::Stopping))
    }

    /// Creates a deployment and waits for the answer.
    ///
    /// # Errors
    /// [`Refused`]
    pub async fn create(
        &self,
        deployment: Deployment,
        new: NewDeployment,
        login: Option<Login>,
        queue: bool,
    ) -> Result<Deployment, Refused> {
        let (reply, answer) = oneshot::channel();
        let deployment = Box::new(deployment);
        self.bring(Input::Create { deployment, new, login, queue, reply }).await?;
        answer.await.map_err(|_| Refused::Stopping)?
    }
}

/// Runs until told to stop.
pub async fn run<S: Ledger, K: Link>(
    mut core: Core<S, K>,
    mut inputs: Inputs,
    views: Arc<Views>,
    stop: CancellationToken,
) {
    let mut batch = Vec::with_capacity(TOGETHER);
    loop {
        let now = Moment::now();
        let nap = match core.take(std::mem::take(&mut batch), now, &views).await {
            Ok(wake_at) => wake_at.map_or(NAP_MAX, |at| Duration::from(now.until(at)).min(NAP_MAX)),
            Err(error) => {
                tracing::error!(
                    error = error.as_ref() as &dyn std::error::Error,
                    "the store fails; trying again"
                );
                STORE_PAUSE
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            count = inputs.0.recv_many(&mut batch, TOGETHER) => if count == 0 { return },
            () = tokio::time::sleep(nap) => {}
        }
    }
}
