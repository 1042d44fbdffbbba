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
use crate::store::{NewEvent, Sqlite, StoreError};
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
        let word = wire::preflight(&preflight);
        self.views.preflight(id, preflight);
        self.word(host, id, word, None).await
    }

    /// How an order ended. The driver acknowledges it when it is stored.
    ///
    /// # Errors
    /// [`NotBrought`]
    pub async fn report(&self, host: &HostId, id: RedeployId, report: &v1::Report) -> Result<(), NotBrought> {
        self.word(host, id, wire::report(report), Some(report.encode_to_vec())).await?;
        self.views.tally.report(id, report);
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
