//! The names of things, each a type of its own, so that a host's id cannot be passed as a node's.
//!
//! Flows in: numbers and text of strangers. Flows out: ids and names that are well formed. Must never be built from
//! text without its check.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest name of an environment or a group.
const NAME_MAX: usize = 63;

/// A node: a small number, unique in the whole platform, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u32);

/// A host: chosen by the coordinator when its agent enrols, written into its certificate.
/// Copies share the text: every part of this program knows every host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostId(Arc<str>);

/// A deployment. Version 7, so ids sort by the time they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeploymentId(Uuid);

/// An environment's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvName(String);

/// A node group's name, unique within its environment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(String);

/// The text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not {what}: write 1 to 63 letters, digits, `.`, `_` or `-`, beginning with a letter or digit"
)]
pub struct InvalidName {
    text: String,
    what: &'static str,
}

/// The text is no deployment id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a deployment id: expected a UUID")]
pub struct InvalidDeploymentId(String);

fn checked(text: &str, what: &'static str) -> Result<String, InvalidName> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let begins = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if begins && text.len() <= NAME_MAX && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(InvalidName { text: text.chars().take(NAME_MAX + 1).collect(), what })
    }
}

macro_rules! name {
    ($type:ty, $make:expr, $what:literal) => {
        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                checked(text, $what).map($make)
            }
        }
        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.as_str().to_owned()
            }
        }
        impl $type {
            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(EnvName, EnvName, "the name of an environment");
name!(GroupName, GroupName, "the name of a node group");
name!(HostId, |text: String| HostId(text.into()), "the id of a host");

// === impl NodeId ===

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl DeploymentId ===

impl DeploymentId {
    /// A fresh id, later than every id this process made before.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// As a number, for what is derived from it.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.0
    }

    /// The last eight hex digits, which people may type instead of the whole.
    #[must_use]
    pub fn short(&self) -> String {
        let text = self.0.simple().to_string();
        text[text.len() - 8..].to_owned()
    }
}

impl FromStr for DeploymentId {
    type Err = InvalidDeploymentId;
    fn from_str(text: &str) -> Result<Self, InvalidDeploymentId> {
        Uuid::parse_str(text).map(Self).map_err(|_| InvalidDeploymentId(text.chars().take(64).collect()))
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_on_every_way_in() {
        for good in ["cp", "shop-2", "A.b_c", "7"] {
            assert_eq!(good.parse::<EnvName>().unwrap().as_str(), good);
            assert!(serde_json::from_str::<GroupName>(&format!("\"{good}\"")).is_ok());
        }
        for bad in ["", "-x", ".", "a b", "ä", "a/b", &"x".repeat(64)] {
            let error = bad.parse::<EnvName>().unwrap_err().to_string();
            assert!(error.contains("is not the name of an environment"), "{error}");
            assert!(serde_json::from_str::<GroupName>(&format!("{bad:?}")).is_err());
        }
    }

    #[test]
    fn deployment_ids_round_trip() {
        let id = DeploymentId::generate();
        assert_eq!(id.to_string().parse::<DeploymentId>().unwrap(), id);
        assert!(id.to_string().ends_with(&id.short()));
        assert!("shop".parse::<DeploymentId>().is_err());
    }
}
