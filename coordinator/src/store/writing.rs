//! The driver's batches, into SQLite.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use redeploy_proto::RedeployId;
use sqlx::{Row, Sqlite as Db, Transaction};

use super::memory::matters;
use super::reading::key_expiry;
use super::{Batch, Ledger, NewEvent, NewOrder, Saved, Sqlite, StoreError, StoredOrder, failed, unreadable};
use crate::deployment::{Deployment, NodePart, Phase};
use crate::ids::DeploymentId;
use crate::moment::Moment;

type Tx<'a> = Transaction<'a, Db>;

/// Rows in one statement at most, so that its text stays below a few hundred KiB.
const TOGETHER: usize = 1000;

/// The same of reports, which may be long.
const REPORTS_TOGETHER: usize = 100;

// Two orders for one node in one statement get two generations.
const ORDERS_INSERT: &str = "\
    INSERT INTO orders (redeploy_id, kind, deployment_id, node_id, host_id, generation, stored_at) \
    SELECT o.value ->> '$.id', o.value ->> '$.kind', o.value ->> '$.deployment', n.node_id, o.value ->> '$.host', \
           n.generation + row_number() OVER (PARTITION BY n.node_id ORDER BY o.key), $2 \
    FROM json_each($1) o JOIN nodes n ON n.node_id = o.value ->> '$.node' \
    RETURNING redeploy_id, generation";
const GENERATIONS_RAISE: &str = "\
    UPDATE nodes SET generation = generation + o.count \
    FROM (SELECT value ->> '$.node' AS node, count(*) AS count FROM json_each($1) GROUP BY 1) o \
    WHERE nodes.node_id = o.node";
const REPORTS_SAVE: &str = "\
    UPDATE orders SET report = unhex(r.report) \
    FROM (SELECT value ->> '$[0]' AS id, value ->> '$[1]' AS report FROM json_each($1)) r \
    WHERE orders.redeploy_id = r.id";
const EVENTS_INSERT: &str = "\
    INSERT INTO events (at, kind, env, grp, node_id, host_id, deployment_id, redeploy_id, by_whom, text) \
    SELECT $1, value ->> '$.kind', value ->> '$.env', value ->> '$.group', value ->> '$.node', value ->> '$.host', \
           value ->> '$.deployment', value ->> '$.redeploy', value ->> '$.by', value ->> '$.text' \
    FROM json_each($2) ORDER BY key";

#[async_trait]
impl Ledger for Sqlite {
    async fn load(&self) -> Result<(Vec<Deployment>, Vec<StoredOrder>), StoreError> {
        // Those that are over and still await an agent are few.
        let rows = sqlx::query(
            "SELECT body FROM deployments WHERE is_open = 1 OR deployment_id IN \
             (SELECT deployment_id FROM deployment_nodes WHERE part ->> '$.state.state' IN ('running', 'reverting', 'unknown'))",
        )
        .fetch_all(&self.reader)
        .await
        .map_err(failed("read deployments"))?;
        let mut deployments = Vec::new();
        let mut orders = Vec::new();
        for row in rows {
            let deployment = self.whole(row.get(0)).await?;
            orders.extend(self.orders_of(deployment.id).await?);
            deployments.push(deployment);
        }
        debug_assert!(deployments.iter().all(matters));
        Ok((deployments, orders))
    }

