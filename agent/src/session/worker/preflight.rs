//! Preflights: plans that are made, and not carried out. A few at a time, each redeploy's once, and not without limit.

use std::sync::Arc;
use std::time::Duration;

use redeploy_proto::{RedeployId, v1};

use super::super::wire::{self, Task};
use super::{Worker, lock, reasons};
use crate::plan;
use crate::reporter::cut;

/// Preflights that are made or wait to be.
pub(super) const PREFLIGHTS_WAITING_MAX: usize = 256;

/// Paths named in one preflight.
const PATHS_MAX: usize = 200;

impl Worker {
    /// Plans, and touches nothing but the image store.
    pub(in super::super) fn preflight(self: &Arc<Self>, id: RedeployId, order: v1::PreflightOrder) {
        let deadline = Duration::from_millis(order.deadline_ms.max(1));
        let v1::PreflightOrder { container, image, options, login, .. } = order;
        let options = options.unwrap_or_default();
        let task = wire::redeploy_task(container, image, options, login, &self.means.config);
        let Some(checked) = self.check(id) else { return };
        let worker = Arc::clone(self);
        self.spawn(async move {
            let _checked = checked;
            let planning = tokio::time::timeout(deadline, worker.plan(id, task));
            let planned = tokio::select! {
                () = worker.closing.cancelled() => return,
                planned = planning => planned,
            };
            let preflight =
                planned.unwrap_or_else(|_| speaks_against(vec!["the preflight took too long".to_owned()]));
            worker.outbox.preflight(id, preflight);
        });
    }

    /// A place for a preflight, if it is not under way. Too many are refused: each may be asked for again.
    pub(super) fn check(self: &Arc<Self>, id: RedeployId) -> Option<Checked> {
        let mut checked = lock(&self.checked);
        if checked.len() >= PREFLIGHTS_WAITING_MAX {
            self.outbox
                .preflight(id, speaks_against(vec!["this host has too many preflights to make".to_owned()]));
            return None;
        }
        checked.insert(id).then(|| Checked { worker: Arc::clone(self), id })
    }

    async fn plan(&self, id: RedeployId, task: Result<Task, String>) -> v1::Preflight {
        let (request, pull, login) = match task {
            Ok(Task::Redeploy { request, pull, login }) => (request, pull, login),
            Ok(Task::Revert(_)) => return speaks_against(vec!["a revert has no preflight".to_owned()]),
            Err(why) => return speaks_against(vec![why]),
        };
        let Ok(_place) = self.preflights.acquire().await else { return speaks_against(Vec::new()) };
        let agent = self.looker();
        match Box::pin(agent.plan(id, &request, pull, login.as_ref())).await {
            Ok((plan, refusals)) => planned(&plan, refusals.iter().map(ToString::to_string).collect()),
            Err(error) => speaks_against(reasons(&error)),
        }
    }
}

fn speaks_against(refusals: Vec<String>) -> v1::Preflight {
    v1::Preflight { is_ok: false, refusals, ..v1::Preflight::default() }
}

fn planned(plan: &plan::Plan, refusals: Vec<String>) -> v1::Preflight {
    let (image_id, digest) = match &plan.incoming {
        plan::Incoming::New(new) => (new.image_id.clone(), new.digest.clone().unwrap_or_default()),
        plan::Incoming::Parked { .. } => (String::new(), String::new()),
    };
    v1::Preflight {
        is_ok: refusals.is_empty(),
        refusals,
        warnings: plan.warnings.clone(),
        image_id,
        digest,
        lost_paths: plan.coverage.not_kept.iter().take(PATHS_MAX).cloned().collect(),
        archive_bytes: plan.space.to_archive,
        plan_text: cut(plan::show(plan)),
    }
}

// === impl Checked ===

/// A preflight's place.
pub(super) struct Checked {
    worker: Arc<Worker>,
    id: RedeployId,
}

impl Drop for Checked {
    fn drop(&mut self) {
        lock(&self.worker.checked).remove(&self.id);
    }
}
