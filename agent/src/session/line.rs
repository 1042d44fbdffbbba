//! One session's stream: what was agreed on, what was said over it, with a time limit on everything.

use std::time::Duration;

use redeploy_proto::v1::agent_message::Message as Up;
use redeploy_proto::v1::coordinator_message::Message as Down;
use redeploy_proto::{PROTOCOL, v1};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::dial::{Client, DialError};
use super::host;
use super::said::Said;
use super::worker::Means;
use crate::docker::EngineError;

/// Messages that wait for the connection.
const QUEUE_MAX: usize = 32;

/// How long the coordinator may take to answer, or to read.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the engine may keep a heartbeat waiting.
const ENGINE_PATIENCE: Duration = Duration::from_secs(3);

/// Before Welcome says it.
const INVENTORY_MAX: u32 = 1000;

/// Whatever the coordinator wishes.
const HEARTBEAT_MIN: Duration = Duration::from_millis(100);
const HEARTBEAT_MAX: Duration = Duration::from_secs(600);

/// The session is over, or none came about.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The coordinator ended it, or the connection broke.
    #[error("the session ended ({code}): {message}", code = .0.code(), message = .0.message())]
    Ended(Box<Status>),
    /// It does not answer or read.
    #[error("the coordinator does not {0}")]
    Silent(&'static str),
    /// It speaks otherwise.
    #[error("the coordinator broke the protocol: {0}")]
    Broken(&'static str),
    /// There is nothing to say of this host.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A session.
pub(super) struct Line {
    pub(super) client: Client,
    pub(super) heartbeat: Duration,
    inventory_max: u32,
    up: mpsc::Sender<v1::AgentMessage>,
    down: Streaming<v1::CoordinatorMessage>,
    inventory: v1::Inventory,
    /// The reports that went over it.
    pub(super) said: Said,
}

impl Line {
    /// Says Hello and waits for Welcome.
    pub(super) async fn open(
        mut client: Client,
        means: &Means,
        open: Vec<v1::OpenOrder>,
    ) -> Result<Self, LineError> {
        let info = means.engine.info().await?;
        let inventory = host::inventory(means.engine.as_ref(), &means.data, INVENTORY_MAX).await?;
        let hello = v1::Hello {
            protocol: PROTOCOL,
            facts: Some(host::facts(&info, &means.data)),
            inventory: Some(inventory.clone()),
            open,
        };
        let (up, queue) = mpsc::channel(QUEUE_MAX);
        send(&up, Up::Hello(hello)).await?;
        let call = timeout(PATIENCE, client.session(ReceiverStream::new(queue))).await;
        let mut down = call.map_err(|_| LineError::Silent("answer"))?.map_err(ended)?.into_inner();
        let first =
            timeout(PATIENCE, receive(&mut down)).await.map_err(|_| LineError::Silent("answer"))??;
        let Down::Welcome(welcome) = first else { return Err(LineError::Broken("Welcome comes first")) };
        if welcome.protocol != PROTOCOL {
            return Err(LineError::Broken("it speaks a protocol this agent does not know"));
        }
        Ok(Self {
            client,
            heartbeat: Duration::from_millis(welcome.heartbeat_ms).clamp(HEARTBEAT_MIN, HEARTBEAT_MAX),
            inventory_max: welcome.inventory_max.min(INVENTORY_MAX),
            up,
            down,
            inventory,
            said: Said::default(),
        })
    }

    /// The next message down. May be dropped half way: nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Down, LineError> {
        receive(&mut self.down).await
    }

    /// Says something.
    pub(super) async fn say(&self, message: Up) -> Result<(), LineError> {
        send(&self.up, message).await
    }

    /// Says all of it.
    pub(super) async fn say_all(&self, messages: Vec<Up>) -> Result<(), LineError> {
        for message in messages {
            self.say(message).await?;
        }
        Ok(())
    }

    /// Heartbeat, and the inventory if it changed.
    pub(super) async fn beat(&mut self, means: &Means) -> Result<(), LineError> {
        // An engine that does not answer is no reason to be silent: the host lives.
        let (engine, data) = (means.engine.as_ref(), &means.data);
        let facts =
            host::facts_within(engine, data, self.heartbeat.clamp(HEARTBEAT_MIN, ENGINE_PATIENCE)).await;
        let is_silent = facts.is_none();
        let facts =
            facts.unwrap_or_else(|| v1::HostFacts { host_name: host::name(), ..v1::HostFacts::default() });
        self.say(Up::Heartbeat(v1::Heartbeat { facts: Some(facts) })).await?;
        if is_silent {
            return Ok(());
        }
        let Some(inventory) = host::inventory_within(engine, data, self.inventory_max, PATIENCE).await else {
            return Ok(());
        };
        if inventory != self.inventory {
            self.inventory = inventory.clone();
            self.say(Up::Inventory(inventory)).await?;
        }
        Ok(())
    }
}

async fn send(up: &mpsc::Sender<v1::AgentMessage>, message: Up) -> Result<(), LineError> {
    let sent = timeout(PATIENCE, up.send(v1::AgentMessage { message: Some(message) })).await;
    let sent = sent.map_err(|_| LineError::Silent("read"))?;
    sent.map_err(|_| ended(Status::unavailable("the connection is closed")))
}

async fn receive(down: &mut Streaming<v1::CoordinatorMessage>) -> Result<Down, LineError> {
    loop {
        match down.message().await.map_err(ended)? {
            Some(v1::CoordinatorMessage { message: Some(message) }) => return Ok(message),
            Some(v1::CoordinatorMessage { message: None }) => {
                tracing::warn!("a message of a newer protocol is ignored");
            }
            None => return Err(ended(Status::unavailable("the coordinator ended the session"))),
        }
    }
}

fn ended(status: Status) -> LineError {
    LineError::Ended(Box::new(status))
}
