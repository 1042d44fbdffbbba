//! Descriptors to JSON Schema (2020-12, which OpenAPI 3.1 speaks), with the contract's comments as descriptions.
//!
//! A message that may stand in a request requires nothing and allows nothing else. Every other one requires what is always
//! written, and may get more fields in later versions.

use std::collections::BTreeSet;

use prost_reflect::{EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::{oneof, words};

/// Collects the schemas of messages and everything they refer to.
pub(crate) struct Schemas {
    asked: BTreeSet<String>,
    made: Map<String, Value>,
}

impl Schemas {
    /// None yet. `requests` are the messages that operators send.
    pub(crate) fn new(requests: impl Iterator<Item = MessageDescriptor>) -> Self {
        let mut asked = BTreeSet::new();
        requests.for_each(|request| gather(&request, &mut asked));
        Self { asked, made: Map::new() }
    }

    /// All that were asked for, by name.
    pub(crate) fn into_components(self) -> Map<String, Value> {
        self.made
    }

    /// A reference to a message's schema.
    pub(crate) fn message(&mut self, of: &MessageDescriptor) -> Value {
        if !self.made.contains_key(of.name()) {
            // Its place is taken first, so that the order is that of the references.
            self.made.insert(of.name().to_owned(), Value::Null);
            let schema = self.object(of, &[]);
            self.made.insert(of.name().to_owned(), schema);
        }
        reference(of.name())
    }

    /// A message's schema itself, without these fields.
    pub(crate) fn object(&mut self, of: &MessageDescriptor, without: &[&str]) -> Value {
        let is_asked = self.asked.contains(of.full_name());
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for field in of.fields().filter(|field| !without.contains(&field.name())) {
            if oneof(&field).is_none() && !is_asked {
                required.push(field.name().to_owned());
            }
            properties.insert(field.name().to_owned(), self.field(&field));
        }
        let mut schema = json!({ "type": "object", "properties": properties });
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if is_asked {
            schema["additionalProperties"] = false.into();
        }
        describe(&mut schema, described(of));
        schema
    }

    /// What may stand in one field.
    pub(crate) fn field(&mut self, field: &FieldDescriptor) -> Value {
        let mut schema = self.kind(&field.kind());
        if field.is_list() {
            schema = json!({ "type": "array", "items": schema });
        } else if field.supports_presence() && oneof(field).is_none() {
            schema = json!({ "anyOf": [schema, { "type": "null" }] });
        }
        describe(&mut schema, comment(&field.parent_file(), field.path()));
        schema
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Double | Kind::Float => json!({ "type": "number" }),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({ "type": "integer", "format": "int64" }),
            Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
            Kind::Uint64 | Kind::Fixed64 => json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
            Kind::Message(of) => self.message(of),
            Kind::Enum(of) => self.words(of),
        }
    }

    fn words(&mut self, of: &EnumDescriptor) -> Value {
        if !self.made.contains_key(of.name()) {
            let mut schema = json!({ "type": "string", "enum": words(of) });
            let values = of.values().zip(words(of));
            let lines = values.filter_map(|(value, word)| {
                let said = comment(&of.parent_file(), value.path());
                (!said.is_empty()).then(|| format!("- `{word}`: {said}"))
            });
            let lines: Vec<String> = lines.collect();
            let text = [comment(&of.parent_file(), of.path()), lines.join("\n")].join("\n\n");
            describe(&mut schema, text.trim().to_owned());
            self.made.insert(of.name().to_owned(), schema);
        }
        reference(of.name())
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn gather(of: &MessageDescriptor, into: &mut BTreeSet<String>) {
    if into.insert(of.full_name().to_owned()) {
        let kinds = of.fields().map(|field| field.kind());
        kinds.for_each(|kind| {
            if let Some(of) = kind.as_message() {
                gather(of, into);
            }
        });
    }
}

fn described(of: &MessageDescriptor) -> String {
    let mut text = comment(&of.parent_file(), of.path());
    for oneof in of.oneofs().filter(|oneof| !oneof.is_synthetic()) {
        let names: Vec<String> = oneof.fields().map(|field| format!("`{}`", field.name())).collect();
        text.push_str(&format!("\n\nAt most one of {}.", names.join(", ")));
    }
    text.trim().to_owned()
}

fn describe(schema: &mut Value, text: String) {
    if !text.is_empty() {
        schema["description"] = text.into();
    }
}

/// What the contract says in front of something; empty if nothing.
pub(crate) fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let mut found = info.into_iter().flat_map(|info| &info.location).filter(|location| location.path == path);
    let text = found.next().map(|location| location.leading_comments()).unwrap_or_default();
    text.lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}