    async fn load_one(&self, id: DeploymentId) -> Result<Option<Deployment>, StoreError> {
        let body = sqlx::query_scalar("SELECT body FROM deployments WHERE deployment_id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.reader)
            .await
            .map_err(failed("read a deployment"))?;
        match body {
            Some(body) => self.whole(body).await.map(Some),
            None => Ok(None),
        }
    }

    async fn commit(&self, batch: &Batch) -> Result<Vec<StoredOrder>, StoreError> {
        let at = batch.at.unwrap_or_else(Moment::now);
        let mut tx = self.begin("store what was decided").await?;
        for saved in &batch.saved {
            save(&mut tx, saved, at).await?;
        }
        let stored = insert_orders(&mut tx, &batch.orders, at).await?;
        save_reports(&mut tx, &batch.reports).await?;
        insert_events(&mut tx, &batch.events, at).await?;
        let mut wiped = 0;
        for id in &batch.wipe {
            let done = sqlx::query("DELETE FROM secrets WHERE deployment_id = $1")
                .bind(id.to_string())
                .execute(&mut *tx)
                .await
                .map_err(failed("wipe a login"))?;
            wiped += done.rows_affected();
        }
        tx.commit().await.map_err(failed("store what was decided"))?;
        if wiped > 0 {
            self.wiped.store(true, Ordering::Release);
        }
        Ok(stored)
    }
}

impl Sqlite {
    /// A deployment with its nodes.
    pub(super) async fn whole(&self, body: String) -> Result<Deployment, StoreError> {
        let mut deployment: Deployment =
            serde_json::from_str(&body).map_err(unreadable("deployment in table deployments"))?;
        let parts: Vec<String> =
            sqlx::query_scalar("SELECT part FROM deployment_nodes WHERE deployment_id = $1")
                .bind(deployment.id.to_string())
                .fetch_all(&self.reader)
                .await
                .map_err(failed("read the nodes of a deployment"))?;
        for part in parts {
            let part: NodePart = serde_json::from_str(&part)
                .map_err(unreadable(format!("node of deployment {}", deployment.id)))?;
            deployment.nodes.put(part);
        }
        Ok(deployment)
    }

    async fn orders_of(&self, id: DeploymentId) -> Result<Vec<StoredOrder>, StoreError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT redeploy_id, generation FROM orders WHERE deployment_id = $1")
                .bind(id.to_string())
                .fetch_all(&self.reader)
                .await
                .map_err(failed("read orders"))?;
        Ok(rows.into_iter().filter_map(stored_order).collect())
    }
}

/// A key that is over may be used again.
async fn expire_keys(tx: &mut Tx<'_>, at: Moment) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE deployments SET idem_by = NULL, idem_key = NULL, idem_request = NULL \
         WHERE idem_key IS NOT NULL AND created_at <= $1",
    )
    .bind(key_expiry(at))
    .execute(&mut **tx)
    .await
    .map_err(failed("let idempotency keys expire"))?;
    Ok(())
}

