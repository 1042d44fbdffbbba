//! A manifest as the calls it makes, in their order, before the first is made. Pure.
//!
//! Flows in: a tree, what is known of the environment, settings of the command line. Flows out: calls with their parameters, and
//! actions that are skipped, each with its line. Must never take another action for a redeploy.

use super::places::Known;
use super::yaml::{Mistake, Node, What};

/// The methods that are called. Others are skipped.
const METHODS: [&str; 3] = ["RedeployContainers", "RedeployContainersByGroup", "RedeployContainerById"];

/// Who calls is said by the command line.
const OWN: [&str; 2] = ["session", "appid"];

/// Actions that call actions.
const DEPTH_MAX: usize = 16;

/// Actions of one manifest, each as often as it is carried out.
const ACTIONS_MAX: usize = 10_000;

/// One thing a manifest does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Call { line: usize, method: &'static str, params: Vec<(String, String)> },
    Skipped { line: usize, action: String },
}

/// # Errors
/// [`Mistake`]: the first thing that cannot be carried out as it is written.
pub(super) fn plan(manifest: &Node, mut known: Known) -> Result<Vec<Step>, Mistake> {
    known.settings = settings(manifest, &known);
    if let Some(globals) = manifest.get("globals") {
        known.globals = globals
            .map()
            .iter()
            .map(|(name, node)| Ok((name.clone(), text(node, &known)?)))
            .collect::<Result<_, Mistake>>()?;
    }
    let begin = manifest
        .get("onInstall")
        .ok_or_else(|| Mistake::new(1, "there is no onInstall: nothing would be done"))?;
    let mut planner = Planner { actions: manifest.get("actions"), steps: Vec::new(), seen: 0 };
    planner.all(begin, &known, 0)?;
    for (name, node) in
        manifest.map().iter().filter(|(name, _)| name.starts_with("on") && name != "onInstall")
    {
        planner.skip(node.line, name);
    }
    Ok(planner.steps)
}

/// Defaults of the manifest's fields, below those of the command line.
fn settings(manifest: &Node, known: &Known) -> std::collections::BTreeMap<String, String> {
    let fields = manifest.get("settings").and_then(|settings| settings.get("fields"));
    let field = |field: &Node| {
        let default = field.get("default").or_else(|| field.get("value"))?.text()?;
        Some((field.get("name")?.text()?.to_owned(), default.to_owned()))
    };
    let defaults = fields.map(Node::list).unwrap_or_default().iter().filter_map(field);
    defaults.chain(known.settings.clone()).collect()
}

/// A value as a text, with its placeholders filled.
fn text(node: &Node, known: &Known) -> Result<String, Mistake> {
    let filled = match &node.what {
        What::Text(text) => known.fill(text),
        // `{name}`, which is a map to YAML.
        What::Map(members) => match members.as_slice() {
            [(name, Node { what: What::Text(nothing), .. })] if nothing.is_empty() || nothing == "~" => {
                known.short(name)
            }
            _ => Err("a parameter must be a text".to_owned()),
        },
        What::List(_) => Err("a parameter must be a text".to_owned()),
    };
    filled.map_err(|rule| Mistake::new(node.line, rule))
}

/// A key taken apart: `name [cp, 12]` or `name(argument)`.
struct Key<'k> {
    name: &'k str,
    selectors: Vec<&'k str>,
    argument: Option<&'k str>,
}

impl<'k> Key<'k> {
    fn of(key: &'k str) -> Self {
        let (name, selectors) =
            match key.split_once('[').and_then(|(name, rest)| Some((name, rest.trim().strip_suffix(']')?))) {
                Some((name, inside)) => {
                    (name.trim(), inside.split(',').map(str::trim).filter(|one| !one.is_empty()).collect())
                }
                None => (key.trim(), Vec::new()),
            };
        match name.split_once('(').and_then(|(name, rest)| Some((name, rest.trim().strip_suffix(')')?))) {
            Some((name, argument)) => Self { name: name.trim(), selectors, argument: Some(argument.trim()) },
            None => Self { name, selectors, argument: None },
        }
    }

    /// The redeploy method it means, if it does.
    fn method(&self) -> Option<&'static str> {
        method(self.name)
    }
}

/// `environment.control.RedeployContainers`, or `env.` for short.
fn method(name: &str) -> Option<&'static str> {
    let (group, rest) = name.trim().split_once('.')?;
    let (class, method) = rest.split_once('.')?;
    let is_control = matches!(group.to_ascii_lowercase().as_str(), "env" | "environment")
        && class.eq_ignore_ascii_case("control");
    METHODS.into_iter().find(|known| is_control && known.eq_ignore_ascii_case(method))
}

struct Planner<'m> {
    actions: Option<&'m Node>,
    steps: Vec<Step>,
    /// Looked at by now.
    seen: usize,
}

