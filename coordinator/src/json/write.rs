//! Messages to JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value as Seen};
use serde_json::Value;

use super::{oneof, word};

/// A message as a JSON object.
pub(crate) fn object(message: &DynamicMessage) -> Value {
    let descriptor = message.descriptor();
    let shown = |field: &FieldDescriptor| oneof(field).is_none() || message.has_field(field);
    let member = |field: FieldDescriptor| (field.name().to_owned(), member(message, &field));
    Value::Object(descriptor.fields().filter(shown).map(member).collect())
}

fn member(message: &DynamicMessage, field: &FieldDescriptor) -> Value {
    if field.supports_presence() && !message.has_field(field) {
        return Value::Null;
    }
    value(&message.get_field(field), &field.kind())
}

fn value(seen: &Seen, kind: &Kind) -> Value {
    match seen {
        Seen::Bool(is) => (*is).into(),
        Seen::I32(number) => (*number).into(),
        Seen::I64(number) => (*number).into(),
        Seen::U32(number) => (*number).into(),
        Seen::U64(number) => (*number).into(),
        Seen::F32(number) => (*number).into(),
        Seen::F64(number) => (*number).into(),
        Seen::String(text) => text.as_str().into(),
        Seen::Bytes(bytes) => STANDARD.encode(bytes).into(),
        Seen::EnumNumber(number) => kind.as_enum().map(|of| word(of, *number)).into(),
        Seen::Message(message) => object(message),
        Seen::List(list) => list.iter().map(|seen| value(seen, kind)).collect(),
        Seen::Map(map) => {
            let of = kind.as_message().map(|entry| entry.map_entry_value_field().kind());
            let of = of.as_ref().unwrap_or(kind);
            let mut pairs: Vec<(String, Value)> =
                map.iter().map(|(at, seen)| (key(at), value(seen, of))).collect();
            pairs.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(pairs.into_iter().collect())
        }
    }
}

fn key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}
