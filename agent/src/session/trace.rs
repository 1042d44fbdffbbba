//! The agent's part of a deployment's trace, from the journal: one span for the redeploy, one for each step and undo.
//!
//! Flows in: a redeploy that has ended, the place its order gave it. Flows out: spans. Must never be made of what was
//! not ordered within a trace.

use std::time::SystemTime;

use jiff::Timestamp;
use redeploy_proto::{RedeployId, TraceParent};
use redeploy_trace::{Kind, Span, below};

use super::ledger::Note;
use crate::history::{self, Entry};
use crate::paths::DataDir;
use crate::saga::{Event, Outcome, Record, SagaKind, State};

/// The spans of one redeploy; none if it was not ordered within a trace, or nothing was begun. Reads the disk.
pub(super) fn spans(data: &DataDir, host: &str, id: RedeployId) -> Vec<Span> {
    let Some(order) = Note::read(&data.redeploy(id)).and_then(|note| note.trace) else { return Vec::new() };
    match history::load_one(data, id) {
        Ok(Some(entry)) => of_entry(&entry, host, order),
        // It was told when it was reported.
        Ok(None) | Err(_) => Vec::new(),
    }
}

fn of_entry(entry: &Entry, host: &str, order: TraceParent) -> Vec<Span> {
    let (Some(first), Some(last)) = (entry.records.first(), entry.records.last()) else { return Vec::new() };
    let whole = below(order, "agent");
    let name = match entry.plan.kind {
        SagaKind::Redeploy => "redeploy",
        SagaKind::Revert => "revert",
    };
    let mut spans = steps(&entry.records, whole);
    spans.push(Span {
        at: whole,
        below: Some(order),
        name: name.into(),
        kind: Kind::Done,
        from: time(first.at),
        to: time(last.at),
        failure: failure(entry),
        facts: vec![
            ("redeploy.id", entry.plan.id.to_string()),
            ("redeploy.host", host.to_owned()),
            ("redeploy.container", entry.plan.node.clone()),
            ("redeploy.from", entry.plan.outgoing.image.clone()),
            ("redeploy.to", entry.plan.incoming.image().to_owned()),
        ],
    });
    spans
}

fn failure(entry: &Entry) -> Option<String> {
    match entry.state {
        State::Closed(Outcome::Done | Outcome::DoneUntidy) => None,
        State::Closed(Outcome::Undone) => Some("undone".to_owned()),
        State::Stuck { .. } => Some("stuck".to_owned()),
        State::Forward { .. } | State::Backward { .. } | State::Retiring => Some("unfinished".to_owned()),
    }
}

/// A step that did not end has failed; one that was interrupted and done again is two.
fn steps(records: &[Record], whole: TraceParent) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut open: Option<Span> = None;
    for record in records {
        let at = time(record.at);
        match &record.event {
            Event::Started { step } => open = Some(begun(whole, format!("step {step}"), record)),
            Event::Undoing { step } => {
                spans.extend(open.take().map(|span| Span {
                    failure: Some("interrupted".to_owned()),
                    to: at,
                    ..span
                }));
                open = Some(begun(whole, format!("undo {step}"), record));
            }
            Event::Done { .. } | Event::Undone { .. } => {
                spans.extend(open.take().map(|span| Span { to: at, ..span }));
            }
            Event::TurnedBack { reason } => {
                spans.extend(open.take().map(|span| Span {
                    failure: Some(reason.to_string()),
                    to: at,
                    ..span
                }));
            }
            Event::Stuck { error, .. } => {
                spans.extend(open.take().map(|span| Span { failure: Some(error.clone()), to: at, ..span }));
            }
            Event::Opened { .. } | Event::Committed | Event::Resumed | Event::Closed { .. } => {}
        }
    }
    spans
}

fn begun(whole: TraceParent, name: String, record: &Record) -> Span {
    let at = below(whole, &format!("{name} {}", record.seq));
    let (from, kind) = (time(record.at), Kind::Own);
    Span { at, below: Some(whole), name: name.into(), kind, from, to: from, failure: None, facts: Vec::new() }
}

fn time(at: Timestamp) -> SystemTime {
    at.into()
}
