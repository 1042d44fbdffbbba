//! What agents said, brought to whom it concerns: facts and inventories to the store, words about orders to the
//! driver, progress to the views.
//!
//! Flows in: messages of one host each, in the order in which it said them. Flows out: rows, inputs, views. Must never
//! take a host's name from a message: it is the one its session belongs to.

use std::net::SocketAddr;
use std::sync::Arc;

use prost::Message;
use redeploy_proto::{RedeployId, v1};

use crate::deployment::Report;
use crate::driver::{Driver, Input, Refused, SessionId, wire};
use crate::ids::HostId;
use crate::moment::Moment;
use crate::store::{LocalReport, NewEvent, Sqlite, StoreError};
use crate::views::Views;

/// Brings what agents say to whom it concerns.
#[derive(Debug, Clone)]
pub struct Agents {
    store: Sqlite,
    driver: Driver,
    views: Arc<Views>,
}

/// It was not brought. The agent says it again: in its next session, or until it is acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum NotBrought {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The driver is stopping.
    #[error(transparent)]
    Driver(#[from] Refused),
}

impl Agents {
    /// Between these.
    #[must_use]
    pub fn new(store: Sqlite, driver: Driver, views: Arc<Views>) -> Self {
        Self { store, driver, views }
    }

    /// A host opened a session. Its inventory is stored before anything is decided for its nodes.
    ///
    /// # Errors
    /// [`NotBrought`]
    pub async fn connected(
        &self,
        host: &HostId,
        session: SessionId,
        address: Option<SocketAddr>,
        hello: &v1::Hello,
        open: Vec<RedeployId>,
    ) -> Result<(), NotBrought> {
        let facts = hello.facts.as_ref().map(Message::encode_to_vec);
        let address = address.map(|address| address.to_string());
        let now = Moment::now();
        self.store.host_seen(host, now, address.as_deref(), facts.as_deref()).await?;
        if let Some(inventory) = &hello.inventory {
            self.inventory(host, inventory).await?;
        }
        self.tell(host, "host.connected", now).await?;
        self.views.connected(host.clone(), session);
        Ok(self.driver.bring(Input::HostUp { host: host.clone(), session, open }).await?)
    }

    /// A session ended.
    ///
    /// # Errors
    /// [`NotBrought`]
    pub async fn lost(&self, host: &HostId, session: SessionId) -> Result<(), NotBrought> {
        self.views.disconnected(host, session);
        // First the driver: the store may fail.
        self.driver.bring(Input::HostDown { host: host.clone(), session }).await?;
        if !self.views.is_connected(host) {
            self.tell(host, "host.lost", Moment::now()).await?;
        }
        Ok(())
    }

    async fn tell(&self, host: &HostId, kind: &str, at: Moment) -> Result<(), StoreError> {
        let event = NewEvent {
            kind: kind.to_owned(),
            host: host.to_string(),
            by: "agent".to_owned(),
            ..NewEvent::default()
        };
        self.store.add_event(&event, at).await?;
        self.views.stored();
        Ok(())
    }

    /// It is there, and this is how its host does.
    ///
    /// # Errors
    /// [`NotBrought`]
    pub async fn heartbeat(&self, host: &HostId, facts: &v1::HostFacts) -> Result<(), NotBrought> {
        let facts = facts.encode_to_vec();
        Ok(self.store.host_seen(host, Moment::now(), None, Some(&facts)).await?)
    }

    /// What it has, completely.
    ///
    /// # Errors
    /// [`NotBrought`]
    pub async fn inventory(&self, host: &HostId, inventory: &v1::Inventory) -> Result<(), NotBrought> {
        let seen: Vec<_> = inventory.containers.iter().map(wire::seen).collect();
        self.store.take_inventory(host, &seen, Moment::now()).await?;
        self.views.stored();
        Ok(())
    }

    /// An order is written down on the host.
    ///
    /// # Errors
    /// [`NotBrought`]
    pub async fn accepted(&self, host: &HostId, id: RedeployId) -> Result<(), NotBrought> {
        self.word(host, id, Report::AtWork, None).await
    }

    /// How far an order is.
    pub fn progress(&self, id: RedeployId, progress: v1::Progress) {
        self.views.progress(id, progress);
    }

    /// A preflight's outcome.
    ///
    /// # Errors
    /// [`NotBrought`]
    pub async fn preflight(
        &self,
        host: &HostId,
        id: RedeployId,
        preflight: v1::Preflight,
    ) -> Result<(), NotBrought> {
        let Some(preflight) = self.views.questions.answered(host, id, preflight) else { return Ok(()) };
        let word = wire::preflight(&preflight);
        // The text of a plan is long, and a group may have thousands of nodes.
        self.views.preflight(id, v1::Preflight { plan_text: String::new(), ..preflight });
        self.word(host, id, word, None).await
    }

    /// How an order ended. The driver acknowledges it when it is stored.
    ///
    /// # Errors
    /// [`NotBrought`]
    pub async fn report(&self, host: &HostId, id: RedeployId, report: &v1::Report) -> Result<(), NotBrought> {
        // Before the driver, which acknowledges it.
        if report.is_local && self.store.deployment_of(id).await?.is_none() {
            self.local(host, id, report).await?;
        }
        self.word(host, id, wire::report(report), Some(report.encode_to_vec())).await
    }

    /// What a command on a host did becomes an event, and the last redeploy of its node.
    async fn local(&self, host: &HostId, id: RedeployId, report: &v1::Report) -> Result<(), NotBrought> {
        let raw = report.encode_to_vec();
        let event = NewEvent {
            kind: local_kind(report).to_owned(),
            host: host.to_string(),
            redeploy: id.to_string(),
            by: "agent".to_owned(),
            text: local_text(report),
            ..NewEvent::default()
        };
        let ended_at = report.ended_at_ms;
        let local = LocalReport { host, id, container: &report.container, ended_at, raw: &raw };
        if self.store.add_local_report(&local, event, Moment::now()).await? {
            self.views.stored();
        }
        Ok(())
    }

    async fn word(
        &self,
        host: &HostId,
        id: RedeployId,
        report: Report,
        raw: Option<Vec<u8>>,
    ) -> Result<(), NotBrought> {
        Ok(self.driver.bring(Input::Word { host: host.clone(), id, report, raw }).await?)
    }
}

fn local_kind(report: &v1::Report) -> &'static str {
    match report.kind() {
        v1::RedeployKind::Revert => "node.local_revert",
        v1::RedeployKind::Redeploy | v1::RedeployKind::Unspecified => "node.local_redeploy",
    }
}

/// For people: what a command on a host did.
fn local_text(report: &v1::Report) -> String {
    let failure = report.failure.clone().unwrap_or_default();
    let how = match report.verdict() {
        v1::Verdict::Done => "done".to_owned(),
        v1::Verdict::DoneUntidy => "done, and not tidied up yet".to_owned(),
        v1::Verdict::Undone => format!("failed and was undone: {}", failure.reason),
        v1::Verdict::Stuck => {
            format!("is stuck, a human is needed: {}; its undo: {}", failure.reason, failure.stuck)
        }
        v1::Verdict::Refused => format!("refused: {}", report.refusals.join("; ")),
        v1::Verdict::Unspecified => "ended, and its report does not say how".to_owned(),
    };
    let (container, from, to) = (&report.container, &report.from_image, &report.to_image);
    format!("{container}: a command on its host, from {from} to {to}: {how}")
}
