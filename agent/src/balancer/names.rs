//! Which server stands for which node: rules of the configuration, and names that are safe to send. Pure.
//!
//! Must never let through a name that could end a command and begin another: parts of it come from labels.

use serde::{Deserialize, Serialize};

/// A server of a balancer: `BACKEND/SERVER`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName {
    /// The backend it is in.
    pub backend: String,
    /// Its name there.
    pub server: String,
}

/// This names no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no BACKEND/SERVER: each is made of letters, digits and `-`, `_`, `.`, `:`")]
pub struct InvalidServer(String);

/// Longer names are nobody's.
const NAME_BYTES_MAX: usize = 256;

/// HAProxy's rule for the names of proxies and servers (configuration manual, 2.4).
fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

impl TryFrom<String> for ServerName {
    type Error = InvalidServer;
    fn try_from(text: String) -> Result<Self, InvalidServer> {
        match text.split_once('/') {
            Some((backend, server)) if is_name(backend) && is_name(server) => {
                Ok(Self { backend: backend.to_owned(), server: server.to_owned() })
            }
            Some(_) | None => Err(InvalidServer(text)),
        }
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> Self {
        name.to_string()
    }
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.backend, self.server)
    }
}

/// What a container says of itself, for rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct Labels<'a> {
    /// Its name.
    pub name: &'a str,
    /// `io.redeploy.env`
    pub env: &'a str,
    /// `io.redeploy.group`
    pub group: &'a str,
    /// `io.redeploy.node`
    pub node_id: &'a str,
}

/// One rule: `WHO = BACKEND/SERVER`. WHO is a container's name, `ENV/GROUP`, or `*`; the right side may hold `{name}`,
/// `{env}`, `{group}` and `{nodeId}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    who: String,
    template: String,
}

impl Rule {
    /// Reads one rule.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        const ALLOWED: &str = "allowed is \"WHO = BACKEND/SERVER\" with a container's name, ENV/GROUP or * as WHO, and {name}, \
                               {env}, {group}, {nodeId} in BACKEND/SERVER";
        let (who, template) =
            text.split_once('=').ok_or_else(|| format!("{text:?} has no \"=\"; {ALLOWED}"))?;
        let (who, template) = (who.trim().to_owned(), template.trim().to_owned());
        let rule = Self { who, template };
        // With any value in the place of each word it must be a name.
        let tried = rule.fill(Labels { name: "x", env: "x", group: "x", node_id: "1" });
        if rule.who.is_empty() || tried.is_err() {
            return Err(format!("{text:?} is no rule; {ALLOWED}"));
        }
        Ok(rule)
    }

    /// Is this rule about that container?
    #[must_use]
    pub fn is_about(&self, labels: Labels<'_>) -> bool {
        match self.who.split_once('/') {
            Some((env, group)) => !group.is_empty() && env == labels.env && group == labels.group,
            None => self.who == "*" || self.who == labels.name,
        }
    }

    /// The server that stands for that container.
    ///
    /// # Errors
    /// What came out is no name: a label is missing, or holds something else.
    pub fn fill(&self, labels: Labels<'_>) -> Result<ServerName, InvalidServer> {
        let words = [
            ("{name}", labels.name),
            ("{env}", labels.env),
            ("{group}", labels.group),
            ("{nodeId}", labels.node_id),
        ];
        let mut rest = self.template.as_str();
        let mut filled = String::new();
        while let Some(at) = rest.find('{') {
            let (before, from) = rest.split_at(at);
            filled.push_str(before);
            let word = words.iter().find(|(word, _)| from.starts_with(word));
            // A label that is not there would make another server's name of this one's.
            let Some((word, value)) = word.filter(|(_, value)| is_name(value)) else {
                return Err(InvalidServer(format!("{} of {}", self.template, labels.name)));
            };
            filled.push_str(value);
            rest = from.get(word.len()..).unwrap_or_default();
        }
        filled.push_str(rest);
        ServerName::try_from(filled)
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {}", self.who, self.template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Labels<'_> = Labels { name: "web.1", env: "shop", group: "cp", node_id: "17" };

    fn filled(rule: &str) -> Option<String> {
        Rule::parse(rule).unwrap().fill(NODE).ok().map(|server| server.to_string())
    }

    #[test]
    fn rules_are_about_names_groups_or_all_and_fill_in_labels() {
        assert_eq!(filled("shop/cp = be_shop_cp/node{nodeId}").unwrap(), "be_shop_cp/node17");
        assert_eq!(filled("*=be_{env}_{group}/{name}").unwrap(), "be_shop_cp/web.1");
        for (who, about) in
            [("shop/cp", true), ("shop/db", false), ("web.1", true), ("web", false), ("*", true)]
        {
            assert_eq!(Rule::parse(&format!("{who} = b/s")).unwrap().is_about(NODE), about, "{who}");
        }
        let nobody = Labels { name: "x", ..Labels::default() };
        assert!(!Rule::parse("/ = b/s").unwrap().is_about(nobody), "no labels are no group");
        assert!(Rule::parse("* = b/node{nodeId}").unwrap().fill(nobody).is_err(), "a label is missing");
    }

    #[test]
    fn what_could_end_a_command_is_no_name() {
        for bad in ["", "b", "b/", "/s", "b/s;show info", "b/s\nx", "b/s t", "b/{nope}", "b/{nodeId", "a/b/c"]
        {
            assert!(Rule::parse(&format!("* = {bad}")).is_err(), "{bad:?}");
        }
        let sly = Labels { group: "cp;shutdown", ..NODE };
        assert!(Rule::parse("* = b/{group}").unwrap().fill(sly).is_err());
    }
}
