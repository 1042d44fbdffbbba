//! When two values say the same, and how a difference is put into words without telling secrets.

use serde_json::Value;

use super::super::json::{keys, says_nothing};
use super::{Difference, Proof};

/// Where null, 0, false and an empty list are different answers.
const EXACT: [&str; 5] = ["MaskedPaths", "ReadonlyPaths", "MemorySwappiness", "StopTimeout", "Init"];

/// Where a key says something even if its value is empty.
const MAPS: [&str; 9] = [
    "Labels",
    "Volumes",
    "ExposedPorts",
    "PortBindings",
    "Tmpfs",
    "Sysctls",
    "StorageOpt",
    "Annotations",
    "DriverOpts",
];

/// Where values may be secrets.
const SECRET: [&str; 7] = ["Env", "Labels", "Cmd", "Entrypoint", "Healthcheck", "LogConfig", "DriverOpts"];

impl Proof<'_> {
    /// Notes a difference unless both say the same, or both nothing. Objects are compared by their fields.
    pub(super) fn same(&mut self, field: &str, planned: &Value, found: &Value) {
        if let (Some(ours), Some(theirs)) = (fields(planned), fields(found)) {
            let is_map = MAPS.iter().any(|map| field.ends_with(&format!(".{map}")));
            for key in union_of_keys(ours.iter().copied(), theirs.iter().copied()) {
                let field = format!("{field}.{key}");
                match (planned.get(key), found.get(key)) {
                    (None, Some(_)) if is_map => self.differ(&field, presence(false), presence(true)),
                    (Some(_), None) if is_map => self.differ(&field, presence(true), presence(false)),
                    _ => self.same(&field, &planned[key], &found[key]),
                }
            }
            return;
        }
        let is_exact = EXACT.iter().any(|exact| field.ends_with(&format!(".{exact}")));
        let same = planned == found
            || (!is_exact && ((says_nothing(planned) && says_nothing(found)) || same_lists(planned, found)));
        if same {
            return;
        }
        let is_secret = SECRET.iter().any(|secret| field.split(['.', '[']).any(|part| part == *secret));
        if is_secret || says_secrets(planned) || says_secrets(found) {
            self.differ(field, presence(!says_nothing(planned)), presence(!says_nothing(found)));
        } else {
            self.differ(field, planned.to_string(), found.to_string());
        }
    }

    pub(super) fn differ(&mut self, field: &str, planned: String, found: String) {
        self.differences.push(Difference { field: field.to_owned(), planned, found });
    }
}

/// The fields of an object; null has none.
fn fields(value: &Value) -> Option<Vec<&str>> {
    (value.is_object() || value.is_null()).then(|| keys(value).collect())
}

/// Lists of objects, such as mounts: the engine leaves out or adds fields that say nothing.
fn same_lists(planned: &Value, found: &Value) -> bool {
    match (planned, found) {
        (Value::Array(ours), Value::Array(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(a, b)| spoken(a) == spoken(b))
        }
        _ => false,
    }
}

/// The value without fields that say nothing.
fn spoken(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let fields = object.iter().map(|(key, value)| (key.clone(), spoken(value)));
            Value::Object(fields.filter(|(_, value)| !says_nothing(value)).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => value.clone(),
    }
}

/// Do its parts have options that may hold passwords, as volume drivers' do?
fn says_secrets(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().any(says_secrets),
        Value::Object(object) => object.contains_key("Options") || object.values().any(says_secrets),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

pub(super) fn presence(is_there: bool) -> String {
    if is_there { "a value (not shown)" } else { "nothing" }.to_owned()
}

pub(super) fn union_of_keys<'a>(
    ours: impl Iterator<Item = &'a str>,
    theirs: impl Iterator<Item = &'a str>,
) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for key in ours.chain(theirs) {
        if !all.contains(&key) {
            all.push(key);
        }
    }
    all
}
