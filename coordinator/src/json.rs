//! The JSON form of the contract's messages: one rule for all, made from their descriptors, for the REST API,
//! `redeployctl --json` and the OpenAPI document alike.
//!
//! ```text
//!   field        its name in the contract, never another
//!   enum         its word without the prefix, in small letters: DEPLOYMENT_PHASE_ROLLING_BACK is "rolling_back"
//!   64 bits      a number
//!   not set      null, where the contract tells "not set" from 0 or ""; of a oneof only the member that is set stands there
//! ```
//!
//! Written: every other field, also 0 and "". Read: none has to be there, null is "not set", and what the contract does not
//! know is refused.
//!
//! Flows in: messages, or JSON of strangers. Flows out: JSON, or messages whose form is right. Must never know what a
//! message is for: a field that is added to the contract needs no line here.

mod read;
mod schema;
mod strict;
#[cfg(test)]
mod tests;
mod write;

use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, MessageDescriptor, OneofDescriptor,
    ServiceDescriptor,
};
use redeploy_proto::v1;
use serde_json::Value;

pub(crate) use read::{read, scalar};
pub(crate) use schema::{Schemas, comment};
pub(crate) use strict::parse;
pub(crate) use write::object;

/// Every descriptor of the contract. They are compiled in, and a test reads them.
static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(v1::FILE_DESCRIPTOR_SET).unwrap_or_default());

/// A service of the contract.
pub(crate) fn service(name: &str) -> Option<ServiceDescriptor> {
    POOL.get_service_by_name(name)
}

/// A message of the contract as JSON; null for one of another contract.
pub(crate) fn of<M: Message + Name>(message: &M) -> Value {
    let descriptor = POOL.get_message_by_name(&M::full_name());
    descriptor.and_then(|of| decoded(of, &message.encode_to_vec())).unwrap_or(Value::Null)
}

/// A message that comes as bytes, as JSON; `None` if they are of another one.
pub(crate) fn decoded(of: MessageDescriptor, bytes: &[u8]) -> Option<Value> {
    DynamicMessage::decode(of, bytes).ok().map(|message| object(&message))
}

/// The oneof a field is a member of. One with a single member only says whether it is set, and is none here.
fn oneof(field: &FieldDescriptor) -> Option<OneofDescriptor> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic())
}

/// The word for a value of an enum; one the contract does not know is the same as 0.
fn word(of: &EnumDescriptor, number: i32) -> String {
    let value = of.get_value(number).unwrap_or_else(|| of.default_value());
    word_of(value.name(), &prefix(of))
}

/// The words of an enum that say something, by its name in the contract.
pub(crate) fn words_of(name: &str) -> Vec<String> {
    let of = POOL.get_enum_by_name(&format!("redeploy.v1.{name}"));
    of.map(|of| words(&of).split_off(1)).unwrap_or_default()
}

/// The word in a value's name.
pub(crate) fn word_of(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase()
}

/// All words of an enum, in the order of the contract.
fn words(of: &EnumDescriptor) -> Vec<String> {
    of.values().map(|value| word(of, value.number())).collect()
}

/// `NodePhase` ▸ `NODE_PHASE_`
fn prefix(of: &EnumDescriptor) -> String {
    let mut prefix = String::new();
    for (at, letter) in of.name().char_indices() {
        if at > 0 && letter.is_ascii_uppercase() {
            prefix.push('_');
        }
        prefix.push(letter.to_ascii_uppercase());
    }
    prefix.push('_');
    prefix
}
