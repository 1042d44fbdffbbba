//! What programs read: one message of the contract per line, in the JSON form that the REST API has too ([`crate::json`]).

use std::io::Write;

use prost::{Message, Name};

use crate::json;

/// A line on stdout. Whoever closed the pipe has read enough.
pub(super) fn line<M: Message + Name>(message: &M) {
    let _ = writeln!(std::io::stdout().lock(), "{}", json::of(message));
}
