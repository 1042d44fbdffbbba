//! What programs read: one message of the contract per line, in the JSON form that the REST API has too ([`crate::json`]).
//! What is redeployctl's own, or more than one message, has lines of its own.

use std::io::Write;

use prost::{Message, Name};
use serde_json::Value;

use crate::json;

/// A line on stdout. Whoever closed the pipe has read enough.
pub(super) fn line<M: Message + Name>(message: &M) {
    own(&json::of(message));
}

/// The same with one more field, which is no part of the message.
pub(super) fn line_with<M: Message + Name>(message: &M, name: &str, value: Value) {
    let mut object = json::of(message);
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
    own(&object);
}

/// Several messages as one value.
pub(super) fn list<M: Message + Name>(messages: &[M]) -> Value {
    messages.iter().map(json::of).collect()
}

/// A line that is no message.
pub(super) fn own(value: &Value) {
    let _ = writeln!(std::io::stdout().lock(), "{value}");
}
