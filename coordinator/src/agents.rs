//! What agents said, brought to whom it concerns: facts and inventories to the store, words about orders to the
//! driver, progress to the views.
//!
//! Flows in: events of sessions, many at once, in the order in which each host said them. Flows out: one stored batch,
//! then inputs; views. Must never decide anything for a node before its host's inventory is stored.

mod heard;
mod local;

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
        let mut lost = self.keep(&heard.news).await;
        let mut is_news = !heard.news.is_empty();
        // Before the driver, which acknowledges it.
        for local in heard.locals {
            match local.keep(&self.store).await {
                Ok(is_new) => is_news |= is_new,
                Err(error) => lost.push(NotBrought { host: local.host, error }),
            }
        }
        if is_news {
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

#[cfg(test)]
mod tests {
    use redeploy_proto::v1;

    use super::*;
    use crate::driver;
    use crate::sessions::SessionNumber;
    use crate::store::{EventFilter, HostRow};

    fn connected(host: &str) -> Event {
        let container = v1::ContainerFacts {
            name: "web".into(),
            env: "shop".into(),
            group: "cp".into(),
            ..v1::ContainerFacts::default()
        };
        let hello = v1::Hello {
            facts: Some(v1::HostFacts::default()),
            inventory: Some(v1::Inventory { containers: vec![container], is_cut_short: false }),
            ..v1::Hello::default()
        };
        let (hello, open) = (Box::new(hello), Vec::new());
        let host = host.parse().unwrap();
        Event::Connected { host, session: SessionNumber(1), address: None, hello, open }
    }

    #[tokio::test]
    async fn one_host_that_cannot_be_stored_costs_no_other_its_words() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("store.db")).await.unwrap();
        let row = HostRow {
            host_id: "known".into(),
            name: "known".into(),
            joined_at: 1,
            seen_at: 0,
            address: String::new(),
            cert_ends: 0,
            facts: None,
            revoked_at: None,
        };
        store.add_host(&row).await.unwrap();
        let (driver, inputs) = driver::driver();
        let views = Arc::new(Views::default());
        let agents = Agents::new(store.clone(), driver, Arc::clone(&views));
        // A node of a host that is not there breaks a rule of the store.
        let lost = agents.bring(vec![connected("unknown"), connected("known")]).await.unwrap();
        assert_eq!(lost.iter().map(|lost| lost.host.as_str()).collect::<Vec<_>>(), ["unknown"]);
        let nodes = store.nodes().await.unwrap();
        assert_eq!(nodes.iter().map(|node| node.host_id.as_str()).collect::<Vec<_>>(), ["known"]);
        let events = store.events(&EventFilter::default(), 10).await.unwrap();
        assert_eq!(events.iter().map(|event| event.host_id.as_str()).collect::<Vec<_>>(), ["known"]);
        let ended = Event::Lost { host: "unknown".parse().unwrap(), session: SessionNumber(1) };
        agents.bring(vec![ended]).await.unwrap();
        drop((agents, store));
        let told: Vec<String> = inputs.all().iter().map(|input| format!("{input:?}")).collect();
        assert!(told[0].starts_with("HostUp { host: HostId(\"known\")"), "{told:?}");
        assert!(told[1].starts_with("HostDown { host: HostId(\"unknown\")"), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
    }
}
