//! What commands on hosts did: reports that answer no order, and the last redeploy of a node, whoever ordered it.

use redeploy_proto::RedeployId;

use super::{NewEvent, Sqlite, StoreError, failed, writing};
use crate::ids::{HostId, NodeId};
use crate::moment::Moment;

/// How many are kept for one container of a host.
const KEPT: i64 = 100;

/// The report of a command on a host.
#[derive(Debug, Clone)]
pub struct LocalReport<'a> {
    /// Whose.
    pub host: &'a HostId,
    /// Chosen by the agent.
    pub id: RedeployId,
    /// The container's name.
    pub container: &'a str,
    /// When it ended, by the host's clock.
    pub ended_at: i64,
    /// `redeploy.v1.Report`
    pub raw: &'a [u8],
}

impl Sqlite {
    /// Stores the report of a command on a host, and that it happened. `false`: it was stored before.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn add_local_report(
        &self,
        report: &LocalReport<'_>,
        event: NewEvent,
        at: Moment,
    ) -> Result<bool, StoreError> {
        const ACTION: &str = "store what a command on a host did";
        let mut tx = self.begin(ACTION).await?;
        let stored = sqlx::query(
            "INSERT INTO local_redeploys (host_id, redeploy_id, container, ended_at, report) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (host_id, redeploy_id) DO UPDATE \
             SET ended_at = excluded.ended_at, report = excluded.report WHERE report <> excluded.report",
        )
        .bind(report.host.as_str())
        .bind(report.id.to_string())
        .bind(report.container)
        .bind(report.ended_at)
        .bind(report.raw)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        // It comes again until it is acknowledged.
        if stored.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(
            "DELETE FROM local_redeploys WHERE host_id = $1 AND container = $2 AND redeploy_id NOT IN \
             (SELECT redeploy_id FROM local_redeploys WHERE host_id = $1 AND container = $2 \
             ORDER BY ended_at DESC, redeploy_id DESC LIMIT $3)",
        )
        .bind(report.host.as_str())
        .bind(report.container)
        .bind(KEPT)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        let node: Option<(u32, String, String)> = sqlx::query_as(
            "SELECT node_id, env, grp FROM nodes WHERE host_id = $1 AND container = $2 AND forgotten_at IS NULL",
        )
        .bind(report.host.as_str())
        .bind(report.container)
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
        let (node, env, group) = node.unwrap_or_default();
        writing::insert_events(&mut tx, &[NewEvent { node, env, group, ..event }], at).await?;
        tx.commit().await.map_err(failed(ACTION))?;
        Ok(true)
    }

    /// The report of the newest redeploy or revert of a node that ended, by an order or a command on its host.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn last_report(
        &self,
        node: NodeId,
        host: &str,
        container: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        const ACTION: &str = "read the last redeploy of a node";
        let ordered: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT report FROM orders WHERE node_id = $1 AND report IS NOT NULL ORDER BY generation DESC LIMIT 1",
        )
        .bind(i64::from(node.0))
        .fetch_optional(&self.reader)
        .await
        .map_err(failed(ACTION))?;
        let local: Option<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT ended_at, report FROM local_redeploys WHERE host_id = $1 AND container = $2 \
             ORDER BY ended_at DESC, redeploy_id DESC LIMIT 1",
        )
        .bind(host)
        .bind(container)
        .fetch_optional(&self.reader)
        .await
        .map_err(failed(ACTION))?;
        Ok(match (ordered, local) {
            // Both times are of the same host's clock.
            (Some(ordered), Some((ended_at, local))) => {
                Some(if ended_at_of(&ordered) >= ended_at { ordered } else { local })
            }
            (ordered, local) => ordered.or(local.map(|(_, report)| report)),
        })
    }
}

fn ended_at_of(report: &[u8]) -> i64 {
    <redeploy_proto::v1::Report as prost::Message>::decode(report).map_or(0, |report| report.ended_at_ms)
}
