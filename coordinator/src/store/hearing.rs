//! What hosts say of themselves, taken over: labelled containers become nodes.
//!
//! Flows in: what several hosts said. Flows out: rows of hosts, nodes and events, with one wait for the disk. Must never
//! give a node another id than it had.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use serde::Serialize;
use sqlx::{Sqlite as Db, Transaction};

use super::{NewEvent, Sqlite, StoreError, failed, unreadable, writing};
use crate::ids::{EnvName, GroupName, HostId};
use crate::moment::Moment;

/// One container of a host's inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub container: String,
    /// The group its labels name, if they do.
    pub label: Option<(EnvName, GroupName)>,
    /// `redeploy.v1.ContainerFacts`.
    pub facts: Vec<u8>,
}

/// What one host said that is to be stored; of several words of a kind only the last counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostNews {
    /// Where its newest session comes from, if one began.
    pub address: Option<String>,
    /// `redeploy.v1.HostFacts`.
    pub facts: Option<Vec<u8>>,
    /// Its complete inventory: what is not in it is no longer present.
    pub inventory: Option<Vec<Seen>>,
    /// What happened to it.
    pub events: Vec<NewEvent>,
}

const ACTION: &str = "store what hosts said";

/// Rows in one statement at most. Their facts are most of its text.
const TOGETHER: usize = 500;

const HOSTS_SEEN: &str = "\
    UPDATE hosts SET seen_at = $1, address = coalesce(said.address, hosts.address), \
                     facts = coalesce(unhex(said.facts), hosts.facts) \
    FROM (SELECT value ->> '$.host' AS host, value ->> '$.address' AS address, value ->> '$.facts' AS facts \
          FROM json_each($2)) said \
    WHERE hosts.host_id = said.host";
const NODES_GONE: &str = "\
    UPDATE nodes SET present = 0 \
    WHERE forgotten_at IS NULL AND host_id IN (SELECT value FROM json_each($1))";
const NODES_SEEN: &str = "\
    UPDATE nodes SET present = 1, seen_at = $1, facts = unhex(said.facts), \
                     env = iif(adopted, nodes.env, coalesce(said.env, nodes.env)), \
                     grp = iif(adopted, nodes.grp, coalesce(said.grp, nodes.grp)) \
    FROM (SELECT value ->> '$.host' AS host, value ->> '$.container' AS container, value ->> '$.env' AS env, \
                 value ->> '$.group' AS grp, value ->> '$.facts' AS facts FROM json_each($2)) said \
    WHERE nodes.host_id = said.host AND nodes.container = said.container AND forgotten_at IS NULL";
// Never as an upsert: a conflict would use an id up.
const NODES_NEW: &str = "\
    INSERT INTO nodes (env, grp, host_id, container, adopted, present, seen_at, facts) \
    SELECT value ->> '$.env', value ->> '$.group', value ->> '$.host', value ->> '$.container', 0, 1, $1, \
           unhex(value ->> '$.facts') \
    FROM json_each($2) AS said \
    WHERE value ->> '$.env' IS NOT NULL AND NOT EXISTS ( \
        SELECT 1 FROM nodes WHERE host_id = value ->> '$.host' AND container = value ->> '$.container' \
        AND forgotten_at IS NULL) \
    ORDER BY said.key";

/// A host's word as the statements read it.
#[derive(Serialize)]
struct HostSaid<'a> {
    host: &'a str,
    address: Option<&'a str>,
    facts: Option<String>,
}

/// The same of a container.
#[derive(Serialize)]
struct ContainerSaid<'a> {
    host: &'a str,
    container: &'a str,
    env: Option<&'a str>,
    group: Option<&'a str>,
    facts: String,
}

impl Sqlite {
    /// Stores what hosts said, all of it or nothing: one wait for the disk, however many they are. Labelled containers
    /// become nodes, known ones keep their ids. An address or facts that are not known now stay as they were.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn hear(&self, news: &[(&HostId, &HostNews)], at: Moment) -> Result<(), StoreError> {
        let mut tx = self.begin(ACTION).await?;
        let hosts: Vec<HostSaid<'_>> = news.iter().map(|(host, news)| host_said(host, news)).collect();
        run(&mut tx, HOSTS_SEEN, &hosts, Some(at)).await?;
        let whole: Vec<&str> =
            news.iter().filter(|(_, news)| news.inventory.is_some()).map(|(host, _)| host.as_str()).collect();
        run(&mut tx, NODES_GONE, &whole, None).await?;
        let containers: Vec<ContainerSaid<'_>> =
            news.iter().flat_map(|(host, news)| containers_said(host, news)).collect();
        run(&mut tx, NODES_SEEN, &containers, Some(at)).await?;
        run(&mut tx, NODES_NEW, &containers, Some(at)).await?;
        let events: Vec<NewEvent> = news.iter().flat_map(|(_, news)| news.events.clone()).collect();
        writing::insert_events(&mut tx, &events, at).await?;
        tx.commit().await.map_err(failed(ACTION))
    }
}

fn host_said<'a>(host: &'a HostId, news: &'a HostNews) -> HostSaid<'a> {
    let facts = news.facts.as_deref().map(|facts| HEXLOWER.encode(facts));
    HostSaid { host: host.as_str(), address: news.address.as_deref(), facts }
}

/// Of several of one name the last.
fn containers_said<'a>(host: &'a HostId, news: &'a HostNews) -> Vec<ContainerSaid<'a>> {
    let inventory = news.inventory.as_deref().unwrap_or_default();
    let last: HashMap<&str, usize> =
        inventory.iter().enumerate().map(|(place, seen)| (seen.container.as_str(), place)).collect();
    let said = |(place, seen): (usize, &'a Seen)| {
        (last.get(seen.container.as_str()) == Some(&place)).then(|| ContainerSaid {
            host: host.as_str(),
            container: &seen.container,
            env: seen.label.as_ref().map(|(env, _)| env.as_str()),
            group: seen.label.as_ref().map(|(_, group)| group.as_str()),
            facts: HEXLOWER.encode(&seen.facts),
        })
    };
    inventory.iter().enumerate().filter_map(said).collect()
}

/// Runs a statement for these rows, as many of them at once as one takes.
async fn run<T: Serialize>(
    tx: &mut Transaction<'_, Db>,
    statement: &'static str,
    rows: &[T],
    at: Option<Moment>,
) -> Result<(), StoreError> {
    for some in rows.chunks(TOGETHER) {
        let json = serde_json::to_string(some).map_err(unreadable("what hosts said"))?;
        let query = sqlx::query(statement);
        let query = if let Some(at) = at { query.bind(at.0) } else { query };
        query.bind(json).execute(&mut **tx).await.map_err(failed(ACTION))?;
    }
    Ok(())
}
