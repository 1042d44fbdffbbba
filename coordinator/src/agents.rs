//! What agents said, brought to whom it concerns: facts and inventories to the store, words about orders to the
//! driver, progress to the views.
//!
//! Flows in: events of sessions, many at once, in the order in which each host said them. Flows out: one stored batch,
//! then inputs; views. Must never decide anything for a node before its host's inventory is stored.

mod heard;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

pub use self::heard::Heard;
use crate::driver::{Driver, Input, Refused};
use crate::ids::HostId;
use crate::moment::Moment;
use crate::sessions::Event;
use crate::store::{HostNews, Sqlite, StoreError};
use crate::views::Views;

/// Brings what agents say to whom it concerns.
#[derive(Debug, Clone)]
pub struct Agents {
    store: Sqlite,
    driver: Driver,
    views: Arc<Views>,
}

/// What this host said is lost: it has to say it again.
#[derive(Debug)]
pub struct NotBrought {
    /// Whose.
    pub host: HostId,
    /// Why.
    pub error: StoreError,
}

impl Agents {
    /// Between these.
    #[must_use]
    pub fn new(store: Sqlite, driver: Driver, views: Arc<Views>) -> Self {
        Self { store, driver, views }
    }

    /// Brings what was said, and tells whose words the store did not take.
    ///
    /// # Errors
    /// [`Refused::Stopping`]: nobody listens any more.
    pub async fn bring(&self, events: Vec<Event>) -> Result<Vec<NotBrought>, Refused> {
        let mut heard = Heard::default();
        for event in events {
            heard.take(event, &self.views);
        }
        let lost = self.keep(&heard.news).await;
        if !heard.news.is_empty() {
            self.views.stored();
        }
        let silenced: HashSet<&HostId> = lost.iter().map(|lost| &lost.host).collect();
        for (host, input) in heard.inputs {
            // That a session ended is so whatever the store does.
            if !silenced.contains(&host) || matches!(input, Input::HostDown { .. }) {
                self.driver.bring(input).await?;
            }
        }
        Ok(lost)
    }

    /// Stores all news with one wait for the disk. If that fails, each host's alone, so that only those are lost that
    /// the store does not take.
    async fn keep(&self, news: &BTreeMap<HostId, HostNews>) -> Vec<NotBrought> {
        let now = Moment::now();
        let all: Vec<_> = news.iter().collect();
        if all.is_empty() || self.store.hear(&all, now).await.is_ok() {
            return Vec::new();
        }
        let mut lost = Vec::new();
        for one in all {
            if let Err(error) = self.store.hear(&[one], now).await {
                lost.push(NotBrought { host: one.0.clone(), error });
            }
        }
        lost
    }
}
