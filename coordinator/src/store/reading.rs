//! What the API reads, and the audit log.

use redeploy_proto::RedeployId;
use sqlx::FromRow;

use super::{Idempotency, Sqlite, StoreError, failed, unreadable};
use crate::deployment::{Counts, Deployment};
use crate::ids::{DeploymentId, EnvName, GroupName, NodeId};
use crate::moment::{Moment, Span};

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AuditRow {
    /// When.
    pub at: i64,
    /// Name of the token.
    pub who: String,
    /// Which call.
    pub what: String,
    /// About what.
    pub target: String,
    /// From where.
    pub address: String,
    /// `ok`, or the error.
    pub result: String,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct EventRow {
    /// Rising.
    pub seq: i64,
    /// When.
    pub at: i64,
    /// See [`NewEvent`](super::NewEvent) for these.
    pub kind: String,
    /// Environment.
    pub env: String,
    /// Group.
    pub grp: String,
    /// Node.
    pub node_id: u32,
    /// Host.
    pub host_id: String,
    /// Deployment.
    pub deployment_id: String,
    /// Order.
    pub redeploy_id: String,
    /// Who.
    pub by_whom: String,
    /// For people.
    pub text: String,
}

/// One order with its report.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OrderRow {
    /// Its id.
    pub redeploy_id: String,
    /// `redeploy` or `revert`.
    pub kind: String,
    /// For.
    pub node_id: u32,
    /// `redeploy.v1.Report`, if it came.
    pub report: Option<Vec<u8>>,
}

/// Which deployments to list; newest first.
#[derive(Debug, Clone, Default)]
pub struct DeploymentFilter {
    /// Of this environment.
    pub env: Option<EnvName>,
    /// Of this group.
    pub group: Option<GroupName>,
    /// Of one of these environments; none: of all.
    pub within: Vec<EnvName>,
    /// That this node is part of.
    pub node: Option<NodeId>,
    /// Not over.
    pub only_open: bool,
    /// Older than this one.
    pub before: Option<DeploymentId>,
    /// So many.
    pub limit: u32,
}

/// Which events.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventFilter<'a> {
    /// After this number.
    pub after: u64,
    /// Of this environment; empty: of all.
    pub env: &'a str,
    /// Of this deployment; empty: of all.
    pub deployment: &'a str,
    /// Of one of these environments; none: of all, and what belongs to none.
    pub within: &'a [EnvName],
}

macro_rules! events {
    ($order:literal) => {
        concat!(
            "SELECT * FROM events WHERE seq > $1 AND ($2 = '' OR env = $2) AND ($3 = '' OR deployment_id = $3) \
             AND ($5 = '[]' OR env IN (SELECT value FROM json_each($5))) ORDER BY seq ",
            $order,
            " LIMIT $4"
        )
    };
}
const EVENTS_OLDEST: &str = events!("");
const EVENTS_NEWEST: &str = events!("DESC");

/// Names as a JSON list.
fn list(names: &[EnvName]) -> String {
    let names: Vec<&str> = names.iter().map(EnvName::as_str).collect();
    serde_json::Value::from(names).to_string()
}

impl DeploymentFilter {
    /// Whether it names anything that may not exist.
    #[must_use]
    pub fn names_something(&self) -> bool {
        self.env.is_some() || self.group.is_some() || self.node.is_some()
    }
}

/// How long an idempotency key answers the same deployment.
pub const KEY_LIFE: Span = Span::minutes(24 * 60);

/// Keys of deployments that were made then or before are over.
pub(super) fn key_expiry(now: Moment) -> i64 {
    now.0.saturating_sub(i64::from(KEY_LIFE.0))
}

/// Characters of each part of a line in the audit log.
pub const AUDIT_CHARS_MAX: usize = 512;

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(AUDIT_CHARS_MAX).collect()
}

