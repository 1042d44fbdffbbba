//! Where a piece of work hangs in the trace of its deployment: the W3C trace context that orders carry.
//!
//! Flows in: ids that were chosen before the work began. Flows out: the same trace on every machine, after any
//! restart, without anything stored for it. Must never be taken for proof of anything: whoever sends it chose it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A span of a trace, as others hang below it. Neither id is ever all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceParent {
    /// The trace: the deployment's id.
    pub trace: [u8; 16],
    /// The span.
    pub span: [u8; 8],
}

/// The text is no trace context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a trace context in the form 00-TRACE-SPAN-FLAGS")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The span of a whole deployment.
    #[must_use]
    pub fn of_deployment(id: Uuid) -> Self {
        Self { trace: id.into_bytes(), span: end_of(id) }
    }

    /// The span of one order within this trace.
    #[must_use]
    pub fn of_order(self, id: Uuid) -> Self {
        Self { span: end_of(id), ..self }
    }
}

/// The random half of an id; its highest bit is always set.
fn end_of(id: Uuid) -> [u8; 8] {
    id.as_u64_pair().1.to_be_bytes()
}

// === impl TraceParent ===

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (u128::from_be_bytes(self.trace), u64::from_be_bytes(self.span));
        write!(f, "00-{trace:032x}-{span:016x}-01")
    }
}

impl From<TraceParent> for String {
    fn from(parent: TraceParent) -> Self {
        parent.to_string()
    }
}

impl TryFrom<String> for TraceParent {
    type Error = InvalidTraceParent;

    fn try_from(text: String) -> Result<Self, InvalidTraceParent> {
        text.parse()
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    /// Later versions may add fields at the end.
    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let mut parts = text.split('-');
        let mut part = |chars: usize| {
            let is_hex = |part: &&str| {
                part.len() == chars && part.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
            };
            parts.next().filter(is_hex).ok_or(InvalidTraceParent)
        };
        let version = part(2)?;
        let trace = u128::from_str_radix(part(32)?, 16).map_err(|_| InvalidTraceParent)?;
        let span = u64::from_str_radix(part(16)?, 16).map_err(|_| InvalidTraceParent)?;
        part(2)?;
        let is_more = parts.next().is_some();
        if version == "ff" || trace == 0 || span == 0 || (version == "00" && is_more) {
            return Err(InvalidTraceParent);
        }
        Ok(Self { trace: trace.to_be_bytes(), span: span.to_be_bytes() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_a_context_and_the_context_becomes_ids() {
        let [deployment, order] = [Uuid::now_v7(), Uuid::now_v7()];
        let whole = TraceParent::of_deployment(deployment);
        let part = whole.of_order(order);
        assert_eq!(part.trace, whole.trace);
        assert_ne!(part.span, whole.span);
        assert_eq!(part.to_string().parse(), Ok(part));
        assert!(part.to_string().contains(&deployment.simple().to_string()));
    }

    #[test]
    fn what_is_no_context_is_refused() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        assert!(format!("00-{trace}-b7ad6b7169203331-01").parse::<TraceParent>().is_ok());
        assert!(format!("cc-{trace}-b7ad6b7169203331-01-more").parse::<TraceParent>().is_ok());
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("00-{trace}-b7ad6b7169203331"),
            format!("00-{trace}-b7ad6b7169203331-01-more"),
            format!("ff-{trace}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
            format!("00-+{}-b7ad6b7169203331-01", &trace[1..]),
        ] {
            assert!(bad.parse::<TraceParent>().is_err(), "{bad}");
        }
    }
}
