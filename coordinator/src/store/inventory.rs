//! Hosts and their nodes, as agents reported them.

use sqlx::FromRow;

use super::{Sqlite, StoreError, failed};
use crate::ids::{EnvName, GroupName, HostId, NodeId};
use crate::moment::Moment;

/// A host as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct HostRow {
    /// Lasting.
    pub host_id: String,
    /// The machine's own name.
    pub name: String,
    /// When it joined.
    pub joined_at: i64,
    /// When its agent was last heard.
    pub seen_at: i64,
    /// Where its last session came from.
    pub address: String,
    /// When its certificate ends.
    pub cert_ends: i64,
    /// `redeploy.v1.HostFacts`.
    pub facts: Option<Vec<u8>>,
    /// When it was cut off.
    pub revoked_at: Option<i64>,
}

/// A node as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct NodeRow {
    /// Lasting.
    pub node_id: u32,
    /// Environment.
    pub env: String,
    /// Group.
    pub grp: String,
    /// Where it lives.
    pub host_id: String,
    /// Its container's name.
    pub container: String,
    /// By an operator and not by labels.
    pub adopted: bool,
    /// Of its newest order.
    pub generation: i64,
    /// It was in its host's last inventory.
    pub present: bool,
    /// When that was.
    pub seen_at: i64,
    /// `redeploy.v1.ContainerFacts`.
    pub facts: Option<Vec<u8>>,
}

const NODE: &str = "SELECT node_id, env, grp, host_id, container, adopted, generation, present, seen_at, facts \
                    FROM nodes WHERE forgotten_at IS NULL ORDER BY node_id";
const NODE_ONE: &str = "SELECT node_id, env, grp, host_id, container, adopted, generation, present, seen_at, facts \
                        FROM nodes WHERE node_id = $1 AND forgotten_at IS NULL";
impl Sqlite {
    /// Stores a host that joined, or joined again.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn add_host(&self, host: &HostRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO hosts (host_id, name, joined_at, seen_at, address, cert_ends, facts, revoked_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, NULL) \
             ON CONFLICT (host_id) DO UPDATE SET name = excluded.name, cert_ends = excluded.cert_ends",
        )
        .bind(&host.host_id)
        .bind(&host.name)
        .bind(host.joined_at)
        .bind(host.seen_at)
        .bind(&host.address)
        .bind(host.cert_ends)
        .bind(&host.facts)
        .execute(&self.writer)
        .await
        .map_err(failed("store a host"))?;
        Ok(())
    }

    /// Notes a renewed certificate.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn host_renewed(&self, host: &HostId, cert_ends: Moment) -> Result<(), StoreError> {
        sqlx::query("UPDATE hosts SET cert_ends = $1 WHERE host_id = $2")
            .bind(cert_ends.0)
            .bind(host.as_str())
            .execute(&self.writer)
            .await
            .map_err(failed("note a renewed certificate"))?;
        Ok(())
    }

    /// Cuts a host off. One that is cut off already stays so.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn revoke_host(&self, host: &HostId, at: Moment) -> Result<(), StoreError> {
        sqlx::query("UPDATE hosts SET revoked_at = coalesce(revoked_at, $1) WHERE host_id = $2")
            .bind(at.0)
            .bind(host.as_str())
            .execute(&self.writer)
            .await
            .map_err(failed("revoke a host"))?;
        Ok(())
    }

    /// All hosts, in the order in which they joined.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn hosts(&self) -> Result<Vec<HostRow>, StoreError> {
        sqlx::query_as("SELECT * FROM hosts ORDER BY joined_at, host_id")
            .fetch_all(&self.reader)
            .await
            .map_err(failed("read hosts"))
    }

    /// One host.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn host(&self, host: &HostId) -> Result<Option<HostRow>, StoreError> {
        sqlx::query_as("SELECT * FROM hosts WHERE host_id = $1")
            .bind(host.as_str())
            .fetch_optional(&self.reader)
            .await
            .map_err(failed("read a host"))
    }

    /// All nodes, by id.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        sqlx::query_as(NODE).fetch_all(&self.reader).await.map_err(failed("read nodes"))
    }

    /// One node.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn node(&self, node: NodeId) -> Result<Option<NodeRow>, StoreError> {
        sqlx::query_as(NODE_ONE)
            .bind(i64::from(node.0))
            .fetch_optional(&self.reader)
            .await
            .map_err(failed("read a node"))
    }

    /// How many nodes a host has.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn nodes_on(&self, host: &HostId) -> Result<u32, StoreError> {
        sqlx::query_scalar("SELECT count(*) FROM nodes WHERE host_id = $1 AND forgotten_at IS NULL")
            .bind(host.as_str())
            .fetch_one(&self.reader)
            .await
            .map_err(failed("count the nodes of a host"))
    }

    /// Takes a container into a group. The same again is success.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn adopt(
        &self,
        host: &HostId,
        container: &str,
        group: (&EnvName, &GroupName),
        at: Moment,
    ) -> Result<NodeId, StoreError> {
        let action = "adopt a node";
        let mut tx = self.begin(action).await?;
        let known: Option<u32> = sqlx::query_scalar(
            "UPDATE nodes SET adopted = 1, env = $1, grp = $2 \
             WHERE host_id = $3 AND container = $4 AND forgotten_at IS NULL RETURNING node_id",
        )
        .bind(group.0.as_str())
        .bind(group.1.as_str())
        .bind(host.as_str())
        .bind(container)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(action))?;
        let id = match known {
            Some(id) => id,
            None => sqlx::query_scalar(
                "INSERT INTO nodes (env, grp, host_id, container, adopted, present, seen_at) \
                 VALUES ($1, $2, $3, $4, 1, 0, $5) RETURNING node_id",
            )
            .bind(group.0.as_str())
            .bind(group.1.as_str())
            .bind(host.as_str())
            .bind(container)
            .bind(at.0)
            .fetch_one(&mut *tx)
            .await
            .map_err(failed(action))?,
        };
        tx.commit().await.map_err(failed(action))?;
        Ok(NodeId(id))
    }

    /// Forgets a node. Its id is never given again.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn forget(&self, node: NodeId, at: Moment) -> Result<(), StoreError> {
        sqlx::query("UPDATE nodes SET forgotten_at = $1 WHERE node_id = $2 AND forgotten_at IS NULL")
            .bind(at.0)
            .bind(i64::from(node.0))
            .execute(&self.writer)
            .await
            .map_err(failed("forget a node"))?;
        Ok(())
    }
}