impl Sqlite {
    /// Deployments without their nodes, newest first, each with how many nodes stand where.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn deployments(
        &self,
        filter: &DeploymentFilter,
    ) -> Result<Vec<(Deployment, Counts)>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT body, counts FROM deployments WHERE ($1 IS NULL OR env = $1) AND ($2 IS NULL OR grp = $2) \
             AND ($3 = 0 OR is_open = 1) AND ($4 IS NULL OR deployment_id < $4) \
             AND ($5 IS NULL OR EXISTS (SELECT 1 FROM deployment_nodes AS part \
             WHERE part.deployment_id = deployments.deployment_id AND part.node_id = $5)) \
             AND ($7 = '[]' OR env IN (SELECT value FROM json_each($7))) \
             ORDER BY deployment_id DESC LIMIT $6",
        )
        .bind(filter.env.as_ref().map(EnvName::as_str))
        .bind(filter.group.as_ref().map(GroupName::as_str))
        .bind(filter.only_open)
        .bind(filter.before.map(|id| id.to_string()))
        .bind(filter.node.map(|node| i64::from(node.0)))
        .bind(i64::from(filter.limit))
        .bind(list(&filter.within))
        .fetch_all(&self.reader)
        .await
        .map_err(failed("list deployments"))?;
        let row = |(body, counts): (String, String)| {
            let head = serde_json::from_str(&body).map_err(unreadable("deployment in table deployments"))?;
            let counts = serde_json::from_str(&counts).map_err(unreadable("counts in table deployments"))?;
            Ok((head, counts))
        };
        rows.into_iter().map(row).collect()
    }

    /// How many deployments are in each phase: the phase as JSON, and the number. Of phases that say why, one stands for all.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn deployments_by_phase(&self) -> Result<Vec<(String, i64)>, StoreError> {
        sqlx::query_as("SELECT min(json_extract(body, '$.phase')), count(*) FROM deployments GROUP BY phase")
            .fetch_all(&self.reader)
            .await
            .map_err(failed("count deployments"))
    }

    /// Asks for nothing, to see whether the store answers.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn answers(&self) -> Result<(), StoreError> {
        let one: Result<i64, _> =
            sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&self.reader).await;
        one.map(drop).map_err(failed("answer"))
    }

    /// The ids that begin or end with a text; at most a few.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn deployments_like(&self, text: &str) -> Result<Vec<DeploymentId>, StoreError> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT deployment_id FROM deployments WHERE substr(deployment_id, 1, length($1)) = $1 \
             OR substr(deployment_id, -length($1)) = $1 LIMIT 3",
        )
        .bind(text)
        .fetch_all(&self.reader)
        .await
        .map_err(failed("look a deployment up"))?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// The deployment an idempotency key made within [`KEY_LIFE`], with the digest of the request it was made with.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn made_with(
        &self,
        key: &Idempotency,
        now: Moment,
    ) -> Result<Option<(DeploymentId, Vec<u8>)>, StoreError> {
        let row: Option<(String, Vec<u8>)> = sqlx::query_as(
            "SELECT deployment_id, idem_request FROM deployments WHERE idem_by = $1 AND idem_key = $2 \
             AND created_at > $3",
        )
        .bind(&key.by)
        .bind(&key.key)
        .bind(key_expiry(now))
        .fetch_optional(&self.reader)
        .await
        .map_err(failed("look an idempotency key up"))?;
        Ok(row.and_then(|(id, request)| Some((id.parse().ok()?, request))))
    }

    /// The orders of a deployment, in the order in which they were given.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn orders(&self, of: DeploymentId) -> Result<Vec<OrderRow>, StoreError> {
        sqlx::query_as(
            "SELECT redeploy_id, kind, node_id, report FROM orders WHERE deployment_id = $1 \
             ORDER BY stored_at, generation",
        )
        .bind(of.to_string())
        .fetch_all(&self.reader)
        .await
        .map_err(failed("read orders"))
    }

    /// Which deployment an order belongs to.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn deployment_of(&self, id: RedeployId) -> Result<Option<DeploymentId>, StoreError> {
        let found: Option<String> =
            sqlx::query_scalar("SELECT deployment_id FROM orders WHERE redeploy_id = $1")
                .bind(id.to_string())
                .fetch_optional(&self.reader)
                .await
                .map_err(failed("look an order up"))?;
        Ok(found.and_then(|id| id.parse().ok()))
    }

    /// A deployment's sealed login.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn sealed_login(&self, of: DeploymentId) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT sealed FROM secrets WHERE deployment_id = $1")
            .bind(of.to_string())
            .fetch_optional(&self.reader)
            .await
            .map_err(failed("read a sealed login"))
    }

    /// Events that fit, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn events(&self, filter: &EventFilter<'_>, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        self.events_by(EVENTS_OLDEST, filter, limit).await
    }

    /// The newest events that fit, oldest of them first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn newest_events(
        &self,
        filter: &EventFilter<'_>,
        count: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        let mut rows = self.events_by(EVENTS_NEWEST, filter, count).await?;
        rows.reverse();
        Ok(rows)
    }

    async fn events_by(
        &self,
        query: &'static str,
        filter: &EventFilter<'_>,
        limit: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        sqlx::query_as(query)
            .bind(i64::try_from(filter.after).unwrap_or(i64::MAX))
            .bind(filter.env)
            .bind(filter.deployment)
            .bind(i64::from(limit))
            .bind(list(filter.within))
            .fetch_all(&self.reader)
            .await
            .map_err(failed("read events"))
    }

    /// Writes a line into the audit log. What strangers chose in it is cut to one line of [`AUDIT_CHARS_MAX`].
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        let (who, target, result) = (one_line(&row.who), one_line(&row.target), one_line(&row.result));
        sqlx::query(
            "INSERT INTO audit (at, who, what, target, address, result) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(row.at)
        .bind(who)
        .bind(&row.what)
        .bind(target)
        .bind(&row.address)
        .bind(result)
        .execute(&self.writer)
        .await
        .map_err(failed("write the audit log"))?;
        Ok(())
    }

    /// The whole audit log, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn audit_log(&self) -> Result<Vec<AuditRow>, StoreError> {
        sqlx::query_as("SELECT at, who, what, target, address, result FROM audit ORDER BY seq")
            .fetch_all(&self.reader)
            .await
            .map_err(failed("read the audit log"))
    }
}