impl Planner<'_> {
    fn skip(&mut self, line: usize, action: &str) {
        self.steps.push(Step::Skipped { line, action: action.to_owned() });
    }

    /// One action, or a list of them.
    fn all(&mut self, node: &Node, known: &Known, depth: usize) -> Result<(), Mistake> {
        if depth > DEPTH_MAX {
            return Err(Mistake::new(node.line, "actions call each other without end"));
        }
        self.seen += 1;
        if self.seen > ACTIONS_MAX {
            return Err(Mistake::new(node.line, format!("it comes to more than {ACTIONS_MAX} actions")));
        }
        match &node.what {
            What::Text(name) => self.named(Key::of(name).name, node.line, known, depth),
            What::List(all) => all.iter().try_for_each(|one| self.all(one, known, depth)),
            What::Map(members) => self.members(members, known, depth),
        }
    }

    fn members(&mut self, members: &[(String, Node)], known: &Known, depth: usize) -> Result<(), Mistake> {
        // `api: METHOD` takes the keys beside it as parameters.
        let api = members.iter().find(|(key, node)| Key::of(key).name == "api" && node.text().is_some());
        if let Some((key, node)) = api {
            let beside: Vec<(String, Node)> =
                members.iter().filter(|(other, _)| other != key).cloned().collect();
            return self.call(&Key::of(key), node.text().and_then(method), node, &beside, known);
        }
        members.iter().try_for_each(|(key, node)| self.member(&Key::of(key), node, known, depth))
    }

    fn member(&mut self, key: &Key<'_>, node: &Node, known: &Known, depth: usize) -> Result<(), Mistake> {
        if let ("forEach", Some(over)) = (key.name, key.argument) {
            return self.each(over, node, known, depth);
        }
        let is_api = key.name == "api";
        let calls = if node.list().is_empty() { std::slice::from_ref(node) } else { node.list() };
        match key.method() {
            Some(method) => {
                calls.iter().try_for_each(|call| self.call(key, Some(method), node, call.map(), known))
            }
            None if is_api => calls.iter().try_for_each(|call| {
                let named = call.get("method").and_then(Node::text);
                let beside =
                    call.map().iter().filter(|(name, _)| !matches!(name.as_str(), "method" | "params"));
                let params = call.get("params").map(Node::map).unwrap_or_default();
                let all: Vec<(String, Node)> = beside.chain(params).cloned().collect();
                self.call(key, named.and_then(method), call, &all, known)
            }),
            None => self.with(key.name, node, known, depth),
        }
    }

    /// An action of the manifest, with parameters.
    fn with(&mut self, name: &str, node: &Node, known: &Known, depth: usize) -> Result<(), Mistake> {
        if self.actions.and_then(|actions| actions.get(name)).is_none() {
            self.skip(node.line, name);
            return Ok(());
        }
        let params = node.map().iter().map(|(name, node)| Ok((name.clone(), text(node, known)?)));
        let this = params.collect::<Result<_, Mistake>>()?;
        self.named(name, node.line, &Known { this, ..known.clone() }, depth)
    }

    fn named(&mut self, name: &str, line: usize, known: &Known, depth: usize) -> Result<(), Mistake> {
        match self.actions.and_then(|actions| actions.get(name)) {
            Some(action) => self.all(action, known, depth + 1),
            None => {
                self.skip(line, name);
                Ok(())
            }
        }
    }

    /// `nodes.cp`, or `nodes` for all of them.
    fn each(&mut self, over: &str, node: &Node, known: &Known, depth: usize) -> Result<(), Mistake> {
        let group = match over.split_once('.') {
            None if over == "nodes" => "all",
            Some(("nodes", group)) if !group.contains(['.', '[']) => group,
            _ => {
                return Err(Mistake::new(
                    node.line,
                    "only a loop over `nodes` or `nodes.GROUP` is understood",
                ));
            }
        };
        for item in known.nodes(group) {
            self.all(node, &Known { item: Some(item), ..known.clone() }, depth + 1)?;
        }
        Ok(())
    }

    /// One call for each selector; without any, one.
    fn call(
        &mut self,
        key: &Key<'_>,
        method: Option<&'static str>,
        node: &Node,
        beside: &[(String, Node)],
        known: &Known,
    ) -> Result<(), Mistake> {
        let Some(method) = method else {
            let other = node.text().or_else(|| node.get("method")?.text()).unwrap_or(key.name);
            self.skip(node.line, other);
            return Ok(());
        };
        let mut params = Vec::new();
        for (name, value) in beside.iter().filter(|(name, _)| !OWN.contains(&name.as_str())) {
            params.push((name.clone(), text(value, known)?));
        }
        if !params.iter().any(|(name, _)| name == "envName") {
            let env = known.info["env"]["envName"].as_str().unwrap_or_default();
            params.insert(0, ("envName".to_owned(), env.to_owned()));
        }
        for target in targets(&key.selectors, known) {
            let mut params = params.clone();
            params.extend(target);
            self.steps.push(Step::Call { line: node.line, method, params });
        }
        Ok(())
    }
}

/// `cp` is a group, `12` a node, `*` every group.
fn targets(selectors: &[&str], known: &Known) -> Vec<Option<(String, String)>> {
    if selectors.is_empty() {
        return vec![None];
    }
    let mut targets = Vec::new();
    for selector in selectors {
        if *selector == "*" {
            let mut groups: Vec<String> = Vec::new();
            for node in known.nodes("all") {
                let group = node["nodeGroup"].as_str().unwrap_or_default();
                if !groups.iter().any(|known| known == group) {
                    groups.push(group.to_owned());
                }
            }
            targets.extend(groups.into_iter().map(|group| Some(("nodeGroup".to_owned(), group))));
        } else {
            let is_node = selector.chars().all(|c| c.is_ascii_digit());
            let name = if is_node { "nodeId" } else { "nodeGroup" };
            targets.push(Some((name.to_owned(), (*selector).to_owned())));
        }
    }
    targets
}

#[cfg(test)]
mod tests;
