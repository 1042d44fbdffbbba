//! Reads what one agent says, until it says nothing any more.
//!
//! Flows in: a stream of messages. Flows out: events, in order, ended by `Lost` unless a newer session took over. Must
//! never pass anything on after the session was ended.

use std::sync::Arc;
use std::time::Instant;

use redeploy_proto::v1::AgentMessage;
use tokio::time::{sleep, timeout};
use tonic::{Status, Streaming};

use super::Shared;
use super::event::{Event, Said, SessionNumber, said};
use super::line::Line;
use crate::bucket::{Bucket, Wait};
use crate::ids::HostId;

pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) host: HostId,
    pub(super) number: SessionNumber,
    pub(super) up: Streaming<AgentMessage>,
    pub(super) line: Line,
}

impl Reader {
    pub(super) async fn run(mut self, connected: Event) {
        tracing::info!(host = %self.host, session = self.number.0, "a session began");
        let mut why = stops();
        if self.shared.events.send(connected).await.is_ok() {
            why = self.read().await;
        }
        tracing::info!(host = %self.host, session = self.number.0, why = why.message(), "a session ended");
        // With the registration the stream down ends too.
        if self.shared.registry.forget(&self.host, self.number, why) {
            let lost = Event::Lost { host: self.host, session: self.number };
            // Nobody listens any more when the coordinator stops.
            let _ = self.shared.events.send(lost).await;
        }
    }

    /// Until it ends; why it ended.
    async fn read(&mut self) -> Status {
        let settings = &self.shared.settings;
        let (grace, inventory_max, pace) = (settings.grace, settings.inventory_max, settings.words);
        let mut bucket = Bucket::new(Instant::now());
        loop {
            let message = tokio::select! {
                biased;
                why = self.line.ended() => return why,
                message = timeout(grace, self.up.message()) => message,
            };
            let message = match message {
                Err(_) => return Status::deadline_exceeded("it was silent for too long"),
                Ok(Err(status)) => return status,
                Ok(Ok(None)) => return Status::cancelled("the agent ended it"),
                Ok(Ok(Some(message))) => message,
            };
            if let Err(Wait(wait)) = bucket.take(pace, Instant::now()) {
                // What it says next waits in the network, and then in the agent.
                tokio::select! {
                    biased;
                    why = self.line.ended() => return why,
                    () = sleep(wait) => {}
                }
            }
            match said(message, inventory_max) {
                Ok(said) => {
                    if !self.pass(said).await {
                        return stops();
                    }
                }
                Err(error) => return Status::invalid_argument(error.to_string()),
            }
        }
    }

    async fn pass(&mut self, said: Said) -> bool {
        let event = Event::Said { host: self.host.clone(), said };
        tokio::select! {
            biased;
            // Whoever was cut off has nothing more to say, also not what was already read.
            _ = self.line.ended() => true,
            sent = self.shared.events.send(event) => sent.is_ok(),
        }
    }
}

fn stops() -> Status {
    Status::unavailable("the coordinator stops")
}
