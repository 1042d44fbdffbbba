//! What hosts say of themselves, taken over: labelled containers become nodes.
//!
//! Flows in: what several hosts said. Flows out: rows of hosts, nodes and events, with one wait for the disk. Must never
//! give a node another id than it had.

use sqlx::{Sqlite as Db, Transaction};

use super::{NewEvent, Sqlite, StoreError, failed, writing};
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

const HOST_SEEN: &str = "UPDATE hosts SET seen_at = $1, address = coalesce($2, address), facts = coalesce($3, facts) \
                         WHERE host_id = $4";
// Never as an upsert: a conflict would use an id up.
const NODE_INSERT: &str = "INSERT INTO nodes (env, grp, host_id, container, adopted, present, seen_at, facts) \
                           VALUES ($1, $2, $3, $4, 0, 1, $5, $6)";
const NODE_LABEL: &str = "UPDATE nodes SET env = $1, grp = $2 WHERE host_id = $3 AND container = $4 \
                          AND adopted = 0 AND forgotten_at IS NULL";
const NODE_SEEN: &str = "UPDATE nodes SET present = 1, seen_at = $1, facts = $2 \
                         WHERE host_id = $3 AND container = $4 AND forgotten_at IS NULL";

impl Sqlite {
    /// Stores what hosts said, all of it or nothing: one wait for the disk, however many they are. Labelled containers
    /// become nodes, known ones keep their ids. An address or facts that are not known now stay as they were.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn hear(&self, news: &[(&HostId, &HostNews)], at: Moment) -> Result<(), StoreError> {
        let action = "store what hosts said";
        let mut tx = self.begin(action).await?;
        for (host, news) in news {
            hear_one(&mut tx, host, news, at).await.map_err(failed(action))?;
        }
        let events: Vec<NewEvent> = news.iter().flat_map(|(_, news)| news.events.clone()).collect();
        writing::insert_events(&mut tx, &events, at).await?;
        tx.commit().await.map_err(failed(action))
    }
}

async fn hear_one(
    tx: &mut Transaction<'_, Db>,
    host: &HostId,
    news: &HostNews,
    at: Moment,
) -> sqlx::Result<()> {
    sqlx::query(HOST_SEEN)
        .bind(at.0)
        .bind(news.address.as_deref())
        .bind(news.facts.as_deref())
        .bind(host.as_str())
        .execute(&mut **tx)
        .await?;
    let Some(inventory) = &news.inventory else { return Ok(()) };
    sqlx::query("UPDATE nodes SET present = 0 WHERE host_id = $1 AND forgotten_at IS NULL")
        .bind(host.as_str())
        .execute(&mut **tx)
        .await?;
    for container in inventory {
        see(tx, host, container, at).await?;
    }
    Ok(())
}

/// Takes one container of an inventory over.
async fn see(tx: &mut Transaction<'_, Db>, host: &HostId, seen: &Seen, at: Moment) -> sqlx::Result<()> {
    let known = sqlx::query(NODE_SEEN)
        .bind(at.0)
        .bind(&seen.facts)
        .bind(host.as_str())
        .bind(&seen.container)
        .execute(&mut **tx)
        .await?;
    let Some((env, group)) = &seen.label else { return Ok(()) };
    let query = sqlx::query(if known.rows_affected() > 0 { NODE_LABEL } else { NODE_INSERT })
        .bind(env.as_str())
        .bind(group.as_str())
        .bind(host.as_str())
        .bind(&seen.container);
    let query = if known.rows_affected() > 0 { query } else { query.bind(at.0).bind(&seen.facts) };
    query.execute(&mut **tx).await.map(drop)
}
