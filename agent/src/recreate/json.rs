//! Small looks at raw JSON: how the engine writes lists, sets, and nothing at all.
//!
//! Must never fail: what has an unexpected shape counts as nothing.

use serde_json::Value;

/// A string, or an empty one.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// The strings of a list.
pub(super) fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The keys of an object.
pub(super) fn keys(value: &Value) -> impl Iterator<Item = &str> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str())
}

/// The pairs of an object.
pub(super) fn pairs(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

/// Does it say nothing? The engine writes "not set" as null, false, 0, "", [], or {} as the mood takes it.
pub(super) fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

/// A path in a container the way the engine cleans it: absolute, no `.`, no `..`, no doubled or last slash.
pub(super) fn clean_path(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

/// The first twelve digits of an id.
pub(super) fn short_id(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_has_many_faces() {
        for nothing in [json!(null), json!(false), json!(0), json!(""), json!([]), json!({})] {
            assert!(says_nothing(&nothing), "{nothing}");
        }
        for something in [json!(true), json!(-1), json!(0.5), json!("x"), json!([0]), json!({"/tmpfs": ""})] {
            assert!(!says_nothing(&something), "{something}");
        }
    }

    #[test]
    fn paths_are_cleaned_like_the_engine_cleans_them() {
        for (given, meant) in
            [("/a/", "/a"), ("/a//b/.", "/a/b"), ("/a/../b", "/b"), ("/", "/"), ("/../x", "/x"), ("x", "/x")]
        {
            assert_eq!(clean_path(given), meant, "{given}");
        }
    }
}
