//! Between the sessions and everything else: what agents say goes to [`Agents`], what the driver orders goes to the
//! sessions, and the API gets join tokens and a way to cut hosts off.
//!
//! Flows in: events of sessions, orders. Flows out: the same, in the other's words. Must never keep anything: what
//! cannot be brought ends the session, so that its agent says it again.

use redeploy_proto::v1::ReportAck;
use redeploy_proto::v1::coordinator_message::Message;
use redeploy_proto::{RedeployId, v1};
use tokio::sync::mpsc;

use crate::agents::{Agents, NotBrought};
use crate::api::{Hosts, Refusal};
use crate::driver::{Link, Order, SessionId, wire};
use crate::ids::HostId;
use crate::sessions::{Event, Said, SessionNumber, Sessions};
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

/// Brings what agents say to whom it concerns, until nobody says anything any more.
pub async fn run(sessions: Sessions, mut events: mpsc::Receiver<Event>, agents: Agents) {
    while let Some(event) = events.recv().await {
        let host = host_of(&event).clone();
        if let Err(error) = bring(&agents, event).await {
            tracing::error!(%host, error = &error as &dyn std::error::Error, "what a host said is lost; it is to say it again");
            sessions.end(&host);
        }
    }
}

fn host_of(event: &Event) -> &HostId {
    match event {
        Event::Connected { host, .. } | Event::Said { host, .. } | Event::Lost { host, .. } => host,
    }
}

async fn bring(agents: &Agents, event: Event) -> Result<(), NotBrought> {
    match event {
        Event::Connected { host, session, address, hello, open } => {
            // Whether one has ended does not matter here: its report comes by itself.
            let open = open.into_iter().map(|(id, _)| id).collect();
            agents.connected(&host, session.0, address, &hello, open).await
        }
        Event::Said { host, said } => said_by(agents, &host, said).await,
        Event::Lost { host, session } => agents.lost(&host, session.0).await,
    }
}

async fn said_by(agents: &Agents, host: &HostId, said: Said) -> Result<(), NotBrought> {
    match said {
        Said::Heartbeat(facts) => agents.heartbeat(host, &facts).await,
        Said::Inventory(inventory) => agents.inventory(host, &inventory).await,
        Said::Accepted(id) => agents.accepted(host, id).await,
        Said::Progress(id, progress) => {
            agents.progress(id, progress);
            Ok(())
        }
        Said::Preflight(id, preflight) => agents.preflight(host, id, v1::Preflight::clone(&preflight)).await,
        Said::Report(id, report) => agents.report(host, id, &report).await,
    }
}
