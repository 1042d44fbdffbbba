//! What happened, from the store, and as it happens.

use std::sync::Arc;

use redeploy_proto::v1;
use tokio::sync::mpsc;
use tonic::Status;

use super::{Api, Caller, Refusal, WELCOME_AGAIN, names};
use crate::store::{EventFilter, EventRow};

/// Events in one list, unless asked otherwise, and at most.
const EVENTS: u32 = 100;
const EVENTS_MAX: u32 = 1000;

impl Api {
    pub(crate) async fn list_events(
        &self,
        caller: &Caller,
        request: &v1::ListEventsRequest,
    ) -> Result<v1::ListEventsResponse, Refusal> {
        caller.may_look()?;
        let deployment = self.deployment_named(&request.deployment_id).await?;
        let (after, env) = (request.after_seq, request.env.as_str());
        let filter = EventFilter { after, env, deployment: &deployment, within: &caller.envs };
        let rows = if request.newest > 0 {
            let count = request.newest.min(EVENTS_MAX);
            self.store.newest_events(&filter, count).await?
        } else {
            let limit = if request.page_size == 0 { EVENTS } else { request.page_size.min(EVENTS_MAX) };
            self.store.events(&filter, limit).await?
        };
        // An environment whose nodes are gone still has events.
        if rows.is_empty() && after == 0 {
            names::check(&self.nodes_for(caller).await?, env, "")?;
        }
        Ok(v1::ListEventsResponse { events: rows.into_iter().map(event).collect() })
    }

    /// What is to be watched, with the whole id of its deployment.
    pub(crate) async fn events_asked(
        &self,
        caller: &Caller,
        request: &v1::WatchEventsRequest,
    ) -> Result<v1::WatchEventsRequest, Refusal> {
        caller.may_look()?;
        let deployment_id = self.deployment_named(&request.deployment_id).await?;
        Ok(v1::WatchEventsRequest { deployment_id, ..request.clone() })
    }

    async fn deployment_named(&self, text: &str) -> Result<String, Refusal> {
        if text.is_empty() {
            return Ok(String::new());
        }
        Ok(self.find(text).await?.to_string())
    }
}

fn event(row: EventRow) -> v1::Event {
    v1::Event {
        seq: row.seq.unsigned_abs(),
        at_ms: row.at,
        kind: row.kind,
        env: row.env,
        group: row.grp,
        node_id: row.node_id,
        host_id: row.host_id,
        deployment_id: row.deployment_id,
        redeploy_id: row.redeploy_id,
        by: row.by_whom,
        text: row.text,
    }
}

/// Sends every event after a number, and new ones as they happen.
pub(super) async fn follow(
    api: Arc<Api>,
    caller: Caller,
    asked: v1::WatchEventsRequest,
    sender: mpsc::Sender<Result<v1::Event, Status>>,
) {
    let mut changes = api.views.changes();
    let mut after = asked.after_seq;
    loop {
        changes.mark_unchanged();
        if let Err(refusal) = api.stays(&caller).await {
            return drop(sender.send(Err(refusal.into())).await);
        }
        let (env, deployment) = (asked.env.as_str(), asked.deployment_id.as_str());
        let filter = EventFilter { after, env, deployment, within: &caller.envs };
        let rows = match api.store.events(&filter, EVENTS_MAX).await {
            Ok(rows) => rows,
            Err(error) => return drop(sender.send(Err(Refusal::from(error).into())).await),
        };
        let is_all = rows.is_empty();
        for row in rows {
            after = row.seq.unsigned_abs();
            if sender.send(Ok(event(row))).await.is_err() {
                return;
            }
        }
        if !is_all {
            continue;
        }
        tokio::select! {
            () = sender.closed() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(WELCOME_AGAIN) => {}
        }
    }
}
