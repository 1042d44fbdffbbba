//! Placeholders: `${nodes.cp[0].id}`, `${globals.tag}`, `${settings.tag}`, `${this.tag}`, `${env.envName}`, `${@i.id}`, each with a
//! value to fall back on as `${settings.tag:latest}`. Pure.
//!
//! Flows in: a text and what is known. Flows out: the text with values in it, or which placeholder has none.

use std::collections::BTreeMap;

use serde_json::Value;

/// What placeholders can stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// The answer of `GetEnvInfo`.
    pub(super) info: Value,
    pub(super) globals: BTreeMap<String, String>,
    pub(super) settings: BTreeMap<String, String>,
    /// Parameters of the action that is carried out.
    pub(super) this: BTreeMap<String, String>,
    /// The node of the loop that is carried out.
    pub(super) item: Option<Value>,
}

impl Known {
    /// # Errors
    /// The placeholder that has no value.
    pub(super) fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (place, after) = after.split_once('}').ok_or_else(|| format!("`${{{after}` has no end"))?;
            let (path, otherwise) = match place.split_once(':') {
                Some((path, otherwise)) => (path, Some(otherwise)),
                None => (place, None),
            };
            let value = self.value(path.trim()).or_else(|| otherwise.map(str::to_owned));
            filled.push_str(before);
            filled.push_str(&value.ok_or_else(|| format!("`${{{place}}}` has no value here"))?);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// `{name}` alone: a parameter of the action, or else a setting, or else a global.
    pub(super) fn short(&self, name: &str) -> Result<String, String> {
        let all = [&self.this, &self.settings, &self.globals];
        let found = all.into_iter().find_map(|map| map.get(name)).cloned();
        found.ok_or_else(|| format!("`{{{name}}}` has no value here"))
    }

    fn value(&self, path: &str) -> Option<String> {
        let (source, rest) = path.split_once('.')?;
        match source {
            "globals" => self.globals.get(rest).cloned(),
            "settings" => self.settings.get(rest).cloned(),
            "this" => self.this.get(rest).cloned(),
            "env" if rest == "name" => scalar(&self.info["env"]["envName"]),
            "env" => scalar(&self.info["env"][rest]),
            "nodes" => self.of_nodes(rest),
            "@i" => scalar(deep(self.item.as_ref()?, rest)),
            _ => None,
        }
    }

    /// `cp.id`, `cp[1].id`, `cp.first.id`, `cp.last.id`, `cp.length`, and the same of `all`.
    fn of_nodes(&self, rest: &str) -> Option<String> {
        let (group, rest) = rest.split_once(['.', '['])?;
        let nodes = self.nodes(group);
        if rest == "length" {
            return Some(nodes.len().to_string());
        }
        let (node, field) = match rest.split_once("].") {
            Some((index, field)) => (nodes.get(index.parse::<usize>().ok()?)?, field),
            None => match rest.split_once('.') {
                Some(("first", field)) => (nodes.first()?, field),
                Some(("last", field)) => (nodes.last()?, field),
                _ => (nodes.first()?, rest),
            },
        };
        scalar(deep(node, field))
    }

    /// The nodes of a group; of the environment, if it is called `all`.
    pub(super) fn nodes(&self, group: &str) -> Vec<Value> {
        let all = self.info["nodes"].as_array().into_iter().flatten();
        all.filter(|node| group == "all" || node["nodeGroup"] == group).cloned().collect()
    }
}

/// A member of a member.
fn deep<'v>(value: &'v Value, path: &str) -> &'v Value {
    path.split('.').fold(value, |value, name| &value[name])
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_place_is_filled_or_named() {
        let node = |id: u32, group: &str| json!({ "id": id, "nodeGroup": group, "customitem": { "dockerTag": "1" } });
        let one = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let known = Known {
            info: json!({ "env": { "envName": "shop" }, "nodes": [node(3, "cp"), node(5, "cp"), node(9, "bl")] }),
            globals: one("g", "G"),
            settings: one("s", "S"),
            this: one("t", "T"),
            item: Some(node(5, "cp")),
        };
        for (text, expected) in [
            ("plain", "plain"),
            ("${globals.g}-${settings.s}-${this.t}", "G-S-T"),
            ("${env.envName} ${env.name}", "shop shop"),
            ("${nodes.cp.id} ${nodes.cp[1].id} ${nodes.cp.first.id} ${nodes.cp.last.id}", "3 5 3 5"),
            ("${nodes.cp.length} ${nodes.all.length} ${nodes.bl.last.customitem.dockerTag}", "2 3 1"),
            ("${@i.id} ${ settings.none:latest }", "5 latest "),
            ("${settings.s:other}", "S"),
        ] {
            assert_eq!(known.fill(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "${globals.none}",
            "${nodes.cp[7].id}",
            "${nodes.cp.none}",
            "${user.email}",
            "${nodes.db.id}",
            "${x",
        ] {
            assert!(known.fill(text).unwrap_err().contains("${"), "{text}");
        }
        assert_eq!((known.short("t"), known.short("g").as_deref()), (Ok("T".to_owned()), Ok("G")));
        assert!(known.short("none").is_err());
    }
}
