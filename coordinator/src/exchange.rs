//! Between the sessions and everything else: what agents say goes to [`Agents`], what the driver orders goes to the
//! sessions, and the API gets join tokens and a way to cut hosts off.
//!
//! Flows in: events of sessions, orders. Flows out: the same, in the other's words. Must never keep anything: what
//! cannot be brought ends the session, so that its agent says it again.

use redeploy_proto::RedeployId;
use redeploy_proto::v1::ReportAck;
use redeploy_proto::v1::coordinator_message::Message;
use tokio::sync::mpsc;

use crate::agents::{Agents, NotBrought};
use crate::api::{Hosts, Refusal};
use crate::driver::{Link, Order, SessionId, wire};
use crate::ids::HostId;
use crate::sessions::{Event, SessionNumber, Sessions};
use crate::store::hash_of;

/// The sessions, as the driver and the API see them.
#[derive(Debug, Clone)]
pub struct Exchange(pub Sessions);

impl Exchange {
    /// A message that is not sent belongs to a session that is over: the next one brings it about again.
    fn tell(&self, host: &HostId, session: SessionId, message: Message) {
        if let Err(error) = self.0.send(host, SessionNumber(session), message) {
            tracing::debug!(%host, session, %error, "not sent");
        }
    }
}

impl Link for Exchange {
    fn send(&self, host: &HostId, session: SessionId, order: Order) {
        self.tell(host, session, wire::message(order));
    }

    fn acknowledge(&self, host: &HostId, session: SessionId, id: RedeployId) {
        self.tell(host, session, Message::Ack(ReportAck { redeploy_id: id.to_string() }));
    }
}

impl Hosts for Exchange {
    fn join_token(&self) -> Result<(String, Vec<u8>), Refusal> {
        let token = self.0.authority().join_token().map_err(|error| Refusal::Trouble(Box::new(error)))?;
        let text = token.reveal();
        let hash = hash_of(&text);
        Ok((text, hash))
    }

    fn cut(&self, host: &HostId) {
        self.0.cut(host);
    }
}

/// How many events are brought together at most.
const TOGETHER: usize = 256;

/// Brings what agents say to whom it concerns, until nobody says anything any more. What is said while the disk is
/// waited for is brought together next.
pub async fn run(sessions: Sessions, mut events: mpsc::Receiver<Event>, agents: Agents) {
    let mut together = Vec::with_capacity(TOGETHER);
    while events.recv_many(&mut together, TOGETHER).await > 0 {
        match agents.bring(std::mem::take(&mut together)).await {
            Ok(lost) => {
                for NotBrought { host, error } in lost {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(%host, error, "what a host said is lost; it is to say it again");
                    sessions.end(&host);
                }
            }
            // With the receiver every session ends: what was said is said again to whoever comes next.
            Err(stopping) => return tracing::info!(%stopping, "agents are not heard any more"),
        }
    }
}
