//! One piece of finished work.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use redeploy_proto::TraceParent;
use sha2::{Digest, Sha256};

/// Work that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its place: trace and id.
    pub at: TraceParent,
    /// What it hangs below.
    pub below: Option<TraceParent>,
    /// What it is, in few words that many spans share.
    pub name: Cow<'static, str>,
    /// Whose work it is.
    pub kind: Kind,
    /// From when.
    pub from: SystemTime,
    /// Until when.
    pub to: SystemTime,
    /// Why it failed, if it did. Must not hold a secret.
    pub failure: Option<String>,
    /// What else is known of it.
    pub facts: Vec<(&'static str, String)>,
}

/// Whose work it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Our own.
    Own,
    /// Ordered from another program.
    Ordered,
    /// Done for another program.
    Done,
}

/// A place below another one, the same for the same name.
#[must_use]
pub fn below(parent: TraceParent, name: &str) -> TraceParent {
    let digest =
        Sha256::new().chain_update(parent.trace).chain_update(parent.span).chain_update(name).finalize();
    let mut span = [0; 8];
    span.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    // All zeros would be none.
    span[7] |= 1;
    TraceParent { span, ..parent }
}

impl From<Span> for SpanData {
    fn from(span: Span) -> Self {
        let (trace, id) = (TraceId::from_bytes(span.at.trace), SpanId::from_bytes(span.at.span));
        let parent = span.below.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.span));
        Self {
            span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: parent,
            parent_span_is_remote: span.kind == Kind::Done,
            span_kind: match span.kind {
                Kind::Own => SpanKind::Internal,
                Kind::Ordered => SpanKind::Producer,
                Kind::Done => SpanKind::Consumer,
            },
            name: span.name,
            start_time: span.from,
            // Clocks are set back now and then.
            end_time: span.to.max(span.from),
            attributes: span.facts.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: span.failure.map_or(Status::Ok, Status::error),
            instrumentation_scope: InstrumentationScope::builder("redeploy").build(),
        }
    }
}