async fn save(tx: &mut Tx<'_>, saved: &Saved, at: Moment) -> Result<(), StoreError> {
    let head = &saved.head;
    let body = serde_json::to_string(head).map_err(unreadable("deployment"))?;
    let counts = serde_json::to_string(&saved.counts).map_err(unreadable("counts of a deployment"))?;
    match &saved.new {
        Some(new) => {
            let idempotency = new.idempotency.as_ref();
            if idempotency.is_some() {
                expire_keys(tx, at).await?;
            }
            sqlx::query(
                "INSERT INTO deployments (deployment_id, env, grp, phase, is_open, created_at, idem_by, idem_key, \
                 idem_request, body, counts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            )
            .bind(head.id.to_string())
            .bind(head.env.as_str())
            .bind(head.group.as_str())
            .bind(head.phase.word())
            .bind(is_open(&head.phase))
            .bind(head.created_at.0)
            .bind(idempotency.map(|key| key.by.clone()))
            .bind(idempotency.map(|key| key.key.clone()))
            .bind(idempotency.map(|key| key.request.clone()))
            .bind(body)
            .bind(counts)
            .execute(&mut **tx)
            .await
            .map_err(failed("begin a deployment of this group"))?;
            if let Some(sealed) = &new.login {
                sqlx::query("INSERT INTO secrets (deployment_id, sealed) VALUES ($1, $2)")
                    .bind(head.id.to_string())
                    .bind(sealed)
                    .execute(&mut **tx)
                    .await
                    .map_err(failed("store a login"))?;
            }
        }
        None => {
            sqlx::query(
                "UPDATE deployments SET phase = $1, is_open = $2, body = $3, counts = $4 WHERE deployment_id = $5",
            )
            .bind(head.phase.word())
            .bind(is_open(&head.phase))
            .bind(body)
            .bind(counts)
            .bind(head.id.to_string())
            .execute(&mut **tx)
            .await
            .map_err(failed("begin another deployment of this group"))?;
        }
    }
    save_parts(tx, head.id, &saved.parts).await
}

// Rows go in by the thousand in one statement, as JSON: one statement for each would be most of the time that the
// orders of a large group wait.

async fn save_parts(tx: &mut Tx<'_>, id: DeploymentId, parts: &[NodePart]) -> Result<(), StoreError> {
    for some in parts.chunks(TOGETHER) {
        let json = serde_json::to_string(some).map_err(unreadable("node of a deployment"))?;
        sqlx::query(
            "INSERT INTO deployment_nodes (deployment_id, node_id, part) \
             SELECT $1, value ->> '$.node', value FROM json_each($2) WHERE true \
             ON CONFLICT (deployment_id, node_id) DO UPDATE SET part = excluded.part",
        )
        .bind(id.to_string())
        .bind(json)
        .execute(&mut **tx)
        .await
        .map_err(failed("store the nodes of a deployment"))?;
    }
    Ok(())
}

async fn save_reports(tx: &mut Tx<'_>, reports: &[(RedeployId, Vec<u8>)]) -> Result<(), StoreError> {
    // Of several words about one order the last counts.
    let last: BTreeMap<&RedeployId, &[u8]> = reports.iter().map(|(id, report)| (id, &report[..])).collect();
    let rows: Vec<(String, String)> =
        last.into_iter().map(|(id, report)| (id.to_string(), HEXLOWER.encode(report))).collect();
    for some in rows.chunks(REPORTS_TOGETHER) {
        let json = serde_json::to_string(some).map_err(unreadable("report"))?;
        sqlx::query(REPORTS_SAVE).bind(json).execute(&mut **tx).await.map_err(failed("store a report"))?;
    }
    Ok(())
}

fn is_open(phase: &Phase) -> i64 {
    i64::from(!phase.is_end())
}

async fn insert_orders(
    tx: &mut Tx<'_>,
    orders: &[NewOrder],
    at: Moment,
) -> Result<Vec<StoredOrder>, StoreError> {
    let mut stored = Vec::with_capacity(orders.len());
    for some in orders.chunks(TOGETHER) {
        let json = serde_json::to_string(some).map_err(unreadable("order"))?;
        let rows: Vec<(String, i64)> = sqlx::query_as(ORDERS_INSERT)
            .bind(&json)
            .bind(at.0)
            .fetch_all(&mut **tx)
            .await
            .map_err(failed("store an order twice"))?;
        // A node that is not in the store has no generation, so its order must not go out.
        if rows.len() != some.len() {
            return Err(failed("store an order for a node")(sqlx::Error::RowNotFound));
        }
        sqlx::query(GENERATIONS_RAISE)
            .bind(&json)
            .execute(&mut **tx)
            .await
            .map_err(failed("raise the generation of a node"))?;
        stored.extend(rows.into_iter().filter_map(stored_order));
    }
    Ok(stored)
}

fn stored_order((id, generation): (String, i64)) -> Option<StoredOrder> {
    Some(StoredOrder { id: id.parse().ok()?, generation: u64::try_from(generation).ok()? })
}

pub(super) async fn insert_events(
    tx: &mut Tx<'_>,
    events: &[NewEvent],
    at: Moment,
) -> Result<(), StoreError> {
    for some in events.chunks(TOGETHER) {
        let json = serde_json::to_string(some).map_err(unreadable("event"))?;
        sqlx::query(EVENTS_INSERT)
            .bind(at.0)
            .bind(json)
            .execute(&mut **tx)
            .await
            .map_err(failed("store an event"))?;
    }
    Ok(())
}
