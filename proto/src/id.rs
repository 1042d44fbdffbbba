//! The id of one node redeploy: chosen once, by whoever orders it, and used by everyone after that.
//!
//! Two ids for one job once made a tool report a success as a failure; so the orderer's id is the agent's id.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Names one node redeploy for ever. Version 7, so ids sort by the time they were made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RedeployId(Uuid);

/// The text given is not a redeploy id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a redeploy id: expected a UUID such as 0193a1b2-7c00-7000-8000-0123456789ab")]
pub struct InvalidRedeployId {
    text: String,
}

impl RedeployId {
    /// A fresh id, later than every id this process made before.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The last eight hex digits: random, so they tell apart ids made in the same second. Used in the names
    /// of containers and offered to people.
    #[must_use]
    pub fn short(&self) -> String {
        let text = self.0.simple().to_string();
        text[text.len() - 8..].to_owned()
    }
}

impl RedeployId {
    /// As a number, for what is derived from it.
    #[must_use]
    pub fn uuid(&self) -> Uuid {
        self.0
    }
}

// === impl RedeployId ===

impl FromStr for RedeployId {
    type Err = InvalidRedeployId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self).map_err(|_| InvalidRedeployId { text: text.to_owned() })
    }
}

impl fmt::Display for RedeployId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl fmt::Debug for RedeployId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json_round_trip() {
        let id = RedeployId::generate();
        assert_eq!(id.to_string().parse::<RedeployId>().unwrap(), id);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<RedeployId>(&json).unwrap(), id);
    }

    #[test]
    fn short_form_is_the_random_end() {
        let id: RedeployId = "0193a1b2-7c00-7000-8000-0123456789ab".parse().unwrap();
        assert_eq!(id.short(), "456789ab");
    }

    #[test]
    fn malformed_text_is_named_in_the_error() {
        let error = "web".parse::<RedeployId>().unwrap_err();
        assert!(error.to_string().contains("\"web\""), "{error}");
    }
}
