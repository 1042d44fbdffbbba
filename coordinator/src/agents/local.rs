//! What a command on a host did: the event that tells it, and what is stored of it.
//!
//! Flows in: a report that no deployment ordered. Flows out: a row and an event, once for each thing the report says.

use prost::Message;
use redeploy_proto::{RedeployId, v1};

use crate::ids::HostId;
use crate::moment::Moment;
use crate::store::{LocalReport, NewEvent, Sqlite, StoreError};

/// A report that says of itself that nobody ordered it.
#[derive(Debug)]
pub struct Local {
    /// Where.
    pub host: HostId,
    /// Which redeploy.
    pub id: RedeployId,
    /// What it came to.
    pub report: Box<v1::Report>,
}

impl Local {
    /// Stores it, unless a deployment did order it. `true` if that was news.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn keep(&self, store: &Sqlite) -> Result<bool, StoreError> {
        if store.deployment_of(self.id).await?.is_some() {
            return Ok(false);
        }
        let raw = self.report.encode_to_vec();
        let event = NewEvent {
            kind: kind(&self.report).to_owned(),
            host: self.host.to_string(),
            redeploy: self.id.to_string(),
            by: "agent".to_owned(),
            text: text(&self.report),
            ..NewEvent::default()
        };
        let row = LocalReport {
            host: &self.host,
            id: self.id,
            container: &self.report.container,
            ended_at: self.report.ended_at_ms,
            raw: &raw,
        };
        store.add_local_report(&row, event, Moment::now()).await
    }
}

fn kind(report: &v1::Report) -> &'static str {
    match report.kind() {
        v1::RedeployKind::Revert => "node.local_revert",
        v1::RedeployKind::Redeploy | v1::RedeployKind::Unspecified => "node.local_redeploy",
    }
}

/// For people: what a command on a host did.
fn text(report: &v1::Report) -> String {
    let failure = report.failure.clone().unwrap_or_default();
    let how = match report.verdict() {
        v1::Verdict::Done => "done".to_owned(),
        v1::Verdict::DoneUntidy => "done, and not tidied up yet".to_owned(),
        v1::Verdict::Undone => format!("failed and was undone: {}", failure.reason),
        v1::Verdict::Stuck => {
            format!("is stuck, a human is needed: {}; its undo: {}", failure.reason, failure.stuck)
        }
        v1::Verdict::Refused => format!("refused: {}", report.refusals.join("; ")),
        v1::Verdict::Unspecified => "ended, and its report does not say how".to_owned(),
    };
    let (container, from, to) = (&report.container, &report.from_image, &report.to_image);
    format!("{container}: a command on its host, from {from} to {to}: {how}")
}
